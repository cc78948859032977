//! What Graph sends to the receiver, and what others send to it.

use std::path::Path;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use graph_emulator::{Booking, LifecycleEvent, Options, SubscriptionView};
use jiff::SignedDuration;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use reqwest::StatusCode;
use serde_json::{Value, json};
use testbed::objects::Kind;
use testbed::testbed::{Testbed, start_emulator_with};
use testbed::{ports, wait};

use super::scene::{
    DEADLINE, SOON, apply, contoso, good, mailbox_is, only_subscription, request, room, start,
    status_writes, tenant_is, world,
};

const ROOM: &str = "room-a@contoso.example";

/// A good room whose tenant has counted it: nothing is left to do.
async fn settled() -> Testbed {
    let bed = start(&contoso(), &good()).await;
    mailbox_is(&bed, "room-a", "Ready=True/Activated").await;
    counted(&bed).await;
    bed
}

async fn counted(bed: &Testbed) {
    tenant_is(bed, "contoso", "Ready=True/Operational").await;
    bed.wait_until("the tenant has counted its mailboxes", SOON, async || {
        let tenant = bed.get_tenant("contoso").await.unwrap();
        tenant["status"]["mailboxes"]["summary"] == "1/1"
    })
    .await
    .unwrap();
}

/// Books a meeting, so that Graph tells of it: once created, twice updated.
fn book(bed: &Testbed, address: &str) {
    let start = bed.emulator.now();
    let booking = Booking {
        organizer: "ada@contoso.example".to_owned(),
        subject: "Design review".to_owned(),
        start,
        end: start + SignedDuration::from_hours(1),
    };
    bed.emulator.book(address, &booking).unwrap();
}

async fn counter(bed: &Testbed, name: &str, labels: &[(&str, &str)]) -> f64 {
    let metrics = bed.operator.metrics().await.unwrap();
    let name = format!("hybridcalendar_{name}");
    metrics.sum(&name, labels).unwrap_or_default()
}

/// How many notifications came to nothing or something.
async fn notifications(bed: &Testbed, result: &str) -> f64 {
    counter(bed, "notifications_total", &[("result", result)]).await
}

/// Calls to Graph after the one with this number, but for the sweeps, which come by themselves.
fn calls_since(bed: &Testbed, mark: u64) -> Vec<String> {
    let entries = bed.emulator.journal(mark).into_iter();
    entries
        .map(|entry| entry.operation)
        .filter(|operation| operation != "listSubscriptions")
        .collect()
}

fn last_call(bed: &Testbed) -> u64 {
    bed.emulator.journal(0).last().map_or(0, |entry| entry.seq)
}

#[tokio::test]
async fn a_lifecycle_event_leads_to_what_it_asks_for_and_to_nothing_else() {
    let bed = settled().await;
    let before = only_subscription(&bed, ROOM);
    let lifecycle = async |event, expected: &[&str], what: &str| {
        let mark = last_call(&bed);
        bed.emulator.send_lifecycle(&before.id, event).unwrap();
        bed.wait_until(what, SOON, async || {
            calls_since(&bed, mark).len() >= expected.len()
        })
        .await
        .unwrap();
        // Asking for something else afterwards shows that nothing more was to come.
        let wish = format!("after {what}");
        request(&bed, Kind::Tenant, "contoso", &wish).await;
        bed.wait_until("the tenant was looked at", SOON, async || {
            bed.get_tenant("contoso").await.unwrap()["status"]["lastHandledReconcileAt"] == *wish
        })
        .await
        .unwrap();
        let mut calls = calls_since(&bed, mark);
        calls.retain(|operation| !TENANTS_CALLS.contains(&operation.as_str()));
        calls.sort();
        assert_eq!(calls, expected, "{what}");
    };
    lifecycle(
        LifecycleEvent::ReauthorizationRequired,
        &["renewSubscription"],
        "a reauthorization is a renewal, and no second call",
    )
    .await;
    let after = only_subscription(&bed, ROOM);
    assert_eq!(after.id, before.id);
    assert!(after.expiration_date_time >= before.expiration_date_time);
    lifecycle(
        LifecycleEvent::Missed,
        &["findUsers", "getCalendar", "getPlace"],
        "missed notifications are a check",
    )
    .await;
    lifecycle(
        LifecycleEvent::SubscriptionRemoved,
        &["getSubscription"],
        "a removal is verified",
    )
    .await;
    assert_eq!(only_subscription(&bed, ROOM).id, before.id, "a false alarm");
    for event in ["reauthorizationRequired", "missed", "subscriptionRemoved"] {
        let count = counter(&bed, "lifecycle_events_total", &[("event", event)]).await;
        assert!((count - 1.0).abs() < 0.1, "{count} × {event}");
    }
}

