//! Copies that hear what another one acts on: lifecycle events that reach a copy that does not lead, and the hand-over.

use std::collections::BTreeMap;
use std::time::Duration;

use graph_emulator::{FaultRule, Faults, LifecycleEvent, Operation};
use hybrid_calendar_operator::clock::{Clock, sleep};
use hybrid_calendar_operator::domain::identity::KeyRing;
use hybrid_calendar_operator::ids::KeyId;
use jiff::SignedDuration;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use serde_json::json;
use testbed::objects::Kind;
use testbed::operator::{OperatorOptions, OperatorProcess};
use testbed::testbed::Testbed;
use tokio::time::Instant;

use super::hearing::book;
use super::pair::leader_and_copy;
use super::scene::{
    DEADLINE, apply, contoso, daily, echoed, eventually, good, mailbox_is, mark, only_subscription,
    request,
};

const ROOM: &str = "room-a@contoso.example";

/// Both, with what works applied.
async fn working_pair() -> (Testbed, OperatorProcess) {
    working_pair_with(|_| {}).await
}

async fn working_pair_with(
    configure: impl FnOnce(&mut OperatorOptions),
) -> (Testbed, OperatorProcess) {
    let (bed, copy) = leader_and_copy(&contoso(), configure).await;
    apply(&bed, &daily(good())).await;
    mailbox_is(&bed, "room-a", "Ready=True/Activated").await;
    (bed, copy)
}

/// A metric of one copy; of one result, unless that is empty.
async fn sum(operator: &OperatorProcess, name: &str, result: &str) -> f64 {
    let metrics = operator.metrics().await.unwrap();
    let labels = [("result", result)];
    let labels = if result.is_empty() { &[] } else { &labels[..] };
    let name = format!("hybridcalendar_{name}");
    metrics.sum(&name, labels).unwrap_or_default()
}

fn renewals(bed: &Testbed, mark: u64) -> usize {
    let renewal = Operation::RenewSubscription.to_string();
    let calls = bed.emulator.journal(mark);
    calls
        .iter()
        .filter(|call| call.operation == renewal)
        .count()
}

