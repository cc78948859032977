//! The life of one pod: bound, furnished, started as often as needed, and ended when its object is deleted.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Binding, Container, ObjectReference, Pod, PodSpec};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::address::PodAddress;
use super::check::Target;
use super::ground::Ground;
use super::probe::{Effect, Health, Role};
use super::sandbox::Sandbox;
use super::status::{Exit, Seen, State, Writer};
use super::{Node, rules};
use crate::error::{Attempt, Error};
use crate::guard::Guarded;
use crate::operator::logs::Logs;
use crate::wait;

/// How often a pod is looked after.
const TICK: Duration = Duration::from_millis(50);
/// How long to wait for what a pod refers to, before the next look.
const MISSING: Duration = Duration::from_millis(250);
/// Before a container that ended is started again: doubled each time, as the kubelet does.
const FIRST_BACKOFF: Duration = Duration::from_secs(10);
const LAST_BACKOFF: Duration = Duration::from_mins(5);
/// A container that ran for so long begins with the first wait again.
const FORGIVEN: Duration = Duration::from_mins(10);

/// Plays a pod until it is gone.
pub(super) async fn live(node: Arc<Node>, pods: watch::Receiver<Pod>) -> Result<(), Error> {
    let pod = pods.borrow().clone();
    let spec = pod.spec.clone().unwrap_or_default();
    if spec.node_name.is_none() {
        bind(&node, &pod).await?;
    }
    let address = PodAddress::take()?;
    let container = spec.containers.first().cloned().unwrap_or_default();
    let logs = node.begin_logs(&pod.name_any(), &container);
    let folder = node.folder(&pod);
    let mut life = Life {
        container,
        ground: Ground {
            client: node.client.clone(),
            server: node.server.clone(),
            proxy: node.place.proxy.clone(),
            pod_ip: address.in_cluster(),
            address: address.on_machine(),
            pod,
        },
        folder,
        writer: Writer::new(now()),
        seen: Seen::new(),
        _address: address,
        spec,
        node,
        pods,
        logs,
    };
    life.play().await
}

async fn bind(node: &Node, pod: &Pod) -> Result<(), Error> {
    let (name, namespace) = (pod.name_any(), pod.namespace().unwrap_or_default());
    let mut binding = Binding::default();
    binding.metadata.name = Some(name.clone());
    binding.target = ObjectReference {
        kind: Some("Node".to_owned()),
        name: Some(node.place.name.clone()),
        ..ObjectReference::default()
    };
    let pods: Api<Pod> = Api::namespaced(node.client.clone(), &namespace);
    let _: Value = pods
        .create_subresource("binding", &name, &PostParams::default(), &binding)
        .await
        .attempt(format!("bind the pod {name}"))?;
    Ok(())
}

struct Life {
    node: Arc<Node>,
    pods: watch::Receiver<Pod>,
    spec: PodSpec,
    container: Container,
    ground: Ground,
    folder: PathBuf,
    logs: Logs,
    seen: Seen,
    writer: Writer,
    _address: PodAddress,
}

/// A container on its way out: SIGTERM after the hook, SIGKILL after the grace period.
struct Stopping {
    terminate_at: Instant,
    kill_at: Instant,
    terminated: bool,
}

impl Life {
    async fn play(&mut self) -> Result<(), Error> {
        if let Some(why) = rules::refusal(&self.spec) {
            self.seen.phase = "Failed";
            self.seen.problem = Some(("UnexpectedAdmissionError", why));
            return self.rest().await;
        }
        match self.furnished().await {
            Some(sandbox) => self.run(&sandbox).await,
            None => self.leave().await,
        }
    }

