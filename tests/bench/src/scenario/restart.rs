//! Restart: everything is as it should be, and a new process begins. It has to find out just that.

use std::time::Duration;

use testbed::error::Error;
use testbed::operator::OperatorProcess;
use testbed::wait;
use tokio::time::Instant;

use super::cold::{AT_REST, bytes, count, each_call, each_request};
use crate::ground::{Ground, Place};
use crate::microsoft::{Calls, Microsoft};
use crate::options::Options;
use crate::process::{self, Usage};
use crate::report::{Measure, Section, Unit, measure};
use crate::tally::Tally;

/// From the start of the process until the receiver may get notifications.
pub static SERVING: Measure = measure("time until /readyz", Unit::Seconds);
/// From the start of the process until every object is known.
pub static KNOWN: Measure = measure("time until all objects are known", Unit::Seconds);
/// Processor time until then.
pub static PROCESSOR: Measure = measure("processor time until then", Unit::Seconds);
/// What it wrote while it was watched.
pub static WRITES: Measure = measure("writes besides the Lease", Unit::Count);
/// What it asked Graph while it was watched.
pub static CALLS: Measure = measure("Graph requests per tenant", Unit::Each);
/// The most resident memory.
pub static PEAK: Measure = measure("resident memory, peak", Unit::Memory);
/// Resident memory when nothing is to be done any more.
pub static STEADY: Measure = measure("resident memory, at rest", Unit::Memory);

/// What the operator logs when the lists are complete.
const KNOWN_LINE: &str = "the cluster's objects are known";
const KNOWN_DEADLINE: Duration = Duration::from_mins(2);

/// Ends the operator as a rollout does, starts it again and watches.
pub(super) async fn turn(
    (ground, place, microsoft): (&Ground, &Place, &Microsoft),
    operator: &mut OperatorProcess,
    options: &Options,
    section: &mut Section,
) -> Result<(), Error> {
    operator.terminate().await?;
    let calls = microsoft.calls().await?;
    let mark = ground.control_plane.audit_mark().await?;
    let began = Instant::now();
    let lines = operator.logs().len();
    operator.restart().await?;
    section.operator(&SERVING, began.elapsed().as_secs_f64());
    wait::until("the lists are complete", KNOWN_DEADLINE, async || {
        let logs = operator.logs();
        logs[lines..].iter().any(|line| line.contains(KNOWN_LINE))
    })
    .await?;
    section.operator(&KNOWN, began.elapsed().as_secs_f64());
    let usage = Usage::of(operator.id())?;
    section.operator(&PROCESSOR, usage.cpu.as_secs_f64());
    let (rest, share) = process::rest(operator.id(), options.watch()).await?;
    section.operator(&AT_REST, share * 1000.0);
    section.operator(&PEAK, bytes(rest.peak));
    section.operator(&STEADY, bytes(rest.resident));
    let tally = Tally::of(
        &ground.control_plane.audit_since(mark).await?,
        &place.user(),
    );
    let calls = microsoft.calls().await?.since(&calls);
    told(section, &tally, &calls, options);
    Ok(())
}

fn told(section: &mut Section, tally: &Tally, calls: &Calls, options: &Options) {
    let writes = tally.writes().map(|(_, _, number)| number).sum();
    section.operator(&WRITES, count(writes));
    each_request(section, tally.writes());
    section.operator(&CALLS, count(calls.total()) / f64::from(options.tenants));
    each_call(section, calls);
}
