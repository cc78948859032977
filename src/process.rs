//! One copy of the operator between its ports and its ways to others: what the program runs one of, and the simulation
//! many.
//!
//! [`Inside`] is what the ports serve. It needs nobody else and is there first, so that no notification is lost while a
//! copy starts. [`Process`] works, and reaches others by its [`Edges`] only. Dropping it ends what it does, as a crash
//! would; [`Process::finish`] ends it in order.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use kube::Client;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::admin::Readiness;
use crate::carrier::Carrier;
use crate::clock::{Clock, sleep};
use crate::config::{self, Config, Election, MetricsDetail};
use crate::controller::collector::WorldCollector;
use crate::controller::labels::Labels;
use crate::controller::lead::Surroundings;
use crate::controller::mirror::Mirror;
use crate::graph::gateway::{Fence, Gateway, GatewayOptions, Writes};
use crate::ids::Uid;
use crate::keys::Keys;
use crate::leader::{self, Elector, Leadership};
use crate::metrics::Metrics;
use crate::notification::forwarded::{self, ForwardedState};
use crate::notification::receiver::{self, IdentitySlot, ReceiverState, TenantLabel, TenantLabels};
use crate::notification::wake::{self, WakeQueue};

mod copies;
pub mod terms;

use self::terms::{Ended, Terms};

/// How long a call to Microsoft may wait for its turn. What takes longer is tried again in a later pass.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long what came last may take to reach the copy that leads now: it has to take the Lease first.
const LAST_WAKES: Duration = Duration::from_secs(3);

/// How often it is looked whether all of it is gone.
const LOOK: Duration = Duration::from_millis(50);

/// What the ports of a copy serve, and what its parts meet in.
#[derive(Clone, Debug)]
pub struct Inside {
    /// What is counted.
    pub metrics: Metrics,
    /// Whether notifications may come.
    pub readiness: Readiness,
    /// Time, as this copy sees it.
    pub clock: Clock,
    /// Where it runs.
    host: Option<String>,
    /// As the Lease calls it.
    me: Arc<str>,
    identity: IdentitySlot,
    wakes: WakeQueue,
    labels: Labels,
    leading: watch::Sender<bool>,
}

impl Inside {
    /// Of a copy on `host`, if that has a name, that counts in `metrics`.
    ///
    /// # Errors
    /// Only when the name of a metric is used twice, which a test excludes.
    pub fn new(
        metrics: Metrics,
        clock: Clock,
        host: Option<String>,
        detail: MetricsDetail,
    ) -> Result<Self, prometheus::Error> {
        let labels = Labels::default();
        let collector = WorldCollector::new(labels.clone(), detail);
        metrics.registry.register(Box::new(collector))?;
        Ok(Self {
            readiness: Readiness::new(),
            clock,
            me: leader::identity(host.as_deref()).into(),
            host,
            identity: IdentitySlot::default(),
            wakes: WakeQueue::new(wake::CAPACITY, metrics.wake_lost.clone()),
            labels,
            leading: watch::Sender::new(false),
            metrics,
        })
    }

    /// What Graph calls.
    pub fn receiver(&self) -> Router {
        receiver::router(ReceiverState::new(
            Arc::clone(&self.identity),
            Arc::new(KnownTenants(self.labels.clone())),
            self.wakes.clone(),
            self.metrics.clone(),
            self.clock.clone(),
        ))
    }

    /// What other copies call.
    pub fn forwarded(&self) -> Router {
        forwarded::router(ForwardedState::new(
            (Arc::clone(&self.me), self.leading.subscribe()),
            Arc::clone(&self.identity),
            self.wakes.clone(),
            self.metrics.clone(),
            self.clock.clone(),
        ))
    }

    /// Whether this copy leads.
    #[must_use]
    pub fn leading(&self) -> watch::Receiver<bool> {
        self.leading.subscribe()
    }
}

/// The receiver's view of the controllers' store.
#[derive(Debug)]
struct KnownTenants(Labels);

impl TenantLabels for KnownTenants {
    fn label(&self, uid: &Uid) -> TenantLabel {
        self.0.tenant(uid)
    }
}

/// Every way from a copy to something else.
pub struct Edges {
    /// The API server.
    pub cluster: Client,
    /// The API server, for the Lease: see [`leader::client`].
    pub lease: Client,
    /// Entra and Graph: see [`crate::graph::gateway::network`].
    pub microsoft: Carrier,
    /// Other copies: see [`crate::notification::forward::network`].
    pub copies: Carrier,
    /// Where other copies reach this one; `None`: nowhere.
    pub reached_at: Option<SocketAddr>,
    /// Whether notifications can arrive.
    pub listening: watch::Receiver<bool>,
}

impl fmt::Debug for Edges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edges")
            .field("reached_at", &self.reached_at)
            .finish_non_exhaustive()
    }
}

