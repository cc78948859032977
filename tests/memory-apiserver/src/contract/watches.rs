//! Watches: what they tell.

use futures::StreamExt;
use kube::api::DeleteParams;
use kube::api::WatchParams;
use serde_json::Value;
use serde_json::json;

use super::Ground;
use super::ground::{Told, now, value, version};

async fn relabel(ground: &Ground, name: &str, labels: Value) -> Value {
    let path = format!("{}/{name}", ground.path("secrets"));
    let change = json!({"metadata": {"labels": labels}});
    ground.ask("PATCH", &path, &change).await.1
}

pub(super) async fn a_watch_tells_what_happens_in_order(ground: Ground) {
    let mut told = ground.watch_secrets(&WatchParams::default()).await;
    let first = value(&ground.secret("a", ("x", "1")).await);
    let second = relabel(&ground, "a", json!({"x": "2"})).await;
    ground
        .secrets()
        .delete("a", &DeleteParams::default())
        .await
        .unwrap();
    let (kind, added) = told.next().await;
    assert_eq!((kind.as_str(), added), ("ADDED a", first));
    let (kind, modified) = told.next().await;
    assert_eq!(kind, "MODIFIED a");
    assert_eq!(version(&modified), version(&second));
    let (kind, deleted) = told.next().await;
    assert_eq!(
        (kind.as_str(), &deleted["metadata"]["labels"]),
        ("DELETED a", &json!({"x": "2"}))
    );
    assert!(
        version(&deleted) > version(&second),
        "a delete is a version of its own"
    );
}

pub(super) async fn a_watch_tells_everything_since_its_version(ground: Ground) {
    let from = now(&ground.secrets()).await;
    ground.secret("a", ("x", "1")).await;
    relabel(&ground, "a", json!({"x": "2"})).await;
    let middle = now(&ground.secrets()).await;
    ground.secret("b", ("x", "1")).await;
    let secrets = ground.secrets();
    let parameters = WatchParams::default();
    let mut all = Told::by(&secrets, &parameters, &from).await;
    assert_eq!(all.names(3).await, ["ADDED a", "MODIFIED a", "ADDED b"]);
    let mut some = Told::by(&secrets, &parameters, &middle).await;
    assert_eq!(some.names(1).await, ["ADDED b"]);
}

pub(super) async fn a_watch_of_no_version_begins_with_everything(ground: Ground) {
    ground.secret("b", ("x", "1")).await;
    ground.secret("a", ("x", "1")).await;
    let parameters = WatchParams::default();
    for version in ["0", ""] {
        now(&ground.secrets()).await;
        let mut told = Told::by(&ground.secrets(), &parameters, version).await;
        let mut first = told.names(2).await;
        first.sort();
        assert_eq!(first, ["ADDED a", "ADDED b"]);
        let name = format!("c{version}");
        ground.secret(&name, ("x", "1")).await;
        assert_eq!(told.names(1).await, [format!("ADDED {name}")]);
        ground
            .secrets()
            .delete(&name, &DeleteParams::default())
            .await
            .unwrap();
    }
}

pub(super) async fn a_watch_of_no_version_is_told_where_the_list_ends(ground: Ground) {
    ground.secret("a", ("x", "1")).await;
    now(&ground.secrets()).await;
    let mut told = Told::by(&ground.secrets(), &WatchParams::default(), "0").await;
    assert_eq!(told.names(1).await, ["ADDED a"]);
    told.end_of_list().await;
}

pub(super) async fn a_watch_by_labels_sees_objects_come_and_go(ground: Ground) {
    let parameters = WatchParams::default().labels("x=1");
    let mut told = ground.watch_secrets(&parameters).await;
    ground.secret("a", ("x", "2")).await;
    relabel(&ground, "a", json!({"x": "1"})).await;
    let left = relabel(&ground, "a", json!({"x": "2"})).await;
    relabel(&ground, "a", json!({"x": "3"})).await;
    ground.secret("b", ("x", "1")).await;
    assert_eq!(told.names(1).await, ["ADDED a"]);
    let (kind, gone) = told.next().await;
    assert_eq!(
        (kind.as_str(), &gone["metadata"]["labels"]),
        ("DELETED a", &json!({"x": "1"}))
    );
    assert_eq!(version(&gone), version(&left));
    assert_eq!(told.names(1).await, ["ADDED b"]);
}

pub(super) async fn a_watch_by_name_sees_one_object(ground: Ground) {
    let parameters = WatchParams::default().fields("metadata.name=b");
    let mut told = ground.watch_secrets(&parameters).await;
    ground.secret("a", ("x", "1")).await;
    ground.secret("b", ("x", "1")).await;
    relabel(&ground, "b", json!({"x": "2"})).await;
    assert_eq!(told.names(2).await, ["ADDED b", "MODIFIED b"]);
}

pub(super) async fn a_watch_of_metadata_shows_metadata_alone(ground: Ground) {
    let secrets = ground.secrets();
    let from = now(&ground.secrets()).await;
    let stream = secrets
        .watch_metadata(&WatchParams::default(), &from)
        .await
        .unwrap();
    let mut told = Told(stream.boxed());
    ground.secret("a", ("x", "1")).await;
    let (kind, object) = told.next().await;
    assert_eq!(
        (kind.as_str(), &object["kind"]),
        ("ADDED a", &json!("PartialObjectMetadata"))
    );
    assert!(object.get("type").is_none(), "{object}");
    assert_eq!(object["metadata"]["labels"], json!({"x": "1"}));
}

/// By a line of the stream, not by the answer's code.
pub(super) async fn a_watch_of_long_ago_is_told_so(ground: Ground) {
    let path = ground.path("workspacemailboxes");
    let path = format!("{path}?watch=true&resourceVersion=1&timeoutSeconds=5");
    let (code, line) = ground.ask("GET", &path, &Value::Null).await;
    assert_eq!((code, &line["type"]), (200, &json!("ERROR")), "{line}");
    let status = &line["object"];
    let said = (&status["code"], &status["reason"]);
    assert_eq!(said, (&json!(410), &json!("Expired")), "{line}");
    let message = status["message"].as_str().unwrap();
    assert!(
        message.starts_with("too old resource version: 1 ("),
        "{line}"
    );
}

pub(super) async fn a_watch_of_one_namespace_sees_no_other(ground: Ground) {
    let other = format!("{}-other", ground.namespace);
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": other}});
    ground.ask("POST", "/api/v1/namespaces", &namespace).await;
    let other = Ground {
        namespace: other,
        ..ground.clone()
    };
    let mut told = ground.watch_secrets(&WatchParams::default()).await;
    other.secret("a", ("x", "1")).await;
    ground.secret("b", ("x", "1")).await;
    assert_eq!(told.names(1).await, ["ADDED b"]);
}
