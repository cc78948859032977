//! Asks what `domain::mailbox::look` wants to know, one look at a time. It has no choices, and failures are values.

use crate::controller::translate::{person, reading};
use crate::domain::mailbox::look::{self, Look, Observed};
use crate::domain::mailbox::snapshot::Snapshot;
use crate::domain::reading::{Outage, OutageKind, Reading};
use crate::graph::gateway::TenantGateway;

/// Asks until `domain::mailbox::look` has no more questions.
pub async fn observe(gateway: Option<&TenantGateway>, start: &Snapshot<'_>) -> Observed {
    let mut observed = start.observed.clone();
    while let Some(next) = look::next(&start.with(&observed)) {
        answer(gateway, next, &mut observed).await;
    }
    observed
}

/// One look, which always leaves an answer in `observed`.
pub(super) async fn answer(gateway: Option<&TenantGateway>, look: Look, observed: &mut Observed) {
    let Some(gateway) = gateway else {
        note_outage(&look, OutageKind::NoToken, observed);
        return;
    };
    match look {
        Look::Directory { address } => {
            let people = |users: Vec<_>| users.into_iter().map(person).collect();
            observed.directory = match reading(gateway.find_users(&address).await, people) {
                // Whoever is searched for and not there is nobody.
                Reading::Absent(_) => Reading::Present(Vec::new()),
                found @ (Reading::NotLooked
                | Reading::Present(_)
                | Reading::Forbidden(_)
                | Reading::Unavailable(_)) => found,
            };
        }
        Look::SignInName { address } => {
            observed.sign_in = reading(gateway.get_user(&address).await, person);
        }
        Look::Calendar { mailbox } => {
            observed.calendar = reading(gateway.calendar(&mailbox).await, drop);
        }
        Look::Place { address } => {
            observed.place = reading(gateway.place(&address).await, drop);
        }
        Look::Subscription { id } => {
            observed.subscription = reading(gateway.get_subscription(&id).await, drop);
        }
        // Lists are for all mailboxes of a tenant: only who keeps them can say what is in one.
        Look::Listing => note_outage(&look, OutageKind::Withheld, observed),
    }
}

fn note_outage(look: &Look, kind: OutageKind, observed: &mut Observed) {
    let outage = Outage::of(kind);
    match look {
        Look::Directory { .. } => observed.directory = Reading::Unavailable(outage),
        Look::SignInName { .. } => observed.sign_in = Reading::Unavailable(outage),
        Look::Calendar { .. } => observed.calendar = Reading::Unavailable(outage),
        Look::Place { .. } => observed.place = Reading::Unavailable(outage),
        Look::Subscription { .. } => observed.subscription = Reading::Unavailable(outage),
        Look::Listing => observed.listing = Reading::Unavailable(outage),
    }
}
