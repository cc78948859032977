//! What a valid spec asks for. Validated once; everything after uses only this.

use std::sync::Arc;
use std::time::Duration;

use crate::api::v1alpha1::mailbox::{Mailbox, MailboxType, WorkspaceMailboxSpec};
use crate::domain::schedule::go_duration;
use crate::ids::ObjectKey;

/// The longest life that Graph grants an Outlook subscription: 10,070 minutes (docs/graph.md 8.5).
pub const LONGEST_LIFE: Duration = Duration::from_mins(10_070);

/// The shortest life that Graph grants.
pub const SHORTEST_LIFE: Duration = Duration::from_mins(45);

/// What somebody wants of a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxDesired {
    /// The tenant it belongs to.
    pub tenant: ObjectKey,
    /// Its address as written.
    pub address: Arc<str>,
    /// Room or user.
    pub type_: MailboxType,
    /// Whether a subscription is wanted.
    pub subscribed: bool,
    /// Life to ask for, if it is not the tenant's.
    pub lifetime: Option<Duration>,
    /// How often everything is checked.
    pub interval: Duration,
    /// Whether everything rests.
    pub suspended: bool,
}

impl MailboxDesired {
    /// Whether this is the mailbox that was found before, by its address.
    #[must_use]
    pub fn is_at(&self, known: &Mailbox) -> bool {
        known.primary_address.eq_ignore_ascii_case(&self.address)
    }

    /// Validates a spec of an object in `namespace`.
    ///
    /// # Errors
    /// A sentence that names the field and the remedy. The API server's rules let this happen only for objects
    /// that were stored under an older CRD.
    pub fn from_spec(namespace: &Arc<str>, spec: &WorkspaceMailboxSpec) -> Result<Self, String> {
        let interval = go_duration::parse(&spec.check_interval)
            .map_err(|error| format!("spec.checkInterval cannot be used: {error}"))?;
        let lifetime = match &spec.subscription.lifetime {
            None => None,
            Some(text) => {
                let life = go_duration::parse(text).map_err(|error| {
                    format!("spec.subscription.lifetime cannot be used: {error}")
                })?;
                Some(life.clamp(SHORTEST_LIFE, LONGEST_LIFE))
            }
        };
        if domain_of(&spec.address).is_none() {
            return Err("spec.address must be exactly one e-mail address.".to_owned());
        }
        let own = || Arc::clone(namespace);
        let tenant_namespace = spec
            .tenant_ref
            .namespace
            .as_deref()
            .map_or_else(own, Arc::from);
        Ok(Self {
            tenant: ObjectKey::new(tenant_namespace, Arc::clone(&spec.tenant_ref.name)),
            address: spec.address.clone(),
            type_: spec.type_,
            subscribed: spec.subscription.enabled,
            lifetime,
            interval: interval.clamp(Duration::from_mins(5), Duration::from_hours(24)),
            suspended: spec.suspend,
        })
    }

    /// The address's domain in lower case.
    #[must_use]
    pub fn domain(&self) -> String {
        domain_of(&self.address).unwrap_or_default()
    }
}

fn domain_of(address: &str) -> Option<String> {
    match address.rsplit_once('@') {
        Some((local, domain)) if !local.is_empty() && !domain.is_empty() => {
            Some(domain.to_ascii_lowercase())
        }
        Some(_) | None => None,
    }
}
