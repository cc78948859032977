//! Spreads what would otherwise happen at one instant.

use std::time::Duration;

use crate::ids::Uid;

/// How many statuses are written a second at most when one event concerns many objects.
pub const SMEARED_WRITES_PER_SECOND: u32 = 50;

/// Where in a window an object's turn is; always before its end.
#[must_use]
pub fn delay(uid: Uid, window: Duration) -> Duration {
    window.mul_f64(uid.fraction())
}

/// How long a window must be, so that `count` things happen at most so many a second on average.
#[must_use]
pub fn window_for(count: usize, per_second: u32) -> Duration {
    nth(count, per_second)
}

/// When the thing at a position, counted from 0, has its turn after the first.
#[must_use]
pub fn nth(position: usize, per_second: u32) -> Duration {
    let position = u64::try_from(position).unwrap_or(u64::MAX);
    let milliseconds = position.saturating_mul(1000) / u64::from(per_second.max(1));
    Duration::from_millis(milliseconds)
}

#[cfg(test)]
mod tests {
    use super::super::samples::uid;
    use super::*;

    #[test]
    fn turns_keep_the_rate() {
        assert_eq!(nth(0, 50), Duration::ZERO);
        assert_eq!(nth(1, 50), Duration::from_millis(20));
        assert_eq!(nth(500, 50), Duration::from_secs(10));
        assert_eq!(window_for(10_000, 50), Duration::from_secs(200));
        assert_eq!(
            window_for(3, 0),
            Duration::from_secs(3),
            "a rate of zero counts as one"
        );
    }

    #[test]
    fn delays_fill_the_window_evenly() {
        let window = Duration::from_mins(10);
        let delays: Vec<Duration> = (0..1000).map(|n| delay(uid(n), window)).collect();
        assert!(delays.iter().all(|d| *d < window));
        let minutes: Vec<usize> = (0..10)
            .map(|minute| delays.iter().filter(|d| d.as_secs() / 60 == minute).count())
            .collect();
        assert!(minutes.iter().all(|n| (60..140).contains(n)), "{minutes:?}");
    }
}
