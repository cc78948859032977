//! Tokens that come back to Graph: signature, time and audience.

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, Validation};
use serde::Deserialize;

use super::keys::signing_key;
use super::token::is_graph;
use crate::call::Call;
use crate::graph::access::Caller;
use crate::graph::error::{GraphError, unauthenticated};

#[derive(Deserialize)]
struct Claims {
    aud: String,
    nbf: i64,
    exp: i64,
    appid: String,
    tid: String,
    oid: String,
    #[serde(default)]
    roles: Vec<String>,
}

/// Who calls, by the token in `Authorization`.
pub(crate) fn caller(call: &Call, now: Timestamp) -> Result<Caller, GraphError> {
    let header = call.header("authorization").unwrap_or_default();
    let token = match header.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        Some(_) | None => "",
    };
    if token.is_empty() {
        return Err(unauthenticated("Access token is empty."));
    }
    let mut validation = Validation::new(Algorithm::RS256);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let claims: Claims = jsonwebtoken::decode(token, &signing_key().verify, &validation)
        .map_err(|_| unauthenticated("Access token validation failure. Invalid signature."))?
        .claims;
    let seconds = now.as_second();
    if seconds >= claims.exp {
        return Err(unauthenticated(
            "Lifetime validation failed, the token is expired.",
        ));
    }
    if seconds < claims.nbf {
        return Err(unauthenticated(
            "Access token has expired or is not yet valid.",
        ));
    }
    if !is_graph(&claims.aud, &call.base) {
        return Err(unauthenticated(
            "Access token validation failure. Invalid audience.",
        ));
    }
    Ok(Caller {
        tenant: claims.tid,
        client_id: claims.appid,
        principal_id: claims.oid,
        roles: claims.roles,
    })
}
