//! From flags to [`Config`], collecting every problem as a sentence that names flag and remedy.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tracing_subscriber::EnvFilter;
use url::Url;

use super::flags::{Flags, InCluster, Reach};
use super::{
    Config, DEFAULT_KEY_SECRET, DEFAULT_NAME, Election, LogFormat, Logs, MetricsDetail, Problems,
    Scope, Writes,
};
use crate::domain::endpoints::{AllowedEndpoints, Microsoft, is_loopback};
use crate::domain::lease::LeaseTiming;
use crate::domain::schedule::{Pace, go_duration};
use crate::ids::{InstanceId, ObjectKey};

const MAX_CONCURRENCY: usize = 1024;
const MAX_PACE: u32 = 100_000;

impl Config {
    /// Checks `flags` for a process in namespace `own_namespace`.
    ///
    /// # Errors
    /// All problems together.
    pub fn new(flags: &Flags, own_namespace: &str) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let found = Self::collect(&flags.filled(), own_namespace, &mut problems);
        match found {
            Some(config) if problems.is_empty() => Ok(config),
            Some(_) | None => Err(Problems(problems)),
        }
    }

    /// `None` only when there is a problem.
    fn collect(flags: &Flags, own_namespace: &str, problems: &mut Vec<String>) -> Option<Self> {
        let mut check = Check { problems };
        let notification_url = check.notification_url(set(flags.notification_url.as_ref()));
        let receiver_listen = check.address("--receiver-listen", &flags.receiver_listen);
        let admin_listen = check.address("--admin-listen", &flags.admin_listen);
        let wakes_listen = check.address("--wakes-listen", &flags.wakes_listen);
        let advertise_address = check.advertised(set(flags.advertise_address.as_ref()));
        let receiver = ("--receiver-listen", receiver_listen);
        let admin = ("--admin-listen", admin_listen);
        let wakes = ("--wakes-listen", wakes_listen);
        check.different_ports(receiver, admin);
        if advertise_address.is_some() {
            check.different_ports(receiver, wakes);
            check.different_ports(admin, wakes);
        }
        let receiver_tls_dir = check.tls_dir(set(flags.receiver_tls_dir.as_ref()));
        let scope = check.scope(&flags.in_cluster.namespace);
        let endpoints = check.endpoints(&flags.reach);
        let pace = check.pace(set(flags.rehearsal_pace.as_ref()), &endpoints);
        let election = check.election(&flags.in_cluster, own_namespace);
        let lease_timing = check.lease_timing(&flags.lease_duration);
        let key_secret = check.key_secret(set(flags.in_cluster.key_secret.as_ref()), own_namespace);
        let observe_only = check.truth("--observe-only", &flags.observe_only);
        let take_over_from = check.instance(set(flags.take_over_from.as_ref()));
        let concurrency = check.concurrency(&flags.concurrency);
        let metrics_detail = check.metrics_detail(&flags.metrics_detail);
        let trusted_roots = check.ca_file(&flags.reach);
        let logs = check.logs(&flags.log_format, &flags.log_filter);
        let microsoft = match set(flags.rehearsal_pace.as_ref()) {
            None => Microsoft::Allowed,
            Some(_) => Microsoft::Refused,
        };
        Some(Self {
            notification_url: notification_url?,
            receiver_listen: receiver_listen?,
            receiver_tls_dir,
            admin_listen: admin_listen?,
            advertise_address,
            wakes_listen: wakes_listen?,
            scope,
            allowed_endpoints: AllowedEndpoints::new(&endpoints, microsoft),
            election: election?,
            lease_timing: lease_timing?,
            key_secret: key_secret?,
            writes: if observe_only? {
                Writes::Refused
            } else {
                Writes::Allowed
            },
            take_over_from,
            pace: pace?,
            concurrency: concurrency?,
            metrics_detail: metrics_detail?,
            trusted_roots,
            logs: logs?,
        })
    }
}

/// An empty value, as charts render them, means not set.
pub(super) fn set(value: Option<&String>) -> Option<&str> {
    value
        .map(|text| text.trim())
        .filter(|text| !text.is_empty())
}

/// Collects problems; each check returns nothing when it adds one.
pub(super) struct Check<'a> {
    pub(super) problems: &'a mut Vec<String>,
}

