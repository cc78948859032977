//! How long to wait after a failure that taught nothing.

use std::time::Duration;

use super::Pace;
use crate::ids::Uid;

/// The shortest wait, before the pace.
const LEAST: Duration = Duration::from_secs(5);

/// Half of the longest wait: the other half is jitter.
const MOST: Duration = Duration::from_secs(150);

/// The wait after the `attempt`-th failure in a row, counted from 1: it doubles from 5 seconds up to 5 minutes.
///
/// The UID decides where in `[wait, 2 × wait)` an object lies, so that many that fail together come back apart.
#[must_use]
pub fn transient(attempt: u32, uid: Uid, pace: Pace) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    let wait = LEAST.saturating_mul(1 << doublings).min(MOST);
    pace.of(wait.mul_f64(1.0 + uid.fraction()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples::{any_uid, uid};
    use super::*;

    #[test]
    fn waits_double_until_five_minutes() {
        let waits: Vec<f64> = (1..=8)
            .map(|attempt| {
                let wait = transient(attempt, uid(1), Pace::REAL);
                wait.as_secs_f64() / (1.0 + uid(1).fraction())
            })
            .map(f64::round)
            .collect();
        assert_eq!(waits, [5.0, 10.0, 20.0, 40.0, 80.0, 150.0, 150.0, 150.0]);
    }

    proptest! {
        #[test]
        fn waits_stay_between_five_seconds_and_five_minutes(attempt in any::<u32>(), uid in any_uid()) {
            let wait = transient(attempt, uid, Pace::REAL);
            prop_assert!(wait >= Duration::from_secs(5) && wait <= Duration::from_mins(5), "{wait:?}");
        }
    }
}
