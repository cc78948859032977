//! Several copies of one installation, and installations beside each other.

use std::time::Duration;

use graph_emulator::{FaultRule, Faults, Operation};
use kube::api::DeleteParams;
use serde_json::Value;
use testbed::audit::{AuditEntry, AuditMark};
use testbed::objects::Kind;
use testbed::operator::OperatorProcess;
use testbed::testbed::Testbed;
use tokio::time::Instant;

use super::neighbour::{NOBODY, Neighbour, installation};
use super::pair::is_leading;
use super::scene::{
    DEADLINE, SECRET, SOON, SWEEPING, apply, contoso, contoso_with, each_has_one, good, mailbox_is,
    named, room, rooms, secret, start, state, tenant, world,
};

const MINUTE: Duration = Duration::from_mins(1);
const ROOM_A: &str = "room-a@contoso.example";
const ROOM_B: &str = "room-b@contoso.example";

/// A copy of the operator with a ServiceAccount of its own, behind the same notification URL.
async fn copy(bed: &Testbed) -> OperatorProcess {
    let url = bed.operator.options().notification_url.clone();
    bed.other_operator("copy", |options| options.notification_url = url)
        .await
        .unwrap()
}

async fn leads(bed: &Testbed, operator: &OperatorProcess, deadline: Duration) {
    bed.wait_until("the copy leads", deadline, async || {
        is_leading(operator).await
    })
    .await
    .unwrap();
}

/// What the copy wrote into the cluster since a mark, but for the Lease.
async fn written_by_the_copy(bed: &Testbed, mark: AuditMark) -> Vec<AuditEntry> {
    let user = format!("system:serviceaccount:{0}:{0}-copy", bed.namespace);
    let mut entries = bed.control_plane.audit_since(mark).await.unwrap();
    entries.retain(|entry| entry.user == user && entry.is_write() && entry.resource != "leases");
    entries
}

/// Everything running, with sweeps that take seconds, and what works applied.
async fn sweeping() -> Testbed {
    let bed = Testbed::start_with(world(&contoso()), |options| {
        options.rehearsal_pace = Some(SWEEPING);
    })
    .await
    .unwrap();
    apply(&bed, &good()).await;
    mailbox_is(&bed, "room-a", "Ready=True/Activated").await;
    bed
}

async fn delete_room(bed: &Testbed, name: &str) {
    let rooms = Kind::Mailbox.api(&bed.client, &bed.namespace);
    rooms.delete(name, &DeleteParams::default()).await.unwrap();
}

fn is_write(operation: &str) -> bool {
    [
        Operation::CreateSubscription,
        Operation::RenewSubscription,
        Operation::DeleteSubscription,
    ]
    .iter()
    .any(|write| write.to_string() == operation)
}

#[tokio::test]
async fn a_leader_that_wakes_after_a_pause_writes_nothing_and_another_has_taken_over() {
    let mut bed = start(
        &contoso_with(16),
        &[secret("credential", SECRET), tenant("contoso")],
    )
    .await;
    let all = rooms(16);
    let mark = bed.control_plane.audit_mark().await.unwrap();
    let copy = copy(&bed).await;
    apply(&bed, &all[..2]).await;
    each_has_one(&bed, &all[..2], 0).await;
    assert_eq!(written_by_the_copy(&bed, mark).await, []);

    bed.operator.terminate().await.unwrap();
    leads(&bed, &copy, SOON).await;
    // The receiver that both share listens again, so the copy can create subscriptions.
    bed.operator.restart().await.unwrap();
    bed.emulator.set_faults(Faults {
        rules: vec![FaultRule {
            operation: Operation::CreateSubscription,
            times: Some(14),
            delay_after: Some(Duration::from_secs(20)),
            ..FaultRule::default()
        }],
        ..Faults::default()
    });
    apply(&bed, &all[2..]).await;
    bed.wait_until("the copy is creating", SOON, async || {
        bed.emulator.faults_fired() == [14] && bed.emulator.subscriptions().len() == 16
    })
    .await
    .unwrap();
    copy.pause().unwrap();
    let paused = Instant::now();
    let unwritten = named(&bed, &all[2..]).await;
    assert!(
        unwritten.contains(&Value::Null),
        "the copy was paused too late"
    );
    leads(&bed, &bed.operator, DEADLINE).await;
    each_has_one(&bed, &all, 0).await;

    // Every call that it had begun has run out of time when it wakes.
    bed.wait_until("a minute has passed", 2 * MINUTE, async || {
        paused.elapsed() >= MINUTE
    })
    .await
    .unwrap();
    let mark = bed.control_plane.audit_mark().await.unwrap();
    let seen = bed.emulator.journal(0).last().unwrap().seq;
    copy.resume().unwrap();
    bed.wait_until("the copy has looked at the Lease", DEADLINE, async || {
        let entries = bed.control_plane.audit_since(mark).await.unwrap();
        let looks = entries.iter().filter(|entry| {
            entry.user.ends_with("-copy") && entry.resource == "leases" && entry.verb == "get"
        });
        looks.count() >= 2 && !is_leading(&copy).await
    })
    .await
    .unwrap();
    assert_eq!(written_by_the_copy(&bed, mark).await, []);
    let mut calls = bed.emulator.journal(seen);
    calls.retain(|call| is_write(&call.operation));
    assert_eq!(calls, []);
    each_has_one(&bed, &all, 0).await;
}

