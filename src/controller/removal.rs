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
use crate::domain::mailbox::subscription::kept;
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
    /// What this process knows about the object with this UID, statuses that it could not write yet included.
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
        let named = kept(&entry.record, &entry.memory).map(|subscription| subscription.id.clone());
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
    use crate::api::v1alpha1::mailbox::Subscription as Shown;
    use crate::domain::mailbox::subscription::Progress;
    use crate::domain::sweep::Named;

    /// A subscription of the object with this number.
    fn made_for(number: u8, id: &str) -> Shown {
        let shown = serde_json::json!({
            "id": id, "expiresAt": "2026-12-01T08:00:00Z", "renewAt": "2026-11-28T08:00:00Z",
            "grantedAt": "2026-11-24T08:00:00Z", "ownerUid": room(number).uid, "endpointHash": "0123456789abcdef",
            "keyId": 1_700_000_000,
        });
        serde_json::from_value(shown).unwrap()
    }

    #[tokio::test]
    async fn a_subscription_that_no_status_could_name_yet_is_not_left_over() {
        let context = Stage::new().context();
        context.tenant_present(&tenant(1));
        let mut record = room(2);
        record.status.subscription = Some(made_for(2, "before"));
        context.mailbox_present(record);
        let mut world = context.world();
        let unshown = Progress {
            current: Some(made_for(2, "unshown")),
            ..Progress::default()
        };
        let entry = world.store.mailbox_mut(&room(2).key).unwrap();
        entry.memory.unshown = Some(Box::new(unshown));
        let owner = world.owner(room(2).uid);
        let (unshown, before) = (
            SubscriptionId::new("unshown"),
            SubscriptionId::new("before"),
        );
        assert_eq!(owner, Owner::Names(Some(unshown.clone())));
        let statuses = Named::from([(before.clone(), 1)]);
        assert!(!owner.gives_up(&unshown, &statuses));
        assert!(!owner.gives_up(&before, &statuses), "it is still named");
        assert!(owner.gives_up(&before, &Named::new()));
    }

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
