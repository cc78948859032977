//! Ways to Microsoft: which one may be used for what, and for how long.
//!
//! A tenant's link is for everything. When the credential behind it is gone, what was read of it serves for a while
//! to remove the subscriptions of deleted mailboxes, and for nothing else. A credential that its owner has taken back
//! and a host that is not allowed serve for nothing.

use std::sync::Arc;

use jiff::Timestamp;

use super::removal::REMOVAL_PATIENCE;
use super::tenant::observe::{self, Edge, Link};
use super::world::{Context, TenantState, World};
use crate::domain::mailbox::tenant_view::TokenState;
use crate::domain::schedule::later;
use crate::domain::tenant::credential::CredentialReading;
use crate::graph::gateway::TenantGateway;
use crate::ids::{ObjectKey, Uid};
use crate::metrics::Metrics;

/// What becomes of a way that is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// It serves to remove what deleted mailboxes left, for a while.
    ForRemovals,
    /// It serves for nothing.
    Altogether,
}

impl World {
    /// The way to Microsoft for a tenant's mailboxes.
    pub(super) fn gateway(&self, tenant: &ObjectKey) -> Option<TenantGateway> {
        self.tenants.get(tenant)?.link.gateway().cloned()
    }

    /// The way for a look at all of a tenant's subscriptions; none while the tenant rests or gets no token.
    pub(super) fn sweep_gateway(&self, tenant: &ObjectKey) -> Option<TenantGateway> {
        let entry = self.store.tenant(tenant)?;
        let state = self.tenants.get(tenant)?;
        let open = !entry.suspended && state.facts.token == TokenState::Issued;
        self.gateway(tenant).filter(|_| open)
    }

    /// The way to remove the subscription of a deleted mailbox.
    pub(super) fn removal_gateway(
        &self,
        tenant: &ObjectKey,
        now: Timestamp,
    ) -> Option<TenantGateway> {
        let retired = || {
            let (gateway, until) = self.retired.get(tenant)?;
            (now < *until).then(|| gateway.clone())
        };
        self.gateway(tenant).or_else(retired)
    }

    /// A tenant's way is not to be used as before.
    pub(super) fn close_way(&mut self, tenant: &ObjectKey, closed: Closed, now: Timestamp) {
        let gateway = self.tenants.get_mut(tenant).and_then(|state| {
            state.rooms = Arc::default();
            std::mem::take(&mut state.link).gateway().cloned()
        });
        match (closed, gateway) {
            (Closed::Altogether, _) => {
                self.retired.remove(tenant);
            }
            (Closed::ForRemovals, Some(gateway)) => {
                let until = later(now, REMOVAL_PATIENCE);
                self.retired.insert(tenant.clone(), (gateway, until));
            }
            (Closed::ForRemovals, None) => {}
        }
    }

    /// What a look at the credential means for the way.
    pub(super) fn note_credential(
        &mut self,
        (tenant, uid): (&ObjectKey, Uid),
        link: Link,
        reading: &CredentialReading,
        now: Timestamp,
    ) {
        let known = self.store.tenant(tenant).map(|entry| entry.record.uid);
        if known != Some(uid) {
            return;
        }
        match reading {
            CredentialReading::Usable { .. } => {
                // The spec may have become another one while this was read: what it forbids now stays closed.
                let wanted = |state: &&mut TenantState| {
                    let desired = state.desired.as_ref().as_ref();
                    desired.is_ok_and(|desired| link.leads_to(desired))
                };
                if let Some(state) = self.tenants.get_mut(tenant).filter(wanted) {
                    state.link = link;
                    self.retired.remove(tenant);
                }
            }
            CredentialReading::Problem(problem) if problem.is_taken_back() => {
                self.close_way(tenant, Closed::Altogether, now);
            }
            CredentialReading::Problem(_) => self.close_way(tenant, Closed::ForRemovals, now),
            CredentialReading::NotLooked | CredentialReading::Unavailable(_) => {}
        }
    }

