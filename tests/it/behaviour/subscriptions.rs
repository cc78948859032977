//! What keeps subscriptions alive, and what becomes of those that were removed, refused or have to be replaced.

use std::time::Duration;

use graph_emulator::{FaultRule, Operation};
use jiff::Timestamp;
use serde_json::{Value, json};
use testbed::objects;
use testbed::testbed::Testbed;

use super::scene::{
    SOON, contoso, fault, good, mailbox_is, only_subscription, room, start, state, with,
};

/// Contoso with this many rooms: `room-1@contoso.example` and so on.
fn with_rooms(count: usize) -> Value {
    let mut organization = contoso();
    let rooms = (1..=count).map(
        |n| json!({"address": address(n), "type": "room", "displayName": format!("Room {n}")}),
    );
    organization["tenants"][0]["mailboxes"] = rooms.collect();
    organization
}

fn address(number: usize) -> String {
    format!("room-{number}@contoso.example")
}

fn name(number: usize) -> String {
    format!("room-{number}")
}

/// The Secret, the tenant and this many rooms.
fn objects(count: usize) -> Vec<Value> {
    let mut objects = good();
    objects.truncate(2);
    objects.extend((1..=count).map(|n| room(&name(n), &address(n))));
    objects
}

/// Everything running with this many rooms in an organization that grants lives of at most `life`.
async fn rooms(count: usize, life: &str) -> Testbed {
    let organization = with(
        with_rooms(count),
        json!({"limits": {"maxLifetime": life}, "quotas": "off"}),
    );
    let bed = start(&organization, &objects(count)).await;
    all_ready(&bed, count).await;
    bed
}

async fn all_ready(bed: &Testbed, count: usize) {
    for n in 1..=count {
        mailbox_is(bed, &name(n), "Ready=True/Activated").await;
    }
}

/// The id that a room's status names.
async fn named(bed: &Testbed, number: usize) -> String {
    let room = bed.get_mailbox(&name(number)).await.unwrap();
    let id = &room["status"]["subscription"]["id"];
    id.as_str().unwrap_or_default().to_owned()
}

/// Waits until the status names the only subscription of the room and it is not `before`.
async fn replaced(bed: &Testbed, number: usize, before: &str, deadline: Duration) -> Value {
    let what = format!("{} has a new subscription", name(number));
    bed.wait_until(&what, deadline, async || {
        let id = named(bed, number).await;
        !id.is_empty() && id != before
    })
    .await
    .unwrap();
    let room = mailbox_is(bed, &name(number), "Ready=True/Activated").await;
    let subscription = only_subscription(bed, &address(number));
    assert_eq!(room["status"]["subscription"]["id"], *subscription.id);
    room
}

/// The times of the gap that the newest entry of the history tells of.
fn gap(room: &Value) -> (Timestamp, Timestamp) {
    let newest = &room["status"]["history"][0];
    assert_eq!(newest["reason"], "SubscriptionReplaced", "{room:#}");
    let message = newest["message"].as_str().unwrap();
    let times = message
        .trim_end_matches('.')
        .split_once(" were sent from ")
        .and_then(|(_, times)| times.split_once(" to "));
    let (from, until) = times.unwrap_or_else(|| panic!("no gap in {message:?}"));
    (from.parse().unwrap(), until.parse().unwrap())
}

async fn operations(bed: &Testbed, operation: &str) -> f64 {
    let metrics = bed.operator.metrics().await.unwrap();
    let tenant = format!("{}/contoso", bed.namespace);
    let labels = [("operation", operation), ("tenant", tenant.as_str())];
    let name = "hybridcalendar_subscription_operations_total";
    metrics.sum(name, &labels).unwrap_or_default()
}

/// Type and reason of the Events about an object, sorted.
async fn events_about(bed: &Testbed, name: &str) -> Vec<(String, String)> {
    let events = objects::events(&bed.client, &bed.namespace).await.unwrap();
    let about = events.into_iter().filter(|event| {
        let regarding = event.regarding.as_ref();
        regarding.and_then(|object| object.name.as_deref()) == Some(name)
    });
    let mut told: Vec<_> = about
        .map(|event| {
            (
                event.type_.unwrap_or_default(),
                event.reason.unwrap_or_default(),
            )
        })
        .collect();
    told.sort();
    told
}

