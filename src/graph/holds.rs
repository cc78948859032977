//! `Retry-After`, remembered for exactly those calls that it concerns (docs/graph.md 9.4).
//!
//! A throttled mailbox does not hold another one; throttled subscription writes do not hold reads.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::graph::call::Call;
use crate::graph::operation::Operation;

/// The calls that Microsoft counts together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Group {
    Login,
    /// Users, organization, domains.
    Identity,
    /// Calendars, events, places: counted per mailbox.
    Outlook,
    SubscriptionWrite,
    SubscriptionRead,
    SubscriptionList,
}

impl Group {
    pub(super) const fn of(operation: Operation) -> Self {
        match operation {
            Operation::Token => Self::Login,
            Operation::GetOrganization
            | Operation::ListDomains
            | Operation::GetUser
            | Operation::FindUsers => Self::Identity,
            // Of an envelope, each part is counted by itself.
            Operation::Batch
            | Operation::GetCalendar
            | Operation::GetPlace
            | Operation::ListPlaces
            | Operation::CreateEvent
            | Operation::GetEvent
            | Operation::DeleteEvent => Self::Outlook,
            Operation::CreateSubscription
            | Operation::RenewSubscription
            | Operation::DeleteSubscription => Self::SubscriptionWrite,
            Operation::GetSubscription => Self::SubscriptionRead,
            Operation::ListSubscriptions => Self::SubscriptionList,
        }
    }
}

/// Who said "not now".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Throttler {
    /// The service that the operation belongs to.
    Service,
    /// Exchange, on behalf of one mailbox, whatever the operation.
    Mailbox,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    group: Group,
    mailbox: Option<Arc<str>>,
}

/// What must not be called yet. One per application and tenant.
#[derive(Debug, Default)]
pub(super) struct Holds {
    until: Mutex<HashMap<Key, Instant>>,
}

impl Holds {
    /// Nothing like `call` before `wait` has passed. A longer hold stays. Returns by how much the wait grew: what many
    /// calls are told at once is one wait.
    pub(super) fn put(&self, call: &Call, throttler: Throttler, wait: Duration) -> Duration {
        let group = match throttler {
            Throttler::Mailbox => Group::Outlook,
            Throttler::Service => Group::of(call.operation),
        };
        let now = Instant::now();
        let until = now + wait;
        let mut holds = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        holds.retain(|_, until| *until > now);
        let held = holds.entry(key(group, call)).or_insert(now);
        let grown = until.saturating_duration_since(*held);
        *held = until.max(*held);
        grown
    }

    /// How long `call` has to wait, if at all.
    pub(super) fn wait(&self, call: &Call) -> Option<Duration> {
        let now = Instant::now();
        let holds = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        let groups = [Group::of(call.operation), Group::Outlook];
        let concerned = match call.mailbox {
            Some(_) => &groups[..],
            None => &groups[..1],
        };
        concerned
            .iter()
            .filter_map(|group| holds.get(&key(*group, call)))
            .map(|until| until.saturating_duration_since(now))
            .filter(|wait| !wait.is_zero())
            .max()
    }
}

fn key(group: Group, call: &Call) -> Key {
    Key {
        group,
        mailbox: match group {
            Group::Outlook => call.mailbox.clone(),
            Group::Login
            | Group::Identity
            | Group::SubscriptionWrite
            | Group::SubscriptionRead
            | Group::SubscriptionList => None,
        },
    }
}
