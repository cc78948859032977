//! How long a Lease lasts, and everything that follows from it.

use std::time::Duration;

/// The times of an election, all in proportion: with a Lease that lasts for 15 seconds it is renewed every two and looked at
/// every second, and who cannot renew it stops writing after nine.
///
/// Copies may differ in it: each believes what the Lease says of its holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTiming(Duration);

impl Default for LeaseTiming {
    fn default() -> Self {
        Self(Duration::from_secs(15))
    }
}

impl LeaseTiming {
    /// A Lease that is shorter would be lost by a pause of the API server.
    pub const SHORTEST: Duration = Duration::from_secs(10);

    /// So long nobody may act after a leader was killed.
    pub const LONGEST: Duration = Duration::from_mins(1);

    /// Nothing unless it is whole seconds, which is what a Lease can say, from the shortest to the longest.
    #[must_use]
    pub fn new(duration: Duration) -> Option<Self> {
        let fits = (Self::SHORTEST..=Self::LONGEST).contains(&duration);
        (fits && duration.subsec_nanos() == 0).then_some(Self(duration))
    }

    /// How long after a renewal nobody else takes it.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }

    /// How long after the beginning of a renewal its holder may still write: three fifths, which leaves the rest as a margin.
    #[must_use]
    pub fn writable(self) -> Duration {
        self.0 * 3 / 5
    }

    /// How often its holder renews it.
    #[must_use]
    pub fn renewal(self) -> Duration {
        self.0 * 2 / 15
    }

    /// How often those who wait look at it: one that was given up is taken within this time.
    #[must_use]
    pub fn look(self) -> Duration {
        self.0 / 15
    }

    /// How long one call to the API server may take, so that two can time out, one after the other, before writing ends.
    #[must_use]
    pub fn request(self) -> Duration {
        self.0 / 5
    }

    /// After a failed call, after somebody else wrote the Lease in between, and between two terms, so that everybody sees the
    /// first one end.
    #[must_use]
    pub fn failure_pause(self) -> Duration {
        self.0 / 30
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_follows_from_how_long_it_lasts() {
        let times = |timing: LeaseTiming| {
            [
                timing.duration(),
                timing.writable(),
                timing.renewal(),
                timing.look(),
                timing.request(),
                timing.failure_pause(),
            ]
            .map(|time| time.as_millis())
        };
        assert_eq!(
            times(LeaseTiming::default()),
            [15_000, 9_000, 2_000, 1_000, 3_000, 500]
        );
        let minute = LeaseTiming::new(Duration::from_mins(1)).unwrap();
        assert_eq!(times(minute), [60_000, 36_000, 8_000, 4_000, 12_000, 2_000]);
    }

    #[test]
    fn two_calls_may_time_out_and_nobody_writes_when_another_may() {
        for seconds in 10..=60 {
            let timing = LeaseTiming::new(Duration::from_secs(seconds)).unwrap();
            assert!(timing.writable() >= 3 * timing.request());
            let two = 2 * timing.request() + timing.failure_pause();
            assert!(timing.renewal() + two < timing.writable());
            assert!(timing.renewal() < timing.request());
            assert!(timing.writable() + timing.request() < timing.duration());
        }
    }

    #[test]
    fn a_lease_lasts_whole_seconds_within_bounds() {
        for (milliseconds, good) in [
            (9_000, false),
            (10_000, true),
            (10_500, false),
            (60_000, true),
            (61_000, false),
        ] {
            let timing = LeaseTiming::new(Duration::from_millis(milliseconds));
            assert_eq!(timing.is_some(), good, "{milliseconds}");
        }
    }
}
