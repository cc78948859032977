//! Which rooms Places lists, read once for all mailboxes of a tenant.
//!
//! A list takes fewer requests than a question for each room, unless the company has many more rooms than are declared:
//! then it is broken off where it would cost more, and each room is asked for. That a room is missing from a list that
//! is some minutes old proves nothing; it is asked for, too.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::world::Context;
use crate::domain::schedule::later;
use crate::ids::ObjectKey;

/// As many questions fit into one batch.
const QUESTIONS_A_REQUEST: usize = 20;

/// With fewer mailboxes a list saves nothing.
const FEW: usize = 2 * QUESTIONS_A_REQUEST;

/// How long nobody asks for a list that could not be read.
const AFTER_FAILURE: Duration = Duration::from_mins(1);

/// The same for one that was too long.
const AFTER_TOO_MANY: Duration = Duration::from_hours(24);

/// What became of the last list of a tenant's rooms.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    last: Option<Listed>,
    not_before: Option<Timestamp>,
}

#[derive(Debug)]
struct Listed {
    at: Timestamp,
    addresses: HashSet<Box<str>>,
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
    let (gateway, slot) = {
        let world = context.world();
        let slot = world
            .tenants
            .get(tenant)
            .map(|state| Arc::clone(&state.rooms));
        (world.gateway(tenant), slot)
    };
    let (Some(gateway), Some(slot)) = (gateway, slot) else {
        return false;
    };
    let mut slot = slot.lock().await;
    let now = context.clock.now();
    let fresh = slot
        .last
        .as_ref()
        .is_some_and(|listed| now < later(listed.at, age));
    if !fresh {
        if slot.not_before.is_some_and(|instant| now < instant) {
            return false;
        }
        let most = mailboxes.div_ceil(QUESTIONS_A_REQUEST);
        *slot = match gateway.rooms(most).await {
            Ok(Some(rooms)) => Rooms {
                last: Some(Listed {
                    at: now,
                    addresses: rooms
                        .into_iter()
                        .filter_map(|room| room.email_address)
                        .map(|address| address.to_lowercase().into())
                        .collect(),
                }),
                not_before: None,
            },
            Ok(None) => Rooms {
                last: None,
                not_before: Some(later(now, AFTER_TOO_MANY)),
            },
            Err(error) => {
                tracing::debug!(%tenant, %error, "the rooms could not be listed; each is asked for");
                Rooms {
                    last: None,
                    not_before: Some(later(now, AFTER_FAILURE)),
                }
            }
        };
    }
    let has = |listed: &Listed| listed.addresses.contains(address.to_lowercase().as_str());
    slot.last.as_ref().is_some_and(has)
}
