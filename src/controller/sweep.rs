//! Sweeping: a tenant's subscriptions are listed again and again, so that what a crash left is removed and what vanished is
//! noticed.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::cluster;
use super::mailbox::Passed;
use super::world::{Context, Inner, World};
use crate::domain::identity::Target;
use crate::domain::mailbox::subscription::kept;
use crate::domain::mailbox::work::Work;
use crate::domain::queue::Class;
use crate::domain::schedule::later;
use crate::domain::sweep::{INTERVAL, Listed, Strays, strays, vanished, wait};
use crate::graph::error::ErrorClass;
use crate::graph::gateway::TenantGateway;
use crate::ids::{ObjectKey, SubscriptionId};
use crate::plain::Causes;

/// Nothing is swept until this process has led for longer than a request of an earlier leader can last.
const SETTLING: Duration = Duration::from_secs(30);

impl World {
    /// What was seen that nobody names, by tenant.
    pub(super) fn take_strays(&mut self) -> BTreeMap<ObjectKey, Strays> {
        let tenants = self.tenants.iter_mut();
        tenants
            .map(|(key, state)| (key.clone(), std::mem::take(&mut state.strays)))
            .filter(|(_, strays)| !strays.is_empty())
            .collect()
    }

    /// What an earlier term of this copy saw that nobody named. One that has been named since is not removed for its age:
    /// the cluster is read once more before that.
    pub(super) fn recall_strays(&mut self, seen: BTreeMap<ObjectKey, Strays>, now: Timestamp) {
        for (tenant, mut strays) in seen {
            if let Some(state) = self.tenants.get_mut(&tenant) {
                for first_seen in strays.values_mut() {
                    // The clock may have been set back since.
                    *first_seen = now.min(*first_seen);
                }
                state.strays = strays;
            }
        }
    }
}

/// When a tenant is swept next.
pub(super) fn next(world: &World, context: &Inner, now: Timestamp) -> (Timestamp, Class) {
    let settled = settled_at(world, context);
    let at = if now < settled {
        settled
    } else {
        later(now, context.settings.pace.of(wait(now)))
    };
    (at, Class::Routine)
}

/// From when on no request of an earlier leader can be under way any more.
fn settled_at(world: &World, context: &Inner) -> Timestamp {
    let settling = SETTLING.min(context.settings.pace.of(INTERVAL));
    later(world.leading_since, settling)
}

/// Lists a tenant's subscriptions, removes strays of ours, and has vanished ones looked at.
pub(super) async fn pass(context: &Context, tenant: &ObjectKey) -> Passed {
    let gateway = context.world().sweep_gateway(tenant);
    let Some(gateway) = gateway else {
        return Passed::Unchanged;
    };
    if context.clock.now() < settled_at(&context.world(), context) {
        return Passed::Unchanged;
    }
    let listed = match gateway.list_subscriptions().await {
        Ok(all) => all,
        Err(error) => {
            tracing::debug!(%tenant, %error, "the tenant's subscriptions could not be listed; the next sweep tries again");
            return Passed::Failed;
        }
    };
    let listing: Vec<Listed> = listed
        .iter()
        .map(|s| Listed {
            id: s.id.clone(),
            notification_url: s.notification_url.clone(),
        })
        .collect();
    note_vanished(context, tenant, &gateway, &listing);
    let old = note_strays(context, tenant, &listing);
    if old.is_empty() {
        return Passed::Unchanged;
    }
    remove_strays(context, tenant, &gateway, &listing, old).await
}

fn note_vanished(
    context: &Context,
    tenant: &ObjectKey,
    gateway: &TenantGateway,
    listing: &[Listed],
) {
    let now = context.clock.now();
    let ahead = gateway.clock_offset();
    let graph_now = now.saturating_add(ahead).unwrap_or(now);
    let mut world = context.world();
    world.note_graph_clock(context, tenant, (ahead, now));
    let busy = world.busy_mailboxes();
    let kept = world
        .store
        .mailboxes_of(tenant)
        .filter(|entry| !busy.contains(&entry.record.key))
        .filter_map(|entry| {
            let current = kept(&entry.record, &entry.memory)?;
            Some((
                entry.record.uid,
                &current.id,
                current.expires_at.timestamp(),
            ))
        });
    let gone = vanished(listing, kept, graph_now);
    let keys: Vec<ObjectKey> = gone
        .iter()
        .filter_map(|uid| world.store.key_of(*uid).cloned())
        .collect();
    for key in keys {
        if let Some(entry) = world.store.mailbox_mut(&key) {
            entry.memory.wanted = entry.memory.wanted | Work::VERIFY;
        }
        world.refresh(context, &key, now);
    }
    context.changed.notify_one();
}

