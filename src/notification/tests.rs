//! What Graph, and somebody who pretends to be Graph, gets as an answer.

use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::receiver::{
    BODY_LIMIT, IdentitySlot, ReceiverState, TOKEN_LIMIT, TenantLabel, TenantLabels, router,
};
use super::wake::{LifecycleEvent, Wake, WakeQueue};
use crate::clock::Clock;
use crate::domain::identity::{Identity, KeyRing, NotificationUrls};
use crate::ids::{InstanceId, Uid};
use crate::metrics::Metrics;
use std::sync::Arc;
use std::time::Duration;

mod copies;
mod fuzz;
mod socket;

const TENANT: &str = "5f1d7a9c-1111-4000-8000-000000000001";

#[derive(Debug)]
struct KnownRoom;

impl TenantLabels for KnownRoom {
    fn label(&self, uid: &Uid) -> TenantLabel {
        if *uid == room() {
            TenantLabel::Named("rooms/contoso".into())
        } else if *uid == orphan() {
            TenantLabel::Unnamed
        } else {
            TenantLabel::NoObject
        }
    }
}

/// An object whose tenant nobody can name.
fn orphan() -> Uid {
    Uid::from_bytes([6; 16])
}

fn room() -> Uid {
    Uid::from_bytes([7; 16])
}

/// A receiver with keys, and what a test looks at.
struct Receiver {
    identity: Identity,
    slot: IdentitySlot,
    metrics: Metrics,
    wakes: WakeQueue,
    router: axum::Router,
}

impl Receiver {
    fn new() -> Self {
        let identity = Identity {
            instance: InstanceId::new("0123456789abcdef"),
            keys: KeyRing::generate(crate::ids::KeyId(1), [42; 32]),
        };
        let slot = IdentitySlot::default();
        slot.store(Some(Arc::new(identity.clone())));
        let metrics = Metrics::new().unwrap();
        let wakes = WakeQueue::new(3, metrics.wake_lost.clone());
        let state = ReceiverState::new(
            slot.clone(),
            Arc::new(KnownRoom),
            wakes.clone(),
            metrics.clone(),
            Clock::starting_at("2026-11-24T08:00:00Z".parse().unwrap()),
        );
        Self {
            router: router(state),
            identity,
            slot,
            metrics,
            wakes,
        }
    }

    fn urls(&self) -> NotificationUrls {
        let base = "https://calendar.example/hooks".parse().unwrap();
        NotificationUrls::new(base, self.identity.instance.clone())
    }

    fn change_path(&self, uid: Uid) -> String {
        self.urls().change("rooms", &uid).path().to_owned()
    }

    fn lifecycle_path(&self, uid: Uid) -> String {
        self.urls().lifecycle("rooms", &uid).path().to_owned()
    }

    fn client_state(&self, uid: Uid) -> String {
        let (state, _) = self.identity.keys.client_state(uid, TENANT);
        state.expose().to_owned()
    }

    fn item(&self, uid: Uid) -> Value {
        json!({
            "subscriptionId": "subscription-1",
            "subscriptionExpirationDateTime": "2026-11-25T08:00:00Z",
            "clientState": self.client_state(uid),
            "changeType": "created",
            "tenantId": TENANT,
            "resource": "Users/x/Events/y",
            "resourceData": {"@odata.type": "#Microsoft.Graph.Event", "id": "y"},
        })
    }

    fn lifecycle_item(&self, uid: Uid, event: &str) -> Value {
        let mut item = self.item(uid);
        item["lifecycleEvent"] = json!(event);
        item
    }

    async fn send(&self, request: Request<Body>) -> (u16, axum::http::HeaderMap, String) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        (head.status.as_u16(), head.headers, text)
    }

    async fn post(&self, path: &str, body: impl Into<Body>) -> u16 {
        self.send(Request::post(path).body(body.into()).unwrap())
            .await
            .0
    }

    async fn notify(&self, path: &str, items: &[Value]) -> u16 {
        self.post(path, json!({"value": items}).to_string()).await
    }

    fn counted(&self, result: &str, tenant: &str) -> u64 {
        let notifications = &self.metrics.notifications;
        notifications.with_label_values(&[result, tenant]).get()
    }
}

