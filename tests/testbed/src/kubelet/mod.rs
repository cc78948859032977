//! A node that is played: scheduler and kubelet for pods of our own images, so that what a chart installs really runs.
//!
//! It binds pods to a Node object, starts the real program with the pod's arguments, environment, volumes and
//! ServiceAccount token, makes its probes, reports its status, starts it again when it ends, and ends it when its object
//! is deleted: hook, SIGTERM, grace period, SIGKILL. Needs neither root nor namespaces of the kernel, and nothing of it
//! outlives the program that started it.
//!
//! What is different from a real node, on purpose:
//! - Containers are not isolated: no image is pulled, no limit is enforced, the file system is this machine's. The tag of
//!   an image does not matter; an image that is not ours cannot be pulled. `restricted` Pod Security is left to the API
//!   server; a pod without resources is refused (see `rules`).
//! - A pod has an address of 127.0.0.0/8 and is told to listen there instead of on all addresses; ports below 10000 are
//!   moved by 20000 (see `address` and `image`).
//! - Mounted folders are elsewhere: their paths are replaced in arguments and environment. The client's way to the API
//!   server is a kubeconfig file with the pod's token instead of files at a fixed path.
//! - Pods reach Services by their names through a proxy, and only if they are given one (see `network`).
//! - Volumes and tokens are written once. One container a pod, no init containers, no resourceFieldRef, no gRPC probes,
//!   no Events.
//! - Periods of probes, restart back-off and `sleep` hooks are divided by a pace.

mod address;
mod check;
mod environment;
mod expand;
mod ground;
mod image;
mod pod;
mod probe;
mod rules;
mod sandbox;
mod status;
mod volumes;

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::api::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt};
use serde_json::json;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinSet, LocalSet};

use crate::cluster::Cluster;
use crate::error::Error;
use crate::guard::Scratch;
use crate::network::Network;
use crate::operator::logs::Logs;
use crate::programs;
use crate::worker::Worker;

use ground::Ground;

pub(crate) use address::on_machine;
pub(crate) use sandbox::Sandbox;

/// How many times faster than in earnest the node waits.
const PACE: u32 = 10;

/// The ConfigMap in which pods find the certificate of the API server; a controller of whole clusters publishes it.
const ROOT_CA: &str = "kube-root-ca.crt";

/// A node for the pods of one namespace. Ends when it is dropped, with all its processes.
#[derive(Debug)]
pub struct Kubelet {
    node: Arc<Notes>,
    _worker: Worker,
}

/// What is known about a node from outside.
#[derive(Debug, Default)]
struct Notes {
    logs: Mutex<BTreeMap<String, Logs>>,
    problems: Mutex<Vec<String>>,
}

/// Which node it is.
struct Place {
    name: String,
    namespace: String,
    /// By which its pods reach Services, if they do.
    proxy: Option<String>,
}

/// The node as its pods see it.
struct Node {
    place: Place,
    client: Client,
    server: String,
    pace: u32,
    scratch: Scratch,
    notes: Arc<Notes>,
}

impl Kubelet {
    /// Starts a node for the pods of a namespace that are not bound yet or bound to it.
    pub async fn start(cluster: &Cluster, namespace: &str) -> Result<Self, Error> {
        furnish_namespace(cluster, namespace).await?;
        Self::start_at(cluster, namespace, None).await
    }

    /// The same in a cluster whose controllers furnish namespaces: this one need not be there yet. Pods reach Services by
    /// their names.
    pub async fn in_network(
        cluster: &Cluster,
        namespace: &str,
        network: &Network,
    ) -> Result<Self, Error> {
        Self::start_at(cluster, namespace, Some(network.url())).await
    }

    async fn start_at(
        cluster: &Cluster,
        namespace: &str,
        proxy: Option<String>,
    ) -> Result<Self, Error> {
        let name = format!("node-{namespace}");
        let object = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
        cluster.apply(namespace, &object.to_string()).await?;
        let notes = Arc::new(Notes::default());
        let cluster = cluster.clone();
        let place = Place {
            name: name.clone(),
            namespace: namespace.to_owned(),
            proxy,
        };
        let known = Arc::clone(&notes);
        let worker = Worker::start(&name, move |runtime, stopped| {
            match runtime.block_on(Node::build(&cluster, place, Arc::clone(&known))) {
                Ok(node) => LocalSet::new().block_on(runtime, node.work(stopped)),
                Err(error) => known.note(&error.to_string()),
            }
        })?;
        Ok(Self {
            node: notes,
            _worker: worker,
        })
    }

    /// Every line that a pod wrote.
    #[must_use]
    pub fn logs(&self, pod: &str) -> Vec<String> {
        self.node.logs_of(pod)
    }

