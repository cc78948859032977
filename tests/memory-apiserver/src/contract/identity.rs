//! Names, UIDs and namespaces.

use k8s_openapi::api::core::v1::Namespace;
use kube::api::Api;
use kube::api::WatchParams;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::Value;
use serde_json::json;

use super::Ground;
use super::ground::{Told, mailbox, refusal, refused, value, version};

pub(super) async fn an_object_that_is_created_gets_its_identity(ground: Ground) {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {
        "name": "a", "uid": "mine", "creationTimestamp": "2001-01-01T00:00:00Z", "generation": 7,
    }});
    let (code, created) = ground.ask("POST", &ground.path("secrets"), &secret).await;
    assert_eq!(code, 201, "{created}");
    assert_eq!(created["type"], "Opaque");
    let metadata = &created["metadata"];
    assert_eq!(metadata["namespace"], ground.namespace.as_str());
    let uid = metadata["uid"].as_str().unwrap();
    let dashes: Vec<usize> = uid.match_indices('-').map(|(at, _)| at).collect();
    assert_eq!(
        (uid.len(), dashes.as_slice()),
        (36, &[8, 13, 18, 23][..]),
        "{uid}"
    );
    let at = metadata["creationTimestamp"].as_str().unwrap();
    assert!(
        at.len() == 20 && at.ends_with('Z') && !at.starts_with("2001"),
        "{at}"
    );
    assert!(
        metadata.get("generation").is_none_or(|number| number == 7),
        "{metadata}"
    );
    assert!(version(&created) > 0);
    let (code, read) = ground
        .ask(
            "GET",
            &format!("{}/a", ground.path("secrets")),
            &Value::Null,
        )
        .await;
    assert_eq!((code, read), (200, created));
}

pub(super) async fn a_new_object_has_no_version(ground: Ground) {
    for (plural, mut object) in [
        ("workspacemailboxes", value(&mailbox("a", &json!({})))),
        (
            "secrets",
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}),
        ),
    ] {
        object["metadata"]["resourceVersion"] = json!("1");
        let (code, said) = ground.ask("POST", &ground.path(plural), &object).await;
        let expected = "resourceVersion should not be set on objects to be created";
        assert_eq!((code, said["message"].as_str()), (500, Some(expected)));
    }
}

pub(super) async fn a_name_is_taken_once(ground: Ground) {
    ground.secret("a", ("x", "1")).await;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}});
    let answer = ground.ask("POST", &ground.path("secrets"), &secret).await;
    refused(
        &answer,
        (409, "AlreadyExists", "secrets \"a\" already exists"),
    );
    assert_eq!(answer.1["details"], json!({"name": "a", "kind": "secrets"}));
}

pub(super) async fn what_is_not_there_is_not_found(ground: Ground) {
    for (plural, qualified) in [
        ("secrets", "secrets"),
        ("leases", "leases.coordination.k8s.io"),
        (
            "workspacemailboxes",
            "workspacemailboxes.hybridcalendar.dev",
        ),
    ] {
        let path = format!("{}/none", ground.path(plural));
        for method in ["GET", "DELETE", "PATCH"] {
            let body = if method == "PATCH" {
                json!({})
            } else {
                Value::Null
            };
            let answer = ground.ask(method, &path, &body).await;
            refused(
                &answer,
                (404, "NotFound", &format!("{qualified} \"none\" not found")),
            );
            let details = &answer.1["details"];
            assert_eq!(
                (&details["name"], &details["kind"]),
                (&json!("none"), &json!(plural))
            );
        }
    }
}

pub(super) async fn nothing_is_created_where_there_is_no_namespace(ground: Ground) {
    let missing = format!("{}-none", ground.namespace);
    for plural in ["secrets", "leases", "workspacemailboxes"] {
        let ground = Ground {
            namespace: missing.clone(),
            ..ground.clone()
        };
        let object = match plural {
            "workspacemailboxes" => value(&mailbox("a", &json!({}))),
            "leases" => {
                json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "a"}})
            }
            _ => json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}),
        };
        let answer = ground.ask("POST", &ground.path(plural), &object).await;
        refused(
            &answer,
            (
                404,
                "NotFound",
                &format!("namespaces \"{missing}\" not found"),
            ),
        );
    }
}