#[tokio::test]
async fn a_handshake_gets_its_decoded_token_back_on_both_urls_before_any_key_is_loaded() {
    let receiver = Receiver::new();
    receiver.slot.store(None);
    for path in [
        receiver.change_path(room()),
        receiver.lifecycle_path(room()),
    ] {
        let query = "a=b&validationToken=Validation%3a+Testing+client%2B%C3%A9%3Cscript%3E";
        let request = Request::post(format!("{path}?{query}"))
            .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
            .body(Body::empty());
        let (status, headers, text) = receiver.send(request.unwrap()).await;
        assert_eq!(status, 200);
        assert_eq!(text, "Validation: Testing client+é<script>");
        assert_eq!(headers[header::CONTENT_TYPE], "text/plain");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    }
}

#[tokio::test]
async fn an_empty_or_endless_token_is_refused() {
    let receiver = Receiver::new();
    let path = receiver.change_path(room());
    for token in [String::new(), "x".repeat(TOKEN_LIMIT + 1)] {
        let path = format!("{path}?validationToken={token}");
        assert_eq!(receiver.post(&path, "").await, 400);
    }
}

#[tokio::test]
async fn other_methods_and_paths_are_refused() {
    let receiver = Receiver::new();
    let path = receiver.change_path(room());
    for method in ["GET", "PUT", "DELETE", "HEAD"] {
        let request = Request::builder().method(method).uri(&path);
        let (status, headers, _) = receiver.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(
            (status, &headers[header::ALLOW]),
            (405, &"POST".parse().unwrap())
        );
    }
    assert_eq!(receiver.post("/v1/notifications/x", "").await, 404);
}

#[tokio::test]
async fn a_load_balancer_learns_at_the_root_whether_notifications_are_taken() {
    let receiver = Receiver::new();
    let asked = async |method: &str| {
        let request = Request::builder().method(method).uri("/");
        let request = request.body(Body::empty()).unwrap();
        let (status, _, text) = receiver.send(request).await;
        (status, text)
    };
    assert_eq!(asked("GET").await, (200, String::new()));
    assert_eq!(asked("HEAD").await.0, 200);
    assert_eq!(asked("POST").await.0, 404);
    receiver.slot.store(None);
    assert_eq!(asked("GET").await.0, 503);
}

#[tokio::test]
async fn a_genuine_change_is_counted_with_its_time_and_wakes_nobody() {
    let receiver = Receiver::new();
    let path = receiver.change_path(room());
    let item = receiver.item(room());
    assert_eq!(receiver.notify(&path, &[item.clone(), item]).await, 202);
    assert_eq!(receiver.counted("accepted", "rooms/contoso"), 2);
    let last = &receiver.metrics.last_notification;
    assert_eq!(
        last.with_label_values(&["rooms/contoso"]).get(),
        1_795_507_200
    );
    assert_eq!(
        receiver
            .metrics
            .notification_response_seconds
            .get_sample_count(),
        1
    );
    assert_eq!(receiver.wakes.drain(), []);
}

#[tokio::test]
async fn a_genuine_lifecycle_event_wakes_its_object_once() {
    let receiver = Receiver::new();
    let path = receiver.lifecycle_path(room());
    let items = [
        "subscriptionRemoved",
        "missed",
        "missed",
        "reauthorizationRequired",
        "inventedLater",
    ]
    .map(|event| receiver.lifecycle_item(room(), event));
    assert_eq!(receiver.notify(&path, &items).await, 202);
    let woken = receiver.wakes.drain();
    let expected = [
        LifecycleEvent::SubscriptionRemoved,
        LifecycleEvent::Missed,
        LifecycleEvent::ReauthorizationRequired,
    ];
    assert_eq!(woken, expected.map(|event| Wake { uid: room(), event }));
    let events = &receiver.metrics.lifecycle_events;
    for (event, count) in [("missed", 2), ("subscriptionRemoved", 1), ("other", 1)] {
        assert_eq!(
            events.with_label_values(&[event, "rooms/contoso"]).get(),
            count,
            "{event}"
        );
    }
}

