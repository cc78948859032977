//! `run`: starts every part of the operator, and ends them in order.
//!
//! The receiver starts first and ends last, so that no notification is lost to a restart; leadership is
//! given up after the last write, and what was not worked on goes to the copy that leads then.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use prometheus::process_collector::ProcessCollector;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinError;

use super::copies::{Copies, Shared};
use super::terms::{Ended, Terms};
use super::{FAILED, complain, misused};
use crate::admin::{Admin, Readiness, Requirement};
use crate::clock::{Clock, sleep};
use crate::config::flags::Flags;
use crate::config::{self, Config, MetricsDetail, NAMESPACE_FILE, own_namespace};
use crate::controller::collector::WorldCollector;
use crate::controller::labels::Labels;
use crate::controller::lead::Surroundings;
use crate::controller::mirror::Mirror;
use crate::graph::gateway::{Fence, Gateway, GatewayOptions, Writes};
use crate::ids::Uid;
use crate::keys::Keys;
use crate::leader::{Elector, Leadership};
use crate::metrics::Metrics;
use crate::notification::receiver::{
    IdentitySlot, ReceiverState, TenantLabel, TenantLabels, router,
};
use crate::notification::server::{DRAIN, Listening, Server, Socket};
use crate::notification::wake::{self, WakeQueue};
use crate::telemetry;

/// How often the machine's clock is read again.
const REREAD_INTERVAL: Duration = Duration::from_mins(1);

/// How long a call to Microsoft may wait for its turn. What takes longer is tried again in a later pass.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why the operator could not start or go on.
pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs the operator until SIGTERM or SIGINT.
pub(super) fn run(flags: &Flags) -> ExitCode {
    let namespace = own_namespace(
        std::env::var("POD_NAMESPACE").ok(),
        Path::new(NAMESPACE_FILE),
    );
    let config = match Config::new(flags, &namespace) {
        Ok(config) => config,
        Err(problems) => return misused(&problems),
    };
    let started = Metrics::new().map_err(Failure::from).and_then(|metrics| {
        telemetry::start(&config.logs, metrics.log_lines_lost.clone())?;
        Ok(metrics)
    });
    let metrics = match started {
        Ok(metrics) => metrics,
        Err(error) => {
            complain(&error);
            return ExitCode::from(FAILED);
        }
    };
    match start(config, metrics) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %Causes(&*error), "cannot go on");
            ExitCode::from(FAILED)
        }
    }
}

/// An error and everything that led to it, in one line; some errors name their causes themselves.
struct Causes<'a>(&'a (dyn std::error::Error + 'static));

impl std::fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = self.0.to_string();
        for cause in std::iter::successors(self.0.source(), |cause| cause.source()) {
            let cause = cause.to_string();
            if !text.contains(&cause) {
                text = format!("{text}: {cause}");
            }
        }
        f.write_str(&text)
    }
}

fn start(config: Config, metrics: Metrics) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(operate(config, metrics))
}

async fn operate(config: Config, metrics: Metrics) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let clock = Clock::system();
    tokio::spawn(follow_time(clock.clone()));
    let readiness = Readiness::new();
    let admin = Admin::start(
        config.admin_listen,
        metrics.registry.clone(),
        readiness.clone(),
    )?;
    tracing::info!(address = %admin.address(), "the admin port listens");

    let shared = Shared {
        identity: IdentitySlot::default(),
        wakes: WakeQueue::new(wake::CAPACITY, metrics.wake_lost.clone()),
        metrics: metrics.clone(),
        clock: clock.clone(),
    };
    let labels = Labels::default();
    register(&metrics, labels.clone(), config.metrics_detail)?;
    let receiver = receive(&config, &shared, labels.clone()).await?;
    readiness.met(Requirement::Receiver);

    let copies = Copies::open(&config, shared.clone()).await?;
    let cluster = kube::Config::infer().await?;
    let elector = copies.elect(cluster.clone())?;
    let client = kube::Client::try_from(cluster)?;
    copies.pass_on(client.clone(), elector.leadership())?;
    let (fence, secret) = (fence(&elector), config.key_secret.clone());
    let keys = Keys::new(
        client.clone(),
        secret,
        clock.clone(),
        Arc::clone(&fence),
        (shared.identity, readiness.clone()),
    );
    let (used_keys, used) = watch::channel(BTreeSet::new());
    let ground = (client.clone(), clock.clone(), metrics.clone());
    let around = Surroundings {
        gateway: gateway(&config, Arc::clone(&fence), clock.clone(), metrics.clone())?,
        fence,
        clock,
        metrics,
        client,
        identity: keys.identity(),
        used_keys,
        wakes: shared.wakes,
        mirror: Mirror::new(ground, config.scope.clone(), labels),
    };
    tokio::spawn(keys.follow(as_news(elector.leadership()), used));

    let (stop, stopped) = watch::channel(false);
    let terms = Terms::new(&config, as_flag(receiver.listening()));
    let serving = tokio::spawn(terms.serve(elector.leadership(), around, stopped));
    let (ended, serving) = until_end(&mut signals, &receiver, serving.map(served).boxed()).await;
    tracing::info!("stopping");
    readiness.unmet(Requirement::Receiver, "stopping");
    stop.send_replace(true);
    // The last write comes before the Lease is released; the receiver serves a while longer.
    let release = async {
        let served = serving.await;
        elector.release().await;
        served
    };
    let (served, ()) = tokio::join!(release, receiver.drain(config.pace.of(DRAIN)));
    copies.last_wakes().await;
    ended.and(served)
}

