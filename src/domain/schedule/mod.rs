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
