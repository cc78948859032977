//! Switches of a world, and limits that are reached only by many calls.

use std::time::Duration;

use graph_emulator::world::{Location, Quotas, ValidationFailureCode};
use graph_emulator::{FaultRule, Faults, NotificationFaults, Operation};
use serde_json::{Value, json};

use crate::client::Client;
use crate::receiver::{Manner, Receiver};

const ROOM: &str = "room-a@contoso.example";
const CALENDAR: &str = "users/room-a@contoso.example/calendar";

#[tokio::test]
async fn the_look_of_a_refusal_can_be_what_it_was_before() {
    let client = Client::with(|world| {
        world.behaviour.validation_failure_code = ValidationFailureCode::InvalidRequest;
        world.behaviour.max_lifetime_minutes = 4_230;
        world.behaviour.duplicate_transaction_status = 400;
    })
    .await;
    let receiver = Receiver::start(Manner::NotFound).await;
    let body = client.subscription(ROOM, &receiver.url, 60);
    let refused = client.post("subscriptions", &body).await;
    assert_eq!(refused.code(), (400, "InvalidRequest"));
    let body = client.subscription(ROOM, &receiver.url, 4_240);
    let refused = client.post("subscriptions", &body).await;
    assert!(refused.message().contains("4230 minutes"));

    let time = json!({"dateTime": "2030-01-01T09:00:00", "timeZone": "UTC"});
    let event = json!({"start": time, "end": time, "transactionId": "t"});
    let events = format!("users/{ROOM}/events");
    let first = client.post(&events, &event).await;
    let second = client.post(&events, &event).await;
    assert_eq!(second.code(), (400, "ErrorDuplicateTransactionId"));
    assert_eq!(
        second.body["error"]["@event.existingEventId"],
        first.body["id"]
    );
}

#[tokio::test]
async fn a_moved_url_is_validated_unless_that_is_switched_off() {
    let client = Client::new().await;
    let receiver = Receiver::start(Manner::Good).await;
    let body = client.subscription(ROOM, &receiver.url, 60);
    let created = client.post("subscriptions", &body).await;
    let path = format!("subscriptions/{}", created.body["id"].as_str().unwrap());
    let nowhere = json!({"notificationUrl": "http://127.0.0.1:9/"});
    let refused = client.patch(&path, &nowhere).await;
    assert_eq!(refused.code(), (400, "ValidationError"));
    let off = |world: &mut graph_emulator::World| world.behaviour.validate_on_patch = false;
    client.emulator.update_world(off).unwrap();
    assert_eq!(client.patch(&path, &nowhere).await.status, 200);
}

#[tokio::test]
async fn a_share_of_calls_fails_at_random_but_never_a_token() {
    let client = Client::with(|world| world.behaviour.random_faults = 1.0).await;
    let reply = client.get("organization").await;
    assert!([503, 504].contains(&reply.status.as_u16()));
    assert_eq!((reply.code().1, reply.message()), ("UnknownError", ""));
    assert_eq!(client.token_with(&[]).await.status, 200);
}

#[tokio::test]
async fn a_mailbox_without_a_licence_is_as_good_as_none() {
    let client = Client::with(|world| {
        world.mailbox_mut(ROOM).unwrap().location = Location::Unlicensed;
    })
    .await;
    assert_eq!(
        client.get(CALENDAR).await.code(),
        (404, "MailboxNotEnabledForRESTAPI")
    );
    assert_eq!(client.get(&format!("users/{ROOM}")).await.status, 200);
}

