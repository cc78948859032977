//! What keeps subscriptions alive, and what becomes of those that were removed, refused or have to be replaced.

use std::time::Duration;

use graph_emulator::{Cut, FaultRule, Faults, Operation};
use jiff::Timestamp;
use serde_json::{Value, json};
use testbed::objects::{self, Kind};
use testbed::testbed::Testbed;

use super::scene::{
    CLIENT, DEADLINE, SECRET, SOON, TENANT, apply, contoso, fault, good, mailbox_is,
    only_subscription, patch, room, start, state, subscriptions, with, world,
};

/// Contoso with this many rooms: `room-1@contoso.example` and so on.
pub(super) fn with_rooms(count: usize) -> Value {
    let mut organization = contoso();
    let rooms = (1..=count).map(
        |n| json!({"address": address(n), "type": "room", "displayName": format!("Room {n}")}),
    );
    organization["tenants"][0]["mailboxes"] = rooms.collect();
    organization
}

pub(super) fn address(number: usize) -> String {
    format!("room-{number}@contoso.example")
}

pub(super) fn name(number: usize) -> String {
    format!("room-{number}")
}

/// The Secret, the tenant and this many rooms.
pub(super) fn objects(count: usize) -> Vec<Value> {
    let mut objects = good();
    objects.truncate(2);
    objects.extend((1..=count).map(|n| room(&name(n), &address(n))));
    objects
}

/// Everything running with this many rooms in an organization that grants lives of at most `life`.
pub(super) async fn rooms(count: usize, life: &str) -> Testbed {
    let organization = with(
        with_rooms(count),
        json!({"limits": {"maxLifetime": life}, "quotas": "off"}),
    );
    let bed = start(&organization, &objects(count)).await;
    all_ready(&bed, count).await;
    bed
}

pub(super) async fn all_ready(bed: &Testbed, count: usize) {
    for n in 1..=count {
        mailbox_is(bed, &name(n), "Ready=True/Activated").await;
    }
}

/// The id that a room's status names.
pub(super) async fn named(bed: &Testbed, number: usize) -> String {
    let room = bed.get_mailbox(&name(number)).await.unwrap();
    let id = &room["status"]["subscription"]["id"];
    id.as_str().unwrap_or_default().to_owned()
}

