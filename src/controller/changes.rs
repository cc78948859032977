//! What a change in the cluster, a notification or a finding means for the store and the queue.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::item::{Item, Lane};
use super::ways::Closed;
use super::world::{Inner, TenantState, World};
use crate::api::v1alpha1::condition::ConditionStatus;
use crate::api::vocabulary::ConditionType;
use crate::domain::conditions::find;
use crate::domain::mailbox::subscription::verdict::was_refused;
use crate::domain::mailbox::tenant_view::EndpointState;
use crate::domain::mailbox::work::Work;
use crate::domain::notification_url::EndpointProblem;
use crate::domain::permission::Labels;
use crate::domain::queue::Class;
use crate::domain::records::{Failures, MailboxRecord, Memory, TenantRecord};
use crate::domain::schedule::{Pace, ladder, later, smear};
use crate::domain::store::Put;
use crate::domain::tenant::desired::{SpecProblem, TenantDesired};
use crate::domain::tenant::facts::TenantFacts;
use crate::domain::tenant::memory::TenantMemory;
use crate::ids::{Kind, ObjectKey, Uid};
use crate::notification::wake::{LifecycleEvent, Wake};

impl Inner {
    pub(super) fn mailbox_present(&self, record: MailboxRecord) {
        let now = self.clock.now();
        let mut world = self.world();
        let key = record.key.clone();
        let memory = Memory::new(world.served_until, now);
        let put = world.store.put_mailbox(record, memory);
        let before = match put {
            Put::Known => return,
            Put::New { replaced } => replaced,
            Put::Changed { before } => Some(before),
        };
        let Some(entry) = world.store.mailbox_mut(&key) else {
            return;
        };
        let record = Arc::clone(&entry.record);
        let same = before.as_ref().filter(|before| before.uid == record.uid);
        if let Some(before) = same {
            if before.generation != record.generation || before.requested_at != record.requested_at
            {
                entry.memory.forget_failures();
            }
        } else if let Some(replaced) = &before {
            world.clean_up_after(self, replaced, now);
        }
        world.refresh(self, &key, now);
        if same.is_none_or(|before| before.generation != record.generation) {
            for record in before.iter().chain([&record]) {
                world.refresh_namesakes(self, record, now);
            }
        }
        world.note_counts(self, &tenant_of(&record), now);
    }

    /// Takes in what our own write made of a mailbox; whether it is still there. What others changed in it meanwhile is
    /// taken notice of here, since the watch will bring nothing new.
    pub(super) fn mailbox_written(&self, record: MailboxRecord) -> bool {
        let now = self.clock.now();
        let mut world = self.world();
        let (key, generation) = (record.key.clone(), record.generation);
        let tenant = tenant_of(&record);
        let before = world.store.mailbox(&key);
        let before = before.map(|entry| Arc::clone(&entry.record));
        if world.store.insist_on_mailbox(&record) {
            world.tell_dispute(Kind::WorkspaceMailbox, &key);
        }
        let there = world.store.rewrite_mailbox(record);
        if let Some(before) = before.filter(|before| there && before.generation != generation)
            && let Some(entry) = world.store.mailbox_mut(&key)
        {
            entry.memory.forget_failures();
            let record = Arc::clone(&entry.record);
            world.refresh_namesakes(self, &before, now);
            world.refresh_namesakes(self, &record, now);
        }
        world.note_counts(self, &tenant, now);
        there
    }

    pub(super) fn mailbox_gone(&self, key: &ObjectKey) {
        let now = self.clock.now();
        let mut world = self.world();
        world.queue.remove(&Item::Mailbox(key.clone()));
        let Some(entry) = world.store.remove_mailbox(key) else {
            return;
        };
        world.clean_up_after(self, &entry.record, now);
        let unshown = entry.memory.unshown.as_deref();
        if let Some(current) = unshown.and_then(|progress| progress.current.as_ref()) {
            let left_by = (tenant_of(&entry.record), current.owner_uid);
            world.plan_removal(current.id.clone(), left_by, now);
        }
        world.refresh_namesakes(self, &entry.record, now);
        world.note_counts(self, &tenant_of(&entry.record), now);
    }

    /// The API server says that an object is gone, before its watch does.
    pub(super) fn mailbox_vanished(&self, key: &ObjectKey, uid: Uid) {
        let known = self
            .world()
            .store
            .mailbox(key)
            .map(|entry| entry.record.uid);
        if known == Some(uid) {
            self.mailbox_gone(key);
        }
    }

    pub(super) fn tenant_present(&self, record: &TenantRecord) {
        self.world().take_tenant(self, record, self.clock.now());
    }

