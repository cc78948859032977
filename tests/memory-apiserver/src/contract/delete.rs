//! Deletes, and what holds an object.

use kube::api::ListParams;
use kube::api::WatchParams;
use serde_json::Value;
use serde_json::json;

use super::Ground;
use super::ground::{GROUP, Told, mailbox, refused, value, version};

pub(super) async fn a_delete_says_what_was_deleted(ground: Ground) {
    let secret = value(&ground.secret("a", ("x", "1")).await);
    let mailbox = value(&ground.mailbox("a").await);
    for (plural, group, object) in [
        ("secrets", None, secret),
        ("workspacemailboxes", Some(GROUP), mailbox),
    ] {
        let path = format!("{}/a", ground.path(plural));
        let (code, said) = ground.ask("DELETE", &path, &json!({})).await;
        assert_eq!(
            (code, &said["kind"], &said["status"]),
            (200, &json!("Status"), &json!("Success"))
        );
        let details = &said["details"];
        assert_eq!(
            (&details["name"], &details["kind"]),
            (&json!("a"), &json!(plural)),
            "{said}"
        );
        assert_eq!(details["uid"], object["metadata"]["uid"]);
        assert_eq!(
            details["group"].as_str().filter(|group| !group.is_empty()),
            group
        );
        let (code, _) = ground.ask("GET", &path, &Value::Null).await;
        assert_eq!(code, 404);
    }
}

pub(super) async fn a_deleted_service_account_is_shown(ground: Ground) {
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a"}});
    let path = ground.path("serviceaccounts");
    let (_, created) = ground.ask("POST", &path, &account).await;
    let (code, shown) = ground
        .ask("DELETE", &format!("{path}/a"), &Value::Null)
        .await;
    assert_eq!(
        (code, &shown["metadata"]["uid"]),
        (200, &created["metadata"]["uid"]),
        "{shown}"
    );
}

pub(super) async fn a_delete_of_another_object_is_a_conflict(ground: Ground) {
    let secret = value(&ground.secret("a", ("x", "1")).await);
    let path = format!("{}/a", ground.path("secrets"));
    for (field, expected) in [
        (
            "uid",
            "the UID in the precondition (1) does not match the UID in record",
        ),
        (
            "resourceVersion",
            "the ResourceVersion in the precondition (1) does not match the ResourceVersion in record",
        ),
    ] {
        let answer = ground
            .ask("DELETE", &path, &json!({"preconditions": {field: "1"}}))
            .await;
        refused(&answer, (409, "Conflict", expected));
    }
    let right = json!({"preconditions": {
        "uid": secret["metadata"]["uid"], "resourceVersion": secret["metadata"]["resourceVersion"],
    }});
    let (code, _) = ground.ask("DELETE", &path, &right).await;
    assert_eq!(code, 200);
}

pub(super) async fn a_finalizer_holds_an_object(ground: Ground) {
    let path = ground.path("workspacemailboxes");
    let held = mailbox(
        "a",
        &json!({"metadata": {"name": "a", "finalizers": ["example.dev/held"]}}),
    );
    let (_, created) = ground.ask("POST", &path, &value(&held)).await;
    let from = version(&created).to_string();
    let mut told = Told::by(&ground.mailboxes(), &WatchParams::default(), &from).await;
    let path = format!("{path}/a");
    let (code, deleting) = ground.ask("DELETE", &path, &Value::Null).await;
    let metadata = &deleting["metadata"];
    assert_eq!(
        (code, &metadata["deletionGracePeriodSeconds"]),
        (200, &json!(0)),
        "{deleting}"
    );
    assert!(metadata["deletionTimestamp"].is_string());
    assert_eq!(metadata["generation"], 2);
    let (_, again) = ground.ask("DELETE", &path, &Value::Null).await;
    assert_eq!(version(&again), version(&deleting));
    let kept = json!({"metadata": {"deletionTimestamp": null}});
    let (_, kept) = ground.ask("PATCH", &path, &kept).await;
    assert_eq!(
        kept["metadata"]["deletionTimestamp"],
        metadata["deletionTimestamp"]
    );
    let released = json!({"metadata": {"finalizers": null}});
    let (code, last) = ground.ask("PATCH", &path, &released).await;
    assert_eq!(code, 200, "{last}");
    let (code, _) = ground.ask("GET", &path, &Value::Null).await;
    assert_eq!(code, 404);
    assert_eq!(told.names(2).await, ["MODIFIED a", "DELETED a"]);
}

pub(super) async fn an_object_that_is_made_anew_is_another(ground: Ground) {
    let first = value(&ground.mailbox("a").await);
    let path = format!("{}/a", ground.path("workspacemailboxes"));
    ground.ask("DELETE", &path, &Value::Null).await;
    let second = value(&ground.mailbox("a").await);
    assert_ne!(first["metadata"]["uid"], second["metadata"]["uid"]);
    assert!(
        version(&second) > version(&first) + 1,
        "the delete is a version too"
    );
    let all = ground
        .mailboxes()
        .list(&ListParams::default())
        .await
        .unwrap();
    assert_eq!(all.items.len(), 1);
}
