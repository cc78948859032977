//! Being the leader: queue and passes, from the moment the lease is held until it is not.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use thiserror::Error;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::events::Publisher;
use super::mirror::{Mirror, ask_versions};
use super::status::StatusWriter;
use super::world::{Context, Inner, World};
use super::{dispatch, set_clock};
use crate::clock::{Clock, sleep};
use crate::config::Scope;
use crate::domain::endpoints::AllowedEndpoints;
use crate::domain::identity::{Identity, NotificationUrls};
use crate::domain::mailbox::subscription::kept;
use crate::domain::queue::Limits;
use crate::domain::schedule::Pace;
use crate::graph::gateway::{Fence, Gateway};
use crate::ids::{InstanceId, KeyId};
use crate::metrics::Metrics;
use crate::notification::wake::WakeQueue;

/// How often it is told which keys subscriptions still need.
const KEYS_INTERVAL: Duration = Duration::from_mins(15);

/// Of what is in flight, the share that one tenant may have at most.
const TENANT_SHARE: usize = 4;

/// More of one tenant's mailboxes at once would only wait for each other: two rows, so that one asks while the other
/// writes.
const TENANT_LIMIT: usize = 2 * ROW;

/// So many mailboxes of a tenant are looked at together: as many as one batch of reads holds.
pub(super) const ROW: usize = 20;

/// How this process works while it leads.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Divides waits in a rehearsal.
    pub pace: Pace,
    /// Which namespaces are looked at.
    pub scope: Scope,
    /// To which hosts credentials may be sent.
    pub allowed_endpoints: AllowedEndpoints,
    /// An installation whose subscriptions count as our own strays.
    pub take_over_from: Option<InstanceId>,
    /// How many passes run at once.
    pub concurrency: usize,
    /// The URLs that subscriptions name.
    pub urls: NotificationUrls,
    /// Whether notifications can arrive.
    pub listening: watch::Receiver<bool>,
    /// Since when this process leads.
    pub leading_since: Timestamp,
    /// Slots up to here were served by whoever led before.
    pub served_until: Timestamp,
    /// Name of this process in Events.
    pub name: Option<String>,
}

impl Settings {
    pub(super) fn limits(&self) -> Limits {
        let share = self.concurrency.div_ceil(TENANT_SHARE);
        let per_tenant = share.clamp(1, TENANT_LIMIT);
        Limits {
            total: self.concurrency,
            per_tenant,
            row: per_tenant.div_ceil(2).min(ROW),
        }
    }

    pub(super) fn listening(&self) -> bool {
        *self.listening.borrow()
    }

    pub(super) fn namespaces(&self) -> Vec<String> {
        match &self.scope {
            Scope::All => Vec::new(),
            Scope::Namespaces(names) => names.iter().map(ToString::to_string).collect(),
        }
    }
}

/// Ways to everything that is not the controllers' own.
#[derive(Clone)]
pub struct Surroundings {
    /// Time.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Metrics,
    /// The cluster.
    pub client: Client,
    /// Microsoft.
    pub gateway: Gateway,
    /// Whether this copy still leads, asked right before a write.
    pub fence: Arc<dyn Fence>,
    /// Who we are, and our keys.
    pub identity: watch::Receiver<Option<Arc<Identity>>>,
    /// Told which keys subscriptions need.
    pub used_keys: watch::Sender<BTreeSet<KeyId>>,
    /// Lifecycle events.
    pub wakes: WakeQueue,
    /// What follows the cluster's objects.
    pub mirror: Mirror,
}

impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings").finish_non_exhaustive()
    }
}

/// Why leading ended before anybody asked for it. What is left of the work would stand still, so that it has to end
/// with the rest of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Broken {
    /// A mistake of ours, which the log shows.
    #[error("a task of the controllers panicked")]
    Panicked,
    /// What feeds it is gone.
    #[error("a task of the controllers ended by itself")]
    Ended,
}

