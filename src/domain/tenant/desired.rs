//! What a valid spec asks for. Validated once; everything after uses only this.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use url::Url;
use uuid::Uuid;

use crate::api::v1alpha1::tenant::{CalendarTenantSpec, Cloud, Credential, Endpoints, Feature};
use crate::api::v1alpha1::time::Time;
use crate::api::vocabulary::Reason;
use crate::domain::endpoints::{AllowedEndpoints, Microsoft};
use crate::domain::mailbox::desired::{LONGEST_LIFE, SHORTEST_LIFE};
use crate::domain::schedule::go_duration;
use crate::ids::AppTenant;

/// What somebody wants of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantDesired {
    /// Namespace of the object, its Secrets and its ServiceAccounts.
    pub namespace: Arc<str>,
    /// Entra tenant ID, lower case.
    pub tenant_id: Arc<str>,
    /// Application ID, lower case.
    pub client_id: Arc<str>,
    /// The cloud.
    pub cloud: Cloud,
    /// Where to call.
    pub hosts: Hosts,
    /// How to authenticate.
    pub credential: CredentialSource,
    /// Domains whose mailboxes are accepted, lower case; empty: all verified ones.
    pub domains: Vec<String>,
    /// Where the provisioning check creates its event.
    pub test_mailbox: Option<String>,
    /// Whether rooms are looked up in Places.
    pub places: bool,
    /// A mailbox that must not be readable.
    pub isolation_probe: Option<String>,
    /// Life to ask for subscriptions.
    pub lifetime: Duration,
    /// How often everything is checked.
    pub interval: Duration,
    /// Whether everything rests.
    pub suspended: bool,
}

/// Whose hosts to call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hosts {
    /// Those of the cloud.
    Microsoft,
    /// Those of `spec.endpoints`, which `--allowed-endpoint` names: base URLs without a path.
    Custom {
        /// Of the login host.
        login: Url,
        /// Of Graph.
        graph: Url,
    },
}

/// How to authenticate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialSource {
    /// A client secret.
    ClientSecret {
        /// Name of the Secret.
        secret: String,
        /// Key in it.
        key: String,
        /// When it ends, if somebody wrote it down.
        not_after: Option<Timestamp>,
    },
    /// A certificate with its private key.
    Certificate {
        /// Name of the Secret.
        secret: String,
    },
    /// A token of a ServiceAccount.
    WorkloadIdentity {
        /// Name of the ServiceAccount.
        service_account: String,
    },
}

impl CredentialSource {
    /// As `status.credential.kind` spells it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ClientSecret { .. } => "ClientSecret",
            Self::Certificate { .. } => "Certificate",
            Self::WorkloadIdentity { .. } => "WorkloadIdentity",
        }
    }

    /// Name of the Secret that it reads, if it reads one.
    #[must_use]
    pub fn secret(&self) -> Option<&str> {
        match self {
            Self::ClientSecret { secret, .. } | Self::Certificate { secret } => Some(secret),
            Self::WorkloadIdentity { .. } => None,
        }
    }
}

/// Why a spec cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecProblem {
    /// `InvalidSpec` or `EndpointNotAllowed`.
    pub reason: Reason,
    /// Which field, and what to do.
    pub message: String,
}

impl SpecProblem {
    /// Whether nothing may be sent to where the spec points, or on its behalf.
    #[must_use]
    pub fn forbids_calls(&self) -> bool {
        self.reason == Reason::EndpointNotAllowed
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self {
            reason: Reason::InvalidSpec,
            message: message.into(),
        }
    }

    fn not_allowed(message: impl Into<String>) -> Self {
        Self {
            reason: Reason::EndpointNotAllowed,
            message: message.into(),
        }
    }
}

impl TenantDesired {
    /// Validates the spec of an object in `namespace`.
    ///
    /// # Errors
    /// `EndpointNotAllowed` when its hosts may not be called. `InvalidSpec` when a field cannot be used, which
    /// the API server's rules let happen only for objects that were stored under an older CRD.
    pub fn from_spec(
        namespace: &str,
        spec: &CalendarTenantSpec,
        allowed: &AllowedEndpoints,
    ) -> Result<Self, SpecProblem> {
        let hosts = hosts(spec, allowed)?;
        let lifetime = duration("spec.subscription.lifetime", &spec.subscription.lifetime)?;
        let interval = duration("spec.checkInterval", &spec.check_interval)?;
        let isolation_probe = spec.isolation_probe.as_ref().map(|probe| &probe.mailbox);
        let mut domains: Vec<String> = spec
            .domains
            .iter()
            .map(|d| d.to_ascii_lowercase())
            .collect();
        domains.sort();
        domains.dedup();
        Ok(Self {
            namespace: namespace.into(),
            tenant_id: guid("spec.tenantId", &spec.tenant_id)?,
            client_id: guid("spec.clientId", &spec.client_id)?,
            cloud: spec.cloud,
            hosts,
            credential: credential(&spec.credential)?,
            domains,
            test_mailbox: address("spec.testMailbox", spec.test_mailbox.as_ref())?,
            places: spec.features.contains(&Feature::Places),
            isolation_probe: address("spec.isolationProbe.mailbox", isolation_probe)?,
            lifetime: lifetime.clamp(SHORTEST_LIFE, LONGEST_LIFE),
            interval: interval.clamp(Duration::from_mins(5), Duration::from_hours(24)),
            suspended: spec.suspend,
        })
    }

