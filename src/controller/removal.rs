//! Subscriptions beyond their objects: lists of a tenant's subscriptions, whose they are, and removing what a deleted
//! object left.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::item::{Item, Lane};
use super::mailbox::Passed;
use super::translate;
use super::ways;
use super::world::{Context, Inner, Listing, World};
use crate::domain::queue::Class;
use crate::domain::reading::{Outage, OutageKind};
use crate::domain::schedule::{backoff, later};
use crate::domain::sweep::{Ours, Owner};
use crate::graph::error::{ErrorClass, GraphError};
use crate::graph::gateway::TenantGateway;
use crate::graph::model::Subscription;
use crate::ids::{ObjectKey, SubscriptionId, Uid};

/// How long a tenant's list may be used again. What we created ourselves since then is in our statuses.
const LISTING_LIFE: Duration = Duration::from_mins(10);

/// A removal that has failed for so long is left to the sweep.
pub(super) const REMOVAL_PATIENCE: Duration = Duration::from_hours(1);

/// A subscription whose object is gone.
#[derive(Clone, Debug)]
pub(super) struct Removal {
    pub(super) tenant: ObjectKey,
    /// The object that is gone: decides where its tries lie among those of others.
    pub(super) object: Uid,
    pub(super) since: Timestamp,
    pub(super) tries: u32,
}

/// Whose subscription it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Owned {
    /// Of this installation, for this object.
    Ours {
        /// Its id.
        id: SubscriptionId,
        /// The object.
        uid: Uid,
    },
    /// Somebody else's.
    Foreign,
    /// It does not exist.
    Gone,
}

impl Inner {
    pub(super) fn ours(&self) -> Ours {
        let settings = &self.settings;
        Ours::new(
            settings.urls.instance().clone(),
            settings.take_over_from.clone(),
            &settings.namespaces(),
        )
    }

    /// Whose a subscription is, by the URL that it sends to.
    pub(super) async fn owner_of(
        &self,
        gateway: &TenantGateway,
        id: &SubscriptionId,
    ) -> Result<Owned, GraphError> {
        match gateway.get_subscription(id).await {
            Ok(subscription) => Ok(match self.ours().target(&subscription.notification_url) {
                Some(target) => Owned::Ours {
                    id: subscription.id,
                    uid: target.uid,
                },
                None => Owned::Foreign,
            }),
            Err(error) if matches!(error.class(), ErrorClass::NotFound(_)) => Ok(Owned::Gone),
            Err(error) => Err(error),
        }
    }

    /// One of ours for the object, if Graph lists any.
    pub(super) async fn find_owned(
        &self,
        gateway: &TenantGateway,
        uid: Uid,
    ) -> Result<Owned, GraphError> {
        let ours = self.ours();
        let found = gateway
            .list_subscriptions()
            .await?
            .into_iter()
            .find_map(|subscription| {
                let target = ours.target(&subscription.notification_url)?;
                (target.uid == uid).then_some(Owned::Ours {
                    id: subscription.id,
                    uid,
                })
            });
        Ok(found.unwrap_or(Owned::Foreign))
    }
}

/// The subscriptions of a tenant that are ours, by object: a list that is kept for a while and fetched once for all
/// who wait for it. They share its failure too: one after the other they would keep the tenant's other work waiting.
pub(super) async fn listing(
    context: &Context,
    tenant: &ObjectKey,
    newer_than: Option<Timestamp>,
) -> Result<Listing, Outage> {
    let (gateway, slot) = {
        let world = context.world();
        let slot = world
            .tenants
            .get(tenant)
            .map(|state| Arc::clone(&state.listing));
        (world.gateway(tenant), slot)
    };
    let (Some(gateway), Some(slot)) = (gateway, slot) else {
        return Err(Outage::of(OutageKind::NoToken));
    };
    let asked_at = context.clock.now();
    let mut slot = slot.lock().await;
    if let Some((at, outage)) = slot.failed.as_ref().filter(|(at, _)| *at >= asked_at) {
        tracing::debug!(%tenant, %at, "the list that others waited for failed");
        return Err(outage.clone());
    }
    let now = context.clock.now();
    let usable = |listing: &&Listing| {
        now < later(listing.at, LISTING_LIFE)
            && newer_than.is_none_or(|instant| listing.at > instant)
    };
    if let Some(listing) = slot.last.as_ref().filter(usable) {
        return Ok(listing.clone());
    }
    match gateway.list_subscriptions().await {
        Ok(all) => Ok(slot.last.insert(sorted(context, &all, now)).clone()),
        Err(error) => {
            let outage = translate::outage(error);
            slot.failed = Some((context.clock.now(), outage.clone()));
            Err(outage)
        }
    }
}

