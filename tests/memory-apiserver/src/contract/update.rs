//! Updates and merge patches: versions, and what nobody can change.

use serde_json::Value;
use serde_json::json;

use super::Ground;
use super::ground::{mailbox, refused, value, version};

fn lease(name: &str) -> Value {
    json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name},
        "spec": {"holderIdentity": "me"}})
}

/// Created by a request as it is.
async fn created(ground: &Ground, plural: &str, object: Value) -> Value {
    let (code, created) = ground.ask("POST", &ground.path(plural), &object).await;
    assert_eq!(code, 201, "{created}");
    created
}

/// One object of each kind that is updated.
async fn one_of_each(ground: &Ground) -> Vec<(&'static str, Value)> {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}});
    vec![
        ("secrets", created(ground, "secrets", secret).await),
        ("leases", created(ground, "leases", lease("a")).await),
        (
            "workspacemailboxes",
            created(
                ground,
                "workspacemailboxes",
                value(&mailbox("a", &json!({}))),
            )
            .await,
        ),
    ]
}

fn labelled(object: &Value, label: &str) -> Value {
    let mut object = object.clone();
    object["metadata"]["labels"]["x"] = json!(label);
    object
}

pub(super) async fn an_update_of_an_older_version_is_a_conflict(ground: Ground) {
    for (plural, first) in one_of_each(&ground).await {
        let path = format!("{}/a", ground.path(plural));
        let (code, second) = ground.ask("PUT", &path, &labelled(&first, "1")).await;
        assert_eq!(code, 200, "{second}");
        assert!(version(&second) > version(&first));
        let answer = ground.ask("PUT", &path, &labelled(&first, "2")).await;
        let said = "\"a\": the object has been modified; please apply your changes to the latest version and try again";
        refused(&answer, (409, "Conflict", said));
        let (_, now) = ground.ask("GET", &path, &Value::Null).await;
        assert_eq!(now, second);
    }
}

pub(super) async fn an_update_without_a_version_is_only_taken_for_some_kinds(ground: Ground) {
    for (plural, first) in one_of_each(&ground).await {
        let path = format!("{}/a", ground.path(plural));
        let mut second = labelled(&first, "1");
        second["metadata"]
            .as_object_mut()
            .unwrap()
            .remove("resourceVersion");
        let answer = ground.ask("PUT", &path, &second).await;
        if plural == "secrets" {
            assert_eq!(answer.0, 200, "{}", answer.1);
            assert!(version(&answer.1) > version(&first));
        } else {
            refused(&answer, (422, "Invalid", "must be specified for an update"));
        }
    }
}

pub(super) async fn an_update_that_changes_nothing_makes_no_version(ground: Ground) {
    for (plural, first) in one_of_each(&ground).await {
        let path = format!("{}/a", ground.path(plural));
        let (code, first) = match plural {
            // A kind of its own is stored once more: see `custom`.
            "workspacemailboxes" => ground.ask("PUT", &path, &first).await,
            _ => (200, first),
        };
        assert_eq!(code, 200, "{first}");
        let (code, second) = ground.ask("PUT", &path, &first).await;
        assert_eq!((code, version(&second)), (200, version(&first)), "{second}");
        let (code, third) = ground
            .ask("PATCH", &path, &json!({"metadata": {"labels": null}}))
            .await;
        assert_eq!((code, version(&third)), (200, version(&first)), "{third}");
    }
}

pub(super) async fn an_update_of_what_is_gone(ground: Ground) {
    for (plural, first) in one_of_each(&ground).await {
        let path = format!("{}/a", ground.path(plural));
        let (code, _) = ground.ask("DELETE", &path, &Value::Null).await;
        assert_eq!(code, 200);
        let answer = ground.ask("PUT", &path, &first).await;
        match plural {
            // It is not made again: it was another object that was meant.
            "leases" => refused(
                &answer,
                (409, "Conflict", "Precondition failed: UID in precondition"),
            ),
            _ => refused(&answer, (404, "NotFound", "\"a\" not found")),
        }
    }
    let path = format!("{}/a", ground.path("leases"));
    let (code, made) = ground.ask("PUT", &path, &lease("a")).await;
    assert_eq!(code, 201, "{made}");
}

pub(super) async fn an_update_of_an_object_with_another_uid_is_a_conflict(ground: Ground) {
    for (plural, first) in one_of_each(&ground).await {
        let path = format!("{}/a", ground.path(plural));
        let mut second = labelled(&first, "1");
        second["metadata"]["uid"] = json!("5f1d7a9c-1111-4000-8000-000000000001");
        let answer = ground.ask("PUT", &path, &second).await;
        refused(
            &answer,
            (409, "Conflict", "Precondition failed: UID in precondition"),
        );
    }
}

pub(super) async fn an_object_with_another_name_than_its_path_is_refused(ground: Ground) {
    for (plural, first) in one_of_each(&ground).await {
        let path = format!("{}/b", ground.path(plural));
        let answer = ground.ask("PUT", &path, &first).await;
        refused(
            &answer,
            (400, "BadRequest", "does not match the name on the URL"),
        );
    }
}

pub(super) async fn what_the_server_says_of_an_object_stays(ground: Ground) {
    for (plural, first) in one_of_each(&ground).await {
        let path = format!("{}/a", ground.path(plural));
        let mut second = labelled(&first, "1");
        second["metadata"]["creationTimestamp"] = json!("2001-01-01T00:00:00Z");
        second["metadata"]["generation"] = json!(77);
        let (code, stored) = ground.ask("PUT", &path, &second).await;
        assert_eq!(code, 200, "{stored}");
        for field in ["creationTimestamp", "generation", "uid", "namespace"] {
            assert_eq!(
                stored["metadata"][field], first["metadata"][field],
                "{field}"
            );
        }
    }
}

pub(super) async fn the_type_of_a_secret_stays(ground: Ground) {
    ground.secret("a", ("x", "1")).await;
    let path = format!("{}/a", ground.path("secrets"));
    let answer = ground.ask("PATCH", &path, &json!({"type": "other"})).await;
    refused(
        &answer,
        (
            422,
            "Invalid",
            "Secret \"a\" is invalid: type: Invalid value: \"other\": field is immutable",
        ),
    );
    assert_eq!(answer.1["details"]["kind"], "Secret");
}

pub(super) async fn a_merge_patch_changes_what_it_names(ground: Ground) {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {
        "name": "a", "labels": {"x": "1", "y": "1"},
    }, "data": {"p": "YQ=="}});
    created(&ground, "secrets", secret).await;
    let path = format!("{}/a", ground.path("secrets"));
    let change = json!({"metadata": {"labels": {"x": null, "z": "3"}}, "data": {"q": "Yg=="}});
    let (code, patched) = ground.ask("PATCH", &path, &change).await;
    assert_eq!(code, 200, "{patched}");
    assert_eq!(patched["metadata"]["labels"], json!({"y": "1", "z": "3"}));
    assert_eq!(patched["data"], json!({"p": "YQ==", "q": "Yg=="}));
}

pub(super) async fn a_merge_patch_for_an_older_version_is_a_conflict(ground: Ground) {
    for (plural, first) in one_of_each(&ground).await {
        let path = format!("{}/a", ground.path(plural));
        let change = |label: &str| {
            json!({"metadata": {
                "labels": {"x": label}, "resourceVersion": first["metadata"]["resourceVersion"],
            }})
        };
        let (code, _) = ground.ask("PATCH", &path, &change("1")).await;
        assert_eq!(code, 200);
        let answer = ground.ask("PATCH", &path, &change("2")).await;
        refused(&answer, (409, "Conflict", "the object has been modified"));
    }
}
