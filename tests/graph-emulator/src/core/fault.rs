//! Faults applied to one call: waiting, answering something else, or cutting the connection.

use std::sync::Arc;

use http::StatusCode;
use serde_json::Value;

use super::{Core, Outcome, Trace};
use crate::call::{Answer, ConnectionCut, Content};
use crate::clock::{after, http_date, pause};
use crate::entra::error::EntraError;
use crate::fault::{Cut, FaultRule, Fired, RetryAfter};
use crate::graph::error::{
    GraphError, access_denied, application_throttled, bad_request, error, insufficient_privileges,
    invalid_user, item_not_found, relayed, resource_not_found, too_many_requests, unauthenticated,
};
use crate::operation::{Operation, Workload};
use crate::state::Data;

impl Core {
    /// Executes a call as the rule that fired for it says; without one, simply.
    pub(super) async fn with_fault(
        &self,
        (base, trace): (&str, &Trace),
        fired: Option<Fired>,
        execute: impl AsyncFnOnce(Option<Arc<Data>>) -> Answer,
    ) -> Outcome {
        let Some(Fired { rule, stale }) = fired else {
            return Ok(execute(None).await);
        };
        if let Some(delay) = rule.delay {
            pause(delay).await;
        }
        if rule.cut == Some(Cut::Before) {
            return Err(ConnectionCut);
        }
        let answer = match rule.status {
            Some(status) => self.faulty(&rule, status, (base, trace)),
            None => execute(stale).await,
        };
        if let Some(delay) = rule.delay_after {
            pause(delay).await;
        }
        match rule.cut {
            Some(Cut::After) => Err(ConnectionCut),
            Some(Cut::Before) | None => Ok(answer),
        }
    }

    fn faulty(&self, rule: &FaultRule, status: u16, (base, trace): (&str, &Trace)) -> Answer {
        let mut answer = if trace.operation.workload() == Workload::Entra {
            entra(status, base, trace)
        } else {
            usual(trace.operation, status).into_answer(&trace.inner())
        };
        match &rule.body {
            None => {}
            Some(Value::String(text)) => answer.content = Content::Text(text.clone()),
            Some(body) => answer.content = Content::Json(body.clone()),
        }
        match rule.retry_after {
            // An explicit rule decides about the header, and without one only 429 has it.
            None if status != 429 => {
                answer.headers.remove("retry-after");
            }
            None => {}
            Some(RetryAfter::Seconds(seconds)) => answer.set("retry-after", &seconds.to_string()),
            Some(RetryAfter::HttpDate { http_date: wait }) => {
                answer.set("retry-after", &http_date(after(self.clock.now(), wait)));
            }
        }
        answer
    }
}

fn entra(status: u16, base: &str, trace: &Trace) -> Answer {
    if status == 429 {
        let code = StatusCode::TOO_MANY_REQUESTS;
        let text = "Too Many Requests".to_owned();
        return Answer::new(code, Content::Text(text)).with_header("retry-after", "60");
    }
    let (error, code, text) = match status {
        500.. => (
            "temporarily_unavailable",
            90_033,
            "A transient error has occurred. Please try again.",
        ),
        401 => ("invalid_client", 50_012, "Authentication failed."),
        _ => (
            "invalid_request",
            90_013,
            "Invalid input received from the user.",
        ),
    };
    let text = text.to_owned();
    let refused = EntraError {
        status,
        error,
        code,
        text,
    };
    refused.into_answer(base, trace)
}

/// The error that the service behind this operation usually gives with this status.
fn usual(operation: Operation, status: u16) -> GraphError {
    let workload = operation.workload();
    match (status, workload) {
        (401, _) => unauthenticated("Lifetime validation failed, the token is expired."),
        (403, Workload::Directory) => insufficient_privileges(),
        (403, Workload::Subscriptions) => {
            relayed(relayed_operation(operation), 403, "Forbidden", "Forbidden")
        }
        (403, _) => access_denied(),
        (404, Workload::Directory) => resource_not_found("unknown"),
        (404, Workload::Outlook) => not_found(operation),
        (404, _) => error(404, "ResourceNotFound", "The object was not found."),
        (429, Workload::Outlook) => application_throttled("request", 10),
        (429, _) => too_many_requests(10),
        (500, _) => error(
            500,
            "ErrorInternalServerError",
            "An internal server error occurred.",
        ),
        (503 | 504, _) => error(status, "UnknownError", ""),
        (400, _) => bad_request("The request is not valid."),
        _ => error(
            status,
            "generalException",
            "General exception while processing.",
        ),
    }
}

fn not_found(operation: Operation) -> GraphError {
    if matches!(operation, Operation::GetPlace | Operation::ListPlaces) {
        error(404, "UnknownError", "")
    } else if matches!(operation, Operation::GetCalendar | Operation::CreateEvent) {
        invalid_user("unknown")
    } else {
        item_not_found()
    }
}

/// What the subscription service calls it when it relays an answer of Exchange.
fn relayed_operation(operation: Operation) -> &'static str {
    if operation == Operation::CreateSubscription {
        "Create"
    } else if operation == Operation::DeleteSubscription {
        "Delete"
    } else {
        "Update"
    }
}
