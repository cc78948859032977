//! The one home of time: wall-clock time that follows tokio's clock, so that a simulation can hold it.
//!
//! Everything else takes a [`Timestamp`] as an argument. Between two calls of [`Clock::reread`] the wall
//! clock is extrapolated from tokio's monotonic clock; a step of the machine's clock therefore arrives
//! once a minute, not in the middle of a decision.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;

/// By so much clocks drift apart between two readings, or are slewed.
const SMALL_STEP: Duration = Duration::from_secs(2);

/// A source of wall-clock time. Cheap to clone; clones agree.
#[derive(Clone, Debug)]
pub struct Clock {
    anchor: Arc<Mutex<Anchor>>,
    source: Source,
    /// By how much the machine's clock was set in all.
    set_by: watch::Sender<SignedDuration>,
}

#[derive(Clone, Copy, Debug)]
struct Anchor {
    wall: Timestamp,
    instant: Instant,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    System,
    Held,
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::anchored(system_time(), Source::System)
    }

    /// A clock that starts at `wall` and moves with tokio's clock only.
    #[must_use]
    pub fn starting_at(wall: Timestamp) -> Self {
        Self::anchored(wall, Source::Held)
    }

    fn anchored(wall: Timestamp, source: Source) -> Self {
        let anchor = Anchor {
            wall,
            instant: Instant::now(),
        };
        Self {
            anchor: Arc::new(Mutex::new(anchor)),
            source,
            set_by: watch::Sender::default(),
        }
    }

    /// Now, in UTC.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let anchor = *self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed =
            SignedDuration::try_from(anchor.instant.elapsed()).unwrap_or(SignedDuration::MAX);
        anchor
            .wall
            .saturating_add(elapsed)
            .unwrap_or(Timestamp::MAX)
    }

    /// Reads the machine's clock again; without effect on a held clock. Called once a minute.
    pub fn reread(&self) {
        match self.source {
            Source::Held => {}
            Source::System => self.set(system_time()),
        }
    }

    /// From now on it is `wall`. A small difference is what clocks have; a greater one is told to those who wait for
    /// an instant.
    pub fn set(&self, wall: Timestamp) {
        let step = wall.duration_since(self.now());
        let anchor = Anchor {
            wall,
            instant: Instant::now(),
        };
        *self.anchor.lock().unwrap_or_else(PoisonError::into_inner) = anchor;
        if step.unsigned_abs() > SMALL_STEP {
            self.set_by
                .send_modify(|total| *total = total.saturating_add(step));
        }
    }

    /// By how much the clock was set in all until now.
    #[must_use]
    pub fn was_set_by(&self) -> SignedDuration {
        *self.set_by.borrow()
    }

    /// By how much the clock was set in all, whenever that happens.
    #[must_use]
    pub fn set_by(&self) -> watch::Receiver<SignedDuration> {
        self.set_by.subscribe()
    }
}

/// Waits for `duration` on tokio's clock.
#[expect(clippy::disallowed_methods, reason = "the one home of waiting")]
pub async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

#[expect(clippy::disallowed_methods, reason = "the one home of time")]
fn system_time() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_held_clock_moves_with_tokio() {
        let start: Timestamp = "2026-11-24T08:00:00Z".parse().unwrap();
        let clock = Clock::starting_at(start);
        sleep(Duration::from_secs(90)).await;
        clock.reread();
        assert_eq!(clock.now(), start + SignedDuration::from_secs(90));
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_of_the_clock_is_told_and_drift_is_not() {
        let start: Timestamp = "2026-11-24T08:00:00Z".parse().unwrap();
        let clock = Clock::starting_at(start);
        let set_by = clock.set_by();
        clock.set(start + SignedDuration::from_secs(1));
        assert!(!set_by.has_changed().unwrap());
        clock.set(start - SignedDuration::from_hours(1));
        assert_eq!(clock.now(), start - SignedDuration::from_hours(1));
        assert_eq!(*set_by.borrow(), SignedDuration::from_secs(-3601));
    }
}
