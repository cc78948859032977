//! Tokens by certificate and by federation: what is accepted, and what the refusal says.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use graph_emulator::world::{Application, Certificate, FederatedCredential};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::client::{CLIENT, Client, TENANT};

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

struct Signer {
    key: EncodingKey,
    pem: String,
    der: Vec<u8>,
}

impl Signer {
    fn new() -> Self {
        let pair = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let certificate = CertificateParams::new(Vec::new()).unwrap();
        let certificate = certificate.self_signed(&pair).unwrap();
        Self {
            key: EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes()).unwrap(),
            pem: certificate.pem(),
            der: certificate.der().to_vec(),
        }
    }

    fn sha256(&self) -> Header {
        let mut header = Header::new(Algorithm::PS256);
        header.x5t_s256 = Some(URL_SAFE_NO_PAD.encode(Sha256::digest(&self.der)));
        header
    }

    fn sign(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &self.key).unwrap()
    }
}

async fn client_with(change: impl FnOnce(&mut Application)) -> Client {
    Client::with(|world| {
        let application = &mut world.tenants[0].applications[0];
        application.secrets.clear();
        change(application);
    })
    .await
}

fn own_claims(client: &Client) -> Value {
    let now = client.emulator.now().as_second();
    json!({
        "aud": format!("{}{TENANT}/oauth2/v2.0/token", client.emulator.base_url()),
        "iss": CLIENT, "sub": CLIENT, "jti": "1", "nbf": now, "iat": now, "exp": now + 600,
    })
}

async fn answer(client: &Client, assertion: &str) -> (u16, u64) {
    let fields = [
        ("client_secret", ""),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", assertion),
    ];
    let reply = client.token_with(&fields).await;
    let code = reply.body["error_codes"][0].as_u64().unwrap_or_default();
    (reply.status.as_u16(), code)
}

#[tokio::test]
async fn a_certificate_signs_in_by_either_thumbprint() {
    let signer = Signer::new();
    let pem = signer.pem.clone();
    let client =
        client_with(|application| application.certificates = vec![Certificate { pem }]).await;
    let claims = own_claims(&client);
    let mut padded = signer.sha256();
    padded.x5t_s256 = Some(STANDARD.encode(Sha256::digest(&signer.der)));
    let mut legacy = Header::new(Algorithm::RS256);
    legacy.x5t = Some(URL_SAFE_NO_PAD.encode(Sha1::digest(&signer.der)));
    for header in [signer.sha256(), padded, legacy] {
        let assertion = signer.sign(&header, &claims);
        assert_eq!(answer(&client, &assertion).await, (200, 0), "{header:?}");
    }
    let mut without_start = claims.clone();
    without_start.as_object_mut().unwrap().remove("nbf");
    let assertion = signer.sign(&signer.sha256(), &without_start);
    assert_eq!(answer(&client, &assertion).await, (200, 0));
}

#[tokio::test]
async fn an_expired_certificate_is_refused_on_the_emulators_clock() {
    let pair = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let mut certificate = CertificateParams::new(Vec::new()).unwrap();
    certificate.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let certificate = certificate.self_signed(&pair).unwrap();
    let signer = Signer {
        key: EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes()).unwrap(),
        pem: certificate.pem(),
        der: certificate.der().to_vec(),
    };
    let pem = signer.pem.clone();
    let client =
        client_with(|application| application.certificates = vec![Certificate { pem }]).await;
    let assertion = signer.sign(&signer.sha256(), &own_claims(&client));
    assert_eq!(answer(&client, &assertion).await, (401, 700_027));
}

#[tokio::test]
async fn a_wrong_assertion_is_refused_by_what_is_wrong_with_it() {
    let (signer, other) = (Signer::new(), Signer::new());
    let pem = signer.pem.clone();
    let client =
        client_with(|application| application.certificates = vec![Certificate { pem }]).await;
    let claims = own_claims(&client);
    let changed = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        claims
    };
    let now = client.emulator.now().as_second();
    let rows = [
        (other.sign(&other.sha256(), &claims), (401, 700_027)),
        (other.sign(&signer.sha256(), &claims), (401, 700_027)),
        (
            signer.sign(&signer.sha256(), &changed("exp", json!(now - 900))),
            (401, 700_024),
        ),
        (
            signer.sign(&signer.sha256(), &changed("nbf", json!(now + 900))),
            (401, 700_024),
        ),
        (
            signer.sign(
                &signer.sha256(),
                &changed("aud", json!("https://x.example")),
            ),
            (401, 700_023),
        ),
        (
            signer.sign(&signer.sha256(), &changed("sub", json!("other"))),
            (401, 700_021),
        ),
        ("nonsense".to_owned(), (400, 50_027)),
    ];
    for (assertion, expected) in rows {
        assert_eq!(answer(&client, &assertion).await, expected);
    }
}

