//! `check`: tests tenants and mailboxes from files, before anything is installed.

use std::io::{self, IsTerminal};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;

use futures::future::{Either, select};
use tokio::time::Instant;

use super::run::Signals;
use super::{MISUSED, complain, misused, print};
use crate::check::manifests;
use crate::check::objects::{Objects, Problems};
use crate::check::offers::FileOffers;
use crate::check::report::{Outcome, Report};
use crate::check::run::ending::{CLEANING_UP, Ending};
use crate::check::run::{Around, run};
use crate::check::table::{Style, render};
use crate::clock::Clock;
use crate::config::check::{CLIENT_SECRET_VARIABLE, Color, Flags, Output, Settings};
use crate::config::{self, Writes};
use crate::controller::tenant::observe::TEST_SUBJECT;
use crate::graph::gateway::{self, Gateway, GatewayOptions};
use crate::metrics::Metrics;

/// How long a call to Microsoft may wait for its turn or be repeated.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// A problem was found.
const PROBLEM: u8 = 1;

/// It could not be found out.
const UNDETERMINED: u8 = 3;

/// Somebody interrupted it: 128 and the number of SIGINT, as shells have it.
const INTERRUPTED: u8 = 130;

/// Lines narrower or wider than this are hard to read.
const WIDTHS: std::ops::RangeInclusive<usize> = 60..=120;

pub(super) const EXIT_CODES: &str = "Exit codes:
  0    every object is ready, or suspended
  1    a problem was found
  2    the flags or the files are wrong: every problem is listed on standard error, and nothing was checked
  3    no problem was found, but not everything could be found out: Microsoft does not answer, or --timeout is over
  130  interrupted

Secrets are read from the files, from --client-secret-file, --certificate with --key, --federated-token-file
or --federated-token, or from the variable HYBRID_CALENDAR_CLIENT_SECRET; never from a flag's value. None is ever printed.";

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Checks what the files declare.
pub(super) fn check(flags: &Flags) -> ExitCode {
    let secret = std::env::var(CLIENT_SECRET_VARIABLE).ok();
    let settings = match Settings::new(flags, secret) {
        Ok(settings) => settings,
        Err(problems) => return misused(&problems),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let checked = runtime.map_err(Failure::from).and_then(|runtime| {
        let checked = runtime.block_on(checked(&settings));
        // A look-up of a name that hangs cannot be taken back; nobody waits for it.
        runtime.shutdown_background();
        checked
    });
    match checked {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            ExitCode::from(UNDETERMINED)
        }
    }
}

async fn checked(settings: &Settings) -> Result<ExitCode, Failure> {
    let clock = Clock::system();
    let prepared = manifests::read(&settings.sources, &settings.namespace, clock.now())
        .and_then(|objects| prepare(objects, settings));
    let (objects, offers) = match prepared {
        Ok(prepared) => prepared,
        Err(problems) => {
            complain(&problems);
            return Ok(ExitCode::from(MISUSED));
        }
    };
    let ending = Ending::at(Instant::now() + settings.timeout);
    let around = Around {
        gateway: gateway(settings, &ending, clock.clone())?,
        clock,
        offers,
        allowed: settings.allowed_endpoints.clone(),
        writes: settings.writes,
        redirect: settings.redirect.clone(),
        ending,
    };
    let report = uninterrupted(objects, &around).await?;
    for mailbox in around.ending.left_open() {
        complain(&format!(
            "the event \"{TEST_SUBJECT}\" may be left in the calendar of {mailbox}: delete it there"
        ));
    }
    match report {
        Some(report) => show(&report, settings),
        None => Ok(ExitCode::from(INTERRUPTED)),
    }
}

/// What can be said of the objects before anybody is asked.
fn prepare(objects: Objects, settings: &Settings) -> Result<(Objects, FileOffers), Problems> {
    let allowed = &settings.allowed_endpoints;
    let mut problems = objects.problems(allowed);
    match FileOffers::new(&objects, allowed, &settings.local) {
        Ok(offers) if problems.is_empty() => {
            for unused in offers.unused() {
                complain(unused);
            }
            Ok((objects, offers))
        }
        Ok(_) => Err(Problems(problems)),
        Err(more) => {
            problems.extend(more);
            Err(Problems(problems))
        }
    }
}

fn gateway(settings: &Settings, ending: &Ending, clock: Clock) -> Result<Gateway, Failure> {
    let options = GatewayOptions {
        ca_pem: settings.trusted_roots.clone(),
        writes: match settings.writes {
            Writes::Allowed => gateway::Writes::Allowed,
            Writes::Refused => gateway::Writes::Refused,
        },
        fence: Arc::new(ending.clone()),
        default_patience: PATIENCE.min(settings.timeout),
    };
    Ok(Gateway::new(options, clock, Metrics::new()?)?)
}

/// The report, or none when somebody interrupted the run. Nothing is created any more then, and an event of the
/// provisioning check is removed first, unless somebody interrupts again.
async fn uninterrupted(objects: Objects, around: &Around) -> Result<Option<Report>, Failure> {
    let mut signals = Signals::new()?;
    let mut running = pin!(run(objects, around));
    if let Either::Left((report, _)) =
        select(running.as_mut(), pin!(signals.stop_requested())).await
    {
        return Ok(Some(report));
    }
    around.ending.stop();
    if around.writes == config::Writes::Allowed {
        complain(&format!(
            "stopping: nothing more is created, and a test event that is there is removed first, which takes at most {} seconds; interrupt again to stop at once",
            CLEANING_UP.as_secs()
        ));
    }
    select(running, pin!(signals.stop_requested())).await;
    Ok(None)
}

fn show(report: &Report, settings: &Settings) -> Result<ExitCode, Failure> {
    for left in &report.left_aside {
        complain(left);
    }
    let text = match settings.output {
        Output::Table => render(report, &style(settings)),
        Output::Json => serde_json::to_string_pretty(&report.list()?)? + "\n",
        Output::Yaml => serde_yaml_ng::to_string(&report.list()?)?,
    };
    if settings.output != Output::Table {
        for tenant in &report.tenants {
            if let Some(url) = tenant.missing_consent() {
                complain(&format!("consent for {}: {url}", tenant.record.key));
            }
        }
    }
    let code = match report.outcome() {
        Outcome::Ready => return Ok(print::<io::Error>(Ok(text))),
        Outcome::Problem => PROBLEM,
        Outcome::Undetermined => UNDETERMINED,
    };
    print::<io::Error>(Ok(text));
    Ok(ExitCode::from(code))
}

fn style(settings: &Settings) -> Style {
    let stdout = io::stdout();
    let seen = stdout.is_terminal();
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let colored = match settings.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => seen && variable("NO_COLOR").is_empty() && variable("TERM") != "dumb",
    };
    let size = rustix::termios::tcgetwinsize(&stdout).ok();
    let columns = size.map(|size| usize::from(size.ws_col)).filter(|n| *n > 0);
    Style {
        colored,
        width: columns
            .filter(|_| seen)
            .map(|n| n.clamp(*WIDTHS.start(), *WIDTHS.end())),
        runbooks: settings.runbooks.clone(),
    }
}
