//! What the batches of a tenant have taught: how long one takes, and which reads hold up those that travel with them.
//!
//! A batch is answered when the slowest of its parts is. One that is late is given up, and each part is asked again by
//! itself: that shows which of them hangs, and until it answers as fast as others it travels alone. Plain data;
//! `coalesced` teaches it and asks it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::graph::call::{Call, Failure, NoAnswer, Outcome};

/// What a batch takes before any was seen. Of the calls on mailboxes in one, Graph makes four at a time
/// (docs/graph.md 9.3).
const USUAL: Duration = Duration::from_secs(1);

/// So many times as long as usual may a batch take.
const LATE: u32 = 4;

/// A batch is not late before this.
const SHORTEST_LIMIT: Duration = Duration::from_secs(2);

/// It is late after this, however slow all are: the limit of a call that travels alone.
const LONGEST_LIMIT: Duration = Duration::from_secs(10);

/// How long a read that did not answer travels alone, and how long a host that takes no batches is not offered one.
const APART: Duration = Duration::from_mins(10);

/// So many late batches in a row are not the fault of what is in them.
const MOST_LATE: u32 = 5;

/// The lessons of one application in one tenant.
#[derive(Debug)]
pub(super) struct Lessons {
    /// What a batch takes, smoothed.
    usual: Duration,
    late_in_a_row: u32,
    /// Nothing is put together until then.
    no_batches_until: Option<Instant>,
    /// Reads that may hang: each travels alone until then.
    apart: HashMap<Arc<str>, Instant>,
}

impl Default for Lessons {
    fn default() -> Self {
        Self {
            usual: USUAL,
            late_in_a_row: 0,
            no_batches_until: None,
            apart: HashMap::new(),
        }
    }
}

impl Lessons {
    /// Whether `call` may travel with others.
    pub(super) fn may_travel(&self, call: &Call, now: Instant) -> bool {
        let is_over = |until: &Instant| *until <= now;
        self.no_batches_until.as_ref().is_none_or(is_over)
            && self.apart.get(&name(call)).is_none_or(is_over)
    }

    /// How long a batch may take.
    pub(super) fn limit(&self) -> Duration {
        (self.usual * LATE).clamp(SHORTEST_LIMIT, LONGEST_LIMIT)
    }

    /// A batch was answered after so long.
    pub(super) fn answered(&mut self, after: Duration) {
        self.late_in_a_row = 0;
        self.usual = (self.usual * 7 + after) / 8;
    }

    /// A batch of these was late. Returns whether batches are to blame.
    pub(super) fn late(&mut self, parts: &[Call], now: Instant) -> bool {
        self.usual = (self.usual * 2).min(LONGEST_LIMIT / LATE);
        self.late_in_a_row += 1;
        self.set_apart(parts, now);
        let to_blame = self.late_in_a_row >= MOST_LATE;
        if to_blame {
            self.not_taken(now);
        }
        to_blame
    }

    /// The host does not take batches.
    pub(super) fn not_taken(&mut self, now: Instant) {
        self.late_in_a_row = 0;
        self.no_batches_until = Some(now + APART);
    }

    /// What became of a read that travelled alone, from `started` until `now`.
    pub(super) fn alone(
        &mut self,
        call: &Call,
        outcome: &Outcome,
        (started, now): (Instant, Instant),
    ) {
        let hung = match outcome {
            Ok(_) => now.saturating_duration_since(started) > self.limit(),
            Err(Failure::NoAnswer { cause, .. }) => *cause == NoAnswer::TimedOut,
            Err(Failure::Withheld(_) | Failure::Prerequisite(_)) => return,
        };
        if hung {
            self.set_apart(std::slice::from_ref(call), now);
        } else {
            self.apart.remove(&name(call));
        }
    }

    fn set_apart(&mut self, calls: &[Call], now: Instant) {
        self.apart.retain(|_, until| *until > now);
        let until = now + APART;
        self.apart
            .extend(calls.iter().map(|call| (name(call), until)));
    }
}

/// What hangs together: all that is asked of one mailbox, or else one question.
fn name(call: &Call) -> Arc<str> {
    match &call.mailbox {
        Some(mailbox) => Arc::clone(mailbox),
        None => call.url.as_str().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_follows_what_batches_take() {
        let mut lessons = Lessons::default();
        assert_eq!(lessons.limit(), USUAL * LATE);
        for _ in 0..50 {
            lessons.answered(Duration::from_millis(150));
        }
        assert_eq!(lessons.limit(), SHORTEST_LIMIT);
        for _ in 0..50 {
            lessons.answered(Duration::from_millis(1500));
        }
        assert!(lessons.limit() > Duration::from_secs(5));
        for _ in 0..50 {
            lessons.answered(Duration::from_secs(9));
        }
        assert_eq!(lessons.limit(), LONGEST_LIMIT);
    }

    #[test]
    fn a_service_that_became_slow_gets_more_time_with_each_late_batch() {
        let (mut lessons, now) = (Lessons::default(), Instant::now());
        for _ in 0..50 {
            lessons.answered(Duration::from_millis(100));
        }
        let limits: Vec<u64> = (0..5)
            .map(|_| {
                lessons.late(&[], now);
                lessons.limit().as_secs()
            })
            .collect();
        assert!(limits.is_sorted(), "{limits:?}");
        assert!(limits[4] >= 10, "{limits:?}");
    }
}
