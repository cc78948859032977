//! Restart: everything is as it should be, and a new process begins. It has to find out just that.

use std::time::Duration;

use testbed::error::Error;
use testbed::operator::OperatorProcess;
use testbed::wait;
use tokio::time::Instant;

use super::cold::{AT_REST, PEAK, STEADY, Turn, count, each_call, each_request};
use crate::contender::Running;
use crate::microsoft::Calls;
use crate::options::Trial;
use crate::process::{self, Usage};
use crate::section::{Cells, Measure, Section, Unit, measure};
use crate::tally::Tally;

/// From the start of the process until the receiver may get notifications.
pub static SERVING: Measure = measure("time until /readyz", Unit::Seconds);
/// From the start of the process until every object is known.
pub static KNOWN: Measure = measure("time until all objects are known", Unit::Seconds);
/// Processor time until then.
pub static PROCESSOR: Measure = measure("processor time until then", Unit::Seconds);
/// Processor time until nothing was to be done any more.
pub static PROCESSOR_ALL: Measure = measure("processor time until at rest", Unit::Seconds);
/// What it wrote while it was watched.
pub static WRITES: Measure = measure("writes besides the Lease", Unit::Count);
/// What it asked Graph while it was watched.
pub static CALLS: Measure = measure("Graph requests per tenant", Unit::Each);
/// The same without what grows with the number of mailboxes by its nature.
pub static CALLS_BESIDES: Measure = measure(
    "Graph requests per tenant besides pages of lists",
    Unit::Each,
);
/// The same for each mailbox.
pub static CALLS_EACH: Measure = measure("Graph requests per mailbox", Unit::Each);

/// Calls that fetch a list page by page.
const LISTS: [&str; 2] = ["listSubscriptions", "listPlaces"];

/// What the operator logs when the lists are complete.
const KNOWN_LINE: &str = "the cluster's objects are known";
const KNOWN_DEADLINE: Duration = Duration::from_mins(2);

/// Ends a process as a rollout does, starts it again and watches.
pub(super) async fn take(
    turn: Turn<'_>,
    running: &mut Running,
    section: &mut Section,
) -> Result<(), Error> {
    let control_plane = &turn.ground.control_plane;
    let mut column = section.of(turn.contender.column());
    if matches!(running, Running::Operator(_)) {
        let (wanted, deadline) = (u64::from(turn.trial.mailboxes), turn.trial.deadline());
        turn.ground
            .all_counted(turn.place, wanted, deadline)
            .await?;
    }
    running.terminate().await?;
    let calls = turn.microsoft.calls().await?;
    let mark = control_plane.audit_mark().await?;
    match running {
        Running::Operator(operator) => knows(operator, &mut column).await?,
        Running::Twin(twin) => twin.restart().await?,
    }
    let (rest, share) = process::rest(running.id(), turn.trial.watch()).await?;
    running.still_runs()?;
    let entries = control_plane.audit_since(mark).await?;
    let tally = Tally::of(&entries, &turn.place.user());
    column.put(&PROCESSOR_ALL, rest.cpu.as_secs_f64());
    column.put(&AT_REST, share * 1000.0);
    column.put(&PEAK, count(rest.peak));
    column.put(&STEADY, count(rest.resident));
    let calls = turn.microsoft.calls().await?.since(&calls);
    told(&mut column, &tally, &calls, turn.trial);
    Ok(())
}

/// Starts the operator again, until it knows all objects.
async fn knows(operator: &mut OperatorProcess, column: &mut Cells<'_>) -> Result<(), Error> {
    let began = Instant::now();
    let lines = operator.logs().len();
    operator.restart().await?;
    column.put(&SERVING, began.elapsed().as_secs_f64());
    wait::until("the lists are complete", KNOWN_DEADLINE, async || {
        let logs = operator.logs();
        logs[lines..].iter().any(|line| line.contains(KNOWN_LINE))
    })
    .await?;
    column.put(&KNOWN, began.elapsed().as_secs_f64());
    let usage = Usage::of(operator.id())?;
    column.put(&PROCESSOR, usage.cpu.as_secs_f64());
    Ok(())
}

fn told(column: &mut Cells<'_>, tally: &Tally, calls: &Calls, trial: Trial<'_>) {
    let writes = tally.writes().map(|(_, _, number)| number).sum();
    column.put(&WRITES, count(writes));
    each_request(column, tally.writes());
    let (all, tenants) = (calls.requests(), f64::from(trial.tenants));
    let lists: u64 = LISTS.iter().map(|operation| calls.of(operation)).sum();
    column.put(&CALLS, count(all) / tenants);
    column.put(&CALLS_BESIDES, count(all - lists) / tenants);
    column.put(&CALLS_EACH, count(all) / f64::from(trial.mailboxes));
    each_call(column, calls);
}
