//! The rules that the API server in memory imitates hold for the real one.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream;
use memory_apiserver::contract::{Ground, RULES, Rule};
use testbed::control_plane::ControlPlane;
use testbed::crds;

/// Rules that are tried at a time.
const AT_A_TIME: usize = 8;

#[tokio::test]
async fn the_real_api_server_keeps_what_the_one_in_memory_imitates() {
    let control_plane = ControlPlane::shared().await.unwrap();
    crds::install(control_plane).await.unwrap();
    let broken: Vec<&str> = stream::iter(RULES)
        .map(|rule| keeps(control_plane, rule))
        .buffer_unordered(AT_A_TIME)
        .filter_map(std::future::ready)
        .collect()
        .await;
    assert_eq!(broken, Vec::<&str>::new(), "see above for each");
}

/// The name of a rule that is broken.
async fn keeps(control_plane: &'static ControlPlane, rule: &Rule) -> Option<&'static str> {
    let namespace = control_plane.namespace().await.unwrap();
    let ground = Ground {
        client: control_plane.admin().await.unwrap(),
        namespace,
        delete_namespace: Arc::new(move |name| {
            Box::pin(async move { control_plane.delete_namespace(&name).await.unwrap() })
        }),
    };
    let held = tokio::spawn((rule.holds)(ground)).await;
    held.is_err().then_some(rule.name)
}