/// Waits until the status names the only subscription of the room and it is not `before`.
pub(super) async fn replaced(
    bed: &Testbed,
    number: usize,
    before: &str,
    deadline: Duration,
) -> Value {
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
pub(super) fn gap(room: &Value) -> (Timestamp, Timestamp) {
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
    bed.emulator.set_faults(Faults::default());
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
    bed.emulator.set_faults(Faults::default());
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

/// Two more grants of life, without the subscription ever being another.
async fn renewed_twice(bed: &Testbed, number: usize, id: &str) {
    let mut ends = only_subscription(bed, &address(number)).expiration_date_time;
    let mut renewals = 0;
    bed.wait_until("it was renewed twice", DEADLINE, async || {
        let subscription = only_subscription(bed, &address(number));
        assert_eq!(subscription.id, id, "it was never gone");
        renewals += u32::from(subscription.expiration_date_time > ends);
        ends = subscription.expiration_date_time;
        renewals >= 2
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn the_life_that_graph_grants_and_its_clock_decide_when_a_subscription_is_renewed() {
    let organization = with(
        with_rooms(2),
        json!({"behaviour": {"maxLifetimeMinutes": 4230}}),
    );
    let bed = Testbed::start(world(&organization)).await.unwrap();
    bed.emulator.advance(Duration::from_mins(5));
    apply(&bed, &objects(1)).await;
    let room = mailbox_is(&bed, &name(1), "Ready=True/Activated").await;
    let subscription = only_subscription(&bed, &address(1));
    let life = |room: &Value| {
        let at = |field: &str| -> Timestamp {
            let time = &room["status"]["subscription"][field];
            time.as_str().unwrap().parse().unwrap()
        };
        let (granted, due, ends) = (at("grantedAt"), at("renewAt"), at("expiresAt"));
        let share = due.duration_since(granted).as_secs_f64();
        (granted, share / ends.duration_since(granted).as_secs_f64())
    };
    let (granted, share) = life(&room);
    assert!((0.5..0.67).contains(&share), "{share}");
    // Times of subscriptions are Graph's, whose clock is ahead.
    let behind = bed.emulator.now().duration_since(granted).as_secs_f64();
    assert!(behind.abs() < 10.0, "{behind}");
    let granted_life = subscription.expiration_date_time.duration_since(granted);
    let missing = 4230.0 * 60.0 - granted_life.as_secs_f64();
    assert!(
        (-2.0..10.0).contains(&missing),
        "160 h is refused, 4230 minutes are not: {missing}"
    );

    // From now on Graph grants less, to old ones when they are renewed and to new ones.
    bed.emulator
        .update_world(|world| world.limits.max_lifetime = Some(Duration::from_secs(12)))
        .unwrap();
    let event = graph_emulator::LifecycleEvent::ReauthorizationRequired;
    bed.emulator
        .send_lifecycle(&subscription.id, event)
        .unwrap();
    apply(&bed, &objects(2)).await;
    let second = mailbox_is(&bed, &name(2), "Ready=True/Activated").await;
    let second = second["status"]["subscription"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    bed.wait_until("Graph has shortened the life", SOON, async || {
        let ends = only_subscription(&bed, &address(1)).expiration_date_time;
        ends < bed.emulator.now() + Duration::from_mins(1)
    })
    .await
    .unwrap();
    tokio::join!(
        renewed_twice(&bed, 1, &subscription.id),
        renewed_twice(&bed, 2, &second)
    );
    for n in 1..=2 {
        let room = mailbox_is(&bed, &name(n), "SubscriptionInactive=False").await;
        assert!((0.4..0.67).contains(&life(&room).1), "{room:#}");
    }
}

#[tokio::test]
async fn a_subscription_that_only_its_renewal_finds_gone_is_created_again() {
    let bed = rooms(1, "14s").await;
    let before = only_subscription(&bed, &address(1)).id;
    // Not even a sweep sees it.
    bed.emulator.set_faults(fault(FaultRule {
        operation: Operation::ListSubscriptions,
        status: Some(503),
        ..FaultRule::default()
    }));
    bed.emulator.remove_subscription(&before, false).unwrap();
    let room = replaced(&bed, 1, &before, Duration::from_secs(14)).await;
    gap(&room);
    let counts = bed.emulator.counts();
    assert_eq!(counts.with_status(Operation::RenewSubscription, 404), 1);
    assert!((operations(&bed, "vanished").await - 1.0).abs() < 0.1);
}

/// A subscription of the same application that is not the operator's: as another installation would make it.
async fn foreign_subscription(bed: &Testbed, address: &str) -> String {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let base = bed.emulator.base_url();
    let form = format!(
        "grant_type=client_credentials&client_id={CLIENT}&client_secret={SECRET}&scope=https://graph.microsoft.com/.default"
    );
    let token = client
        .post(format!("{base}{TENANT}/oauth2/v2.0/token"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    let token = token.send().await.unwrap().text().await.unwrap();
    let token: Value = serde_json::from_str(&token).unwrap();
    let receiver = bed.operator.receiver_url();
    let body = json!({
        "resource": format!("users/{address}/events"),
        "changeType": "created,updated,deleted",
        "notificationUrl": format!("{receiver}/v1/notifications/00aa/00bb/{TENANT}"),
        "expirationDateTime": (bed.emulator.now() + Duration::from_hours(1)).to_string(),
    });
    let created = client
        .post(format!("{base}v1.0/subscriptions"))
        .bearer_auth(token["access_token"].as_str().unwrap())
        .header("content-type", "application/json")
        .body(body.to_string());
    let created = created.send().await.unwrap().text().await.unwrap();
    let created: Value = serde_json::from_str(&created).unwrap();
    created["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{created}"))
        .to_owned()
}

#[tokio::test]
async fn what_stands_in_the_way_of_a_subscription_is_replaced_if_it_is_ours_and_named_if_not() {
    let bed = Testbed::start(world(&with_rooms(3))).await.unwrap();
    let foreign = foreign_subscription(&bed, &address(2)).await;
    let create = |mailbox: usize, rule| FaultRule {
        operation: Operation::CreateSubscription,
        mailbox: Some(address(mailbox)),
        ..rule
    };
    let quota = json!({"error": {"code": "quotaLimitReached", "message": "Quota limit reached."}});
    let rules = vec![
        // The answer to the first create is lost, and the list does not show yet what it made.
        create(
            1,
            FaultRule {
                nth: vec![1],
                cut: Some(Cut::After),
                ..FaultRule::default()
            },
        ),
        FaultRule {
            operation: Operation::ListSubscriptions,
            stale: true,
            ..FaultRule::default()
        },
        create(
            3,
            FaultRule {
                status: Some(403),
                body: Some(quota),
                ..FaultRule::default()
            },
        ),
    ];
    bed.emulator.set_faults(Faults {
        rules,
        ..Faults::default()
    });
    apply(&bed, &objects(3)).await;

    let room = mailbox_is(&bed, &name(1), "Ready=True/Activated").await;
    let subscription = only_subscription(&bed, &address(1));
    assert_eq!(room["status"]["subscription"]["id"], *subscription.id);
    let counts = bed.emulator.counts();
    assert!(counts.with_status(Operation::CreateSubscription, 409) >= 1);
    assert_eq!(counts.with_status(Operation::DeleteSubscription, 204), 1);

    let room = mailbox_is(&bed, &name(2), "Stalled=True/HeldByAnother").await;
    assert_eq!(state(&room, "SubscriptionInactive"), "True/HeldByAnother");
    assert_eq!(room["status"]["observedGeneration"], 1);
    assert_eq!(only_subscription(&bed, &address(2)).id, foreign);
    let room = mailbox_is(&bed, &name(3), "Stalled=True/QuotaExceeded").await;
    assert_eq!(state(&room, "SubscriptionInactive"), "True/QuotaExceeded");

    // Once nothing is in the way, both work by themselves.
    bed.emulator.remove_subscription(&foreign, false).unwrap();
    bed.emulator.set_faults(Faults::default());
    all_ready(&bed, 3).await;
    for n in 1..=3 {
        only_subscription(&bed, &address(n));
    }
}

/// Waits until Graph has nothing for a mailbox.
async fn unsubscribed(bed: &Testbed, number: usize) {
    let what = format!("{} has no subscription any more", name(number));
    bed.wait_until(&what, SOON, async || {
        subscriptions(bed, &address(number)).is_empty()
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_subscription_follows_its_object_to_another_address_into_rest_and_away() {
    let organization = with_rooms(4);
    let bed = start(&organization, &objects(3)).await;
    all_ready(&bed, 3).await;
    let third = only_subscription(&bed, &address(3)).id;
    let change = async |number, change: Value| {
        let spec = json!({"spec": change});
        patch(&bed, Kind::Mailbox, &name(number), &spec).await;
    };

    change(1, json!({"address": address(4)})).await;
    unsubscribed(&bed, 1).await;
    bed.wait_until("the new mailbox is activated", SOON, async || {
        let room = bed.get_mailbox(&name(1)).await.unwrap();
        let named = room["status"]["subscription"]["id"].clone();
        let there = subscriptions(&bed, &address(4));
        there.len() == 1 && named == *there[0].id && room["status"]["observedGeneration"] == 2
    })
    .await
    .unwrap();
    let room = mailbox_is(&bed, &name(1), "Ready=True/Activated").await;
    assert_eq!(room["status"]["mailbox"]["primaryAddress"], address(4));

    change(2, json!({"subscription": {"enabled": false}})).await;
    unsubscribed(&bed, 2).await;
    let room = mailbox_is(&bed, &name(2), "SubscriptionInactive=False/NotApplicable").await;
    assert_eq!(state(&room, "Ready"), "True/Activated");

    change(3, json!({"suspend": true})).await;
    mailbox_is(&bed, &name(3), "Ready=Unknown/Suspended").await;
    assert_eq!(only_subscription(&bed, &address(3)).id, third);
    let mailboxes = Kind::Mailbox.api(&bed.client, &bed.namespace);
    let parameters = kube::api::DeleteParams::default();
    mailboxes.delete(&name(3), &parameters).await.unwrap();
    unsubscribed(&bed, 3).await;
    assert_eq!(bed.emulator.subscriptions().len(), 1);
}
