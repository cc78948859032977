//! The copy that leads is killed, or asked to end, in the midst of work.

use std::time::Duration;

use graph_emulator::{FaultRule, Faults, Operation};
use kube::api::DeleteParams;
use serde_json::Value;
use testbed::audit::{AuditEntry, AuditMark};
use testbed::objects::Kind;
use testbed::operator::OperatorProcess;
use testbed::testbed::Testbed;
use tokio::time::Instant;

use super::ending::{many, nothing_was_lost};
use crate::behaviour::pair::leader_and_copy;
use crate::behaviour::scene::{
    self, DEADLINE, SECRET, all_ready, apply, contoso_with, daily, echoed, named, request,
    room_name, rooms, secret, start, tenant,
};

/// Graph answers half of the creates at once. The others it carries out, and answers so late that whatever happens,
/// happens in between.
pub(super) fn slow() -> Faults {
    let late = FaultRule {
        operation: Operation::CreateSubscription,
        nth: (u64::from(many() / 2)..=10_000).collect(),
        delay_after: Some(Duration::from_secs(4)),
        ..FaultRule::default()
    };
    Faults {
        rules: vec![late],
        ..Faults::default()
    }
}

/// The Secret and the tenant.
pub(super) fn owner() -> Vec<Value> {
    daily(vec![secret("credential", SECRET), tenant("contoso")])
}

/// Waits until more rooms than so many have their subscription in the status. Returns how many.
pub(super) async fn activated(bed: &Testbed, rooms: &[Value], more_than: usize) -> usize {
    let mut found = 0;
    bed.wait_until("some rooms are activated", DEADLINE, async || {
        found = count_named(bed, rooms).await;
        found > more_than
    })
    .await
    .unwrap();
    found
}

async fn count_named(bed: &Testbed, rooms: &[Value]) -> usize {
    let named = named(bed, rooms).await;
    named.iter().filter(|id| **id != Value::Null).count()
}

/// The same, and not all have it.
pub(super) async fn in_the_midst(bed: &Testbed, rooms: &[Value], more_than: usize) -> usize {
    let found = activated(bed, rooms, more_than).await;
    assert!(found < rooms.len(), "they were too fast");
    found
}

/// What the copy asked the API server for since a mark.
async fn asked_by_the_copy(bed: &Testbed, mark: AuditMark) -> Vec<AuditEntry> {
    let user = format!("system:serviceaccount:{0}:{0}-copy", bed.namespace);
    let mut entries = bed.control_plane.audit_since(mark).await.unwrap();
    entries.retain(|entry| entry.user == user);
    entries
}

#[tokio::test]
async fn a_leader_that_is_killed_in_the_midst_of_work_is_followed_within_its_lease() {
    let all = daily(rooms(many() + 1));
    let (at_first, later) = all.split_at(all.len() - 1);
    let (mut bed, copy) = leader_and_copy(&contoso_with(many() + 1), |_| {}).await;
    apply(&bed, &owner()).await;
    let watches = |entry: &AuditEntry| entry.verb == "watch" && entry.resource == "namespaces";
    bed.wait_until("the copy follows", DEADLINE, async || {
        let asked = asked_by_the_copy(&bed, AuditMark::default()).await;
        asked.iter().any(watches)
    })
    .await
    .unwrap();
    bed.emulator.set_faults(slow());
    apply(&bed, at_first).await;
    in_the_midst(&bed, at_first, 4).await;
    let mark = bed.control_plane.audit_mark().await.unwrap();
    bed.operator.kill();
    let (killed, seen) = (Instant::now(), scene::mark(&bed));
    bed.emulator.set_faults(Faults::default());

    // Nobody sees these but the copy that does not lead yet.
    let first = named(&bed, at_first).await;
    let gone = first.iter().position(|id| *id != Value::Null).unwrap();
    let mailboxes = Kind::Mailbox.api(&bed.client, &bed.namespace);
    let name = room_name(u32::try_from(gone).unwrap() + 1);
    let parameters = DeleteParams::default();
    mailboxes.delete(&name, &parameters).await.unwrap();
    apply(&bed, later).await;

    let token = Operation::Token.to_string();
    bed.wait_until("the copy turns to Microsoft", DEADLINE, async || {
        let calls = bed.emulator.journal(seen);
        calls.iter().any(|call| call.operation == token)
    })
    .await
    .unwrap();
    let took = killed.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    eprintln!("killed: the next one acted after {took:?}");
    let done = count_named(&bed, at_first).await;
    activated(&bed, at_first, done).await;
    let asked = asked_by_the_copy(&bed, mark).await;
    for kind in ["workspacemailboxes", "calendartenants"] {
        let lists = asked
            .iter()
            .filter(|e| e.verb == "list" && e.resource == kind);
        let lists = lists.count();
        assert!(lists <= 1, "how new {kind} are, and no more: {asked:#?}");
    }
    let mut left = all;
    left.remove(gone);
    let mut before = bed.operator.options().clone();
    before.receiver_listen = copy.options().receiver_listen;
    nothing_was_lost(&mut bed, &left, vec![copy], before).await;
}

