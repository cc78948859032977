//! Takeover: a copy stands by, and the one that leads is told to end, or killed. How long it takes until the next copy turns
//! to Microsoft, and what becomes of a mailbox that somebody makes at that moment.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use testbed::error::Error;
use testbed::operator::{OperatorOptions, OperatorProcess};
use testbed::wait;

use super::apply::ready;
use super::cold::{Turn, all_ready, count};
use crate::contender::{Contender, Running};
use crate::ground::Ground;
use crate::microsoft::{Calls, Journalled, Microsoft};
use crate::options::Trial;
use crate::process;
use crate::report::Results;
use crate::section::{Cells, Measure, Unit, measure};
use crate::tally::Tally;
use crate::world::World;

/// Until the first call to Microsoft: for a token, which each copy has to get for itself.
pub static FIRST: Measure = measure("time until the next copy acts", Unit::Seconds);
/// Until the first call about the new mailbox.
pub static LOOKED: Measure = measure("time until it looks at a new mailbox", Unit::Seconds);
/// Until that mailbox is Ready.
pub static READY: Measure = measure("time until a new mailbox is Ready", Unit::Seconds);
/// What the next copy wrote that was no matter of the new mailbox.
pub static STATUSES: Measure = measure("statuses of other mailboxes written", Unit::Count);
/// Of the copy that leads.
pub static LEADING: Measure = measure("resident memory of the leader", Unit::Memory);
/// Of the copy that stands by.
pub static STANDING_BY: Measure = measure("resident memory of who stands by", Unit::Memory);

/// The column of leaders that got SIGTERM.
pub const TOLD: &str = "told to end";
/// The column of leaders that got SIGKILL.
pub const KILLED: &str = "killed";

/// How a leader ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Told,
    Killed,
}

impl End {
    const fn column(self) -> &'static str {
        match self {
            Self::Told => TOLD,
            Self::Killed => KILLED,
        }
    }
}

/// The tenant of the new mailboxes.
const TENANT: u32 = 1;
const LEADS_DEADLINE: Duration = Duration::from_mins(1);

/// One round: both ends of a leader.
pub async fn round(ground: &Ground, trial: Trial<'_>, results: &mut Results) -> Result<(), Error> {
    let world = World::spread(trial.mailboxes, trial.tenants).with_spare(2);
    let microsoft = Microsoft::start(&world, trial.latency()).await?;
    let place = ground
        .place(Contender::Operator, &world, &microsoft)
        .await?;
    let turn = Turn::of_operator((ground, &microsoft), trial, &place);
    // The copy that will be the next one is the one that Graph reaches, whoever leads.
    let (mut running, _) = turn.begin().await?;
    all_ready(turn, &mut running, &Calls::default()).await?;
    let Running::Operator(mut next) = running else {
        return Ok(());
    };
    for (number, end) in (1..).zip([End::Told, End::Killed]) {
        let mut leader = in_front_of(&mut next).await?;
        let mut column = results.takeover.of(end.column());
        for (copy, measure) in [(&leader, &LEADING), (&*next, &STANDING_BY)] {
            let (rest, _) = process::rest(copy.id(), Duration::ZERO).await?;
            column.put(measure, count(rest.resident));
        }
        let arrival = Arrival {
            turn,
            mailbox: world.spare(TENANT, number),
            end,
        };
        arrival.measure(&mut leader, &next, &mut column).await?;
    }
    Ok(())
}

/// Another copy that leads, while this one starts anew behind it. Graph still calls this one.
async fn in_front_of(next: &mut OperatorProcess) -> Result<OperatorProcess, Error> {
    next.tell_to_end()?;
    let elsewhere = OperatorOptions {
        notification_url: Some(next.receiver_url()),
        receiver_listen: None,
        admin_listen: None,
        ..next.options().clone()
    };
    let leader = OperatorProcess::start(elsewhere).await?;
    wait::until("the first copy leads", LEADS_DEADLINE, async || {
        let metrics = leader.metrics().await;
        metrics.is_ok_and(|metrics| metrics.sum("hybridcalendar_leader", &[]) == Some(1.0))
    })
    .await?;
    next.restart().await?;
    Ok(leader)
}

/// A mailbox that is made when the leader ends.
struct Arrival<'a> {
    turn: Turn<'a>,
    mailbox: Value,
    end: End,
}

impl Arrival<'_> {
    /// Ends the leader; what the next one does then.
    async fn measure(
        self,
        leader: &mut OperatorProcess,
        next: &OperatorProcess,
        column: &mut Cells<'_>,
    ) -> Result<(), Error> {
        let (turn, control_plane) = (self.turn, &self.turn.ground.control_plane);
        let text = |pointer| self.mailbox.pointer(pointer).and_then(Value::as_str);
        let name = text("/metadata/name").unwrap_or_default().to_owned();
        let address = text("/spec/address").unwrap_or_default().to_owned();
        let mark = control_plane.audit_mark().await?;
        let end = process::now();
        match self.end {
            End::Told => leader.tell_to_end()?,
            End::Killed => leader.kill(),
        }
        ready(turn.ground, turn.place, self.mailbox, turn.trial.deadline()).await?;
        let since = |time: Timestamp| time.duration_since(end).as_secs_f64();
        column.put(&READY, since(process::now()));
        let mut calls = turn.microsoft.journal().await?;
        calls.retain(|call| call.time > end);
        // The journal is in the order of the answers.
        calls.sort_by_key(|call| call.time);
        let is_token = |call: &&Journalled| call.operation == "token";
        let is_about = |call: &&Journalled| call.mailbox.as_deref() == Some(&address);
        let (first, looked) = (calls.iter().find(is_token), calls.iter().find(is_about));
        for (measure, call) in [(&FIRST, first), (&LOOKED, looked)] {
            if let Some(call) = call {
                column.put(measure, since(call.time));
            }
        }
        process::rest(next.id(), Duration::ZERO).await?;
        let mut entries = control_plane.audit_since(mark).await?;
        entries.retain(|entry| entry.name != name);
        let tally = Tally::of(&entries, &turn.place.user());
        column.put(&STATUSES, count(tally.mailbox_statuses()));
        Ok(())
    }
}
