//! Faults: which calls go wrong, in which way, and what the world looks like afterwards.

use std::time::Duration;

use graph_emulator::{
    ConnectionCut, Cut, FaultRule, Faults, NotificationFaults, Operation, RetryAfter,
};
use serde_json::json;
use tower::ServiceExt as _;

use crate::client::Client;
use crate::receiver::{Manner, Receiver};

const ROOM: &str = "room-a@contoso.example";
const ROOM_CALENDAR: &str = "users/room-a@contoso.example/calendar";

fn rule(rule: FaultRule) -> Faults {
    Faults {
        rules: vec![rule],
        ..Faults::default()
    }
}

#[tokio::test]
async fn the_nth_call_goes_wrong_and_only_so_many_times() {
    let client = Client::new().await;
    client.emulator.set_faults(rule(FaultRule {
        operation: Operation::GetCalendar,
        mailbox: Some(ROOM.to_owned()),
        nth: vec![2, 3, 4],
        times: Some(2),
        status: Some(429),
        retry_after: Some(RetryAfter::Seconds(30)),
        ..FaultRule::default()
    }));
    assert_eq!(
        client
            .get("users/ada@contoso.example/calendar")
            .await
            .status,
        200
    );
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(client.get(ROOM_CALENDAR).await);
    }
    let statuses: Vec<u16> = seen.iter().map(|reply| reply.status.as_u16()).collect();
    assert_eq!(statuses, [200, 429, 429, 200]);
    assert_eq!(seen[1].code().1, "ApplicationThrottled");
    assert_eq!(seen[1].headers["retry-after"], "30");
}

#[tokio::test]
async fn a_retry_time_can_be_a_date_and_a_body_can_be_anything() {
    let client = Client::new().await;
    client.emulator.set_faults(rule(FaultRule {
        status: Some(503),
        retry_after: Some(RetryAfter::HttpDate {
            http_date: Duration::from_secs(30),
        }),
        body: Some(json!("gateway is tired")),
        ..FaultRule::default()
    }));
    let reply = client.get("organization").await;
    assert_eq!(reply.body, "gateway is tired");
    assert!(
        reply.headers["retry-after"]
            .to_str()
            .unwrap()
            .ends_with(" GMT")
    );
    let token = client.token_with(&[]).await;
    assert_eq!(token.status, 503);
    client.emulator.set_faults(Faults::default());
    assert_eq!(client.get("organization").await.status, 200);
}

#[tokio::test]
async fn without_a_body_503_is_an_unknown_error_with_an_empty_message() {
    let client = Client::new().await;
    let status = |status| FaultRule {
        status: Some(status),
        ..FaultRule::default()
    };
    client.emulator.set_faults(rule(status(503)));
    let reply = client.get("organization").await;
    assert_eq!((reply.code(), reply.message()), ((503, "UnknownError"), ""));
    client.emulator.set_faults(rule(status(429)));
    let token = client.token_with(&[]).await;
    assert_eq!(token.body, "Too Many Requests");
    assert_eq!(token.headers["retry-after"], "60");
    client.emulator.set_faults(rule(status(503)));
    let token = client.token_with(&[]).await;
    assert_eq!(token.body["error"], "temporarily_unavailable");
    assert_eq!(token.body["error_codes"], json!([90_033]));
    assert!(token.body["correlation_id"].is_string());
}

#[tokio::test]
async fn a_connection_cut_after_the_call_leaves_a_subscription_that_nobody_knows() {
    let client = Client::new().await;
    let receiver = Receiver::start(Manner::Good).await;
    let body = client.subscription(ROOM, &receiver.url, 60);
    for (cut, left) in [(Cut::Before, 0), (Cut::After, 1)] {
        client.emulator.set_faults(rule(FaultRule {
            operation: Operation::CreateSubscription,
            cut: Some(cut),
            ..FaultRule::default()
        }));
        let request = client.request("POST", "subscriptions", Some(&body));
        let outcome = client.emulator.service().oneshot(request).await;
        assert_eq!(outcome.unwrap_err(), ConnectionCut);
        assert_eq!(client.emulator.subscriptions().len(), left, "{cut:?}");
    }
    assert_eq!(client.count(Operation::CreateSubscription, 0), 2);
}

