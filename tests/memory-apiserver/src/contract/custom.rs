//! Kinds of CustomResourceDefinitions: defaults, pruning, and a status apart.

use serde_json::Value;
use serde_json::json;

use super::Ground;
use super::ground::{mailbox, refused, value, version};

pub(super) async fn a_spec_gets_its_defaults_and_loses_what_is_unknown(ground: Ground) {
    let mut object = value(&mailbox("a", &json!({})));
    object["spec"]["unknown"] = json!(1);
    object["more"] = json!({});
    let (code, stored) = ground
        .ask("POST", &ground.path("workspacemailboxes"), &object)
        .await;
    assert_eq!(code, 201, "{stored}");
    assert_eq!(
        stored["spec"],
        json!({
            "tenantRef": {"name": "contoso"}, "address": "a@contoso.example",
            "checkInterval": "1h", "subscription": {"enabled": true}, "suspend": false, "type": "Room",
        })
    );
    assert_eq!(stored["status"], json!({"observedGeneration": -1}));
    assert_eq!(stored["metadata"]["generation"], 1);
    assert!(stored.get("more").is_none());
    let path = format!("{}/a", ground.path("workspacemailboxes"));
    let mut changed = stored.clone();
    changed["spec"]["subscription"] = json!({"lifetime": "90m"});
    let (_, changed) = ground.ask("PUT", &path, &changed).await;
    assert_eq!(
        changed["spec"]["subscription"],
        json!({"enabled": true, "lifetime": "90m"})
    );
}

/// What it filled in is shown at once, but stored with the next write, even if that changes nothing.
pub(super) async fn the_first_write_stores_what_the_server_filled_in(ground: Ground) {
    let created = value(&ground.mailbox("a").await);
    let path = format!("{}/a", ground.path("workspacemailboxes"));
    let mut last = version(&created);
    for change in [
        json!({}),
        json!({"status": {"lastHandledReconcileAt": "x"}}),
    ] {
        let (code, first) = ground.ask("PATCH", &path, &change).await;
        assert_eq!(
            (code, &first["status"]),
            (200, &created["status"]),
            "{first}"
        );
        assert!(version(&first) >= last);
        let (_, second) = ground.ask("PATCH", &path, &change).await;
        assert_eq!(version(&second), version(&first));
        if last == version(&created) {
            assert!(version(&first) > last, "the first write");
        } else {
            assert_eq!(version(&first), last, "a later one");
        }
        last = version(&first);
    }
}

pub(super) async fn a_status_sent_with_a_spec_is_left_aside(ground: Ground) {
    let path = ground.path("workspacemailboxes");
    let status = json!({"lastHandledReconcileAt": "mine"});
    let object = value(&mailbox("a", &json!({"status": status})));
    let (_, stored) = ground.ask("POST", &path, &object).await;
    assert_eq!(stored["status"], json!({"observedGeneration": -1}));
    let path = format!("{path}/a");
    let (code, patched) = ground.ask("PATCH", &path, &json!({"status": status})).await;
    assert_eq!((code, &patched["status"]), (200, &stored["status"]));
    let mut put = patched.clone();
    put["status"] = status;
    put["spec"]["suspend"] = json!(true);
    let (code, put) = ground.ask("PUT", &path, &put).await;
    assert_eq!(
        (code, &put["spec"]["suspend"]),
        (200, &json!(true)),
        "{put}"
    );
    assert_eq!(put["status"], json!({"observedGeneration": -1}));
}

pub(super) async fn the_generation_counts_changes_of_the_spec(ground: Ground) {
    ground.mailbox("a").await;
    let path = format!("{}/a", ground.path("workspacemailboxes"));
    let status = format!("{path}/status");
    for (path, change, expected) in [
        (&path, json!({"metadata": {"annotations": {"x": "1"}}}), 1),
        (&path, json!({"spec": {"suspend": true}}), 2),
        (&path, json!({"spec": {"suspend": true}}), 2),
        (&status, json!({"status": {"observedGeneration": 2}}), 2),
        (&path, json!({"spec": {"suspend": null}}), 3),
    ] {
        let (code, patched) = ground.ask("PATCH", path, &change).await;
        assert_eq!(code, 200, "{patched}");
        assert_eq!(patched["metadata"]["generation"], expected, "{change}");
    }
}

pub(super) async fn a_spec_that_breaks_its_schema_is_refused(ground: Ground) {
    for (spec, expected) in [
        (
            json!({"address": "a@contoso.example"}),
            "spec.tenantRef: Required value",
        ),
        (
            json!({"address": "a@contoso.example", "tenantRef": {"name": "x"}, "type": "Car"}),
            "spec.type: Unsupported value: \"Car\": supported values: \"Room\", \"User\"",
        ),
        (
            json!({"address": "a@contoso.example", "tenantRef": {"name": "x"}, "suspend": "no"}),
            "spec.suspend: Invalid value: \"string\": spec.suspend in body must be of type boolean",
        ),
        (
            json!({"address": format!("{}@contoso.example", "a".repeat(320)), "tenantRef": {"name": "x"}}),
            "spec.address: Too long: may not be more than 320 bytes",
        ),
        (
            json!({"address": "a@contoso.example", "tenantRef": {"name": ""}}),
            "spec.tenantRef.name: Invalid value: \"\": spec.tenantRef.name in body should be at least 1 chars long",
        ),
    ] {
        let object = value(&mailbox("a", &json!({"spec": spec})));
        let answer = ground
            .ask("POST", &ground.path("workspacemailboxes"), &object)
            .await;
        refused(
            &answer,
            (
                422,
                "Invalid",
                "WorkspaceMailbox.hybridcalendar.dev \"a\" is invalid: ",
            ),
        );
        refused(&answer, (422, "Invalid", expected));
    }
}

pub(super) async fn a_status_is_written_without_the_rest(ground: Ground) {
    ground.mailbox("a").await;
    let path = format!("{}/a", ground.path("workspacemailboxes"));
    let (_, before) = ground.ask("GET", &path, &Value::Null).await;
    let status = format!("{path}/status");
    let change = json!({
        "metadata": {"labels": {"x": "1"}}, "spec": {"suspend": true},
        "status": {"lastHandledReconcileAt": "now"},
    });
    let (code, after) = ground.ask("PATCH", &status, &change).await;
    assert_eq!(code, 200, "{after}");
    assert_eq!(
        after["status"],
        json!({"lastHandledReconcileAt": "now", "observedGeneration": -1})
    );
    assert_eq!(after["spec"], before["spec"]);
    assert!(after["metadata"].get("labels").is_none(), "{after}");
    assert!(version(&after) > version(&before));
    let mut put = after.clone();
    put["status"] = json!({"observedGeneration": 1});
    put["spec"]["suspend"] = json!(true);
    let (code, put) = ground.ask("PUT", &status, &put).await;
    assert_eq!(
        (code, &put["status"]),
        (200, &json!({"observedGeneration": 1})),
        "{put}"
    );
    assert_eq!(put["spec"], before["spec"]);
    let (code, read) = ground.ask("GET", &status, &Value::Null).await;
    assert_eq!((code, read), (200, put));
}
