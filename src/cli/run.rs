//! `run`: starts every part of the operator, and ends them in order.
//!
//! The receiver starts first and ends last, so that no notification is lost to a restart; leadership is
//! given up after the last write.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{FAILED, complain, misused};
use crate::admin::{Admin, Readiness, Requirement};
use crate::clock::{Clock, sleep};
use crate::config::flags::Flags;
use crate::config::{Config, Election, NAMESPACE_FILE, own_namespace};
use crate::ids::Uid;
use crate::leader::{self, Candidate, Elector};
use crate::metrics::Metrics;
use crate::notification::receiver::{IdentitySlot, ReceiverState, TenantLabels, router};
use crate::notification::server::{DRAIN, Listening, Server, Socket};
use crate::notification::wake::{self, WakeQueue};
use crate::telemetry;

/// How often the machine's clock is read again.
const REREAD_INTERVAL: Duration = Duration::from_mins(1);

/// Why the operator could not start or go on.
type Failure = Box<dyn std::error::Error + Send + Sync>;

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
    if let Err(error) = telemetry::start(&config.logs) {
        complain(&error);
        return ExitCode::from(FAILED);
    }
    match start(config) {
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

fn start(config: Config) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(operate(config))
}

async fn operate(config: Config) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let clock = Clock::system();
    tokio::spawn(follow_time(clock.clone()));
    let metrics = Metrics::new()?;
    let readiness = Readiness::new();
    let admin = Admin::start(
        config.admin_listen,
        metrics.registry.clone(),
        readiness.clone(),
    )?;
    tracing::info!(address = %admin.address(), "the admin port listens");

    let wakes = WakeQueue::new(wake::CAPACITY, metrics.wake_lost.clone());
    let identity = IdentitySlot::default();
    let state = ReceiverState::new(
        identity,
        Arc::new(NothingKnown),
        wakes,
        metrics.clone(),
        clock.clone(),
    );
    let receiver = receive(&config, state).await?;
    readiness.met(Requirement::Receiver);

    let cluster = kube::Config::infer().await?;
    let elector = elect(&config, cluster, clock, &metrics)?;

    // The controllers start here, with `elector.leadership()`, `elector.fence()`, `identity`, `wakes` and
    // `receiver.listening()`; they look up the labels of tenants instead of `NothingKnown`.

    let mut listening = receiver.listening();
    let ended = tokio::select! {
        () = signals.stop_requested() => Ok(()),
        _ = listening.wait_for(|now| *now == Listening::No) => Err("the receiver stopped".into()),
    };
    tracing::info!("stopping");
    readiness.unmet(Requirement::Receiver, "stopping");
    // The controllers end before the Lease is released.
    tokio::join!(elector.release(), receiver.drain(config.pace.of(DRAIN)));
    ended
}

/// Until the controllers know objects, no notification is of a known one.
#[derive(Debug)]
struct NothingKnown;

impl TenantLabels for NothingKnown {
    fn label(&self, _: &Uid) -> Option<Arc<str>> {
        None
    }
}

async fn receive(config: &Config, state: ReceiverState) -> Result<Server, Failure> {
    let socket = Socket {
        listen: config.receiver_listen,
        tls_dir: config.receiver_tls_dir.clone(),
    };
    let receiver = Server::start(socket, router(state)).await?;
    tracing::info!(address = %receiver.address(), "the receiver listens");
    Ok(receiver)
}

/// Competes for the Lease through a client of its own.
fn elect(
    config: &Config,
    cluster: kube::Config,
    clock: Clock,
    metrics: &Metrics,
) -> Result<Elector, Failure> {
    let gauge = metrics.leader.clone();
    Ok(match &config.election {
        Election::Off => Elector::always(&clock, &gauge),
        Election::Lease(lease) => Elector::start(Candidate {
            client: leader::client(cluster)?,
            lease: lease.clone(),
            identity: leader::identity(std::env::var("HOSTNAME").ok().as_deref()),
            clock,
            gauge,
        }),
    })
}

/// Lets steps of the machine's clock arrive.
async fn follow_time(clock: Clock) {
    loop {
        sleep(REREAD_INTERVAL).await;
        clock.reread();
    }
}

/// SIGTERM, from Kubernetes, and SIGINT, from a person.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn stop_requested(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
