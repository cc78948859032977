//! `run`: starts every part of the operator, and ends them in order.

use std::path::Path;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use super::{FAILED, complain, misused};
use crate::admin::{Admin, Readiness};
use crate::config::flags::Flags;
use crate::config::{Config, NAMESPACE_FILE, own_namespace};
use crate::metrics::Metrics;
use crate::telemetry;

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
    match start(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::from(FAILED)
        }
    }
}

fn start(config: Config) -> Result<(), Failure> {
    telemetry::start(&config.logs)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(operate(config))
}

async fn operate(config: Config) -> Result<(), Failure> {
    let metrics = Metrics::new()?;
    let readiness = Readiness::new();
    let _admin = Admin::start(config.admin_listen, metrics.registry.clone(), readiness)?;
    stop_requested().await?;
    Ok(())
}

/// Until SIGTERM (Kubernetes) or SIGINT (a person).
async fn stop_requested() -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
