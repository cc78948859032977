//! What happens when everything is right.

use std::time::Duration;

use graph_emulator::{FaultRule, Faults, Operation};
use serde_json::{Value, json};
use testbed::audit::AuditEntry;
use testbed::objects::{Kind, condition};
use testbed::testbed::Testbed;

use super::recorder::Recorder;
use super::scene::{
    SECRET, SOON, all_ready, apply, contoso, contoso_with, daily, good, patch, room_name, rooms,
    secret, start, state, status_writes, tenant, world,
};

/// What kstatus makes of a custom resource: `sigs.k8s.io/cli-utils/pkg/kstatus`, generic rules.
fn kstatus(object: &Value) -> &'static str {
    let is_true = |type_| condition(object, type_).is_some_and(|c| c["status"] == "True");
    let observed = &object["status"]["observedGeneration"];
    if *observed != Value::Null && *observed != object["metadata"]["generation"] {
        return "InProgress";
    }
    match (
        is_true("Reconciling"),
        is_true("Stalled"),
        condition(object, "Ready"),
    ) {
        (true, _, _) => "InProgress",
        (_, true, _) => "Failed",
        (_, _, Some(ready)) if ready["status"] == "True" => "Current",
        (_, _, Some(_)) => "InProgress",
        (_, _, None) => "Current",
    }
}

/// What `kubectl wait --for=condition=Ready` makes of it.
fn kubectl_is_content(object: &Value) -> bool {
    condition(object, "Ready").is_some_and(|ready| {
        let outdated = ready["observedGeneration"]
            .as_i64()
            .is_some_and(|seen| seen < object["metadata"]["generation"].as_i64().unwrap());
        ready["status"] == "True" && !outdated
    })
}

/// Sees that kstatus and `kubectl wait` agree about each version; returns what kstatus says.
fn agreed(versions: &[Value]) -> Vec<&'static str> {
    let mut states = Vec::new();
    for version in versions {
        let state = (kstatus(version), kubectl_is_content(version));
        assert!(
            matches!(state, ("Current", true) | ("InProgress", false)),
            "{state:?} of {version:#}"
        );
        states.push(state.0);
    }
    states
}

#[tokio::test]
async fn a_good_tenant_and_a_good_room_are_ready_within_seconds_by_one_write() {
    let bed = Testbed::start(world(&contoso())).await.unwrap();
    let rooms = Recorder::start(&bed, Kind::Mailbox).await;
    let tenants = Recorder::start(&bed, Kind::Tenant).await;
    let mark = bed.control_plane.audit_mark().await.unwrap();
    apply(&bed, &good()).await;
    let arguments = [
        "wait",
        "--for=condition=Ready",
        "wm/room-a",
        "ct/contoso",
        "--timeout=5s",
        "-n",
    ];
    let waited = bed
        .control_plane
        .kubectl(arguments.into_iter().chain([bed.namespace.as_str()]))
        .await
        .unwrap();
    assert!(
        waited.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&waited.stderr),
        bed.situation().await
    );

    let room = bed.get_mailbox("room-a").await.unwrap();
    let subscriptions = bed.emulator.subscriptions();
    assert_eq!(subscriptions.len(), 1);
    assert_eq!(
        room["status"]["subscription"]["id"],
        subscriptions[0].id.as_str()
    );
    assert_eq!(
        room["status"]["observedGeneration"],
        room["metadata"]["generation"]
    );
    assert!(room["status"]["activatedAt"].is_string());
    let history = room["status"]["history"].as_array().unwrap();
    assert_eq!(
        history.len(),
        1,
        "{}\n{:#?}",
        bed.situation().await,
        bed.emulator.journal(0)
    );
    assert_eq!(history[0]["to"], "Activated");
    assert_eq!(state(&room, "RoomNotListed"), "False/Listed");

    // The tenant counts its mailboxes a little later; then nothing is left to write.
    let mut tenant = Value::Null;
    bed.wait_until("the tenant counts one of one", SOON, async || {
        tenant = bed.get_tenant("contoso").await.unwrap();
        tenant["status"]["mailboxes"]["summary"] == "1/1"
    })
    .await
    .unwrap();
    let entries = bed.control_plane.audit_since(mark).await.unwrap();
    assert_eq!(status_writes(&bed, &entries, "room-a").len(), 1);

    for (recorder, last) in [(rooms, &room), (tenants, &tenant)] {
        let last = &last["metadata"]["resourceVersion"];
        let states = agreed(&recorder.until(last).await);
        assert_eq!(states[0], "InProgress", "before any write");
        assert_eq!(*states.last().unwrap(), "Current");
    }
}