fn sorted(context: &Context, all: &[Subscription], now: Timestamp) -> Listing {
    let ours = context.ours();
    let mut by_object: BTreeMap<Uid, Vec<SubscriptionId>> = BTreeMap::new();
    for subscription in all {
        if let Some(target) = ours.target(&subscription.notification_url) {
            by_object
                .entry(target.uid)
                .or_default()
                .push(subscription.id.clone());
        }
    }
    Listing {
        at: now,
        ours: Arc::new(by_object),
    }
}

impl World {
    /// What the store says about the object with this UID.
    pub(super) fn owner(&self, uid: Uid) -> Owner {
        let Some(key) = self.store.key_of(uid) else {
            return Owner::Gone;
        };
        if self.in_flight.contains(&Item::Mailbox(key.clone())) {
            return Owner::Busy;
        }
        let Some(entry) = self.store.mailbox(key) else {
            return Owner::Gone;
        };
        let named = entry.record.status.subscription.as_ref();
        let named = named.map(|subscription| subscription.id.clone());
        if self.store.may_have(entry) {
            Owner::Names(named)
        } else {
            let generation = entry.record.generation;
            Owner::Lost { named, generation }
        }
    }

    /// The subscription of an object that is gone is to be removed.
    pub(super) fn plan_removal(
        &mut self,
        id: SubscriptionId,
        (tenant, object): (ObjectKey, Uid),
        now: Timestamp,
    ) {
        let lane = Lane::Cleanup(tenant.clone());
        self.removals.entry(id.clone()).or_insert(Removal {
            tenant,
            object,
            since: now,
            tries: 0,
        });
        self.queue
            .wake(Item::Removal(Box::new(id)), lane, now, Class::Routine);
    }
}

/// Removes the subscription of an object that is gone.
pub(super) async fn pass(context: &Context, id: &SubscriptionId) -> Passed {
    let removal = context.world().removals.get(id).cloned();
    let Some(removal) = removal else {
        return Passed::Unchanged;
    };
    let outcome = match ways::for_removal(context, &removal.tenant).await {
        Some(gateway) => match gateway.delete_subscription(id).await {
            Ok(()) => Ok(()),
            Err(error) if matches!(error.class(), ErrorClass::NotFound(_)) => Ok(()),
            Err(error) => Err(error.to_string()),
        },
        None => Err("the tenant has no credential".to_owned()),
    };
    let now = context.clock.now();
    let mut world = context.world();
    match outcome {
        Ok(()) => {
            world.removals.remove(id);
            context
                .metrics
                .count_subscription_operation("deleteSubscription", &removal.tenant.to_string());
            Passed::Changed
        }
        Err(problem) if now >= later(removal.since, REMOVAL_PATIENCE) => {
            world.removals.remove(id);
            tracing::warn!(subscription = %id, tenant = %removal.tenant, problem, "the subscription of a deleted object could not be removed; the sweep removes it when the tenant can be reached");
            Passed::Failed
        }
        Err(problem) => {
            tracing::debug!(subscription = %id, tenant = %removal.tenant, problem, "the subscription of a deleted object is removed later");
            if let Some(removal) = world.removals.get_mut(id) {
                removal.tries = removal.tries.saturating_add(1);
            }
            Passed::Failed
        }
    }
}

/// When a removal is tried again.
pub(super) fn next_removal(
    world: &World,
    context: &Inner,
    id: &SubscriptionId,
    now: Timestamp,
) -> Option<(Timestamp, Class)> {
    let removal = world.removals.get(id)?;
    let wait = backoff::transient(removal.tries.max(1), removal.object, context.settings.pace);
    Some((later(now, wait), Class::Routine))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::stage::{Stage, room, start, tenant};
    use super::*;

    #[tokio::test]
    async fn removals_that_fail_together_come_back_apart() {
        let stage = Stage::new();
        let context = stage.context();
        let mut world = context.world();
        let due = |world: &mut World, number: u8| {
            let id = SubscriptionId::new(format!("subscription-{number}"));
            let left_by = (tenant(1).key, room(number).uid);
            world.plan_removal(id.clone(), left_by, start());
            next_removal(world, &context, &id, start()).unwrap().0
        };
        let all: BTreeSet<Timestamp> = (1..=9).map(|number| due(&mut world, number)).collect();
        assert_eq!(all.len(), 9);
    }
}
