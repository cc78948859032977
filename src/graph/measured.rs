//! Counts and times each attempt, and learns the service's clock from its answer.

use tokio::time::Instant;
use tower::ServiceExt;

use crate::graph::call::{Call, Failure, Outcome, layer};
use crate::graph::holds::Group;
use crate::graph::timed::Timed;
use crate::metrics::Metrics;

/// Records what the inner layers bring.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    inner: Timed,
    metrics: Metrics,
}

impl Measured {
    pub(super) const fn new(inner: Timed, metrics: Metrics) -> Self {
        Self { inner, metrics }
    }

    async fn send(self, call: Call) -> Outcome {
        let operation = call.operation;
        let shared = call.shared.clone();
        let tenant = call.label.clone();
        let started = Instant::now();
        let outcome = self.inner.oneshot(call).await;
        let (code, result) = match &outcome {
            Ok(answer) if answer.status.is_success() => (answer.status.as_str(), "ok"),
            Ok(answer) => (answer.status.as_str(), "error"),
            Err(Failure::NoAnswer { cause, .. }) => (cause.as_str(), "error"),
            Err(Failure::Withheld(_) | Failure::Prerequisite(_)) => return outcome,
        };
        let operation_label = operation.as_str();
        self.metrics
            .graph
            .requests
            .with_label_values(&[operation_label, code, &tenant])
            .inc();
        self.metrics
            .graph
            .request_seconds
            .with_label_values(&[operation_label, result])
            .observe(started.elapsed().as_secs_f64());
        if let Ok(answer) = &outcome
            && Group::of(operation) != Group::Login
        {
            shared.observe_clock(answer);
        }
        outcome
    }
}

layer!(Measured);
