//! Writes: the bare program writes the same status in every manner that the API server knows. What each costs the API
//! server, which has most of the work in a cold start.

use std::fmt;

use clap::ValueEnum;
use serde_json::Value;
use testbed::error::Error;

use super::cold::{Turn, all_ready};
use super::floor;
use crate::contender::Contender;
use crate::ground::Ground;
use crate::microsoft::{Calls, Microsoft};
use crate::options::Trial;
use crate::process::Usage;
use crate::report::Results;
use crate::section::{Measure, Unit, measure};
use crate::world::World;

/// Processor time of the API server for each status.
pub static APISERVER_EACH: Measure =
    measure("API server's processor time per status", Unit::Milliseconds);

/// In which manner a status is written. Unless unchecked, the API server looks for fields that it does not know, to
/// warn of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Manner {
    /// Server-side apply.
    Apply,
    /// The same, unchecked.
    ApplyUnchecked,
    /// A merge patch.
    Merge,
    /// The same, unchecked.
    MergeUnchecked,
    /// An update (PUT) of the status subresource.
    Replace,
    /// The same, unchecked: as the operator does it.
    #[default]
    ReplaceUnchecked,
}

impl Manner {
    /// Whether the API server drops fields that it does not know without a word.
    #[must_use]
    pub fn is_unchecked(self) -> bool {
        matches!(
            self,
            Self::ApplyUnchecked | Self::MergeUnchecked | Self::ReplaceUnchecked
        )
    }
}

impl fmt::Display for Manner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.to_possible_value();
        f.write_str(name.as_ref().map_or("", |name| name.get_name()))
    }
}

/// One round: every manner in turn, each on a control plane of its own; another one begins each time.
pub async fn round(trial: Trial<'_>, round: u32, results: &mut Results) -> Result<(), Error> {
    let status = match results.status.clone() {
        Some(status) => status,
        None => a_status(trial).await?,
    };
    let world = World::spread(trial.mailboxes, trial.tenants);
    let microsoft = Microsoft::start(&world, trial.latency()).await?;
    let mut manners = Manner::value_variants().to_vec();
    let first = round as usize % manners.len();
    manners.rotate_left(first);
    for manner in manners {
        let ground = Ground::start().await?;
        let place = ground.place(Contender::Floor, &world, &microsoft).await?;
        let turn = Turn {
            ground: &ground,
            microsoft: &microsoft,
            trial,
            contender: Contender::Floor,
            place: &place,
        };
        let apiserver = ground.control_plane.apiserver_id().await;
        let before = Usage::of(apiserver)?;
        let written = floor::write_all(turn, &status, manner).await?;
        let spent = Usage::of(apiserver)?.cpu.saturating_sub(before.cpu);
        let each = spent.as_secs_f64() * 1000.0 / f64::from(trial.mailboxes);
        let mut column = results.writes.of(manner.to_string());
        column.put(&APISERVER_EACH, each);
        written.tell(&mut column, trial);
    }
    results.status = Some(status);
    Ok(())
}

/// What the operator writes of a mailbox.
async fn a_status(trial: Trial<'_>) -> Result<Value, Error> {
    let mut trial = trial;
    trial.mailboxes = 1;
    let world = World::spread(1, 1);
    let microsoft = Microsoft::start(&world, trial.latency()).await?;
    let ground = Ground::start().await?;
    let place = ground
        .place(Contender::Operator, &world, &microsoft)
        .await?;
    let turn = Turn::of_operator((&ground, &microsoft), trial, &place);
    let (mut running, _) = turn.begin().await?;
    let ready = all_ready(turn, &mut running, &Calls::default()).await?;
    Ok(ready["status"].clone())
}