impl Check<'_> {
    pub(super) fn problem<T>(&mut self, sentence: String) -> Option<T> {
        self.problems.push(sentence);
        None
    }

    /// A problem after which the rest is looked at all the same.
    pub(super) fn note(&mut self, sentence: &str) {
        self.problems.push(sentence.to_owned());
    }

    fn notification_url(&mut self, text: Option<&str>) -> Option<Url> {
        let Some(text) = text else {
            return self.problem(
                "--notification-url is missing: give the public HTTPS base URL at which Graph reaches the receiver"
                    .to_owned(),
            );
        };
        self.url("--notification-url", text)
    }

    /// An absolute `https` URL, or `http` on loopback, that carries no query, fragment or login.
    pub(super) fn url(&mut self, flag: &str, text: &str) -> Option<Url> {
        let url = match Url::parse(text) {
            Ok(url) => url,
            Err(error) => {
                return self.problem(format!(
                    "{flag} is not a URL ({error}): write it like https://calendar.example/path"
                ));
            }
        };
        if !url.username().is_empty() || url.password().is_some() {
            return self.problem(format!(
                "{flag} contains a user name or password: remove it, URLs are shown to others"
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return self.problem(format!(
                "{flag} {url} has a query or fragment: remove what follows the path"
            ));
        }
        match url.scheme() {
            "https" => Some(url),
            "http" if is_loopback(&url) => Some(url),
            _ => self.problem(format!(
                "{flag} {url} is neither HTTPS nor plain HTTP on loopback: use an https:// URL"
            )),
        }
    }

    fn address(&mut self, flag: &str, text: &str) -> Option<SocketAddr> {
        match text.trim().parse() {
            Ok(address) => Some(address),
            Err(_) => self.problem(format!(
                "{flag} {text:?} is not an address with port: write it like [::]:8443 or 0.0.0.0:8443"
            )),
        }
    }

    /// One that others can call.
    fn advertised(&mut self, text: Option<&str>) -> Option<IpAddr> {
        let text = text?;
        match text.parse::<IpAddr>() {
            Ok(ip) if !ip.is_unspecified() => Some(ip),
            Ok(_) | Err(_) => self.problem(format!(
                "--advertise-address {text:?} is not an IP address that others can call: give the Pod's, without port"
            )),
        }
    }

    fn different_ports(
        &mut self,
        (one, first): (&str, Option<SocketAddr>),
        (other, second): (&str, Option<SocketAddr>),
    ) {
        if let (Some(first), Some(second)) = (first, second)
            && first.port() == second.port()
            && first.port() != 0
            && (first.ip() == second.ip()
                || first.ip().is_unspecified()
                || second.ip().is_unspecified())
        {
            self.problems.push(format!(
                "{one} and {other} both use port {}: give them different ports",
                first.port()
            ));
        }
    }

    fn tls_dir(&mut self, text: Option<&str>) -> Option<PathBuf> {
        let dir = PathBuf::from(text?);
        for name in ["tls.crt", "tls.key"] {
            if let Err(error) = std::fs::read(dir.join(name)) {
                self.problems.push(format!(
                    "--receiver-tls-dir {}: cannot read {name} ({error}): mount a kubernetes.io/tls Secret there or leave the flag out",
                    dir.display()
                ));
            }
        }
        Some(dir)
    }

    fn scope(&mut self, names: &[String]) -> Scope {
        let mut namespaces = BTreeSet::new();
        for name in names.iter().map(|name| name.trim()) {
            match name {
                "" => {}
                name if is_label(name) => {
                    namespaces.insert(Arc::from(name));
                }
                name => self.problems.push(format!(
                    "--namespace {name:?} is not a namespace name: use lower-case letters, digits and hyphens, at most 63"
                )),
            }
        }
        if namespaces.is_empty() {
            Scope::All
        } else {
            Scope::Namespaces(namespaces)
        }
    }

    pub(super) fn endpoints(&mut self, reach: &Reach) -> Vec<Url> {
        reach
            .allowed_endpoint
            .iter()
            .map(|text| text.trim())
            .filter(|text| !text.is_empty())
            .filter_map(|text| self.url("--allowed-endpoint", text))
            .collect()
    }

    fn pace(&mut self, text: Option<&str>, endpoints: &[Url]) -> Option<Pace> {
        let Some(text) = text else {
            return Some(Pace::REAL);
        };
        if endpoints.is_empty() || !endpoints.iter().all(is_loopback) {
            self.problems.push(
                "--rehearsal-pace needs every --allowed-endpoint to be on loopback, and at least one: Microsoft must not be called at that pace; point the operator at an emulator or leave the flag out"
                    .to_owned(),
            );
        }
        let divisor = text.parse().ok().filter(|n| *n <= MAX_PACE);
        match divisor.and_then(Pace::new) {
            Some(pace) => Some(pace),
            None => self.problem(format!(
                "--rehearsal-pace {text:?} is not a whole number from 1 to {MAX_PACE}"
            )),
        }
    }

    fn election(&mut self, flags: &InCluster, own_namespace: &str) -> Option<Election> {
        let elect = self.truth("--leader-elect", &flags.leader_elect)?;
        let namespace = set(flags.lease_namespace.as_ref()).unwrap_or(own_namespace);
        let name = set(flags.lease_name.as_ref()).unwrap_or(DEFAULT_NAME);
        if !is_label(namespace) {
            return self.problem(format!(
                "--lease-namespace {namespace:?} is not a namespace name: use lower-case letters, digits and hyphens, at most 63"
            ));
        }
        if !is_subdomain(name) {
            return self.problem(format!(
                "--lease-name {name:?} is not an object name: use lower-case letters, digits, hyphens and dots, at most 253"
            ));
        }
        Some(if elect {
            Election::Lease(ObjectKey::new(namespace, name))
        } else {
            Election::Off
        })
    }

    fn lease_timing(&mut self, text: &str) -> Option<LeaseTiming> {
        let duration = go_duration::parse(text.trim());
        match duration.ok().and_then(LeaseTiming::new) {
            Some(timing) => Some(timing),
            None => self.problem(format!(
                "--lease-duration {text:?} is not whole seconds from 10s to 1m: write it like 15s"
            )),
        }
    }

    fn key_secret(&mut self, text: Option<&str>, own_namespace: &str) -> Option<ObjectKey> {
        let Some(text) = text else {
            return Some(ObjectKey::new(own_namespace, DEFAULT_KEY_SECRET));
        };
        match text.split_once('/') {
            Some((namespace, name)) if is_label(namespace) && is_subdomain(name) => {
                Some(ObjectKey::new(namespace, name))
            }
            Some(_) | None => self.problem(format!(
                "--key-secret {text:?} is not NAMESPACE/NAME of a Secret: write it like {own_namespace}/{DEFAULT_KEY_SECRET}"
            )),
        }
    }

    fn truth(&mut self, flag: &str, text: &str) -> Option<bool> {
        match text.trim() {
            "true" => Some(true),
            "false" => Some(false),
            _ => self.problem(format!(
                "{flag} {text:?} is neither true nor false: write {flag}=true or {flag}=false"
            )),
        }
    }

    fn instance(&mut self, text: Option<&str>) -> Option<InstanceId> {
        let text = text?;
        let is_instance = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        if is_instance {
            return Some(InstanceId::new(text.to_ascii_lowercase()));
        }
        self.problem(format!(
            "--take-over-from {text:?} is not an instance: take the 16 hexadecimal digits after /v1/notifications/ in the lost installation's notification URLs"
        ))
    }

    fn concurrency(&mut self, text: &str) -> Option<usize> {
        match text.trim().parse() {
            Ok(n) if (1..=MAX_CONCURRENCY).contains(&n) => Some(n),
            Ok(_) | Err(_) => self.problem(format!(
                "--concurrency {text:?} is not a whole number from 1 to {MAX_CONCURRENCY}"
            )),
        }
    }

    fn metrics_detail(&mut self, text: &str) -> Option<MetricsDetail> {
        match text.trim() {
            "object" => Some(MetricsDetail::Object),
            "tenant" => Some(MetricsDetail::Tenant),
            _ => self.problem(format!(
                "--metrics-detail {text:?} is not known: use object or tenant"
            )),
        }
    }

    pub(super) fn ca_file(&mut self, reach: &Reach) -> Option<Vec<u8>> {
        let path = Path::new(set(reach.ca_file.as_ref())?);
        let pem = match std::fs::read(path) {
            Ok(pem) => pem,
            Err(error) => {
                return self.problem(format!(
                    "--ca-file {}: cannot be read ({error}): give a file with certificates in PEM",
                    path.display()
                ));
            }
        };
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        match certificates {
            Ok(found) if !found.is_empty() => Some(pem),
            Ok(_) | Err(_) => self.problem(format!(
                "--ca-file {}: holds no certificate in PEM, or a broken one: it must start with -----BEGIN CERTIFICATE-----",
                path.display()
            )),
        }
    }

    fn logs(&mut self, format: &str, filter: &str) -> Option<Logs> {
        let format = match format.trim() {
            "json" => Some(LogFormat::Json),
            "text" => Some(LogFormat::Text),
            _ => self.problem(format!(
                "--log-format {format:?} is not known: use json or text"
            )),
        };
        let filter = match EnvFilter::builder().parse(filter) {
            Ok(_) => Some(filter.to_owned()),
            Err(error) => self.problem(format!(
                "--log-filter {filter:?} is not a filter ({error}): write it like info or info,hybrid_calendar_operator::graph=debug"
            )),
        };
        Some(Logs {
            format: format?,
            filter: filter?,
        })
    }
}

/// A DNS label (RFC 1123), as namespaces are named.
pub(crate) fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Labels joined by dots, as most objects are named.
pub(crate) fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}
