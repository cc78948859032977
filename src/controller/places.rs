//! Which rooms Places lists, read once for all mailboxes of a tenant.
//!
//! A list takes fewer requests than a question for each room, unless the company has many more rooms than are declared:
//! then it is broken off where it would cost more, and each room is asked for. That a room is missing from a list that
//! is some minutes old proves nothing; it is asked for, too. So is every room while a long list is being read: its pages
//! come one after the other, a hundred rooms each, and no mailbox waits for thousands of others.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::world::Context;
use crate::clock::Clock;
use crate::domain::schedule::{earlier, later};
use crate::graph::gateway::TenantGateway;
use crate::ids::ObjectKey;

/// As many questions fit into one batch.
const QUESTIONS_A_REQUEST: usize = 20;

/// With fewer mailboxes a list saves nothing.
const FEW: usize = 2 * QUESTIONS_A_REQUEST;

/// How long nobody asks for a list that could not be read.
const AFTER_FAILURE: Duration = Duration::from_mins(1);

/// The same for one that was too long.
const AFTER_TOO_MANY: Duration = Duration::from_hours(24);

/// How long mailboxes wait for a list that is being read, counted from its beginning.
const PATIENCE: Duration = Duration::from_secs(1);

/// The last list of a tenant's rooms, and what goes on about the next.
#[derive(Debug, Default)]
pub(super) struct Rooms(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Listed>,
    /// When a list is tried again that could not be read.
    not_before: Option<Timestamp>,
    reading: Option<Reading>,
}

#[derive(Debug)]
struct Listed {
    at: Timestamp,
    addresses: HashSet<Box<str>>,
}

/// A list that is being read, or has been.
#[derive(Clone, Debug)]
struct Reading {
    waited_for_until: Instant,
    /// Closed once it has ended, however that was.
    ended: watch::Receiver<()>,
}

impl Rooms {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn last_since(&self, oldest: Timestamp) -> Option<&Listed> {
        self.last.as_ref().filter(|listed| oldest < listed.at)
    }

    fn under_way(&self) -> Option<Reading> {
        let reading = self.reading.as_ref();
        reading
            .filter(|reading| reading.ended.has_changed().is_ok())
            .cloned()
    }
}

/// Whether a list that is not older than `age` has the room with this address. `false` says nothing.
pub(super) async fn lists(
    context: &Context,
    (tenant, mailboxes): (&ObjectKey, usize),
    address: &str,
    age: Duration,
) -> bool {
    if mailboxes < FEW {
        return false;
    }
    let (gateway, rooms) = {
        let world = context.world();
        let rooms = world
            .tenants
            .get(tenant)
            .map(|state| Arc::clone(&state.rooms));
        (world.gateway(tenant), rooms)
    };
    let (Some(gateway), Some(rooms)) = (gateway, rooms) else {
        return false;
    };
    let now = context.clock.now();
    let oldest = earlier(now, age);
    let reading = {
        let mut state = rooms.state();
        let refused = state.not_before.is_some_and(|instant| now < instant);
        if refused || state.last_since(oldest).is_some() {
            None
        } else {
            let under_way = state.under_way().unwrap_or_else(|| {
                let most = mailboxes.div_ceil(QUESTIONS_A_REQUEST);
                let of = (tenant.clone(), gateway);
                read(Arc::clone(&rooms), of, most, context.clock.clone())
            });
            state.reading = Some(under_way.clone());
            Some(under_way)
        }
    };
    if let Some(mut reading) = reading {
        // Nothing is ever sent: it ends, or is not waited for any longer.
        let _ = timeout_at(reading.waited_for_until, reading.ended.changed()).await;
    }
    let state = rooms.state();
    let has = |listed: &Listed| listed.addresses.contains(address.to_lowercase().as_str());
    state.last_since(oldest).is_some_and(has)
}

/// Reads a list beside all passes, so that none of them has to see it to its end.
fn read(
    rooms: Arc<Rooms>,
    (tenant, gateway): (ObjectKey, TenantGateway),
    most: usize,
    clock: Clock,
) -> Reading {
    let (ends, ended) = watch::channel(());
    let began = clock.now();
    tokio::spawn(async move {
        let (last, pause) = match gateway.rooms(most).await {
            Ok(Some(rooms)) => {
                let addresses = rooms.into_iter().filter_map(|room| room.email_address);
                let addresses = addresses.map(|address| address.to_lowercase().into());
                let listed = Listed {
                    at: began,
                    addresses: addresses.collect(),
                };
                (Some(listed), None)
            }
            Ok(None) => (None, Some(AFTER_TOO_MANY)),
            Err(error) => {
                tracing::debug!(%tenant, %error, "the rooms could not be listed; each is asked for");
                (None, Some(AFTER_FAILURE))
            }
        };
        let mut state = rooms.state();
        state.last = last;
        state.not_before = pause.map(|pause| later(clock.now(), pause));
        drop(state);
        drop(ends);
    });
    Reading {
        waited_for_until: Instant::now() + PATIENCE,
        ended,
    }
}
