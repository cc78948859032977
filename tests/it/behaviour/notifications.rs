//! What Graph sends to the receiver, and what others send to it.

use std::time::Duration;

use futures::future::join_all;
use futures::{StreamExt as _, stream};
use graph_emulator::{LifecycleEvent, Options, SubscriptionView};
use reqwest::StatusCode;
use serde_json::{Value, json};
use testbed::objects::Kind;
use testbed::testbed::{Testbed, start_emulator_with};
use testbed::{ports, wait};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::certificates::Certificates;
use super::hearing::{Hearing, notifications};
use super::scene::{
    DEADLINE, all_ready, apply, contoso, counter, daily, echoed, good, mailbox_is, mark,
    only_subscription, request, room, start, status_writes, tenant_is, world,
};

const ROOM: &str = "room-a@contoso.example";

/// A good room whose tenant has counted it: nothing is left to do, and nothing comes by itself but sweeps.
async fn settled() -> Testbed {
    let bed = start(&contoso(), &daily(good())).await;
    mailbox_is(&bed, "room-a", "Ready=True/Activated").await;
    tenant_is(&bed, "contoso", "Ready=True/Operational").await;
    all_ready(&bed, 1).await;
    bed
}

/// Calls to Graph after the one with this number, but for the sweeps, which come by themselves.
fn calls_since(bed: &Testbed, mark: u64) -> Vec<String> {
    let entries = bed.emulator.journal(mark).into_iter();
    entries
        .map(|entry| entry.operation)
        // Lists are for all mailboxes, and in what envelope a question travels does not matter here.
        .filter(|operation| operation != "listSubscriptions" && operation != "batch")
        .collect()
}

#[tokio::test]
async fn a_lifecycle_event_leads_to_what_it_asks_for_and_to_nothing_else() {
    let bed = settled().await;
    let before = only_subscription(&bed, ROOM);
    let lifecycle = async |event, expected: &[&str], what: &str| {
        let mark = mark(&bed);
        bed.emulator.send_lifecycle(&before.id, event).unwrap();
        bed.wait_until(what, DEADLINE, async || {
            calls_since(&bed, mark).len() >= expected.len()
        })
        .await
        .unwrap();
        // Asking for something else afterwards shows that nothing more was to come.
        let wish = format!("after {what}");
        request(&bed, Kind::Tenant, "contoso", &wish).await;
        echoed(&bed, Kind::Tenant, "contoso", &wish).await;
        let mut calls = about_mailboxes(calls_since(&bed, mark));
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
        let count = count.unwrap();
        assert!((count - 1.0).abs() < 0.1, "{count} × {event}");
    }
}

/// What a tenant asks when it is looked at.
const TENANTS_CALLS: [&str; 4] = ["token", "listDomains", "getOrganization", "listPlaces"];

/// Those of the calls that are not what a tenant asks.
fn about_mailboxes(mut calls: Vec<String>) -> Vec<String> {
    calls.retain(|operation| !TENANTS_CALLS.contains(&operation.as_str()));
    calls
}

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
    let answers = stream::iter((0..100).map(|_| post_in_chunks(url)));
    let answers: Vec<_> = answers.buffer_unordered(50).collect().await;
    assert!(answers.iter().all(refused), "{answers:?}");
    let (highest, _) = memory(bed.operator.id());
    let grown = highest.saturating_sub(before) / 1024;
    assert!(grown < 32, "{grown} MiB more for 600 MB of bodies");
}