#[tokio::test]
async fn an_observing_copy_shows_conditions_and_never_writes_to_graph() {
    let mut bed = sweeping().await;
    bed.operator.terminate().await.unwrap();
    let mut neighbour = Neighbour::of(&bed.emulator, ROOM_A).await;
    let stray = format!("{}/{NOBODY}", installation(&bed.emulator.subscriptions()));
    neighbour
        .subscribe(&bed.emulator, ROOM_B, ("deleted", &stray))
        .await;
    let before = bed.emulator.subscriptions();
    let seen = bed.emulator.journal(0).last().unwrap().seq;

    let writing = bed.operator.options().clone();
    let mut observing = writing.clone();
    observing.arguments.push("--observe-only".to_owned());
    bed.operator.restart_with(observing).await.unwrap();
    delete_room(&bed, "room-a").await;
    apply(&bed, &[room("room-b", ROOM_B)]).await;
    let room = mailbox_is(&bed, "room-b", "Ready=False/SubscriptionInactive").await;
    assert_eq!(state(&room, "MailboxNotFound"), "False/MailboxFound");
    assert_eq!(state(&room, "Unauthorized"), "False/Authorized");
    let listed = Operation::ListSubscriptions.to_string();
    bed.wait_until("it has swept four times", DEADLINE, async || {
        let calls = bed.emulator.journal(seen);
        calls.iter().filter(|call| call.operation == listed).count() >= 5
    })
    .await
    .unwrap();
    let mut calls = bed.emulator.journal(seen);
    calls.retain(|call| is_write(&call.operation));
    assert_eq!(calls, []);
    assert_eq!(bed.emulator.subscriptions(), before);

    // What was withheld is done by the next one that may write.
    bed.operator.restart_with(writing).await.unwrap();
    mailbox_is(&bed, "room-b", "Ready=True/Activated").await;
    bed.wait_until("what nobody names is removed", DEADLINE, async || {
        bed.emulator.subscriptions().len() == 3
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn an_heir_replaces_and_sweeps_what_a_lost_installation_left_and_nothing_else() {
    let mut bed = sweeping().await;
    apply(&bed, &[room("room-b", ROOM_B)]).await;
    mailbox_is(&bed, "room-b", "Ready=True/Activated").await;
    let lost = installation(&bed.emulator.subscriptions());
    let lost = lost.split('/').nth(3).unwrap().to_owned();
    bed.operator.terminate().await.unwrap();
    let neighbour = Neighbour::of(&bed.emulator, ROOM_A).await;
    let left = neighbour.others(&bed.emulator);
    delete_room(&bed, "room-a").await;
    delete_room(&bed, "room-b").await;

    let mut heir = bed
        .other_operator("heir", |options| {
            options.lease_name = Some("heir".to_owned());
            options.key_secret = Some(format!("{}/heir", options.namespaces[0]));
        })
        .await
        .unwrap();
    apply(&bed, &[room("room-a", ROOM_A)]).await;
    let held = "SubscriptionInactive=True/HeldByAnother";
    mailbox_is(&bed, "room-a", held).await;
    assert_eq!(
        neighbour.others(&bed.emulator),
        left,
        "nobody said that it is lost"
    );

    let mut options = heir.options().clone();
    options.arguments.push(format!("--take-over-from={lost}"));
    heir.terminate().await.unwrap();
    heir.restart_with(options).await.unwrap();
    let room = mailbox_is(&bed, "room-a", "Ready=True/Activated").await;
    let named = &room["status"]["subscription"]["id"];
    bed.wait_until("the other one is swept", DEADLINE, async || {
        let others = neighbour.others(&bed.emulator);
        others.len() == 1 && *named == others[0].id.as_str()
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_copy_that_may_not_read_its_keys_gives_the_lease_back_when_it_is_told_to_end() {
    let mut bed = Testbed::start(world(&contoso())).await.unwrap();
    bed.operator.terminate().await.unwrap();
    let mut options = bed.operator.options().clone();
    // Its role names another Secret.
    options.key_secret = Some(format!("{}/not-permitted", bed.namespace));
    bed.operator = OperatorProcess::spawn(options).await.unwrap();
    bed.wait_until("it has the Lease", DEADLINE, async || {
        let ports = bed.operator.metrics().await;
        ports.is_ok() && is_leading(&bed.operator).await
    })
    .await
    .unwrap();
    let told = Instant::now();
    let status = bed.operator.terminate().await.unwrap();
    assert!(status.success(), "{status}");
    assert!(told.elapsed() < DEADLINE);
    let mut next = bed.operator.options().clone();
    next.key_secret = None;
    bed.operator.restart_with(next).await.unwrap();
    leads(&bed, &bed.operator, SOON).await;
}
