//! Assertions that an application signs with its certificate: PS256 with `x5t#S256`, RS256 with `x5t`.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use x509_parser::public_key::PublicKey;

use super::error::{EntraError, invalid_client, malformed_assertion};
use crate::world::Application;

/// How far clocks may disagree.
const TOLERANCE: i64 = 300;

/// The claims of an assertion, unchecked.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Claims {
    pub(super) iss: String,
    #[serde(default)]
    pub(super) sub: String,
    #[serde(default)]
    pub(super) aud: Audience,
    #[serde(default)]
    pub(super) nbf: Option<f64>,
    #[serde(default)]
    pub(super) exp: Option<f64>,
}

/// One audience or several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Default for Audience {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

impl Audience {
    pub(super) fn all(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Several(several) => several,
        }
    }
}

impl Claims {
    pub(super) fn read(assertion: &str) -> Result<Self, EntraError> {
        jsonwebtoken::dangerous::insecure_decode_claims(assertion)
            .map_err(|_| malformed_assertion())
    }

    /// Signed by an application for itself, not by an issuer for a workload.
    pub(super) fn is_own(&self) -> bool {
        self.iss == self.sub
    }

    /// Refuses outside the validity period.
    pub(crate) fn check_time(&self, now: Timestamp) -> Result<(), EntraError> {
        #[expect(clippy::cast_possible_truncation, reason = "seconds since 1970 fit")]
        let seconds = |claim: f64| claim as i64;
        let from = self.nbf.map(seconds);
        let until = self.exp.map(seconds);
        let at = now.as_second();
        let early = from.is_some_and(|from| at < from.saturating_sub(TOLERANCE));
        let late = until.is_none_or(|until| at > until.saturating_add(TOLERANCE));
        if !early && !late {
            return Ok(());
        }
        let shown = |seconds: Option<i64>| {
            seconds
                .and_then(|seconds| Timestamp::from_second(seconds).ok())
                .map_or_else(
                    || "0001-01-01T00:00:00.0000000Z".to_owned(),
                    |instant| instant.strftime("%Y-%m-%dT%H:%M:%S.0000000Z").to_string(),
                )
        };
        Err(invalid_client(
            700_024,
            format!(
                "Client assertion is not within its valid time range. Current time: {}, assertion \
                 valid from {}, expiry time of assertion {}. Review the documentation at \
                 https://learn.microsoft.com/entra/identity-platform/certificate-credentials .",
                now.strftime("%Y-%m-%dT%H:%M:%S.%7fZ"),
                shown(from),
                shown(until),
            ),
        ))
    }
}

/// A certificate as assertions name it, and what checks them.
pub(crate) struct KnownCertificate {
    sha1: [u8; 20],
    sha256: [u8; 32],
    /// Seconds since 1970.
    valid_until: i64,
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

impl KnownCertificate {
    /// Reads a certificate with an RSA key.
    pub(crate) fn of_pem(pem: &str) -> Result<Self, String> {
        let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes())
            .map_err(|error| format!("it is not PEM: {error}"))?;
        let certificate = pem
            .parse_x509()
            .map_err(|error| format!("it is not a certificate: {error}"))?;
        match certificate.public_key().parsed() {
            Ok(PublicKey::RSA(key)) => Ok(Self {
                sha1: Sha1::digest(&pem.contents).into(),
                sha256: Sha256::digest(&pem.contents).into(),
                valid_until: certificate.validity().not_after.timestamp(),
                modulus: without_leading_zeros(key.modulus),
                exponent: without_leading_zeros(key.exponent),
            }),
            Ok(_) | Err(_) => Err("its key is not RSA, which Entra requires".to_owned()),
        }
    }
}

/// A certificate as an app registration shows it.
pub(crate) struct Described {
    /// SHA-1, in upper-case hexadecimal digits.
    pub(crate) thumbprint: String,
    pub(crate) subject: String,
    pub(crate) not_before: String,
    pub(crate) not_after: String,
    pub(crate) der: Vec<u8>,
}