#[tokio::test]
async fn every_item_is_verified_and_a_forged_one_is_answered_like_any_other() {
    let receiver = Receiver::new();
    let path = receiver.lifecycle_path(room());
    let good = receiver.lifecycle_item(room(), "missed");
    let without = |field: &str| {
        let mut item = good.clone();
        item.as_object_mut().unwrap().remove(field);
        item
    };
    let with = |field: &str, value: &str| {
        let mut item = good.clone();
        item[field] = json!(value);
        item
    };
    let stranger = Uid::from_bytes([8; 16]);
    let forged = [
        with("clientState", "guess"),
        with("clientState", &receiver.client_state(stranger)),
        with("tenantId", "5f1d7a9c-2222-4000-8000-000000000002"),
        without("clientState"),
        without("tenantId"),
        json!({}),
    ];
    for item in &forged {
        assert_eq!(
            receiver.notify(&path, std::slice::from_ref(item)).await,
            202,
            "{item}"
        );
    }
    assert_eq!(receiver.counted("forged", ""), 6);
    assert_eq!(receiver.wakes.drain(), []);

    assert_eq!(
        receiver.notify(&path, &[forged[0].clone(), good]).await,
        202
    );
    assert_eq!(receiver.counted("forged", ""), 7);
    assert_eq!(receiver.counted("accepted", "rooms/contoso"), 1);
    assert_eq!(receiver.wakes.drain().len(), 1);
}

#[tokio::test]
async fn a_genuine_notification_is_accepted_also_where_no_tenant_is_known() {
    let receiver = Receiver::new();
    let path = receiver.change_path(orphan());
    let item = receiver.item(orphan());
    assert_eq!(receiver.notify(&path, &[item]).await, 202);
    assert_eq!(receiver.counted("accepted", ""), 1);
    assert_eq!(receiver.counted("unknown", ""), 0);
}

#[tokio::test]
async fn another_installation_and_unknown_objects_are_answered_and_counted() {
    let receiver = Receiver::new();
    let foreign = receiver
        .lifecycle_path(room())
        .replace("0123456789abcdef", "fedcba9876543210");
    let item = receiver.lifecycle_item(room(), "missed");
    assert_eq!(receiver.notify(&foreign, &[item]).await, 202);
    assert_eq!(receiver.counted("unknown", ""), 1);
    assert_eq!(receiver.wakes.drain(), []);

    let unknown = Uid::from_bytes([8; 16]);
    let path = receiver.change_path(unknown);
    assert_eq!(receiver.notify(&path, &[receiver.item(unknown)]).await, 202);
    assert_eq!(receiver.counted("unknown", ""), 2);
}

