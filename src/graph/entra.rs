//! Entra's token endpoint: the form that is sent, and what its answers mean (docs/graph.md 1).

use http::StatusCode;
use serde::Deserialize;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::graph::call::Answer;
use crate::graph::error::{ErrorClass, GraphError, Outage, TokenRefusal};
use crate::graph::operation::Operation;
use crate::graph::redact::redact;
use crate::secret::Secret;

use std::time::Duration;

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Longer than any token of Entra's lives: 28 hours at most. Whoever believes more cannot calculate with it.
const LONGEST_LIFE: Duration = Duration::from_hours(48);

/// An assertion was outside its validity window: the clocks differ.
pub(super) const CLOCK_SKEW: u32 = 700_024;

/// What accompanies the client id.
pub(super) enum Proof {
    Secret(Secret),
    Assertion(Secret),
}

/// The body of a token request.
pub(super) fn form(client_id: &str, scope: &str, proof: &Proof) -> Secret {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials")
        .append_pair("client_id", client_id)
        .append_pair("scope", scope);
    match proof {
        Proof::Secret(secret) => form.append_pair("client_secret", secret.expose()),
        Proof::Assertion(assertion) => form
            .append_pair("client_assertion_type", JWT_BEARER)
            .append_pair("client_assertion", assertion.expose()),
    };
    Secret::new(form.finish())
}

/// A token, as issued.
#[derive(Debug)]
pub(super) struct Issued {
    pub(super) secret: Secret,
    /// Sorted.
    pub(super) roles: Vec<String>,
    pub(super) expires_in: Duration,
    pub(super) refresh_in: Option<Duration>,
}

#[derive(Deserialize)]
struct TokenBody {
    access_token: String,
    expires_in: u64,
    refresh_in: Option<u64>,
}

/// `None` when the answer contains no token.
pub(super) fn issued(answer: &Answer) -> Option<Issued> {
    let body: TokenBody = serde_json::from_slice(&answer.body).ok()?;
    Some(Issued {
        roles: roles(&body.access_token),
        secret: Secret::new(body.access_token),
        expires_in: Duration::from_secs(body.expires_in).min(LONGEST_LIFE),
        refresh_in: body.refresh_in.map(Duration::from_secs),
    })
}

#[derive(Deserialize)]
struct TokenClaims {
    #[serde(default)]
    roles: Vec<String>,
}

/// The `roles` claim, for explanation only: Graph's tokens are not ours to validate.
fn roles(token: &str) -> Vec<String> {
    let claims = token
        .split('.')
        .nth(1)
        .and_then(|payload| URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok())
        .and_then(|json| serde_json::from_slice::<TokenClaims>(&json).ok());
    let mut roles = claims.map(|claims| claims.roles).unwrap_or_default();
    roles.sort_unstable();
    roles
}

#[derive(Debug, Default, Deserialize)]
struct RefusalBody {
    error: Option<String>,
    #[serde(default)]
    error_description: String,
    #[serde(default)]
    error_codes: Vec<u32>,
}

/// The AADSTS number of a refusal; `None` when the answer is none of Entra's.
pub(super) fn code(answer: &Answer) -> Option<u32> {
    let body: RefusalBody = serde_json::from_slice(&answer.body).ok()?;
    body.error.as_ref()?;
    Some(code_of(&body))
}

fn code_of(body: &RefusalBody) -> u32 {
    let quoted = || {
        let (_, rest) = body.error_description.split_once("AADSTS")?;
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        rest[..digits].parse().ok()
    };
    body.error_codes
        .first()
        .copied()
        .or_else(quoted)
        .unwrap_or(0)
}

/// The error that an answer without a token stands for.
pub(super) fn refusal(answer: &Answer) -> GraphError {
    let body = serde_json::from_slice::<RefusalBody>(&answer.body).unwrap_or_default();
    let error = body.error.as_deref().unwrap_or_default();
    let class = match answer.status {
        StatusCode::TOO_MANY_REQUESTS => ErrorClass::Throttled {
            retry_after: answer.retry_after().unwrap_or(Duration::from_mins(1)),
        },
        status if !status.is_client_error() || error.is_empty() => {
            ErrorClass::Unavailable(Outage::ServerErrors)
        }
        _ if matches!(error, "temporarily_unavailable" | "server_error") => {
            ErrorClass::Unavailable(Outage::ServerErrors)
        }
        _ => ErrorClass::Token(refusal_of(code_of(&body))),
    };
    GraphError {
        operation: Operation::Token,
        class,
        detail: detail(answer.status, error, &body.error_description),
        request_id: Some(answer.request_id()),
    }
}

fn detail(status: StatusCode, error: &str, description: &str) -> String {
    let said = if description.is_empty() {
        error
    } else {
        description
    };
    match redact(said) {
        said if said.is_empty() => format!("HTTP {}", status.as_u16()),
        said => said,
    }
}

const fn refusal_of(code: u32) -> TokenRefusal {
    match code {
        7_000_215 => TokenRefusal::InvalidClientSecret,
        7_000_222 => TokenRefusal::ClientSecretExpired,
        700_027 | 50_012 => TokenRefusal::CertificateRejected { clock: false },
        CLOCK_SKEW => TokenRefusal::CertificateRejected { clock: true },
        70_021 | 700_211 | 700_212 | 700_213 | 7_002_137 | 7_002_138 => {
            TokenRefusal::FederationRejected
        }
        700_016 => TokenRefusal::ApplicationNotFound,
        7_000_112 => TokenRefusal::ApplicationDisabled,
        90_002 | 900_023 => TokenRefusal::TenantNotFound,
        53_003 => TokenRefusal::BlockedByPolicy,
        code => TokenRefusal::Rejected { code },
    }
}