/// A copy at work.
#[derive(Debug)]
pub struct Process {
    wakes: WakeQueue,
    election: Election,
    elector: Option<Elector>,
    stop: watch::Sender<bool>,
    /// `None` once it has ended.
    serving: Option<AbortOnDropHandle<Result<(), Ended>>>,
    /// What only ends with the process.
    _tasks: JoinSet<()>,
}

impl Process {
    /// Stands for election, follows the keys, passes wakes on and leads whenever it may. Must be called within a tokio
    /// runtime.
    #[must_use]
    pub fn start(config: &Config, inside: &Inside, edges: Edges) -> Self {
        let mut tasks = JoinSet::new();
        let elector = copies::elect(config, inside, &edges);
        tasks.spawn(copies::tell(inside.leading.clone(), elector.leadership()));
        if let Some(forwarder) = copies::forwarder(config, inside, &edges) {
            tasks.spawn(forwarder.run(inside.leading.subscribe()));
        }
        let fence = fence(&elector);
        let keys = Keys::new(
            edges.cluster.clone(),
            config.key_secret.clone(),
            inside.clock.clone(),
            Arc::clone(&fence),
            (Arc::clone(&inside.identity), inside.readiness.clone()),
        );
        let (used_keys, used) = watch::channel(BTreeSet::new());
        let ground = (
            edges.cluster.clone(),
            inside.clock.clone(),
            inside.metrics.clone(),
        );
        let around = Surroundings {
            gateway: gateway(config, inside, edges.microsoft, Arc::clone(&fence)),
            fence,
            clock: inside.clock.clone(),
            metrics: inside.metrics.clone(),
            client: edges.cluster,
            identity: keys.identity(),
            used_keys,
            wakes: inside.wakes.clone(),
            mirror: Mirror::new(ground, config.scope.clone(), inside.labels.clone()),
        };
        let (sender, news) = watch::channel(());
        tasks.spawn(tell_news(sender, elector.leadership()));
        tasks.spawn(keys.follow(news, used));
        let (stop, stopped) = watch::channel(false);
        let terms = Terms::new(config, edges.listening, inside.host.clone());
        let serving = tokio::spawn(terms.serve(elector.leadership(), around, stopped));
        Self {
            wakes: inside.wakes.clone(),
            election: config.election.clone(),
            elector: Some(elector),
            stop,
            serving: Some(AbortOnDropHandle::new(serving)),
            _tasks: tasks,
        }
    }

    /// Until something that cannot be replaced is gone: whoever holds the Lease and does nothing keeps everybody else
    /// from working. Waiting may be broken off.
    ///
    /// # Errors
    /// What is gone.
    pub async fn ended(&mut self) -> Result<(), Ended> {
        let Some(serving) = &mut self.serving else {
            return Ok(());
        };
        let outcome = serving.await;
        self.serving = None;
        outcome.unwrap_or(Err(Ended::Panicked))
    }

    /// Ends the work, and gives up leading after the last write.
    ///
    /// # Errors
    /// What was gone before.
    pub async fn finish(&mut self) -> Result<(), Ended> {
        self.stop.send_replace(true);
        let outcome = self.ended().await;
        if let Some(elector) = self.elector.take() {
            elector.release().await;
        }
        outcome
    }

    /// After the receiver has closed as well: what came last still reaches the copy that leads now.
    pub async fn last_wakes(self) {
        let Election::Lease(_) = self.election else {
            return;
        };
        let gone = async {
            while self.wakes.left() != (0, true) {
                sleep(LOOK).await;
            }
        };
        if timeout(LAST_WAKES, gone).await.is_err() {
            tracing::warn!(
                events = self.wakes.left().0,
                "lifecycle events came last and could be passed on to no other copy: sweeps and checks make up for them"
            );
        }
    }
}

/// The way to Microsoft.
fn gateway(config: &Config, inside: &Inside, carrier: Carrier, fence: Arc<dyn Fence>) -> Gateway {
    let options = GatewayOptions {
        ca_pem: config.trusted_roots.clone(),
        writes: match config.writes {
            config::Writes::Allowed => Writes::Allowed,
            config::Writes::Refused => Writes::Refused,
        },
        fence,
        default_patience: PATIENCE,
    };
    Gateway::over(
        carrier,
        options,
        inside.clock.clone(),
        inside.metrics.clone(),
    )
}

fn fence(elector: &Elector) -> Arc<dyn Fence> {
    let fence = elector.fence();
    Arc::new(move || fence.may_write())
}

/// Tells only that leadership changed.
async fn tell_news(news: watch::Sender<()>, mut leadership: watch::Receiver<Leadership>) {
    while leadership.changed().await.is_ok() {
        news.send_replace(());
    }
}
