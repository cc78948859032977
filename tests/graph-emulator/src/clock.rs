//! The emulator's clock: the machine's time at the start, or another, moved by tokio's clock and by [`Clock::advance`].
//!
//! Everything that Graph dates uses it: subscriptions, tokens, secrets, quotas, the `Date` header. It never
//! goes backwards, and it does not follow later steps of the machine's clock.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;

/// Cheap to share by reference; one per emulator.
#[derive(Debug)]
pub(crate) struct Clock {
    wall: Timestamp,
    instant: Instant,
    advanced: watch::Sender<Duration>,
}

impl Clock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one home of wall-clock time in the emulator"
    )]
    pub(crate) fn system() -> Self {
        Self::starting_at(Timestamp::now())
    }

    pub(crate) fn starting_at(wall: Timestamp) -> Self {
        Self {
            wall,
            instant: Instant::now(),
            advanced: watch::Sender::new(Duration::ZERO),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        let moved = self
            .instant
            .elapsed()
            .saturating_add(*self.advanced.borrow());
        after(self.wall, moved)
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.advanced
            .send_modify(|advanced| *advanced = advanced.saturating_add(by));
    }

    /// Sleeps until the clock shows `instant`; an advance shortens the sleep.
    pub(crate) async fn sleep_until(&self, instant: Timestamp) {
        let mut advanced = self.advanced.subscribe();
        loop {
            let left = Duration::try_from(instant.duration_since(self.now())).unwrap_or_default();
            if left.is_zero() {
                return;
            }
            tokio::select! {
                () = pause(left) => {}
                _ = advanced.changed() => {}
            }
        }
    }
}

/// Sleeps on tokio's clock, which [`Clock::advance`] does not move: for delays that a client must feel.
#[expect(
    clippy::disallowed_methods,
    reason = "the one home of sleeping in the emulator"
)]
pub(crate) async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// `instant + duration`, at most the end of time.
pub(crate) fn after(instant: Timestamp, duration: Duration) -> Timestamp {
    let duration = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    instant.saturating_add(duration).unwrap_or(Timestamp::MAX)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, as in the headers `Date` and `Retry-After`.
pub(crate) fn http_date(instant: Timestamp) -> String {
    jiff::fmt::rfc2822::DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&instant)
        .unwrap_or_default()
}
