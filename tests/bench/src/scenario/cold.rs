//! Cold start: all objects are there and none has a status. Then the restart, in the world that this leaves.

use jiff::Timestamp;
use serde_json::Value;
use testbed::error::Error;

use super::writes::Manner;
use super::{floor, restart};
use crate::contender::{Contender, Running};
use crate::ground::{Ground, Place};
use crate::microsoft::{Calls, Microsoft};
use crate::options::{Scenario, Trial};
use crate::process::{self, Usage};
use crate::report::Results;
use crate::section::{Cells, FLOOR, Measure, Unit, found, measure};
use crate::tally::Tally;
use crate::world::World;

/// From the start of the process to the last status.
pub static TIME: Measure = measure("time until the last status", Unit::Seconds);
/// The same for each mailbox.
pub static TIME_EACH: Measure = measure("time per mailbox", Unit::Milliseconds);
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
/// How large such a status is, as JSON.
pub static STATUS_SIZE: Measure = measure("bytes of a status", Unit::Count);
/// Everything that the API server was asked for, for each mailbox.
pub static REQUESTS: Measure = measure("API server requests per mailbox", Unit::Each);
/// Events that were written.
pub static EVENTS: Measure = measure("Events", Unit::Count);
/// Calls to Graph for each mailbox.
pub static CALLS: Measure = measure("Graph requests per mailbox", Unit::Each);
/// Calls that Graph refused because there were too many.
pub static THROTTLED: Measure = measure("Graph answers 429", Unit::Count);

/// Where and with whom a turn is taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn<'a> {
    pub(super) ground: &'a Ground,
    pub(super) microsoft: &'a Microsoft,
    pub(super) trial: Trial<'a>,
    pub(super) contender: Contender,
    pub(super) place: &'a Place,
}

impl<'a> Turn<'a> {
    /// Where nobody but the operator is measured.
    pub(super) fn of_operator(
        (ground, microsoft): (&'a Ground, &'a Microsoft),
        trial: Trial<'a>,
        place: &'a Place,
    ) -> Self {
        Self {
            ground,
            microsoft,
            trial,
            contender: Contender::Operator,
            place,
        }
    }

    /// Starts who is measured; also returns when.
    pub(super) async fn begin(self) -> Result<(Running, Timestamp), Error> {
        let begin = process::now();
        let launched = self
            .ground
            .launch(self.contender, self.place, self.microsoft, self.trial);
        Ok((launched.await?, begin))
    }
}

/// One round: everybody in turn, each on a control plane of their own. On one for all, whoever comes first would find a
/// small API server, which has to collect its garbage more often than the large one that the last finds.
pub async fn round(trial: Trial<'_>, round: u32, results: &mut Results) -> Result<(), Error> {
    let world =
        World::spread(trial.mailboxes, trial.tenants).checked_every(trial.check_interval.clone());
    let microsoft = Microsoft::start(&world, trial.latency()).await?;
    for contender in Contender::all(&trial, round) {
        let ground = Ground::start().await?;
        let place = ground.place(contender, &world, &microsoft).await?;
        let turn = Turn {
            ground: &ground,
            microsoft: &microsoft,
            trial,
            contender,
            place: &place,
        };
        match (contender, results.status.clone()) {
            (Contender::Floor, status) => {
                let status = status.unwrap_or_default();
                let written = floor::write_all(turn, &status, Manner::default()).await?;
                written.tell(&mut results.cold.of(FLOOR), trial);
            }
            (Contender::Operator, _) => results.status = Some(take(turn, results).await?),
            (Contender::Twin(_), _) => drop(take(turn, results).await?),
        }
    }
    Ok(())
}

