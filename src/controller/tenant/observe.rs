//! Asks what `domain::tenant::looks` wants to know, one look at a time. It has no choices, and failures are values.

use std::fmt;
use std::time::Duration;

use futures::future::OptionFuture;
use futures::join;
use jiff::Timestamp;
use uuid::Uuid;

use crate::controller::credential::{self, Offers, Resolved};
use crate::controller::translate::{
    domain_seen, endpoints, organization_seen, reading, token_reading,
};
use crate::domain::reading::{Outage, OutageKind};
use crate::domain::schedule::later;
use crate::domain::tenant::credential::{CredentialReading, TokenReading};
use crate::domain::tenant::desired::TenantDesired;
use crate::domain::tenant::looks::{self, Freshness, TenantLook};
use crate::domain::tenant::observed::TenantObserved;
use crate::domain::tenant::snapshot::TenantSnapshot;
use crate::graph::gateway::{Connection, Gateway, TenantGateway};
use crate::graph::model::{EventId, TestEvent};
use crate::ids::{MailboxId, ObjectKey};

/// What people see in the test mailbox, should the event ever stay there.
pub const TEST_SUBJECT: &str = "Provisioning check of hybrid-calendar-operator, may be deleted";

/// How far ahead the test event lies: nobody looks there.
const TEST_AHEAD: Duration = Duration::from_hours(24);

/// How long the test event lasts.
const TEST_LENGTH: Duration = Duration::from_mins(15);

/// A tenant's connection, kept from one pass to the next as long as what it is made of stays the same.
#[derive(Clone, Debug, Default)]
pub struct Link(Option<Linked>);

#[derive(Clone)]
struct Linked {
    gateway: TenantGateway,
    fingerprint: [u8; 32],
    desired: TenantDesired,
}

impl fmt::Debug for Linked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Linked")
            .field("gateway", &self.gateway)
            .finish_non_exhaustive()
    }
}

impl Link {
    /// The way to the tenant, once a usable credential was found.
    #[must_use]
    pub fn gateway(&self) -> Option<&TenantGateway> {
        self.0.as_ref().map(|linked| &linked.gateway)
    }

    /// Whether this is the way that a spec asks for, whatever the credential is.
    #[must_use]
    pub fn leads_to(&self, desired: &TenantDesired) -> bool {
        self.0.as_ref().is_some_and(|linked| {
            linked.desired.app() == desired.app()
                && linked.desired.hosts == desired.hosts
                && linked.desired.credential == desired.credential
        })
    }

    /// Whether the same credential goes to the same place for the same application.
    fn serves(&self, desired: &TenantDesired, fingerprint: &[u8; 32]) -> bool {
        let same = |linked: &Linked| linked.fingerprint == *fingerprint;
        self.0.as_ref().is_some_and(same) && self.leads_to(desired)
    }
}

/// What a look needs.
pub struct Edge<'a> {
    /// Where its credential lies.
    pub offers: &'a dyn Offers,
    /// The way to Microsoft.
    pub gateway: &'a Gateway,
    /// The object: its name is a metric label.
    pub key: &'a ObjectKey,
    /// This tenant's connection.
    pub link: &'a mut Link,
}

impl fmt::Debug for Edge<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edge")
            .field("key", self.key)
            .field("link", self.link)
            .finish_non_exhaustive()
    }
}

/// Asks until `domain::tenant::looks` has no more questions.
pub async fn observe(edge: &mut Edge<'_>, start: &TenantSnapshot<'_>) -> TenantObserved {
    let mut observed = start.observed.clone();
    while let Some(look) = looks::next(&start.with(&observed)) {
        look_once(edge, start, look, &mut observed).await;
    }
    observed
}

/// Asks one question of `domain::tenant::looks`. It always leaves an answer in `observed`.
pub async fn look_once(
    edge: &mut Edge<'_>,
    start: &TenantSnapshot<'_>,
    look: TenantLook,
    observed: &mut TenantObserved,
) {
    match (look, start.desired, edge.link.gateway().cloned()) {
        (TenantLook::Credential, Ok(desired), _) => {
            observed.credential = connect(edge, desired, start.now).await;
        }
        (look, _, Some(gateway)) => ask(&gateway, look, start.now, observed).await,
        (_, _, None) => observed.token = unconnected(),
    }
}

