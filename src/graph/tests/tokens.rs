//! When tokens are asked for, and what they are used for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::stand_in::{Reply, START, StandIn, connection, room, secret};
use crate::clock::sleep;
use crate::graph::assertion;
use crate::graph::credential::{
    AssertionError, AssertionSource, CertificateCredential, CertificateError, Credential,
};
use crate::graph::error::{ErrorClass, Forbidden, Outage, TokenRefusal};
use crate::graph::operation::Operation::{GetCalendar, Token};
use crate::secret::Secret;

fn refused(code: u32) -> Reply {
    let body = json!({"error": "invalid_client", "error_codes": [code]});
    Reply::json(401, &body)
}

const WRONG_SECRET: ErrorClass = ErrorClass::Token(TokenRefusal::InvalidClientSecret);

#[tokio::test(start_paused = true)]
async fn callers_at_once_share_one_token_request() {
    let world = StandIn::new();
    world.answer_after(Duration::from_millis(100));
    let tenant = world.tenant();
    let rooms: Vec<_> = (0..10).map(room).collect();
    let answers = join_all(rooms.iter().map(|room| tenant.calendar(room))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(world.count(Token), 1);
    assert_eq!(
        world.seen(Token)[0].body,
        "grant_type=client_credentials&client_id=5f1d7a9c-2222-4000-8000-000000000001&scope=https%3A%2F%2Fgraph.microsoft.com%2F.default&client_secret=p%26ss+word"
    );
}

#[tokio::test(start_paused = true)]
async fn callers_at_once_share_one_refusal() {
    let world = StandIn::new();
    world.answer_after(Duration::from_millis(100));
    world.script(Token, [refused(7_000_215)]);
    let tenant = world.tenant();
    let rooms: Vec<_> = (0..10).map(room).collect();
    for answer in join_all(rooms.iter().map(|room| tenant.calendar(room))).await {
        assert_eq!(answer.unwrap_err().class, WRONG_SECRET);
    }
    assert_eq!(world.count(Token), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_gives_up_leaves_the_turn_to_the_next() {
    let world = StandIn::new();
    world.script(Token, [Reply::Silence]);
    let tenant = world.tenant();
    let patient = {
        let tenant = tenant.clone();
        tokio::spawn(async move {
            sleep(Duration::from_millis(10)).await;
            tenant.token().await
        })
    };
    assert!(
        tokio::time::timeout(Duration::from_secs(1), tenant.token())
            .await
            .is_err()
    );
    patient.await.unwrap().unwrap();
    assert_eq!(world.count(Token), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_five_minutes_before_its_end_or_when_entra_says_so() {
    for (refresh_in, renewed_after) in [(None, 3300), (Some(1200), 1200)] {
        let world = StandIn::new();
        world.issue_tokens_for(3600, refresh_in);
        let tenant = world.tenant();
        tenant.token().await.unwrap();
        sleep(Duration::from_secs(renewed_after - 1)).await;
        tenant.token().await.unwrap();
        assert_eq!(world.count(Token), 1);
        sleep(Duration::from_secs(1)).await;
        tenant.token().await.unwrap(); // nobody waits
        sleep(Duration::from_millis(1)).await;
        let facts = tenant.token().await.unwrap();
        assert_eq!(world.count(Token), 2);
        let life = facts.expires_at.duration_since(facts.acquired_at);
        assert_eq!(life.as_secs(), 3600);
        assert!(world.now().duration_since(facts.acquired_at).as_secs() < 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_still_works_is_used_while_no_new_one_comes() {
    let world = StandIn::new();
    let tenant = world.tenant();
    tenant.calendar(&room(1)).await.unwrap();
    world.script(
        Token,
        [refused(7_000_222), refused(7_000_222), refused(7_000_222)],
    );
    sleep(Duration::from_secs(3301)).await;
    tenant.calendar(&room(1)).await.unwrap();
    sleep(Duration::from_millis(1)).await;
    let told = tenant.token().await.unwrap_err();
    assert_eq!(
        told.class,
        ErrorClass::Token(TokenRefusal::ClientSecretExpired)
    );
    assert_eq!(
        world.seen(GetCalendar)[1].bearer.as_deref(),
        Some("token-1")
    );
    sleep(Duration::from_mins(5)).await;
    let late = tenant.calendar(&room(1)).await.unwrap_err();
    assert_eq!(
        late.class,
        ErrorClass::Token(TokenRefusal::ClientSecretExpired)
    );
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_not_asked_for_again_until_a_while_has_passed() {
    let world = StandIn::new();
    world.script(Token, [refused(7_000_215), refused(7_000_215)]);
    let gateway = world.gateway();
    let tenant = gateway.tenant(connection(secret()));
    for _ in 0..100 {
        assert_eq!(
            tenant.calendar(&room(1)).await.unwrap_err().class,
            WRONG_SECRET
        );
    }
    assert_eq!(world.count(Token), 1);
    sleep(Duration::from_secs(11)).await;
    assert_eq!(tenant.token().await.unwrap_err().class, WRONG_SECRET);
    sleep(Duration::from_secs(11)).await;
    assert_eq!(tenant.token().await.unwrap_err().class, WRONG_SECRET);
    assert_eq!(world.count(Token), 2);
    // Who has a reason, or a new credential, asks at once.
    tenant.fresh_token().await.unwrap();
    tenant.calendar(&room(1)).await.unwrap();
    gateway.tenant(connection(secret())).token().await.unwrap();
    assert_eq!(world.count(Token), 4);
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_login_host_is_no_refusal() {
    let world = StandIn::new();
    let cut = || Reply::Answer(503, Vec::new(), String::new());
    world.script(Token, [cut(), cut(), cut()]);
    let tenant = world.tenant();
    let error = tenant.token().await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Unavailable(Outage::ServerErrors));
    assert_eq!(world.count(Token), 3);
    sleep(Duration::from_secs(2)).await;
    tenant.token().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn after_a_401_the_call_is_repeated_once_with_a_fresh_token() {
    let world = StandIn::new();
    let tenant = world.tenant();
    world.script(GetCalendar, [Reply::status(401)]);
    tenant.calendar(&room(1)).await.unwrap();
    assert_eq!(
        world.seen(GetCalendar)[1].bearer.as_deref(),
        Some("token-2")
    );

    sleep(Duration::from_secs(2)).await;
    world.script(GetCalendar, [Reply::status(401), Reply::status(401)]);
    let error = tenant.calendar(&room(1)).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Unauthenticated);
    assert_eq!((world.count(GetCalendar), world.count(Token)), (4, 3));
}

#[tokio::test(start_paused = true)]
async fn a_graph_that_accepts_no_token_causes_no_storm_of_token_requests() {
    let world = StandIn::new();
    let tenant = world.tenant();
    for _ in 0..300 {
        world.script(GetCalendar, [Reply::status(401)]);
    }
    for _ in 0..100 {
        sleep(Duration::from_millis(290)).await;
        let error = tenant.calendar(&room(1)).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Unauthenticated);
    }
    assert_eq!(world.count(Token), 2);
    sleep(Duration::from_secs(2)).await;
    tenant.calendar(&room(1)).await.unwrap_err();
    assert_eq!(world.count(Token), 3);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_the_renewal_of_a_token_that_still_works() {
    let world = StandIn::new();
    let tenant = world.tenant();
    tenant.token().await.unwrap();
    sleep(Duration::from_secs(3301)).await;
    world.script(Token, [Reply::Silence]);
    let before = world.now();
    tenant.calendar(&room(1)).await.unwrap();
    tenant.calendar(&room(2)).await.unwrap();
    let waited = world.now().duration_since(before);
    assert!(waited.as_millis() < 20, "{waited:#}");
    sleep(Duration::from_secs(12)).await;
    assert_eq!(world.count(Token), 3);
    tenant.calendar(&room(3)).await.unwrap();
    assert_eq!(
        world.seen(GetCalendar)[2].bearer.as_deref(),
        Some("token-2")
    );
}

#[tokio::test(start_paused = true)]
async fn many_401s_at_once_fetch_one_token() {
    let world = StandIn::new();
    world.answer_after(Duration::from_millis(100));
    let tenant = world.tenant();
    tenant.token().await.unwrap();
    for _ in 0..10 {
        world.script(GetCalendar, [Reply::status(401)]);
    }
    let rooms: Vec<_> = (0..10).map(room).collect();
    let answers = join_all(rooms.iter().map(|room| tenant.calendar(room))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(world.count(Token), 2);
}

#[tokio::test(start_paused = true)]
async fn after_a_403_only_an_old_token_is_replaced_and_only_once() {
    let world = StandIn::new();
    let tenant = world.tenant();
    let denied = ErrorClass::Forbidden(Forbidden::Denied);
    world.script(GetCalendar, [Reply::status(403)]);
    assert_eq!(tenant.calendar(&room(1)).await.unwrap_err().class, denied);
    assert_eq!((world.count(GetCalendar), world.count(Token)), (1, 1));

    sleep(Duration::from_secs(61)).await;
    world.script(GetCalendar, [Reply::status(403), Reply::status(403)]);
    assert_eq!(tenant.calendar(&room(1)).await.unwrap_err().class, denied);
    assert_eq!((world.count(GetCalendar), world.count(Token)), (3, 2));

    sleep(Duration::from_secs(61)).await;
    let policy = Reply::error(403, "ErrorAccessDenied", "[RAOP] : Blocked");
    world.script(GetCalendar, [policy]);
    let error = tenant.calendar(&room(1)).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Forbidden(Forbidden::AccessPolicy));
    assert_eq!((world.count(GetCalendar), world.count(Token)), (4, 2));
}

fn certificate() -> (String, String) {
    let key = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048)
        .unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.not_after = rcgen::date_time_ymd(2031, 5, 6);
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn assertion_of(body: &str) -> (Value, Value) {
    let form: std::collections::HashMap<String, String> =
        url::form_urlencoded::parse(body.as_bytes())
            .into_owned()
            .collect();
    assert_eq!(
        form["client_assertion_type"],
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    );
    let mut parts = form["client_assertion"].split('.');
    let mut part = || -> Value {
        let json = URL_SAFE_NO_PAD.decode(parts.next().unwrap()).unwrap();
        serde_json::from_slice(&json).unwrap()
    };
    (part(), part())
}

#[tokio::test(start_paused = true)]
async fn an_assertion_out_of_its_time_is_signed_again_on_the_login_hosts_clock() {
    let (cert, key) = certificate();
    let credential = CertificateCredential::from_pem(cert.as_bytes(), key.as_bytes()).unwrap();
    assert_eq!(
        credential.not_after(),
        "2031-05-06T00:00:00Z".parse::<Timestamp>().unwrap()
    );
    let world = StandIn::new();
    let tenant = world
        .gateway()
        .tenant(connection(Credential::Certificate(credential)));
    world.script(
        Token,
        [refused(700_024).with("date", "Tue, 24 Nov 2026 09:00:00 GMT")],
    );
    tenant.token().await.unwrap();

    let [first, second] = &world.seen(Token)[..] else {
        panic!("two requests")
    };
    let ((header, early), (_, late)) = (assertion_of(&first.body), assertion_of(&second.body));
    assert_eq!(header["alg"], "PS256");
    assert_eq!(header["x5t#S256"].as_str().unwrap().len(), 43);
    let url =
        "https://login.microsoftonline.com/5f1d7a9c-1111-4000-8000-000000000001/oauth2/v2.0/token";
    assert_eq!(early["aud"], url);
    assert_eq!(early["iss"], early["sub"]);
    assert_ne!(early["jti"], late["jti"]);
    assert_eq!(
        early["exp"].as_i64().unwrap() - early["nbf"].as_i64().unwrap(),
        600
    );
    assert_eq!(
        late["nbf"].as_i64().unwrap() - early["nbf"].as_i64().unwrap(),
        3600
    );

    sleep(Duration::from_secs(2)).await;
    world.script(Token, [refused(700_024), refused(700_024)]);
    let error = tenant.fresh_token().await.unwrap_err();
    let class = ErrorClass::Token(TokenRefusal::CertificateRejected { clock: true });
    assert_eq!(error.class, class);
    assert_eq!(world.count(Token), 4);
}

#[test]
fn a_key_of_another_certificate_is_found_at_once() {
    let ((cert, key), (other, _)) = (certificate(), certificate());
    let read = |cert: &str, key: &str| {
        CertificateCredential::from_pem(cert.as_bytes(), key.as_bytes()).map(drop)
    };
    assert!(matches!(
        read(&other, &key),
        Err(CertificateError::Mismatch)
    ));
    assert!(matches!(
        read("", &key),
        Err(CertificateError::NoCertificate)
    ));
    assert!(matches!(read(&cert, &cert), Err(CertificateError::NoKey)));
    let elliptic = rcgen::KeyPair::generate().unwrap().serialize_pem();
    assert!(matches!(
        read(&cert, &elliptic),
        Err(CertificateError::NotRsa)
    ));
}

/// What the token endpoint is sent, or nothing when the key cannot sign.
fn signed(cert: &str, key: &str) -> Option<Secret> {
    let credential = CertificateCredential::from_pem(cert.as_bytes(), key.as_bytes()).ok()?;
    let now = START.parse().unwrap();
    assertion::sign(&credential, "client", "https://login.example/", now).ok()
}

#[test]
fn a_key_signs_also_when_its_certificate_comes_before_it_in_the_same_file() {
    let (cert, key) = certificate();
    assert!(signed(&cert, &format!("{cert}{key}")).is_some());
    let (_, foreign) = certificate();
    assert!(signed(&cert, &format!("{foreign}{key}")).is_none());
}

/// DER of this kind around that.
fn der(tag: u8, inside: &[u8]) -> Vec<u8> {
    let length = u32::try_from(inside.len()).unwrap().to_be_bytes();
    [&[tag, 0x84][..], &length, inside].concat()
}

/// Lists in lists, in DER.
fn nested(depth: usize) -> Vec<u8> {
    let mut backwards = Vec::new();
    for _ in 0..depth {
        let length = u32::try_from(backwards.len()).unwrap();
        backwards.extend(length.to_le_bytes());
        backwards.extend([0x84, 0x30]);
    }
    backwards.reverse();
    backwards
}

#[test]
fn what_lies_deep_in_a_key_file_does_not_end_the_process() {
    let block = |label: &str, der: &[u8]| {
        let text = STANDARD.encode(der);
        format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
    };
    let (cert, key) = certificate();
    let deep = nested(100_000);
    let before = block("ATTRIBUTES", &deep);
    assert!(signed(&cert, &format!("{before}{key}")).is_some());
    let before = block("PRIVATE KEY", &deep);
    assert!(signed(&cert, &format!("{before}{key}")).is_none());
    // PKCS#8 may have attributes at its end; these are none.
    let lines: Vec<&str> = key.lines().collect();
    let whole = STANDARD.decode(lines[1..lines.len() - 1].concat()).unwrap();
    let whole = [&whole[4..], &der(0xa0, &deep)].concat();
    let with_attributes = block("PRIVATE KEY", &der(0x30, &whole));
    assert!(signed(&cert, &with_attributes).is_none());
}

struct Cluster(AtomicU32);

impl AssertionSource for Cluster {
    fn assertion(&self) -> BoxFuture<'_, Result<Secret, AssertionError>> {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        let answer = match number {
            0 | 1 => Ok(Secret::new(format!("assertion-{number}"))),
            2 => Err(AssertionError::Unavailable(
                "serviceaccounts \"calendars\" not found".to_owned(),
            )),
            _ => Err(AssertionError::Forbidden),
        };
        async { answer }.boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn a_federated_assertion_is_asked_for_each_time() {
    let world = StandIn::new();
    let source = Credential::Federated(Arc::new(Cluster(AtomicU32::new(0))));
    let tenant = world.gateway().tenant(connection(source));
    tenant.token().await.unwrap();
    tenant.fresh_token().await.unwrap();
    let bodies: Vec<String> = world
        .seen(Token)
        .into_iter()
        .map(|seen| seen.body)
        .collect();
    assert!(
        bodies[0].ends_with("client_assertion=assertion-0"),
        "{bodies:?}"
    );
    assert!(
        bodies[1].ends_with("client_assertion=assertion-1"),
        "{bodies:?}"
    );
    let error = tenant.fresh_token().await.unwrap_err();
    assert_eq!(
        error.class,
        ErrorClass::Token(TokenRefusal::AssertionUnavailable)
    );
    assert_eq!(error.detail, "serviceaccounts \"calendars\" not found");
}

#[tokio::test(start_paused = true)]
async fn a_federated_assertion_that_we_may_not_ask_for_is_told_apart() {
    let world = StandIn::new();
    let source = Credential::Federated(Arc::new(Cluster(AtomicU32::new(3))));
    let tenant = world.gateway().tenant(connection(source));
    let error = tenant.token().await.unwrap_err();
    assert_eq!(
        error.class,
        ErrorClass::Token(TokenRefusal::AssertionForbidden)
    );
    assert!(world.seen(Token).is_empty());
}
