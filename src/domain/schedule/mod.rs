//! When things are due: arithmetic on instants that needs no memory, so that a restart changes nothing.
//!
//! Every jitter is derived from a UID. Nothing here remembers, waits or reads a clock.

pub mod backoff;
pub mod go_duration;
pub mod ladder;
pub mod renewal;
pub mod slots;
pub mod smear;

use std::time::Duration;

use jiff::Timestamp;

/// `at + by`, or the last instant there is.
#[must_use]
pub fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// `at - by`, or the first instant there is.
#[must_use]
pub fn earlier(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_sub(by).unwrap_or(Timestamp::MIN)
}

/// From `earlier` to `later`; zero when they are the other way round.
#[must_use]
pub fn between(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or(Duration::ZERO)
}

/// Divides our own waits in a rehearsal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace(u32);

impl Pace {
    /// No division.
    pub const REAL: Self = Self(1);

    /// So many times faster than real; `None` for zero.
    #[must_use]
    pub const fn new(divisor: u32) -> Option<Self> {
        match divisor {
            0 => None,
            divisor => Some(Self(divisor)),
        }
    }

    /// How many times faster than real.
    #[must_use]
    pub const fn divisor(self) -> u32 {
        self.0
    }

    /// The wait at this pace.
    #[must_use]
    pub fn of(self, wait: Duration) -> Duration {
        wait / self.0.max(1)
    }
}

#[cfg(test)]
pub(crate) mod samples {
    //! Values that the tests of this module share.

    use jiff::Timestamp;
    use proptest::prelude::*;

    use crate::ids::Uid;

    pub(crate) fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    pub(crate) fn uid(number: u128) -> Uid {
        Uid::from_bytes(number.to_be_bytes())
    }

    pub(crate) fn any_uid() -> impl Strategy<Value = Uid> {
        any::<[u8; 16]>().prop_map(Uid::from_bytes)
    }

    /// Instants of this century, with nanoseconds.
    pub(crate) fn any_instant() -> impl Strategy<Value = Timestamp> {
        (946_684_800_i64..4_102_444_800, 0_i32..1_000_000_000)
            .prop_map(|(second, nanosecond)| Timestamp::new(second, nanosecond).unwrap())
    }
}

#[cfg(test)]
mod tests {
    use super::samples::at;
    use super::*;

    #[test]
    fn time_between_instants_is_never_negative() {
        let (early, late) = (at("2026-11-24T08:00:00Z"), at("2026-11-24T08:01:30Z"));
        assert_eq!(between(early, late), Duration::from_secs(90));
        assert_eq!(between(late, early), Duration::ZERO);
        assert_eq!(later(early, between(early, late)), late);
        assert_eq!(
            later(Timestamp::MAX, Duration::from_secs(1)),
            Timestamp::MAX
        );
    }

    #[test]
    fn a_rehearsal_divides_waits() {
        let pace = Pace::new(60).unwrap();
        assert_eq!(pace.of(Duration::from_mins(10)), Duration::from_secs(10));
        assert_eq!(pace.divisor(), 60);
        assert_eq!(
            Pace::REAL.of(Duration::from_mins(10)),
            Duration::from_mins(10)
        );
        assert_eq!(Pace::new(0), None);
    }
}