impl Described {
    /// Reads a certificate that a world was not refused for.
    pub(crate) fn of_pem(pem: &str) -> Option<Self> {
        let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok()?;
        let certificate = pem.parse_x509().ok()?;
        let instant = |seconds: i64| Timestamp::from_second(seconds).ok();
        let validity = certificate.validity();
        let digits = Sha1::digest(&pem.contents);
        Some(Self {
            thumbprint: hexadecimal(&digits),
            subject: certificate.subject().to_string(),
            not_before: instant(validity.not_before.timestamp())?.to_string(),
            not_after: instant(validity.not_after.timestamp())?.to_string(),
            der: pem.contents.clone(),
        })
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let halves = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = halves.filter_map(|half| char::from_digit(half.into(), 16));
    digits.map(|digit| digit.to_ascii_uppercase()).collect()
}

fn without_leading_zeros(number: &[u8]) -> Vec<u8> {
    number
        .iter()
        .copied()
        .skip_while(|byte| *byte == 0)
        .collect()
}

fn thumbprint(text: &str) -> Option<Vec<u8>> {
    let plain = text.trim_end_matches('=');
    URL_SAFE_NO_PAD
        .decode(plain)
        .or_else(|_| STANDARD.decode(text))
        .ok()
}

/// Refuses an assertion that no certificate of the application signed, or whose claims are wrong.
pub(super) fn check(
    assertion: &str,
    claims: &Claims,
    application: &Application,
    audiences: &[String],
    now: Timestamp,
) -> Result<(), EntraError> {
    let header = jsonwebtoken::decode_header(assertion).map_err(|_| malformed_assertion())?;
    if !matches!(header.alg, Algorithm::PS256 | Algorithm::RS256) {
        return Err(malformed_assertion());
    }
    let named = header.x5t_s256.as_deref().or(header.x5t.as_deref());
    let named = named.and_then(thumbprint).unwrap_or_default();
    let certificate = application
        .certificates
        .iter()
        .filter_map(|certificate| KnownCertificate::of_pem(&certificate.pem).ok())
        .find(|known| named == known.sha256 || named == known.sha1)
        .ok_or_else(|| not_registered("The key was not found.", &named, application))?;
    let key = DecodingKey::from_rsa_raw_components(&certificate.modulus, &certificate.exponent);
    verify(assertion, &key, header.alg).map_err(|()| {
        let reason = "Key was found, but use of the key to verify the signature failed.";
        not_registered(reason, &named, application)
    })?;
    if now.as_second() > certificate.valid_until {
        return Err(not_registered(
            "The key used is expired.",
            &named,
            application,
        ));
    }
    if claims.iss != application.client_id || claims.sub != application.client_id {
        return Err(invalid_client(
            700_021,
            "Client assertion application identifier doesn't match 'client_id' parameter.",
        ));
    }
    if !claims
        .aud
        .all()
        .iter()
        .any(|audience| audiences.contains(audience))
    {
        return Err(invalid_client(
            700_023,
            "Client assertion audience claim does not match Realm issuer.",
        ));
    }
    claims.check_time(now)
}

fn not_registered(reason: &str, named: &[u8], application: &Application) -> EntraError {
    let hex = named
        .iter()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02X}"));
    let client_id = &application.client_id;
    invalid_client(
        700_027,
        format!(
            "The certificate with identifier used to sign the client assertion is not registered on \
             application. [Reason - {reason}, Thumbprint of key used by client: '{hex}', Please \
             visit the Azure Portal, Graph Explorer or directly use MS Graph to see configured keys \
             for app Id '{client_id}'.]"
        ),
    )
}

/// Checks the signature alone.
pub(super) fn verify(assertion: &str, key: &DecodingKey, algorithm: Algorithm) -> Result<(), ()> {
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    jsonwebtoken::decode::<serde_json::Value>(assertion, key, &validation)
        .map(drop)
        .map_err(drop)
}
