//! How Entra refuses a token: an OAuth error with an AADSTS code (docs/graph.md 1.7).

use http::StatusCode;
use serde_json::json;

use crate::call::{Answer, Content};
use crate::core::Trace;
use crate::graph::error::not_imitated;

/// Why there is no token.
#[derive(Clone, Debug)]
pub(crate) enum TokenRefusal {
    Entra(EntraError),
    NotImitated(String),
}

impl From<EntraError> for TokenRefusal {
    fn from(error: EntraError) -> Self {
        Self::Entra(error)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EntraError {
    pub(crate) status: u16,
    pub(crate) error: &'static str,
    pub(crate) code: u32,
    pub(crate) text: String,
}

const fn refusal(status: u16, error: &'static str, code: u32, text: String) -> EntraError {
    EntraError {
        status,
        error,
        code,
        text,
    }
}

/// 401 `invalid_client`: the credential is at fault.
pub(crate) fn invalid_client(code: u32, text: impl Into<String>) -> EntraError {
    refusal(401, "invalid_client", code, text.into())
}

pub(crate) fn invalid_request(code: u32, text: impl Into<String>) -> EntraError {
    refusal(400, "invalid_request", code, text.into())
}

pub(crate) fn missing_parameter(name: &str) -> EntraError {
    let text = format!("The request body must contain the following parameter: '{name}'.");
    invalid_request(900_144, text)
}

pub(crate) fn tenant_not_found(name: &str) -> EntraError {
    invalid_request(
        90_002,
        format!(
            "Tenant '{name}' not found. Check to make sure you have the correct tenant ID and are \
             signing into the correct cloud. Check with your subscription administrator, this may \
             happen if there are no active subscriptions for the tenant."
        ),
    )
}

pub(crate) fn application_not_found(client_id: &str, tenant: &str) -> EntraError {
    refusal(
        400,
        "unauthorized_client",
        700_016,
        format!(
            "Application with identifier '{client_id}' was not found in the directory '{tenant}'. \
             This can happen if the application has not been installed by the administrator of the \
             tenant or consented to by any user in the tenant. You may have sent your authentication \
             request to the wrong tenant."
        ),
    )
}

pub(crate) fn application_disabled(client_id: &str, name: &str) -> EntraError {
    refusal(
        401,
        "unauthorized_client",
        7_000_112,
        format!("Application '{client_id}'({name}) is disabled."),
    )
}

pub(crate) fn blocked_by_policy() -> EntraError {
    refusal(
        400,
        "invalid_grant",
        53_003,
        "Access has been blocked by Conditional Access policies. The access policy does not allow \
         token issuance."
            .to_owned(),
    )
}

pub(crate) fn wrong_secret(client_id: &str) -> EntraError {
    invalid_client(
        7_000_215,
        format!(
            "Invalid client secret provided. Ensure the secret being sent in the request is the \
             client secret value, not the client secret ID, for a secret added to app '{client_id}'."
        ),
    )
}

pub(crate) fn expired_secret(client_id: &str) -> EntraError {
    invalid_client(
        7_000_222,
        format!(
            "The provided client secret keys for app '{client_id}' are expired. Visit the Azure \
             portal to create new keys for your app: https://aka.ms/NewClientSecret, or consider \
             using certificate credentials for added security: https://aka.ms/certCreds."
        ),
    )
}

pub(crate) fn no_credential() -> EntraError {
    invalid_client(
        7_000_218,
        "The request body must contain the following parameter: 'client_assertion' or \
         'client_secret'.",
    )
}

pub(crate) fn unsupported_grant(name: &str) -> EntraError {
    refusal(
        400,
        "unsupported_grant_type",
        70_003,
        format!("The app requested an unsupported grant type '{name}'."),
    )
}

pub(crate) fn invalid_scope(scope: &str) -> EntraError {
    refusal(
        400,
        "invalid_scope",
        70_011,
        format!(
            "The provided request must include a 'scope' input parameter. The provided value for \
             the input parameter 'scope' is not valid. The scope {scope} is not valid."
        ),
    )
}

pub(crate) fn unknown_resource(resource: &str, tenant: &str) -> EntraError {
    refusal(
        400,
        "invalid_resource",
        500_011,
        format!(
            "The resource principal named {resource} was not found in the tenant named {tenant}. \
             This can happen if the application has not been installed by the administrator of the \
             tenant or consented to by any user in the tenant. You might have sent your \
             authentication request to the wrong tenant."
        ),
    )
}

pub(crate) fn malformed_assertion() -> EntraError {
    invalid_request(50_027, "JWT token is invalid or malformed.")
}

impl TokenRefusal {
    pub(crate) fn into_answer(self, call_base: &str, trace: &Trace) -> Answer {
        match self {
            Self::Entra(error) => error.into_answer(call_base, trace),
            Self::NotImitated(what) => not_imitated(what).into_answer(&trace.inner()),
        }
    }
}

impl EntraError {
    pub(crate) fn into_answer(self, call_base: &str, trace: &Trace) -> Answer {
        let timestamp = trace.time.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
        let (trace_id, correlation_id) = (&trace.request_id, &trace.client_request_id);
        let description = format!(
            "AADSTS{}: {}\r\nTrace ID: {trace_id}\r\nCorrelation ID: {correlation_id}\r\n\
             Timestamp: {timestamp}",
            self.code, self.text
        );
        let body = json!({
            "error": self.error,
            "error_description": description,
            "error_codes": [self.code],
            "timestamp": timestamp,
            "trace_id": trace_id,
            "correlation_id": correlation_id,
            "error_uri": format!("{call_base}error?code={}", self.code),
        });
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Answer::new(status, Content::Json(body))
    }
}