    /// Our own write made this of a tenant. One that was deleted meanwhile stays away.
    pub(super) fn tenant_written(&self, record: &TenantRecord) {
        let mut world = self.world();
        if world.store.insist_on_tenant(record) {
            world.tell_dispute(Kind::CalendarTenant, &record.key);
        }
        let known = world.store.tenant(&record.key);
        if known.is_some_and(|entry| entry.record.uid == record.uid) {
            world.take_tenant(self, record, self.clock.now());
        }
    }

    pub(super) fn tenant_gone(&self, key: &ObjectKey) {
        let now = self.clock.now();
        let mut world = self.world();
        world.queue.remove(&Item::Tenant(key.clone()));
        world.queue.remove(&Item::Sweep(key.clone()));
        world.store.remove_tenant(key);
        world.close_way(key, Closed::ForRemovals, now);
        world.tenants.remove(key);
        self.metrics.forget_tenant(&key.to_string());
        world.refresh_mailboxes_of(self, key, now);
        let concerned = world.records_of(key);
        world.refresh_rivals(self, &concerned, now);
    }

    /// An offered Secret appeared, changed, or is offered no longer.
    pub(super) fn secret_changed(&self, key: &ObjectKey, version: Option<&str>) {
        let now = self.clock.now();
        let mut world = self.world();
        let before = match &version {
            Some(version) => world.secrets.insert(key.clone(), (*version).to_owned()),
            None => world.secrets.remove(key),
        };
        if before.as_deref() == version {
            return;
        }
        let users: Vec<ObjectKey> = world
            .tenants
            .iter()
            .filter(|(tenant, state)| {
                let secret = state
                    .desired
                    .as_ref()
                    .as_ref()
                    .ok()
                    .and_then(|d| d.credential.secret());
                tenant.namespace == key.namespace && secret == Some(&*key.name)
            })
            .map(|(tenant, _)| tenant.clone())
            .collect();
        for tenant in users {
            let looking = world.in_flight.contains(&Item::Tenant(tenant.clone()));
            if let Some(state) = world.tenants.get_mut(&tenant) {
                state.memory.note_secret(looking);
            }
            world.refresh_tenant(self, &tenant, now);
        }
    }

    pub(super) fn namespace_labelled(&self, name: &Arc<str>, labels: Labels) {
        let now = self.clock.now();
        let mut world = self.world();
        if !world.store.put_namespace(Arc::clone(name), labels) {
            return;
        }
        let concerned: Vec<Arc<MailboxRecord>> = world
            .store
            .mailboxes()
            .map(|entry| &entry.record)
            .filter(|record| record.key.namespace == *name)
            .cloned()
            .collect();
        for record in &concerned {
            world.refresh(self, &record.key, now);
        }
        world.refresh_rivals(self, &concerned, now);
    }

    pub(super) fn namespace_gone(&self, name: &str) {
        self.world().store.remove_namespace(name);
    }

    /// Graph said something about a mailbox's subscription.
    pub(super) fn notified(&self, wake: &Wake) {
        let now = self.clock.now();
        let mut world = self.world();
        let Some(key) = world.store.key_of(wake.uid).cloned() else {
            return;
        };
        if let Some(entry) = world.store.mailbox_mut(&key) {
            let asked = match wake.event {
                LifecycleEvent::ReauthorizationRequired => Work::RENEW,
                LifecycleEvent::SubscriptionRemoved => Work::VERIFY,
                LifecycleEvent::Missed => Work::CHECK,
            };
            entry.memory.wanted = entry.memory.wanted | asked;
        }
        world.refresh(self, &key, now);
    }

    /// Graph validated our notification URL when `uid` tried, or could not.
    pub(super) fn note_endpoint(
        &self,
        cloud: &Arc<str>,
        uid: Uid,
        problem: Option<EndpointProblem>,
    ) {
        let now = self.clock.now();
        let mut world = self.world();
        let before = world.verdicts.of(cloud);
        match problem {
            None => {
                if world.verdicts.accepted(cloud) {
                    world.refresh_all(self, now);
                }
            }
            Some(problem) => {
                let next_try = world.next_try(uid, self.settings.pace, now);
                world.verdicts.refused(cloud, (uid, next_try), problem, now);
            }
        }
        let after = world.verdicts.of(cloud);
        if before.is_problem() != after.is_problem() {
            world.refresh_tenants_in(self, cloud, now);
        }
        drop(world);
        self.changed.notify_one();
    }

    /// Graph refused a subscription of `uid` for a reason that says nothing of our notification URL, and will again: if that one
    /// tried the URL for all, another does.
    pub(super) fn leave_endpoint(&self, uid: Uid) {
        let now = self.clock.now();
        let mut world = self.world();
        if world.verdicts.forget(uid, now) {
            world.refresh_all(self, now);
            drop(world);
            self.changed.notify_one();
        }
    }

