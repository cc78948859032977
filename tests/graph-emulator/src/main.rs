//! The emulator as a program. All of its work is in the library.
//!
//! When it is ready it prints its addresses to standard output, as `graph=URL` and `admin=URL`.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use graph_emulator::{Emulator, Options, World};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Microsoft Graph and Entra, as far as calendar integrations need them, on your own machine.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The world to serve, a YAML file.
    #[arg(long, env = "GRAPH_EMULATOR_WORLD")]
    world: PathBuf,
    /// Where Entra and Graph listen.
    #[arg(long, env = "GRAPH_EMULATOR_LISTEN", default_value = "127.0.0.1:8600")]
    listen: SocketAddr,
    /// Where the admin port listens.
    #[arg(long, env = "GRAPH_EMULATOR_ADMIN", default_value = "127.0.0.1:8601")]
    admin: SocketAddr,
    /// Serve HTTPS with ca.crt, tls.crt and tls.key of this directory, made if there are none.
    #[arg(long, env = "GRAPH_EMULATOR_TLS_DIR")]
    tls_dir: Option<PathBuf>,
    /// Certificates that HTTPS receivers of notifications may show besides publicly trusted ones.
    #[arg(long, env = "GRAPH_EMULATOR_TRUST_CA")]
    trust_ca: Option<PathBuf>,
    /// Fixes all ids.
    #[arg(long, env = "GRAPH_EMULATOR_SEED")]
    seed: Option<u64>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let world = World::from_file(&arguments.world)
        .map_err(|error| format!("{}: {error}", arguments.world.display()))?;
    let options = Options {
        listen: arguments.listen,
        admin: arguments.admin,
        tls_dir: arguments.tls_dir,
        trust_ca: arguments.trust_ca,
        environment_proxy: true,
        seed: arguments.seed,
    };
    let mut terminated = signal(SignalKind::terminate())?;
    let emulator = Emulator::start(world, options).await?;
    let (graph, admin) = (emulator.base_url(), emulator.admin_url());
    writeln!(
        std::io::stdout(),
        "graph={graph}
admin={admin}"
    )?;
    tokio::select! {
        _ = terminated.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    emulator.stop().await;
    Ok(())
}