/// What a tenant asks when it is looked at.
const TENANTS_CALLS: [&str; 4] = ["token", "listDomains", "getOrganization", "listPlaces"];

/// A lifecycle notification as Graph sends it for this subscription.
fn removed(subscription: &SubscriptionView) -> Value {
    json!({"value": [{
        "subscriptionId": subscription.id,
        "subscriptionExpirationDateTime": subscription.expiration_date_time.to_string(),
        "tenantId": subscription.tenant,
        "clientState": subscription.client_state,
        "lifecycleEvent": "subscriptionRemoved",
    }]})
}

/// The same with another first item.
fn changed(mut body: Value, field: &str, value: Value) -> Value {
    body["value"][0][field] = value;
    body
}

struct Sender {
    client: reqwest::Client,
}

impl Sender {
    fn new() -> Self {
        // The server closes connections whose bodies it refused: none is used twice.
        let client = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0);
        Self {
            client: client.build().unwrap(),
        }
    }

    /// The answer. Who still sends a body that is too long when it is refused may find the connection cut instead.
    async fn post(&self, url: &str, body: String) -> StatusCode {
        let too_long = body.len() > 1024 * 1024;
        match self.client.post(url).body(body).send().await {
            Ok(answer) => answer.status(),
            Err(error) if too_long && error.is_request() => StatusCode::PAYLOAD_TOO_LARGE,
            Err(error) => panic!("{error}"),
        }
    }

    async fn post_all(&self, url: &str, bodies: Vec<String>) -> Vec<StatusCode> {
        let answers = bodies.into_iter().map(|body| self.post(url, body));
        stream::iter(answers).buffer_unordered(50).collect().await
    }
}

/// Highest and present resident memory of a process, in KiB.
fn memory(process: u32) -> (u64, u64) {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    (field("VmHWM:"), field("VmRSS:"))
}

/// A word that differs from this one in a letter.
fn another(word: &str, at: usize) -> String {
    let replacement = if word[at..].starts_with('1') {
        "2"
    } else {
        "1"
    };
    format!("{}{replacement}{}", &word[..at], &word[at + 1..])
}

