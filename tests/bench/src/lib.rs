//! What the operator costs, measured as a process from the outside, side by side with a floor: a bare program that lists
//! the same objects and writes one status each through the same API server. On demand also with twins: the same logic in
//! other frameworks.
//!
//! Knows the operator only as a program, like the testbed. It measures and prints tables; what is aimed at stands in one
//! place (`aims`), and to miss it is no failure.

pub mod aims;
pub mod contender;
pub mod ground;
pub mod machine;
pub mod microsoft;
pub mod options;
pub mod process;
pub mod report;
pub mod scenario;
pub mod section;
pub mod sending;
pub mod table;
pub mod tally;
pub mod twin;
pub mod world;

use testbed::error::Error;

use ground::Ground;
use options::{Options, Scenario, Trial};
use report::{Report, Results};

/// Measures everything that was asked for. `progress` hears what is done at the moment.
pub async fn run(options: &Options, progress: impl Fn(&str)) -> Result<Report, Error> {
    let mut report = Report::default();
    for trial in Trial::each(options) {
        let mut results = Results::of(trial.mailboxes);
        for round in 0..options.repeat {
            let rounds = format!("{} of {}", round + 1, options.repeat);
            let tell =
                |what: &str| progress(&format!("{what}, {} mailboxes, {rounds}", trial.mailboxes));
            Box::pin(measure(trial, round, &mut results, tell)).await?;
        }
        report.results.push(results);
    }
    Ok(report)
}

/// One round. Those who are compared have a control plane of their own each, the others share one.
async fn measure(
    trial: Trial<'_>,
    round: u32,
    results: &mut Results,
    tell: impl Fn(&str),
) -> Result<(), Error> {
    if trial.has(Scenario::Steady) {
        tell("steady hours");
        scenario::steady::round(trial, round, results).await?;
    }
    if trial.has_any(&[Scenario::Cold, Scenario::Restart, Scenario::Twins]) {
        tell("cold start");
        scenario::cold::round(trial, round, results).await?;
    }
    if trial.has(Scenario::Writes) {
        tell("status writes");
        scenario::writes::round(trial, round, results).await?;
    }
    if !trial.shares_a_cluster() {
        return Ok(());
    }
    let ground = Ground::start().await?;
    if trial.has(Scenario::Apply) {
        tell("apply one");
        scenario::apply::round(&ground, trial, results).await?;
    }
    if trial.has(Scenario::Receiver) {
        tell("receiver");
        scenario::receiver::round(&ground, trial, results).await?;
    }
    if trial.has(Scenario::Quotas) {
        tell("quotas");
        scenario::quotas::round(&ground, trial, results).await?;
    }
    if trial.has(Scenario::Sick) {
        tell("a sick tenant");
        scenario::sick::round(&ground, trial, results).await?;
    }
    if trial.has(Scenario::Takeover) {
        tell("takeover");
        scenario::takeover::round(&ground, trial, results).await?;
    }
    Ok(())
}
