//! The three kinds of credential, and every way in which Entra refuses them.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::FutureExt;
use futures::future::BoxFuture;
use hybrid_calendar_operator::clock::Clock;
use hybrid_calendar_operator::graph::credential::{
    AssertionError, AssertionSource, CertificateCredential, Credential,
};
use hybrid_calendar_operator::graph::error::{ErrorClass, TokenRefusal};
use hybrid_calendar_operator::graph::gateway::Connection;
use hybrid_calendar_operator::ids::AppTenant;
use hybrid_calendar_operator::secret::Secret;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};

use super::setting::{
    SECRET, connection, contoso, contoso_with_application, gateway, secret, start, tenant,
};

pub(crate) fn rsa() -> KeyPair {
    KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap()
}

/// A certificate, and the credential that it makes.
fn certificate() -> (String, Credential) {
    let key = rsa();
    let certificate = CertificateParams::new(Vec::new())
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let (cert, key) = (certificate.pem(), key.serialize_pem());
    let credential = CertificateCredential::from_pem(cert.as_bytes(), key.as_bytes()).unwrap();
    (cert, Credential::Certificate(credential))
}

#[tokio::test]
async fn a_certificate_that_entra_knows_gets_a_token() {
    let (known, credential) = certificate();
    let world = contoso_with_application(&json!({"secrets": [], "certificates": [{"pem": known}]}));
    let emulator = start(&world).await;
    let good = gateway().tenant(connection(&emulator, credential));
    good.token().await.unwrap();
    good.organization().await.unwrap();

    let (_, stranger) = certificate();
    let error = gateway()
        .tenant(connection(&emulator, stranger))
        .token()
        .await
        .unwrap_err();
    let rejected = TokenRefusal::CertificateRejected { clock: false };
    assert_eq!(error.class, ErrorClass::Token(rejected), "{error}");
}

#[tokio::test]
async fn a_clock_that_differs_does_not_spoil_certificates() {
    let (known, credential) = certificate();
    let world = contoso_with_application(&json!({"secrets": [], "certificates": [{"pem": known}]}));
    let emulator = start(&world).await;
    emulator.advance(Duration::from_hours(2));
    let tenant = gateway().tenant(connection(&emulator, credential));
    tenant.token().await.unwrap();
    assert_eq!(emulator.counts().of("token"), 2);
    tenant.organization().await.unwrap();
}

pub(crate) const ISSUER: &str = "https://kubernetes.default.svc";
const SUBJECT: &str = "system:serviceaccount:calendars:operator";

struct ServiceAccount {
    key: EncodingKey,
    subject: String,
}

impl AssertionSource for ServiceAccount {
    fn assertion(&self) -> BoxFuture<'_, Result<Secret, AssertionError>> {
        let token = account_token(&self.key, &self.subject);
        async { Ok(Secret::new(token)) }.boxed()
    }
}

/// A ServiceAccount's token, as a cluster would sign it.
pub(crate) fn account_token(key: &EncodingKey, subject: &str) -> String {
    let now = Clock::system().now().as_second();
    let claims = json!({
        "iss": ISSUER, "sub": subject, "aud": ["api://AzureADTokenExchange"],
        "iat": now, "nbf": now, "exp": now + 600,
    });
    let mut header = Header::new(Algorithm::RS256);
    header.kid = Some("k1".to_owned());
    jsonwebtoken::encode(&header, &claims, key).unwrap()
}

/// The public part of an RSA certificate as a JWKS.
pub(crate) fn jwks(certificate: &rcgen::Certificate) -> Value {
    let (_, x509) = x509_parser::parse_x509_certificate(certificate.der()).unwrap();
    let x509_parser::public_key::PublicKey::RSA(key) = x509.public_key().parsed().unwrap() else {
        panic!("an RSA key");
    };
    let modulus = key.modulus.strip_prefix(&[0]).unwrap_or(key.modulus);
    json!({"keys": [{
        "kty": "RSA", "use": "sig", "alg": "RS256", "kid": "k1",
        "n": URL_SAFE_NO_PAD.encode(modulus), "e": URL_SAFE_NO_PAD.encode(key.exponent),
    }]})
}

#[tokio::test]
async fn a_service_account_that_entra_trusts_gets_a_token() {
    let key = rsa();
    let certificate = CertificateParams::new(Vec::new())
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let federated = json!({
        "issuer": ISSUER, "subject": SUBJECT, "audience": "api://AzureADTokenExchange",
        "jwks": jwks(&certificate),
    });
    let world = contoso_with_application(&json!({"secrets": [], "federated": [federated]}));
    let emulator = start(&world).await;
    let account = |subject: &str| {
        let key = EncodingKey::from_rsa_pem(key.serialize_pem().as_bytes()).unwrap();
        let subject = subject.to_owned();
        Credential::Federated(Arc::new(ServiceAccount { key, subject }))
    };
    let trusted = gateway().tenant(connection(&emulator, account(SUBJECT)));
    trusted.organization().await.unwrap();
    let stranger = account("system:serviceaccount:calendars:Operator");
    let error = gateway()
        .tenant(connection(&emulator, stranger))
        .token()
        .await
        .unwrap_err();
    assert_eq!(
        error.class,
        ErrorClass::Token(TokenRefusal::FederationRejected),
        "{error}"
    );
}

#[tokio::test]
async fn a_wrong_secret_is_named_and_not_shown() {
    let emulator = start(&contoso()).await;
    let wrong = gateway().tenant(connection(&emulator, secret("hunter2-hunter2")));
    let error = wrong.organization().await.unwrap_err();
    assert_eq!(
        error.class,
        ErrorClass::Token(TokenRefusal::InvalidClientSecret)
    );
    assert!(error.detail.starts_with("AADSTS7000215"), "{error}");
    assert!(!format!("{error:?} {error}").contains("hunter2"));
    assert!(error.request_id.is_some());
}

#[tokio::test]
async fn every_refusal_of_an_application_has_its_name() {
    let expired = json!({"secrets": [{"value": SECRET, "expiresAt": "2020-01-01T00:00:00Z"}]});
    for (application, refusal) in [
        (expired, TokenRefusal::ClientSecretExpired),
        (json!({"disabled": true}), TokenRefusal::ApplicationDisabled),
        (
            json!({"blockedByPolicy": true}),
            TokenRefusal::BlockedByPolicy,
        ),
    ] {
        let emulator = start(&contoso_with_application(&application)).await;
        let error = tenant(&emulator).token().await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Token(refusal), "{error}");
    }
}

#[tokio::test]
async fn unknown_applications_and_tenants_have_their_names() {
    let emulator = start(&contoso()).await;
    let unknown = "5f1d7a9c-9999-4000-8000-000000000009";
    let known = connection(&emulator, secret(SECRET));
    let application = AppTenant {
        client_id: unknown.into(),
        ..known.app.clone()
    };
    let tenant = AppTenant {
        tenant_id: unknown.into(),
        ..known.app.clone()
    };
    for (app, refusal) in [
        (application, TokenRefusal::ApplicationNotFound),
        (tenant, TokenRefusal::TenantNotFound),
    ] {
        let stranger = gateway().tenant(Connection {
            app,
            ..known.clone()
        });
        let error = stranger.token().await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Token(refusal), "{error}");
    }
}
