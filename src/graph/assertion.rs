//! The signed JWT that proves possession of a certificate (docs/graph.md 1.2).

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, Header};
use serde::Serialize;
use uuid::Uuid;

use crate::graph::credential::CertificateCredential;
use crate::secret::Secret;

const LIFETIME: SignedDuration = SignedDuration::from_mins(10);

#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    iss: &'a str,
    sub: &'a str,
    jti: Uuid,
    iat: i64,
    nbf: i64,
    exp: i64,
}

/// A fresh assertion for the token endpoint `audience`, valid for ten minutes from `now` on.
pub(super) fn sign(
    credential: &CertificateCredential,
    client_id: &str,
    audience: &str,
    now: Timestamp,
) -> Result<Secret, jsonwebtoken::errors::Error> {
    let mut header = Header::new(Algorithm::PS256);
    header.x5t_s256 = Some(credential.thumbprint().to_owned());
    let claims = Claims {
        aud: audience,
        iss: client_id,
        sub: client_id,
        jti: Uuid::new_v4(),
        iat: now.as_second(),
        nbf: now.as_second(),
        exp: now.as_second() + LIFETIME.as_secs(),
    };
    jsonwebtoken::encode(&header, &claims, credential.key()).map(Secret::new)
}
