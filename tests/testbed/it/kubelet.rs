//! The played node: what becomes of pods, seen in their objects as anybody sees it.

use std::net::Ipv4Addr;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams};
use serde_json::{Value, json};
use testbed::control_plane::ControlPlane;
use testbed::kubelet::Kubelet;
use testbed::wait;
use tokio::net::TcpStream;

const DEADLINE: Duration = Duration::from_secs(30);

const WORLD: &str = "tenants: [{id: 5f1d7a9c-1111-4000-8000-000000000001, \
    domains: [{name: contoso.example, default: true}]}]";

/// A namespace that enforces `restricted`, with a node.
struct Ground {
    cluster: &'static ControlPlane,
    namespace: String,
    pods: Api<Pod>,
    node: Kubelet,
}

impl Ground {
    async fn prepare() -> Self {
        let cluster = ControlPlane::shared().await.unwrap();
        let namespace = cluster.namespace().await.unwrap();
        cluster.restrict(&namespace).await.unwrap();
        Self {
            pods: Api::namespaced(cluster.admin().await.unwrap(), &namespace),
            node: Kubelet::start(cluster, &namespace).await.unwrap(),
            cluster,
            namespace,
        }
    }

    async fn apply(&self, object: &Value) -> Result<(), testbed::error::Error> {
        let yaml = object.to_string();
        self.cluster.apply(&self.namespace, &yaml).await
    }

    async fn offer_the_world(&self) {
        let world = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "world"},
            "data": {"world.yaml": WORLD}});
        self.apply(&world).await.unwrap();
    }

    /// Waits until a pod's status is such. Returns the status.
    async fn until(&self, name: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let seen = wait::for_some(what, DEADLINE, async || {
            let pod = self.pods.get(name).await.ok()?;
            last = serde_json::to_value(pod.status).unwrap();
            holds(&last).then(|| last.clone())
        })
        .await;
        seen.unwrap_or_else(|late| panic!("{late}: {last:#}\n{}", self.node.situation()))
    }
}

/// A pod of the emulator that `restricted` allows.
fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {
            "terminationGracePeriodSeconds": 10,
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "volumes": [{"name": "world", "configMap": {"name": "world"}}],
            "containers": [{
                "name": "emulator",
                "image": "hybridcalendar/graph-emulator:any",
                "args": ["--world=/etc/world/world.yaml", "--listen=0.0.0.0:8600", "--admin=$(ADMIN)"],
                "env": [
                    {"name": "PORT", "value": "8601"},
                    {"name": "ADMIN", "value": "0.0.0.0:$(PORT)"},
                ],
                "ports": [{"name": "admin", "containerPort": 8601}],
                "volumeMounts": [{"name": "world", "mountPath": "/etc/world"}],
                "startupProbe": {"httpGet": {"path": "/readyz", "port": "admin"}, "periodSeconds": 1,
                    "failureThreshold": 300},
                "readinessProbe": {"httpGet": {"path": "/readyz", "port": "admin"}, "periodSeconds": 1},
                "resources": {
                    "requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"},
                },
                "securityContext": {
                    "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
                },
            }],
        },
    })
}

/// The same with another value at a place of its container.
fn with(name: &str, field: &str, value: Value) -> Value {
    let mut pod = pod(name);
    pod["spec"]["containers"][0][field] = value;
    pod
}

fn container(status: &Value) -> &Value {
    &status["containerStatuses"][0]
}

fn is_ready(status: &Value) -> bool {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let mut ready = conditions.filter(|c| c["type"] == "Ready" && c["status"] == "True");
    ready.next().is_some() && container(status)["ready"] == true
}

/// Where the cluster's spelling of an address is on this machine.
async fn answers(status: &Value, port: u16) -> bool {
    let ip: Ipv4Addr = status["podIP"].as_str().unwrap().parse().unwrap();
    let [_, b, c, d] = ip.octets();
    let address = (Ipv4Addr::new(127, b, c, d), 20_000 + port);
    TcpStream::connect(address).await.is_ok()
}

#[tokio::test]
async fn a_pod_runs_from_when_it_can_until_its_object_is_deleted() {
    let ground = Ground::prepare().await;
    ground.apply(&pod("emulator")).await.unwrap();
    ground
        .until("emulator", "it waits for its ConfigMap", |status| {
            container(status)["state"]["waiting"]["reason"] == "CreateContainerConfigError"
        })
        .await;
    ground.offer_the_world().await;
    let status = ground.until("emulator", "it is ready", is_ready).await;
    assert_eq!(status["phase"], "Running");
    assert!(answers(&status, 8600).await && answers(&status, 8601).await);
    let usual = DeleteParams::default();
    ground.pods.delete("emulator", &usual).await.unwrap();
    wait::until("the object is gone", DEADLINE, async || {
        matches!(ground.pods.get_opt("emulator").await, Ok(None))
    })
    .await
    .unwrap();
    assert!(!answers(&status, 8600).await);
}

#[tokio::test]
async fn a_container_that_is_not_alive_or_ends_is_started_again_with_a_pause() {
    let ground = Ground::prepare().await;
    ground.offer_the_world().await;
    let deaf = json!({"httpGet": {"path": "/nothing", "port": "admin"},
        "periodSeconds": 1, "failureThreshold": 2});
    let unwell = with("unwell", "livenessProbe", deaf);
    let broken = with("broken", "args", json!(["--nonsense"]));
    ground.apply(&unwell).await.unwrap();
    ground.apply(&broken).await.unwrap();
    let again = |status: &Value| container(status)["restartCount"].as_u64() >= Some(1);
    let unwell = ground.until("unwell", "it was started again", again).await;
    let exit = &container(&unwell)["lastState"]["terminated"]["exitCode"];
    assert_eq!(*exit, 0, "SIGTERM ends the emulator well: {unwell:#}");
    let broken = ground
        .until("broken", "it rests after it was started again", |status| {
            let reason = &container(status)["state"]["waiting"]["reason"];
            again(status) && reason == "CrashLoopBackOff"
        })
        .await;
    let exit = &container(&broken)["lastState"]["terminated"]["exitCode"];
    assert_eq!(*exit, 2, "{broken:#}");
    assert!(!is_ready(&broken));
}

#[tokio::test]
async fn what_a_node_should_not_run_is_refused_by_name() {
    let ground = Ground::prepare().await;
    let privileged = with(
        "privileged",
        "securityContext",
        json!({"allowPrivilegeEscalation": true}),
    );
    let refused = ground.apply(&privileged).await.unwrap_err().to_string();
    assert!(refused.contains("violates PodSecurity"), "{refused}");
    let greedy = with("greedy", "resources", json!({}));
    ground.apply(&greedy).await.unwrap();
    let status = ground
        .until("greedy", "it failed", |status| status["phase"] == "Failed")
        .await;
    assert_eq!(status["reason"], "UnexpectedAdmissionError");
    let message = status["message"].as_str().unwrap();
    assert!(message.contains("resources.limits.memory"), "{message}");
    let strange = with("strange", "image", json!("elsewhere/other:1"));
    ground.apply(&strange).await.unwrap();
    ground
        .until("strange", "it has no image", |status| {
            container(status)["state"]["waiting"]["reason"] == "ErrImagePull"
        })
        .await;
}