    /// Waits for everything that the pod refers to; nothing when the pod is deleted before.
    async fn furnished(&mut self) -> Option<Sandbox> {
        while !self.is_deleted() {
            let furnished = Sandbox::furnish(&self.ground, &self.container, &self.folder).await;
            let message = match furnished {
                Ok(sandbox) => return Some(sandbox),
                Err(error) => error.to_string(),
            };
            let reason = if message.contains("cannot be pulled") {
                "ErrImagePull"
            } else {
                "CreateContainerConfigError"
            };
            self.seen.state = State::Waiting { reason, message };
            self.report().await;
            wait::pause(MISSING).await;
        }
        None
    }

    /// Starts the container again and again, as far as the restart policy wants that.
    async fn run(&mut self, sandbox: &Sandbox) -> Result<(), Error> {
        let mut backoff = FIRST_BACKOFF;
        loop {
            let begin = Instant::now();
            self.run_once(sandbox).await?;
            let (State::Terminated { exit, .. }, false) = (&self.seen.state, self.is_deleted())
            else {
                return self.leave().await;
            };
            let policy = self.spec.restart_policy.as_deref().unwrap_or("Always");
            if policy == "Never" || (policy == "OnFailure" && exit.0 == 0) {
                self.seen.phase = if exit.0 == 0 { "Succeeded" } else { "Failed" };
                return self.rest().await;
            }
            if begin.elapsed() * self.node.pace > FORGIVEN {
                backoff = FIRST_BACKOFF;
            }
            self.back_off(backoff / self.node.pace).await;
            backoff = LAST_BACKOFF.min(backoff * 2);
            self.seen.restarts += 1;
        }
    }

    async fn back_off(&mut self, duration: Duration) {
        let over = Instant::now() + duration;
        let message = format!(
            "back-off {} s restarting failed container",
            duration.as_secs()
        );
        self.seen.last = Some(self.seen.state.clone());
        self.seen.state = State::Waiting {
            reason: "CrashLoopBackOff",
            message,
        };
        while Instant::now() < over && !self.is_deleted() {
            self.report().await;
            wait::pause(TICK).await;
        }
    }

    /// One start of the container, until its process is gone.
    async fn run_once(&mut self, sandbox: &Sandbox) -> Result<(), Error> {
        let name = self.ground.pod.name_any();
        let mut process = Guarded::spawn(&name, sandbox.command())?;
        self.logs.follow_child(process.child())?;
        let (begin, since) = (Instant::now(), now());
        let mut health = Health::new(&self.container, self.node.pace);
        let mut stopping: Option<Stopping> = None;
        let mut told = false;
        self.seen.phase = "Running";
        self.seen.state = State::Running { since };
        loop {
            if let Some(status) = process.ended()? {
                let exit = Exit::from(status);
                self.seen.state = State::Terminated {
                    exit,
                    since,
                    at: now(),
                };
                (self.seen.ready, self.seen.started) = (false, false);
                self.report().await;
                return Ok(());
            }
            let unwell = self.probed(&mut health, sandbox, begin).await == Effect::Restart;
            let deleted = self.is_deleted() && !told;
            if deleted || (unwell && stopping.is_none()) {
                told |= deleted;
                stopping = Some(self.begin_to_stop(sandbox).await);
            }
            (self.seen.ready, self.seen.started) = (health.ready(), health.started());
            self.report().await;
            if let Some(stopping) = &mut stopping {
                stopping.drive(&mut process)?;
            }
            wait::pause(TICK).await;
        }
    }

    /// Makes the probes that are due. Liveness counts for nothing once the pod is deleted.
    async fn probed(&self, health: &mut Health, sandbox: &Sandbox, begin: Instant) -> Effect {
        let target = self.target(sandbox);
        let mut effect = Effect::None;
        for (role, probe) in health.due(begin.elapsed()) {
            if self.is_deleted() && role != Role::Readiness {
                continue;
            }
            let passes = target.passes(&probe).await;
            match health.observe(role, passes, begin.elapsed()) {
                Effect::Restart => effect = Effect::Restart,
                Effect::None | Effect::Look => {}
            }
        }
        effect
    }