// Time is held, so that a slow machine does not let the window slide.
#[tokio::test(start_paused = true)]
async fn the_directory_tells_how_near_its_limit_is_and_refuses_beyond_it() {
    let client = Client::new().await;
    let find = "users?$filter=mail%20eq%20'x'";
    let mut last = client.get(find).await;
    assert_eq!(last.headers["x-ms-resource-unit"], "2");
    assert!(!last.headers.contains_key("x-ms-throttle-limit-percentage"));
    let mut calls = 1;
    while last.status == 200 {
        last = client.get(find).await;
        calls += 1;
        if calls == 1_450 {
            assert_eq!(last.headers["x-ms-throttle-limit-percentage"], "0.8");
        }
    }
    // 3,500 units in ten seconds, and two for each call.
    assert_eq!(calls, 1_751);
    assert_eq!(last.code(), (429, "TooManyRequests"));
    assert_eq!(
        last.headers["x-ms-throttle-information"],
        "ResourceUnitLimitExceeded"
    );
    assert!(last.headers.contains_key("x-ms-throttle-scope"));
    assert!(last.headers.contains_key("retry-after"));
    assert_eq!(client.get("organization").await.status, 429);
    assert_eq!(client.get(CALENDAR).await.status, 200);
    let off = |world: &mut graph_emulator::World| world.quotas = Quotas::Off;
    client.emulator.update_world(off).unwrap();
    assert_eq!(client.get("organization").await.status, 200);
}

#[tokio::test]
async fn an_item_of_a_batch_is_limited_by_itself() {
    let client = Client::new().await;
    client.emulator.set_faults(Faults {
        rules: vec![FaultRule {
            operation: Operation::GetCalendar,
            nth: vec![1],
            status: Some(429),
            ..FaultRule::default()
        }],
        ..Faults::default()
    });
    let item = |id: &str| json!({"id": id, "method": "get", "url": format!("/{CALENDAR}")});
    let mut described = item("2");
    described["headers"] = json!({"client-request-id": "5f1d7a9c-4444-4000-8000-000000000001"});
    let batch = json!({"requests": [item("1"), described]});
    let reply = client.post("$batch", &batch).await;
    assert_eq!(reply.status, 200);
    let responses = reply.body["responses"].as_array().unwrap();
    let of = |id: &str| responses.iter().find(|one| one["id"] == id).unwrap();
    assert_eq!(of("1")["status"], 429);
    assert_eq!(of("1")["headers"]["Retry-After"], "10");
    assert_eq!(of("1")["body"]["error"]["code"], "ApplicationThrottled");
    assert_eq!(of("2")["status"], 200);
    assert_eq!(
        of("2")["headers"]["client-request-id"],
        "5f1d7a9c-4444-4000-8000-000000000001"
    );
}

#[tokio::test]
async fn a_notification_comes_later_than_the_change() {
    let client = Client::new().await;
    let receiver = Receiver::start(Manner::Good).await;
    let body = client.subscription(ROOM, &receiver.url, 60);
    let id = client.post("subscriptions", &body).await.body["id"].take();
    client.emulator.set_faults(Faults {
        notifications: NotificationFaults {
            delay: Some(Duration::from_millis(300)),
            ..NotificationFaults::default()
        },
        ..Faults::default()
    });
    let before = tokio::time::Instant::now();
    let missed = graph_emulator::LifecycleEvent::Missed;
    let id = id.as_str().unwrap();
    client.emulator.send_lifecycle(id, missed).unwrap();
    receiver.wait_for(1).await;
    assert!(before.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn links_begin_as_the_caller_named_the_host() {
    let client = Client::new().await;
    let mut request = client.request("GET", "users?$top=1&$select=id", None);
    let host = "graph.calendars.example:8443".parse().unwrap();
    request.headers_mut().insert("host", host);
    let reply = client.send(request).await;
    let next = reply.body["@odata.nextLink"].as_str().unwrap();
    assert!(next.starts_with("http://graph.calendars.example:8443/v1.0/users?"));
    assert_ne!(reply.body["value"], Value::Null);
}

#[tokio::test]
async fn a_missing_place_by_fault_looks_like_one_that_is_unknown() {
    let client = Client::new().await;
    client.emulator.set_faults(Faults {
        rules: vec![FaultRule {
            status: Some(404),
            ..FaultRule::default()
        }],
        ..Faults::default()
    });
    let place = client.get(&format!("places/{ROOM}")).await;
    assert_eq!((place.code(), place.message()), ((404, "UnknownError"), ""));
    let event = client.get(&format!("users/{ROOM}/events/x")).await;
    assert_eq!(event.code(), (404, "ErrorItemNotFound"));
    assert_eq!(client.get(CALENDAR).await.code(), (404, "ErrorInvalidUser"));
}
