//! Spares a host that keeps failing, and everybody who waits for it: while its circuit is open a call gets at once what
//! the last one got.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::StatusCode;
use tokio::time::Instant;
use tower::ServiceExt;

use crate::graph::call::{Answer, Call, Failure, NoAnswer, Outcome, layer};
use crate::graph::circuit::{Circuit, Evidence, Passage};
use crate::graph::holds::Group;
use crate::graph::retry::Retry;
use crate::graph::shared::Shared;
use crate::metrics::Metrics;
use crate::metrics::graph::{GRAPH, LOGIN};

/// Passes calls on while their host answers.
#[derive(Clone)]
pub(super) struct Breaker {
    inner: Retry,
    metrics: Metrics,
}

/// The circuit of one host, and what the last failed call to it got.
#[derive(Debug, Default)]
pub(super) struct Guarded {
    state: Mutex<(Circuit, Option<Outcome>)>,
}

impl Guarded {
    /// Whether calls are kept from the host just now.
    pub(super) fn is_open(&self) -> bool {
        self.state().0.is_open()
    }

    fn state(&self) -> MutexGuard<'_, (Circuit, Option<Outcome>)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the circuit what became of a call, also when it is given up.
struct Witness {
    shared: Arc<Shared>,
    login: bool,
    passage: Passage,
    told: bool,
}

impl Witness {
    fn guarded(&self) -> &Guarded {
        guarded(&self.shared, self.login)
    }

    fn tell(&mut self, outcome: &Outcome) -> bool {
        self.told = true;
        let evidence = evidence(outcome);
        let mut state = self.guarded().state();
        if evidence == Evidence::Failed {
            state.1 = Some(outcome.clone());
        }
        state.0.learn(self.passage, evidence, Instant::now())
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        if !self.told {
            let mut state = self.guarded().state();
            state
                .0
                .learn(self.passage, Evidence::Nothing, Instant::now());
        }
    }
}

impl Breaker {
    pub(super) const fn new(inner: Retry, metrics: Metrics) -> Self {
        Self { inner, metrics }
    }

    async fn send(self, mut call: Call) -> Outcome {
        let login = Group::of(call.operation) == Group::Login;
        let passage = {
            let mut state = guarded(&call.shared, login).state();
            match (state.0.ask(Instant::now()), &state.1) {
                (Passage::Barred, Some(last)) => return last.clone(),
                (passage, _) => passage,
            }
        };
        let mut witness = Witness {
            shared: Arc::clone(&call.shared),
            login,
            passage,
            told: false,
        };
        call.once = passage == Passage::Probe;
        let label = Arc::clone(&call.label);
        let outcome = self.inner.oneshot(call).await;
        if witness.tell(&outcome) {
            let host = if login { LOGIN } else { GRAPH };
            self.metrics
                .graph
                .circuit_opened
                .with_label_values(&[host, &label])
                .inc();
            tracing::warn!(
                tenant = %label,
                host,
                "Microsoft does not answer for this tenant; until it does, one call at a time asks"
            );
        }
        outcome
    }
}

fn guarded(shared: &Shared, login: bool) -> &Guarded {
    if login {
        &shared.login_circuit
    } else {
        &shared.graph_circuit
    }
}

fn evidence(outcome: &Outcome) -> Evidence {
    match outcome {
        Ok(answer) if is_gateway_error(answer) => Evidence::Failed,
        Ok(_) => Evidence::Answered,
        Err(Failure::NoAnswer { cause, .. }) => match cause {
            NoAnswer::Connect | NoAnswer::TimedOut | NoAnswer::Cut => Evidence::Failed,
            NoAnswer::Oversized => Evidence::Answered,
        },
        Err(Failure::Withheld(_) | Failure::Prerequisite(_)) => Evidence::Nothing,
    }
}

/// Said in front of the service, not by it; with a `Retry-After` it is a wait like any other.
fn is_gateway_error(answer: &Answer) -> bool {
    let status = answer.status;
    let in_front = [
        StatusCode::BAD_GATEWAY,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::GATEWAY_TIMEOUT,
    ];
    in_front.contains(&status) && answer.retry_after().is_none()
}

layer!(Breaker);
