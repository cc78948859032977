//! Bounds each attempt.

use std::time::Duration;

use tower::ServiceExt;

use crate::graph::call::{Call, Failure, NoAnswer, Outcome, layer};
use crate::graph::operation::Operation;
use crate::graph::transport::Leaf;

/// Graph validates both notification URLs before it answers, ten seconds each (docs/graph.md 8.2).
const CREATE_LIMIT: Duration = Duration::from_secs(25);
const LIMIT: Duration = Duration::from_secs(10);

/// A leaf that answers in time or not at all.
#[derive(Clone, Debug)]
pub(super) struct Timed {
    leaf: Leaf,
}

impl Timed {
    pub(super) const fn new(leaf: Leaf) -> Self {
        Self { leaf }
    }

    async fn send(self, call: Call) -> Outcome {
        let late = Failure::NoAnswer {
            cause: NoAnswer::TimedOut,
            attempt_id: call.attempt_id,
        };
        let limit = if call.operation == Operation::Batch {
            call.shared.gathering.limit()
        } else if call.operation.creates() {
            CREATE_LIMIT
        } else {
            LIMIT
        };
        let attempt = tokio::time::timeout(limit, self.leaf.oneshot(call));
        attempt.await.unwrap_or(Err(late))
    }
}

layer!(Timed);
