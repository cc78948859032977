//! What all connections of one application in one tenant share.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::SignedDuration;

use crate::clock::Clock;
use crate::graph::breaker::Guarded;
use crate::graph::budget::{Budget, RetryBudget};
use crate::graph::call::Answer;
use crate::graph::coalesced::Gathering;
use crate::graph::holds::Holds;
use crate::graph::lanes::Lanes;
use crate::graph::model::ClockOffset;

/// Budgets, holds and limits of one application in one tenant, as Graph counts them.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) application: Arc<Budget>,
    pub(super) tenant: Budget,
    pub(super) holds: Holds,
    pub(super) lanes: Lanes,
    pub(super) retries: RetryBudget,
    pub(super) gathering: Gathering,
    pub(super) login_circuit: Guarded,
    pub(super) graph_circuit: Guarded,
    clock: Clock,
    seen: Mutex<SeenClock>,
}

/// Graph's clock, as its last answer showed it.
#[derive(Clone, Copy, Debug, Default)]
struct SeenClock {
    /// How far it was ahead of ours.
    ahead: ClockOffset,
    /// By how much ours had been set by then.
    set_by: SignedDuration,
}

impl Shared {
    pub(super) fn new(application: Arc<Budget>, clock: Clock) -> Self {
        Self {
            application,
            tenant: Budget::of_tenant(),
            holds: Holds::default(),
            lanes: Lanes::new(),
            retries: RetryBudget::new(),
            gathering: Gathering::default(),
            login_circuit: Guarded::default(),
            graph_circuit: Guarded::default(),
            seen: Mutex::new(SeenClock {
                ahead: SignedDuration::ZERO,
                set_by: clock.was_set_by(),
            }),
            clock,
        }
    }

    /// How far Graph's clock is ahead of ours, by its last answer; zero within a second and a half, since its `Date`
    /// has whole seconds. That ours was set since is known without another answer.
    pub(super) fn clock_offset(&self) -> ClockOffset {
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let set_since = self.clock.was_set_by().saturating_sub(seen.set_by);
        seen.ahead.saturating_sub(set_since)
    }

    pub(super) fn observe_clock(&self, answer: &Answer) {
        let Some(date) = answer.date() else { return };
        let half_a_second = SignedDuration::from_millis(500);
        let ahead = date.duration_since(answer.received_at) + half_a_second;
        let ahead = if ahead.abs() <= SignedDuration::from_millis(1500) {
            SignedDuration::ZERO
        } else {
            ahead
        };
        let seen = SeenClock {
            ahead,
            set_by: self.clock.was_set_by(),
        };
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
    }
}
