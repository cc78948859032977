//! The demo: its manifests, and what it leaves in a cluster that is somebody's.

use std::process::Stdio;
use std::time::Duration;

use graph_emulator::World;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::Api;
use testbed::control_plane::ControlPlane;
use testbed::crds;
use testbed::objects::{self, Kind};
use testbed::{sensitive, wait};

const DEADLINE: Duration = Duration::from_secs(30);
/// Several times longer than the whole demo takes.
const SHOWN: Duration = Duration::from_mins(5);

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
    let mut words = sensitive::secrets_of(&world);
    words.extend(sensitive::addresses_of(&world));
    for word in [
        "contoso-demo-secret",
        "room-a@contoso.example",
        "a@contoso.example",
        "sam@contoso.example",
    ] {
        assert!(words.contains(word), "{word}");
    }
}

/// The words of `kubectl get KINDS -A -o name` that say something about the demo.
async fn traces(cluster: &ControlPlane, kinds: &str) -> Vec<String> {
    let found = cluster
        .kubectl(["get", kinds, "-A", "-o", "name"])
        .await
        .unwrap();
    let text = String::from_utf8(found.stdout).unwrap();
    let ours = |line: &&str| line.contains("hybrid");
    text.lines().filter(ours).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_demo_runs_in_a_cluster_that_is_there_and_gives_it_back_as_it_was() {
    // One of its own: the demo's names are always the same.
    let cluster = ControlPlane::start().await.unwrap();
    let folder = cluster.kubectl_path().parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let showing = tokio::process::Command::new(env!("CARGO_BIN_EXE_demo"))
        .arg("--once")
        .arg("--kubeconfig")
        .arg(cluster.kubeconfig())
        .env("PATH", path)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let shown = tokio::time::timeout(SHOWN, showing).await;
    let shown = shown.expect("the demo ends").unwrap();
    let said = String::from_utf8_lossy(&shown.stdout);
    assert!(shown.status.success(), "{said}");
    assert!(said.contains("Everything is as expected"), "{said}");
    let kinds = "crd,clusterrole,clusterrolebinding";
    // The API server itself finishes with the definitions' objects first.
    wait::until("nothing is left of the demo", DEADLINE, async || {
        traces(&cluster, kinds).await.is_empty()
    })
    .await
    .unwrap();
    // No controller runs here that could finish what was begun.
    let namespaces: Api<Namespace> = Api::all(cluster.admin().await.unwrap());
    for name in ["hybrid-calendar-demo", "hybrid-calendar-demo-visitors"] {
        let namespace = namespaces.get(name).await.unwrap();
        assert!(namespace.metadata.deletion_timestamp.is_some(), "{name}");
    }
    cluster.stop();
}
