//! Asks what `domain::mailbox::look` wants to know. It has no choices, and failures are values.

use futures::future::join_all;

use crate::controller::translate::{person, reading};
use crate::domain::mailbox::look::{self, Look, Observed, Seen};
use crate::domain::mailbox::snapshot::Snapshot;
use crate::domain::reading::{Outage, OutageKind, Reading};
use crate::graph::gateway::TenantGateway;

/// Asks until `domain::mailbox::look` has no more questions.
pub async fn observe(gateway: Option<&TenantGateway>, start: &Snapshot<'_>) -> Observed {
    let next = |observed: &Observed| look::next(&start.with(observed));
    ask(start.observed.clone(), next, |look| answer(gateway, look)).await
}

/// Has answered what comes next, side by side, until nothing does.
pub(super) async fn ask<F: Future<Output = Seen>>(
    mut observed: Observed,
    next: impl Fn(&Observed) -> Vec<Look>,
    answer: impl Fn(Look) -> F,
) -> Observed {
    loop {
        let looks = next(&observed);
        if looks.is_empty() {
            return observed;
        }
        for seen in join_all(looks.into_iter().map(&answer)).await {
            observed.note(seen);
        }
    }
}

/// One look, which always has an answer.
pub(super) async fn answer(gateway: Option<&TenantGateway>, look: Look) -> Seen {
    let Some(gateway) = gateway else {
        return look.unseen(Outage::of(OutageKind::NoToken));
    };
    match look {
        Look::Directory { address } => {
            let people = |users: Vec<_>| users.into_iter().map(person).collect();
            Seen::Directory(match reading(gateway.find_users(&address).await, people) {
                // Whoever is searched for and not there is nobody.
                Reading::Absent(_) => Reading::Present(Vec::new()),
                found @ (Reading::NotLooked
                | Reading::Present(_)
                | Reading::Forbidden(_)
                | Reading::Unavailable(_)) => found,
            })
        }
        Look::SignInName { address } => {
            Seen::SignInName(reading(gateway.get_user(&address).await, person))
        }
        Look::Calendar { mailbox } => {
            Seen::Calendar(reading(gateway.calendar(&mailbox).await, drop))
        }
        Look::Place { address } => Seen::Place(reading(gateway.place(&address).await, drop)),
        Look::Subscription { id } => {
            Seen::Subscription(reading(gateway.get_subscription(&id).await, drop))
        }
        // Lists are for all mailboxes of a tenant: only who keeps them can say what is in one.
        Look::Listing => look.unseen(Outage::of(OutageKind::Withheld)),
    }
}
