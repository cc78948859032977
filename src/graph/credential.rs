//! How the application proves who it is. Where the material comes from is not known here.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::{KeyPair, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::BoxFuture;
use jiff::Timestamp;
use jsonwebtoken::EncodingKey;
use sha2::{Digest, Sha256};
use thiserror::Error;
use x509_parser::asn1_rs::{Any, FromDer, OctetString, Sequence};
use x509_parser::pem::Pem;

use crate::secret::Secret;

/// One of the three kinds that Entra accepts from an application.
#[derive(Clone)]
pub enum Credential {
    /// A shared secret.
    ClientSecret(Secret),
    /// A certificate whose public part Entra knows.
    Certificate(CertificateCredential),
    /// A token of somebody whom Entra was told to trust.
    Federated(Arc<dyn AssertionSource>),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientSecret(_) => "ClientSecret(…)",
            Self::Certificate(_) => "Certificate(…)",
            Self::Federated(_) => "Federated(…)",
        })
    }
}

/// Gives tokens of a trusted issuer, such as a cluster's TokenRequest API.
pub trait AssertionSource: Send + Sync {
    /// A token that is valid now. Asked before each token request.
    ///
    /// # Errors
    /// Why there is none.
    fn assertion(&self) -> BoxFuture<'_, Result<Secret, AssertionError>>;
}

/// Why an issuer gives no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssertionError {
    /// We may not ask for one.
    #[error("the API server does not let the operator request tokens of ServiceAccounts here")]
    Forbidden,
    /// A sentence that says what else there is.
    #[error("{0}")]
    Unavailable(String),
}

/// A certificate with its RSA key.
#[derive(Clone)]
pub struct CertificateCredential {
    key: EncodingKey,
    thumbprint: Arc<str>,
    not_after: Timestamp,
}

/// Why a certificate and a key cannot be used.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// No `CERTIFICATE` block.
    #[error("there is no PEM certificate")]
    NoCertificate,
    /// The block is no X.509 certificate.
    #[error("the certificate is no valid X.509 certificate")]
    MalformedCertificate,
    /// No `PRIVATE KEY` or `RSA PRIVATE KEY` block.
    #[error("there is no PEM private key (PKCS#8 or PKCS#1, not encrypted)")]
    NoKey,
    /// Entra signs with RSA only.
    #[error("the private key is no RSA key of at least 2048 bits, which Entra requires")]
    NotRsa,
    /// Certificate and key are of different pairs.
    #[error("the private key does not belong to the certificate")]
    Mismatch,
}

impl CertificateCredential {
    /// Reads the first certificate of `cert_pem` and the key of `key_pem`, as in a `kubernetes.io/tls`
    /// Secret, and checks that they belong together.
    pub fn from_pem(cert_pem: &[u8], key_pem: &[u8]) -> Result<Self, CertificateError> {
        let certificate = block(cert_pem, |label| label == "CERTIFICATE")
            .ok_or(CertificateError::NoCertificate)?;
        let x509 = certificate
            .parse_x509()
            .map_err(|_| CertificateError::MalformedCertificate)?;
        let not_after = Timestamp::from_second(x509.validity().not_after.timestamp())
            .map_err(|_| CertificateError::MalformedCertificate)?;
        let key = block(key_pem, |label| {
            matches!(label, "PRIVATE KEY" | "RSA PRIVATE KEY")
        })
        .ok_or(CertificateError::NoKey)?;
        let pair = match key.label.as_str() {
            "PRIVATE KEY" => RsaKeyPair::from_pkcs8(&key.contents),
            _ => RsaKeyPair::from_der(&key.contents),
        }
        .map_err(|_| CertificateError::NotRsa)?;
        if *pair.public_key().as_ref() != *x509.public_key().subject_public_key.data {
            return Err(CertificateError::Mismatch);
        }
        Ok(Self {
            key: signing(&pair).ok_or(CertificateError::NotRsa)?,
            thumbprint: URL_SAFE_NO_PAD
                .encode(Sha256::digest(&certificate.contents))
                .into(),
            not_after,
        })
    }

    /// When the certificate ends.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// SHA-256 of the certificate, as `x5t#S256` spells it.
    pub(super) fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    pub(super) const fn key(&self) -> &EncodingKey {
        &self.key
    }
}

impl fmt::Debug for CertificateCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateCredential")
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

/// What signs with `pair`. Taken from the pair that was checked, and written anew: nothing else in the file can be taken
/// for the key, and nothing that lies deep in it is read.
fn signing(pair: &RsaKeyPair) -> Option<EncodingKey> {
    let written = pair.as_der().ok()?;
    let (_, pkcs8) = Sequence::from_der(written.as_ref()).ok()?;
    let (rest, _version) = Any::from_der(&pkcs8.content).ok()?;
    let (rest, _algorithm) = Any::from_der(rest).ok()?;
    let (_, pkcs1) = OctetString::from_der(rest).ok()?;
    Some(EncodingKey::from_rsa_der(pkcs1.as_ref()))
}

fn block(pem: &[u8], wanted: impl Fn(&str) -> bool) -> Option<Pem> {
    Pem::iter_from_buffer(pem)
        .map_while(Result::ok)
        .find(|block| wanted(&block.label))
}
