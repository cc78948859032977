//! From a tenant's spec to the credential that its owner offers: Secrets and ServiceAccounts of the tenant's own
//! namespace, read when they are needed and never kept. Where they lie is behind [`Offers`]: the cluster, or the files
//! of somebody who has none yet.
//!
//! What is wrong with them is a value, not an error. Nothing here logs or formats what a Secret holds.

use std::fmt;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Secret as SecretObject, ServiceAccount};
use kube::api::{Api, ObjectMeta, PostParams};
use sha2::{Digest, Sha256};
use x509_parser::pem::Pem;

use crate::api::v1alpha1::{CLIENT_ID_ANNOTATION, CREDENTIAL_LABEL};
use crate::api_server::in_time;
use crate::controller::translate::cloud;
use crate::domain::reading::{Outage, OutageKind};
use crate::domain::tenant::credential::{CredentialProblem, CredentialReading};
use crate::domain::tenant::desired::{CredentialSource, TenantDesired};
use crate::graph::credential::{
    AssertionError, AssertionSource, CertificateCredential, CertificateError, Credential,
};
use crate::ids::ObjectKey;
use crate::plain::Causes;
use crate::secret::Secret;

/// The API server's answer to what our Roles do not permit.
const FORBIDDEN: u16 = 403;

/// Keys of a `kubernetes.io/tls` Secret.
const CERTIFICATE_KEY: &str = "tls.crt";
const PRIVATE_KEY_KEY: &str = "tls.key";

/// How long a ServiceAccount's token is asked for: the shortest that the API server grants.
const ASSERTION_SECONDS: i64 = 600;

/// A credential that can be used, and when it ends.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// For the gateway.
    pub credential: Credential,
    /// When it ends, if that is known.
    pub expires_at: Option<Timestamp>,
    /// Differs from that of any other credential, and tells nothing about it.
    pub fingerprint: [u8; 32],
}

/// Why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// It is there but cannot be used, or is not there.
    Problem(CredentialProblem),
    /// The API server did not say.
    Unavailable(Outage),
}

impl Unresolved {
    /// As the decisions see it.
    #[must_use]
    pub fn reading(self) -> CredentialReading {
        match self {
            Self::Problem(problem) => CredentialReading::Problem(problem),
            Self::Unavailable(outage) => CredentialReading::Unavailable(outage),
        }
    }
}

/// Where Secrets and ServiceAccounts lie.
pub trait Offers: Send + Sync {
    /// A Secret; none when there is none of this name.
    ///
    /// # Errors
    /// Nobody could say.
    fn secret<'a>(
        &'a self,
        key: &'a ObjectKey,
    ) -> BoxFuture<'a, Result<Option<SecretObject>, Outage>>;

    /// What a ServiceAccount says of itself; none when there is none of this name.
    ///
    /// # Errors
    /// Nobody could say.
    fn service_account<'a>(
        &'a self,
        key: &'a ObjectKey,
    ) -> BoxFuture<'a, Result<Option<ObjectMeta>, Outage>>;

    /// Tokens of a ServiceAccount for this audience.
    fn tokens(&self, key: &ObjectKey, audience: &'static str) -> Arc<dyn AssertionSource>;
}

impl Offers for kube::Client {
    fn secret<'a>(
        &'a self,
        key: &'a ObjectKey,
    ) -> BoxFuture<'a, Result<Option<SecretObject>, Outage>> {
        let secrets: Api<SecretObject> = Api::namespaced(self.clone(), &key.namespace);
        async move {
            let found = in_time(secrets.get_opt(&key.name)).await;
            found.map_err(|error| unanswered(&error))
        }
        .boxed()
    }

    fn service_account<'a>(
        &'a self,
        key: &'a ObjectKey,
    ) -> BoxFuture<'a, Result<Option<ObjectMeta>, Outage>> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.clone(), &key.namespace);
        async move {
            let found = in_time(accounts.get_metadata_opt(&key.name)).await;
            match found {
                Ok(account) => Ok(account.map(|account| account.metadata)),
                Err(error) => Err(unanswered(&error)),
            }
        }
        .boxed()
    }

    fn tokens(&self, key: &ObjectKey, audience: &'static str) -> Arc<dyn AssertionSource> {
        Arc::new(ServiceAccountTokens {
            accounts: Api::namespaced(self.clone(), &key.namespace),
            name: key.name.to_string(),
            audience,
        })
    }
}

