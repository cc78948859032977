//! The real ports: HTTPS with the emulator's own authority, and the admin port.

use std::collections::HashMap;

use axum::extract::Query;
use graph_emulator::{Emulator, Options, World};
use serde_json::{Value, json};

use crate::client::{CLIENT, TENANT, WORLD};
use crate::receiver::{Manner, Receiver};

struct Ports {
    emulator: Emulator,
    http: reqwest::Client,
}

impl Ports {
    async fn open(options: Options) -> Self {
        let world = World::from_yaml(WORLD).unwrap();
        let emulator = Emulator::start(world, options).await.unwrap();
        let mut http = reqwest::Client::builder().no_proxy();
        if let Some(pem) = emulator.ca_pem() {
            let authority = reqwest::Certificate::from_pem(pem.as_bytes()).unwrap();
            http = http.tls_certs_only([authority]);
        }
        let http = http.build().unwrap();
        Self { emulator, http }
    }

    async fn token(&self) -> String {
        let url = format!("{}{TENANT}/oauth2/v2.0/token", self.emulator.base_url());
        let scope = format!("{}.default", self.emulator.base_url());
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", CLIENT),
            ("client_secret", "demo-secret"),
            ("scope", &scope),
        ];
        let reply: Value = self
            .http
            .post(url)
            .form(&form)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        reply["access_token"].as_str().unwrap().to_owned()
    }

    async fn admin(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let url = format!("{}{path}", self.emulator.admin_url());
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = self.http.request(method, url).body(body.to_owned());
        let reply = request.send().await.unwrap();
        (reply.status().as_u16(), reply.text().await.unwrap())
    }
}

#[tokio::test]
async fn https_is_served_with_an_authority_that_is_made_once() {
    let directory = tempfile::tempdir().unwrap();
    let options = || Options {
        tls_dir: Some(directory.path().join("tls")),
        ..Options::default()
    };
    let ports = Ports::open(options()).await;
    assert!(ports.emulator.base_url().starts_with("https://127.0.0.1:"));
    let token = ports.token().await;
    let url = format!(
        "{}v1.0/places/microsoft.graph.room?$top=1",
        ports.emulator.base_url()
    );
    let page: Value = ports
        .http
        .get(url)
        .bearer_auth(token)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let next = page["@odata.nextLink"].as_str().unwrap();
    assert!(next.starts_with(&ports.emulator.base_url()), "{next}");
    let authority = ports.emulator.ca_pem();
    ports.emulator.stop().await;
    assert_eq!(Ports::open(options()).await.emulator.ca_pem(), authority);
}

#[tokio::test]
async fn tls_files_are_never_overwritten_and_the_key_is_for_its_owner() {
    use std::os::unix::fs::PermissionsExt as _;

    let directory = tempfile::tempdir().unwrap();
    let options = || Options {
        tls_dir: Some(directory.path().to_owned()),
        ..Options::default()
    };
    let start = async |options| {
        let world = World::from_yaml(WORLD).unwrap();
        Emulator::start(world, options).await
    };
    start(options()).await.unwrap().stop().await;
    let key = directory.path().join("tls.key");
    let mode = std::fs::metadata(&key).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = std::fs::read(&key).unwrap();
    std::fs::remove_file(directory.path().join("ca.crt")).unwrap();
    let refused = start(options()).await.unwrap_err().to_string();
    assert!(refused.contains("ca.crt is missing"), "{refused}");
    assert_eq!(std::fs::read(&key).unwrap(), before);
    let trusting = Options {
        trust_ca: Some(key),
        ..Options::default()
    };
    let refused = start(trusting).await.unwrap_err().to_string();
    assert!(refused.contains("no certificate"), "{refused}");
}

/// The receiver shows the certificate that the emulator itself would show.
#[tokio::test]
async fn a_receiver_behind_https_must_be_trusted() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        tls_dir: Some(directory.path().to_owned()),
        ..Options::default()
    };
    Ports::open(options).await.emulator.stop().await;
    let path = |name: &str| directory.path().join(name);
    let config =
        axum_server::tls_rustls::RustlsConfig::from_pem_file(path("tls.crt"), path("tls.key"));
    let config = config.await.unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let receiver = format!(
        "https://localhost:{}/",
        listener.local_addr().unwrap().port()
    );
    let echo = async |Query(query): Query<HashMap<String, String>>| {
        query.get("validationToken").cloned().unwrap_or_default()
    };
    let router = axum::Router::new().fallback(echo).into_make_service();
    let server = axum_server::from_tcp_rustls(listener, config).unwrap();
    tokio::spawn(server.serve(router));

    for (trust_ca, expected) in [(None, 400), (Some(path("ca.crt")), 201)] {
        let options = Options {
            trust_ca,
            ..Options::default()
        };
        let ports = Ports::open(options).await;
        let until = ports.emulator.now() + jiff::SignedDuration::from_hours(1);
        let body = json!({
            "changeType": "created",
            "notificationUrl": receiver,
            "resource": "users/room-a@contoso.example/events",
            "expirationDateTime": until.to_string(),
        });
        let url = format!("{}v1.0/subscriptions", ports.emulator.base_url());
        let token = ports.token().await;
        let request = ports.http.post(url).bearer_auth(token).json(&body);
        assert_eq!(request.send().await.unwrap().status(), expected);
    }
}