/// Reads the credential, and replaces the connection when it is another one.
pub(in crate::controller) async fn connect(
    edge: &mut Edge<'_>,
    desired: &TenantDesired,
    now: Timestamp,
) -> CredentialReading {
    let resolved = match credential::resolve(edge.offers, desired, now).await {
        Ok(resolved) => resolved,
        Err(unresolved) => return unresolved.reading(),
    };
    let Resolved {
        credential,
        expires_at,
        fingerprint,
    } = resolved;
    let changed = edge.link.gateway().is_some() && !edge.link.serves(desired, &fingerprint);
    if !edge.link.serves(desired, &fingerprint) {
        let gateway = edge.gateway.tenant(Connection {
            label: edge.key.to_string(),
            app: desired.app(),
            endpoints: endpoints(desired),
            credential,
        });
        edge.link.0 = Some(Linked {
            gateway,
            fingerprint,
            desired: desired.clone(),
        });
    }
    CredentialReading::Usable {
        expires_at,
        changed,
    }
}

fn unconnected() -> TokenReading {
    TokenReading::Unavailable(Outage::of(OutageKind::NoToken))
}

/// One look at Microsoft.
async fn ask(
    gateway: &TenantGateway,
    look: TenantLook,
    now: Timestamp,
    observed: &mut TenantObserved,
) {
    match look {
        TenantLook::Credential => {}
        TenantLook::Token(Freshness::Cached) => {
            observed.token = token_reading(gateway.token().await);
        }
        TenantLook::Token(Freshness::New) => {
            observed.token = token_reading(gateway.fresh_token().await);
        }
        TenantLook::Company { places } => {
            let first_places = OptionFuture::from(places.then(|| gateway.first_places()));
            let (domains, organization, places) =
                join!(gateway.domains(), gateway.organization(), first_places);
            let seen = |domains: Vec<_>| domains.into_iter().map(domain_seen).collect();
            observed.domains = reading(domains, seen);
            observed.organization = reading(organization, organization_seen);
            if let Some(places) = places {
                observed.places = reading(places, drop);
            }
        }
        TenantLook::Directory { address } => {
            observed.directory = reading(gateway.find_users(&address).await, drop);
        }
        TenantLook::Calendar { mailbox } => {
            let answer = gateway.calendar(&MailboxId::new(mailbox)).await;
            observed.calendar = reading(answer, drop);
        }
        TenantLook::IsolationProbe { mailbox } => {
            let answer = gateway.calendar(&MailboxId::new(mailbox)).await;
            observed.isolation = reading(answer, drop);
        }
        TenantLook::CreateTestEvent { mailbox } => {
            let answer = gateway
                .create_event(&MailboxId::new(mailbox), &test_event(now))
                .await;
            observed.test.created = reading(answer, |EventId(id)| id);
        }
        TenantLook::ReadTestEvent(looks::TestEvent { mailbox, event }) => {
            let answer = gateway
                .get_event(&MailboxId::new(mailbox), &EventId(event))
                .await;
            observed.test.read = reading(answer, drop);
        }
        TenantLook::DeleteTestEvent(looks::TestEvent { mailbox, event }) => {
            let answer = gateway
                .delete_event(&MailboxId::new(mailbox), &EventId(event))
                .await;
            observed.test.deleted = reading(answer, drop);
        }
        TenantLook::DeleteLeftover(looks::TestEvent { mailbox, event }) => {
            let answer = gateway
                .delete_event(&MailboxId::new(mailbox), &EventId(event))
                .await;
            observed.test.leftover = reading(answer, drop);
        }
    }
}

fn test_event(now: Timestamp) -> TestEvent {
    let start = later(now, TEST_AHEAD);
    TestEvent {
        subject: TEST_SUBJECT.to_owned(),
        start,
        end: later(start, TEST_LENGTH),
        transaction_id: Uuid::new_v4(),
    }
}
