//! Where the holder of a Lease can be reached by other copies: an annotation of the Lease, which its holder writes.

use std::net::SocketAddr;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::api::Api;
use tokio::time::timeout;

use super::lease::Record;
use crate::ids::ObjectKey;
use crate::plain::Causes;

/// How long it is waited for the API server.
const PATIENCE: Duration = Duration::from_secs(3);

/// The annotation: an address with port, a blank, and the holder that wrote it. A holder of a version that knows nothing
/// of this leaves what its predecessor wrote.
pub const WAKES_AT: &str = "hybridcalendar.dev/wakes-at";

/// Looks up who leads.
#[derive(Clone)]
pub struct Whereabouts {
    leases: Api<Lease>,
    name: String,
}

impl std::fmt::Debug for Whereabouts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Whereabouts")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Whereabouts {
    /// Of whoever holds `lease`.
    #[must_use]
    pub fn new(client: Client, lease: &ObjectKey) -> Self {
        Self {
            leases: Api::namespaced(client, &lease.namespace),
            name: lease.name.to_string(),
        }
    }

    /// The holder's address and identity. Nothing when nobody holds the Lease, its holder says nowhere where others could
    /// call it, or the API server does not answer. The holder may have died since.
    pub async fn find(&self) -> Option<(SocketAddr, String)> {
        match timeout(PATIENCE, self.leases.get_opt(&self.name)).await {
            Ok(Ok(lease)) => read(&lease?),
            Ok(Err(error)) => {
                tracing::warn!(error = %Causes(&error), "cannot look up which copy leads");
                None
            }
            Err(_) => {
                tracing::warn!("cannot look up in time which copy leads");
                None
            }
        }
    }
}

/// Says in the Lease where its holder `me` is reached; or nowhere.
pub(super) fn advertise(mut lease: Lease, me: &str, at: Option<SocketAddr>) -> Lease {
    let annotations = lease.metadata.annotations.get_or_insert_default();
    match at {
        Some(address) => annotations.insert(WAKES_AT.to_owned(), format!("{address} {me}")),
        None => annotations.remove(WAKES_AT),
    };
    lease
}

pub(super) fn read(lease: &Lease) -> Option<(SocketAddr, String)> {
    let holder = Record::of(lease).holder?;
    let said = lease.metadata.annotations.as_ref()?.get(WAKES_AT)?;
    let (address, by) = said.split_once(' ')?;
    let address = address.parse().ok().filter(can_be_called)?;
    (by == holder).then_some((address, holder))
}

/// Whether another host reaches somebody there. "Unspecified" is whoever calls; a scope means something on one host only,
/// and has no place in a URL.
fn can_be_called(address: &SocketAddr) -> bool {
    let is_scoped = matches!(address, SocketAddr::V6(address) if address.scope_id() != 0);
    let is_caller = address.ip().to_canonical().is_unspecified();
    address.port() != 0 && !is_caller && !is_scoped
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::coordination::v1::LeaseSpec;

    use super::*;

    fn held_by(holder: &str) -> Lease {
        Lease {
            spec: Some(LeaseSpec {
                holder_identity: Some(holder.to_owned()),
                ..LeaseSpec::default()
            }),
            ..Lease::default()
        }
    }

    #[test]
    fn others_find_the_holder_where_it_says() {
        for address in ["10.1.2.3:9091", "[fd00::7]:9091"] {
            let address: SocketAddr = address.parse().unwrap();
            let lease = advertise(held_by("me"), "me", Some(address));
            assert_eq!(read(&lease), Some((address, "me".to_owned())));
        }
    }

    #[test]
    fn what_another_holder_said_is_not_believed() {
        let address = "10.1.2.3:9091".parse().ok();
        let mut lease = advertise(held_by("me"), "me", address);
        lease.spec = held_by("another").spec;
        assert_eq!(read(&lease), None);
        lease.spec = held_by("").spec;
        assert_eq!(read(&lease), None, "released");
    }

    #[test]
    fn who_says_nowhere_takes_away_what_was_said_before() {
        let before = advertise(held_by("me"), "me", "10.1.2.3:9091".parse().ok());
        let lease = advertise(before, "me", None);
        assert_eq!(lease.metadata.annotations, Some([].into()));
        assert_eq!(read(&lease), None);
    }

    #[test]
    fn what_is_no_address_is_not_called() {
        for said in [
            "",
            "me",
            "host.example:80 me",
            "10.1.2.3 me",
            "10.1.2.3:99999 me",
            // Nobody listens there, or whoever calls would call itself, or it means something on one host only.
            "10.1.2.3:0 me",
            "0.0.0.0:9091 me",
            "[::]:9091 me",
            "[::ffff:0.0.0.0]:9091 me",
            "[fe80::1%3]:9091 me",
        ] {
            let mut lease = held_by("me");
            let said = (WAKES_AT.to_owned(), said.to_owned());
            lease.metadata.annotations = Some([said].into());
            assert_eq!(read(&lease), None);
        }
    }
}
