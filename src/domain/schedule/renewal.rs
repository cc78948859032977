//! When a subscription is renewed, and when a failed renewal is tried again.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{between, later};
use crate::ids::Uid;

/// The latest share of its life at which a subscription is renewed.
const LATEST_SHARE: f64 = 0.66;

/// By how much of its life the UID may move that earlier.
const JITTER_SHARE: f64 = 0.10;

/// A retry need not come sooner than this while there is time.
const LEAST_WAIT: Duration = Duration::from_secs(30);

/// Retries that close in on the end do not become busier than this.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// When a subscription with the granted life is renewed: a whole second, always before it ends.
#[must_use]
pub fn due(granted_at: Timestamp, expires_at: Timestamp, uid: Uid) -> Timestamp {
    let life = between(granted_at, expires_at);
    let share = LATEST_SHARE - JITTER_SHARE * uid.fraction();
    let exact = later(granted_at, life.mul_f64(share));
    Timestamp::from_second(exact.as_second()).unwrap_or(exact)
}

/// When a failed renewal is tried again: the more urgent, the less time is left.
///
/// Once nothing is left, only the backoff counts.
#[must_use]
pub fn retry(now: Timestamp, expires_at: Timestamp, backoff: Duration) -> Timestamp {
    let left = between(now, expires_at);
    if left.is_zero() {
        return later(now, backoff);
    }
    let least = LEAST_WAIT.min(left / 3);
    let wait = backoff.min(left / 8).max(least).max(SHORTEST_WAIT);
    later(now, wait)
}

/// The least time left of any subscription, given as when it is to be renewed and when it ends, after those due
/// before it were renewed one after the other, each taking `each`. Negative when one will lapse.
#[must_use]
pub fn slack(
    now: Timestamp,
    mut subscriptions: Vec<(Timestamp, Timestamp)>,
    each: Duration,
) -> Option<SignedDuration> {
    subscriptions.sort_unstable();
    let each = SignedDuration::try_from(each).unwrap_or(SignedDuration::MAX);
    let mut served_at = now;
    let mut least: Option<SignedDuration> = None;
    for (due, ends) in subscriptions {
        served_at = served_at
            .max(due)
            .saturating_add(each)
            .unwrap_or(Timestamp::MAX);
        let left = ends.duration_since(served_at);
        least = Some(least.map_or(left, |least| least.min(left)));
    }
    least
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples::{any_instant, any_uid, at, uid};
    use super::*;

    #[test]
    fn slack_is_what_the_last_in_a_queue_of_renewals_has_left() {
        let now = at("2026-11-24T08:00:00Z");
        let ends = later(now, Duration::from_secs(10));
        let waiting = vec![(now, ends); 3];
        let left = slack(now, waiting, Duration::from_secs(4)).unwrap();
        assert_eq!(left, SignedDuration::from_secs(-2));
        assert_eq!(slack(now, Vec::new(), Duration::from_secs(1)), None);
    }

    #[test]
    fn renewals_of_many_fall_between_56_and_66_percent_of_the_granted_life() {
        let granted = at("2026-11-24T08:00:00Z");
        let life = Duration::from_hours(160);
        let shares: Vec<f64> = (0..1000)
            .map(|n| due(granted, later(granted, life), uid(n)))
            .map(|due| between(granted, due).as_secs_f64() / life.as_secs_f64())
            .collect();
        assert!(shares.iter().all(|share| (0.5599..=0.66).contains(share)));
        let early = shares.iter().filter(|share| **share < 0.61).count();
        assert!(
            (400..600).contains(&early),
            "{early} of 1000 in the earlier half"
        );
    }

    #[test]
    fn retries_close_in_on_the_end() {
        let now = at("2026-11-24T08:00:00Z");
        let seconds = |left: u64, backoff: u64| {
            let expires = later(now, Duration::from_secs(left));
            between(now, retry(now, expires, Duration::from_secs(backoff))).as_secs()
        };
        assert_eq!(seconds(100_000, 300), 300, "time enough: the backoff");
        assert_eq!(seconds(100_000, 5), 30, "not sooner than half a minute");
        assert_eq!(seconds(1600, 300), 200, "an eighth of what is left");
        assert_eq!(seconds(120, 300), 30, "but not sooner than half a minute");
        assert_eq!(
            seconds(60, 300),
            20,
            "unless a third of what is left is less"
        );
        assert_eq!(seconds(2, 300), 1, "and never busier than once a second");
        assert_eq!(seconds(0, 300), 300, "nothing left: the backoff");
    }

    proptest! {
        #[test]
        fn a_renewal_is_due_before_the_end(
            granted in any_instant(), life in 1_u64..605_000_000, uid in any_uid()
        ) {
            let expires = later(granted, Duration::from_millis(life));
            let due = due(granted, expires, uid);
            prop_assert!(due < expires);
            prop_assert!(between(due, granted) < Duration::from_secs(1), "at most the rest of a second before the start");
            prop_assert_eq!(due.subsec_nanosecond(), 0);
        }

        #[test]
        fn a_retry_comes_before_the_end_while_there_is_time(
            now in any_instant(), left in 1_001_u64..605_000_000, backoff in 0_u64..400_000
        ) {
            let expires = later(now, Duration::from_millis(left));
            let retry = retry(now, expires, Duration::from_millis(backoff));
            prop_assert!(retry > now && retry < expires);
        }
    }
}
