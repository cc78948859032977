//! What a test or a person may do to a running emulator from outside of Graph.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::core::Core;
use crate::fault::{FaultState, Faults};
use crate::graph::events::{self, Booking};
use crate::journal::{Counts, JournalEntry};
use crate::notify::LifecycleEvent;
use crate::state::directory::Directory;
use crate::state::subscriptions::Subscription;
use crate::world::{World, WorldError};

/// What is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// No mailbox has this primary address.
    #[error("no mailbox has the primary address {0}")]
    NoMailbox(String),
    /// No subscription has this id.
    #[error("no subscription has the id {0}")]
    NoSubscription(String),
    /// The subscription was created without a lifecycle URL, so that Graph could tell nobody.
    #[error("subscription {0} has no lifecycleNotificationUrl; create it with one")]
    NoLifecycleUrl(String),
    /// A booking that is impossible.
    #[error("end is before start; a meeting ends when it starts or later")]
    EndsBeforeItStarts,
}

/// How a subscription disappears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// Nobody is told.
    Silent,
    /// `subscriptionRemoved` is sent to the lifecycle URL.
    Announced,
}

impl From<bool> for Removal {
    fn from(lifecycle: bool) -> Self {
        if lifecycle {
            Self::Announced
        } else {
            Self::Silent
        }
    }
}

/// Does it. Clones concern the same emulator.
#[derive(Clone, Debug)]
pub struct Control(pub(crate) Arc<Core>);

impl Control {
    /// Calls that were answered after the one with this number.
    #[must_use]
    pub fn journal(&self, since: u64) -> Vec<JournalEntry> {
        self.0.state().journal.since(since)
    }

    /// How often each operation was answered with each status, and what became of notifications.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.0.state().journal.counts.clone()
    }

    /// Replaces all faults.
    pub fn set_faults(&self, faults: Faults) {
        let mut state = self.0.state();
        state.faults = FaultState::new(faults, &state.data);
    }

    /// How often each rule has fired since the rules were set, in their order.
    #[must_use]
    pub fn faults_fired(&self) -> Vec<u64> {
        self.0.state().faults.fired.clone()
    }

    /// Moves the emulator's clock forward.
    pub fn advance(&self, by: Duration) {
        self.0.clock.advance(by);
    }

    /// The emulator's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// The world as it is.
    #[must_use]
    pub fn world(&self) -> World {
        self.0.state().data.directory.world.clone()
    }

    /// Replaces the world; subscriptions, events and clock of what remains are kept.
    pub fn set_world(&self, world: World) -> Result<(), WorldError> {
        world.check()?;
        let directory = Directory::new(world, &self.0.ids);
        self.0.state().data.replace_directory(directory);
        Ok(())
    }

    /// Books a meeting in the mailbox with this primary address; returns the event's id.
    pub fn book(&self, address: &str, booking: &Booking) -> Result<String, ControlError> {
        if booking.end < booking.start {
            return Err(ControlError::EndsBeforeItStarts);
        }
        let changes = {
            let data = &mut self.0.state().data;
            let directory = Arc::clone(&data.directory);
            let (_, account) = directory
                .mailbox(address)
                .ok_or_else(|| ControlError::NoMailbox(address.to_owned()))?;
            events::book(data, account, booking, (&self.0.ids, self.0.clock.now()))
        };
        self.0.notify_changes(&changes);
        let id = changes.into_iter().next().map(|first| first.event_id);
        Ok(id.unwrap_or_default())
    }

    /// Every subscription that is alive.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<Subscription> {
        self.0
            .state()
            .data
            .subscriptions
            .values()
            .cloned()
            .collect()
    }

    /// Subscriptions whose time was over since somebody last asked, without being renewed; the newest 1,000.
    #[must_use]
    pub fn take_expired(&self) -> Vec<Subscription> {
        self.0.state().expired.take()
    }

    /// Every `clientState` that somebody sent; the newest 20,000.
    #[must_use]
    pub fn client_states(&self) -> Vec<String> {
        self.0.state().client_states.all()
    }

    /// Removes a subscription behind its owner's back.
    pub fn remove_subscription(&self, id: &str, removal: Removal) -> Result<(), ControlError> {
        let removed = self.0.state().data.subscriptions.remove(id);
        let removed = removed.ok_or_else(|| ControlError::NoSubscription(id.to_owned()))?;
        match removal {
            Removal::Silent => {}
            Removal::Announced => {
                self.0
                    .notify_lifecycle(&removed, LifecycleEvent::SubscriptionRemoved);
            }
        }
        Ok(())
    }

    /// Sends a lifecycle event to a subscription's lifecycle URL.
    pub fn send_lifecycle(&self, id: &str, event: LifecycleEvent) -> Result<(), ControlError> {
        let found = self.0.state().data.subscriptions.get(id).cloned();
        let found = found.ok_or_else(|| ControlError::NoSubscription(id.to_owned()))?;
        if found.lifecycle_notification_url.is_none() {
            return Err(ControlError::NoLifecycleUrl(id.to_owned()));
        }
        self.0.notify_lifecycle(&found, event);
        Ok(())
    }
}