#[tokio::test]
async fn a_leader_that_is_told_to_end_in_the_midst_of_work_leaves_nothing_half_done() {
    let all = daily(rooms(many()));
    let mut bed = start(&contoso_with(many()), &owner()).await;
    bed.emulator.set_faults(slow());
    apply(&bed, &all).await;
    in_the_midst(&bed, &all, 4).await;
    let ended = bed.operator.terminate().await.unwrap();
    let logs = bed.operator.logs();
    assert!(ended.success(), "{ended}: {logs:#?}");

    // What Graph has made is what statuses name, each one.
    let mut named = named(&bed, &all).await;
    named.retain(|id| *id != Value::Null);
    assert!(named.len() < all.len(), "they were too fast");
    let made = bed.emulator.subscriptions();
    assert_eq!(made.len(), named.len());
    for subscription in made {
        assert!(named.contains(&subscription.id.into()));
    }
    let before = bed.operator.options().clone();
    bed.operator.restart().await.unwrap();
    nothing_was_lost(&mut bed, &all, Vec::new(), before).await;
    let created = Operation::CreateSubscription;
    let created = bed.emulator.counts().with_status(created, 201);
    assert_eq!(created, u64::from(many()), "none was made twice");
}

/// What a process takes, in MiB.
async fn memory(operator: &OperatorProcess) -> f64 {
    let metrics = operator.metrics().await.unwrap();
    let resident = metrics.sum("process_resident_memory_bytes", &[]);
    resident.unwrap() / 1024.0 / 1024.0
}

#[tokio::test]
#[ignore = "what it measures needs a machine that does nothing else: make faults"]
async fn who_stands_by_is_as_large_as_the_leader_and_acts_within_two_seconds_of_its_end() {
    let all = daily(rooms(many()));
    let (mut bed, copy) = leader_and_copy(&contoso_with(many()), |_| {}).await;
    apply(&bed, &owner()).await;
    apply(&bed, &all).await;
    all_ready(&bed, many()).await;
    let (leading, following) = (memory(&bed.operator).await, memory(&copy).await);
    eprintln!("{leading:.1} MiB lead, {following:.1} MiB stand by");
    assert!(following < leading * 1.2, "{following} and {leading}");

    let (room, at) = (room_name(1), "to the next one");
    let told = Instant::now();
    bed.operator.tell_to_end().unwrap();
    request(&bed, Kind::Mailbox, &room, at).await;
    echoed(&bed, Kind::Mailbox, &room, at).await;
    let took = told.elapsed();
    eprintln!("told to end: the next one acted after {took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    let mut before = bed.operator.options().clone();
    before.receiver_listen = copy.options().receiver_listen;
    bed.operator.end().await.unwrap();
    nothing_was_lost(&mut bed, &all, vec![copy], before).await;
}
