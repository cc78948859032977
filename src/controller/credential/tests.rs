//! Credentials from a cluster of values.

use std::collections::BTreeMap;
use std::convert::Infallible;

use http::{Request, Response, StatusCode};
use k8s_openapi::ByteString;
use kube::client::Body;
use serde_json::{Value, json};

use super::*;
use crate::domain::endpoints::AllowedEndpoints;

fn secret(entries: &[(&str, &[u8])]) -> SecretObject {
    let data: BTreeMap<String, ByteString> = entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), ByteString(value.to_vec())))
        .collect();
    SecretObject {
        data: Some(data),
        ..SecretObject::default()
    }
}

fn problem(result: Result<Resolved, Unresolved>) -> CredentialProblem {
    match result.unwrap_err() {
        Unresolved::Problem(problem) => problem,
        Unresolved::Unavailable(outage) => panic!("{outage:?}"),
    }
}

/// A certificate of ten days from 2026-11-20 on, and its key.
fn pair(algorithm: &'static rcgen::SignatureAlgorithm) -> (String, String) {
    let key = if algorithm == &rcgen::PKCS_RSA_SHA256 {
        rcgen::KeyPair::generate_rsa_for(algorithm, rcgen::RsaKeySize::_2048).unwrap()
    } else {
        rcgen::KeyPair::generate_for(algorithm).unwrap()
    };
    let mut parameters = rcgen::CertificateParams::default();
    parameters.not_before = rcgen::date_time_ymd(2026, 11, 20);
    parameters.not_after = rcgen::date_time_ymd(2026, 11, 30);
    let certificate = parameters.self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn white_space_around_a_client_secret_is_not_part_of_it() {
    let object = secret(&[
        ("client-secret", b" hunter2\n"),
        ("empty", b""),
        ("blank", b"\n"),
    ]);
    let read = |key| client_secret(&object, "graph", key);
    assert_eq!(read("client-secret").unwrap().expose(), "hunter2");
    for (key, expected) in [
        ("empty", "SecretKeyMissing"),
        ("other", "SecretKeyMissing"),
        ("blank", "SecretInvalid"),
    ] {
        let error = read(key).map(|_| ()).unwrap_err();
        assert!(
            matches!(&error, Unresolved::Problem(problem) if problem.reason().as_str() == expected),
            "{key}: {error:?}"
        );
    }
}

#[test]
fn a_secret_that_is_no_text_is_not_printed() {
    let object = secret(&[("client-secret", b"hunter2\xff")]);
    let error = client_secret(&object, "graph", "client-secret").unwrap_err();
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[test]
fn a_certificate_is_used_within_its_validity_only() {
    let (certificate_pem, key_pem) = pair(&rcgen::PKCS_RSA_SHA256);
    let object = secret(&[
        (CERTIFICATE_KEY, certificate_pem.as_bytes()),
        (PRIVATE_KEY_KEY, key_pem.as_bytes()),
    ]);
    let resolved = certificate(&object, "graph", at("2026-11-24T08:00:00Z")).unwrap();
    assert_eq!(resolved.expires_at, Some(at("2026-11-30T00:00:00Z")));
    for now in ["2026-11-19T23:00:00Z", "2026-11-30T00:00:00Z"] {
        let problem = problem(certificate(&object, "graph", at(now)));
        assert_eq!(problem.reason().as_str(), "CertificateExpired", "{now}");
    }
}

#[test]
fn what_is_no_usable_pair_is_named() {
    let (rsa, key) = pair(&rcgen::PKCS_RSA_SHA256);
    let (_, foreign) = pair(&rcgen::PKCS_RSA_SHA256);
    let (elliptic, elliptic_key) = pair(&rcgen::PKCS_ECDSA_P256_SHA256);
    let now = at("2026-11-24T08:00:00Z");
    for (chain, key, expected) in [
        (rsa.as_str(), foreign.as_str(), "does not belong"),
        (&elliptic, &elliptic_key, "no RSA key"),
        ("nonsense", &key, "no PEM certificate"),
        (&rsa, "nonsense", "no PEM private key"),
    ] {
        let object = secret(&[
            (CERTIFICATE_KEY, chain.as_bytes()),
            (PRIVATE_KEY_KEY, key.as_bytes()),
        ]);
        let problem = problem(certificate(&object, "graph", now));
        assert!(
            matches!(&problem, CredentialProblem::SecretInvalid { problem, .. } if problem.contains(expected)),
            "{expected}: {problem:?}"
        );
    }
    let object = secret(&[(CERTIFICATE_KEY, rsa.as_bytes())]);
    let missing = problem(certificate(&object, "graph", now));
    assert_eq!(missing.reason().as_str(), "SecretKeyMissing");
}

/// A cluster that answers one path with one object, others with 404, or everything with an error.
fn cluster(answer: Result<(&'static str, Value), StatusCode>) -> kube::Client {
    let service = tower::service_fn(move |request: Request<Body>| {
        let (status, body) = match &answer {
            Ok((path, object)) if request.uri().path() == *path => (StatusCode::OK, object.clone()),
            Ok(_) => (StatusCode::NOT_FOUND, failure(StatusCode::NOT_FOUND)),
            Err(status) => (*status, failure(*status)),
        };
        let response = Response::builder()
            .status(status)
            .header("content-type", "application/json")
            .body(Body::from(body.to_string().into_bytes()))
            .unwrap();
        async move { Ok::<_, Infallible>(response) }
    });
    kube::Client::new(service, "calendars")
}

fn failure(status: StatusCode) -> Value {
    let reason = if status == StatusCode::NOT_FOUND {
        "NotFound"
    } else {
        "InternalError"
    };
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "no", "reason": reason, "code": status.as_u16(),
    })
}

fn desired(credential: &Value) -> TenantDesired {
    let spec = json!({
        "tenantId": "5f1d7a9c-1111-4000-8000-000000000001",
        "clientId": "5f1d7a9c-2222-4000-8000-000000000001",
        "cloud": "China",
        "credential": credential,
    });
    let spec = serde_json::from_value(spec).unwrap();
    TenantDesired::from_spec("calendars", &spec, &AllowedEndpoints::default()).unwrap()
}

fn labelled(label: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "graph", "labels": {"hybridcalendar.dev/credential": label}},
        "data": {"client-secret": "aHVudGVyMg=="},
    })
}