fn namespaces(ground: &Ground) -> Api<Namespace> {
    Api::all(ground.client.clone())
}

async fn another_namespace(ground: &Ground, ending: &str) -> Ground {
    let name = format!("{}-{ending}", ground.namespace);
    let namespace = json!({"metadata": {"name": name}});
    let namespace = serde_json::from_value(namespace).unwrap();
    namespaces(ground)
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();
    Ground {
        namespace: name,
        ..ground.clone()
    }
}

pub(super) async fn nothing_is_created_in_a_namespace_that_is_being_deleted(ground: Ground) {
    let other = another_namespace(&ground, "leaving").await;
    other.secret("before", ("x", "1")).await;
    let path = format!("/api/v1/namespaces/{}", other.namespace);
    let (code, shown) = ground.ask("DELETE", &path, &Value::Null).await;
    assert_eq!(
        (code, &shown["status"]["phase"]),
        (200, &json!("Terminating")),
        "{shown}"
    );
    assert!(
        shown["metadata"]["deletionTimestamp"].is_string(),
        "{shown}"
    );
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "after"}});
    let answer = other.ask("POST", &other.path("secrets"), &secret).await;
    refused(
        &answer,
        (403, "Forbidden", "because it is being terminated"),
    );
    assert_eq!(
        answer.1["details"]["causes"][0]["reason"],
        "NamespaceTerminating"
    );
    let (code, _) = other
        .ask(
            "GET",
            &format!("{}/before", other.path("secrets")),
            &Value::Null,
        )
        .await;
    assert_eq!(code, 200);
}

pub(super) async fn a_namespace_takes_its_contents_along(ground: Ground) {
    let other = another_namespace(&ground, "gone").await;
    other.secret("a", ("x", "1")).await;
    other.mailbox("room-a").await;
    let before = other.secrets().list(&ListParams::default()).await.unwrap();
    let version = before.metadata.resource_version.unwrap();
    let mut told = Told::by(&other.secrets(), &WatchParams::default(), &version).await;
    (ground.delete_namespace)(other.namespace.clone()).await;
    assert_eq!(told.names(1).await, ["DELETED a"]);
    let gone = refusal(namespaces(&ground).get(&other.namespace).await);
    assert_eq!((gone.code, gone.reason.as_str()), (404, "NotFound"));
    let left = other
        .mailboxes()
        .list(&ListParams::default())
        .await
        .unwrap();
    assert_eq!(left.items.len(), 0);
}

pub(super) async fn a_namespace_is_labelled_with_its_name(ground: Ground) {
    let found = namespaces(&ground).get(&ground.namespace).await.unwrap();
    let found = value(&found);
    let label = &found["metadata"]["labels"]["kubernetes.io/metadata.name"];
    assert_eq!(label, ground.namespace.as_str());
    assert_eq!(found["status"]["phase"], "Active");
    assert_eq!(found["spec"]["finalizers"], json!(["kubernetes"]));
}

pub(super) async fn an_object_sent_to_another_namespace_is_refused(ground: Ground) {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "namespace": "default"}});
    let answer = ground.ask("POST", &ground.path("secrets"), &secret).await;
    let said =
        "the namespace of the provided object does not match the namespace sent on the request";
    refused(&answer, (400, "BadRequest", said));
}

pub(super) async fn plain_text_of_a_secret_is_stored_as_data(ground: Ground) {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"},
        "data": {"kept": "YQ==", "both": "YQ=="}, "stringData": {"both": "b", "plain": "c"}});
    let (_, stored) = ground.ask("POST", &ground.path("secrets"), &secret).await;
    assert_eq!(
        stored["data"],
        json!({"kept": "YQ==", "both": "Yg==", "plain": "Yw=="})
    );
    assert!(stored.get("stringData").is_none());
}

pub(super) async fn the_system_namespace_names_the_cluster(ground: Ground) {
    let found = namespaces(&ground)
        .get_metadata("kube-system")
        .await
        .unwrap();
    assert_eq!(found.metadata.uid.unwrap().len(), 36);
    let missing = ground
        .secrets()
        .delete("none", &DeleteParams::default())
        .await;
    assert_eq!(refusal(missing.map(|_| ())).code, 404);
}
