//! What travels through the layers: one call down, one answer or failure up.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use url::Url;
use uuid::Uuid;

use crate::graph::error::{GraphError, Withheld};
use crate::graph::operation::Operation;
use crate::graph::shared::Shared;
use crate::secret::Secret;

/// Makes a `tower::Service` of a layer that has `async fn send(self, call: Call) -> Outcome` and is always ready.
macro_rules! layer {
    ($layer:ty) => {
        impl tower::Service<$crate::graph::call::Call> for $layer {
            type Response = $crate::graph::call::Answer;
            type Error = $crate::graph::call::Failure;
            type Future = futures::future::BoxFuture<'static, $crate::graph::call::Outcome>;

            fn poll_ready(
                &mut self,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Result<(), Self::Error>> {
                std::task::Poll::Ready(Ok(()))
            }

            fn call(&mut self, call: $crate::graph::call::Call) -> Self::Future {
                Box::pin(self.clone().send(call))
            }
        }
    };
}
pub(super) use layer;

/// One call to Graph or Entra, however many attempts it takes.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) operation: Operation,
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) body: Body,
    /// Set by the `authorized` layer.
    pub(super) bearer: Option<Secret>,
    /// The mailbox whose share of calls this takes, if any: its id or address.
    pub(super) mailbox: Option<Arc<str>>,
    /// No waiting beyond this instant.
    pub(super) until: Instant,
    /// One attempt, whatever comes of it.
    pub(super) once: bool,
    /// `client-request-id` of the attempt.
    pub(super) attempt_id: Uuid,
    /// Budgets, holds and limits of the application in the tenant.
    pub(super) shared: Arc<Shared>,
    /// Metric label of the tenant.
    pub(super) label: Arc<str>,
}

#[derive(Clone)]
pub(super) enum Body {
    Empty,
    Json(Arc<str>),
    /// A form with a credential in it.
    Form(Secret),
}

impl Call {
    /// How long this call may still wait.
    pub(super) fn patience_left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("operation", &self.operation)
            .field("attempt_id", &self.attempt_id)
            .finish_non_exhaustive()
    }
}

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// When it had arrived, on our clock.
    pub(super) received_at: Timestamp,
    /// `client-request-id` that was sent.
    pub(super) attempt_id: Uuid,
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// We did not ask.
    Withheld(Withheld),
    /// We asked in vain.
    NoAnswer { cause: NoAnswer, attempt_id: Uuid },
    /// Another call had to succeed first (a token) and did not.
    Prerequisite(GraphError),
}

/// How a request got lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// No connection: the request was never sent.
    Connect,
    /// Out of time: the request may have been carried out.
    TimedOut,
    /// The connection broke: the request may have been carried out.
    Cut,
    /// The answer was longer than any that we expect.
    Oversized,
}

impl NoAnswer {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::TimedOut => "timeout",
            Self::Cut => "cut",
            Self::Oversized => "oversized",
        }
    }
}

/// What every layer returns.
pub(super) type Outcome = Result<Answer, Failure>;

/// The longest `Retry-After` that is believed.
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);

/// Longest id of a request, in bytes; Microsoft's are GUIDs.
const LONGEST_ID: usize = 48;

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The service's clock when it answered.
    pub(super) fn date(&self) -> Option<Timestamp> {
        parse_http_date(self.header("date")?)
    }

    /// `Retry-After`, in seconds or as a date, capped at an hour.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let now = self.date().unwrap_or(self.received_at);
        parse_retry_after(self.header("retry-after")?, now)
    }

    /// Microsoft's id of the request, or ours when it names none, or something that looks like no id: it is shown.
    pub(super) fn request_id(&self) -> String {
        let is_plain = |id: &&str| {
            let mut bytes = id.bytes();
            id.len() <= LONGEST_ID && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        ["request-id", "x-ms-request-id"]
            .into_iter()
            .find_map(|name| self.header(name).filter(is_plain))
            .map_or_else(|| self.attempt_id.to_string(), str::to_owned)
    }

    /// Whether Graph's own id of the request is there: a sign that no proxy answered in its place.
    pub(super) fn is_signed(&self) -> bool {
        self.headers.contains_key("request-id") || self.headers.contains_key("x-ms-request-id")
    }
}

fn parse_http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(text.trim())
        .ok()
}

fn parse_retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => Duration::MAX,
        Err(_) => {
            let wait: SignedDuration = parse_http_date(text)?.duration_since(now);
            Duration::try_from(wait).unwrap_or(Duration::ZERO)
        }
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let now: Timestamp = "2026-11-24T08:00:00Z".parse().unwrap();
        for (text, seconds) in [
            ("30", Some(30)),
            (" 0 ", Some(0)),
            ("Tue, 24 Nov 2026 08:00:45 GMT", Some(45)),
            ("Tue, 24 Nov 2026 07:59:00 GMT", Some(0)),
            ("86400", Some(3600)),
            ("99999999999999999999999", Some(3600)),
            ("-5", None),
            ("soon", None),
            ("", None),
        ] {
            let expected = seconds.map(Duration::from_secs);
            assert_eq!(parse_retry_after(text, now), expected, "{text:?}");
        }
    }
}
