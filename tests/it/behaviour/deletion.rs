//! Objects that are deleted, and what becomes of their subscriptions.

use std::time::Duration;

use graph_emulator::{FaultRule, Faults, JournalEntry, Operation, SubscriptionView};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams, ListParams};
use serde_json::{Value, json};
use testbed::control_plane::ControlPlane;
use testbed::objects::{self, Kind};
use testbed::operator::OperatorProcess;
use testbed::testbed::Testbed;

use super::neighbour::{NOBODY, Neighbour, installation};
use super::recorder::Recorder;
use super::scene::{
    CLIENT, DEADLINE, SECRET, SOON, SWEEPING, all_ready, apply, contoso, contoso_with, good,
    mailbox_is, memory_is_bounded, room, rooms, secret, start, state, tenant, with, world,
};

const ROOM: &str = "room-a@contoso.example";

/// Whether Microsoft keeps failing just now.
const OPEN: &str = "hybridcalendar_graph_circuit_open";

async fn delete(bed: &Testbed, kind: Kind, name: &str) {
    let objects = kind.api(&bed.client, &bed.namespace);
    objects
        .delete(name, &DeleteParams::default())
        .await
        .unwrap();
}

/// A slow call is under way for `room-a` while the object is deleted and created again. Returns how the new object
/// looked, version by version.
async fn created_again_during(bed: &Testbed, slow: FaultRule) -> Vec<Value> {
    let removal = FaultRule {
        operation: Operation::DeleteSubscription,
        times: Some(1),
        delay: Some(Duration::from_secs(2)),
        ..FaultRule::default()
    };
    bed.emulator.set_faults(Faults {
        rules: vec![slow, removal],
        ..Faults::default()
    });
    apply(bed, &[room("room-a", ROOM)]).await;
    let old = bed.get_mailbox("room-a").await.unwrap();
    bed.wait_until("the slow call is under way", SOON, async || {
        bed.emulator.faults_fired() == [1, 0]
    })
    .await
    .unwrap();
    let recorder = Recorder::start(bed, Kind::Mailbox).await;
    delete(bed, Kind::Mailbox, "room-a").await;
    apply(bed, &[room("room-a", ROOM)]).await;
    let new = mailbox_is(bed, "room-a", "Ready=True/Activated").await;
    assert_ne!(new["metadata"]["uid"], old["metadata"]["uid"]);
    let mut last = Value::Null;
    bed.wait_until("Graph has the one that is named", DEADLINE, async || {
        let all = bed.emulator.subscriptions();
        last = bed.get_mailbox("room-a").await.unwrap();
        all.len() == 1 && last["status"]["subscription"]["id"] == all[0].id.as_str()
    })
    .await
    .unwrap();
    let mut all = recorder.until(&last["metadata"]["resourceVersion"]).await;
    all.retain(|version| version["metadata"]["uid"] == new["metadata"]["uid"]);
    all
}

#[tokio::test]
async fn an_object_created_again_during_a_slow_call_inherits_nothing() {
    let bed = start(&contoso(), &good()[..2]).await;
    let three_seconds = Some(Duration::from_secs(3));
    for (operation, executed) in [
        (Operation::CreateSubscription, true),
        (Operation::CreateSubscription, false),
        (Operation::GetCalendar, true),
    ] {
        let slow = FaultRule {
            operation,
            times: Some(1),
            delay_after: three_seconds.filter(|_| executed),
            delay: three_seconds.filter(|_| !executed),
            ..FaultRule::default()
        };
        let versions = created_again_during(&bed, slow).await;
        let last = versions.last().unwrap();
        let uid = last["metadata"]["uid"].as_str().unwrap();
        for version in &versions {
            let status = &version["status"];
            let subscription = &status["subscription"];
            if *subscription != Value::Null {
                assert_eq!(subscription["ownerUid"], uid, "{version:#}");
                assert_eq!(subscription["id"], last["status"]["subscription"]["id"]);
            }
            assert_ne!(
                state(version, "SubscriptionInactive"),
                "True/HeldByAnother",
                "the old one was ours: {version:#}"
            );
            let created = version["metadata"]["creationTimestamp"].as_str().unwrap();
            for time in [&status["activatedAt"], &status["history"][0]["time"]] {
                assert!(time.as_str().is_none_or(|time| time >= created));
            }
        }
        let history = last["status"]["history"].as_array().unwrap();
        assert_eq!(history.len(), 1, "{history:?}");
        let url = &bed.emulator.subscriptions()[0].notification_url;
        assert!(url.ends_with(uid), "{url} of {uid}");
        delete(&bed, Kind::Mailbox, "room-a").await;
        bed.wait_until("Graph has none any more", DEADLINE, async || {
            bed.emulator.subscriptions().is_empty()
        })
        .await
        .unwrap();
    }
}

