//! When a run ends before it is finished: its time is over, or somebody wants no more.
//!
//! Nothing is created from then on: the gateway refuses it before each attempt. What may exist by then is removed, for
//! [`CLEANING_UP`] at most; whatever is left is told.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::graph::gateway::Fence;

/// How long an event of the provisioning check that was asked for or is there may keep a run from ending: as long as
/// the answer to a create may take (25 s), and the removal after it.
pub const CLEANING_UP: Duration = Duration::from_secs(45);

/// Whether to go on. Clones share what they know.
#[derive(Clone, Debug)]
pub struct Ending {
    until: Instant,
    stop: CancellationToken,
    open: Arc<Mutex<BTreeSet<String>>>,
}

impl Ending {
    /// Of a run that may last until then.
    #[must_use]
    pub fn at(until: Instant) -> Self {
        Self {
            until,
            stop: CancellationToken::new(),
            open: Arc::default(),
        }
    }

    /// Somebody wants no more.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Whether it is time to end.
    #[must_use]
    pub fn is_now(&self) -> bool {
        self.stop.is_cancelled() || Instant::now() >= self.until
    }

    /// What a future brings, unless it is time to end.
    pub(super) async fn before<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        if self.is_now() {
            return None;
        }
        tokio::select! {
            found = timeout_at(self.until, future) => found.ok(),
            () = self.stop.cancelled() => None,
        }
    }

    /// What a future brings that knows itself when to end and has something to clean up.
    pub(super) async fn cleaned_up<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let late = async {
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = sleep_until(self.until) => {}
            }
            sleep_until(Instant::now() + CLEANING_UP).await;
        };
        tokio::select! {
            found = future => Some(found),
            () = late => None,
        }
    }

    /// From now on there may be an event in this mailbox.
    pub(super) fn opens(&self, mailbox: &str) {
        self.with_open(|open| open.insert(mailbox.to_owned()));
    }

    /// There certainly is none any more.
    pub(super) fn closes(&self, mailbox: &str) {
        self.with_open(|open| open.remove(mailbox));
    }

    /// The mailboxes in which an event may have been left.
    #[must_use]
    pub fn left_open(&self) -> Vec<String> {
        self.with_open(|open| open.iter().cloned().collect())
    }

    fn with_open<T>(&self, change: impl FnOnce(&mut BTreeSet<String>) -> T) -> T {
        change(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Fence for Ending {
    fn may_write(&self) -> bool {
        true
    }

    fn may_create(&self) -> bool {
        !self.is_now()
    }
}