    /// What Graph counts its budgets by.
    #[must_use]
    pub fn app(&self) -> AppTenant {
        let cloud = match &self.hosts {
            Hosts::Microsoft => self.cloud.as_str().into(),
            Hosts::Custom { graph, .. } => graph.origin().ascii_serialization().into(),
        };
        AppTenant {
            cloud,
            tenant_id: self.tenant_id.clone(),
            client_id: self.client_id.clone(),
        }
    }
}

fn hosts(spec: &CalendarTenantSpec, allowed: &AllowedEndpoints) -> Result<Hosts, SpecProblem> {
    match (&spec.endpoints, allowed.microsoft()) {
        (Some(endpoints), _) => custom_hosts(endpoints, allowed),
        (None, Microsoft::Allowed) => Ok(Hosts::Microsoft),
        (None, Microsoft::Refused) => Err(SpecProblem::not_allowed(
            "The operator runs a rehearsal and calls none of Microsoft's own hosts. Set spec.endpoints to one that --allowed-endpoint names.",
        )),
    }
}

fn custom_hosts(endpoints: &Endpoints, allowed: &AllowedEndpoints) -> Result<Hosts, SpecProblem> {
    let login = base_url("spec.endpoints.login", &endpoints.login)?;
    let graph = base_url("spec.endpoints.graph", &endpoints.graph)?;
    for (field, url) in [("login", &login), ("graph", &graph)] {
        if !allowed.allows(url.as_str()) {
            return Err(SpecProblem::not_allowed(format!(
                "spec.endpoints.{field} is {}, which the operator may not call. Remove spec.endpoints, or ask the platform team to start the operator with --allowed-endpoint {}.",
                url.origin().ascii_serialization(),
                url.origin().ascii_serialization(),
            )));
        }
    }
    Ok(Hosts::Custom { login, graph })
}

/// A base URL without a path that means something: `/v1.0` is ours to add.
fn base_url(field: &str, text: &str) -> Result<Url, SpecProblem> {
    let invalid = |what: &str| SpecProblem::invalid(format!("{field} {what}"));
    let url = Url::parse(text)
        .map_err(|_| invalid("must be an absolute URL such as https://graph.example."))?;
    let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    match (
        url.scheme(),
        url.path(),
        plain && url.has_host() && url.password().is_none(),
    ) {
        ("https" | "http", "" | "/", true) => Ok(url),
        _ => Err(invalid(
            "must be scheme, host and port only, such as https://graph.example, without a path such as /v1.0.",
        )),
    }
}

fn guid(field: &str, text: &str) -> Result<Arc<str>, SpecProblem> {
    match Uuid::try_parse(text) {
        Ok(guid) => Ok(guid.hyphenated().to_string().into()),
        Err(_) => Err(SpecProblem::invalid(format!(
            "{field} must be a GUID such as 5f1d7a9c-1111-4000-8000-000000000001."
        ))),
    }
}

fn duration(field: &str, text: &str) -> Result<Duration, SpecProblem> {
    go_duration::parse(text)
        .map_err(|error| SpecProblem::invalid(format!("{field} cannot be used: {error}.")))
}

fn address(field: &str, text: Option<&String>) -> Result<Option<String>, SpecProblem> {
    match text.map(|text| (text, text.split_once('@'))) {
        None => Ok(None),
        Some((text, Some((local, domain)))) if !local.is_empty() && !domain.is_empty() => {
            Ok(Some(text.clone()))
        }
        Some((_, _)) => Err(SpecProblem::invalid(format!(
            "{field} must be exactly one e-mail address such as room-a@contoso.example."
        ))),
    }
}

fn credential(spec: &Credential) -> Result<CredentialSource, SpecProblem> {
    match (
        &spec.client_secret,
        &spec.certificate,
        &spec.workload_identity,
    ) {
        (Some(secret), None, None) => Ok(CredentialSource::ClientSecret {
            secret: secret.secret_ref.name.clone(),
            key: secret.secret_ref.key.clone(),
            not_after: secret.not_after.map(Time::timestamp),
        }),
        (None, Some(certificate), None) => Ok(CredentialSource::Certificate {
            secret: certificate.secret_ref.name.clone(),
        }),
        (None, None, Some(identity)) => Ok(CredentialSource::WorkloadIdentity {
            service_account: identity.service_account_name.clone(),
        }),
        _ => Err(SpecProblem::invalid(
            "spec.credential must hold exactly one of clientSecret, certificate and workloadIdentity: remove the others.",
        )),
    }
}