/// Another application in the same organization.
const OTHER_CLIENT: &str = "5f1d7a9c-2222-4000-8000-000000000002";

fn within(namespace: &str, objects: impl IntoIterator<Item = Value>) -> Vec<Value> {
    let there = json!({"metadata": {"namespace": namespace}});
    let objects = objects.into_iter();
    objects.map(|object| with(object, there.clone())).collect()
}

/// The last two rooms, in a namespace whose tenant has another application.
fn elsewhere(namespace: &str) -> Vec<Value> {
    let other = json!({"spec": {"clientId": OTHER_CLIENT}});
    let owner = [secret("credential", SECRET), with(tenant("contoso"), other)];
    within(
        namespace,
        owner.into_iter().chain(rooms(203).split_off(201)),
    )
}

fn organization() -> Value {
    let mut organization = with(
        contoso_with(203),
        json!({"behaviour": {"allowDuplicates": true}}),
    );
    let applications = organization["tenants"][0]["applications"].as_array_mut();
    let applications = applications.unwrap();
    let other = with(applications[0].clone(), json!({"clientId": OTHER_CLIENT}));
    applications.push(other);
    organization
}

/// The subscriptions at Graph whose URL has this in it.
fn with_url(bed: &Testbed, part: &str) -> Vec<SubscriptionView> {
    let mut all = bed.emulator.subscriptions();
    all.retain(|subscription| subscription.notification_url.contains(part));
    all
}

fn with_mailbox(bed: &Testbed, address: &str) -> Vec<SubscriptionView> {
    let mut all = bed.emulator.subscriptions();
    all.retain(|subscription| subscription.mailbox == address);
    all
}

/// The number of the last call that was answered.
fn last_call(bed: &Testbed) -> u64 {
    bed.emulator.journal(0).last().unwrap().seq
}

/// The number of the call after `after` by which a new process or credential got its token. What was answered before,
/// another copy had asked for.
fn first_token(bed: &Testbed, after: u64, client: &str) -> u64 {
    let calls = bed.emulator.journal(after);
    let is_its_token = |call: &&JournalEntry| {
        let operation = Operation::Token.to_string();
        call.operation == operation && call.client_id.as_deref() == Some(client)
    };
    calls.iter().find(is_its_token).unwrap().seq
}

/// After a call, what this application had left over was removed within two sweeps: each begins with a list.
fn assert_within_two_sweeps(bed: &Testbed, after: u64, client: &str) {
    let mut calls = bed.emulator.journal(after);
    calls.retain(|call| call.client_id.as_deref() == Some(client));
    let is_removal = |call: &JournalEntry| {
        call.operation == Operation::DeleteSubscription.to_string() && call.status == 204
    };
    let is_list = |call: &&JournalEntry| {
        let further_page = call.path.contains("skiptoken");
        call.operation == Operation::ListSubscriptions.to_string() && !further_page
    };
    let last = calls.iter().rposition(is_removal).unwrap();
    let lists: Vec<_> = calls[..last].iter().filter(is_list).collect();
    assert!(lists.len() <= 2, "{lists:#?}");
}

async fn is_gone(bed: &Testbed, namespace: &str) -> bool {
    let namespaces: Api<Namespace> = Api::all(bed.client.clone());
    namespaces.get_opt(namespace).await.unwrap().is_none()
}

