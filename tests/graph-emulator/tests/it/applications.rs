//! When the credentials of an application end, as its registration shows it.

use axum::body::Bytes;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use graph_emulator::world::{Certificate, ClientSecret};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};
use sha1::{Digest, Sha1};

use crate::client::{CLIENT, Client};

const CREDENTIALS: &str = "$select=passwordCredentials,keyCredentials";

fn of(client_id: &str, query: &str) -> String {
    format!("applications(appId='{client_id}')?{query}")
}

/// An application that may read registrations, and has a secret that ends, one that does not, and a certificate.
async fn reader() -> Client {
    let pair = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let mut certificate = CertificateParams::new(Vec::new()).unwrap();
    certificate.not_before = rcgen::date_time_ymd(2026, 1, 2);
    certificate.not_after = rcgen::date_time_ymd(2030, 1, 2);
    let pem = certificate.self_signed(&pair).unwrap().pem();
    Client::with(|world| {
        let application = &mut world.tenants[0].applications[0];
        application.roles.push("Application.Read.All".to_owned());
        application.secrets.push(ClientSecret {
            value: "another-secret".to_owned(),
            expires_at: Some("2099-06-30T00:00:00Z".parse().unwrap()),
        });
        application.certificates = vec![Certificate { pem }];
    })
    .await
}

#[tokio::test]
async fn a_registration_shows_when_its_credentials_end_and_no_secret() {
    let client = reader().await;
    let reply = client.get(&of(&CLIENT.to_uppercase(), CREDENTIALS)).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let secrets = reply.body["passwordCredentials"].as_array().unwrap();
    let shown = |at: usize| (&secrets[at]["hint"], &secrets[at]["endDateTime"]);
    assert_eq!(secrets.len(), 2);
    assert_eq!(shown(1), (&"ano".into(), &"2099-06-30T00:00:00Z".into()));
    assert_ne!(secrets[0]["keyId"], secrets[1]["keyId"]);
    assert!(secrets[1]["secretText"].is_null());
    assert!(!reply.body.to_string().contains("another-secret"));
    let certificate = &reply.body["keyCredentials"][0];
    assert_eq!(certificate["startDateTime"], "2026-01-02T00:00:00Z");
    assert_eq!(certificate["endDateTime"], "2030-01-02T00:00:00Z");
    assert_eq!(certificate["type"], "AsymmetricX509Cert");
    let der = STANDARD.decode(certificate["key"].as_str().unwrap());
    let digest = Bytes::from(Sha1::digest(der.unwrap()).to_vec());
    let thumbprint = format!("{digest:X}");
    assert_eq!(certificate["customKeyIdentifier"], thumbprint);
    assert!(reply.body["displayName"].is_null(), "it was not selected");

    let named = client.get(&of(CLIENT, "$select=id,displayName")).await;
    assert_eq!(named.body["displayName"], "Room calendars");
    assert!(named.body["passwordCredentials"].is_null());
}

#[tokio::test]
async fn a_registration_is_read_with_the_right_to_it_by_its_id_and_in_part() {
    let unentitled = Client::new().await;
    let reply = unentitled.get(&of(CLIENT, CREDENTIALS)).await;
    assert_eq!(reply.code(), (403, "Authorization_RequestDenied"));

    let client = reader().await;
    let unknown = of("5f1d7a9c-9999-4000-8000-000000000001", CREDENTIALS);
    let reply = client.get(&unknown).await;
    assert_eq!(reply.code(), (404, "Request_ResourceNotFound"));
    for query in ["", "$select=appRoles", "$select=id&$expand=owners"] {
        assert_eq!(client.get(&of(CLIENT, query)).await.status, 501, "{query}");
    }
}
