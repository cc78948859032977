//! Leases, as elections use them.

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use serde_json::Value;
use serde_json::json;

use super::Ground;
use super::ground::{refusal, refused, value, version};

pub(super) async fn a_lease_keeps_what_elections_write(ground: Ground) {
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "a", "annotations": {"hybridcalendar.dev/wakes-at": "10.1.2.3:9091 me"}},
        "spec": {"holderIdentity": "", "leaseDurationSeconds": 15, "leaseTransitions": 0,
            "acquireTime": "2026-11-24T08:00:00.000001Z", "renewTime": "2026-11-24T08:00:00.000000Z"}});
    let (code, stored) = ground.ask("POST", &ground.path("leases"), &lease).await;
    assert_eq!(code, 201, "{stored}");
    assert_eq!(stored["spec"], lease["spec"]);
    assert_eq!(
        stored["metadata"]["annotations"],
        lease["metadata"]["annotations"]
    );
    let parsed = ground.leases().get("a").await.unwrap();
    assert_eq!(value(&parsed)["spec"], lease["spec"]);
}

pub(super) async fn an_empty_annotation_list_is_none(ground: Ground) {
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "a", "annotations": {"x": "1"}}, "spec": {"holderIdentity": "me"}});
    let (_, mut stored) = ground.ask("POST", &ground.path("leases"), &lease).await;
    let path = format!("{}/a", ground.path("leases"));
    stored["metadata"]["annotations"] = json!({});
    let (code, without) = ground.ask("PUT", &path, &stored).await;
    assert_eq!(code, 200, "{without}");
    assert!(
        without["metadata"].get("annotations").is_none(),
        "{without}"
    );
    let (_, mut same) = ground.ask("GET", &path, &Value::Null).await;
    same["metadata"]["annotations"] = json!({});
    let (_, again) = ground.ask("PUT", &path, &same).await;
    assert_eq!(version(&again), version(&without));
}

pub(super) async fn a_lease_lasts_for_a_while(ground: Ground) {
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "a"}, "spec": {"leaseDurationSeconds": 0}});
    let answer = ground.ask("POST", &ground.path("leases"), &lease).await;
    let said = "Lease.coordination.k8s.io \"a\" is invalid: spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0";
    refused(&answer, (422, "Invalid", said));
}

pub(super) async fn of_two_who_write_one_version_one_wins(ground: Ground) {
    let leases = ground.leases();
    let lease: Lease =
        serde_json::from_value(json!({"metadata": {"name": "a"}, "spec": {}})).unwrap();
    let lease = leases.create(&PostParams::default(), &lease).await.unwrap();
    let held = |by: &str| {
        let mut lease = lease.clone();
        lease.spec.as_mut().unwrap().holder_identity = Some(by.to_owned());
        lease
    };
    let (parameters, one, two) = (PostParams::default(), held("one"), held("two"));
    let (first, second) = tokio::join!(
        leases.replace("a", &parameters, &one),
        leases.replace("a", &parameters, &two)
    );
    assert_ne!(first.is_ok(), second.is_ok());
    let lost = refusal(if first.is_ok() { second } else { first });
    assert!(lost.is_conflict() && !lost.is_already_exists(), "{lost}");
}
