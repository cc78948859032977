//! The operator is killed, stopped and started again, at any step.

use std::collections::BTreeSet;
use std::time::Duration;

use graph_emulator::{FaultRule, Faults, LifecycleEvent, Operation, SubscriptionView};
use hybrid_calendar_operator::domain::schedule::slots::Slot;
use hybrid_calendar_operator::ids::Uid;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use testbed::objects::{self, Kind};
use testbed::testbed::Testbed;

use super::neighbour::Neighbour;
use super::scene::{
    DEADLINE, SECRET, SWEEPING, all_ready, apply, contoso, contoso_with, daily, each_has_one, good,
    mailbox_is, memory_is_bounded, named, rooms, secret, start, status_writes, tenant, with, world,
};

const ROOM: &str = "room-a@contoso.example";

/// Graph carries the next call of this kind out, and keeps the answer until whoever asked is gone.
fn keep_the_answer(bed: &Testbed, operation: Operation) {
    bed.emulator.set_faults(Faults {
        rules: vec![FaultRule {
            operation,
            times: Some(1),
            delay_after: Some(Duration::from_mins(5)),
            ..FaultRule::default()
        }],
        ..Faults::default()
    });
}

/// Waits until Graph's subscriptions that are not the neighbour's are such.
async fn graph_has(
    bed: &Testbed,
    neighbour: &Neighbour,
    what: &str,
    holds: impl Fn(&[SubscriptionView]) -> bool,
) {
    bed.wait_until(what, DEADLINE, async || {
        holds(&neighbour.others(&bed.emulator))
    })
    .await
    .unwrap();
}

/// The one subscription that the room's status names, as Graph has it, and no other beside the neighbour's.
async fn the_only_one(bed: &Testbed, neighbour: &Neighbour) -> (Value, SubscriptionView) {
    let mut found = (Value::Null, Vec::new());
    bed.wait_until("the status names Graph's only one", DEADLINE, async || {
        let room = bed.get_mailbox("room-a").await.unwrap();
        found = (room, neighbour.others(&bed.emulator));
        let named = &found.0["status"]["subscription"];
        found.1.len() == 1
            && named["id"] == found.1[0].id.as_str()
            && second(named["expiresAt"].as_str().unwrap())
                == found.1[0].expiration_date_time.as_second()
    })
    .await
    .unwrap();
    (found.0, found.1.remove(0))
}

/// A status knows whole seconds.
fn second(time: &str) -> i64 {
    time.parse::<jiff::Timestamp>().unwrap().as_second()
}

