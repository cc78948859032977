//! What all connections of one application in one tenant share.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::SignedDuration;

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
    clock_offset_ms: AtomicI64,
}

impl Shared {
    pub(super) fn new(application: Arc<Budget>) -> Self {
        Self {
            application,
            tenant: Budget::of_tenant(),
            holds: Holds::default(),
            lanes: Lanes::new(),
            retries: RetryBudget::new(),
            gathering: Gathering::default(),
            login_circuit: Guarded::default(),
            graph_circuit: Guarded::default(),
            clock_offset_ms: AtomicI64::new(0),
        }
    }

    /// How far Graph's clock was ahead of ours at its last answer; zero within a second and a half,
    /// since its `Date` has whole seconds.
    pub(super) fn clock_offset(&self) -> ClockOffset {
        SignedDuration::from_millis(self.clock_offset_ms.load(Ordering::Relaxed))
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
        let millis = i64::try_from(ahead.as_millis()).unwrap_or_default();
        self.clock_offset_ms.store(millis, Ordering::Relaxed);
    }
}