/// Works until `stop`, with what the mirror knows; something must drive [`Mirror::follow`] meanwhile. Dropping the future
/// abandons everything at once, as losing the lease demands.
///
/// # Errors
/// One of the tasks that feed the work is gone.
pub async fn lead(
    settings: Settings,
    around: Surroundings,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Broken> {
    let clock_set = around.clock.set_by();
    let context = context(settings, &around);
    let mut tasks = JoinSet::new();
    tasks.spawn(set_clock::follow(context.clone(), clock_set));
    around.mirror.begin_term();
    let mut complete = around.mirror.complete();
    tokio::select! {
        _ = complete.wait_for(|complete| *complete) => {}
        _ = stop.wait_for(|stop| *stop) => return Ok(()),
        broken = broken(&mut tasks) => return Err(broken),
    }
    let lent = around.mirror.lend(&context);
    tasks.spawn(ask_versions(around.mirror.clone()));
    // Known before the first pass, so that its status need not say that a subscription is about to be created.
    note_identity(&context, around.identity.borrow().clone());
    tasks.spawn(follow_identity(context.clone(), around.identity.clone()));
    let wakes = (around.wakes.clone(), stop.clone());
    tasks.spawn(follow_wakes(context.clone(), wakes));
    tasks.spawn(follow_receiver(context.clone()));
    tasks.spawn(tell_used_keys(context.clone(), around.used_keys.clone()));
    tracing::info!(
        mailboxes = context.world().store.mailboxes().count(),
        "the cluster's objects are known; work begins"
    );
    let mut stopping = stop.clone();
    let outcome = tokio::select! {
        () = dispatch::run(&context, stop) => Ok(()),
        broken = broken_before(&mut stopping, &mut tasks) => Err(broken),
    };
    drop(lent);
    outcome
}

/// What feeds the work may end before the passes do that run when a stop is requested.
async fn broken_before(stop: &mut watch::Receiver<bool>, tasks: &mut JoinSet<()>) -> Broken {
    let stopped = async {
        // Whoever could ask for it being gone is the end as well.
        let _ = stop.wait_for(|stop| *stop).await;
    };
    tokio::select! {
        biased;
        () = stopped => std::future::pending().await,
        broken = broken(tasks) => broken,
    }
}

/// None of these tasks ends before it is dropped.
pub(super) async fn broken(tasks: &mut JoinSet<()>) -> Broken {
    match tasks.join_next().await {
        Some(Err(error)) if error.is_panic() => Broken::Panicked,
        Some(Ok(()) | Err(_)) | None => Broken::Ended,
    }
}

pub(super) fn context(settings: Settings, around: &Surroundings) -> Context {
    let now = around.clock.now();
    let world = World::new(&settings, now);
    Context(Arc::new(Inner {
        clock: around.clock.clone(),
        metrics: around.metrics.clone(),
        client: around.client.clone(),
        statuses: StatusWriter::new(around.client.clone(), Arc::clone(&around.fence)),
        gateway: around.gateway.clone(),
        publisher: Publisher::new(around.client.clone(), settings.name.clone()),
        mirror: around.mirror.clone(),
        world: Mutex::new(world),
        changed: Notify::new(),
        give_up: CancellationToken::new(),
        settings,
    }))
}

/// Keys that were loaded or changed decide which subscriptions are replaced.
async fn follow_identity(context: Context, mut held: watch::Receiver<Option<Arc<Identity>>>) {
    while held.changed().await.is_ok() {
        let identity = held.borrow_and_update().clone();
        note_identity(&context, identity);
    }
}

fn note_identity(context: &Context, identity: Option<Arc<Identity>>) {
    let now = context.clock.now();
    let mut world = context.world();
    if let Some(identity) = identity {
        world.identify(identity, &context.settings.urls, now);
    }
    world.refresh_all(context, now);
    drop(world);
    context.changed.notify_one();
}

/// From the moment when this copy is asked to end, wakes are left to the copy that leads then.
async fn follow_wakes(context: Context, (wakes, mut stop): (WakeQueue, watch::Receiver<bool>)) {
    loop {
        let wake = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            wake = wakes.next() => wake,
        };
        context.notified(&wake);
        context.changed.notify_one();
    }
    std::future::pending::<()>().await;
}

async fn follow_receiver(context: Context) {
    let mut listening = context.settings.listening.clone();
    while listening.changed().await.is_ok() {
        let now = context.clock.now();
        context.world().refresh_all(&context, now);
        context.changed.notify_one();
    }
}

async fn tell_used_keys(context: Context, used_keys: watch::Sender<BTreeSet<KeyId>>) {
    loop {
        sleep(context.settings.pace.of(KEYS_INTERVAL)).await;
        let used: BTreeSet<KeyId> = {
            let world = context.world();
            let all = world.store.mailboxes().flat_map(|entry| {
                let named = entry.record.status.subscription.as_ref();
                [named, kept(&entry.record, &entry.memory)]
            });
            all.flatten()
                .map(|subscription| subscription.key_id)
                .collect()
        };
        used_keys.send_replace(used);
    }
}

#[cfg(test)]
mod tests {
    use super::super::stage::Stage;
    use super::*;

    /// Far more than it takes, on a clock that does not pass.
    const DEADLINE: Duration = Duration::from_mins(10);

    #[tokio::test(start_paused = true)]
    async fn work_ends_when_what_feeds_it_is_gone() {
        for missing in ["keys", "receiver"] {
            let mut stage = Stage::new();
            match missing {
                "keys" => stage.identity = None,
                _ => stage.listening = None,
            }
            let (_stop, stopped) = watch::channel(false);
            let leading = lead(stage.settings.clone(), stage.around.clone(), stopped);
            let ended = tokio::time::timeout(DEADLINE, stage.following(leading)).await;
            assert_eq!(ended, Ok(Err(Broken::Ended)), "{missing}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_in_a_task_is_told() {
        let mut tasks = JoinSet::new();
        tasks.spawn(async { panic!("a mistake") });
        assert_eq!(broken(&mut tasks).await, Broken::Panicked);
    }

    #[tokio::test(start_paused = true)]
    async fn work_ends_when_it_is_asked_to() {
        let stage = Stage::new();
        let (stop, stopped) = watch::channel(false);
        let leading = lead(stage.settings.clone(), stage.around.clone(), stopped);
        let stopping = async {
            sleep(Duration::from_secs(5)).await;
            stop.send_replace(true);
        };
        let (ended, ()) = tokio::join!(stage.following(leading), stopping);
        assert_eq!(ended, Ok(()));
    }
}