/// Everything about a notification that can be wrong, and how Graph expects it to be answered.
async fn send_wrong_ones(sender: &Sender, subscription: &SubscriptionView) {
    let url = subscription.lifecycle_notification_url.clone().unwrap();
    let genuine = removed(subscription);
    let state = subscription.client_state.clone().unwrap();
    let with_state = |state| changed(genuine.clone(), "clientState", state).to_string();
    let instance = url.split('/').nth_back(2).unwrap();
    let elsewhere = url.replace(instance, &another(instance, 0));
    let of_another = another(&url, url.len() - 1);
    let forged = with_state(json!(another(&state, 0)));
    let genuine = genuine.to_string();
    for (case, url, body, expected) in [
        ("forged", &url, forged, StatusCode::ACCEPTED),
        (
            "unsigned",
            &url,
            with_state(Value::Null),
            StatusCode::ACCEPTED,
        ),
        (
            "of another",
            &of_another,
            genuine.clone(),
            StatusCode::ACCEPTED,
        ),
        ("elsewhere", &elsewhere, genuine, StatusCode::ACCEPTED),
        ("markup", &url, "<html>".to_owned(), StatusCode::BAD_REQUEST),
        ("3 MB", &url, large(), StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        assert_eq!(sender.post(url, body).await, expected, "{case}");
    }
    let get = sender.client.get(&url).send().await.unwrap();
    assert_eq!(get.status(), StatusCode::METHOD_NOT_ALLOWED);
}

fn large() -> String {
    "x".repeat(3_000_000)
}

/// A thousand forged notifications, and far more than fits into memory at once.
async fn send_too_many(bed: &Testbed, sender: &Sender, subscription: &SubscriptionView) {
    let url = subscription.lifecycle_notification_url.as_ref().unwrap();
    let genuine = removed(subscription);
    let forged = (0..1000).map(|n| changed(genuine.clone(), "clientState", json!(n.to_string())));
    let answers = sender.post_all(url, forged.map(|body| body.to_string()).collect());
    let accepted = |status: &StatusCode| *status == StatusCode::ACCEPTED;
    assert!(answers.await.iter().all(accepted));
    let (_, before) = memory(bed.operator.id());
    let answers = sender.post_all(url, vec![large(); 100]);
    let refused = |status: &StatusCode| *status == StatusCode::PAYLOAD_TOO_LARGE;
    assert!(answers.await.iter().all(refused));
    let (highest, _) = memory(bed.operator.id());
    let grown = highest.saturating_sub(before) / 1024;
    assert!(grown < 32, "{grown} MiB more for 300 MB of bodies");
}

#[tokio::test]
async fn forged_wrong_and_oversized_notifications_are_answered_counted_and_wake_nobody() {
    let bed = settled().await;
    let subscription = only_subscription(&bed, ROOM);
    let calls = last_call(&bed);
    let writes = bed.control_plane.audit_mark().await.unwrap();
    let sender = Sender::new();
    send_wrong_ones(&sender, &subscription).await;
    send_too_many(&bed, &sender, &subscription).await;
    for (result, expected) in [
        ("forged", 1003.0),
        ("unknown", 1.0),
        ("malformed", 1.0),
        ("oversized", 101.0),
        ("accepted", 0.0),
    ] {
        let count = notifications(&bed, result).await;
        assert!((count - expected).abs() < 0.1, "{count} {result}");
    }

    // What would have been woken comes before what a person asks for now.
    request(&bed, Kind::Mailbox, "room-a", "now").await;
    bed.wait_until("the room was looked at", SOON, async || {
        bed.get_mailbox("room-a").await.unwrap()["status"]["lastHandledReconcileAt"] == "now"
    })
    .await
    .unwrap();
    let mut seen = calls_since(&bed, calls);
    seen.sort();
    assert_eq!(seen, ["findUsers", "getCalendar", "getPlace"]);
    let entries = bed.control_plane.audit_since(writes).await.unwrap();
    assert_eq!(status_writes(&bed, &entries, "").len(), 1, "the echo");
}

#[tokio::test]
async fn a_handshake_with_markup_gets_exactly_its_text_back() {
    let mut organization = contoso();
    organization["behaviour"] = json!({"markupInValidationToken": true});
    let bed = start(&organization, &good()).await;
    mailbox_is(&bed, "room-a", "Ready=True/Activated").await;
    let subscription = only_subscription(&bed, ROOM);
    let token = "<script>alert('&amp; \"hello\"')</script> + 100%";
    for url in [
        &subscription.notification_url,
        subscription.lifecycle_notification_url.as_ref().unwrap(),
    ] {
        let mut url = url::Url::parse(url).unwrap();
        url.query_pairs_mut().append_pair("validationToken", token);
        let answer = Sender::new().client.post(url).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "text/plain");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
        assert_eq!(answer.text().await.unwrap(), token);
    }
}