/// Reads the credential of a tenant from its namespace.
///
/// # Errors
/// What keeps it from being used, or that nobody could say.
pub async fn resolve(
    offers: &dyn Offers,
    desired: &TenantDesired,
    now: Timestamp,
) -> Result<Resolved, Unresolved> {
    match &desired.credential {
        CredentialSource::ClientSecret {
            secret,
            key,
            not_after,
        } => {
            let object = offered_secret(offers, desired, secret).await?;
            client_secret(&object, secret, key).map(|value| Resolved {
                fingerprint: fingerprint(&[b"secret", value.expose().as_bytes()]),
                credential: Credential::ClientSecret(value),
                expires_at: *not_after,
            })
        }
        CredentialSource::Certificate { secret } => {
            let object = offered_secret(offers, desired, secret).await?;
            certificate(&object, secret, now)
        }
        CredentialSource::WorkloadIdentity { service_account } => {
            let account = in_namespace(desired, service_account);
            offered_account(offers, desired, &account).await?;
            let audience = cloud(desired.cloud).assertion_audience();
            Ok(Resolved {
                fingerprint: fingerprint(&[b"account", service_account.as_bytes()]),
                credential: Credential::Federated(offers.tokens(&account, audience)),
                expires_at: None,
            })
        }
    }
}

/// A tenant uses what lies in its own namespace only.
fn in_namespace(desired: &TenantDesired, name: &str) -> ObjectKey {
    ObjectKey::new(Arc::clone(&desired.namespace), name)
}

async fn offered_secret(
    offers: &dyn Offers,
    desired: &TenantDesired,
    name: &str,
) -> Result<SecretObject, Unresolved> {
    let secret = name.to_owned();
    let found = offers.secret(&in_namespace(desired, name)).await;
    let Some(object) = found.map_err(Unresolved::Unavailable)? else {
        return Err(Unresolved::Problem(CredentialProblem::SecretNotFound {
            secret,
        }));
    };
    let label = object
        .metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get(CREDENTIAL_LABEL));
    match label.map(String::as_str) {
        Some("true") => Ok(object),
        Some(_) | None => Err(Unresolved::Problem(CredentialProblem::SecretNotOffered {
            secret,
        })),
    }
}

async fn offered_account(
    offers: &dyn Offers,
    desired: &TenantDesired,
    key: &ObjectKey,
) -> Result<(), Unresolved> {
    let service_account = key.name.to_string();
    let found = offers.service_account(key).await;
    let Some(account) = found.map_err(Unresolved::Unavailable)? else {
        let problem = CredentialProblem::ServiceAccountNotFound { service_account };
        return Err(Unresolved::Problem(problem));
    };
    let annotations = account.annotations.as_ref();
    let offered_to = annotations.and_then(|annotations| annotations.get(CLIENT_ID_ANNOTATION));
    match offered_to {
        Some(client) if client.eq_ignore_ascii_case(&desired.client_id) => Ok(()),
        Some(_) | None => {
            let problem = CredentialProblem::ServiceAccountNotOffered { service_account };
            Err(Unresolved::Problem(problem))
        }
    }
}

fn unanswered(error: &kube::Error) -> Outage {
    tracing::warn!(error = %Causes(error), "the credential could not be read from the cluster");
    Outage::of(OutageKind::ClusterUnreachable)
}

fn fingerprint(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// The value under a key, if it is there and not empty.
fn value<'a>(object: &'a SecretObject, secret: &str, key: &str) -> Result<&'a [u8], Unresolved> {
    let value = object.data.as_ref().and_then(|data| data.get(key));
    match value {
        Some(value) if !value.0.is_empty() => Ok(&value.0),
        Some(_) | None => Err(Unresolved::Problem(CredentialProblem::SecretKeyMissing {
            secret: secret.to_owned(),
            key: key.to_owned(),
        })),
    }
}

