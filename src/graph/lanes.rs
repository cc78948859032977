//! How many calls are under way at once: 16 per application and tenant, 3 per mailbox, first come first
//! served. Exchange refuses the fifth on one mailbox (docs/graph.md 9.1); one is left for others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const PER_TENANT: usize = 16;
const PER_MAILBOX: usize = 3;

/// Places for calls of one application in one tenant.
#[derive(Debug)]
pub(super) struct Lanes {
    tenant: Arc<Semaphore>,
    mailboxes: Mutex<HashMap<Arc<str>, Weak<Semaphore>>>,
}

/// A place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    _mailbox: Option<OwnedSemaphorePermit>,
    _tenant: Option<TenantPlace>,
}

/// A place for one request of the tenant; given back when dropped.
#[derive(Debug)]
pub(super) struct TenantPlace {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Lanes {
    pub(super) fn new() -> Self {
        Self {
            tenant: Arc::new(Semaphore::new(PER_TENANT)),
            mailboxes: Mutex::default(),
        }
    }

    /// Waits for a place: the mailbox's first, so that a queue at one mailbox takes no place of others.
    pub(super) async fn enter(&self, mailbox: Option<&Arc<str>>) -> Place {
        let place = self.enter_mailbox(mailbox).await;
        Place {
            _tenant: Some(self.enter_tenant().await),
            ..place
        }
    }

    /// Waits for the mailbox's place only: what travels with others shares one of the tenant's.
    pub(super) async fn enter_mailbox(&self, mailbox: Option<&Arc<str>>) -> Place {
        let mailbox = match mailbox {
            Some(mailbox) => self.lane(mailbox).acquire_owned().await.ok(),
            None => None,
        };
        Place {
            _mailbox: mailbox,
            _tenant: None,
        }
    }

    /// Waits for a place of the tenant.
    pub(super) async fn enter_tenant(&self) -> TenantPlace {
        // `Err` means a closed semaphore, and this one is never closed.
        let permit = Arc::clone(&self.tenant).acquire_owned().await.ok();
        TenantPlace { _permit: permit }
    }

    /// Lives as long as somebody holds or awaits a place in it.
    fn lane(&self, mailbox: &Arc<str>) -> Arc<Semaphore> {
        let mut lanes = self
            .mailboxes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get(mailbox).and_then(Weak::upgrade) {
            return lane;
        }
        lanes.retain(|_, lane| lane.strong_count() > 0);
        let lane = Arc::new(Semaphore::new(PER_MAILBOX));
        lanes.insert(Arc::clone(mailbox), Arc::downgrade(&lane));
        lane
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn the_fourth_call_on_a_mailbox_waits_and_others_do_not() {
        let lanes = Lanes::new();
        let room: Arc<str> = "room".into();
        let other: Arc<str> = "other".into();
        let mut places: Vec<Place> = (0..PER_MAILBOX)
            .map(|_| lanes.enter(Some(&room)).now_or_never().unwrap())
            .collect();
        assert!(lanes.enter(Some(&room)).now_or_never().is_none());
        assert!(lanes.enter(Some(&other)).now_or_never().is_some());
        places.pop();
        assert!(lanes.enter(Some(&room)).now_or_never().is_some());
    }

    #[test]
    fn the_seventeenth_call_of_a_tenant_waits() {
        let lanes = Lanes::new();
        let places: Vec<Place> = (0..PER_TENANT)
            .map(|_| lanes.enter(None).now_or_never().unwrap())
            .collect();
        assert!(lanes.enter(None).now_or_never().is_none());
        drop(places);
        assert!(lanes.enter(None).now_or_never().is_some());
    }

    #[test]
    fn lanes_of_idle_mailboxes_are_forgotten() {
        let lanes = Lanes::new();
        for number in 0..1000 {
            let mailbox: Arc<str> = format!("room-{number}").into();
            assert!(lanes.enter(Some(&mailbox)).now_or_never().is_some());
        }
        assert!(lanes.mailboxes.lock().unwrap().len() <= 1);
    }
}
