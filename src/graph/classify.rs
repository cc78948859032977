//! What an answer of Graph means. Pure: status and `error.code` decide, texts only refine
//! (docs/graph.md 6, 8.4, 9.2, 12).

use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value};

use crate::graph::call::{Answer, Failure, NoAnswer};
use crate::graph::error::{EndpointProblem, ErrorClass, Forbidden, GraphError, NotFound, Outage};
use crate::graph::holds::{Group, Throttler};
use crate::graph::operation::Operation;
use crate::graph::redact::{first_guid, redact};
use crate::ids::SubscriptionId;

/// What to assume when "too many requests" comes without a wait, as Graph's own sample says.
const DEFAULT_WAIT: Duration = Duration::from_secs(10);

const BANDWIDTH_EXCEEDED: u16 = 509;

/// Whether a service has more to do than it wants to.
pub(super) fn throttles(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.as_u16() == BANDWIDTH_EXCEEDED
}

/// What a fresh token might change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    FreshToken,
    FreshTokenIfOld,
    None,
}

pub(super) fn remedy(operation: Operation, answer: &Answer) -> Remedy {
    if answer.status.is_success() {
        return Remedy::None;
    }
    match class_of(operation, answer, &Said::of(answer)) {
        ErrorClass::Unauthenticated => Remedy::FreshToken,
        ErrorClass::Forbidden(Forbidden::Denied) => Remedy::FreshTokenIfOld,
        ErrorClass::Forbidden(Forbidden::AccessPolicy)
        | ErrorClass::Token(_)
        | ErrorClass::NotFound(_)
        | ErrorClass::Duplicate { .. }
        | ErrorClass::EndpointInvalid(_)
        | ErrorClass::QuotaExceeded
        | ErrorClass::LifetimeTooLong { .. }
        | ErrorClass::Rejected
        | ErrorClass::Throttled { .. }
        | ErrorClass::Unavailable(_)
        | ErrorClass::Withheld(_) => Remedy::None,
    }
}

/// Exchange counts calls per mailbox; everybody else per tenant.
pub(super) fn throttler(answer: &Answer) -> Throttler {
    match Said::of(answer).code.as_str() {
        "ApplicationThrottled" => Throttler::Mailbox,
        _ => Throttler::Service,
    }
}

/// The error that an unsuccessful `answer` stands for.
pub(super) fn refusal(operation: Operation, answer: &Answer) -> GraphError {
    let said = Said::of(answer);
    GraphError {
        operation,
        class: class_of(operation, answer, &said),
        detail: said.detail(answer.status),
        request_id: Some(answer.request_id()),
    }
}

/// The error that no answer stands for.
pub(super) fn failure(operation: Operation, failure: Failure) -> GraphError {
    let (class, detail, request_id) = match failure {
        Failure::Prerequisite(error) => return error,
        Failure::Withheld(withheld) => (ErrorClass::Withheld(withheld), "", None),
        Failure::NoAnswer { cause, attempt_id } => {
            let (outage, detail) = outage(operation, cause);
            (
                ErrorClass::Unavailable(outage),
                detail,
                Some(attempt_id.to_string()),
            )
        }
    };
    GraphError {
        operation,
        class,
        detail: detail.to_owned(),
        request_id,
    }
}

/// The error that a successful answer stands for when it makes no sense.
pub(super) fn nonsense(operation: Operation, answer: &Answer, detail: &str) -> GraphError {
    GraphError {
        operation,
        class: ErrorClass::Unavailable(Outage::ServerErrors),
        detail: detail.to_owned(),
        request_id: Some(answer.request_id()),
    }
}

fn outage(operation: Operation, cause: NoAnswer) -> (Outage, &'static str) {
    let unreachable = match Group::of(operation) {
        Group::Login => Outage::LoginUnreachable,
        Group::Identity
        | Group::Outlook
        | Group::SubscriptionWrite
        | Group::SubscriptionRead
        | Group::SubscriptionList => Outage::GraphUnreachable,
    };
    match cause {
        NoAnswer::Connect => (unreachable, "no connection"),
        NoAnswer::TimedOut => (unreachable, "no answer in time"),
        NoAnswer::Cut => (unreachable, "the connection broke"),
        NoAnswer::Oversized => (Outage::ServerErrors, "the answer is too long"),
    }
}

/// `error.code` and `error.message`, empty when absent.
#[derive(Debug, Default)]
struct Said {
    code: String,
    message: String,
    /// Whether Graph said it, not a proxy on the way.
    by_graph: bool,
}

impl Said {
    fn of(answer: &Answer) -> Self {
        let body = serde_json::from_slice::<Map<String, Value>>(&answer.body).unwrap_or_default();
        let text = |name: &str| body.get("error")?.get(name)?.as_str();
        let (code, message) = (text("code"), text("message"));
        Self {
            // Every error of Graph has one.
            by_graph: code.is_some() || answer.is_signed(),
            code: code.unwrap_or_default().to_owned(),
            message: message.unwrap_or_default().to_owned(),
        }
    }

    fn detail(&self, status: StatusCode) -> String {
        let code = redact(&self.code);
        let message = redact(&self.message);
        match (code.is_empty(), message.is_empty()) {
            (true, true) => format!("HTTP {}", status.as_u16()),
            (true, false) => format!("HTTP {}: {message}", status.as_u16()),
            (false, true) => format!("HTTP {} {code}", status.as_u16()),
            (false, false) => format!("HTTP {} {code}: {message}", status.as_u16()),
        }
    }
}

