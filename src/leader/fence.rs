//! Asked before each write: does this process still lead?
//!
//! The answer is computed when it is asked, from the monotonic clock, which goes on while a process is
//! stopped: one that wakes after a minute is refused before any of its timers has run.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

/// The fence. Clones share it.
#[derive(Clone, Debug)]
pub struct LeaseFence(Arc<Mutex<State>>);

#[derive(Clone, Copy, Debug)]
enum State {
    Closed,
    OpenUntil(Instant),
    Open,
}

impl LeaseFence {
    pub(super) fn closed() -> Self {
        Self(Arc::new(Mutex::new(State::Closed)))
    }

    pub(super) fn open() -> Self {
        Self(Arc::new(Mutex::new(State::Open)))
    }

    pub(super) fn open_until(&self, until: Instant) {
        self.set(State::OpenUntil(until));
    }

    pub(super) fn close(&self) {
        self.set(State::Closed);
    }

    fn set(&self, state: State) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// Whether a write may begin now.
    #[must_use]
    pub fn may_write(&self) -> bool {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Closed => false,
            State::OpenUntil(until) => Instant::now() < until,
            State::Open => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_closes_by_itself() {
        let fence = LeaseFence::closed();
        assert!(!fence.may_write());
        fence.open_until(Instant::now() + Duration::from_secs(9));
        tokio::time::advance(Duration::from_millis(8999)).await;
        assert!(fence.may_write());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!fence.may_write());
        assert!(LeaseFence::open().may_write());
    }
}
