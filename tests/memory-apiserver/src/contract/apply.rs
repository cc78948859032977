//! Server-side apply of a status, with force.

use serde_json::Value;
use serde_json::json;

use super::Ground;
use super::ground::{refused, value, version};

const ME: &str = "hybrid-calendar-operator";

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

/// Applies as the operator, with success.
async fn applied(ground: &Ground, name: &str, status: Value) -> Value {
    let (code, object) = ground.apply(ME, name, (json!({}), status)).await;
    assert_eq!(code, 200, "{object}");
    object
}

fn types(object: &Value) -> Vec<&str> {
    let conditions = object["status"]["conditions"].as_array();
    let types = conditions.into_iter().flatten();
    types.map(|one| one["type"].as_str().unwrap()).collect()
}

pub(super) async fn an_applied_status_is_stored_with_defaults(ground: Ground) {
    ground.mailbox("a").await;
    let stored = applied(&ground, "a", whole()).await;
    assert_eq!(stored["status"], whole());
    let mut condition = condition("Ready");
    condition.as_object_mut().unwrap().remove("message");
    let stored = applied(&ground, "a", json!({"conditions": [condition]})).await;
    condition["message"] = json!("");
    assert_eq!(stored["status"], json!({"conditions": [condition]}));
}

pub(super) async fn what_an_apply_leaves_out_is_removed(ground: Ground) {
    ground.mailbox("a").await;
    let mut short = condition("Unlicensed");
    short.as_object_mut().unwrap().remove("message");
    let mut first = whole();
    first["conditions"] = json!([condition("Ready"), short]);
    applied(&ground, "a", first).await;
    let mut second = whole();
    second["mailbox"] = json!({"id": "1", "primaryAddress": "b@contoso.example"});
    second["conditions"] = json!([condition("Ready")]);
    let stored = applied(&ground, "a", second.clone()).await;
    assert_eq!(stored["status"], second);
    let stored = applied(&ground, "a", json!({"lastHandledReconcileAt": "now"})).await;
    let left = json!({"lastHandledReconcileAt": "now"});
    assert_eq!(stored["status"], left);
    let stored = applied(&ground, "a", json!({})).await;
    assert_eq!(stored["status"], json!({"observedGeneration": -1}));
}

pub(super) async fn the_same_apply_makes_no_version(ground: Ground) {
    ground.mailbox("a").await;
    let first = applied(&ground, "a", whole()).await;
    let second = applied(&ground, "a", whole()).await;
    assert_eq!(version(&second), version(&first));
}

pub(super) async fn an_apply_for_an_older_version_is_a_conflict(ground: Ground) {
    let mailbox = value(&ground.mailbox("a").await);
    let metadata = json!({
        "uid": mailbox["metadata"]["uid"], "resourceVersion": mailbox["metadata"]["resourceVersion"],
    });
    let (code, first) = ground.apply(ME, "a", (metadata.clone(), whole())).await;
    assert_eq!(code, 200, "{first}");
    let answer = ground
        .apply(ME, "a", (metadata, json!({"observedGeneration": 2})))
        .await;
    let said = "workspacemailboxes.hybridcalendar.dev \"a\": the object has been modified";
    refused(&answer, (409, "Conflict", said));
}

/// Only the version tells one object from another of its name.
pub(super) async fn an_apply_to_a_status_does_not_mind_another_uid(ground: Ground) {
    let mailbox = value(&ground.mailbox("a").await);
    let metadata = json!({
        "uid": "5f1d7a9c-1111-4000-8000-000000000001",
        "resourceVersion": mailbox["metadata"]["resourceVersion"],
    });
    let (code, stored) = ground.apply(ME, "a", (metadata, whole())).await;
    assert_eq!((code, &stored["status"]), (200, &whole()), "{stored}");
    assert_eq!(stored["metadata"]["uid"], mailbox["metadata"]["uid"]);
}

pub(super) async fn what_no_schema_knows_cannot_be_applied(ground: Ground) {
    ground.mailbox("a").await;
    for (status, expected) in [
        (
            json!({"unknown": 1}),
            ".status.unknown: field not declared in schema",
        ),
        (
            json!({"mailbox": {"unknown": 1}}),
            ".status.mailbox.unknown: field not declared in schema",
        ),
        (
            json!({"observedGeneration": "1"}),
            ".status.observedGeneration: expected numeric",
        ),
        (
            json!({"conditions": {}}),
            ".status.conditions: expected list",
        ),
        (json!({"mailbox": []}), ".status.mailbox: expected map"),
    ] {
        let (code, said) = ground.apply(ME, "a", (json!({}), status)).await;
        assert_eq!(code, 500, "{said}");
        assert!(
            said["message"].as_str().unwrap().contains(expected),
            "{said}"
        );
    }
}