    fn target<'a>(&'a self, sandbox: &'a Sandbox) -> Target<'a> {
        Target {
            container: &self.container,
            sandbox,
            address: self.ground.address,
        }
    }

    /// The hook before the end counts against the grace period.
    async fn begin_to_stop(&self, sandbox: &Sandbox) -> Stopping {
        let grace = self.grace();
        let begin = Instant::now();
        let hook = self.container.lifecycle.as_ref();
        let hook = hook.and_then(|hooks| hooks.pre_stop.as_ref());
        let target = self.target(sandbox);
        let mut pause = Duration::ZERO;
        if let Some(sleep) = hook.and_then(|hook| hook.sleep.as_ref()) {
            pause = Duration::from_secs(sleep.seconds.unsigned_abs()) / self.node.pace;
        }
        // A hook that fails ends like any other.
        if let Some(get) = hook.and_then(|hook| hook.http_get.as_ref()) {
            let _ = target.get(get, grace).await;
        }
        if let Some(call) = hook.and_then(|hook| hook.exec.as_ref()) {
            let _ = target.call(call, grace).await;
        }
        Stopping {
            terminate_at: Instant::now() + pause,
            kill_at: begin + grace,
            terminated: false,
        }
    }

    fn grace(&self) -> Duration {
        let pod = self.pods.borrow();
        let own = self.spec.termination_grace_period_seconds;
        let seconds = pod.metadata.deletion_grace_period_seconds.or(own);
        // Whose object is gone has no grace left.
        match self.pods.has_changed() {
            Ok(_) => Duration::from_secs(seconds.unwrap_or(30).unsigned_abs()),
            Err(_) => Duration::ZERO,
        }
    }

    fn is_deleted(&self) -> bool {
        let asked = self.pods.borrow().metadata.deletion_timestamp.is_some();
        asked || self.pods.has_changed().is_err()
    }

    /// Nothing runs and nothing will: waits for the deletion.
    async fn rest(&mut self) -> Result<(), Error> {
        while !self.is_deleted() {
            self.report().await;
            wait::pause(MISSING).await;
        }
        self.leave().await
    }

    /// Writes the status if it differs. What the API server does not take now is tried again with the next tick.
    async fn report(&mut self) {
        let ip = self.ground.pod_ip;
        let status = self.writer.status(&self.seen, (&self.container, ip), now());
        let Some(status) = status else { return };
        let patch = Patch::Merge(json!({"status": status}));
        let name = self.ground.pod.name_any();
        let parameters = PatchParams::default();
        match self
            .pods_api()
            .patch_status(&name, &parameters, &patch)
            .await
        {
            Ok(_) => self.writer.taken(self.seen.clone()),
            // An object that is gone has no status.
            Err(_) if self.is_deleted() => self.writer.taken(self.seen.clone()),
            Err(error) => self
                .node
                .note(&format!("cannot write the status of {name}: {error}")),
        }
    }

    /// Removes the object, as only the kubelet may.
    async fn leave(&mut self) -> Result<(), Error> {
        let name = self.ground.pod.name_any();
        let now = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(Preconditions {
                uid: self.ground.pod.uid(),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        match self.pods_api().delete(&name, &now).await {
            Ok(_) => Ok(()),
            // Somebody removed it by force.
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
            Err(error) => Err(error).attempt(format!("remove the pod {name}")),
        }
    }

    fn pods_api(&self) -> Api<Pod> {
        Api::namespaced(self.node.client.clone(), &self.ground.namespace())
    }
}

impl Stopping {
    fn drive(&mut self, process: &mut Guarded) -> Result<(), Error> {
        let now = Instant::now();
        if now >= self.kill_at {
            process.kill();
        } else if now >= self.terminate_at && !self.terminated {
            self.terminated = true;
            process.signal(Signal::TERM)?;
        }
        Ok(())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a status says when things happened"
)]
fn now() -> Timestamp {
    Timestamp::now()
}
