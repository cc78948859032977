//! Steady hours: everything has settled and nothing happens. What is asked for then is counted in the simulation, where an
//! hour is seconds; both are the same program without processes and sockets.

use std::collections::BTreeMap;
use std::process::Stdio;

use serde::Deserialize;
use testbed::error::{Attempt as _, Error};
use testbed::programs;
use tokio::process::Command;

use super::cold::{EVENTS, count};
use crate::options::Trial;
use crate::report::Results;
use crate::section::{Measure, OPERATOR, Unit, measure};

/// How long it was counted.
pub static HOURS: Measure = measure("virtual hours", Unit::Count);
/// Statuses that were written.
pub static STATUSES: Measure = measure("status writes", Unit::Count);
/// Those of them that tell of a subscription that was renewed.
pub static RENEWALS: Measure = measure("subscriptions made or renewed", Unit::Count);
/// Requests to Graph and Entra, for each mailbox in an hour.
pub static REQUESTS: Measure = measure("Graph requests per mailbox and hour", Unit::Each);

/// What the simulation says in the end.
#[derive(Debug, Deserialize)]
struct Outcome {
    seconds: u32,
    tally: BTreeMap<String, u64>,
    violation: Option<serde_json::Value>,
}

/// One round, with a seed of its own.
pub async fn round(trial: Trial<'_>, round: u32, results: &mut Results) -> Result<(), Error> {
    let seed = round + 1;
    let output = Command::new(programs::path("simulate").await?)
        .args(["--course", "steady", "--json"])
        .args(["--seed", &seed.to_string()])
        .args(["--hours", &trial.hours.to_string()])
        .args(["--mailboxes", &trial.mailboxes.to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .attempt("run the simulation")?;
    let failed = |what: String| Error::Program {
        program: format!("the simulation ({})", output.status),
        output: what,
    };
    let outcome: Outcome =
        serde_json::from_slice(&output.stdout).map_err(|error| failed(error.to_string()))?;
    if let Some(violation) = outcome.violation {
        return Err(failed(violation.to_string()));
    }
    let of = |what: &str| count(outcome.tally.get(what).copied().unwrap_or_default());
    let hours = f64::from(outcome.seconds) / 3600.0;
    let mut column = results.steady.of(OPERATOR);
    column.put(&HOURS, hours);
    column.put(&STATUSES, of("writes of statuses"));
    column.put(&RENEWALS, of("subscriptions made or renewed"));
    column.put(&EVENTS, of("Events"));
    let requests = of("requests to Graph and Entra");
    column.put(&REQUESTS, requests / hours / f64::from(trial.mailboxes));
    Ok(())
}
