//! Assertions of other issuers: a token of a workload that a federated credential trusts.

use std::time::Duration;

use axum::body::Bytes;
use http::Request;
use jiff::Timestamp;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

use super::certificate::{Claims, verify};
use super::error::{EntraError, invalid_client, invalid_request, malformed_assertion};
use crate::outgoing::{Outgoing, ask};
use crate::world::{Application, FederatedCredential};

const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// No more of an issuer's answer is read.
const LONGEST_KEYS: usize = 1024 * 1024;

/// Tokens of Entra itself are no proof for Entra.
const ENTRA_ISSUERS: &[&str] = &[
    "https://sts.windows.net/",
    "https://login.microsoftonline.com/",
    "https://login.microsoftonline.us/",
    "https://login.chinacloudapi.cn/",
];

/// Entra keeps no more of an issuer's keys.
const KEYS_KEPT: usize = 100;

/// Refuses an assertion that no federated credential of the application trusts.
pub(super) async fn check(
    outgoing: &Outgoing,
    assertion: &str,
    claims: &Claims,
    application: &Application,
    now: Timestamp,
) -> Result<(), EntraError> {
    let header = jsonwebtoken::decode_header(assertion).map_err(|_| malformed_assertion())?;
    if header.alg != Algorithm::RS256 {
        return Err(malformed_assertion());
    }
    if ENTRA_ISSUERS.iter().any(|own| claims.iss.starts_with(own)) {
        let text = "AAD-issued tokens may not be used for federated identity flows.";
        return Err(invalid_request(700_222, text));
    }
    let credential = matching(claims, &application.federated)?;
    let keys = keys(outgoing, credential).await?;
    let candidates = keys
        .keys
        .iter()
        .take(KEYS_KEPT)
        .filter(|key| match &header.kid {
            Some(kid) => key.common.key_id.as_ref() == Some(kid),
            None => true,
        });
    if !candidates.into_iter().any(|key| signed_by(assertion, key)) {
        return Err(invalid_client(
            700_027,
            "Client assertion failed signature validation. [Reason - The key was not found.]",
        ));
    }
    claims.check_time(now)
}

fn signed_by(assertion: &str, key: &Jwk) -> bool {
    DecodingKey::from_jwk(key).is_ok_and(|key| verify(assertion, &key, Algorithm::RS256).is_ok())
}

/// The credential with this issuer, subject and audience, byte for byte.
fn matching<'a>(
    claims: &Claims,
    credentials: &'a [FederatedCredential],
) -> Result<&'a FederatedCredential, EntraError> {
    let audiences = claims.aud.all();
    if credentials.is_empty() {
        return Err(invalid_request(
            70_021,
            format!(
                "No matching federated identity record found for presented assertion. Assertion \
                 Issuer: '{}'. Assertion Subject: '{}'. Assertion Audience: '{}'.",
                claims.iss,
                claims.sub,
                audiences.join(", ")
            ),
        ));
    }
    let of_issuer: Vec<_> = credentials
        .iter()
        .filter(|one| one.issuer == claims.iss)
        .collect();
    if of_issuer.is_empty() {
        return Err(unmatched(700_211, "issuer", &claims.iss));
    }
    let of_subject: Vec<_> = of_issuer
        .iter()
        .filter(|one| one.subject == claims.sub)
        .collect();
    if of_subject.is_empty() {
        let but_for_case =
            |one: &&FederatedCredential| one.subject.eq_ignore_ascii_case(&claims.sub);
        let code = if of_issuer.iter().any(but_for_case) {
            7_002_138
        } else {
            700_213
        };
        return Err(unmatched(code, "subject", &claims.sub));
    }
    of_subject
        .into_iter()
        .find(|one| audiences.contains(&one.audience))
        .copied()
        .ok_or_else(|| unmatched(700_212, "audience", &audiences.join(", ")))
}

fn unmatched(code: u32, what: &str, presented: &str) -> EntraError {
    invalid_client(
        code,
        format!(
            "No matching federated identity record found for presented assertion {what} \
             '{presented}'. Check your federated identity credential Subject, Audience and Issuer \
             against the presented assertion. Please note that the matching is done using a \
             case-sensitive comparison."
        ),
    )
}

/// An issuer's keys, from the JSON of a JWKS.
pub(crate) fn key_set(keys: Value) -> Result<JwkSet, String> {
    serde_json::from_value(keys).map_err(|error| format!("it is not a JWKS: {error}"))
}

/// An issuer's keys, from the text of a JWKS.
pub(crate) fn key_set_of_text(text: &str) -> Result<JwkSet, String> {
    serde_json::from_str(text).map_err(|error| format!("it is not a JWKS: {error}"))
}

async fn keys(outgoing: &Outgoing, credential: &FederatedCredential) -> Result<JwkSet, EntraError> {
    let found = match (&credential.jwks, &credential.jwks_file) {
        (Some(keys), _) => key_set(keys.clone()),
        (None, Some(file)) => tokio::fs::read_to_string(file)
            .await
            .map_err(|error| error.to_string())
            .and_then(|text| key_set_of_text(&text)),
        (None, None) => {
            let keys = discovered(outgoing, &credential.issuer).await;
            keys.and_then(key_set)
        }
    };
    found.map_err(|error| {
        tracing::warn!(issuer = credential.issuer, %error, "the issuer's keys are not readable");
        invalid_request(90_061, "Request to External OIDC endpoint failed.")
    })
}

async fn discovered(outgoing: &Outgoing, issuer: &str) -> Result<Value, String> {
    let issuer = issuer.trim_end_matches('/');
    let configuration = fetch(
        outgoing,
        &format!("{issuer}/.well-known/openid-configuration"),
    )
    .await?;
    let keys = configuration["jwks_uri"]
        .as_str()
        .ok_or("the discovery document has no jwks_uri")?;
    fetch(outgoing, keys).await
}

async fn fetch(outgoing: &Outgoing, url: &str) -> Result<Value, String> {
    let request = Request::get(url).body(Bytes::new());
    let request = request.map_err(|error| error.to_string())?;
    let fetched = async {
        let answer = ask(outgoing, request, FETCH_TIMEOUT).await;
        let answer = answer.map_err(|why| format!("{why:?}"))?;
        if !answer.status().is_success() {
            return Err(format!("the answer is {}", answer.status()));
        }
        let body = axum::body::to_bytes(answer.into_body(), LONGEST_KEYS).await;
        body.map_err(|error| error.to_string())
    };
    let body = tokio::time::timeout(FETCH_TIMEOUT, fetched)
        .await
        .map_err(|error| error.to_string())??;
    serde_json::from_slice(&body).map_err(|error| error.to_string())
}