async fn leader_renews(bed: &Testbed, mark: u64) {
    bed.wait_until("the leader renews", DEADLINE, async || {
        renewals(bed, mark) > 0
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_lifecycle_event_that_reaches_a_copy_is_acted_on_by_the_leader_at_once() {
    let (bed, copy) = working_pair().await;
    let before = only_subscription(&bed, ROOM);
    let mark = mark(&bed);
    let told = Instant::now();
    let event = LifecycleEvent::ReauthorizationRequired;
    bed.emulator.send_lifecycle(&before.id, event).unwrap();
    leader_renews(&bed, mark).await;
    let took = told.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(only_subscription(&bed, ROOM).id, before.id);
    assert!(
        sum(&copy, "leader", "").await < 0.5,
        "the copy does not lead"
    );
    assert!(sum(&copy, "lifecycle_events_total", "").await > 0.5);
    assert!(sum(&copy, "wake_forwards_sent_total", "delivered").await > 0.5);
    let received = "wake_forwards_received_total";
    assert!(sum(&bed.operator, received, "accepted").await > 0.5);
    assert!(sum(&copy, "wake_lost_total", "").await < 0.5);

    let tenant = format!("{}/contoso", bed.namespace);
    let labels = [("result", "accepted"), ("tenant", tenant.as_str())];
    eventually(&bed, "the copy knows the tenant", DEADLINE, async || {
        book(&bed, ROOM);
        let metrics = copy.metrics().await?;
        let counted = metrics.sum("hybridcalendar_notifications_total", &labels);
        Ok(counted.is_some_and(|count| count > 0.5))
    })
    .await;
}

/// What an intruder in the cluster would have to know: the keys, and who leads.
async fn known_to_copies(bed: &Testbed) -> (KeyRing, String) {
    let options = bed.operator.options();
    let (namespace, name) = match &options.key_secret {
        Some(key) => key.split_once('/').unwrap(),
        None => (&*bed.namespace, "hybrid-calendar-operator-key"),
    };
    let secrets: Api<Secret> = Api::namespaced(bed.client.clone(), namespace);
    let entries = secrets.get(name).await.unwrap().data.unwrap();
    let entries: BTreeMap<String, Vec<u8>> = entries
        .into_iter()
        .map(|(name, key)| (name, key.0))
        .collect();
    let lease = options.lease_name.as_deref();
    let namespace = options.lease_namespace.as_deref().unwrap_or(&bed.namespace);
    let leases: Api<Lease> = Api::namespaced(bed.client.clone(), namespace);
    let lease = leases
        .get(lease.unwrap_or("hybrid-calendar-operator"))
        .await;
    let holder = lease.unwrap().spec.unwrap().holder_identity.unwrap();
    (KeyRing::from_secret(&entries).unwrap(), holder)
}

#[tokio::test]
async fn a_forged_or_repeated_message_from_a_copy_is_refused_and_counted() {
    let (bed, _copy) = working_pair().await;
    let (keys, leader) = known_to_copies(&bed).await;
    let port = bed.operator.options().wakes_listen.unwrap().port();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let send = async |authorization: String, body: &str| {
        let request = client.post(format!("http://127.0.0.1:{port}/v1/wakes"));
        let request = request.header("authorization", authorization);
        let answer = request.body(body.to_owned()).send().await.unwrap();
        answer.status().as_u16()
    };
    let room = bed.get_mailbox("room-a").await.unwrap();
    let message = |uid: &str| json!({"wakes": [{"uid": uid, "event": "reauthorizationRequired"}]});
    let about_room = message(room["metadata"]["uid"].as_str().unwrap()).to_string();
    let about_nobody = message("00000000-0000-4000-8000-000000000000").to_string();
    let sealed = |keys: &KeyRing, leader: &str, body: &str, ago: i64| {
        let at = Clock::system().now() - SignedDuration::from_secs(ago);
        let seal = keys.seal(leader, body.as_bytes(), (at, [1; 16]));
        format!("HybridCalendarWakes {seal}")
    };
    let number = keys.ids().last().unwrap();
    let guessed = KeyRing::generate(KeyId(number.0), [0; 32]);
    let mark = mark(&bed);
    for (status, authorization) in [
        (401, "Bearer nothing".to_owned()),
        (401, sealed(&guessed, &leader, &about_room, 0)),
        (401, sealed(&keys, "another", &about_room, 0)),
        (401, sealed(&keys, &leader, &about_nobody, 0)),
        (403, sealed(&keys, &leader, &about_room, 120)),
    ] {
        assert_eq!(send(authorization, &about_room).await, status);
    }
    let genuine = sealed(&keys, &leader, &about_nobody, 0);
    assert_eq!(send(genuine.clone(), &about_nobody).await, 202);
    assert_eq!(send(genuine, &about_nobody).await, 403);

    let received = "wake_forwards_received_total";
    for (result, count) in [
        ("unsigned", 1.0),
        ("forged", 3.0),
        ("stale", 1.0),
        ("accepted", 1.0),
        ("replayed", 1.0),
    ] {
        let counted = sum(&bed.operator, received, result).await;
        assert!((counted - count).abs() < 0.1, "{counted} × {result}");
    }
    // Asking for something else afterwards shows that nothing more was to come.
    request(&bed, Kind::Mailbox, "room-a", "afterwards").await;
    echoed(&bed, Kind::Mailbox, "room-a", "afterwards").await;
    assert_eq!(renewals(&bed, mark), 0);
    // The receiver, which the internet reaches, has no such door.
    let no_door = format!("{}/v1/wakes", bed.operator.receiver_url());
    let answer = client.post(no_door).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 404);
}

#[tokio::test]
async fn a_leader_that_is_told_to_end_hands_over_within_moments() {
    let (mut bed, copy) = working_pair().await;
    let told = Instant::now();
    bed.operator.terminate().await.unwrap();
    request(&bed, Kind::Mailbox, "room-a", "to the next one").await;
    eventually(&bed, "the copy has looked", DEADLINE, async || {
        let room = bed.get_mailbox("room-a").await?;
        Ok(room["status"]["lastHandledReconcileAt"] == "to the next one")
    })
    .await;
    let took = told.elapsed();
    // Less than a Lease lasts that nobody gave up.
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(sum(&copy, "leader", "").await > 0.5);
}

/// Everybody has to wait as long as Microsoft takes for one call, unless the leader gives it up.
#[tokio::test]
async fn a_leader_that_waits_for_microsoft_hands_over_within_moments() {
    let (mut bed, copy) = working_pair().await;
    let silence = FaultRule {
        operation: Operation::Any,
        times: Some(1),
        delay: Some(Duration::from_mins(1)),
        ..FaultRule::default()
    };
    bed.emulator.set_faults(Faults {
        rules: vec![silence],
        ..Faults::default()
    });
    request(&bed, Kind::Mailbox, "room-a", "of the first").await;
    bed.wait_until("a call gets no answer", DEADLINE, async || {
        bed.emulator.faults_fired() == [1]
    })
    .await
    .unwrap();
    let told = Instant::now();
    let Testbed { operator, .. } = &mut bed;
    let ended = async {
        operator.terminate().await.unwrap();
    };
    let followed = async {
        while sum(&copy, "leader", "").await < 0.5 {
            sleep(Duration::from_millis(100)).await;
        }
        told.elapsed()
    };
    let ((), took) = tokio::join!(ended, followed);
    // Less than a call that hangs, which lasts for ten seconds.
    assert!(took < Duration::from_secs(6), "{took:?}");
    // Nothing was written of it, so that the next leader does it again.
    echoed(&bed, Kind::Mailbox, "room-a", "of the first").await;
}

#[tokio::test]
async fn what_a_copy_hears_while_it_ends_is_passed_on() {
    let (bed, mut copy) = working_pair_with(|options| options.rehearsal_pace = None).await;
    let before = only_subscription(&bed, ROOM);
    let mark = mark(&bed);
    copy.tell_to_end().unwrap();
    bed.wait_until("the copy ends", DEADLINE, async || {
        copy.logs().iter().any(|line| line.contains("\"stopping\""))
    })
    .await
    .unwrap();
    // Its work has ended, and its receiver is still there: whoever has its address goes on sending for a while.
    sleep(Duration::from_secs(2)).await;
    let event = LifecycleEvent::ReauthorizationRequired;
    bed.emulator.send_lifecycle(&before.id, event).unwrap();
    leader_renews(&bed, mark).await;
    copy.end().await.unwrap();
    let received = "wake_forwards_received_total";
    assert!(sum(&bed.operator, received, "accepted").await > 0.5);
}