fn event(type_: &str, reason: &str) -> (String, String) {
    (type_.to_owned(), reason.to_owned())
}

#[tokio::test]
async fn a_subscription_removed_behind_our_back_is_created_again_and_the_gap_is_recorded() {
    let bed = rooms(3, "160h").await;
    let mut before = Vec::new();
    let mut heard = Vec::new();
    for n in 1..=3 {
        before.push(only_subscription(&bed, &address(n)).id);
        heard.push(events_about(&bed, &name(n)).await);
    }

    // Graph says so: at once.
    bed.emulator.remove_subscription(&before[0], true).unwrap();
    let room = replaced(&bed, 1, &before[0], SOON).await;
    let (from, until) = gap(&room);
    assert!(from <= until && until <= bed.emulator.now());
    assert_eq!(
        events_about(&bed, &name(1)).await,
        heard[0],
        "nobody has to act"
    );

    // Nobody says so: with the next sweep, every 15 minutes in earnest.
    bed.emulator.remove_subscription(&before[1], false).unwrap();
    let room = replaced(&bed, 2, &before[1], Duration::from_secs(18)).await;
    gap(&room);

    // It cannot be created again at first: a problem, and its end.
    bed.emulator.set_faults(fault(FaultRule {
        operation: Operation::CreateSubscription,
        mailbox: Some(address(3)),
        status: Some(503),
        ..FaultRule::default()
    }));
    bed.emulator.remove_subscription(&before[2], true).unwrap();
    let room = mailbox_is(&bed, &name(3), "SubscriptionInactive=True/Removed").await;
    assert_eq!(state(&room, "Ready"), "False/SubscriptionInactive");
    bed.emulator.set_faults(graph_emulator::Faults::default());
    let room = replaced(&bed, 3, &before[2], SOON).await;
    let history = room["status"]["history"].as_array().unwrap();
    let entry = |reason| history.iter().any(|entry| entry["reason"] == reason);
    assert!(entry("SubscriptionReplaced"), "{history:#?}");
    heard[2].push(event("Warning", "Removed"));
    heard[2].push(event("Normal", "SubscriptionActive"));
    heard[2].sort();
    bed.wait_until("Events tell of the problem and its end", SOON, async || {
        events_about(&bed, &name(3)).await == heard[2]
    })
    .await
    .unwrap();

    assert!((operations(&bed, "vanished").await - 3.0).abs() < 0.1);
    assert!((operations(&bed, "createSubscription").await - 6.0).abs() < 0.1);
    assert_eq!(bed.emulator.subscriptions().len(), 3);
}

#[tokio::test]
async fn a_renewal_that_fails_for_most_of_the_time_left_still_comes_before_the_end() {
    let bed = rooms(4, "40s").await;
    let mut ends = bed.emulator.now();
    let mut ids = Vec::new();
    for n in 1..=4 {
        let subscription = only_subscription(&bed, &address(n));
        ends = ends.max(subscription.expiration_date_time);
        ids.push((n, subscription.id));
    }
    let mut lasts = Duration::MAX;
    for n in 1..=4 {
        let room = bed.get_mailbox(&name(n)).await.unwrap();
        let due: Timestamp = room["status"]["subscription"]["renewAt"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        let left = Duration::try_from(ends.duration_since(due)).unwrap();
        lasts = lasts.min(left);
    }
    bed.emulator.set_faults(fault(FaultRule {
        operation: Operation::RenewSubscription,
        status: Some(503),
        ..FaultRule::default()
    }));
    let works_again = ends - lasts.mul_f64(0.1);
    bed.wait_until(
        "nine tenths of what was left are over",
        Duration::from_secs(45),
        async || bed.emulator.now() >= works_again,
    )
    .await
    .unwrap();
    bed.emulator.set_faults(graph_emulator::Faults::default());
    for (n, id) in &ids {
        bed.wait_until("every subscription is renewed", SOON, async || {
            let subscription = only_subscription(&bed, &address(*n));
            assert_eq!(subscription.id, *id, "it was never gone");
            subscription.expiration_date_time > ends
        })
        .await
        .unwrap();
        assert_eq!(named(&bed, *n).await, *id);
    }
    let counts = bed.emulator.counts();
    assert!(counts.with_status(Operation::RenewSubscription, 503) >= 12);
    assert_eq!(counts.of(Operation::CreateSubscription), 4);
}
