//! Sick: one large tenant gets a token, and then no answer to anything that concerns its mailboxes. What the others notice,
//! and how often the sick one is asked.

use jiff::Timestamp;
use testbed::audit::AuditEntry;
use testbed::error::Error;
use testbed::wait;

use super::cold::{TIME, Turn, all_ready, seconds_until};
use crate::contender::{Contender, Running};
use crate::ground::{Ground, Place};
use crate::microsoft::{Calls, Microsoft};
use crate::options::Trial;
use crate::process;
use crate::report::Results;
use crate::section::{Column, FLOOR, Measure, OPERATOR, Unit, measure};
use crate::tally::Tally;
use crate::world::World;

/// What the operator says it sent for the sick tenant: HTTP requests, tokens included, that were answered or given up.
pub static ASKED: Measure = measure("requests for the tenant that hangs", Unit::Count);
/// From the operator's start until it was asked that.
pub static WATCHED: Measure = measure("in so much time", Unit::Seconds);

/// One round: without the sick tenant, which stands where other scenarios have the floor, and beside it.
pub async fn round(ground: &Ground, trial: Trial<'_>, results: &mut Results) -> Result<(), Error> {
    let well = World::spread(trial.mailboxes, trial.tenants);
    turn(ground, &well, trial, results).await?;
    turn(ground, &well.beside_a_sick(trial.sick), trial, results).await
}

async fn turn(
    ground: &Ground,
    world: &World,
    trial: Trial<'_>,
    results: &mut Results,
) -> Result<(), Error> {
    let microsoft = Microsoft::start(world, trial.latency()).await?;
    let column: Column = match world.sick() {
        Some(tenant) => {
            microsoft.hang(&tenant, trial.latency()).await?;
            OPERATOR.into()
        }
        None => FLOOR.into(),
    };
    let place = ground.place(Contender::Operator, world, &microsoft).await?;
    let turn = Turn::of_operator((ground, &microsoft), trial, &place);
    let mark = ground.control_plane.audit_mark().await?;
    let (mut running, begin) = turn.begin().await?;
    all_ready(turn, &mut running, &Calls::default()).await?;
    let mut entries = ground.control_plane.audit_since(mark).await?;
    if world.sick().is_some() {
        entries.retain(is_about_others);
        asked(&running, (&place, begin), trial, results).await?;
    }
    let tally = Tally::of(&entries, &place.user());
    let mut column = results.sick.of(column);
    column.put(&TIME, seconds_until(begin, &tally));
    Ok(())
}

/// How long it takes until the sick tenant's statuses say something is no matter of the others.
fn is_about_others(entry: &AuditEntry) -> bool {
    !entry.name.starts_with(&World::sick_name())
}

/// What is sent for the sick tenant, the longer it is watched the more.
async fn asked(
    running: &Running,
    (place, begin): (&Place, Timestamp),
    trial: Trial<'_>,
    results: &mut Results,
) -> Result<(), Error> {
    let Running::Operator(operator) = running else {
        return Ok(());
    };
    wait::pause(trial.watch()).await;
    let label = format!("{}/{}", place.namespace, World::sick_name());
    let metrics = operator.metrics().await?;
    let sum = |name| metrics.sum(name, &[("tenant", &label)]).unwrap_or_default();
    let calls = sum("hybridcalendar_graph_requests_total");
    let in_batches = sum("hybridcalendar_graph_batched_requests_total");
    let watched = process::now().duration_since(begin);
    let mut column = results.sick.of(OPERATOR);
    column.put(&ASKED, calls - in_batches);
    column.put(&WATCHED, watched.as_secs_f64());
    Ok(())
}
