//! What becomes of notifications that nobody takes, and who hears of what.

use std::time::Duration;

use graph_emulator::world::Location;
use graph_emulator::{Booking, ControlError, LifecycleEvent, NotificationCounts, Removal};

use crate::client::Client;
use crate::receiver::{Manner, Receiver};

const ROOM: &str = "room-a@contoso.example";

fn booking(client: &Client) -> Booking {
    let start = client.emulator.now();
    Booking {
        organizer: "ada@contoso.example".to_owned(),
        subject: "Budget".to_owned(),
        start,
        end: start,
    }
}

async fn subscribed(client: &Client, mailbox: &str, receiver: &Receiver) -> String {
    let body = client.subscription(mailbox, &receiver.url, 9600);
    let created = client.post("subscriptions", &body).await;
    assert_eq!(created.status, 201, "{}", created.body);
    created.body["id"].as_str().unwrap().to_owned()
}

/// Moves the clock from one attempt to the next until what became of notifications is as wanted.
async fn advance_until(client: &Client, wanted: impl Fn(NotificationCounts) -> bool) {
    let counts = || client.emulator.counts().notifications;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !wanted(counts()) {
        assert!(tokio::time::Instant::now() < deadline);
        let before = counts();
        client.emulator.advance(Duration::from_mins(15));
        // A pause that had not begun yet lets this step pass without an attempt.
        let attempt = tokio::time::Instant::now() + Duration::from_millis(50);
        while counts() == before && tokio::time::Instant::now() < attempt {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_change_that_nobody_takes_for_four_hours_is_missed() {
    let client = Client::with(|world| {
        world.behaviour.booking = graph_emulator::world::BookingNotifications::Exact;
    })
    .await;
    let receiver = Receiver::start(Manner::RefusesChanges).await;
    let id = subscribed(&client, ROOM, &receiver).await;
    client.emulator.book(ROOM, &booking(&client)).unwrap();
    advance_until(&client, |counts| counts.delivered == 1).await;
    let told = receiver.wait_for(1).await;
    let (path, body) = &told[0];
    assert_eq!(path, "/lifecycle");
    assert_eq!(body["value"][0]["lifecycleEvent"], "missed");
    assert_eq!(body["value"][0]["subscriptionId"], *id);
    assert_eq!(client.emulator.counts().notifications.dropped, 1);
}

#[tokio::test]
async fn nothing_is_tried_again_for_a_subscription_that_is_over() {
    let client = Client::new().await;
    let receiver = Receiver::start(Manner::RefusesChanges).await;
    let id = subscribed(&client, ROOM, &receiver).await;
    client.emulator.book(ROOM, &booking(&client)).unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while client.emulator.counts().notifications.failed < 3 {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
    client
        .emulator
        .remove_subscription(&id, Removal::Silent)
        .unwrap();
    advance_until(&client, |counts| counts.dropped == 3).await;
    assert_eq!(client.emulator.counts().notifications.failed, 3);
}

#[tokio::test]
async fn a_person_hears_of_an_invitation_once() {
    let client = Client::new().await;
    let receiver = Receiver::start(Manner::Good).await;
    let person = "ada.l@contoso.onmicrosoft.example";
    subscribed(&client, person, &receiver).await;
    for _ in 0..2 {
        let ada = "ada@contoso.example";
        client.emulator.book(ada, &booking(&client)).unwrap();
    }
    let told = receiver.wait_for(2).await;
    for (_, body) in told {
        assert_eq!(body["value"][0]["changeType"], "created");
    }
}

#[tokio::test]
async fn a_mailbox_that_moved_away_is_silent() {
    let client = Client::new().await;
    let receiver = Receiver::start(Manner::Good).await;
    let id = subscribed(&client, ROOM, &receiver).await;
    let moved = |world: &mut graph_emulator::World| {
        world.mailbox_mut(ROOM).unwrap().location = Location::OnPremises;
    };
    client.emulator.update_world(moved).unwrap();
    client.emulator.book(ROOM, &booking(&client)).unwrap();
    let event = LifecycleEvent::Missed;
    client.emulator.send_lifecycle(&id, event).unwrap();
    let told = receiver.wait_for(1).await;
    assert_eq!(told[0].0, "/lifecycle");
}

#[tokio::test]
async fn a_lifecycle_event_needs_somebody_who_can_hear_it() {
    let client = Client::new().await;
    let receiver = Receiver::start(Manner::Good).await;
    let mut body = client.subscription(ROOM, &receiver.url, 60);
    body["lifecycleNotificationUrl"] = serde_json::Value::Null;
    let created = client.post("subscriptions", &body).await;
    let id = created.body["id"].as_str().unwrap();
    let sent = client.emulator.send_lifecycle(id, LifecycleEvent::Missed);
    assert_eq!(sent, Err(ControlError::NoLifecycleUrl(id.to_owned())));
}

#[tokio::test]
async fn what_is_new_waits_ten_minutes_for_a_receiver_that_was_slow_ten_times() {
    let client = Client::with(|world| {
        world.behaviour.booking = graph_emulator::world::BookingNotifications::Exact;
    })
    .await;
    let receiver = Receiver::start(Manner::HangsTenTimes).await;
    subscribed(&client, ROOM, &receiver).await;
    for _ in 0..10 {
        client.emulator.book(ROOM, &booking(&client)).unwrap();
    }
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    let mut often = tokio::time::interval(Duration::from_millis(20));
    while client.emulator.counts().notifications.failed < 10 {
        assert!(tokio::time::Instant::now() < deadline);
        often.tick().await;
    }
    let late = client.emulator.book(ROOM, &booking(&client)).unwrap();
    // The ten are tried again after ten seconds, the new one is not tried yet.
    client.emulator.advance(Duration::from_mins(1));
    let told = receiver.wait_for(10).await;
    let of_late = |told: &[(String, serde_json::Value)]| {
        let ids = told.iter();
        let ids = ids.map(|(_, body)| &body["value"][0]["resourceData"]["id"]);
        ids.filter(|id| **id == late).count()
    };
    assert_eq!(of_late(&told), 0);
    client.emulator.advance(Duration::from_mins(10));
    assert_eq!(of_late(&receiver.wait_for(11).await), 1);
}
