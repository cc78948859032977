//! Objects that are deleted, and what becomes of their subscriptions.

use std::time::Duration;

use graph_emulator::{FaultRule, Faults, Operation};
use kube::api::DeleteParams;
use serde_json::Value;
use testbed::objects::Kind;
use testbed::testbed::Testbed;

use super::activation::versions;
use super::scene::{DEADLINE, SOON, apply, contoso, good, mailbox_is, room, start, state};

const ROOM: &str = "room-a@contoso.example";

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
    let (recorder, mut seen) = versions(bed, Kind::Mailbox).await;
    delete(bed, Kind::Mailbox, "room-a").await;
    apply(bed, &[room("room-a", ROOM)]).await;
    let new = mailbox_is(bed, "room-a", "Ready=True/Activated").await;
    assert_ne!(new["metadata"]["uid"], old["metadata"]["uid"]);
    bed.wait_until("Graph has the one that is named", DEADLINE, async || {
        let all = bed.emulator.subscriptions();
        let named = &bed.get_mailbox("room-a").await.unwrap()["status"]["subscription"]["id"];
        all.len() == 1 && *named == all[0].id.as_str()
    })
    .await
    .unwrap();
    recorder.abort();
    let mut all = Vec::new();
    while let Some(object) = seen.recv().await {
        if object["metadata"]["uid"] == new["metadata"]["uid"] {
            all.push(object);
        }
    }
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