fn note_strays(context: &Context, tenant: &ObjectKey, listing: &[Listed]) -> Vec<SubscriptionId> {
    let now = context.clock.now();
    let ours = context.ours();
    let mut world = context.world();
    let Some(mut seen) = world
        .tenants
        .get_mut(tenant)
        .map(|state| std::mem::take(&mut state.strays))
    else {
        return Vec::new();
    };
    let old = strays(
        listing,
        &ours,
        |uid| world.owner(uid),
        &mut seen,
        (now, context.settings.pace),
    );
    if let Some(state) = world.tenants.get_mut(tenant) {
        state.strays = seen;
    }
    old
}

/// Removes strays after a fresh look at the cluster: a watch that lags must not cost anybody a subscription.
async fn remove_strays(
    context: &Context,
    tenant: &ObjectKey,
    gateway: &TenantGateway,
    listing: &[Listed],
    old: Vec<SubscriptionId>,
) -> Passed {
    let named = match cluster::named_subscriptions(&context.client, &context.settings.scope).await {
        Ok(named) => named,
        Err(error) => {
            tracing::warn!(%tenant, error = %Causes(&error), "the cluster's mailboxes could not be listed; strays are left for the next sweep");
            return Passed::Failed;
        }
    };
    let ours = context.ours();
    let mut removed = Passed::Unchanged;
    for id in old {
        let target = listing
            .iter()
            .find(|listed| listed.id == id)
            .and_then(|listed| ours.target(&listed.notification_url));
        let gives_up = |target: Target| context.world().owner(target.uid).gives_up(&id, &named);
        if !target.is_some_and(gives_up) {
            continue;
        }
        match gateway.delete_subscription(&id).await {
            Ok(()) => {
                removed = Passed::Changed;
                context
                    .metrics
                    .count_subscription_operation("deleteSubscription", &tenant.to_string());
                tracing::info!(subscription = %id, %tenant, "a stray subscription of this installation was removed");
            }
            Err(error) if matches!(error.class(), ErrorClass::NotFound(_)) => {}
            Err(error) => {
                tracing::warn!(subscription = %id, %tenant, %error, "a stray subscription could not be removed; the next sweep tries again");
            }
        }
    }
    removed
}

#[cfg(test)]
mod tests {
    use super::super::stage::{Stage, room, tenant};
    use super::*;

    /// What an old installation left, in the tenant's list of subscriptions.
    fn left_over(context: &Context) -> Vec<Listed> {
        vec![Listed {
            id: SubscriptionId::new("left-over"),
            notification_url: context
                .settings
                .urls
                .change("calendars", &room(9).uid)
                .to_string(),
        }]
    }

    /// What is old enough to be removed, by the terms of one copy that lead for so long and are that far apart.
    async fn removed_by_terms_of(minutes: [u64; 2]) -> Vec<SubscriptionId> {
        let stage = Stage::new();
        let mirror = &stage.around.mirror;
        mirror.tenant_present(tenant(1));
        let mut old = Vec::new();
        for _ in 0..2 {
            let context = stage.context();
            let lent = mirror.lend(&context);
            old = note_strays(&context, &tenant(1).key, &left_over(&context));
            tokio::time::advance(Duration::from_mins(minutes[0])).await;
            drop(lent);
            tokio::time::advance(Duration::from_mins(minutes[1])).await;
        }
        old
    }

    #[tokio::test(start_paused = true)]
    async fn a_stray_grows_old_although_no_copy_leads_for_long() {
        let left_over = SubscriptionId::new("left-over");
        assert_eq!(removed_by_terms_of([2, 9]).await, [left_over]);
        assert_eq!(removed_by_terms_of([2, 6]).await, []);
    }
}