#[tokio::test]
async fn a_stale_list_does_not_know_what_came_after_the_rule() {
    let client = Client::new().await;
    let receiver = Receiver::start(Manner::Good).await;
    client.emulator.set_faults(rule(FaultRule {
        operation: Operation::ListSubscriptions,
        times: Some(1),
        stale: true,
        ..FaultRule::default()
    }));
    let body = client.subscription(ROOM, &receiver.url, 60);
    assert_eq!(client.post("subscriptions", &body).await.status, 201);
    assert_eq!(client.get("subscriptions").await.body["value"], json!([]));
    let fresh = client.get("subscriptions").await;
    assert_eq!(fresh.body["value"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_fifth_call_at_once_to_a_mailbox_is_one_too_many() {
    let client = Client::new().await;
    client.emulator.set_faults(rule(FaultRule {
        operation: Operation::GetCalendar,
        delay: Some(Duration::from_millis(200)),
        ..FaultRule::default()
    }));
    let calls = (0..5).map(|_| client.get(ROOM_CALENDAR));
    let replies = futures::future::join_all(calls).await;
    let refused: Vec<_> = replies.iter().filter(|reply| reply.status == 429).collect();
    assert_eq!(refused.len(), 1);
    assert!(refused[0].message().contains("MailboxConcurrency"));
}

#[tokio::test]
async fn who_goes_away_does_not_stop_the_call() {
    let client = Client::new().await;
    client.emulator.set_faults(rule(FaultRule {
        operation: Operation::CreateEvent,
        delay: Some(Duration::from_millis(50)),
        ..FaultRule::default()
    }));
    let body = json!({
        "start": {"dateTime": "2030-01-01T09:00:00", "timeZone": "UTC"},
        "end": {"dateTime": "2030-01-01T10:00:00", "timeZone": "UTC"},
    });
    let path = format!("users/{ROOM}/events");
    let created = client.post(&path, &body);
    let gone = tokio::time::timeout(Duration::from_millis(5), created).await;
    assert!(gone.is_err());
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while client.count(Operation::CreateEvent, 201) == 0 {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn notifications_are_dropped_doubled_or_turned_around() {
    let client = Client::new().await;
    let receiver = Receiver::start(Manner::Good).await;
    let body = client.subscription(ROOM, &receiver.url, 60);
    client.post("subscriptions", &body).await;
    let start = client.emulator.now();
    let booking = graph_emulator::Booking {
        organizer: "ada@contoso.example".to_owned(),
        subject: "Budget".to_owned(),
        start,
        end: start,
    };
    let faults = |notifications| Faults {
        notifications,
        ..Faults::default()
    };
    client.emulator.set_faults(faults(NotificationFaults {
        drop: true,
        ..NotificationFaults::default()
    }));
    client.emulator.book(ROOM, &booking).unwrap();
    assert_eq!(client.emulator.counts().notifications.dropped, 3);
    client.emulator.set_faults(faults(NotificationFaults {
        duplicate: true,
        reorder: true,
        ..NotificationFaults::default()
    }));
    client.emulator.book(ROOM, &booking).unwrap();
    let told = receiver.wait_for(6).await;
    assert_eq!(told[0].1["value"][0]["changeType"], "updated");
    assert_eq!(told[5].1["value"][0]["changeType"], "created");
    assert_eq!(told[0], told[1]);
}

#[tokio::test]
async fn a_refused_notification_comes_again_when_the_pause_is_over() {
    let client = Client::new().await;
    let receiver = Receiver::start(Manner::RefusesOnce).await;
    let body = client.subscription(ROOM, &receiver.url, 60);
    let created = client.post("subscriptions", &body).await;
    let id = created.body["id"].as_str().unwrap();
    client
        .emulator
        .send_lifecycle(id, graph_emulator::LifecycleEvent::Missed)
        .unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while client.emulator.counts().notifications.failed == 0 {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
    // The pause starts a moment after the failure was counted.
    while client.emulator.counts().notifications.delivered == 0 {
        assert!(tokio::time::Instant::now() < deadline);
        client.emulator.advance(Duration::from_secs(11));
        tokio::task::yield_now().await;
    }
    receiver.wait_for(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_simulation_that_holds_time_feels_a_delay_without_waiting() {
    let client = Client::new().await;
    client.emulator.set_faults(rule(FaultRule {
        operation: Operation::GetOrganization,
        delay: Some(Duration::from_secs(30)),
        ..FaultRule::default()
    }));
    let before = client.emulator.now();
    assert_eq!(client.get("organization").await.status, 200);
    let waited = client.emulator.now().duration_since(before);
    assert!(waited >= jiff::SignedDuration::from_secs(30), "{waited}");
}
