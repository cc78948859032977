//! A mailbox's tenant, as far as the mailbox depends on it.

use std::time::Duration;

use jiff::Timestamp;

use crate::domain::schedule::earlier;
use crate::ids::{AppTenant, ObjectKey, Uid};

/// Whether and how a mailbox can be worked on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TenantView {
    /// There is no such CalendarTenant.
    Missing(ObjectKey),
    /// It is there but does not allow this namespace.
    NotPermitted(ObjectKey),
    /// It rests.
    Suspended(ObjectKey),
    /// It can be used, as far as its state allows.
    Known(Box<KnownTenant>),
}

/// A tenant that a mailbox may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownTenant {
    /// Namespace and name.
    pub key: ObjectKey,
    /// UID.
    pub uid: Uid,
    /// What Graph counts by.
    pub app: AppTenant,
    /// Life to ask for.
    pub lifetime: Duration,
    /// Whether rooms are looked up in Places.
    pub places: bool,
    /// Domains, as soon as they are known.
    pub domains: Option<AcceptedDomains>,
    /// Whether there is a token.
    pub token: TokenState,
    /// When it last got better, if this process saw that.
    pub recovered_at: Option<Timestamp>,
    /// Application roles seen in the token.
    pub roles: Vec<String>,
    /// Whether some mailbox of the tenant was readable lately.
    pub calendars_readable: bool,
    /// Whether the tenant's own questions get no answer either, which explains what cannot be checked.
    pub microsoft_silent: bool,
    /// Whether Graph accepts our notification URL, as far as this cloud has shown.
    pub endpoint: EndpointState,
    /// How many mailboxes refer to the tenant: spreads slots.
    pub mailboxes: usize,
}

impl KnownTenant {
    /// The clock was set back by so much: what was noted by the old one moves along.
    pub fn set_back(&mut self, by: Duration) {
        self.token.set_back(by);
        self.recovered_at = self.recovered_at.map(|at| earlier(at, by));
    }
}

/// Which domains a mailbox may be in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedDomains {
    /// Verified domains of the tenant, lower case.
    pub verified: Vec<String>,
    /// Those that are accepted, when `spec.domains` limits them.
    pub allowed: Option<Vec<String>>,
}

/// Whether the tenant gets a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TokenState {
    /// Not tried yet.
    #[default]
    Pending,
    /// Yes.
    Issued,
    /// No.
    Refused {
        /// Since when.
        since: Timestamp,
        /// The reason that the tenant shows.
        reason: String,
    },
}

impl TokenState {
    /// The clock was set back by so much.
    pub fn set_back(&mut self, by: Duration) {
        match self {
            Self::Refused { since, .. } => *since = earlier(*since, by),
            Self::Pending | Self::Issued => {}
        }
    }
}

/// Whether Graph accepts our notification URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointState {
    /// Nothing speaks against it.
    Usable,
    /// It does not, and another mailbox is the one that tries again.
    LeftToAnother {
        /// Unless that one has not by then.
        until: Timestamp,
    },
    /// The receiver does not listen yet.
    NotListening,
}

impl EndpointState {
    /// From when on the mailbox may try to create a subscription; `None` when nobody can say.
    #[must_use]
    pub const fn usable_from(self) -> Option<Timestamp> {
        match self {
            Self::Usable => Some(Timestamp::MIN),
            Self::LeftToAnother { until } => Some(until),
            Self::NotListening => None,
        }
    }
}

impl TenantView {
    /// The tenant, if it can be used at all.
    #[must_use]
    pub fn known(&self) -> Option<&KnownTenant> {
        match self {
            Self::Known(tenant) => Some(tenant),
            Self::Missing(_) | Self::NotPermitted(_) | Self::Suspended(_) => None,
        }
    }

    /// The tenant, if it gets a token.
    #[must_use]
    pub fn usable(&self) -> Option<&KnownTenant> {
        self.known()
            .filter(|tenant| tenant.token == TokenState::Issued)
    }
}
