//! What was seen of a tenant in one pass.

use super::credential::{CredentialReading, RefusalCause, TokenReading};
use crate::domain::reading::{Outage, OutageKind, Reading};

/// Answers to the looks of one pass. What nobody asked is `NotLooked`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantObserved {
    /// What the cluster holds.
    pub credential: CredentialReading,
    /// Whether Entra issues a token.
    pub token: TokenReading,
    /// `GET /domains`.
    pub domains: Reading<Vec<DomainSeen>>,
    /// `GET /organization`.
    pub organization: Reading<OrganizationSeen>,
    /// Whether Places can be read.
    pub places: Reading<()>,
    /// Whether the directory's users can be read.
    pub directory: Reading<()>,
    /// Whether the calendar of the test mailbox, or of another one, can be read.
    pub calendar: Reading<()>,
    /// The provisioning check's event.
    pub test: TestRun,
    /// The calendar that must not be readable.
    pub isolation: Reading<()>,
}

/// A domain as Microsoft 365 knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainSeen {
    /// Name, lower case.
    pub name: String,
    /// The tenant's default.
    pub default: bool,
    /// Ownership was proven.
    pub verified: bool,
}

/// The organization behind the tenant ID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrganizationSeen {
    /// Tenant ID.
    pub id: String,
    /// Name that people know.
    pub display_name: String,
    /// Its verified domains.
    pub domains: Vec<DomainSeen>,
}

/// How far the provisioning check came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestRun {
    /// An event of an earlier pass, removed now.
    pub leftover: Reading<()>,
    /// The event's id.
    pub created: Reading<String>,
    /// Read back.
    pub read: Reading<()>,
    /// Removed.
    pub deleted: Reading<()>,
}

impl TenantObserved {
    /// Application roles in the token of this pass.
    #[must_use]
    pub fn roles(&self) -> Option<&[String]> {
        match &self.token {
            TokenReading::Issued { roles } => Some(roles),
            TokenReading::NotLooked | TokenReading::Refused(_) | TokenReading::Unavailable(_) => {
                None
            }
        }
    }

    /// The tenant's domains: all of them, or those that the organization names, which are verified.
    #[must_use]
    pub fn all_domains(&self) -> Option<&[DomainSeen]> {
        match (&self.domains, &self.organization) {
            (Reading::Present(domains), _) => Some(domains),
            (Reading::Forbidden(_) | Reading::Absent(_), Reading::Present(organization)) => {
                Some(&organization.domains)
            }
            (_, _) => None,
        }
    }

    /// Everything that kept us from learning something, in the order of the looks.
    pub fn outages(&self) -> impl Iterator<Item = &Outage> {
        let credential = match &self.credential {
            CredentialReading::Unavailable(outage) => Some(outage),
            CredentialReading::NotLooked
            | CredentialReading::Usable { .. }
            | CredentialReading::Problem(_) => None,
        };
        let token = match &self.token {
            TokenReading::Unavailable(outage) => Some(outage),
            TokenReading::NotLooked | TokenReading::Issued { .. } | TokenReading::Refused(_) => {
                None
            }
        };
        [
            credential,
            token,
            self.domains.outage(),
            self.organization.outage(),
            self.places.outage(),
            self.directory.outage(),
            self.calendar.outage(),
            self.test.leftover.outage(),
            self.test.created.outage(),
            self.test.read.outage(),
            self.test.deleted.outage(),
            self.isolation.outage(),
        ]
        .into_iter()
        .flatten()
    }

    /// An outage that makes further questions pointless in this pass: whoever has to answer does not.
    #[must_use]
    pub fn stopped_by(&self) -> Option<&Outage> {
        self.outages().find(|outage| match outage.kind {
            OutageKind::LoginUnreachable
            | OutageKind::GraphUnreachable
            | OutageKind::Throttled
            | OutageKind::NoToken
            | OutageKind::ClusterUnreachable => true,
            OutageKind::ServerErrors | OutageKind::Refused | OutageKind::Withheld => false,
        })
    }

    /// Whether Microsoft was asked in this pass and nothing speaks against its being there: it answered, and whatever
    /// kept us from learning the rest is about one question only, or our own choice.
    #[must_use]
    pub fn microsoft_answers(&self) -> bool {
        let answered = match &self.token {
            TokenReading::Issued { .. } => true,
            TokenReading::Refused(refused) => refused.cause != RefusalCause::TokensNotPermitted,
            TokenReading::NotLooked | TokenReading::Unavailable(_) => false,
        };
        answered
            && self.outages().all(|outage| match outage.kind {
                OutageKind::Refused | OutageKind::Withheld => true,
                OutageKind::LoginUnreachable
                | OutageKind::GraphUnreachable
                | OutageKind::ServerErrors
                | OutageKind::Throttled
                | OutageKind::NoToken
                | OutageKind::ClusterUnreachable => false,
            })
    }
}
