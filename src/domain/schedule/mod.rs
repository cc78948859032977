//! When things are due: arithmetic on instants that needs no memory, so that a restart changes nothing.
//!
//! Every jitter is derived from a UID. Nothing here remembers, waits or reads a clock.

use std::time::Duration;

use jiff::Timestamp;

/// `at + by`, or the last instant there is.
#[must_use]
pub fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// Divides our own waits in a rehearsal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace(u32);

impl Pace {
    /// No division.
    pub const REAL: Self = Self(1);

    /// The wait at this pace.
    #[must_use]
    pub fn of(self, wait: Duration) -> Duration {
        wait / self.0.max(1)
    }
}