fn class_of(operation: Operation, answer: &Answer, said: &Said) -> ErrorClass {
    let status = relayed_status(said).unwrap_or(answer.status);
    if throttles(status) {
        return ErrorClass::Throttled {
            retry_after: answer.retry_after().unwrap_or(DEFAULT_WAIT),
        };
    }
    if !said.by_graph {
        return ErrorClass::Unavailable(Outage::ServerErrors);
    }
    match status {
        StatusCode::UNAUTHORIZED => ErrorClass::Unauthenticated,
        StatusCode::FORBIDDEN => forbidden(said),
        StatusCode::NOT_FOUND | StatusCode::GONE => ErrorClass::NotFound(not_found(said)),
        StatusCode::CONFLICT => duplicate(operation, said),
        StatusCode::BAD_REQUEST => bad_request(operation, said),
        // Seen on reads for no reason (docs/graph.md 7.2), and "try again" by definition.
        StatusCode::PRECONDITION_FAILED | StatusCode::REQUEST_TIMEOUT | StatusCode::LOCKED => {
            ErrorClass::Unavailable(Outage::ServerErrors)
        }
        StatusCode::NOT_IMPLEMENTED => ErrorClass::Rejected,
        status if status.is_client_error() => ErrorClass::Rejected,
        _ => ErrorClass::Unavailable(Outage::ServerErrors),
    }
}

/// The status inside `Operation: Create; Exception: [Status Code: NotFound; Reason: …]`, which Graph relays
/// from Exchange under a status of its own.
fn relayed_status(said: &Said) -> Option<StatusCode> {
    let (_, rest) = said.message.split_once("[Status Code:")?;
    let name = rest.split([';', ']']).next()?.trim();
    match name {
        "BadRequest" => Some(StatusCode::BAD_REQUEST),
        "Unauthorized" => Some(StatusCode::UNAUTHORIZED),
        "Forbidden" => Some(StatusCode::FORBIDDEN),
        "NotFound" => Some(StatusCode::NOT_FOUND),
        "Conflict" => Some(StatusCode::CONFLICT),
        "TooManyRequests" => Some(StatusCode::TOO_MANY_REQUESTS),
        "InternalServerError" => Some(StatusCode::INTERNAL_SERVER_ERROR),
        "BadGateway" => Some(StatusCode::BAD_GATEWAY),
        "ServiceUnavailable" => Some(StatusCode::SERVICE_UNAVAILABLE),
        "GatewayTimeout" => Some(StatusCode::GATEWAY_TIMEOUT),
        _ => None,
    }
}

fn forbidden(said: &Said) -> ErrorClass {
    let message = said.message.to_ascii_lowercase();
    if said.code.eq_ignore_ascii_case("quotaLimitReached")
        || message.contains("maximum number of subscriptions")
        || message.contains("quota")
    {
        return ErrorClass::QuotaExceeded;
    }
    if message.contains("[raop]")
        || message.contains("accesspolicy")
        || message.contains("access to odata is disabled")
    {
        return ErrorClass::Forbidden(Forbidden::AccessPolicy);
    }
    ErrorClass::Forbidden(Forbidden::Denied)
}

fn not_found(said: &Said) -> NotFound {
    let message = said.message.to_ascii_lowercase();
    if said
        .code
        .eq_ignore_ascii_case("MailboxNotEnabledForRESTAPI")
        || message.contains("rest api is not yet supported")
    {
        NotFound::NotEnabledForRest
    } else {
        NotFound::Unknown
    }
}

fn duplicate(operation: Operation, said: &Said) -> ErrorClass {
    if operation == Operation::CreateSubscription {
        ErrorClass::Duplicate {
            existing: first_guid(&said.message).map(SubscriptionId::new),
        }
    } else {
        ErrorClass::Rejected
    }
}

fn bad_request(operation: Operation, said: &Said) -> ErrorClass {
    match said.code.as_str() {
        "ErrorInvalidUser" | "MailboxNotEnabledForRESTAPI" => {
            return ErrorClass::NotFound(not_found(said));
        }
        "ObjectIdentifierInUse" => return duplicate(operation, said),
        _ => {}
    }
    let is_subscription = matches!(
        operation,
        Operation::CreateSubscription | Operation::RenewSubscription
    );
    if !is_subscription {
        return ErrorClass::Rejected;
    }
    let message = said.message.to_ascii_lowercase();
    if message.contains("minutes in the future") || message.contains("beyond allowed max") {
        return ErrorClass::LifetimeTooLong {
            longest: longest_life(&message),
        };
    }
    if said.code == "ValidationError" || message.contains("validation request") {
        let problem = if message.contains("timed out") {
            EndpointProblem::TimedOut
        } else {
            EndpointProblem::Failed
        };
        return ErrorClass::EndpointInvalid(problem);
    }
    ErrorClass::Rejected
}

/// The number before "minutes".
fn longest_life(message: &str) -> Option<Duration> {
    let (before, _) = message.split_once(" minutes")?;
    let minutes: u64 = before.rsplit(' ').next()?.replace(',', "").parse().ok()?;
    Some(Duration::from_mins(minutes.min(1_000_000)))
}
