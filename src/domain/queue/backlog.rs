//! What is due and waits: what the metrics say of the queue. No decision depends on it.

use std::time::Duration;

use jiff::Timestamp;

use super::lane::Lane;
use super::{Class, Queue};
use crate::domain::schedule::between;

/// What of one class is due and waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Backlog {
    /// So many objects.
    pub depth: usize,
    /// For how long the first of them has been due.
    pub longest_wait: Duration,
}

impl<K: Clone + Ord, T: Clone + Ord> Queue<K, T> {
    /// What is due at `now` and waits, by the class it was put in with, in the order of [`Class::ALL`]. Visits every
    /// object.
    #[must_use]
    pub fn backlogs(&self, now: Timestamp) -> [Backlog; Class::ALL.len()] {
        let mut backlogs = [Backlog::default(); Class::ALL.len()];
        for wish in self.lanes.values().flat_map(Lane::wishes) {
            if wish.due <= now {
                let backlog = &mut backlogs[wish.class.index()];
                backlog.depth += 1;
                backlog.longest_wait = backlog.longest_wait.max(between(wish.due, now));
            }
        }
        backlogs
    }
}