const SECRET: &str = "/api/v1/namespaces/calendars/secrets/graph";
const ACCOUNT: &str = "/api/v1/namespaces/calendars/serviceaccounts/operator";

#[tokio::test]
async fn only_a_secret_that_its_owner_offers_is_used() {
    let wanted = desired(&json!({"clientSecret": {"secretRef": {"name": "graph"}}}));
    let now = at("2026-11-24T08:00:00Z");
    let read = async |answer| resolve(&cluster(answer), &wanted, now).await;
    let offered = read(Ok((SECRET, labelled("true")))).await.unwrap();
    assert!(matches!(&offered.credential, Credential::ClientSecret(s) if s.expose() == "hunter2"));
    for (answer, expected) in [
        (Ok((SECRET, labelled("false"))), "SecretNotOffered"),
        (Ok(("/elsewhere", labelled("true"))), "SecretNotFound"),
    ] {
        assert_eq!(problem(read(answer).await).reason().as_str(), expected);
    }
    for status in [StatusCode::FORBIDDEN, StatusCode::SERVICE_UNAVAILABLE] {
        let unresolved = read(Err(status)).await.unwrap_err();
        assert!(
            matches!(&unresolved, Unresolved::Unavailable(outage) if outage.kind == OutageKind::ClusterUnreachable),
            "{unresolved:?}"
        );
    }
}

#[tokio::test]
async fn only_a_service_account_that_names_the_application_is_used() {
    let wanted = desired(&json!({"workloadIdentity": {"serviceAccountName": "operator"}}));
    let now = at("2026-11-24T08:00:00Z");
    let account = |client: &str| {
        json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
            "metadata": {"name": "operator", "annotations": {"azure.workload.identity/client-id": client}},
        })
    };
    let read = async |answer| resolve(&cluster(answer), &wanted, now).await;
    let own = account("5F1D7A9C-2222-4000-8000-000000000001");
    assert!(matches!(
        read(Ok((ACCOUNT, own))).await.unwrap().credential,
        Credential::Federated(_)
    ));
    let other = account("5f1d7a9c-2222-4000-8000-000000000002");
    for (answer, expected) in [
        (
            Ok((ACCOUNT, other)),
            CredentialProblem::ServiceAccountNotOffered {
                service_account: "operator".to_owned(),
            },
        ),
        (
            Ok((SECRET, account(""))),
            CredentialProblem::ServiceAccountNotFound {
                service_account: "operator".to_owned(),
            },
        ),
    ] {
        assert_eq!(problem(read(answer).await), expected);
    }
}

#[tokio::test]
async fn the_token_of_a_service_account_is_asked_for_the_clouds_audience() {
    let tokens = "/api/v1/namespaces/calendars/serviceaccounts/operator/token";
    let service = tower::service_fn(move |request: Request<Body>| async move {
        assert_eq!(request.uri().path(), tokens);
        let body = request.into_body().collect_bytes().await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            body["spec"]["audiences"],
            json!(["api://AzureADTokenExchangeChina"])
        );
        let answer = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {},
            "spec": body["spec"],
            "status": {"token": "signed", "expirationTimestamp": "2026-11-24T08:10:00Z"},
        });
        Ok::<_, Infallible>(Response::new(Body::from(answer.to_string().into_bytes())))
    });
    let source = ServiceAccountTokens {
        accounts: Api::namespaced(kube::Client::new(service, "calendars"), "calendars"),
        name: "operator".to_owned(),
        audience: cloud(crate::api::v1alpha1::tenant::Cloud::China).assertion_audience(),
    };
    assert_eq!(source.assertion().await.unwrap().expose(), "signed");
}

#[test]
fn another_credential_has_another_fingerprint() {
    let of = fingerprint;
    assert_eq!(of(&[b"secret", b"a"]), of(&[b"secret", b"a"]));
    assert_ne!(of(&[b"secret", b"a"]), of(&[b"secret", b"b"]));
    assert_ne!(
        of(&[b"secre", b"ta"]),
        of(&[b"secret", b"a"]),
        "parts do not run together"
    );
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_does_not_answer_keeps_nobody_waiting_for_the_token() {
    let service = tower::service_fn(|_: Request<Body>| {
        std::future::pending::<Result<Response<Body>, Infallible>>()
    });
    let silent = kube::Client::new(service, "calendars");
    let source = ServiceAccountTokens {
        accounts: Api::namespaced(silent.clone(), "calendars"),
        name: "operator".to_owned(),
        audience: "api://AzureADTokenExchange",
    };
    assert_eq!(
        source.assertion().await.unwrap_err().to_string(),
        "the API server does not answer"
    );
    for credential in [
        json!({"clientSecret": {"secretRef": {"name": "graph"}}}),
        json!({"workloadIdentity": {"serviceAccountName": "operator"}}),
    ] {
        let read = resolve(&silent, &desired(&credential), at("2026-11-24T08:00:00Z")).await;
        assert!(matches!(read, Err(Unresolved::Unavailable(_))));
    }
}
