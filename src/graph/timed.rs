//! Bounds each attempt.

use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tower::{Service, ServiceExt};

use crate::graph::call::{Answer, Call, Failure, NoAnswer, Outcome};
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
}

const fn limit(operation: Operation) -> Duration {
    match operation {
        Operation::CreateSubscription | Operation::CreateEvent => CREATE_LIMIT,
        Operation::Token
        | Operation::GetOrganization
        | Operation::ListDomains
        | Operation::GetUser
        | Operation::FindUsers
        | Operation::GetCalendar
        | Operation::GetPlace
        | Operation::ListPlaces
        | Operation::GetEvent
        | Operation::DeleteEvent
        | Operation::GetSubscription
        | Operation::ListSubscriptions
        | Operation::RenewSubscription
        | Operation::DeleteSubscription => LIMIT,
    }
}

impl Service<Call> for Timed {
    type Response = Answer;
    type Error = Failure;
    type Future = BoxFuture<'static, Outcome>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let late = Failure::NoAnswer {
            cause: NoAnswer::TimedOut,
            attempt_id: call.attempt_id,
        };
        let attempt = tokio::time::timeout(limit(call.operation), self.leaf.clone().oneshot(call));
        attempt.map(|outcome| outcome.unwrap_or(Err(late))).boxed()
    }
}