/// Metrics that are computed when somebody scrapes.
fn register(metrics: &Metrics, labels: Labels, detail: MetricsDetail) -> Result<(), Failure> {
    let collector = WorldCollector::new(labels, detail);
    metrics.registry.register(Box::new(collector))?;
    let process = ProcessCollector::for_self();
    metrics.registry.register(Box::new(process))?;
    Ok(())
}

type Serving = BoxFuture<'static, Result<(), Failure>>;

/// Until somebody asks for the end, or something that cannot be replaced is gone; also what is left to wait for.
async fn until_end(
    signals: &mut Signals,
    receiver: &Server,
    mut serving: Serving,
) -> (Result<(), Failure>, Serving) {
    tokio::select! {
        ended = until_stop(signals, receiver) => (ended, serving),
        // Whoever holds the Lease and does nothing keeps everybody else from working.
        ended = &mut serving => (ended, ready(Ok(())).boxed()),
    }
}

async fn until_stop(signals: &mut Signals, receiver: &Server) -> Result<(), Failure> {
    let mut listening = receiver.listening();
    tokio::select! {
        () = signals.stop_requested() => Ok(()),
        _ = listening.wait_for(|now| *now == Listening::No) => Err("the receiver stopped".into()),
    }
}

/// How leading ended.
fn served(outcome: Result<Result<(), Ended>, JoinError>) -> Result<(), Failure> {
    match outcome {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err("the controllers panicked".into()),
    }
}

/// The way to Microsoft.
fn gateway(
    config: &Config,
    fence: Arc<dyn Fence>,
    clock: Clock,
    metrics: Metrics,
) -> Result<Gateway, Failure> {
    let options = GatewayOptions {
        ca_pem: config.trusted_roots.clone(),
        writes: match config.writes {
            config::Writes::Allowed => Writes::Allowed,
            config::Writes::Refused => Writes::Refused,
        },
        fence,
        default_patience: PATIENCE,
    };
    Ok(Gateway::new(options, clock, metrics)?)
}

fn fence(elector: &Elector) -> Arc<dyn Fence> {
    let fence = elector.fence();
    Arc::new(move || fence.may_write())
}

/// Tells only that leadership changed.
fn as_news(mut leadership: watch::Receiver<Leadership>) -> watch::Receiver<()> {
    let (sender, news) = watch::channel(());
    tokio::spawn(async move {
        while leadership.changed().await.is_ok() {
            sender.send_replace(());
        }
    });
    news
}

/// Whether notifications can arrive.
fn as_flag(mut listening: watch::Receiver<Listening>) -> watch::Receiver<bool> {
    let (sender, flag) = watch::channel(*listening.borrow() == Listening::Yes);
    tokio::spawn(async move {
        while listening.changed().await.is_ok() {
            let now = *listening.borrow_and_update() == Listening::Yes;
            sender.send_replace(now);
        }
    });
    flag
}

/// The receiver's view of the controllers' store.
#[derive(Debug)]
struct KnownTenants(Labels);

impl TenantLabels for KnownTenants {
    fn label(&self, uid: &Uid) -> TenantLabel {
        self.0.tenant(uid)
    }
}

async fn receive(config: &Config, shared: &Shared, labels: Labels) -> Result<Server, Failure> {
    let state = ReceiverState::new(
        Arc::clone(&shared.identity),
        Arc::new(KnownTenants(labels)),
        shared.wakes.clone(),
        shared.metrics.clone(),
        shared.clock.clone(),
    );
    let socket = Socket {
        listen: config.receiver_listen,
        tls_dir: config.receiver_tls_dir.clone(),
    };
    let receiver = Server::start(socket, router(state)).await?;
    tracing::info!(address = %receiver.address(), "the receiver listens");
    Ok(receiver)
}

/// Lets steps of the machine's clock arrive.
async fn follow_time(clock: Clock) {
    loop {
        sleep(REREAD_INTERVAL).await;
        clock.reread();
    }
}

/// SIGTERM, from Kubernetes, and SIGINT, from a person.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn new() -> Result<Self, Failure> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    pub(super) async fn stop_requested(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
