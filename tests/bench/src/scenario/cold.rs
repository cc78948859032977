//! Cold start: all objects are there and none has a status. Then the restart, in the world that this leaves.

use jiff::Timestamp;
use serde_json::Value;
use testbed::error::Error;
use testbed::operator::OperatorProcess;

use super::{floor, restart};
use crate::ground::{Ground, Place};
use crate::microsoft::{Calls, Microsoft};
use crate::options::{Options, Scenario};
use crate::process::{self, Usage};
use crate::report::{Measure, Report, Section, Unit, found, measure};
use crate::tally::Tally;
use crate::world::World;

/// From the start of the process to the last status.
pub static TIME: Measure = measure("time until the last status", Unit::Seconds);
/// Processor time until then.
pub static PROCESSOR: Measure = measure("processor time", Unit::Seconds);
/// The same for each mailbox.
pub static PROCESSOR_EACH: Measure = measure("processor time per mailbox", Unit::Milliseconds);
/// Processor time in a world that has settled, in thousandths of a core.
pub static AT_REST: Measure = measure("processor at rest, millicores", Unit::Each);
/// The most resident memory.
pub static PEAK: Measure = measure("resident memory, peak", Unit::Memory);
/// Resident memory when nothing is to be done any more.
pub static STEADY: Measure = measure("resident memory, at rest", Unit::Memory);
/// Status writes for each mailbox.
pub static STATUSES: Measure = measure("status writes per mailbox", Unit::Each);
/// Events that were written.
pub static EVENTS: Measure = measure("Events", Unit::Count);
/// Calls to Graph for each mailbox.
pub static CALLS: Measure = measure("Graph requests per mailbox", Unit::Each);
/// Calls that Graph refused because there were too many.
pub static THROTTLED: Measure = measure("Graph answers 429", Unit::Count);

/// One round: operator and floor in turn, the floor first in every other round.
pub async fn round(
    ground: &Ground,
    options: &Options,
    round: u32,
    report: &mut Report,
) -> Result<(), Error> {
    let world = World::spread(options.mailboxes, options.tenants);
    let microsoft = Microsoft::start(&world, options.latency()).await?;
    let floor_wanted = options.has(Scenario::Cold);
    let early = report
        .status
        .clone()
        .filter(|_| floor_wanted && round % 2 == 1);
    if let Some(status) = &early {
        let place = ground.place(&world, &microsoft).await?;
        floor::turn((ground, &place), status, options, report).await?;
    }
    let status = turn(ground, &microsoft, (options, &world), report).await?;
    if floor_wanted && early.is_none() {
        let place = ground.place(&world, &microsoft).await?;
        floor::turn((ground, &place), &status, options, report).await?;
    }
    report.status = Some(status);
    Ok(())
}

/// The operator's turn; returns the status of one of its mailboxes.
async fn turn(
    ground: &Ground,
    microsoft: &Microsoft,
    (options, world): (&Options, &World),
    report: &mut Report,
) -> Result<Value, Error> {
    let place = ground.place(world, microsoft).await?;
    let mark = ground.control_plane.audit_mark().await?;
    let begin = process::now();
    let mut operator = ground.operator(&place, microsoft, options).await?;
    let ready = ground.all_ready(&place, microsoft, options).await?;
    let usage = Usage::of(operator.id())?;
    let (rest, share) = process::rest(operator.id(), options.watch()).await?;
    let tally = Tally::of(
        &ground.control_plane.audit_since(mark).await?,
        &place.user(),
    );
    let cold = &mut report.cold;
    cold.operator(&TIME, seconds_until(begin, &tally));
    spent(cold, usage, options);
    cold.operator(&AT_REST, share * 1000.0);
    cold.operator(&PEAK, bytes(rest.peak));
    cold.operator(&STEADY, bytes(rest.resident));
    requested(cold, &tally, options);
    called(cold, &microsoft.calls().await?, options);
    restarted((ground, &place, microsoft), &mut operator, options, report).await?;
    Ok(ready["status"].clone())
}

async fn restarted(
    around: (&Ground, &Place, &Microsoft),
    operator: &mut OperatorProcess,
    options: &Options,
    report: &mut Report,
) -> Result<(), Error> {
    if !options.has(Scenario::Restart) {
        return Ok(());
    }
    restart::turn(around, operator, options, &mut report.restart).await
}

fn spent(section: &mut Section, usage: Usage, options: &Options) {
    let seconds = usage.cpu.as_secs_f64();
    section.operator(&PROCESSOR, seconds);
    let each = seconds * 1000.0 / f64::from(options.mailboxes);
    section.operator(&PROCESSOR_EACH, each);
}

fn requested(section: &mut Section, tally: &Tally, options: &Options) {
    let each = count(tally.mailbox_statuses()) / f64::from(options.mailboxes);
    section.operator(&STATUSES, each);
    section.operator(&EVENTS, count(tally.events()));
    each_request(section, tally.writes().chain(tally.reads()));
}

fn called(section: &mut Section, calls: &Calls, options: &Options) {
    section.operator(&CALLS, count(calls.total()) / f64::from(options.mailboxes));
    section.operator(&THROTTLED, count(calls.with_status("429")));
    each_call(section, calls);
}

/// How often the API server was asked for what.
pub(super) fn each_request<'a>(
    section: &mut Section,
    requests: impl Iterator<Item = (&'a str, &'a str, u64)>,
) {
    for (verb, resource, number) in requests {
        let what = format!("API server: {verb} {resource}");
        section.operator(&found(what, Unit::Count), count(number));
    }
}

/// How often Graph was asked for what.
pub(super) fn each_call(section: &mut Section, calls: &Calls) {
    for operation in calls.operations() {
        let what = format!("Graph: {operation}");
        section.operator(&found(what, Unit::Count), count(calls.of(operation)));
    }
}

/// Seconds from a moment to the last status of a mailbox.
pub(super) fn seconds_until(begin: Timestamp, tally: &Tally) -> f64 {
    let last = tally.last_mailbox_status().unwrap_or(begin);
    last.duration_since(begin).as_secs_f64()
}

/// Counts are far below what a float holds exactly.
#[expect(clippy::cast_precision_loss, reason = "counts are below 2^52")]
pub(super) fn count(number: u64) -> f64 {
    number as f64
}

pub(super) fn bytes(number: u64) -> f64 {
    count(number)
}