/// The answer to a body that is too long and does not say so in advance. It may be cut off, as in [`Sender::post`].
async fn post_in_chunks(url: &str) -> StatusCode {
    const CHUNK: usize = 64 * 1024;
    let url = url::Url::parse(url).unwrap();
    let address = url.socket_addrs(|| None).unwrap()[0];
    let mut connection = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: {address}\r\ntransfer-encoding: chunked\r\n\r\n",
        url.path()
    );
    let chunk = format!("{CHUNK:x}\r\n{}\r\n", "x".repeat(CHUNK));
    connection.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..large().len() / CHUNK {
        if connection.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    let mut answer = String::new();
    let read = BufReader::new(connection).read_line(&mut answer).await;
    let code = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    match (read, code) {
        (_, Some(code)) => StatusCode::from_u16(code).unwrap(),
        (Err(_), None) => StatusCode::PAYLOAD_TOO_LARGE,
        (Ok(_), None) => panic!("no status in {answer:?}"),
    }
}

#[tokio::test]
async fn forged_wrong_and_oversized_notifications_are_answered_counted_and_wake_nobody() {
    let bed = settled().await;
    let subscription = only_subscription(&bed, ROOM);
    let calls = mark(&bed);
    let writes = bed.control_plane.audit_mark().await.unwrap();
    let sender = Sender::new();
    send_wrong_ones(&sender, &subscription).await;
    send_too_many(&bed, &sender, &subscription).await;
    for (result, expected) in [
        ("forged", 1003.0),
        ("unknown", 1.0),
        ("malformed", 1.0),
        ("oversized", 201.0),
        ("accepted", 0.0),
    ] {
        let count = notifications(&bed, result).await.unwrap();
        assert!((count - expected).abs() < 0.1, "{count} {result}");
    }

    // What would have been woken comes before what a person asks for now.
    request(&bed, Kind::Mailbox, "room-a", "now").await;
    echoed(&bed, Kind::Mailbox, "room-a", "now").await;
    let mut seen = about_mailboxes(calls_since(&bed, calls));
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
    let mut hearing = Hearing::begin(&bed).await;
    hearing.book(ROOM);
    hearing.lost_nothing().await;
    let tenant = format!("{}/contoso", bed.namespace);
    let labels = [("tenant", tenant.as_str())];
    let last = counter(&bed, "last_notification_timestamp_seconds", &labels).await;
    let last = last.unwrap();
    let (began, ended) = (began.as_duration(), bed.emulator.now().as_duration());
    let heard = began.as_secs_f64() - 1.0..=ended.as_secs_f64();
    assert!(heard.contains(&last), "{last}");

    let subscription = only_subscription(&bed, ROOM);
    let calls = mark(&bed);
    let item = json!({
        "subscriptionId": subscription.id,
        "clientState": subscription.client_state,
        "tenantId": subscription.tenant,
        "changeType": "updated",
    });
    // Graph tells of several changes in one request. All are offered at once; how soon they are answered is a matter
    // of the machine.
    let body = json!({"value": vec![item; 4]}).to_string();
    let sender = Sender::new();
    let answers = (0..250).map(|_| sender.post(&subscription.notification_url, body.clone()));
    let answers = join_all(answers).await;
    assert!(answers.iter().all(|status| *status == StatusCode::ACCEPTED));
    let accepted = notifications(&bed, "accepted").await.unwrap();
    assert!((accepted - 1003.0).abs() < 0.1, "{accepted}");
    assert_eq!(
        calls_since(&bed, calls),
        [""; 0],
        "they prove delivery, no more"
    );
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

    let mut hearing = Hearing::begin(&bed).await;
    let mut next = Instant::now();
    let mut book = |hearing: &mut Hearing<'_>| {
        if next <= Instant::now() {
            hearing.book(ROOM);
            next = Instant::now() + Duration::from_millis(200);
        }
    };
    book(&mut hearing);
    second.write(folder.path());
    wait::until("the new certificate is served", DEADLINE, async || {
        book(&mut hearing);
        second.are_shown_by(&url).await
    })
    .await
    .unwrap();
    assert!(!first.are_shown_by(&url).await);
    apply(&bed, &[room("room-b", "room-b@contoso.example")]).await;
    mailbox_is(&bed, "room-b", "Ready=True/Activated").await;
    hearing.book(ROOM);
    hearing.lost_nothing().await;
}
