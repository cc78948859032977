//! `make demo`: the operator on a real API server against the Graph emulator, with tenants and mailboxes of every
//! condition, to look at and to break.
//!
//! Shows what to expect next to what is, then stays until it is interrupted and leaves nothing behind.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use testbed::error::Error;
use testbed::{assets, controllers, tools};
use tokio::signal::unix::{SignalKind, signal};

mod expectations;
mod ground;
mod guide;
mod screen;
mod stage;
mod watch;

use expectations::Expectation;
use ground::Ground;
use screen::Screen;
use stage::Stage;

/// Tenants and mailboxes being validated, subscribed, renewed, broken and repaired on a real API server
#[derive(Debug, Parser)]
#[command(name = "demo")]
struct Flags {
    /// End as soon as everything is as expected, or fail and say what differs
    #[arg(long)]
    once: bool,

    /// Use the cluster of this kubeconfig file, such as kind or k3d, instead of a control plane of our own
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// How many times faster than in earnest the operator waits
    #[arg(long, value_name = "N", default_value_t = 60)]
    pace: u32,

    /// After how many seconds it is too late for an expectation
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    deadline: u64,

    /// Only build the control plane and the tools
    #[arg(long)]
    prepare: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    let screen = Screen::new();
    match show(&flags, &screen).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            screen.line(&format!("demo: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Whether everything was as expected.
async fn show(flags: &Flags, screen: &Screen) -> Result<bool, Error> {
    if flags.prepare {
        let built = assets::ready().await?;
        screen.line(&format!(
            "The control plane is ready: {}",
            built.kube_apiserver.display()
        ));
        let controllers = controllers::ready().await?;
        screen.line(&format!(
            "The controllers are ready: {}",
            controllers.display()
        ));
        let tools = tools::ready().await?;
        screen.line(&format!(
            "Helm and kubeconform are ready: {}",
            tools.helm.display()
        ));
        return Ok(true);
    }
    let mut end = Box::pin(interrupted()?);
    let ground = tokio::select! {
        ground = Ground::find(flags.kubeconfig.clone(), screen) => ground?,
        () = &mut end => return Ok(true),
    };
    let shown = tokio::select! {
        shown = perform(flags, &ground, screen) => shown,
        () = &mut end => Ok(!flags.once),
    };
    ground.clear().await?;
    shown
}

async fn perform(flags: &Flags, ground: &Ground, screen: &Screen) -> Result<bool, Error> {
    let expectations = expectations::all()?;
    let stage = Stage::set(ground, flags.pace, screen).await?;
    stage.open().await?;
    let deadline = Duration::from_secs(flags.deadline);
    let differing = watch::until_as_expected(&stage, &expectations, deadline, screen).await?;
    if !differing.is_empty() {
        report(&stage, &differing, screen);
    }
    if flags.once {
        return Ok(differing.is_empty());
    }
    guide::print(&stage, screen);
    watch::changes(&stage, &expectations, screen).await?;
    Ok(true)
}

fn report(stage: &Stage<'_>, differing: &[&Expectation], screen: &Screen) {
    screen.line("\nNot as expected:");
    for expectation in differing {
        screen.line(&format!("  {expectation}"));
    }
    screen.line("\nThe operator's last lines:");
    for line in stage.last_log_lines() {
        screen.line(&format!("  {line}"));
    }
}

/// Ends when a person or a supervisor wants this program to end.
fn interrupted() -> Result<impl Future<Output = ()>, Error> {
    let listen = |kind| {
        signal(kind).map_err(|source| Error::Io {
            attempt: "listen for signals".to_owned(),
            source,
        })
    };
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hangup = listen(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}
