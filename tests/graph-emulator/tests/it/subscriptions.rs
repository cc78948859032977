//! Subscriptions: handshakes, lifetimes, doubles, quotas, notifications.

use std::time::Duration;

use graph_emulator::{Booking, LifecycleEvent, Operation, Removal};
use serde_json::json;

use crate::client::Client;
use crate::receiver::{Manner, Receiver};

const ROOM: &str = "room-a@contoso.example";

#[tokio::test]
async fn a_receiver_that_does_not_echo_the_token_gets_no_subscription() {
    let client = Client::with(|world| {
        world.limits.validation_timeout = Some(Duration::from_secs(1));
    })
    .await;
    for (manner, message) in [
        (Manner::Markup, "must exactly match validationToken"),
        (Manner::WrongBody, "must exactly match validationToken"),
        (Manner::NotFound, "must respond with 200 OK"),
        (Manner::Silent, "timed out"),
        (Manner::LifecycleNotFound, "must respond with 200 OK"),
    ] {
        let receiver = Receiver::start(manner).await;
        let body = client.subscription(ROOM, &receiver.url, 60);
        let reply = client.post("subscriptions", &body).await;
        assert_eq!(reply.code(), (400, "ValidationError"), "{manner:?}");
        assert!(
            reply.message().contains(message),
            "{manner:?}: {}",
            reply.message()
        );
    }
    assert!(client.emulator.subscriptions().is_empty());
}

#[tokio::test]
async fn a_subscription_ends_on_the_emulators_clock_unless_it_is_renewed() {
    let client = Client::new().await;
    let receiver = Receiver::start(Manner::Good).await;
    let body = client.subscription(ROOM, &receiver.url, 60);
    let created = client.post("subscriptions", &body).await;
    let path = format!("subscriptions/{}", created.body["id"].as_str().unwrap());
    client.emulator.advance(Duration::from_mins(50));
    let until = client.emulator.now() + jiff::SignedDuration::from_mins(60);
    let renewed = client
        .patch(&path, &json!({"expirationDateTime": until.to_string()}))
        .await;
    assert_eq!(renewed.status, 200, "{}", renewed.body);
    client.emulator.advance(Duration::from_mins(59));
    assert_eq!(client.emulator.subscriptions().len(), 1);
    client.emulator.advance(Duration::from_mins(2));
    assert!(client.emulator.subscriptions().is_empty());
}

#[tokio::test]
async fn every_client_state_is_remembered_also_of_what_was_refused_or_is_gone() {
    let client = Client::new().await;
    let receiver = Receiver::start(Manner::Good).await;
    let mut body = client.subscription(ROOM, &receiver.url, 60);
    let created = client.post("subscriptions", &body).await;
    let id = created.body["id"].as_str().unwrap();
    client
        .emulator
        .remove_subscription(id, Removal::Silent)
        .unwrap();
    body["notificationUrl"] = Receiver::start(Manner::NotFound).await.url.into();
    body["clientState"] = "refused".into();
    assert_eq!(client.post("subscriptions", &body).await.status, 400);
    assert_eq!(client.emulator.client_states(), ["state", "refused"]);
}

#[tokio::test]
async fn a_double_is_refused_by_name() {
    let client = Client::new().await;
    let receiver = Receiver::start(Manner::Good).await;
    let body = client.subscription(ROOM, &receiver.url, 60);
    let first = client.post("subscriptions", &body).await;
    let second = client.post("subscriptions", &body).await;
    assert_eq!(second.code(), (409, "ObjectIdentifierInUse"));
    assert!(
        second
            .message()
            .contains(first.body["id"].as_str().unwrap())
    );
    client
        .emulator
        .update_world(|world| world.behaviour.allow_duplicates = true)
        .unwrap();
    assert_eq!(client.post("subscriptions", &body).await.status, 201);
}

