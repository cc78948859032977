//! Lists in pages.

use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;
use kube::api::WatchParams;
use kube::api::{DeleteParams, ListParams};
use serde_json::Value;
use serde_json::json;

use super::Ground;
use super::ground::{Told, refused, value};

async fn page(ground: &Ground, token: Option<&str>) -> kube::core::ObjectList<Secret> {
    let mut parameters = ListParams::default().limit(2);
    if let Some(token) = token {
        parameters = parameters.continue_token(token);
    }
    ground.secrets().list(&parameters).await.unwrap()
}

fn names(page: &kube::core::ObjectList<Secret>) -> Vec<&str> {
    let names = page
        .items
        .iter()
        .map(|secret| secret.metadata.name.as_deref());
    names.map(Option::unwrap).collect()
}

pub(super) async fn pages_show_one_moment(ground: Ground) {
    for name in ["a", "b", "c", "d", "e"] {
        ground.secret(name, ("x", "1")).await;
    }
    let first = page(&ground, None).await;
    assert_eq!(names(&first), ["a", "b"]);
    assert_eq!(first.metadata.remaining_item_count, Some(3));
    let secrets = ground.secrets();
    secrets.delete("c", &DeleteParams::default()).await.unwrap();
    ground.secret("bb", ("x", "1")).await;
    let path = format!("{}/d", ground.path("secrets"));
    ground
        .ask("PATCH", &path, &json!({"metadata": {"labels": {"x": "2"}}}))
        .await;

    let second = page(&ground, first.metadata.continue_.as_deref()).await;
    assert_eq!(names(&second), ["c", "d"]);
    assert_eq!(
        value(&second.items[1])["metadata"]["labels"],
        json!({"x": "1"})
    );
    assert_eq!(
        second.metadata.resource_version,
        first.metadata.resource_version
    );
    let third = page(&ground, second.metadata.continue_.as_deref()).await;
    assert_eq!(names(&third), ["e"]);
    assert!(
        third
            .metadata
            .continue_
            .is_none_or(|token| token.is_empty())
    );
    assert_eq!(
        third.metadata.resource_version,
        first.metadata.resource_version
    );

    let version = third.metadata.resource_version.unwrap();
    let mut told = Told::by(&secrets, &WatchParams::default(), &version).await;
    assert_eq!(told.names(3).await, ["DELETED c", "ADDED bb", "MODIFIED d"]);
}

pub(super) async fn pages_of_a_choice_do_not_count_the_rest(ground: Ground) {
    for (name, value) in [("a", "1"), ("b", "2"), ("c", "1"), ("d", "1")] {
        ground.secret(name, ("x", value)).await;
    }
    let parameters = ListParams::default().labels("x=1").limit(2);
    let first = ground.secrets().list(&parameters).await.unwrap();
    assert_eq!(names(&first), ["a", "c"]);
    assert_eq!(first.metadata.remaining_item_count, None);
    let token = first.metadata.continue_.unwrap();
    let second = ground
        .secrets()
        .list(&parameters.continue_token(&token))
        .await
        .unwrap();
    assert_eq!(names(&second), ["d"]);
    let all = ListParams::default().limit(4);
    let all = ground.secrets().list(&all).await.unwrap();
    assert!(
        all.metadata.continue_.is_none_or(|token| token.is_empty()),
        "no more is no page"
    );
}

pub(super) async fn a_token_that_nobody_gave_is_refused(ground: Ground) {
    let path = format!("{}?limit=1&continue=nonsense", ground.path("secrets"));
    let answer = ground.ask("GET", &path, &Value::Null).await;
    refused(&answer, (400, "BadRequest", "continue key is not valid"));
}

pub(super) async fn objects_are_listed_by_namespace_and_name(ground: Ground) {
    // A dash sorts before the end of a shorter name.
    let other = format!("{}-b", ground.namespace);
    let path = "/api/v1/namespaces";
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": other}});
    let (code, _) = ground.ask("POST", path, &namespace).await;
    assert_eq!(code, 201);
    let other = Ground {
        namespace: other,
        ..ground.clone()
    };
    let mark = ("contract", ground.namespace.as_str());
    ground.secret("b", mark).await;
    ground.secret("a", mark).await;
    other.secret("c", mark).await;
    let selector = format!("contract={}", ground.namespace);
    let everywhere: Api<Secret> = Api::all(ground.client.clone());
    let list = everywhere
        .list(&ListParams::default().labels(&selector))
        .await
        .unwrap();
    assert_eq!(names(&list), ["c", "a", "b"]);
}
