//! An update of a status that brings nothing else along.

use serde_json::Value;
use serde_json::json;

use super::Ground;
use super::ground::{mailbox, refused, value, version};

fn condition(kind: &str) -> Value {
    json!({"type": kind, "status": "True", "reason": "Because", "message": "It is so.",
        "lastTransitionTime": "2026-11-24T08:00:00Z", "observedGeneration": 1})
}

fn whole() -> Value {
    json!({
        "observedGeneration": 1,
        "mailbox": {"id": "1", "primaryAddress": "a@contoso.example", "displayName": "A"},
        "conditions": [condition("Ready"), condition("Unlicensed")],
        "history": [{"time": "2026-11-24T08:00:00Z", "to": "Ready", "reason": "Because", "message": ""}],
    })
}

/// Metadata for a write of the version that an object has.
fn as_it_is(object: &Value) -> Value {
    json!({"uid": object["metadata"]["uid"], "resourceVersion": object["metadata"]["resourceVersion"]})
}

/// Writes the status of an object as it was shown, with success.
async fn written(ground: &Ground, object: &Value, status: Value) -> Value {
    let name = object["metadata"]["name"].as_str().unwrap();
    let answer = ground.write_status(name, (as_it_is(object), status));
    let (code, object) = answer.await;
    assert_eq!(code, 200, "{object}");
    object
}

/// A new mailbox.
async fn made(ground: &Ground, name: &str) -> Value {
    value(&ground.mailbox(name).await)
}

fn types(object: &Value) -> Vec<&str> {
    let conditions = object["status"]["conditions"].as_array();
    let types = conditions.into_iter().flatten();
    types.map(|one| one["type"].as_str().unwrap()).collect()
}

pub(super) async fn a_status_is_stored_with_defaults(ground: Ground) {
    let mailbox = made(&ground, "a").await;
    let stored = written(&ground, &mailbox, whole()).await;
    assert_eq!(stored["status"], whole());
    let mut condition = condition("Ready");
    condition.as_object_mut().unwrap().remove("message");
    let stored = written(&ground, &stored, json!({"conditions": [condition]})).await;
    condition["message"] = json!("");
    assert_eq!(stored["status"], json!({"conditions": [condition]}));
}

pub(super) async fn what_a_status_leaves_out_is_removed_whoever_wrote_it(ground: Ground) {
    let mailbox = made(&ground, "a").await;
    let stored = written(&ground, &mailbox, whole()).await;
    let path = format!(
        "{}/a/status?fieldManager=other",
        ground.path("workspacemailboxes")
    );
    let change = json!({"status": {"lastHandledReconcileAt": "theirs"}});
    let (code, patched) = ground.ask("PATCH", &path, &change).await;
    assert_eq!(
        (code, &patched["status"]["mailbox"]),
        (200, &stored["status"]["mailbox"])
    );
    let mut second = whole();
    second["mailbox"] = json!({"id": "1", "primaryAddress": "b@contoso.example"});
    second["conditions"] = json!([condition("Ready")]);
    let stored = written(&ground, &patched, second.clone()).await;
    assert_eq!(stored["status"], second);
    let stored = written(&ground, &stored, json!({})).await;
    assert_eq!(stored["status"], json!({}));
}

pub(super) async fn the_same_status_makes_no_version(ground: Ground) {
    let mailbox = made(&ground, "a").await;
    let first = written(&ground, &mailbox, whole()).await;
    let second = written(&ground, &first, whole()).await;
    assert_eq!(version(&second), version(&first));
}

pub(super) async fn a_status_for_an_older_version_is_a_conflict(ground: Ground) {
    let mailbox = made(&ground, "a").await;
    written(&ground, &mailbox, whole()).await;
    let late = (as_it_is(&mailbox), json!({"observedGeneration": 2}));
    let answer = ground.write_status("a", late).await;
    let said = "workspacemailboxes.hybridcalendar.dev \"a\": the object has been modified";
    refused(&answer, (409, "Conflict", said));
}