#[tokio::test]
async fn a_crash_between_a_create_and_its_status_leaves_exactly_one_subscription() {
    let mut bed = Testbed::start(world(&contoso())).await.unwrap();
    let neighbour = Neighbour::of(&bed.emulator, ROOM).await;
    keep_the_answer(&bed, Operation::CreateSubscription);
    apply(&bed, &good()).await;
    graph_has(&bed, &neighbour, "Graph has made one", |all| all.len() == 1).await;
    bed.operator.kill();
    let room = bed.get_mailbox("room-a").await.unwrap();
    assert_eq!(room["status"]["subscription"], Value::Null, "{room:#}");

    bed.emulator.set_faults(Faults::default());
    bed.operator.restart().await.unwrap();
    mailbox_is(&bed, "room-a", "Ready=True/Activated").await;
    let (room, _) = the_only_one(&bed, &neighbour).await;
    assert_eq!(room["status"]["history"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_crash_between_a_renewal_and_its_status_leaves_the_subscription_alive() {
    let mut bed = Testbed::start(world(&contoso())).await.unwrap();
    let neighbour = Neighbour::of(&bed.emulator, ROOM).await;
    // Short enough that the calendar asks for the next renewal while this test runs.
    bed.emulator
        .update_world(|world| {
            world.limits.max_lifetime = Some(Duration::from_secs(40));
            world.limits.min_lifetime = Some(Duration::from_secs(10));
        })
        .unwrap();
    apply(&bed, &good()).await;
    mailbox_is(&bed, "room-a", "Ready=True/Activated").await;
    let (_, before) = the_only_one(&bed, &neighbour).await;
    keep_the_answer(&bed, Operation::RenewSubscription);
    bed.emulator
        .send_lifecycle(&before.id, LifecycleEvent::ReauthorizationRequired)
        .unwrap();
    graph_has(&bed, &neighbour, "Graph has renewed it", |all| {
        all[0].expiration_date_time > before.expiration_date_time
    })
    .await;
    bed.operator.kill();

    bed.emulator.set_faults(Faults::default());
    bed.operator.restart().await.unwrap();
    let (room, after) = the_only_one(&bed, &neighbour).await;
    assert_eq!(after.id, before.id, "{room:#}");
    mailbox_is(&bed, "room-a", "Ready=True/Activated").await;
    assert_eq!(bed.emulator.counts().of("createSubscription"), 3);
}

#[tokio::test]
async fn a_crash_between_the_two_calls_of_a_replacement_leaves_exactly_one_subscription() {
    let mut bed = start(&contoso(), &good()).await;
    let neighbour = Neighbour::of(&bed.emulator, ROOM).await;
    mailbox_is(&bed, "room-a", "Ready=True/Activated").await;
    let (_, before) = the_only_one(&bed, &neighbour).await;
    keep_the_answer(&bed, Operation::DeleteSubscription);
    bed.operator.terminate().await.unwrap();
    let mut moved = bed.operator.options().clone();
    let url = bed.operator.receiver_url();
    moved.notification_url = Some(url.replace("127.0.0.1", "localhost"));
    bed.operator.restart_with(moved).await.unwrap();
    graph_has(&bed, &neighbour, "Graph has deleted it", <[_]>::is_empty).await;
    bed.operator.kill();

    bed.emulator.set_faults(Faults::default());
    bed.operator.restart().await.unwrap();
    let (_, after) = the_only_one(&bed, &neighbour).await;
    assert_ne!(after.id, before.id);
    assert!(after.notification_url.starts_with("http://localhost:"));
    let room = mailbox_is(&bed, "room-a", "Ready=True/Activated").await;
    assert_eq!(room["status"]["subscription"]["id"], after.id.as_str());
}

/// Graph is slow enough that passes are met at every step. It answers so many creates; others are carried out, and the
/// answer does not come in time.
fn slow(answered: u64) -> Faults {
    let slow = |operation| FaultRule {
        operation,
        delay: Some(Duration::from_millis(150)),
        delay_after: Some(Duration::from_millis(150)),
        ..FaultRule::default()
    };
    let operations = [
        Operation::FindUsers,
        Operation::GetCalendar,
        Operation::GetPlace,
        Operation::CreateSubscription,
        Operation::DeleteSubscription,
    ];
    let held = FaultRule {
        operation: Operation::CreateSubscription,
        nth: (answered + 1..=1000).collect(),
        delay_after: Some(Duration::from_mins(5)),
        ..FaultRule::default()
    };
    Faults {
        rules: std::iter::once(held).chain(operations.map(slow)).collect(),
        ..Faults::default()
    }
}

#[tokio::test]
async fn crashes_in_the_middle_of_many_activations_leave_each_room_exactly_one_subscription() {
    let owner = [secret("credential", SECRET), tenant("contoso")];
    let mut bed = start(&contoso_with(60), &owner).await;
    let neighbour = Neighbour::of(&bed.emulator, ROOM).await;
    let rooms = rooms(60);
    for (share, answered) in [(5, 20), (25, 30)] {
        bed.emulator.set_faults(slow(answered));
        if share == 5 {
            apply(&bed, &rooms).await;
        } else {
            bed.operator.restart().await.unwrap();
        }
        bed.wait_until("some rooms are activated", DEADLINE, async || {
            let named = named(&bed, &rooms).await;
            named.iter().filter(|id| **id != Value::Null).count() >= share
        })
        .await
        .unwrap();
        bed.operator.kill();
        let named = named(&bed, &rooms).await;
        assert!(named.contains(&Value::Null), "50 were answered in all");
    }
    bed.emulator.set_faults(Faults::default());
    bed.operator.restart().await.unwrap();
    each_has_one(&bed, &rooms, 2).await;
    assert_eq!(neighbour.others(&bed.emulator).len(), 60);
    all_ready(&bed, 60).await;
    memory_is_bounded(&bed).await;
}

const DAY: Duration = Duration::from_hours(24);

/// Addresses of the rooms whose routine check was due between two instants.
async fn checked_between(bed: &Testbed, from: Timestamp, until: Timestamp) -> Vec<String> {
    let tenant = bed.get_tenant("contoso").await.unwrap();
    let uid = |object: &Value| Uid::parse(object["metadata"]["uid"].as_str().unwrap()).unwrap();
    let listed = objects::list(&bed.client, Kind::Mailbox, &bed.namespace).await;
    let rooms = listed.unwrap();
    let due = |room: &&Value| {
        let slot = Slot::new(DAY, uid(&tenant), uid(room), rooms.len());
        slot.last_between(from, until).is_some()
    };
    let address = |room: &Value| room["spec"]["address"].as_str().unwrap().to_owned();
    rooms.iter().filter(due).map(address).collect()
}

/// Starts the operator again, lets it sweep and so much time pass, and sees that nobody noticed.
async fn restart_unnoticed(bed: &mut Testbed, at_least: SignedDuration) {
    let mark = bed.control_plane.audit_mark().await.unwrap();
    let seen = bed.emulator.journal(0).last().unwrap().seq;
    let stopped = bed.emulator.now();
    bed.operator.restart().await.unwrap();
    let listed = Operation::ListSubscriptions.to_string();
    // When the second sweep begins, the first one has done what follows from its list.
    bed.wait_until("the new process sweeps again", DEADLINE, async || {
        let calls = bed.emulator.journal(seen);
        let lists = calls.iter().filter(|call| call.operation == listed);
        lists.count() >= 2 && bed.emulator.now().duration_since(stopped) >= at_least
    })
    .await
    .unwrap();
    let entries = bed.control_plane.audit_since(mark).await.unwrap();
    let writes = status_writes(bed, &entries, "");
    assert!(writes.is_empty(), "{writes:#?}");
    let lease = stopped.checked_sub(Duration::from_secs(20)).unwrap();
    let due = checked_between(bed, lease, bed.emulator.now()).await;
    for call in bed.emulator.journal(seen) {
        if let Some(mailbox) = &call.mailbox {
            assert!(due.contains(mailbox), "{call:?}");
        }
        assert!(!call.path.contains("/subscriptions/"), "{call:?}");
    }
}

#[tokio::test]
async fn a_restart_with_200_converged_mailboxes_is_noticed_by_nobody() {
    let daily = json!({"spec": {"checkInterval": "24h"}});
    let owner = [
        secret("credential", SECRET),
        with(tenant("contoso"), daily.clone()),
    ];
    let mut bed = Testbed::start_with(world(&contoso_with(200)), |options| {
        options.rehearsal_pace = Some(SWEEPING);
    })
    .await
    .unwrap();
    apply(&bed, &owner).await;
    let rooms: Vec<Value> = rooms(200)
        .into_iter()
        .map(|room| with(room, daily.clone()))
        .collect();
    apply(&bed, &rooms).await;
    all_ready(&bed, 200).await;
    bed.operator.terminate().await.unwrap();
    restart_unnoticed(&mut bed, SignedDuration::ZERO).await;
    bed.operator.kill();
    // At this pace the first minute is over within a fifth of a second, but for what no pace hurries: the look at the
    // keys comes every 30 seconds.
    restart_unnoticed(&mut bed, SignedDuration::from_secs(32)).await;
    assert_eq!(bed.emulator.subscriptions().len(), 200);
    memory_is_bounded(&bed).await;
}

/// As if whoever led had been silent for so long.
async fn renewed_before(bed: &Testbed, ago: SignedDuration) {
    let options = bed.operator.options();
    let namespace = options.lease_namespace.as_deref().unwrap_or(&bed.namespace);
    let name = options.lease_name.as_deref();
    let leases: Api<Lease> = Api::namespaced(bed.client.clone(), namespace);
    let renewed = MicroTime(bed.emulator.now() - ago);
    let change = Patch::Merge(json!({"spec": {"renewTime": renewed}}));
    let name = name.unwrap_or("hybrid-calendar-operator");
    let parameters = PatchParams::default();
    leases.patch(name, &parameters, &change).await.unwrap();
}

#[tokio::test]
async fn checks_that_nobody_made_since_the_lease_was_last_renewed_are_made_up_for() {
    let owner = daily(vec![secret("credential", SECRET), tenant("contoso")]);
    let mut bed = start(&contoso_with(20), &owner).await;
    let rooms = daily(rooms(20));
    apply(&bed, &rooms).await;
    all_ready(&bed, 20).await;
    bed.operator.terminate().await.unwrap();
    renewed_before(&bed, SignedDuration::from_hours(25)).await;
    let seen = bed.emulator.journal(0).last().unwrap().seq;
    bed.operator.restart().await.unwrap();
    bed.wait_until("every room is looked at", DEADLINE, async || {
        let calls = bed.emulator.journal(seen);
        let looked_at = calls.iter().filter_map(|call| call.mailbox.as_deref());
        let looked_at: BTreeSet<&str> = looked_at.collect();
        looked_at.len() == rooms.len()
    })
    .await
    .unwrap();
}
