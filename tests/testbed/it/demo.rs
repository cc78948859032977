//! The demo's manifests, before anything runs on them.

use graph_emulator::World;
use testbed::control_plane::ControlPlane;
use testbed::crds;
use testbed::objects::{self, Kind};
use testbed::sensitive;

#[tokio::test]
async fn the_demo_declares_what_the_api_server_accepts() {
    let cluster = ControlPlane::shared().await.unwrap();
    crds::install(cluster).await.unwrap();
    for namespace in ["hybrid-calendar-demo", "hybrid-calendar-demo-visitors"] {
        let yaml = format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}}}}}");
        cluster.apply("default", &yaml).await.unwrap();
    }
    for yaml in [
        include_str!("../demo/tenants.yaml"),
        include_str!("../demo/mailboxes.yaml"),
        include_str!("../demo/latecomers.yaml"),
    ] {
        let yaml = yaml.replace("${EMULATOR}", "http://127.0.0.1:8600");
        cluster.apply("hybrid-calendar-demo", &yaml).await.unwrap();
    }
    let client = cluster.admin().await.unwrap();
    let tenants = objects::list(&client, Kind::Tenant, "hybrid-calendar-demo").await;
    assert_eq!(tenants.unwrap().len(), 7);
}

#[test]
fn the_worlds_secrets_and_addresses_are_known_to_whoever_searches_for_them() {
    let world = World::from_yaml(include_str!("../demo/world.yaml")).unwrap();
    let words = sensitive::of(&world);
    for word in [
        "contoso-demo-secret",
        "room-a@contoso.example",
        "a@contoso.example",
        "sam@contoso.example",
    ] {
        assert!(words.contains(word), "{word}");
    }
}