async fn delete_rooms(bed: &Testbed, labelled: &str) {
    let rooms = Kind::Mailbox.api(&bed.client, &bed.namespace);
    let which = ListParams::default().labels(labelled);
    rooms
        .delete_collection(&DeleteParams::default(), &which)
        .await
        .unwrap();
}

fn everything_fails(bed: &Testbed, status: u16) {
    bed.emulator.set_faults(Faults {
        rules: vec![FaultRule {
            status: Some(status),
            ..FaultRule::default()
        }],
        ..Faults::default()
    });
}

async fn rooms_left(bed: &Testbed) -> usize {
    let left = objects::list(&bed.client, Kind::Mailbox, &bed.namespace).await;
    left.unwrap().len()
}

#[tokio::test]
async fn what_200_deleted_objects_left_is_removed_when_graph_answers_again() {
    let owner = [secret("credential", SECRET), tenant("contoso")];
    let bed = start(&contoso_with(200), &owner).await;
    let neighbour = Neighbour::of(&bed.emulator, ROOM).await;
    apply(&bed, &rooms(200)).await;
    all_ready(&bed, 200).await;
    assert_eq!(neighbour.others(&bed.emulator).len(), 200);
    // Each call is answered, so each removal is tried.
    everything_fails(&bed, 500);
    delete_rooms(&bed, "").await;
    assert_eq!(rooms_left(&bed).await, 0);
    let removal = Operation::DeleteSubscription;
    bed.wait_until("every removal was tried", DEADLINE, async || {
        bed.emulator.counts().with_status(removal, 500) >= 200
    })
    .await
    .unwrap();
    // Nothing is there that answers, so most are not even tried.
    everything_fails(&bed, 503);
    bed.wait_until("Graph is spared", DEADLINE, async || {
        let metrics = bed.operator.metrics().await.unwrap();
        let opened = "hybridcalendar_graph_circuit_opened_total";
        let of_graph = [("host", "graph")];
        metrics.sum(opened, &of_graph) >= Some(1.0) && metrics.sum(OPEN, &of_graph) == Some(1.0)
    })
    .await
    .unwrap();
    assert_eq!(neighbour.others(&bed.emulator).len(), 200);

    bed.emulator.set_faults(Faults::default());
    let back = last_call(&bed);
    bed.wait_until("Graph has none of them any more", DEADLINE, async || {
        neighbour.others(&bed.emulator).is_empty()
    })
    .await
    .unwrap();
    assert_within_two_sweeps(&bed, back, CLIENT);
    let metrics = bed.operator.metrics().await.unwrap();
    assert_eq!(metrics.sum(OPEN, &[("host", "graph")]), Some(0.0));
    memory_is_bounded(&bed).await;
}

/// An operator with 201 rooms, of which 200 are labelled as doomed, and two in the namespace `other`; a copy of it with
/// four rooms and keys of its own; and the neighbour.
async fn two_installations(other: &str) -> (Testbed, OperatorProcess, Neighbour) {
    let plane = ControlPlane::shared().await.unwrap();
    let copied = plane.namespace().await.unwrap();
    let bed = Testbed::start_with(world(&organization()), |options| {
        options.namespaces.push(other.to_owned());
        options.rehearsal_pace = Some(SWEEPING);
    })
    .await
    .unwrap();
    let owner = || [secret("credential", SECRET), tenant("contoso")];
    let here = rooms(201).into_iter().map(|room| {
        let doomed = room["metadata"]["name"] != "room-000001";
        with(
            room,
            json!({"metadata": {"labels": {"doomed": doomed.to_string()}}}),
        )
    });
    let neighbour = Neighbour::of(&bed.emulator, ROOM).await;
    let copy = bed
        .other_operator("copy", |options| {
            options.namespaces = vec![copied.clone()];
            options.lease_name = Some("copy".to_owned());
            options.key_secret = Some(format!("{}/copy", bed.namespace));
        })
        .await
        .unwrap();
    for objects in [
        owner().into_iter().chain(here).collect(),
        elsewhere(other),
        within(&copied, owner().into_iter().chain(rooms(4))),
    ] {
        apply(&bed, &objects).await;
    }
    bed.wait_until("Graph has all", DEADLINE, async || {
        neighbour.others(&bed.emulator).len() == 207
    })
    .await
    .unwrap();
    (bed, copy, neighbour)
}

