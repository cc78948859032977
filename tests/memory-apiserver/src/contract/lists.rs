//! Lists: which objects, and in what form.

use kube::api::{ListParams, VersionMatch};
use serde_json::Value;
use serde_json::json;

use super::Ground;
use super::ground::{refused, value, version};

fn names(objects: impl IntoIterator<Item = kube::api::ObjectMeta>) -> Vec<String> {
    let names = objects.into_iter().map(|metadata| metadata.name.unwrap());
    names.collect()
}

pub(super) async fn labels_choose(ground: Ground) {
    ground.secret("a", ("x", "1")).await;
    ground.secret("b", ("x", "2")).await;
    ground.secret("c", ("y", "1")).await;
    for (selector, expected) in [
        ("x=1", &["a"][..]),
        ("x==2", &["b"]),
        ("x!=1", &["b", "c"]),
        ("x", &["a", "b"]),
        ("!x", &["c"]),
        ("x,x!=2", &["a"]),
        ("z=1", &[]),
    ] {
        let list = ground
            .secrets()
            .list(&ListParams::default().labels(selector))
            .await
            .unwrap();
        let found = names(list.items.into_iter().map(|secret| secret.metadata));
        assert_eq!(found, expected, "{selector}");
    }
}

pub(super) async fn fields_choose(ground: Ground) {
    ground.mailbox("a").await;
    ground.mailbox("b").await;
    for (selector, expected) in [
        ("metadata.name=a", &["a"][..]),
        ("metadata.name!=a", &["b"]),
        ("spec.address=b@contoso.example", &["b"]),
        ("spec.tenantRef.name=contoso,metadata.name=b", &["b"]),
        ("metadata.namespace=none", &[]),
    ] {
        let parameters = ListParams::default().fields(selector);
        let list = ground.mailboxes().list(&parameters).await.unwrap();
        let found = names(list.items.into_iter().map(|mailbox| mailbox.metadata));
        assert_eq!(found, expected, "{selector}");
    }
    let path = format!(
        "{}?fieldSelector=spec.type%3DRoom",
        ground.path("workspacemailboxes")
    );
    let answer = ground.ask("GET", &path, &Value::Null).await;
    refused(
        &answer,
        (400, "BadRequest", "field label not supported: spec.type"),
    );
}

pub(super) async fn metadata_alone_is_shown(ground: Ground) {
    ground.secret("a", ("x", "1")).await;
    let secrets = ground.secrets();
    let one = secrets.get_metadata("a").await.unwrap();
    assert_eq!(one.types.as_ref().unwrap().kind, "PartialObjectMetadata");
    let one = value(&one);
    assert!(
        one.get("type").is_none() && one.get("data").is_none(),
        "{one}"
    );
    assert_eq!(one["metadata"]["labels"], json!({"x": "1"}));
    let all = secrets.list_metadata(&ListParams::default()).await.unwrap();
    assert_eq!(all.types.kind, "PartialObjectMetadataList");
    assert_eq!(all.types.api_version, "meta.k8s.io/v1");
    assert_eq!(value(&all.items[0])["metadata"], one["metadata"]);
    assert!(secrets.get_metadata_opt("none").await.unwrap().is_none());
}

pub(super) async fn a_list_names_its_kind(ground: Ground) {
    ground.secret("a", ("x", "1")).await;
    ground.mailbox("a").await;
    for (plural, kind, api_version, in_items) in [
        ("secrets", "SecretList", "v1", None),
        ("leases", "LeaseList", "coordination.k8s.io/v1", None),
        (
            "workspacemailboxes",
            "WorkspaceMailboxList",
            "hybridcalendar.dev/v1alpha1",
            Some("WorkspaceMailbox"),
        ),
    ] {
        let (code, list) = ground.ask("GET", &ground.path(plural), &Value::Null).await;
        assert_eq!(
            (code, &list["kind"], &list["apiVersion"]),
            (200, &json!(kind), &json!(api_version))
        );
        assert!(version(&list) > 0);
        let token = if in_items.is_some() {
            json!("")
        } else {
            Value::Null
        };
        assert_eq!(list["metadata"]["continue"], token);
        assert_eq!(
            list["items"].as_array().unwrap().len(),
            usize::from(plural != "leases")
        );
        assert_eq!(list["items"][0]["kind"].as_str(), in_items);
    }
}

pub(super) async fn a_list_of_a_version_shows_how_it_was(ground: Ground) {
    ground.secret("a", ("x", "1")).await;
    let before = ground.secrets().list(&ListParams::default()).await.unwrap();
    let then = before.metadata.resource_version.unwrap();
    ground
        .secrets()
        .delete("a", &kube::api::DeleteParams::default())
        .await
        .unwrap();
    ground.secret("b", ("x", "1")).await;
    let exact = ListParams::default()
        .at(&then)
        .matching(VersionMatch::Exact);
    let list = ground.secrets().list(&exact).await.unwrap();
    assert_eq!(
        list.metadata.resource_version.as_deref(),
        Some(then.as_str())
    );
    assert_eq!(
        names(list.items.into_iter().map(|secret| secret.metadata)),
        ["a"]
    );
    let newer = ListParams::default()
        .at(&then)
        .matching(VersionMatch::NotOlderThan);
    let list = ground.secrets().list(&newer).await.unwrap();
    let version: u64 = list.metadata.resource_version.unwrap().parse().unwrap();
    assert!(version >= then.parse().unwrap());
}
