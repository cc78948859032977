//! What the operator is told at its start, validated: everything else uses [`Config`] only.
//!
//! The flags themselves, as a person types them, are in [`flags`]. Nothing here starts anything; reading
//! the files that flags name is the only input besides them.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use url::Url;

use crate::domain::endpoints::AllowedEndpoints;
use crate::domain::lease::LeaseTiming;
use crate::domain::schedule::Pace;
use crate::ids::{InstanceId, ObjectKey};

pub mod check;
pub mod flags;
pub mod rbac;
pub(crate) mod validate;

#[cfg(test)]
mod tests;

/// Name of the Lease, and prefix of other names, unless flags say otherwise.
pub const DEFAULT_NAME: &str = "hybrid-calendar-operator";

/// Name of the key Secret unless `--key-secret` says otherwise.
pub const DEFAULT_KEY_SECRET: &str = "hybrid-calendar-operator-key";

/// Where a Pod finds the namespace that it runs in.
pub const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// How this process is to run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Public base URL of the receiver.
    pub notification_url: Url,
    /// Where the receiver listens.
    pub receiver_listen: SocketAddr,
    /// Directory with `tls.crt` and `tls.key` of the receiver; none: plain HTTP.
    pub receiver_tls_dir: Option<PathBuf>,
    /// Where the admin port listens.
    pub admin_listen: SocketAddr,
    /// Where other copies reach this one; none: they do not.
    pub advertise_address: Option<IpAddr>,
    /// Where this one listens for them.
    pub wakes_listen: SocketAddr,
    /// Which namespaces are looked at.
    pub scope: Scope,
    /// To which hosts credentials may be sent.
    pub allowed_endpoints: AllowedEndpoints,
    /// Whether and how a leader is elected.
    pub election: Election,
    /// How long its Lease lasts.
    pub lease_timing: LeaseTiming,
    /// The Secret with the signing keys.
    pub key_secret: ObjectKey,
    /// Whether Graph may be written to.
    pub writes: Writes,
    /// An installation whose subscriptions count as our own strays.
    pub take_over_from: Option<InstanceId>,
    /// How much faster than real our own waits are.
    pub pace: Pace,
    /// How many reconciles run at once.
    pub concurrency: usize,
    /// Which series are exported.
    pub metrics_detail: MetricsDetail,
    /// Certificates in PEM to trust besides the usual ones, for Graph and the login host.
    pub trusted_roots: Option<Vec<u8>>,
    /// How to log.
    pub logs: Logs,
}

/// Which namespaces are looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All, also those that do not exist yet.
    All,
    /// These only. Never empty.
    Namespaces(BTreeSet<Arc<str>>),
}

impl Scope {
    /// Whether objects of this namespace are ours to look at.
    #[must_use]
    pub fn contains(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::Namespaces(names) => names.contains(namespace),
        }
    }

    /// What is asked for one after the other to see all of it: each namespace, or `None` for all at once.
    #[must_use]
    pub fn places(&self) -> Vec<Option<Arc<str>>> {
        match self {
            Self::All => vec![None],
            Self::Namespaces(names) => names.iter().cloned().map(Some).collect(),
        }
    }
}

/// Whether a leader is elected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Election {
    /// No: this process leads from its start. Only one copy may run.
    Off,
    /// By holding this Lease.
    Lease(ObjectKey),
}

/// Whether Graph may be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// Normal operation.
    Allowed,
    /// `--observe-only`: every write is refused.
    Refused,
}

/// Which series are exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsDetail {
    /// One for each object.
    Object,
    /// Sums for each tenant.
    Tenant,
}

/// How to log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logs {
    /// Shape of a line.
    pub format: LogFormat,
    /// Directives of `tracing`, such as `info,hybrid_calendar_operator::graph=debug`.
    pub filter: String,
}

/// Shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object.
    Json,
    /// For people.
    Text,
}

/// Everything that is wrong with the flags, at once.
#[derive(Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(problems) = self;
        match problems.len() {
            1 => writeln!(f, "cannot start, one problem:")?,
            n => writeln!(f, "cannot start, {n} problems:")?,
        }
        problems
            .iter()
            .try_for_each(|problem| writeln!(f, "  - {problem}"))
    }
}

impl std::error::Error for Problems {}

/// The namespace of this process: `POD_NAMESPACE`, else what the Pod's volume says, else `default`.
#[must_use]
pub fn own_namespace(pod_namespace: Option<String>, file: &Path) -> Arc<str> {
    let named = |text: String| Some(text.trim().to_owned()).filter(|name| !name.is_empty());
    pod_namespace
        .and_then(named)
        // Outside a Pod there is no such file, which is no error.
        .or_else(|| std::fs::read_to_string(file).ok().and_then(named))
        .map_or_else(|| Arc::from("default"), Arc::from)
}