#[tokio::test]
async fn what_is_booked_is_heard_and_a_thousand_notifications_in_a_second_are_all_taken() {
    let bed = settled().await;
    let began = bed.emulator.now();
    book(&bed, ROOM);
    bed.wait_until("three notifications were accepted", SOON, async || {
        notifications(&bed, "accepted").await > 2.9
    })
    .await
    .unwrap();
    let tenant = format!("{}/contoso", bed.namespace);
    let labels = [("tenant", tenant.as_str())];
    let last = counter(&bed, "last_notification_timestamp_seconds", &labels).await;
    let began = began.as_duration().as_secs_f64();
    assert!((began - 1.0..began + 10.0).contains(&last), "{last}");
    let counts = bed.emulator.counts().notifications;
    assert_eq!((counts.delivered, counts.failed, counts.dropped), (3, 0, 0));

    let subscription = only_subscription(&bed, ROOM);
    let calls = last_call(&bed);
    let item = json!({
        "subscriptionId": subscription.id,
        "clientState": subscription.client_state,
        "tenantId": subscription.tenant,
        "changeType": "updated",
    });
    let body = json!({"value": [item]}).to_string();
    let sender = Sender::new();
    let sent = tokio::time::Instant::now();
    let answers = sender
        .post_all(&subscription.notification_url, vec![body; 1000])
        .await;
    let took = sent.elapsed();
    assert!(answers.iter().all(|status| *status == StatusCode::ACCEPTED));
    assert!(
        took < SOON,
        "{took:?}, on a machine that does other things too"
    );
    let accepted = notifications(&bed, "accepted").await;
    assert!((accepted - 1003.0).abs() < 0.1, "{accepted}");
    assert_eq!(
        calls_since(&bed, calls),
        [""; 0],
        "they prove delivery, no more"
    );
}

/// An authority of its own with a certificate for this machine, as the two files of a Secret.
struct Certificates {
    authority: String,
    certificate: String,
    key: String,
}

impl Certificates {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        Self {
            authority,
            certificate: leaf.signed_by(&key, &issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    fn write(&self, dir: &Path) {
        std::fs::write(dir.join("tls.crt"), &self.certificate).unwrap();
        std::fs::write(dir.join("tls.key"), &self.key).unwrap();
    }

    /// Whether a server shows a certificate of this authority.
    async fn are_shown_by(&self, url: &str) -> bool {
        let authority = reqwest::Certificate::from_pem(self.authority.as_bytes()).unwrap();
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([authority]);
        client.build().unwrap().get(url).send().await.is_ok()
    }
}

#[tokio::test]
async fn notifications_come_over_tls_and_a_new_certificate_is_served_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (Certificates::new(), Certificates::new());
    first.write(folder.path());
    let authorities = folder.path().join("authorities.pem");
    std::fs::write(
        &authorities,
        format!("{}{}", first.authority, second.authority),
    )
    .unwrap();
    let options = Options {
        trust_ca: Some(authorities),
        ..Options::default()
    };
    let emulator = start_emulator_with(world(&contoso()), options)
        .await
        .unwrap();
    let port = ports::free().unwrap();
    let url = format!("https://127.0.0.1:{port}");
    let bed = Testbed::start_against(emulator, |operator| {
        operator.receiver_listen = Some(([127, 0, 0, 1], port).into());
        operator.notification_url = Some(url.clone());
        let folder = folder.path().display();
        operator
            .arguments
            .push(format!("--receiver-tls-dir={folder}"));
    })
    .await
    .unwrap();
    apply(&bed, &good()).await;
    mailbox_is(&bed, "room-a", "Ready=True/Activated").await;
    assert!(
        only_subscription(&bed, ROOM)
            .notification_url
            .starts_with(&url)
    );
    tenant_is(&bed, "contoso", "EndpointRejected=False/EndpointAccepted").await;
    assert!(first.are_shown_by(&url).await && !second.are_shown_by(&url).await);

    second.write(folder.path());
    wait::until("the new certificate is served", DEADLINE, async || {
        second.are_shown_by(&url).await
    })
    .await
    .unwrap();
    assert!(!first.are_shown_by(&url).await);
    apply(&bed, &[room("room-b", "room-b@contoso.example")]).await;
    mailbox_is(&bed, "room-b", "Ready=True/Activated").await;
    book(&bed, ROOM);
    bed.wait_until("notifications come", Duration::from_secs(10), async || {
        notifications(&bed, "accepted").await > 2.9
    })
    .await
    .unwrap();
}