    /// A mailbox is about to create a subscription: while Graph refuses our notification URL, one does.
    pub(super) fn endpoint_for(&self, cloud: &str, uid: Uid) -> EndpointState {
        let now = self.clock.now();
        self.world().verdicts.claim(cloud, uid, now)
    }
}

/// Within this time a tenant that was not known is swept.
const FIRST_SWEEP: Duration = Duration::from_mins(2);

/// The tenant that a mailbox refers to.
pub(super) fn tenant_of(record: &MailboxRecord) -> ObjectKey {
    let reference = &record.spec.tenant_ref;
    let namespace = reference
        .namespace
        .as_deref()
        .unwrap_or(&record.key.namespace);
    ObjectKey::new(namespace, Arc::clone(&reference.name))
}

impl World {
    /// A tenant is there, perhaps changed.
    fn take_tenant(&mut self, shared: &Inner, record: &TenantRecord, now: Timestamp) {
        let version = &record.resource_version;
        if self.store.knows_tenant(&record.key, record.uid, version) {
            return;
        }
        let key = record.key.clone();
        let desired = TenantDesired::from_spec(
            &key.namespace,
            &record.spec,
            &shared.settings.allowed_endpoints,
        );
        let fresh = match self.store.tenant(&key) {
            Some(entry) => entry.record.uid != record.uid,
            None => true,
        };
        if desired.as_ref().is_err_and(SpecProblem::forbids_calls) {
            self.close_way(&key, Closed::Altogether, now);
        } else if fresh {
            self.close_way(&key, Closed::ForRemovals, now);
        }
        if fresh {
            self.admit_tenant(shared, record, desired, now);
        } else if let Some(state) = self.tenants.get_mut(&key) {
            state.desire(desired);
        }
        let known = self.known_tenant(record, now);
        let put = self.store.put_tenant(record.clone(), known);
        let (spec_changed, asked) = match put {
            Put::Known => return,
            Put::New { .. } => (true, true),
            Put::Changed { before } => {
                let spec_changed = before.generation != record.generation;
                (
                    spec_changed,
                    spec_changed || before.requested_at != record.requested_at,
                )
            }
        };
        if asked && let Some(state) = self.tenants.get_mut(&key) {
            state.memory.failures = Failures::default();
        }
        self.refresh_tenant(shared, &key, now);
        if spec_changed {
            self.publish_facts(shared, &key, now);
            self.refresh_mailboxes_of(shared, &key, now);
            self.refresh_rivals(shared, &self.records_of(&key), now);
        }
    }

    /// A tenant that was not known: nothing was read of it yet, and its first sweep comes within two minutes.
    pub(super) fn admit_tenant(
        &mut self,
        shared: &Inner,
        record: &TenantRecord,
        desired: Result<TenantDesired, SpecProblem>,
        now: Timestamp,
    ) {
        let key = record.key.clone();
        shared.metrics.expect_tenant(&key.to_string());
        let facts = TenantFacts::remembered(&record.status);
        let memory = TenantMemory::new(self.served_until, now);
        let state = TenantState::new(desired, facts, memory);
        self.tenants.insert(key.clone(), state);
        let wait = smear::delay(record.uid, shared.settings.pace.of(FIRST_SWEEP));
        let (item, lane) = (Item::Sweep(key.clone()), Lane::Cleanup(key));
        self.queue
            .wake(item, lane, later(now, wait), Class::Routine);
    }

    /// When a mailbox whose subscription could not be created tries again; at once where that may take long because of
    /// something else that Graph refused it for, so that nobody waits for it.
    fn next_try(&self, uid: Uid, pace: Pace, now: Timestamp) -> Timestamp {
        let entry = self
            .store
            .key_of(uid)
            .and_then(|key| self.store.mailbox(key));
        let problem = entry
            .and_then(|entry| {
                let conditions = &entry.record.status.conditions;
                find(conditions, &ConditionType::SubscriptionInactive)
            })
            .filter(|condition| condition.status == ConditionStatus::True);
        match problem {
            Some(problem) if was_refused(&problem.reason) => now,
            Some(problem) => ladder::next(problem.last_transition_time.timestamp(), uid, now, pace),
            None => ladder::next(now, uid, now, pace),
        }
    }

    /// Looks anew at the tenants of a cloud.
    fn refresh_tenants_in(&mut self, shared: &Inner, cloud: &str, now: Timestamp) {
        let there = |state: &TenantState| match state.desired.as_ref() {
            Ok(desired) => &*desired.app().cloud == cloud,
            Err(_) => false,
        };
        let tenants: Vec<ObjectKey> = self
            .tenants
            .iter()
            .filter(|(_, state)| there(state))
            .map(|(key, _)| key.clone())
            .collect();
        for tenant in &tenants {
            self.refresh_tenant(shared, tenant, now);
        }
    }