#[tokio::test]
async fn a_federated_token_must_match_byte_for_byte_and_be_signed_by_the_issuer() {
    let (signer, other) = (Signer::new(), Signer::new());
    let mut key =
        serde_json::to_value(Jwk::from_encoding_key(&signer.key, Algorithm::RS256).unwrap())
            .unwrap();
    key["kid"] = "one".into();
    let credential = FederatedCredential {
        issuer: "https://cluster.example/".to_owned(),
        subject: "system:serviceaccount:calendars:operator".to_owned(),
        audience: "api://AzureADTokenExchange".to_owned(),
        jwks_file: None,
        jwks: Some(json!({"keys": [key]})),
    };
    let client = client_with(|application| application.federated = vec![credential.clone()]).await;
    let now = client.emulator.now().as_second();
    let claims = |issuer: &str, subject: &str, audience: &str| json!({"iss": issuer, "sub": subject, "aud": [audience], "exp": now + 600, "iat": now});
    let (issuer, subject, audience) = (
        &*credential.issuer,
        &*credential.subject,
        &*credential.audience,
    );
    let mut header = Header::new(Algorithm::RS256);
    header.kid = Some("one".to_owned());
    let upper = "system:serviceaccount:Calendars:operator";
    let rows = [
        (
            signer.sign(&header, &claims(issuer, subject, audience)),
            (200, 0),
        ),
        (
            signer.sign(
                &header,
                &claims("https://cluster.example", subject, audience),
            ),
            (401, 700_211),
        ),
        (
            signer.sign(&header, &claims(issuer, "someone", audience)),
            (401, 700_213),
        ),
        (
            signer.sign(&header, &claims(issuer, upper, audience)),
            (401, 7_002_138),
        ),
        (
            signer.sign(&header, &claims(issuer, subject, "other")),
            (401, 700_212),
        ),
        (
            other.sign(&header, &claims(issuer, subject, audience)),
            (401, 700_027),
        ),
    ];
    for (assertion, expected) in &rows {
        assert_eq!(answer(&client, assertion).await, *expected);
    }
    let own = claims("https://sts.windows.net/x/", subject, audience);
    let own = signer.sign(&header, &own);
    assert_eq!(answer(&client, &own).await, (400, 700_222));
    let late = json!({
        "iss": issuer, "sub": subject, "aud": audience, "iat": now - 4000, "exp": now - 400,
    });
    let late = signer.sign(&header, &late);
    assert_eq!(answer(&client, &late).await, (401, 700_024));
    let remove = |world: &mut graph_emulator::World| {
        world.tenants[0].applications[0].federated.clear();
    };
    client.emulator.update_world(remove).unwrap();
    assert_eq!(answer(&client, &rows[0].0).await, (400, 70_021));
}

#[tokio::test]
async fn the_keys_of_an_issuer_are_found_by_discovery_or_the_refusal_says_so() {
    let signer = Signer::new();
    let key = Jwk::from_encoding_key(&signer.key, Algorithm::RS256).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://{}", listener.local_addr().unwrap());
    let configuration = json!({"issuer": issuer, "jwks_uri": format!("{issuer}/keys")});
    let keys = json!({"keys": [key]});
    let router = axum::Router::new()
        .route(
            "/.well-known/openid-configuration",
            axum::routing::get(async move || axum::Json(configuration)),
        )
        .route("/keys", axum::routing::get(async move || axum::Json(keys)));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let credential = |issuer: &str| FederatedCredential {
        issuer: issuer.to_owned(),
        subject: "operator".to_owned(),
        audience: "api://AzureADTokenExchange".to_owned(),
        jwks_file: None,
        jwks: None,
    };
    let nobody = "http://127.0.0.1:9";
    let trusted = vec![credential(&issuer), credential(nobody)];
    let client = client_with(|application| application.federated = trusted).await;
    let end = client.emulator.now().as_second() + 600;
    for (issuer, expected) in [(issuer.as_str(), (200, 0)), (nobody, (400, 90_061))] {
        let claims = json!({
            "iss": issuer, "sub": "operator", "aud": "api://AzureADTokenExchange", "exp": end,
        });
        let assertion = signer.sign(&Header::new(Algorithm::RS256), &claims);
        assert_eq!(answer(&client, &assertion).await, expected, "{issuer}");
    }
}