    /// Nothing of a credential is kept longer than it may serve.
    pub(super) fn forget_retired(&mut self, metrics: &Metrics, now: Timestamp) {
        let over: Vec<ObjectKey> = self
            .retired
            .extract_if(.., |_, (_, until)| *until <= now)
            .map(|(tenant, _)| tenant)
            .collect();
        for tenant in over {
            if self.store.tenant(&tenant).is_none() {
                // Removals may have been counted since the tenant went.
                metrics.forget_tenant(&tenant.to_string());
            }
        }
    }
}

/// The way to remove the subscription of a deleted mailbox. The passes of a suspended tenant rest, so that its
/// credential is looked at here.
pub(super) async fn for_removal(context: &Context, tenant: &ObjectKey) -> Option<TenantGateway> {
    let now = context.clock.now();
    let resting = {
        let world = context.world();
        let entry = world.store.tenant(tenant).filter(|entry| entry.suspended);
        let state = world.tenants.get(tenant);
        entry.zip(state).map(|(entry, state)| {
            let desired = std::sync::Arc::clone(&state.desired);
            (entry.record.uid, desired, state.link.clone())
        })
    };
    if let Some((uid, desired, mut link)) = resting
        && let Ok(desired) = desired.as_ref()
    {
        let mut edge = Edge {
            offers: &context.client,
            gateway: &context.gateway,
            key: tenant,
            link: &mut link,
        };
        let reading = observe::connect(&mut edge, desired, now).await;
        context
            .world()
            .note_credential((tenant, uid), link, &reading, now);
    }
    context.world().removal_gateway(tenant, now)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{Request, StatusCode};
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::super::changes::tenant_of;
    use super::super::stage::{Stage, room, start, tenant};
    use super::*;
    use crate::domain::tenant::credential::CredentialProblem;

    /// A cluster in which the tenant's Secret is there and offered.
    fn with_secret(request: &Request<Body>) -> Option<(StatusCode, Value)> {
        let path = "/api/v1/namespaces/calendars/secrets/credential";
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "credential", "labels": {"hybridcalendar.dev/credential": "true"}},
            "data": {"client-secret": "aHVudGVyMg=="},
        });
        (request.uri().path() == path).then_some((StatusCode::OK, secret))
    }

    const USABLE: CredentialReading = CredentialReading::Usable {
        expires_at: None,
        changed: false,
    };

    /// The tenant of the first number with a way to it, as after its first pass.
    async fn connected(context: &Context) {
        let record = tenant(1);
        context.tenant_present(&record);
        let desired = {
            let world = context.world();
            std::sync::Arc::clone(&world.tenants[&record.key].desired)
        };
        let mut link = Link::default();
        let mut edge = Edge {
            offers: &context.client,
            gateway: &context.gateway,
            key: &record.key,
            link: &mut link,
        };
        let desired = desired.as_ref().as_ref().unwrap();
        let reading = observe::connect(&mut edge, desired, start()).await;
        assert_eq!(reading, USABLE);
        let mut world = context.world();
        world.note_credential((&record.key, record.uid), link, &reading, start());
        let state = world.tenants.get_mut(&record.key).unwrap();
        state.facts.token = TokenState::Issued;
    }

    /// Whether mailboxes, sweeps and removals have a way.
    fn open(context: &Context, now: Timestamp) -> (bool, bool, bool) {
        let (world, key) = (context.world(), tenant(1).key);
        (
            world.gateway(&key).is_some(),
            world.sweep_gateway(&key).is_some(),
            world.removal_gateway(&key, now).is_some(),
        )
    }

    fn lost(context: &Context, problem: CredentialProblem) {
        let record = tenant(1);
        let reading = CredentialReading::Problem(problem);
        let whose = (&record.key, record.uid);
        context
            .world()
            .note_credential(whose, Link::default(), &reading, start());
    }

    #[tokio::test(start_paused = true)]
    async fn the_credential_of_a_deleted_tenant_serves_removals_for_an_hour() {
        let context = Stage::with_cluster(with_secret).context();
        connected(&context).await;
        assert_eq!(open(&context, start()), (true, true, true));
        context.tenant_gone(&tenant(1).key);
        assert_eq!(open(&context, start()), (false, false, true));
        // Another tenant of this name does not inherit it.
        context.tenant_present(&tenant(2));
        assert_eq!(open(&context, start()), (false, false, true));
        let late = later(start(), Duration::from_hours(1));
        assert_eq!(open(&context, late), (false, false, false));
        context.world().forget_retired(&context.metrics, late);
        assert!(context.world().retired.is_empty());
    }

    #[tokio::test]
    async fn a_tenant_that_was_created_again_unnoticed_does_not_inherit_the_credential() {
        let context = Stage::with_cluster(with_secret).context();
        connected(&context).await;
        context.tenant_present(&tenant(2));
        assert_eq!(open(&context, start()), (false, false, true));
    }

    #[tokio::test]
    async fn a_deleted_secret_serves_removals_and_nothing_else() {
        let context = Stage::with_cluster(with_secret).context();
        connected(&context).await;
        let secret = "credential".to_owned();
        lost(&context, CredentialProblem::SecretNotFound { secret });
        assert_eq!(open(&context, start()), (false, false, true));
    }

    #[tokio::test]
    async fn a_credential_that_is_offered_no_longer_serves_for_nothing() {
        let context = Stage::with_cluster(with_secret).context();
        connected(&context).await;
        let secret = "credential".to_owned();
        lost(&context, CredentialProblem::SecretNotOffered { secret });
        assert_eq!(open(&context, start()), (false, false, false));
    }

    /// The tenant's spec names hosts that may not be called.
    fn point_elsewhere(context: &Context) {
        let mut record = tenant(1);
        record.generation = 2;
        record.resource_version = "2".into();
        record.spec.endpoints = serde_json::from_value(json!({
            "login": "https://elsewhere.example", "graph": "https://elsewhere.example",
        }))
        .unwrap();
        context.tenant_present(&record);
    }

    #[tokio::test]
    async fn a_host_that_is_not_allowed_is_not_called_at_all() {
        let context = Stage::with_cluster(with_secret).context();
        connected(&context).await;
        point_elsewhere(&context);
        assert_eq!(open(&context, start()), (false, false, false));
    }

    #[tokio::test]
    async fn a_look_that_began_before_a_way_was_closed_does_not_open_it_again() {
        let context = Stage::with_cluster(with_secret).context();
        connected(&context).await;
        let record = tenant(1);
        let link = context.world().tenants[&record.key].link.clone();
        point_elsewhere(&context);
        let whose = (&record.key, record.uid);
        context
            .world()
            .note_credential(whose, link, &USABLE, start());
        assert_eq!(open(&context, start()), (false, false, false));
    }

    #[tokio::test]
    async fn what_was_learned_of_a_tenant_is_not_noted_of_its_successor() {
        let context = Stage::with_cluster(with_secret).context();
        connected(&context).await;
        let link = context.world().tenants[&tenant(1).key].link.clone();
        context.tenant_present(&tenant(2));
        let before = tenant(1);
        let whose = (&before.key, before.uid);
        context
            .world()
            .note_credential(whose, link, &USABLE, start());
        assert_eq!(open(&context, start()), (false, false, true));
    }

    #[tokio::test]
    async fn the_subscription_of_a_deleted_mailbox_of_a_suspended_tenant_can_be_removed_after_a_restart()
     {
        let context = Stage::with_cluster(with_secret).context();
        let mut record = tenant(1);
        record.spec.suspend = true;
        context.tenant_present(&record);
        assert_eq!(open(&context, start()), (false, false, false));
        let key = tenant_of(&room(1));
        assert!(for_removal(&context, &key).await.is_some());
        assert_eq!(open(&context, start()), (true, false, true), "no sweep");
    }
}
