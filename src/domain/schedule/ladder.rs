//! When a problem is looked at again: 1, 2, 4 … 60 minutes after it began, then every hour.
//!
//! The steps follow from when the problem began, which the status says; so the backoff survives a restart.

use std::time::Duration;

use jiff::Timestamp;

use super::{Pace, between, later};
use crate::ids::Uid;

/// Minutes after the beginning of a problem; from the last on, every hour.
const STEPS: [u64; 7] = [1, 2, 4, 8, 16, 32, HOUR];

const HOUR: u64 = 60;

/// The first step after `after` of a problem that began at `began`.
#[must_use]
pub fn next(began: Timestamp, uid: Uid, after: Timestamp, pace: Pace) -> Timestamp {
    let minute = minute(uid, pace);
    let passed = minutes(began, after, minute);
    let step = match STEPS.iter().find(|step| **step > passed) {
        Some(step) => *step,
        None => (passed / HOUR + 1).saturating_mul(HOUR),
    };
    instant(began, step, minute)
}

/// What counts as a minute: ± 25 % by UID, at the pace.
fn minute(uid: Uid, pace: Pace) -> Duration {
    let minute = Duration::from_mins(1).mul_f64(0.75 + 0.5 * uid.fraction());
    pace.of(minute).max(Duration::from_nanos(1))
}

fn minutes(began: Timestamp, at: Timestamp, minute: Duration) -> u64 {
    u64::try_from(between(began, at).as_nanos() / minute.as_nanos()).unwrap_or(u64::MAX)
}

fn instant(began: Timestamp, step: u64, minute: Duration) -> Timestamp {
    let nanoseconds = u64::try_from(minute.as_nanos())
        .unwrap_or(u64::MAX)
        .saturating_mul(step);
    later(began, Duration::from_nanos(nanoseconds))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples::{any_instant, any_uid, at, uid};
    use super::*;

    fn steps(pace: Pace) -> Vec<u64> {
        let began = at("2026-11-24T08:00:00Z");
        let one = minute(uid(3), pace);
        let mut now = began;
        let mut steps = Vec::new();
        for _ in 0..10 {
            now = next(began, uid(3), now, pace);
            steps.push(minutes(began, now, one));
        }
        steps
    }

    #[test]
    fn the_ladder_doubles_up_to_an_hour_and_then_is_hourly() {
        let expected = [1, 2, 4, 8, 16, 32, 60, 120, 180, 240];
        assert_eq!(steps(Pace::REAL), expected);
        assert_eq!(steps(Pace::new(60).unwrap()), expected);
    }

    #[test]
    fn a_minute_is_at_most_a_quarter_off() {
        for n in 0..1000 {
            let minute = minute(uid(n), Pace::REAL).as_secs_f64();
            assert!((45.0..=75.0).contains(&minute), "{minute}");
        }
    }

    proptest! {
        #[test]
        fn the_next_step_lies_ahead(
            began in any_instant(), passed in 0_u64..10_000_000, uid in any_uid(), pace in 1_u32..10_000
        ) {
            let pace = Pace::new(pace).unwrap();
            let now = later(began, Duration::from_millis(passed));
            let next = next(began, uid, now, pace);
            prop_assert!(next > now);
        }
    }
}
