//! What keeps subscriptions alive, and what becomes of those that were removed, refused or have to be replaced.

use std::time::Duration;

use graph_emulator::{Cut, FaultRule, Faults, JournalEntry, Operation};
use jiff::Timestamp;
use serde_json::{Value, json};
use testbed::error::Error;
use testbed::objects::{self, Kind};
use testbed::testbed::Testbed;

use super::neighbour::{Neighbour, STRANGER};
use super::scene::{
    DEADLINE, SOON, all_ready, apply, contoso_with, counter, eventually, fault, good, mailbox_is,
    mark, only_subscription, patch, renewed_twice, room, room_address, room_name, rooms, start,
    state, subscriptions, with, world,
};

/// The Secret, the tenant and this many rooms.
pub(super) fn objects(count: u32) -> Vec<Value> {
    let owner = good().into_iter().take(2);
    owner.chain(rooms(count)).collect()
}

/// Everything running with this many rooms in an organization that grants lives of at most `life`.
pub(super) async fn living(count: u32, life: &str) -> Testbed {
    let organization = with(
        contoso_with(count),
        json!({"limits": {"maxLifetime": life}, "quotas": "off"}),
    );
    let bed = start(&organization, &objects(count)).await;
    all_ready(&bed, count).await;
    bed
}

/// The id that a room's status names.
async fn id_of(bed: &Testbed, number: u32) -> Result<String, Error> {
    let room = bed.get_mailbox(&room_name(number)).await?;
    let id = &room["status"]["subscription"]["id"];
    Ok(id.as_str().unwrap_or_default().to_owned())
}

/// Waits until the status names the only subscription of the room and it is not `before`.
pub(super) async fn replaced(
    bed: &Testbed,
    number: u32,
    before: &str,
    deadline: Duration,
) -> Value {
    let what = format!("{} has a new subscription", room_name(number));
    eventually(bed, &what, deadline, async || {
        let id = id_of(bed, number).await?;
        Ok(!id.is_empty() && id != before)
    })
    .await;
    let room = mailbox_is(bed, &room_name(number), "Ready=True/Activated").await;
    let subscription = only_subscription(bed, &room_address(number));
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
    let tenant = format!("{}/contoso", bed.namespace);
    let labels = [("operation", operation), ("tenant", tenant.as_str())];
    let count = counter(bed, "subscription_operations_total", &labels).await;
    count.unwrap()
}

/// Type and reason of the Events about an object, sorted.
async fn events_about(bed: &Testbed, name: &str) -> Result<Vec<(String, String)>, Error> {
    let events = objects::events(&bed.client, &bed.namespace).await?;
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
    Ok(told)
}

/// How often Graph's list was read after the call with this number and before a create for the mailbox.
fn listings_before_a_create(bed: &Testbed, mark: u64, address: &str) -> usize {
    let is = |call: &JournalEntry, operation: Operation| call.operation == operation.to_string();
    let created = |call: &JournalEntry| {
        is(call, Operation::CreateSubscription) && call.mailbox.as_deref() == Some(address)
    };
    let calls = bed.emulator.journal(mark);
    let before = calls.iter().take_while(|call| !created(call));
    let listings = before.filter(|call| is(call, Operation::ListSubscriptions));
    listings.filter(|call| call.status == 200).count()
}

fn event(type_: &str, reason: &str) -> (String, String) {
    (type_.to_owned(), reason.to_owned())
}