fn invalid(secret: &str, problem: &'static str) -> Unresolved {
    Unresolved::Problem(CredentialProblem::SecretInvalid {
        secret: secret.to_owned(),
        problem,
    })
}

/// White space around it comes from files and editors, never from Entra.
fn client_secret(object: &SecretObject, secret: &str, key: &str) -> Result<Secret, Unresolved> {
    let text = std::str::from_utf8(value(object, secret, key)?)
        .map_err(|_| invalid(secret, "the value is no text"))?
        .trim();
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(invalid(secret, "the value is no client secret"));
    }
    Ok(Secret::new(text.to_owned()))
}

fn certificate(
    object: &SecretObject,
    secret: &str,
    now: Timestamp,
) -> Result<Resolved, Unresolved> {
    let chain = value(object, secret, CERTIFICATE_KEY)?;
    let key = value(object, secret, PRIVATE_KEY_KEY)?;
    let certificate = CertificateCredential::from_pem(chain, key)
        .map_err(|error| invalid(secret, certificate_problem(&error)))?;
    let not_after = certificate.not_after();
    let not_before = valid_from(chain).unwrap_or(Timestamp::MIN);
    if now < not_before || now >= not_after {
        return Err(Unresolved::Problem(CredentialProblem::CertificateExpired {
            secret: secret.to_owned(),
            not_before,
            not_after,
        }));
    }
    Ok(Resolved {
        fingerprint: fingerprint(&[b"certificate", chain, key]),
        credential: Credential::Certificate(certificate),
        expires_at: Some(not_after),
    })
}

const fn certificate_problem(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::NoCertificate => "tls.crt holds no PEM certificate",
        CertificateError::MalformedCertificate => "tls.crt holds no valid X.509 certificate",
        CertificateError::NoKey => {
            "tls.key holds no PEM private key (PKCS#8 or PKCS#1, not encrypted)"
        }
        CertificateError::NotRsa => {
            "tls.key is no RSA key of at least 2048 bits, which Entra requires"
        }
        CertificateError::Mismatch => "tls.key does not belong to the certificate in tls.crt",
    }
}

fn valid_from(chain: &[u8]) -> Option<Timestamp> {
    let block = Pem::iter_from_buffer(chain)
        .map_while(Result::ok)
        .find(|block| block.label == "CERTIFICATE")?;
    let certificate = block.parse_x509().ok()?;
    Timestamp::from_second(certificate.validity().not_before.timestamp()).ok()
}

/// Tokens of one ServiceAccount, from the cluster's TokenRequest API.
struct ServiceAccountTokens {
    accounts: Api<ServiceAccount>,
    name: String,
    audience: &'static str,
}

impl fmt::Debug for ServiceAccountTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccountTokens")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl AssertionSource for ServiceAccountTokens {
    fn assertion(&self) -> BoxFuture<'_, Result<Secret, AssertionError>> {
        async move {
            let request = TokenRequest {
                spec: TokenRequestSpec {
                    audiences: vec![self.audience.to_owned()],
                    expiration_seconds: Some(ASSERTION_SECONDS),
                    ..TokenRequestSpec::default()
                },
                ..TokenRequest::default()
            };
            let parameters = PostParams::default();
            let call = self
                .accounts
                .create_token_request(&self.name, &parameters, &request);
            // Everybody who needs the token waits for this.
            let why = match in_time(call).await {
                Ok(TokenRequest {
                    status: Some(status),
                    ..
                }) => return Ok(Secret::new(status.token)),
                Ok(TokenRequest { status: None, .. }) => {
                    "the API server answered without a token".to_owned()
                }
                Err(kube::Error::Api(status)) if status.code == FORBIDDEN => {
                    return Err(AssertionError::Forbidden);
                }
                Err(kube::Error::Api(status)) => format!(
                    "the API server issued no token for the ServiceAccount (status {})",
                    status.code
                ),
                Err(_) => "the API server does not answer".to_owned(),
            };
            Err(AssertionError::Unavailable(why))
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests;
