//! `run`: starts every part of the operator, and ends them in order.
//!
//! The receiver starts first and ends last, so that no notification is lost to a restart; leadership is
//! given up after the last write, and what was not worked on goes to the copy that leads then.
//!
//! Controllers share one thread: they wait for others nearly all the time, and what one thread does needs nobody to be
//! woken. The ports have threads of their own, so that whoever calls them from outside delays nothing else.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use prometheus::process_collector::ProcessCollector;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::{FAILED, complain, misused};
use crate::admin::{Admin, Requirement};
use crate::aside::Aside;
use crate::clock::{Clock, sleep};
use crate::config::flags::Flags;
use crate::config::{Config, Election, NAMESPACE_FILE, own_namespace};
use crate::graph::gateway;
use crate::leader;
use crate::metrics::Metrics;
use crate::notification::forward;
use crate::notification::server::{DRAIN, Listening, Server, Socket};
use crate::plain::Causes;
use crate::process::{Edges, Inside, Process};
use crate::rush;
use crate::telemetry;

/// How often the machine's clock is read again.
const REREAD_INTERVAL: Duration = Duration::from_mins(1);

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

fn start(config: Config, metrics: Metrics) -> Result<(), Failure> {
    let under_way = metrics.reconciles_active.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_park(move || rush::gather(under_way.get()))
        .build()?;
    runtime.block_on(operate(config, metrics))
}

async fn operate(config: Config, metrics: Metrics) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let clock = Clock::system();
    tokio::spawn(follow_time(clock.clone()));
    let host = std::env::var("HOSTNAME").ok();
    let inside = Inside::new(metrics, clock, host, config.metrics_detail)?;
    let (metrics, readiness) = (&inside.metrics, &inside.readiness);
    let process = ProcessCollector::for_self();
    metrics.registry.register(Box::new(process))?;
    let admin = Admin::start(
        config.admin_listen,
        metrics.registry.clone(),
        readiness.clone(),
    )?;
    tracing::info!(address = %admin.address(), "the admin port listens");
    let ports = Aside::start("ports")?;
    let receiver = receive(&config, &inside, &ports).await?;
    readiness.met(Requirement::Receiver);

    let port = Port::open(&config, &inside, &ports).await?;
    let edges = edges(&config, &receiver, port.as_ref()).await?;
    let mut process = Process::start(&config, &inside, edges);
    let ended = until_end(&mut signals, &receiver, &mut process).await;
    tracing::info!("stopping");
    readiness.unmet(Requirement::Receiver, "stopping");
    // The last write comes before the Lease is released; the receiver serves a while longer.
    let drain = receiver.drain(config.pace.of(DRAIN));
    let (served, ()) = tokio::join!(process.finish(), drain);
    process.last_wakes().await;
    if let Some(port) = port {
        port.server.drain(Duration::ZERO).await;
    }
    ended.and(served.map_err(Failure::from))
}

/// Where other copies reach this one.
struct Port {
    server: Server,
    address: SocketAddr,
}

impl Port {
    /// Nothing unless others are to be told of it.
    async fn open(
        config: &Config,
        inside: &Inside,
        ports: &Aside,
    ) -> Result<Option<Self>, Failure> {
        let (Some(ip), Election::Lease(_)) = (config.advertise_address, &config.election) else {
            return Ok(None);
        };
        let socket = Socket {
            listen: config.wakes_listen,
            tls_dir: None,
        };
        let server = ports
            .spawn(Server::start(socket, inside.forwarded()))
            .await??;
        let address = SocketAddr::new(ip, server.address().port());
        tracing::info!(%address, "other copies reach this one");
        Ok(Some(Self { server, address }))
    }
}

async fn edges(config: &Config, receiver: &Server, port: Option<&Port>) -> Result<Edges, Failure> {
    let cluster = kube::Config::infer().await?;
    Ok(Edges {
        lease: leader::client(cluster.clone(), config.lease_timing)?,
        cluster: kube::Client::try_from(cluster)?,
        microsoft: gateway::network(config.trusted_roots.as_deref())?,
        copies: forward::network()?,
        reached_at: port.map(|port| port.address),
        listening: as_flag(receiver.listening()),
    })
}

/// Until somebody asks for the end, or something that cannot be replaced is gone.
async fn until_end(
    signals: &mut Signals,
    receiver: &Server,
    process: &mut Process,
) -> Result<(), Failure> {
    let mut listening = receiver.listening();
    tokio::select! {
        () = signals.stop_requested() => Ok(()),
        _ = listening.wait_for(|now| *now == Listening::No) => Err("the receiver stopped".into()),
        ended = process.ended() => Ok(ended?),
    }
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

async fn receive(config: &Config, inside: &Inside, ports: &Aside) -> Result<Server, Failure> {
    let socket = Socket {
        listen: config.receiver_listen,
        tls_dir: config.receiver_tls_dir.clone(),
    };
    let receiver = ports
        .spawn(Server::start(socket, inside.receiver()))
        .await??;
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
