//! Leases as an API server may have them: by another version, or by whoever may write Leases. What is read of where the
//! leader is reached is what its holder says, and can be called.

use std::cell::Cell;
use std::net::SocketAddr;

use fuzz::Target;
use k8s_openapi::api::coordination::v1::Lease;
use url::{Host, Url};

use super::whereabouts::{WAKES_AT, advertise, read};

const WORDS: &[&str] = &[
    "\"spec\"",
    "\"metadata\"",
    "\"annotations\"",
    "\"holderIdentity\"",
    "\"hybridcalendar.dev/wakes-at\"",
    "copy-1",
    "copy-2",
    "10.1.2.3:9091 ",
    "[fd00::7]:9091 ",
    "[fe80::1%3]:9091 ",
    "[::ffff:10.1.2.3]:9091 ",
    "0.0.0.0:9091 ",
    "localhost:9091 ",
];

/// The address in a URL, by another reader than the one that is tried.
fn called(address: &str) -> Option<SocketAddr> {
    // A scope of zero is none, and URLs know no other.
    let address = match address.split_once('%') {
        Some((ip, rest)) => format!("{ip}{}", rest.trim_start_matches('0')),
        None => address.to_owned(),
    };
    let url = Url::parse(&format!("http://{address}/")).ok()?;
    let port = url.port_or_known_default()?;
    match url.host()? {
        Host::Domain(_) => None,
        Host::Ipv4(ip) => Some((ip, port).into()),
        Host::Ipv6(ip) => Some((ip, port).into()),
    }
}

#[test]
fn the_leader_is_called_only_where_the_holder_says() {
    let good: SocketAddr = "10.9.8.7:9091".parse().unwrap();
    let (found, not_found) = (Cell::new(0), Cell::new(0));
    Target::new("leases").words(WORDS).run(|input| {
        let Ok(lease) = serde_json::from_slice::<Lease>(input) else {
            return;
        };
        let spec = lease.spec.as_ref();
        let holder = spec.and_then(|spec| spec.holder_identity.clone());
        let holder = holder.unwrap_or_default();
        let annotations = lease.metadata.annotations.as_ref();
        let said = annotations.and_then(|annotations| annotations.get(WAKES_AT));
        let Some((address, identity)) = read(&lease) else {
            not_found.set(not_found.get() + 1);
            let as_written = |address: SocketAddr| Some(&format!("{address} {holder}")) == said;
            let plain = ["10.1.2.3:9091", "[fd00::7]:9091"].map(|text| text.parse().unwrap());
            assert!(holder.is_empty() || !plain.into_iter().any(as_written));
            // What a holder will say is found, whatever was there before.
            let will_say = advertise(lease, &holder, Some(good));
            let expected = (!holder.is_empty()).then_some((good, holder));
            assert_eq!(read(&will_say), expected);
            return;
        };
        found.set(found.get() + 1);
        assert!(!identity.is_empty() && identity == holder);
        let by_holder = said.and_then(|said| said.strip_suffix(&format!(" {holder}")));
        let text = by_holder.expect("the holder itself said it");
        assert_eq!(called(text), Some(address), "{text:?}");
        assert_eq!(called(&address.to_string()), Some(address));
        let nowhere = address.port() == 0 || address.ip().to_canonical().is_unspecified();
        assert!(!nowhere, "{address}");
        let again = advertise(lease.clone(), &holder, Some(address));
        assert_eq!(read(&again), Some((address, identity)));
        assert_eq!(read(&advertise(lease, &holder, None)), None);
    });
    assert!(
        found.get() >= 4 && not_found.get() >= 6,
        "examples tell too little"
    );
}