/// The turn of the operator or a twin; returns the status of one of the mailboxes.
async fn take(turn: Turn<'_>, results: &mut Results) -> Result<Value, Error> {
    let Turn {
        ground,
        microsoft,
        trial,
        contender,
        place,
    } = turn;
    let before = microsoft.calls().await?;
    let mark = ground.control_plane.audit_mark().await?;
    let (mut running, begin) = turn.begin().await?;
    let ready = all_ready(turn, &mut running, &before).await?;
    let usage = Usage::of(running.id())?;
    let (rest, share) = process::rest(running.id(), trial.watch()).await?;
    let entries = ground.control_plane.audit_since(mark).await?;
    let tally = Tally::of(&entries, &place.user());
    let mut cold = results.cold.of(contender.column());
    timed(&mut cold, seconds_until(begin, &tally), usage, trial);
    cold.put(&AT_REST, share * 1000.0);
    cold.put(&PEAK, count(rest.peak));
    cold.put(&STEADY, count(rest.resident));
    requested(&mut cold, &tally, trial);
    cold.put(
        &STATUS_SIZE,
        count(ready["status"].to_string().len() as u64),
    );
    called(&mut cold, &microsoft.calls().await?.since(&before), trial);
    if trial.has_any(&[Scenario::Restart, Scenario::Twins]) {
        restart::take(turn, &mut running, &mut results.restart).await?;
    }
    Ok(ready["status"].clone())
}

/// Waits until every mailbox is Ready; returns one of them. Nobody asks the API server before Microsoft was asked for
/// the last time, so that the wait itself costs next to nothing.
pub(super) async fn all_ready(
    turn: Turn<'_>,
    running: &mut Running,
    before: &Calls,
) -> Result<Value, Error> {
    let (wanted, last) = (u64::from(turn.trial.mailboxes), turn.contender.last_call());
    let (deadline, microsoft) = (turn.trial.deadline(), turn.microsoft);
    let what = "every mailbox was looked at";
    testbed::wait::for_some(what, deadline, async || {
        if let Err(error) = running.still_runs() {
            return Some(Err(error));
        }
        let calls = microsoft.calls().await.ok()?.since(before);
        (calls.of(last) >= wanted).then_some(Ok(()))
    })
    .await??;
    turn.ground.all_ready(turn.place, wanted, deadline).await
}

/// How long it took, and how much of the processor.
pub(super) fn timed(column: &mut Cells<'_>, seconds: f64, usage: Usage, trial: Trial<'_>) {
    let each = |seconds: f64| seconds * 1000.0 / f64::from(trial.mailboxes);
    let processor = usage.cpu.as_secs_f64();
    column.put(&TIME, seconds);
    column.put(&TIME_EACH, each(seconds));
    column.put(&PROCESSOR, processor);
    column.put(&PROCESSOR_EACH, each(processor));
}

/// What the API server was asked for.
pub(super) fn requested(column: &mut Cells<'_>, tally: &Tally, trial: Trial<'_>) {
    let each = |number: u64| count(number) / f64::from(trial.mailboxes);
    column.put(&STATUSES, each(tally.mailbox_statuses()));
    column.put(&REQUESTS, each(tally.requests()));
    column.put(&EVENTS, count(tally.events()));
    each_request(column, tally.writes().chain(tally.reads()));
}

/// What Graph was asked for.
pub(super) fn called(column: &mut Cells<'_>, calls: &Calls, trial: Trial<'_>) {
    column.put(&CALLS, count(calls.requests()) / f64::from(trial.mailboxes));
    column.put(&THROTTLED, count(calls.with_status("429")));
    each_call(column, calls);
}

/// How often the API server was asked for what.
pub(super) fn each_request<'a>(
    column: &mut Cells<'_>,
    requests: impl Iterator<Item = (&'a str, &'a str, u64)>,
) {
    for (verb, resource, number) in requests {
        let what = format!("API server: {verb} {resource}");
        column.put(&found(what, Unit::Count), count(number));
    }
}

/// How often Graph was asked for what.
pub(super) fn each_call(column: &mut Cells<'_>, calls: &Calls) {
    for operation in calls.operations() {
        let what = match calls.batched(operation) {
            0 => format!("Graph: {operation}"),
            _ => format!("Graph: {operation}, in batches"),
        };
        column.put(&found(what, Unit::Count), count(calls.of(operation)));
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
