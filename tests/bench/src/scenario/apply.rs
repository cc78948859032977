//! Apply one: somebody makes a mailbox while many wait for their first validation, in the same tenant and in another.

use std::time::Duration;

use kube::api::{Api, DynamicObject};
use kube::runtime::wait::await_condition;
use serde_json::Value;
use testbed::error::Error;
use testbed::objects::Expected;
use testbed::wait;
use tokio::time::Instant;

use super::cold::count;
use crate::contender::Contender;
use crate::ground::{Ground, Place};
use crate::microsoft::Microsoft;
use crate::options::Trial;
use crate::report::Results;
use crate::section::{Measure, OPERATOR, Unit, measure};
use crate::world::World;

/// In a tenant where nobody waits.
pub static OTHER: Measure = measure("time to Ready in another tenant", Unit::Seconds);
/// In the tenant where all wait.
pub static SAME: Measure = measure("time to Ready in the same tenant", Unit::Seconds);
/// How many still waited at the end: none would mean that the others did not wait long enough.
pub static WAITING: Measure = measure("first validations still waiting at the end", Unit::Count);

const CROWDED: u32 = 1;
const CALM: u32 = 2;
/// So many subscriptions in the crowd show that its tenant is known and that work goes on.
const UNDER_WAY: u64 = 20;

/// One round.
pub async fn round(ground: &Ground, trial: Trial<'_>, results: &mut Results) -> Result<(), Error> {
    let world = World::crowd(trial.mailboxes, trial.probes);
    let microsoft = Microsoft::start(&world, trial.latency()).await?;
    let place = ground
        .place(Contender::Operator, &world, &microsoft)
        .await?;
    let _operator = ground.operator(&place, &microsoft, trial).await?;
    let enough = UNDER_WAY.min(u64::from(trial.mailboxes));
    let what = "first validations are under way";
    wait::until(what, trial.deadline(), async || {
        let calls = microsoft.calls().await;
        calls.is_ok_and(|calls| calls.of("createSubscription") >= enough)
    })
    .await?;
    for number in 1..=trial.probes {
        for (tenant, measure) in [(CALM, &OTHER), (CROWDED, &SAME)] {
            let mailbox = world.spare(tenant, number);
            let took = ready(ground, &place, mailbox, trial.deadline()).await?;
            let mut column = results.apply.of(OPERATOR);
            column.put(measure, took.as_secs_f64());
        }
    }
    let all = u64::from(world.declared() + 2 * trial.probes);
    let done = microsoft.calls().await?.of("createSubscription");
    let waiting = count(all.saturating_sub(done));
    results.apply.of(OPERATOR).put(&WAITING, waiting);
    Ok(())
}

/// How long a mailbox takes from its creation to Ready.
pub(super) async fn ready(
    ground: &Ground,
    place: &Place,
    mailbox: Value,
    deadline: Duration,
) -> Result<Duration, Error> {
    let name = mailbox["metadata"]["name"].as_str().unwrap_or_default();
    let (name, api) = (name.to_owned(), ground.mailboxes(place));
    let began = Instant::now();
    ground.add(place, mailbox).await?;
    let waited = tokio::time::timeout(deadline, watched(api, &name)).await;
    match waited {
        Ok(watched) => watched.map(|()| began.elapsed()),
        Err(_) => Err(Error::Deadline {
            what: format!("{name} is Ready"),
            deadline,
        }),
    }
}

/// Waits by a watch, which tells at once.
async fn watched(api: Api<DynamicObject>, name: &str) -> Result<(), Error> {
    let ready = Expected::parse("Ready=True")?;
    let holds = |object: Option<&DynamicObject>| {
        let object = object.and_then(|object| serde_json::to_value(object).ok());
        object.is_some_and(|object| ready.holds(&object))
    };
    let watched = await_condition(api, name, holds).await;
    watched.map(|_| ()).map_err(|error| Error::Document {
        what: format!("the watch of {name}"),
        message: error.to_string(),
    })
}