pub(super) async fn a_status_for_another_object_of_the_name_is_a_conflict(ground: Ground) {
    let mailbox = made(&ground, "a").await;
    let mut metadata = as_it_is(&mailbox);
    metadata["uid"] = json!("5f1d7a9c-1111-4000-8000-000000000001");
    let answer = ground.write_status("a", (metadata, whole())).await;
    refused(
        &answer,
        (409, "Conflict", "Precondition failed: UID in precondition"),
    );
}

pub(super) async fn a_status_without_a_version_is_refused(ground: Ground) {
    made(&ground, "a").await;
    let answer = ground.write_status("a", (json!({}), whole())).await;
    let said = "metadata.resourceVersion: Invalid value: 0: must be specified for an update";
    refused(&answer, (422, "Invalid", said));
}

pub(super) async fn what_no_schema_knows_is_not_stored(ground: Ground) {
    let mailbox = made(&ground, "a").await;
    let mut more = whole();
    more["unknown"] = json!(1);
    more["mailbox"]["unknown"] = json!(1);
    more["activatedAt"] = Value::Null;
    let stored = written(&ground, &mailbox, more).await;
    assert_eq!(stored["status"], whole());
}

pub(super) async fn a_status_that_breaks_its_schema_is_refused(ground: Ground) {
    let mailbox = made(&ground, "a").await;
    let mut odd = condition("Ready");
    odd["status"] = json!("Perhaps");
    for (status, expected) in [
        (
            json!({"mailbox": {"id": "1"}}),
            "status.mailbox.primaryAddress: Required value",
        ),
        (
            json!({"activatedAt": "yesterday"}),
            "status.activatedAt: Invalid value: \"yesterday\"",
        ),
        (
            json!({"conditions": [odd]}),
            "status.conditions[0].status: Unsupported value: \"Perhaps\"",
        ),
    ] {
        let answer = ground.write_status("a", (as_it_is(&mailbox), status)).await;
        refused(&answer, (422, "Invalid", expected));
    }
}

pub(super) async fn the_status_of_what_is_gone_is_not_found(ground: Ground) {
    let mailbox = made(&ground, "a").await;
    let path = format!("{}/a", ground.path("workspacemailboxes"));
    let (code, _) = ground.ask("DELETE", &path, &Value::Null).await;
    assert_eq!(code, 200);
    let answer = ground
        .write_status("a", (as_it_is(&mailbox), whole()))
        .await;
    let said = "workspacemailboxes.hybridcalendar.dev \"a\" not found";
    refused(&answer, (404, "NotFound", said));
}

pub(super) async fn conditions_keep_their_order(ground: Ground) {
    let mut mailbox = made(&ground, "a").await;
    for order in [["A", "B", "C"], ["C", "A", "B"], ["B", "C", "D"]] {
        let conditions: Vec<Value> = order.iter().map(|kind| condition(kind)).collect();
        mailbox = written(&ground, &mailbox, json!({"conditions": conditions})).await;
        assert_eq!(types(&mailbox), order);
    }
}

pub(super) async fn a_status_does_not_touch_spec_or_labels(ground: Ground) {
    let path = ground.path("workspacemailboxes");
    let labels =
        json!({"metadata": {"name": "a", "labels": {"x": "1"}, "annotations": {"y": "1"}}});
    let object = value(&mailbox("a", &labels));
    let (code, before) = ground.ask("POST", &path, &object).await;
    assert_eq!(code, 201, "{before}");
    let after = written(&ground, &before, whole()).await;
    assert_eq!(after["spec"], before["spec"]);
    assert_eq!(after["metadata"]["generation"], 1);
    for field in ["labels", "annotations"] {
        assert_eq!(
            after["metadata"][field], before["metadata"][field],
            "{after}"
        );
    }
}
