//! A cluster to install something in: a namespace that enforces `restricted`, a node, Microsoft, and the receiver's Service.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use graph_emulator::Emulator;
use kube::Client;
use serde_json::{Value, json};
use testbed::cluster::Cluster;
use testbed::control_plane::ControlPlane;
use testbed::crds;
use testbed::error::Error;
use testbed::helm::Release;
use testbed::kubelet::Kubelet;
use testbed::objects::{self, Expected, Kind};
use testbed::service::ServicePort;
use testbed::testbed::start_emulator;
use testbed::wait;
use tokio::task::JoinHandle;

use crate::behaviour::scene::{DEADLINE, contoso, world};
use crate::merge_patch::merged;

/// The name of release, Deployment, Service and the rest, unless there are others in the same cluster.
pub(super) const NAME: &str = "hybrid-calendar-operator";

/// How long helm waits for what works.
pub(super) const PATIENT: [&str; 2] = ["--wait", "--timeout=60s"];

pub(super) struct Ground {
    pub(super) cluster: Cluster,
    pub(super) client: Client,
    pub(super) namespace: String,
    /// Of everything that is installed.
    pub(super) name: String,
    pub(super) emulator: Emulator,
    pub(super) node: Kubelet,
    pub(super) service: ServicePort,
    pub(super) release: Release,
}

impl Ground {
    /// Everything but the release, in a cluster of its own.
    pub(super) async fn alone(control_plane: &ControlPlane) -> Self {
        let namespace = control_plane.namespace().await.unwrap();
        Self::prepare(control_plane, namespace, NAME).await
    }

    /// The same in the cluster of the other tests, where names for the whole cluster must not meet.
    pub(super) async fn among_others() -> Self {
        let control_plane = ControlPlane::shared().await.unwrap();
        crds::install(control_plane).await.unwrap();
        let namespace = control_plane.namespace().await.unwrap();
        let name = namespace.clone();
        Self::prepare(control_plane, namespace, &name).await
    }

    async fn prepare(control_plane: &ControlPlane, namespace: String, name: &str) -> Self {
        control_plane.controllers().await.unwrap();
        let cluster = Cluster::clone(control_plane);
        cluster.restrict(&namespace).await.unwrap();
        Self {
            client: cluster.admin().await.unwrap(),
            emulator: start_emulator(world(&contoso())).await.unwrap(),
            node: Kubelet::start(&cluster, &namespace).await.unwrap(),
            service: ServicePort::start(&cluster, &namespace, name, "receiver").unwrap(),
            release: Release::new(&cluster, &namespace, name),
            name: name.to_owned(),
            cluster,
            namespace,
        }
    }

    /// Values with which the operator works here, sixty times faster than in earnest.
    pub(super) fn values(&self) -> Value {
        let values = json!({
            "notificationUrl": self.service.url(),
            "allowedEndpoints": [self.emulator.base_url()],
            "extraArgs": ["--rehearsal-pace=60"],
        });
        if self.name == NAME {
            return values;
        }
        // What is there once in a cluster belongs to nobody here.
        let shared = json!({
            "fullnameOverride": self.name,
            "watchNamespaces": [self.namespace],
            "crds": {"enabled": false},
            "admissionPolicies": {"credentialUse": false, "unwatchedNamespaces": false},
            "rbac": {"aggregateToDefaultRoles": false},
        });
        merged(values, shared)
    }

    /// Applies objects in the namespace; `${EMULATOR}` becomes the emulator's address.
    pub(super) async fn apply(&self, objects: &[Value]) {
        let documents: Vec<String> = objects.iter().map(Value::to_string).collect();
        let yaml = documents.join("\n---\n");
        let yaml = yaml.replace("${EMULATOR}", &self.emulator.base_url());
        testbed::sensitive::remember_manifests(&yaml).unwrap();
        self.cluster.apply(&self.namespace, &yaml).await.unwrap();
    }

    /// Waits for a condition, written `Ready=False/MailboxNotFound`. Returns the object that has it.
    pub(super) async fn is(&self, kind: Kind, name: &str, expected: &str) -> Value {
        let expected = Expected::parse(expected).unwrap();
        let what = format!("{name} has {expected}");
        let found = wait::for_some(&what, DEADLINE, async || {
            let object = self.get(kind, name).await.ok()?;
            expected.holds(&object).then_some(object)
        });
        self.or_explain(found.await).await
    }

    pub(super) async fn get(&self, kind: Kind, name: &str) -> Result<Value, Error> {
        objects::get(&self.client, kind, &self.namespace, name).await
    }

    /// Fails the test with everything that helps to see why.
    pub(super) async fn or_explain<T>(&self, result: Result<T, Error>) -> T {
        match result {
            Ok(value) => value,
            Err(error) => {
                let shown = self.kubectl(&["get", "all,events", "-o", "wide"]).await;
                panic!("{error}\n{shown}\n{}", self.node.situation());
            }
        }
    }

    /// What kubectl says about the namespace.
    pub(super) async fn kubectl(&self, words: &[&str]) -> String {
        let within = ["--namespace", &self.namespace];
        let output = self.cluster.kubectl([words, &within].concat()).await;
        let output = output.unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {words:?}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// Greets the receiver as Graph does, over and over and each time by a connection of its own, to see whether it rests.
pub(super) struct Greeter {
    over: Arc<AtomicBool>,
    task: JoinHandle<(u32, Vec<String>)>,
}

impl Greeter {
    /// At the notification URL of a subscription.
    pub(super) fn start(url: &str) -> Self {
        let client = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            // Graph gives up after ten; an answer takes milliseconds.
            .timeout(Duration::from_secs(3))
            .build()
            .unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&over);
        let url = url.to_owned();
        let task = tokio::spawn(async move {
            let (mut greeted, mut missed) = (0, Vec::new());
            while !seen.load(Ordering::Relaxed) {
                let token = format!("handshake {greeted}");
                match greet(&client, &url, &token).await {
                    Ok(answer) if answer == token => greeted += 1,
                    Ok(answer) => missed.push(answer),
                    Err(error) => missed.push(format!("{error:?}")),
                }
                wait::pause(Duration::from_millis(10)).await;
            }
            (greeted, missed)
        });
        Self { over, task }
    }

    /// Every single greeting was answered.
    pub(super) async fn was_never_missed(self) {
        self.over.store(true, Ordering::Relaxed);
        let (greeted, missed) = self.task.await.unwrap();
        assert_eq!(missed, Vec::<String>::new(), "beside {greeted} answers");
        assert!(greeted > 10, "only {greeted} greetings");
    }
}

async fn greet(client: &reqwest::Client, url: &str, token: &str) -> reqwest::Result<String> {
    let mut url = reqwest::Url::parse(url).expect("a URL");
    url.query_pairs_mut().append_pair("validationToken", token);
    let answer = client.post(url).send().await?.error_for_status()?;
    answer.text().await
}
