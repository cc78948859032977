//! How Graph refuses: status, code and message, in the words of `error.code` that clients branch on.

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::call::{Answer, Content};

/// Why a call has no good answer.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    /// Graph refuses it.
    Graph(GraphError),
    /// Graph might accept it, and the emulator does not imitate it.
    NotImitated(String),
}

#[derive(Clone, Debug)]
pub(crate) struct GraphError {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) retry_after: Option<u64>,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// Further members of `error`.
    pub(crate) details: Vec<(&'static str, Value)>,
}

impl From<GraphError> for Refusal {
    fn from(error: GraphError) -> Self {
        Self::Graph(error)
    }
}

/// A refusal with this status, code and message.
pub(crate) fn error(
    status: u16,
    code: impl Into<String>,
    message: impl Into<String>,
) -> GraphError {
    GraphError {
        status,
        code: code.into(),
        message: message.into(),
        retry_after: None,
        headers: Vec::new(),
        details: Vec::new(),
    }
}

pub(crate) fn not_imitated(what: impl Into<String>) -> Refusal {
    Refusal::NotImitated(what.into())
}

pub(crate) fn bad_request(message: impl Into<String>) -> GraphError {
    error(400, "BadRequest", message)
}

pub(crate) fn unreadable_body() -> GraphError {
    bad_request(
        "Unable to read JSON request payload. Please ensure Content-Type header is set and payload \
         is of valid JSON format.",
    )
}

/// 401 of the front door.
pub(crate) fn unauthenticated(message: &str) -> GraphError {
    let mut refused = error(401, "InvalidAuthenticationToken", message);
    let challenge = "Bearer realm=\"\", authorization_uri=\"https://login.microsoftonline.com/\
                     common/oauth2/authorize\", client_id=\"00000003-0000-0000-c000-000000000000\"";
    refused
        .headers
        .push(("www-authenticate", challenge.to_owned()));
    refused
}

/// A missing role, as the directory says it.
pub(crate) fn insufficient_privileges() -> GraphError {
    error(
        403,
        "Authorization_RequestDenied",
        "Insufficient privileges to complete the operation.",
    )
}

/// A missing role, as Exchange says it.
pub(crate) fn access_denied() -> GraphError {
    error(
        403,
        "ErrorAccessDenied",
        "Access is denied. Check credentials and try again.",
    )
}

/// A mailbox outside the application access policy.
pub(crate) fn blocked_by_access_policy() -> GraphError {
    error(
        403,
        "ErrorAccessDenied",
        "Access to OData is disabled: [RAOP] : Blocked by tenant configured AppOnly AccessPolicy \
         settings.",
    )
}

pub(crate) fn resource_not_found(name: &str) -> GraphError {
    error(
        404,
        "Request_ResourceNotFound",
        format!(
            "Resource '{name}' does not exist or one of its queried reference-property objects are \
             not present."
        ),
    )
}

pub(crate) fn invalid_user(name: &str) -> GraphError {
    error(
        404,
        "ErrorInvalidUser",
        format!("The requested user '{name}' is invalid."),
    )
}

pub(crate) fn item_not_found() -> GraphError {
    error(
        404,
        "ErrorItemNotFound",
        "The specified object was not found in the store.",
    )
}

/// A quota of Graph's own.
pub(crate) fn too_many_requests(retry_after: u64) -> GraphError {
    let mut refused = error(429, "TooManyRequests", "Please retry again later.");
    refused.retry_after = Some(retry_after);
    refused
}

/// A limit of Exchange on one mailbox.
pub(crate) fn application_throttled(limit: &str, retry_after: u64) -> GraphError {
    let message = format!("Application is over its {limit} limit.");
    let mut refused = error(429, "ApplicationThrottled", message);
    refused.retry_after = Some(retry_after);
    refused
}

/// An answer relayed from Exchange by the subscription service.
pub(crate) fn relayed(operation: &str, status: u16, name: &str, reason: &str) -> GraphError {
    error(
        status,
        "ExtensionError",
        format!("Operation: {operation}; Exception: [Status Code: {name}; Reason: {reason}]"),
    )
}

/// What every error tells about its request.
#[derive(Clone, Debug)]
pub(crate) struct Inner<'a> {
    pub(crate) now: Timestamp,
    pub(crate) request_id: &'a str,
    pub(crate) client_request_id: &'a str,
}

impl Inner<'_> {
    fn json(&self) -> Value {
        let date = self.now.strftime("%Y-%m-%dT%H:%M:%S").to_string();
        json!({
            "date": date,
            "request-id": self.request_id,
            "client-request-id": self.client_request_id,
        })
    }
}

impl Refusal {
    pub(crate) fn into_answer(self, inner: &Inner<'_>) -> Answer {
        match self {
            Self::Graph(error) => error.into_answer(inner),
            Self::NotImitated(what) => {
                let message = format!("The emulator does not imitate this: {what}.");
                let mut answer = error(501, "NotImplemented", message).into_answer(inner);
                answer.note = Some(what);
                answer
            }
        }
    }
}

impl GraphError {
    pub(crate) fn into_answer(self, inner: &Inner<'_>) -> Answer {
        let mut details = inner.json();
        if self.status == 429 && self.code == "TooManyRequests" {
            details["code"] = "429".into();
            details["message"] = "Please retry after".into();
            details["status"] = "429".into();
        }
        let mut body = json!({
            "error": {"code": self.code, "message": self.message, "innerError": details}
        });
        for (name, value) in self.details {
            body["error"][name] = value;
        }
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut answer = Answer::new(status, Content::Json(body));
        if let Some(seconds) = self.retry_after {
            answer.set("retry-after", &seconds.to_string());
        }
        for (name, value) in self.headers {
            answer.set(name, &value);
        }
        answer
    }
}
