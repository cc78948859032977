//! Quotas: all mailboxes are in one tenant, and Graph allows no more than its documentation says. How close the operator
//! comes to that, and whether it ever has to be told.

use testbed::error::Error;

use super::cold::{TIME, Turn, all_ready, called, requested, seconds_until, timed};
use crate::contender::Contender;
use crate::ground::Ground;
use crate::microsoft::{Calls, Microsoft};
use crate::options::Trial;
use crate::process::Usage;
use crate::report::Results;
use crate::section::{FLOOR, OPERATOR};
use crate::tally::Tally;
use crate::world::World;

/// So many subscriptions may an application create in one tenant, in so many seconds (docs/graph.md 9.1).
const CREATES: (f64, f64) = (500.0, 20.0);

/// One round. Where other scenarios have the floor, this one has what the quotas allow.
pub async fn round(ground: &Ground, trial: Trial<'_>, results: &mut Results) -> Result<(), Error> {
    let world = World::spread(trial.mailboxes, 1).with_quotas();
    let microsoft = Microsoft::start(&world, trial.latency()).await?;
    let place = ground
        .place(Contender::Operator, &world, &microsoft)
        .await?;
    let turn = Turn::of_operator((ground, &microsoft), trial, &place);
    let mark = ground.control_plane.audit_mark().await?;
    let (mut running, begin) = turn.begin().await?;
    all_ready(turn, &mut running, &Calls::default()).await?;
    let usage = Usage::of(running.id())?;
    let entries = ground.control_plane.audit_since(mark).await?;
    let tally = Tally::of(&entries, &place.user());
    let mut column = results.quotas.of(OPERATOR);
    timed(&mut column, seconds_until(begin, &tally), usage, trial);
    requested(&mut column, &tally, trial);
    called(&mut column, &microsoft.calls().await?, trial);
    results
        .quotas
        .of(FLOOR)
        .put(&TIME, allowed(trial.mailboxes));
    Ok(())
}

/// How many seconds so many subscriptions take at the rate that is allowed.
fn allowed(mailboxes: u32) -> f64 {
    f64::from(mailboxes) * CREATES.1 / CREATES.0
}
