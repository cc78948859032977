//! The demo's manifests, before anything runs on them.

use testbed::control_plane::ControlPlane;
use testbed::crds;
use testbed::objects::{self, Kind};

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