#[tokio::test]
async fn a_subscription_removed_behind_our_back_is_created_again_and_the_gap_is_recorded() {
    let bed = living(3, "160h").await;
    let mut before = Vec::new();
    let mut heard = Vec::new();
    for n in 1..=3 {
        before.push(only_subscription(&bed, &room_address(n)).id);
        heard.push(events_about(&bed, &room_name(n)).await.unwrap());
    }

    // Graph says so: at once.
    bed.emulator.remove_subscription(&before[0], true).unwrap();
    let room = replaced(&bed, 1, &before[0], SOON).await;
    let (from, until) = gap(&room);
    assert!(from <= until && until <= bed.emulator.now());
    assert_eq!(
        events_about(&bed, &room_name(1)).await.unwrap(),
        heard[0],
        "nobody has to act"
    );

    // Nobody says so: with the next sweep.
    bed.emulator.remove_subscription(&before[1], false).unwrap();
    let removed = mark(&bed);
    gap(&replaced(&bed, 2, &before[1], DEADLINE).await);
    let listed = listings_before_a_create(&bed, removed, &room_address(2));
    assert!(listed <= 1, "{listed} sweeps did not see it");

    // It cannot be created again at first: a problem, and its end.
    bed.emulator.set_faults(fault(FaultRule {
        operation: Operation::CreateSubscription,
        mailbox: Some(room_address(3)),
        status: Some(503),
        ..FaultRule::default()
    }));
    bed.emulator.remove_subscription(&before[2], true).unwrap();
    let room = mailbox_is(&bed, &room_name(3), "SubscriptionInactive=True/Removed").await;
    assert_eq!(state(&room, "Ready"), "False/SubscriptionInactive");
    bed.emulator.set_faults(Faults::default());
    let room = replaced(&bed, 3, &before[2], SOON).await;
    let history = room["status"]["history"].as_array().unwrap();
    let entry = |reason| history.iter().any(|entry| entry["reason"] == reason);
    assert!(entry("SubscriptionReplaced"), "{history:#?}");
    heard[2].push(event("Warning", "Removed"));
    heard[2].push(event("Normal", "SubscriptionActive"));
    heard[2].sort();
    let what = "Events tell of the problem and its end";
    eventually(&bed, what, DEADLINE, async || {
        Ok(events_about(&bed, &room_name(3)).await? == heard[2])
    })
    .await;

    assert!((operations(&bed, "vanished").await - 3.0).abs() < 0.1);
    assert!((operations(&bed, "createSubscription").await - 6.0).abs() < 0.1);
    assert_eq!(bed.emulator.subscriptions().len(), 3);
}

#[tokio::test]
async fn a_renewal_that_fails_for_most_of_the_time_left_still_comes_before_the_end() {
    const ROOMS: u32 = 4;
    const PATIENCE: Duration = Duration::from_mins(2);
    let bed = living(ROOMS, "90s").await;
    let mut ids = Vec::new();
    let mut works_again = Timestamp::MAX;
    let mut ends = bed.emulator.now();
    for n in 1..=ROOMS {
        let subscription = only_subscription(&bed, &room_address(n));
        let room = bed.get_mailbox(&room_name(n)).await.unwrap();
        let due = &room["status"]["subscription"]["renewAt"];
        let due: Timestamp = due.as_str().unwrap().parse().unwrap();
        let end = subscription.expiration_date_time;
        let left = Duration::try_from(end.duration_since(due)).unwrap();
        works_again = works_again.min(end - left.mul_f64(0.1));
        ends = ends.max(end);
        ids.push((n, subscription.id));
    }
    bed.emulator.set_faults(fault(FaultRule {
        operation: Operation::RenewSubscription,
        status: Some(503),
        ..FaultRule::default()
    }));
    let what = "nine tenths of what was left for the first to end are over";
    bed.wait_until(what, PATIENCE, async || bed.emulator.now() >= works_again)
        .await
        .unwrap();
    bed.emulator.set_faults(Faults::default());
    for (n, id) in &ids {
        let what = "every subscription is renewed";
        bed.wait_until(what, PATIENCE, async || {
            let subscription = only_subscription(&bed, &room_address(*n));
            assert_eq!(subscription.id, *id, "it was never gone");
            subscription.expiration_date_time > ends
        })
        .await
        .unwrap();
        assert_eq!(id_of(&bed, *n).await.unwrap(), *id);
    }
    let counts = bed.emulator.counts();
    assert!(counts.with_status(Operation::RenewSubscription, 503) >= 12);
    assert_eq!(counts.of(Operation::CreateSubscription), 4);
}