#[tokio::test]
async fn malformed_and_oversized_bodies_are_refused_and_counted() {
    let receiver = Receiver::new();
    let path = receiver.change_path(room());
    let bodies = [
        "",
        "{",
        "[]",
        "{}",
        r#"{"value": 1}"#,
        r#"{"value": [1]}"#,
        r#"{"value":[{"tenantId":1}]}"#,
    ];
    for body in bodies {
        assert_eq!(receiver.post(&path, body).await, 400, "{body}");
    }
    assert_eq!(receiver.post(&path, vec![0xff; 10]).await, 400);
    let many = format!(r#"{{"value":[{}{{}}]}}"#, "{},".repeat(5_000));
    assert_eq!(receiver.post(&path, many).await, 400);
    assert_eq!(receiver.counted("malformed", ""), 9);

    assert_eq!(receiver.post(&path, vec![b' '; BODY_LIMIT + 1]).await, 413);
    assert_eq!(receiver.post(&path, vec![b' '; 3 * BODY_LIMIT]).await, 413);
    assert_eq!(receiver.counted("oversized", ""), 2);
    assert_eq!(receiver.post(&path, r#"{"value": []}"#).await, 202);
}

#[tokio::test]
async fn without_keys_graph_is_asked_to_come_again() {
    let receiver = Receiver::new();
    receiver.slot.store(None);
    let path = receiver.change_path(room());
    assert_eq!(receiver.notify(&path, &[receiver.item(room())]).await, 503);
    assert_eq!(receiver.counted("unavailable", ""), 1);
    receiver
        .slot
        .store(Some(Arc::new(receiver.identity.clone())));
    assert_eq!(receiver.notify(&path, &[receiver.item(room())]).await, 202);
}

/// A body of which nothing arrives.
fn never() -> Body {
    Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>())
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_arrives_is_given_up() {
    let receiver = Receiver::new();
    assert_eq!(
        receiver.post(&receiver.change_path(room()), never()).await,
        400
    );
}

#[tokio::test(start_paused = true)]
async fn who_sends_slowly_does_not_make_our_answer_a_slow_one() {
    let receiver = Receiver::new();
    let path = receiver.change_path(room());
    let item = json!({"value": [receiver.item(room())]}).to_string();
    let slowly = futures::stream::once(async move {
        crate::clock::sleep(Duration::from_secs(4)).await;
        Ok::<_, std::io::Error>(item)
    });
    assert_eq!(receiver.post(&path, Body::from_stream(slowly)).await, 202);
    let answers = &receiver.metrics.notification_response_seconds;
    assert_eq!(answers.get_sample_count(), 1);
    assert!(answers.get_sample_sum() < 1.0, "{answers:?}");
}

#[tokio::test(start_paused = true)]
async fn a_sender_who_finds_no_room_for_a_body_is_asked_to_come_again() {
    let receiver = Receiver::new();
    let path = receiver.change_path(room());
    let strangers = (0..15).map(|_| receiver.post(&path, never()));
    let item = json!({"value": [receiver.item(room())]}).to_string();
    let (_, answer) = tokio::join!(
        futures::future::join_all(strangers),
        receiver.post(&path, item)
    );
    assert_eq!(answer, 503);
    assert_eq!(receiver.counted("unavailable", ""), 1);
}

#[tokio::test(start_paused = true)]
async fn who_knows_no_address_of_ours_takes_no_room_for_bodies() {
    let receiver = Receiver::new();
    let path = receiver.change_path(room());
    let foreign = path.replace("0123456789abcdef", "fedcba9876543210");
    let strangers = (0..15).map(|_| receiver.post(&foreign, never()));
    let item = json!({"value": [receiver.item(room())]}).to_string();
    let (answers, answer) = tokio::join!(
        futures::future::join_all(strangers),
        receiver.post(&path, item)
    );
    assert_eq!(answer, 202);
    assert_eq!(answers, [202; 15]);
    assert_eq!(receiver.counted("unknown", ""), 15);
}

#[test]
fn what_is_counted_from_the_beginning_shows_its_first_increase() {
    let receiver = Receiver::new();
    let families = receiver.metrics.registry.gather();
    let shown = |name: &str, label: &str| {
        let family = families.iter().find(|family| family.name() == name);
        let series = family.iter().flat_map(|family| family.get_metric());
        series
            .flat_map(prometheus::proto::Metric::get_label)
            .any(|l| l.value() == label)
    };
    assert!(shown("hybridcalendar_notifications_total", "unavailable"));
    assert!(shown("hybridcalendar_lifecycle_events_total", "missed"));
}

#[tokio::test]
async fn a_full_wake_queue_loses_by_the_count_and_the_answer_stays_the_same() {
    let receiver = Receiver::new();
    for object in 0..5 {
        let uid = Uid::from_bytes([object; 16]);
        let items = [receiver.lifecycle_item(uid, "missed")];
        assert_eq!(
            receiver.notify(&receiver.lifecycle_path(uid), &items).await,
            202
        );
    }
    assert_eq!(receiver.wakes.drain().len(), 3);
    assert_eq!(receiver.metrics.wake_lost.get(), 2);
}
