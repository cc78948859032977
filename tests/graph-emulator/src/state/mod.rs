//! What the emulator remembers: the directory, subscriptions, events, and what was asked of it.

pub(crate) mod directory;
pub(crate) mod events;
pub(crate) mod subscriptions;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;

use crate::fault::FaultState;
use crate::journal::Journal;
use crate::notify::reception::Receivers;
use crate::quota::QuotaState;
use directory::Directory;
use events::StoredEvent;
use subscriptions::{Subscription, Subscriptions};

/// What calls read and change; a copy of it answers stale reads.
#[derive(Clone, Debug)]
pub(crate) struct Data {
    pub(crate) directory: Arc<Directory>,
    pub(crate) subscriptions: Subscriptions,
    /// By mailbox id, then by event id.
    pub(crate) events: HashMap<String, BTreeMap<String, StoredEvent>>,
    /// No subscription ends earlier: there is nothing to look for before.
    soonest: Timestamp,
}

impl Data {
    pub(crate) fn new(directory: Directory) -> Self {
        Self {
            directory: Arc::new(directory),
            subscriptions: Subscriptions::default(),
            events: HashMap::new(),
            soonest: Timestamp::MAX,
        }
    }

    /// Takes out subscriptions whose time is over.
    pub(crate) fn expire(&mut self, now: Timestamp) -> Vec<Subscription> {
        if now < self.soonest {
            return Vec::new();
        }
        let is_over = |one: &Subscription| one.expiration_date_time <= now;
        let over = self.subscriptions.extract(is_over);
        let ends = self
            .subscriptions
            .values()
            .map(|one| one.expiration_date_time);
        self.soonest = ends.min().unwrap_or(Timestamp::MAX);
        over
    }

    /// Must be told of every end that is granted.
    pub(crate) fn expect_end(&mut self, end: Timestamp) {
        self.soonest = self.soonest.min(end);
    }

    /// Replaces the world; subscriptions and events of what remains are kept. A subscription remains with its
    /// mailbox and its application.
    pub(crate) fn replace_directory(&mut self, directory: Directory) {
        self.subscriptions.extract(|one| {
            let tenant = directory.tenant(&one.tenant);
            let remains = tenant.is_some_and(|tenant| {
                tenant.user(&one.mailbox_id).is_some()
                    && tenant.application(&one.client_id).is_some()
            });
            !remains
        });
        let tenants = directory.tenants.iter();
        for account in tenants.flat_map(|tenant| &tenant.mailboxes) {
            self.subscriptions
                .readdress(&account.id, &account.spec.address);
        }
        self.events.retain(|mailbox, _| {
            directory
                .tenants
                .iter()
                .any(|tenant| tenant.user(mailbox).is_some())
        });
        self.directory = Arc::new(directory);
    }
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) data: Data,
    pub(crate) journal: Journal,
    pub(crate) faults: FaultState,
    pub(crate) quotas: QuotaState,
    pub(crate) receivers: Receivers,
    pub(crate) client_states: ClientStates,
    pub(crate) expired: Expired,
}

/// Subscriptions whose time was over: the newest, up to a limit, until somebody asks.
#[derive(Debug, Default)]
pub(crate) struct Expired(VecDeque<Subscription>);

impl Expired {
    const KEPT: usize = 1_000;

    pub(crate) fn saw(&mut self, over: Vec<Subscription>) {
        self.0.extend(over);
        let more = self.0.len().saturating_sub(Self::KEPT);
        self.0.drain(..more);
    }

    pub(crate) fn take(&mut self) -> Vec<Subscription> {
        self.0.drain(..).collect()
    }
}

/// Every `clientState` that was in a call, also in one that was refused: the newest, up to a limit.
#[derive(Debug, Default)]
pub(crate) struct ClientStates(VecDeque<String>);

impl ClientStates {
    const KEPT: usize = 20_000;

    pub(crate) fn saw(&mut self, client_state: &str) {
        if self.0.len() == Self::KEPT {
            self.0.pop_front();
        }
        self.0.push_back(client_state.to_owned());
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.iter().cloned().collect()
    }
}