pub(super) async fn a_status_that_breaks_its_schema_is_refused(ground: Ground) {
    ground.mailbox("a").await;
    let mut odd = condition("Ready");
    odd["status"] = json!("Perhaps");
    for (status, expected) in [
        (
            json!({"mailbox": {"id": "1"}}),
            "status.mailbox.primaryAddress: Required value",
        ),
        (
            json!({"mailbox": null}),
            "status.mailbox: Invalid value: \"null\": mailbox in body must be of type object",
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
        let answer = ground.apply(ME, "a", (json!({}), status)).await;
        refused(&answer, (422, "Invalid", expected));
    }
}

pub(super) async fn an_apply_to_what_is_gone_is_not_found(ground: Ground) {
    let answer = ground.apply(ME, "a", (json!({}), whole())).await;
    refused(
        &answer,
        (
            404,
            "NotFound",
            "workspacemailboxes.hybridcalendar.dev \"a\" not found",
        ),
    );
}

pub(super) async fn conditions_have_the_applied_order(ground: Ground) {
    ground.mailbox("a").await;
    for order in [
        ["A", "B", "C"],
        ["C", "A", "B"],
        ["B", "C", "D"],
        ["D", "A", "B"],
    ] {
        let conditions: Vec<Value> = order.iter().map(|kind| condition(kind)).collect();
        let stored = applied(&ground, "a", json!({"conditions": conditions})).await;
        assert_eq!(types(&stored), order);
    }
}

pub(super) async fn conditions_of_others_keep_their_places(ground: Ground) {
    let some = |order: &str| -> Value {
        let names = order.chars().map(|name| condition(&name.to_string()));
        json!({"conditions": names.collect::<Vec<_>>()})
    };
    for (live, order, expected) in [
        ("AXB", "AB", "AXB"),
        ("AXB", "BA", "XBA"),
        ("XAB", "BA", "XBA"),
        ("XY", "AB", "XYAB"),
        ("AXBY", "CBA", "XCBYA"),
        ("AXBY", "BCA", "XBYCA"),
    ] {
        let name = format!("{live}-{order}").to_lowercase();
        ground.mailbox(&name).await;
        let path = ground.path("workspacemailboxes");
        let path = format!("{path}/{name}/status?fieldManager=other");
        let (code, said) = ground
            .ask("PATCH", &path, &json!({"status": some(live)}))
            .await;
        assert_eq!(code, 200, "{said}");
        let stored = applied(&ground, &name, some(order)).await;
        assert_eq!(types(&stored).concat(), expected, "{order} over {live}");
    }
}

pub(super) async fn what_somebody_else_wrote_into_a_status_stays(ground: Ground) {
    ground.mailbox("a").await;
    let path = format!(
        "{}/a/status?fieldManager=other",
        ground.path("workspacemailboxes")
    );
    let change = json!({"status": {
        "lastHandledReconcileAt": "theirs", "conditions": [condition("Theirs")],
    }});
    let (code, patched) = ground.ask("PATCH", &path, &change).await;
    assert_eq!(code, 200, "{patched}");
    let stored = applied(&ground, "a", whole()).await;
    assert_eq!(types(&stored), ["Theirs", "Ready", "Unlicensed"]);
    assert_eq!(stored["status"]["lastHandledReconcileAt"], "theirs");
    let mut taken = whole();
    taken["lastHandledReconcileAt"] = json!("mine");
    let stored = applied(&ground, "a", taken).await;
    assert_eq!(stored["status"]["lastHandledReconcileAt"], "mine");
    let stored = applied(&ground, "a", json!({"conditions": [condition("Ready")]})).await;
    assert!(
        stored["status"].get("lastHandledReconcileAt").is_none(),
        "{stored}"
    );
    assert_eq!(types(&stored), ["Theirs", "Ready"]);
}

pub(super) async fn what_somebody_else_changed_in_a_status_is_theirs(ground: Ground) {
    ground.mailbox("a").await;
    applied(&ground, "a", whole()).await;
    let path = format!(
        "{}/a/status?fieldManager=other",
        ground.path("workspacemailboxes")
    );
    let change = json!({"status": {"mailbox": {"displayName": "theirs"}}});
    let (code, patched) = ground.ask("PATCH", &path, &change).await;
    assert_eq!(code, 200, "{patched}");
    let mut without = whole();
    without.as_object_mut().unwrap().remove("mailbox");
    without["mailbox"] = json!({"id": "1", "primaryAddress": "a@contoso.example"});
    let stored = applied(&ground, "a", without).await;
    assert_eq!(stored["status"]["mailbox"]["displayName"], "theirs");
    let stored = applied(&ground, "a", whole()).await;
    assert_eq!(stored["status"], whole());
}

pub(super) async fn an_apply_does_not_touch_spec_or_labels(ground: Ground) {
    let before = value(&ground.mailbox("a").await);
    let metadata = json!({"labels": {"x": "1"}, "annotations": {"y": "1"}});
    let (code, after) = ground.apply(ME, "a", (metadata, whole())).await;
    assert_eq!(code, 200, "{after}");
    assert_eq!(after["spec"], before["spec"]);
    assert_eq!(after["metadata"]["generation"], 1);
    for field in ["labels", "annotations"] {
        assert!(after["metadata"].get(field).is_none(), "{after}");
    }
}