#[tokio::test]
async fn bookings_and_subscriptions_are_steered_through_the_admin_port() {
    let ports = Ports::open(Options::default()).await;
    let token = ports.token().await;
    let receiver = Receiver::start(Manner::Good).await;
    let until = ports.emulator.now() + jiff::SignedDuration::from_hours(1);
    let body = json!({
        "changeType": "created",
        "notificationUrl": receiver.url,
        "lifecycleNotificationUrl": receiver.url,
        "resource": "users/room-a@contoso.example/events",
        "expirationDateTime": until.to_string(),
    });
    let url = format!("{}v1.0/subscriptions", ports.emulator.base_url());
    let created = ports
        .http
        .post(url)
        .bearer_auth(&token)
        .json(&body)
        .send()
        .await
        .unwrap();
    let created: Value = created.json().await.unwrap();
    let id = created["id"].as_str().unwrap();

    assert_eq!(
        ports.admin("GET", "readyz", "").await,
        (200, "ok".to_owned())
    );
    let booking = json!({
        "organizer": "ada@contoso.example", "subject": "x", "start": until, "end": until,
    });
    let path = "mailboxes/room-a@contoso.example/events";
    assert_eq!(ports.admin("POST", path, &booking.to_string()).await.0, 201);
    receiver.wait_for(1).await;
    let mut impossible = booking.clone();
    impossible["end"] = "2020-01-01T00:00:00Z".into();
    let (status, reason) = ports.admin("POST", path, &impossible.to_string()).await;
    assert_eq!(status, 400);
    assert!(reason.contains("end is before start"), "{reason}");
    let lifecycle = format!("subscriptions/{id}/lifecycle");
    assert_eq!(
        ports
            .admin("POST", &lifecycle, r#"{"event": "missed"}"#)
            .await
            .0,
        204
    );
    assert_eq!(
        ports
            .admin("POST", &lifecycle, r#"{"event": "never"}"#)
            .await
            .0,
        400
    );
    let remove = format!("subscriptions/{id}/remove");
    assert_eq!(
        ports
            .admin("POST", &remove, r#"{"lifecycle": true}"#)
            .await
            .0,
        204
    );
    assert_eq!(ports.admin("POST", &remove, "").await.0, 404);
    receiver.wait_for(3).await;
    let (_, counts) = ports.admin("GET", "counts", "").await;
    let counts: Value = serde_json::from_str(&counts).unwrap();
    assert_eq!(counts["requests"]["createSubscription"]["201"], 1);
    let (_, journal) = ports.admin("GET", "journal?since=1", "").await;
    let journal: Value = serde_json::from_str(&journal).unwrap();
    assert_eq!(journal["entries"][0]["operation"], "createSubscription");
    assert_eq!(journal["entries"][0]["mailbox"], "room-a@contoso.example");
}

#[tokio::test]
async fn faults_clock_and_world_are_set_through_the_admin_port() {
    let ports = Ports::open(Options::default()).await;
    let faults = r#"{"rules": [{"operation": "listDomains", "status": 503, "retryAfter": 7, "delay": "1ms"}]}"#;
    assert_eq!(ports.admin("PUT", "faults", faults).await.0, 204);
    for (wrong, reason) in [
        (
            r#"{"operation": "lstDomains"}"#,
            "unknown variant `lstDomains`",
        ),
        (r#"{"operation": "token"}"#, "rules[0].status is missing"),
        (
            r#"{"retryAfter": 3, "delay": "1s"}"#,
            "rules[0].retryAfter needs",
        ),
        (r#"{"body": {}, "cut": "before"}"#, "rules[0].body needs"),
        (r#"{"status": 503, "stale": true}"#, "rules[0].stale"),
        (r#"{"status": 42}"#, "rules[0].status is not"),
        (r#"{"status": 503, "nth": [0]}"#, "rules[0].nth"),
        (r#"{"status": 503, "rate": 10}"#, "rules[0].rate"),
        (r#"{"status": 503, "tmes": 1}"#, "unknown field `tmes`"),
    ] {
        let (status, text) = ports.admin("PUT", "faults", &format!("[{wrong}]")).await;
        assert_eq!(status, 400, "{wrong}");
        assert!(text.contains(reason), "{wrong}: {text}");
    }
    assert_eq!(ports.admin("PUT", "faults", "[]").await.0, 204);
    for (method, path, status) in [
        ("GET", "journal?since=x", 400),
        ("GET", "journal?after=1", 400),
        ("GET", "nothing", 404),
        ("POST", "faults", 405),
    ] {
        let (found, text) = ports.admin(method, path, "").await;
        let body: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(found, status, "{path}");
        assert!(body["error"].is_string(), "{path}");
    }
    let before = ports.emulator.now();
    assert_eq!(
        ports
            .admin("POST", "clock/advance", r#"{"by": "30s"}"#)
            .await
            .0,
        200
    );
    assert!(ports.emulator.now() >= before + jiff::SignedDuration::from_secs(30));
    let (_, world) = ports.admin("GET", "world", "").await;
    assert_eq!(World::from_yaml(&world).unwrap(), ports.emulator.world());
    let fewer = "tenants: []";
    assert_eq!(ports.admin("PUT", "world", fewer).await.0, 204);
    assert!(ports.emulator.world().tenants.is_empty());
    let (status, reason) = ports.admin("PUT", "world", "tenants: [{id: x}]").await;
    assert_eq!(status, 400);
    assert!(reason.contains("not a GUID"), "{reason}");
}

/// A cut connection looks to a client like a network failure, not like an answer.
#[tokio::test]
async fn a_cut_connection_is_no_answer() {
    let ports = Ports::open(Options::default()).await;
    let (status, _) = ports
        .admin(
            "PUT",
            "faults",
            r#"[{"operation": "token", "cut": "before"}]"#,
        )
        .await;
    assert_eq!(status, 204);
    let url = format!("{}{TENANT}/oauth2/v2.0/token", ports.emulator.base_url());
    let error = ports.http.post(url).send().await.unwrap_err();
    assert!(!error.is_status(), "{error}");
}
