//! Repeats what may be repeated: up to three attempts, within the caller's patience and the tenant's
//! retry budget.
//!
//! A create is repeated only when it certainly was not carried out: no connection, or "too many requests",
//! or "come back later". What else may have happened to it is for the caller to find out.

use std::time::Duration;

use http::StatusCode;
use tower::ServiceExt;
use uuid::Uuid;

use crate::clock::sleep;
use crate::graph::admission::Admission;
use crate::graph::call::{Call, Failure, NoAnswer, Outcome, layer};
use crate::graph::classify::throttles;
use crate::graph::operation::Operation;

const MAX_ATTEMPTS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Repeats calls.
#[derive(Clone)]
pub(super) struct Retry {
    inner: Admission,
}

impl Retry {
    pub(super) const fn new(inner: Admission) -> Self {
        Self { inner }
    }

    async fn send(self, mut call: Call) -> Outcome {
        call.shared.retries.deposit();
        let mut attempt = 1;
        loop {
            call.attempt_id = Uuid::new_v4();
            let outcome = self.inner.clone().oneshot(call.clone()).await;
            let Some(wait) = wait_before_repeating(call.operation, &outcome, attempt) else {
                return outcome;
            };
            let affordable =
                !call.once && attempt < MAX_ATTEMPTS && wait.length() <= call.patience_left();
            if !affordable || !call.shared.retries.withdraw() {
                return outcome;
            }
            match wait {
                Wait::Asked(_) => {} // a hold now, which `admission` sits out
                Wait::Pause(pause) => sleep(pause).await,
            }
            attempt += 1;
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// The service said how long.
    Asked(Duration),
    /// It did not; our own guess.
    Pause(Duration),
}

impl Wait {
    const fn length(self) -> Duration {
        match self {
            Self::Asked(length) | Self::Pause(length) => length,
        }
    }
}

/// `None`: the outcome stands.
fn wait_before_repeating(operation: Operation, outcome: &Outcome, attempt: u32) -> Option<Wait> {
    let pause = || Wait::Pause(pause(attempt));
    match outcome {
        Ok(answer) => match (answer.status, answer.retry_after()) {
            (status, None) if throttles(status) => Some(pause()),
            (status, Some(asked))
                if throttles(status) || status == StatusCode::SERVICE_UNAVAILABLE =>
            {
                Some(Wait::Asked(asked))
            }
            (
                StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT,
                _,
            ) if !operation.creates() => Some(pause()),
            _ => None,
        },
        Err(Failure::NoAnswer { cause, .. }) => match cause {
            NoAnswer::Connect => Some(pause()),
            NoAnswer::TimedOut | NoAnswer::Cut if !operation.creates() => Some(pause()),
            NoAnswer::TimedOut | NoAnswer::Cut | NoAnswer::Oversized => None,
        },
        Err(Failure::Withheld(_) | Failure::Prerequisite(_)) => None,
    }
}

/// Doubles from half a second, half to one and a half times, so that callers do not come back together.
fn pause(attempt: u32) -> Duration {
    let doubled = FIRST_PAUSE * 2_u32.saturating_pow(attempt.saturating_sub(1));
    doubled.mul_f64(rand::random_range(0.5..1.5))
}

layer!(Retry);