    /// Says once for each kind that the API server stores something else than what was written.
    fn tell_dispute(&mut self, kind: Kind, key: &ObjectKey) {
        if self.disputed.insert(kind) {
            let kind = kind.as_str();
            tracing::warn!(kind, object = %key, "a status is stored differently than it was written: the CustomResourceDefinitions are older than this operator, or an admission webhook changes statuses; what is missing is not written again");
        }
    }

    fn records_of(&self, tenant: &ObjectKey) -> Vec<Arc<MailboxRecord>> {
        self.store
            .mailboxes_of(tenant)
            .map(|entry| Arc::clone(&entry.record))
            .collect()
    }

    /// Other references may be permitted now than before. That decides between these mailboxes and others with
    /// their addresses, and which of them their tenants count.
    fn refresh_rivals(&mut self, shared: &Inner, mailboxes: &[Arc<MailboxRecord>], now: Timestamp) {
        for record in mailboxes {
            self.refresh_namesakes(shared, record, now);
        }
        let tenants: BTreeSet<ObjectKey> = mailboxes.iter().map(|m| tenant_of(m)).collect();
        for tenant in &tenants {
            self.note_counts(shared, tenant, now);
        }
    }

    /// An object is gone: its own subscription goes too, and somebody else probes the endpoint.
    fn clean_up_after(&mut self, shared: &Inner, record: &MailboxRecord, now: Timestamp) {
        if self.verdicts.forget(record.uid, now) {
            self.refresh_all(shared, now);
        }
        let current = record
            .status
            .subscription
            .as_ref()
            .filter(|s| s.owner_uid == record.uid);
        if let Some(current) = current {
            self.plan_removal(current.id.clone(), (tenant_of(record), record.uid), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::stage::{Stage, room, start, tenant};
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_edit_that_comes_with_the_answer_to_our_own_write_reaches_the_namesake() {
        let context = Stage::new().context();
        context.tenant_present(&tenant(1));
        let (older, mut younger) = (room(1), room(2));
        younger.spec.address.clone_from(&older.spec.address);
        let waiting = Item::Mailbox(younger.key.clone());
        context.mailbox_present(older);
        context.mailbox_present(younger);
        context.world().queue.remove(&waiting);

        let mut edited = room(1);
        edited.generation = 2;
        edited.resource_version = "2".into();
        edited.spec.address = "elsewhere@contoso.example".into();
        assert!(context.mailbox_written(edited));
        let mut world = context.world();
        let soon = later(start(), Duration::from_secs(10));
        let due = std::iter::from_fn(|| world.queue.take(soon)).map(|taken| taken.key);
        let due: Vec<Item> = due.collect();
        assert!(due.contains(&waiting), "{due:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_refused_for_something_else_does_not_keep_others_from_trying_the_url() {
        let context = Stage::new().context();
        let mut held = room(1);
        held.status.conditions = serde_json::from_value(serde_json::json!([{
            "type": "SubscriptionInactive", "status": "True", "reason": "HeldByAnother", "message": "",
            "lastTransitionTime": "2026-11-20T08:00:00Z",
        }]))
        .unwrap();
        let (prober, other) = (held.uid, room(2).uid);
        context.mailbox_present(held);
        let cloud: Arc<str> = "Worldwide".into();
        context.note_endpoint(&cloud, prober, Some(EndpointProblem::TimedOut));
        assert_ne!(context.endpoint_for(&cloud, other), EndpointState::Usable);
        tokio::time::advance(Duration::from_secs(31)).await;
        assert_eq!(context.endpoint_for(&cloud, other), EndpointState::Usable);
        // What keeps that one from it hands the role on at once.
        context.note_endpoint(&cloud, other, Some(EndpointProblem::TimedOut));
        assert_ne!(context.endpoint_for(&cloud, prober), EndpointState::Usable);
        context.leave_endpoint(other);
        assert_eq!(context.endpoint_for(&cloud, prober), EndpointState::Usable);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_api_server_says_is_gone_is_gone_but_not_its_successor() {
        let context = Stage::new().context();
        let (old, mut new) = (room(1), room(2));
        new.key = old.key.clone();
        context.mailbox_present(new.clone());
        context.mailbox_vanished(&old.key, old.uid);
        assert!(context.world().store.mailbox(&new.key).is_some());
        context.mailbox_vanished(&new.key, new.uid);
        assert!(context.world().store.mailbox(&new.key).is_none());
    }
}