    /// What helps to see why something does not run.
    #[must_use]
    pub fn situation(&self) -> String {
        let mut lines = self.node.problems();
        let logs = self.node.logs.lock();
        for (pod, logs) in logs.unwrap_or_else(PoisonError::into_inner).iter() {
            lines.push(format!("The last lines of {pod}:\n{}", logs.tail(20)));
        }
        lines.join("\n")
    }
}

impl Notes {
    fn logs_of(&self, pod: &str) -> Vec<String> {
        let logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        logs.get(pod).map(Logs::lines).unwrap_or_default()
    }

    fn begin(&self, pod: &str, begun: Logs) {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        logs.insert(pod.to_owned(), begun);
    }

    fn note(&self, problem: &str) {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        problems.push(problem.to_owned());
    }

    fn problems(&self) -> Vec<String> {
        let problems = self.problems.lock();
        problems.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Node {
    async fn build(cluster: &Cluster, place: Place, notes: Arc<Notes>) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(Self {
            place,
            client: cluster.admin().await?,
            server: cluster.server()?,
            pace: PACE,
            scratch: Scratch::new()?,
            notes,
        }))
    }

    /// Gives each pod a task, until somebody asks for the end. Tasks that end then take their processes along.
    async fn work(self: Arc<Self>, mut stopped: oneshot::Receiver<()>) {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.place.namespace);
        let mut events = pin!(watcher(pods, watcher::Config::default()).default_backoff());
        let mut lives = JoinSet::new();
        let mut known: HashMap<String, watch::Sender<Pod>> = HashMap::new();
        loop {
            let event = tokio::select! {
                _ = &mut stopped => return,
                event = events.next() => event,
            };
            match event {
                Some(Ok(Event::Apply(pod) | Event::InitApply(pod))) => {
                    self.see(pod, &mut known, &mut lives);
                }
                Some(Ok(Event::Delete(pod))) => {
                    known.remove(&pod.uid().unwrap_or_default());
                }
                Some(Ok(Event::Init | Event::InitDone)) => {}
                Some(Err(error)) => self.note(&format!("the watch of pods: {error}")),
                None => return,
            }
        }
    }

    fn see(
        self: &Arc<Self>,
        pod: Pod,
        known: &mut HashMap<String, watch::Sender<Pod>>,
        lives: &mut JoinSet<()>,
    ) {
        let uid = pod.uid().unwrap_or_default();
        if let Some(life) = known.get(&uid) {
            // Nobody listens any more when it has ended.
            let _ = life.send(pod);
            return;
        }
        let bound = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        if bound.is_some_and(|name| name != self.place.name) {
            return;
        }
        let (sender, pods) = watch::channel(pod);
        known.insert(uid, sender);
        let node = Arc::clone(self);
        lives.spawn_local(async move {
            if let Err(error) = Box::pin(pod::live(Arc::clone(&node), pods)).await {
                node.note(&error.to_string());
            }
        });
    }

    fn folder(&self, pod: &Pod) -> PathBuf {
        self.scratch.path().join(pod.uid().unwrap_or_default())
    }

    /// The logs of a pod, which an archive takes if it is an operator's.
    fn begin_logs(&self, pod: &str, container: &Container) -> Logs {
        let image = image::named(container.image.as_deref().unwrap_or_default());
        let logs = match image.map(|image| image.program) {
            Some(programs::OPERATOR) => Logs::default(),
            Some(_) | None => Logs::in_memory(),
        };
        self.notes.begin(pod, logs.clone());
        logs
    }

    fn note(&self, problem: &str) {
        self.notes.note(problem);
    }
}

/// What every namespace of a whole cluster has, made by controllers that do not run here.
pub(crate) async fn furnish_namespace(cluster: &Cluster, namespace: &str) -> Result<(), Error> {
    let documents = [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": ROOT_CA},
            "data": {"ca.crt": cluster.certificate()?}}),
    ];
    let yaml = documents
        .map(|document| document.to_string())
        .join("\n---\n");
    cluster.apply(namespace, &yaml).await
}

/// A pod's container, for somebody who plays its node otherwise. `folder` takes what it mounts.
pub(crate) async fn container(
    cluster: &Cluster,
    pod: Pod,
    address: Ipv4Addr,
    folder: &Path,
) -> Result<Sandbox, Error> {
    let spec = pod.spec.as_ref();
    if let Some(why) = spec.and_then(rules::refusal) {
        return Err(ground::missing(&pod.name_any(), &why));
    }
    let container = spec.and_then(|spec| spec.containers.first()).cloned();
    let ground = Ground {
        client: cluster.admin().await?,
        server: cluster.server()?,
        proxy: None,
        pod_ip: address,
        address,
        pod,
    };
    Sandbox::furnish(&ground, &container.unwrap_or_default(), folder).await
}