#[tokio::test]
async fn what_was_deleted_while_the_operator_was_down_is_swept_and_nothing_else() {
    let plane = ControlPlane::shared().await.unwrap();
    let other = plane.namespace().await.unwrap();
    let (mut bed, copy, neighbour) = two_installations(&other).await;
    let theirs = installation(&with_mailbox(&bed, "room-000202@contoso.example"));
    let ours = theirs.rsplit_once('/').unwrap().0;
    let of_the_copy = with_url(&bed, &copy.receiver_url());
    assert_eq!((of_the_copy.len(), with_url(&bed, ours).len()), (4, 203));
    all_ready(&bed, 201).await;

    bed.operator.terminate().await.unwrap();
    delete_rooms(&bed, "doomed=true").await;
    plane.delete_namespace(&other).await.unwrap();
    assert_eq!(
        (rooms_left(&bed).await, is_gone(&bed, &other).await),
        (1, true)
    );
    // The copy has the same application, and would be taken for the one whose sweeps are counted.
    copy.pause().unwrap();
    let back = last_call(&bed);
    bed.operator.restart().await.unwrap();
    bed.wait_until("what is left over is swept", DEADLINE, async || {
        with_url(&bed, ours).len() == 3
    })
    .await
    .unwrap();
    assert_within_two_sweeps(&bed, first_token(&bed, back, CLIENT), CLIENT);
    copy.resume().unwrap();
    assert_eq!(with_url(&bed, &theirs).len(), 2, "without a credential");

    let other = json!({"metadata": {"name": "other"}, "spec": {"clientId": OTHER_CLIENT}});
    let back = last_call(&bed);
    apply(&bed, &[with(tenant("other"), other)]).await;
    bed.wait_until("there is a credential now", DEADLINE, async || {
        with_url(&bed, ours).len() == 1
    })
    .await
    .unwrap();
    assert_within_two_sweeps(&bed, back, OTHER_CLIENT);
    mailbox_is(&bed, "room-000001", "Ready=True/Activated").await;
    assert_eq!(with_url(&bed, &copy.receiver_url()), of_the_copy);
    assert_eq!(neighbour.others(&bed.emulator).len(), 5);
    memory_is_bounded(&bed).await;
}

#[tokio::test]
async fn what_is_deleted_together_with_its_tenant_and_secret_is_removed_at_once() {
    let plane = ControlPlane::shared().await.unwrap();
    let other = plane.namespace().await.unwrap();
    let bed = Testbed::start_with(world(&organization()), |options| {
        options.namespaces.push(other.clone());
        options.rehearsal_pace = Some(SWEEPING);
    })
    .await
    .unwrap();
    apply(&bed, &elsewhere(&other)).await;
    apply(&bed, &good()).await;
    mailbox_is(&bed, "room-a", "Ready=True/Activated").await;
    bed.wait_until("Graph has all", DEADLINE, async || {
        bed.emulator.subscriptions().len() == 3
    })
    .await
    .unwrap();
    plane.delete_namespace(&other).await.unwrap();
    assert!(is_gone(&bed, &other).await);
    bed.wait_until("only the other one is left", SOON, async || {
        bed.emulator.subscriptions().len() == 1
    })
    .await
    .unwrap();

    // What is left of the operator's scope is served and swept as before.
    let stray = format!("{}/{NOBODY}", installation(&bed.emulator.subscriptions()));
    let mut neighbour = Neighbour::new(&bed.emulator).await;
    let stray = neighbour
        .subscribe(&bed.emulator, ROOM, ("deleted", &stray))
        .await;
    bed.wait_until("a stray is swept", DEADLINE, async || {
        let all = bed.emulator.subscriptions();
        all.iter().all(|subscription| subscription.id != stray)
    })
    .await
    .unwrap();
}
