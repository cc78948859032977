//! What the operator costs, measured as a process from the outside, side by side with a floor: a bare program that lists
//! the same objects and writes one status each through the same API server.
//!
//! Knows the operator only as a program, like the testbed. Judges nothing: it measures and prints a table.

pub mod ground;
pub mod machine;
pub mod microsoft;
pub mod options;
pub mod process;
pub mod report;
pub mod scenario;
pub mod table;
pub mod tally;
pub mod world;

use testbed::error::Error;

use ground::Ground;
use options::{Options, Scenario};
use report::Report;

/// Measures everything that was asked for. `progress` hears what is done at the moment.
pub async fn run(options: &Options, progress: impl Fn(&str)) -> Result<Report, Error> {
    let mut report = Report::default();
    for round in 0..options.repeat {
        let ground = Ground::start().await?;
        let tell = |what: &str| progress(&format!("{what}, {} of {}", round + 1, options.repeat));
        if options.has(Scenario::Cold) || options.has(Scenario::Restart) {
            tell("cold start");
            Box::pin(scenario::cold::round(&ground, options, round, &mut report)).await?;
        }
        if options.has(Scenario::Apply) {
            tell("apply one");
            Box::pin(scenario::apply::round(&ground, options, &mut report)).await?;
        }
    }
    Ok(report)
}