#[tokio::test]
async fn the_26th_list_within_20_seconds_is_refused_until_they_are_over() {
    let client = Client::new().await;
    for _ in 0..25 {
        assert_eq!(client.get("subscriptions").await.status, 200);
    }
    let refused = client.get("subscriptions").await;
    assert_eq!(refused.code(), (429, "TooManyRequests"));
    let wait: u64 = refused.headers["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=20).contains(&wait));
    client.emulator.advance(Duration::from_secs(21));
    assert_eq!(client.get("subscriptions").await.status, 200);
    assert_eq!(client.count(Operation::ListSubscriptions, 429), 1);
}

#[tokio::test]
async fn a_booking_in_a_room_is_told_three_times_with_the_client_state() {
    let client = Client::new().await;
    let receiver = Receiver::start(Manner::Good).await;
    let body = client.subscription(ROOM, &receiver.url, 60);
    let created = client.post("subscriptions", &body).await;
    let start = client.emulator.now();
    let booking = Booking {
        organizer: "ada@contoso.example".to_owned(),
        subject: "Budget".to_owned(),
        start,
        end: start + jiff::SignedDuration::from_mins(30),
    };
    let id = client.emulator.book(ROOM, &booking).unwrap();
    let told = receiver.wait_for(3).await;
    let kinds: Vec<&str> = told
        .iter()
        .map(|(_, body)| body["value"][0]["changeType"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["created", "updated", "updated"]);
    let etags: std::collections::HashSet<String> = told
        .iter()
        .map(|(_, body)| body["value"][0]["resourceData"]["@odata.etag"].to_string())
        .collect();
    assert_eq!(etags.len(), 3);
    let (path, first) = &told[0];
    assert_eq!(path, "/notifications");
    assert_eq!(first["value"][0]["clientState"], "state");
    assert_eq!(first["value"][0]["subscriptionId"], created.body["id"]);
    assert_eq!(first["value"][0]["resourceData"]["id"], id);
    let event = client.get(&format!("users/{ROOM}/events/{id}")).await;
    assert_eq!(event.body["subject"], "ada@contoso.example");
}

#[tokio::test]
async fn lifecycle_events_go_to_their_own_url() {
    let client = Client::new().await;
    let receiver = Receiver::start(Manner::Good).await;
    let body = client.subscription(ROOM, &receiver.url, 60);
    let created = client.post("subscriptions", &body).await;
    let id = created.body["id"].as_str().unwrap();
    client
        .emulator
        .send_lifecycle(id, LifecycleEvent::ReauthorizationRequired)
        .unwrap();
    receiver.wait_for(1).await;
    client
        .emulator
        .remove_subscription(id, Removal::Announced)
        .unwrap();
    let told = receiver.wait_for(2).await;
    let told: Vec<_> = told
        .iter()
        .map(|(path, body)| {
            (
                path.as_str(),
                body["value"][0]["lifecycleEvent"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("/lifecycle", "reauthorizationRequired"),
        ("/lifecycle", "subscriptionRemoved"),
    ];
    assert_eq!(told, expected);
    assert!(
        client
            .emulator
            .remove_subscription(id, Removal::Silent)
            .is_err()
    );
}

#[tokio::test]
async fn a_life_is_granted_within_the_limits_of_the_world() {
    let receiver = Receiver::start(Manner::Good).await;
    let minutes = |minutes: u64| Some(Duration::from_mins(minutes));
    let rows = [
        (None, None, 10, 45),
        (None, None, 60, 60),
        (minutes(30), None, 600, 30),
        (minutes(30), minutes(20), 1, 20),
        (None, minutes(1), 5, 5),
    ];
    for (most, least, asked, granted) in rows {
        let client = Client::with(|world| {
            world.limits.max_lifetime = most;
            world.limits.min_lifetime = least;
        })
        .await;
        let body = client.subscription(ROOM, &receiver.url, asked);
        let reply = client.post("subscriptions", &body).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        let end = client.emulator.subscriptions()[0].expiration_date_time;
        let life = end.duration_since(client.emulator.now());
        let expected = jiff::SignedDuration::from_mins(granted);
        let difference = (life - expected).abs();
        assert!(
            difference < jiff::SignedDuration::from_secs(20),
            "{asked}: {life}"
        );
    }
}

#[tokio::test]
async fn others_subscriptions_are_invisible_and_a_policy_stops_renewals() {
    let other = "5f1d7a9c-2222-4000-8000-000000000002";
    let mut client = Client::with(|world| {
        let mut second = world.tenants[0].applications[0].clone();
        second.client_id = other.to_owned();
        world.tenants[0].applications.push(second);
    })
    .await;
    let receiver = Receiver::start(Manner::Good).await;
    let body = client.subscription(ROOM, &receiver.url, 60);
    let created = client.post("subscriptions", &body).await;
    let path = format!("subscriptions/{}", created.body["id"].as_str().unwrap());
    let ours = client.token.clone();
    let reply = client.token_with(&[("client_id", other)]).await;
    reply.body["access_token"]
        .as_str()
        .unwrap()
        .clone_into(&mut client.token);
    assert_eq!(client.get("subscriptions").await.body["value"], json!([]));
    assert_eq!(client.delete(&path).await.status, 404);

    client.token = ours;
    let url = json!({"notificationUrl": format!("{}/moved", receiver.url)});
    assert_eq!(client.patch(&path, &url).await.status, 200);
    assert_eq!(receiver.validated().last().unwrap(), "/moved");
    assert_eq!(
        client.patch(&path, &json!({})).await.code(),
        (400, "InvalidRequest")
    );
    assert_eq!(
        client
            .post(&format!("{path}/reauthorize"), &json!({}))
            .await
            .status,
        204
    );
    let deny = |world: &mut graph_emulator::World| {
        world.tenants[0].applications[0]
            .denied
            .push(ROOM.to_owned());
    };
    client.emulator.update_world(deny).unwrap();
    assert_eq!(
        client.patch(&path, &url).await.code(),
        (403, "ExtensionError")
    );
    assert_eq!(client.delete(&path).await.status, 204);
}

#[tokio::test]
async fn the_1001st_subscription_of_a_mailbox_is_one_too_many_unless_quotas_are_off() {
    let mut client = Client::with(|world| {
        world.behaviour.allow_duplicates = true;
    })
    .await;
    let receiver = Receiver::start(Manner::Good).await;
    let mut body = client.subscription(ROOM, &receiver.url, 600);
    body["lifecycleNotificationUrl"] = serde_json::Value::Null;
    for number in 0..1000 {
        if number % 400 == 0 {
            client.emulator.advance(Duration::from_secs(21));
        }
        let created = client.post("subscriptions", &body).await;
        assert_eq!(created.status, 201, "{number}: {}", created.body);
    }
    let refused = client.post("subscriptions", &body).await;
    assert_eq!(refused.code(), (403, "ExtensionError"));
    assert!(
        refused.message().contains("Maximum number"),
        "{}",
        refused.body
    );
    let off = |world: &mut graph_emulator::World| {
        world.quotas = graph_emulator::world::Quotas::Off;
    };
    client.emulator.update_world(off).unwrap();
    client.sign_in().await;
    assert_eq!(client.post("subscriptions", &body).await.status, 201);
}