#[tokio::test]
async fn a_changed_spec_is_in_progress_until_it_was_looked_at() {
    let bed = super::scene::start(&contoso(), &good()).await;
    super::scene::mailbox_is(&bed, "room-a", "Ready=True/Activated").await;
    let rooms = Recorder::start(&bed, Kind::Mailbox).await;
    patch(
        &bed,
        Kind::Mailbox,
        "room-a",
        &json!({"spec": {"checkInterval": "2h"}}),
    )
    .await;
    let mut room = Value::Null;
    bed.wait_until("the new generation was looked at", SOON, async || {
        room = bed.get_mailbox("room-a").await.unwrap();
        room["status"]["observedGeneration"] == 2 && kubectl_is_content(&room)
    })
    .await
    .unwrap();
    let last = &room["metadata"]["resourceVersion"];
    let states = agreed(&rooms.until(last).await);
    assert!(states.contains(&"InProgress"), "{states:?}");
    assert_eq!(*states.last().unwrap(), "Current");
}

/// What ten thousand mailboxes cost is decided here: a request each for the subscription, and little besides.
#[tokio::test]
async fn a_hundred_new_mailboxes_cost_hardly_more_requests_than_their_subscriptions_and_one_write_each()
 {
    let mut bed = start(&contoso_with(100), &[secret("credential", SECRET)]).await;
    let mark = bed.control_plane.audit_mark().await.unwrap();
    // All are there when the operator comes, however long a busy API server takes to store them.
    bed.operator.terminate().await.unwrap();
    apply(&bed, &daily(vec![tenant("contoso")])).await;
    apply(&bed, &daily(rooms(100))).await;
    bed.operator.restart().await.unwrap();
    all_ready(&bed, 100).await;
    let entries = bed.control_plane.audit_since(mark).await.unwrap();
    for number in 1..=100 {
        let writes = status_writes(&bed, &entries, &room_name(number));
        assert_eq!(writes.len(), 1, "{writes:#?}");
    }
    let journal = bed.emulator.journal(0);
    let requests = journal.iter().filter(|entry| !entry.batched).count();
    // One by one they would be more than four hundred. On a busy machine some batches leave before they are full.
    assert!(
        requests <= 160,
        "{requests} requests: {:#?}",
        bed.emulator.counts().requests
    );
    let operator = format!("system:serviceaccount:{0}:{0}", bed.namespace);
    let events = |entry: &&AuditEntry| entry.user == operator && entry.resource == "events";
    assert_eq!(entries.iter().filter(events).count(), 0);
}

#[tokio::test]
async fn a_long_list_of_rooms_holds_up_none_of_them() {
    let mut bed = start(&contoso_with(100), &[secret("credential", SECRET)]).await;
    let page = FaultRule {
        operation: Operation::ListPlaces,
        delay: Some(Duration::from_secs(9)),
        ..FaultRule::default()
    };
    bed.emulator.set_faults(Faults {
        rules: vec![page],
        ..Faults::default()
    });
    // All are there when the operator comes, so that a list is worth while for the first already.
    bed.operator.terminate().await.unwrap();
    apply(&bed, &daily(vec![tenant("contoso")])).await;
    apply(&bed, &daily(rooms(100))).await;
    bed.operator.restart().await.unwrap();
    all_ready(&bed, 100).await;
    let asked = bed.emulator.counts().of("getPlace");
    assert!(asked > 0, "every room waited for the list");
}