#[tokio::test]
async fn the_life_that_graph_grants_and_its_clock_decide_when_a_subscription_is_renewed() {
    let organization = with(
        contoso_with(2),
        json!({"behaviour": {"maxLifetimeMinutes": 4230}}),
    );
    let bed = Testbed::start(world(&organization)).await.unwrap();
    bed.emulator.advance(Duration::from_mins(5));
    apply(&bed, &objects(1)).await;
    let room = mailbox_is(&bed, &room_name(1), "Ready=True/Activated").await;
    let subscription = only_subscription(&bed, &room_address(1));
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
        .update_world(|world| world.limits.max_lifetime = Some(Duration::from_secs(30)))
        .unwrap();
    let event = graph_emulator::LifecycleEvent::ReauthorizationRequired;
    bed.emulator
        .send_lifecycle(&subscription.id, event)
        .unwrap();
    apply(&bed, &objects(2)).await;
    let second = mailbox_is(&bed, &room_name(2), "Ready=True/Activated").await;
    let second = second["status"]["subscription"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    bed.wait_until("Graph has shortened the life", DEADLINE, async || {
        let ends = only_subscription(&bed, &room_address(1)).expiration_date_time;
        ends < bed.emulator.now() + Duration::from_mins(1)
    })
    .await
    .unwrap();
    let (first, other) = (room_address(1), room_address(2));
    tokio::join!(
        renewed_twice(&bed, &first, &subscription.id),
        renewed_twice(&bed, &other, &second)
    );
    for n in 1..=2 {
        let room = mailbox_is(&bed, &room_name(n), "SubscriptionInactive=False").await;
        assert!((0.4..0.67).contains(&life(&room).1), "{room:#}");
    }
}

#[tokio::test]
async fn a_subscription_that_only_its_renewal_finds_gone_is_created_again() {
    const LIFE: Duration = Duration::from_secs(40);
    let bed = living(1, "40s").await;
    let before = only_subscription(&bed, &room_address(1)).id;
    // Not even a sweep sees it.
    bed.emulator.set_faults(fault(FaultRule {
        operation: Operation::ListSubscriptions,
        status: Some(503),
        ..FaultRule::default()
    }));
    bed.emulator.remove_subscription(&before, false).unwrap();
    let room = replaced(&bed, 1, &before, LIFE).await;
    gap(&room);
    let counts = bed.emulator.counts();
    assert_eq!(counts.with_status(Operation::RenewSubscription, 404), 1);
    assert!((operations(&bed, "vanished").await - 1.0).abs() < 0.1);
}

#[tokio::test]
async fn what_stands_in_the_way_of_a_subscription_is_replaced_if_it_is_ours_and_named_if_not() {
    let bed = Testbed::start(world(&contoso_with(3))).await.unwrap();
    let mut neighbour = Neighbour::new(&bed.emulator).await;
    let what = ("created,updated,deleted", STRANGER);
    let foreign = neighbour
        .subscribe(&bed.emulator, &room_address(2), what)
        .await;
    let create = |mailbox: u32, rule| FaultRule {
        operation: Operation::CreateSubscription,
        mailbox: Some(room_address(mailbox)),
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

    let room = mailbox_is(&bed, &room_name(1), "Ready=True/Activated").await;
    let subscription = only_subscription(&bed, &room_address(1));
    assert_eq!(room["status"]["subscription"]["id"], *subscription.id);
    let counts = bed.emulator.counts();
    assert!(counts.with_status(Operation::CreateSubscription, 409) >= 1);
    assert_eq!(counts.with_status(Operation::DeleteSubscription, 204), 1);

    let room = mailbox_is(&bed, &room_name(2), "Stalled=True/HeldByAnother").await;
    assert_eq!(state(&room, "SubscriptionInactive"), "True/HeldByAnother");
    assert_eq!(room["status"]["observedGeneration"], 1);
    assert_eq!(only_subscription(&bed, &room_address(2)).id, foreign);
    let room = mailbox_is(&bed, &room_name(3), "Stalled=True/QuotaExceeded").await;
    assert_eq!(state(&room, "SubscriptionInactive"), "True/QuotaExceeded");

    // Once nothing is in the way, both work by themselves.
    bed.emulator.remove_subscription(&foreign, false).unwrap();
    bed.emulator.set_faults(Faults::default());
    all_ready(&bed, 3).await;
    for n in 1..=3 {
        only_subscription(&bed, &room_address(n));
    }
}

/// Waits until Graph has nothing for a mailbox.
async fn unsubscribed(bed: &Testbed, number: u32) {
    let what = format!("{} has no subscription any more", room_name(number));
    bed.wait_until(&what, SOON, async || {
        subscriptions(bed, &room_address(number)).is_empty()
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_subscription_follows_its_object_to_another_address_into_rest_and_away() {
    let bed = start(&contoso_with(4), &objects(3)).await;
    all_ready(&bed, 3).await;
    let third = only_subscription(&bed, &room_address(3)).id;
    let change = async |number, change: Value| {
        let spec = json!({"spec": change});
        patch(&bed, Kind::Mailbox, &room_name(number), &spec).await;
    };

    change(1, json!({"address": room_address(4)})).await;
    unsubscribed(&bed, 1).await;
    eventually(&bed, "the new mailbox is activated", SOON, async || {
        let room = bed.get_mailbox(&room_name(1)).await?;
        let named = room["status"]["subscription"]["id"].clone();
        let there = subscriptions(&bed, &room_address(4));
        let observed = room["status"]["observedGeneration"] == 2;
        Ok(there.len() == 1 && named == *there[0].id && observed)
    })
    .await;
    let room = mailbox_is(&bed, &room_name(1), "Ready=True/Activated").await;
    assert_eq!(room["status"]["mailbox"]["primaryAddress"], room_address(4));

    change(2, json!({"subscription": {"enabled": false}})).await;
    unsubscribed(&bed, 2).await;
    let room = mailbox_is(
        &bed,
        &room_name(2),
        "SubscriptionInactive=False/NotApplicable",
    )
    .await;
    assert_eq!(state(&room, "Ready"), "True/Activated");

    change(3, json!({"suspend": true})).await;
    mailbox_is(&bed, &room_name(3), "Ready=Unknown/Suspended").await;
    assert_eq!(only_subscription(&bed, &room_address(3)).id, third);
    let mailboxes = Kind::Mailbox.api(&bed.client, &bed.namespace);
    let parameters = kube::api::DeleteParams::default();
    mailboxes.delete(&room_name(3), &parameters).await.unwrap();
    unsubscribed(&bed, 3).await;
    assert_eq!(bed.emulator.subscriptions().len(), 1);
}

#[tokio::test]
async fn an_object_that_rests_and_is_for_another_room_by_now_keeps_no_room_from_its_next_owner() {
    let bed = Testbed::start(world(&contoso_with(2))).await.unwrap();
    apply(&bed, &objects(1)).await;
    let before = mailbox_is(&bed, &room_name(1), "Ready=True/Activated").await;
    let change = json!({"spec": {"suspend": true, "address": room_address(2)}});
    patch(&bed, Kind::Mailbox, &room_name(1), &change).await;
    mailbox_is(&bed, &room_name(1), "Ready=Unknown/Suspended").await;
    // Who rests calls nobody, so that its subscription is still there.
    let left = only_subscription(&bed, &room_address(1));
    assert_eq!(before["status"]["subscription"]["id"], *left.id);

    apply(&bed, &[room("next", &room_address(1))]).await;
    let next = mailbox_is(&bed, "next", "Ready=True/Activated").await;
    let subscription = only_subscription(&bed, &room_address(1));
    assert_eq!(next["status"]["subscription"]["id"], *subscription.id);

    let wakes = json!({"spec": {"suspend": false}});
    patch(&bed, Kind::Mailbox, &room_name(1), &wakes).await;
    let moved = mailbox_is(&bed, &room_name(1), "Ready=True/Activated").await;
    let subscription = only_subscription(&bed, &room_address(2));
    assert_eq!(moved["status"]["subscription"]["id"], *subscription.id);
    assert_eq!(bed.emulator.subscriptions().len(), 2);
}

#[tokio::test]
async fn what_a_resting_object_has_of_a_room_that_is_not_its_own_any_more_is_swept() {
    let bed = Testbed::start(world(&contoso_with(2))).await.unwrap();
    apply(&bed, &objects(1)).await;
    mailbox_is(&bed, &room_name(1), "Ready=True/Activated").await;
    // Outlook has been seen to take a second one, so that the first is in nobody's way.
    let accepted = bed
        .emulator
        .update_world(|world| world.behaviour.allow_duplicates = true);
    accepted.unwrap();
    let left = only_subscription(&bed, &room_address(1)).id;
    let change = json!({"spec": {"suspend": true, "address": room_address(2)}});
    patch(&bed, Kind::Mailbox, &room_name(1), &change).await;
    mailbox_is(&bed, &room_name(1), "Ready=Unknown/Suspended").await;
    apply(&bed, &[room("next", &room_address(1))]).await;
    let next = mailbox_is(&bed, "next", "Ready=True/Activated").await;

    eventually(&bed, "the one left over is swept", DEADLINE, async || {
        let there = subscriptions(&bed, &room_address(1));
        Ok(there.iter().all(|one| one.id != left))
    })
    .await;
    let subscription = only_subscription(&bed, &room_address(1));
    assert_eq!(next["status"]["subscription"]["id"], *subscription.id);
    let room = bed.get_mailbox(&room_name(1)).await.unwrap();
    assert_eq!(state(&room, "Ready"), "Unknown/Suspended");
}
