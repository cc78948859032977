//! What the world knows of tenants, and what their mailboxes get to see of it.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::changes::tenant_of;
use super::item::Item;
use super::world::{Inner, TenantState, World};
use crate::api::v1alpha1::condition::{Condition, ConditionStatus};
use crate::api::vocabulary::ConditionType;
use crate::domain::conditions::find;
use crate::domain::mailbox::tenant_view::{KnownTenant, TokenState};
use crate::domain::notification_url::EndpointVerdict;
use crate::domain::queue::Class;
use crate::domain::records::TenantRecord;
use crate::domain::schedule::later;
use crate::domain::tenant::desired::TenantDesired;
use crate::domain::tenant::facts::{MailboxProof, News, Proof, TenantFacts};
use crate::domain::tenant::observed::TenantObserved;
use crate::domain::tenant::snapshot::{Mailboxes, TenantSnapshot};
use crate::domain::tenant::work::{COUNTS_DEBOUNCE, Work, agenda};
use crate::ids::ObjectKey;

impl World {
    /// What is due for a tenant now, if anything is.
    pub(super) fn tenant_due(
        &self,
        shared: &Inner,
        key: &ObjectKey,
        now: Timestamp,
    ) -> Option<Work> {
        self.with_tenant(shared, key, now, |s| agenda(s).due(now))?
    }

    /// When a tenant is due next, and how urgent it is.
    pub(super) fn next_tenant(
        &self,
        shared: &Inner,
        key: &ObjectKey,
        now: Timestamp,
    ) -> Option<(Timestamp, Class)> {
        shared.contained(&Item::Tenant(key.clone()), now, || {
            self.with_tenant(shared, key, now, |s| agenda(s).next(now))?
        })
    }

    /// Asks about a tenant as it is known, with nothing looked at yet.
    fn with_tenant<R>(
        &self,
        shared: &Inner,
        key: &ObjectKey,
        now: Timestamp,
        decide: impl FnOnce(&TenantSnapshot<'_>) -> R,
    ) -> Option<R> {
        let (entry, state) = (self.store.tenant(key)?, self.tenants.get(key)?);
        let snapshot = TenantSnapshot {
            record: &entry.record,
            desired: &state.desired,
            facts: &state.facts,
            memory: &state.memory,
            work: Work::default(),
            observed: &TenantObserved::default(),
            endpoint: self.endpoint_verdict(key),
            mailboxes: &self.mailboxes_summed_up(key),
            now,
            pace: shared.settings.pace,
        };
        Some(decide(&snapshot))
    }

    /// Whether Graph accepts our notification URL, as far as the tenant's cloud has shown.
    pub(super) fn endpoint_verdict(&self, key: &ObjectKey) -> EndpointVerdict {
        let desired = self.tenants.get(key).map(|state| state.desired.as_ref());
        let Some(Ok(desired)) = desired else {
            return EndpointVerdict::Unknown;
        };
        let cloud = &desired.app().cloud;
        let verdict = self.verdicts.of(cloud);
        let in_doubt = match verdict {
            EndpointVerdict::Accepted | EndpointVerdict::NobodyTries => false,
            EndpointVerdict::Rejected { .. } => true,
            EndpointVerdict::Unknown => self.says_rejected(key),
        };
        if in_doubt && !self.somebody_waits_in(cloud) {
            return EndpointVerdict::NobodyTries;
        }
        verdict
    }

    /// Whether the tenant's status says that Graph refuses our notification URL.
    fn says_rejected(&self, key: &ObjectKey) -> bool {
        let entry = self.store.tenant(key);
        entry.is_some_and(|entry| {
            find(
                &entry.record.status.conditions,
                &ConditionType::EndpointRejected,
            )
            .is_some_and(|condition| condition.status == ConditionStatus::True)
        })
    }

    /// Whether nothing but a subscription is missing to some mailbox in this cloud: it tries to get one.
    fn somebody_waits_in(&self, cloud: &str) -> bool {
        let waits = |conditions: &[Condition]| {
            find(conditions, &ConditionType::Ready).is_some_and(|ready| {
                ready.status != ConditionStatus::True
                    && ready.reason.as_str() == ConditionType::SubscriptionInactive.as_str()
            })
        };
        self.store.mailboxes().any(|entry| {
            waits(&entry.record.status.conditions)
                && self
                    .store
                    .tenant(&tenant_of(&entry.record))
                    .is_some_and(|tenant| *tenant.known.app.cloud == *cloud)
        })
    }

    /// What is known of a tenant, if it is still this very object.
    pub(super) fn tenant_state_mut(&mut self, record: &TenantRecord) -> Option<&mut TenantState> {
        let known = self.store.tenant(&record.key)?.record.uid;
        self.tenants
            .get_mut(&record.key)
            .filter(|_| known == record.uid)
    }

    /// Puts a tenant into the queue by what is coming for it.
    pub(super) fn refresh_tenant(&mut self, shared: &Inner, key: &ObjectKey, now: Timestamp) {
        if let Some((at, class)) = self.next_tenant(shared, key, now) {
            self.wake_tenant(key, at, class);
        }
        shared.changed.notify_one();
    }

    /// A mailbox came, went or changed its state: the tenant's numbers may differ. Nothing is counted here, since this
    /// is said of every single mailbox; the tenant's pass does.
    pub(super) fn note_counts(&mut self, shared: &Inner, tenant: &ObjectKey, now: Timestamp) {
        if let Some(state) = self.tenants.get_mut(tenant) {
            let since = *state.memory.counts_changed_at.get_or_insert(now);
            let at = later(since, shared.settings.pace.of(COUNTS_DEBOUNCE));
            let held_until = state.memory.failures.held_until();
            self.wake_tenant(tenant, at.max(held_until), Class::First);
            shared.changed.notify_one();
        }
    }

    /// The permitted mailboxes of a tenant, summed up.
    pub(super) fn mailboxes_summed_up(&self, tenant: &ObjectKey) -> Mailboxes {
        Mailboxes::of(&self.store, tenant)
    }

    /// What mailboxes depend on of a tenant, from its facts.
    pub(super) fn known_tenant(&self, record: &TenantRecord, now: Timestamp) -> KnownTenant {
        let state = self.tenants.get(&record.key);
        let desired = state.map(|state| state.desired.as_ref());
        let unknown = TenantFacts::default();
        let facts = state.map_or(&unknown, |state| &state.facts);
        facts.known(record, desired, self.spec_problem_since(record, now))
    }

    fn spec_problem_since(&self, record: &TenantRecord, now: Timestamp) -> Timestamp {
        let known = self
            .store
            .tenant(&record.key)
            .map(|entry| &entry.known.token);
        match known {
            Some(TokenState::Refused { since, .. }) => *since,
            Some(TokenState::Pending | TokenState::Issued) | None => {
                find(&record.status.conditions, &ConditionType::Stalled)
                    .map_or(now, |c| c.last_transition_time.timestamp())
            }
        }
    }

    /// Lets the mailboxes of a tenant see what was learned about it, and looks at them anew if that matters.
    pub(super) fn publish_facts(&mut self, shared: &Inner, key: &ObjectKey, now: Timestamp) {
        let Some(record) = self.store.tenant(key).map(|entry| entry.record.clone()) else {
            return;
        };
        let known = self.known_tenant(&record, now);
        let Some(entry) = self.store.tenant_mut(key) else {
            return;
        };
        let before = std::mem::replace(&mut entry.known, known);
        let unlike = before.token != entry.known.token
            || before.domains != entry.known.domains
            || before.app != entry.known.app
            || before.places != entry.known.places
            || before.recovered_at != entry.known.recovered_at;
        if unlike {
            self.refresh_mailboxes_of(shared, key, now);
            shared.changed.notify_one();
        }
    }

    /// A mailbox's pass saw permissions at work, or refused. What is new about that the tenant looks at itself.
    pub(super) fn prove(
        &mut self,
        shared: &Inner,
        tenant: &ObjectKey,
        proof: MailboxProof,
        now: Timestamp,
    ) {
        let Some(state) = self.tenants.get_mut(tenant) else {
            return;
        };
        let seen_of = state.facts.app.as_ref();
        let wanted = state.desired.as_ref().as_ref().map(TenantDesired::app);
        if seen_of.is_some_and(|app| wanted.is_ok_and(|wanted| *app != wanted)) {
            // The tenant is to use another application, and the pass used the one before.
            return;
        }
        let news = state.facts.evidence.prove(proof, now);
        let readable = proof.calendar == Proof::Works;
        if let Some(entry) = self.store.tenant_mut(tenant).filter(|_| readable) {
            entry.known.calendars_readable = true;
        }
        match news {
            News::None => {}
            News::CalendarsWork => self.refresh_tenant(shared, tenant, now),
            News::Revoked => self.suspect(shared, tenant, now),
        }
    }

    /// A mailbox's pass met something that only the tenant can explain.
    pub(super) fn suspect(&mut self, shared: &Inner, tenant: &ObjectKey, now: Timestamp) {
        let Some(state) = self.tenants.get_mut(tenant) else {
            return;
        };
        if state.memory.failures.tries() == 0 && !state.memory.suspected {
            state.memory.suspected = true;
            self.refresh_tenant(shared, tenant, now);
        }
    }

    /// Mailboxes that a pass is working on.
    pub(super) fn busy_mailboxes(&self) -> BTreeSet<ObjectKey> {
        self.in_flight
            .iter()
            .filter_map(|item| match item {
                Item::Mailbox(key) => Some(key.clone()),
                Item::Tenant(_) | Item::Removal(_) | Item::Sweep(_) => None,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::super::stage::{Stage, room, start, tenant};
    use super::*;
    use crate::domain::records::MailboxRecord;
    use crate::domain::schedule::earlier;

    #[tokio::test]
    async fn mailboxes_of_tenants_whose_specs_cannot_be_used_do_not_conflict() {
        let context = Stage::new().context();
        let namespaces = ["calendars", "elsewhere"];
        let conflict = |namespace: &str| {
            let world = context.world();
            let key = ObjectKey::new(namespace, "room-2");
            let entry = world.store.mailbox(&key).unwrap();
            world.store.conflict(entry).cloned()
        };
        for (spec, conflicts) in [("usable", true), ("unusable", false)] {
            for (number, namespace) in (1..).zip(namespaces) {
                let mut record = tenant(number);
                record.key = ObjectKey::new(namespace, "contoso");
                if spec == "unusable" {
                    record.generation = 2;
                    record.resource_version = "2".into();
                    record.spec.tenant_id = "none".to_owned();
                }
                context.tenant_present(&record);
                let mut record = room(2);
                record.key = ObjectKey::new(namespace, "room-2");
                record.uid = tenant(number + 10).uid;
                record.created_at = earlier(start(), std::time::Duration::from_secs(number.into()));
                context.mailbox_present(record);
            }
            assert_eq!(conflict("elsewhere"), None, "{spec}: the older one");
            assert_eq!(conflict("calendars").is_some(), conflicts, "{spec}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_changes_of_mailboxes_are_one_count_ten_seconds_after_the_first() {
        let context = Stage::new().context();
        context.tenant_present(&tenant(1));
        let key = tenant(1).key;
        {
            // As after a pass over the tenant.
            let mut world = context.world();
            world.queue.remove(&Item::Tenant(key.clone()));
            world.queue.remove(&Item::Sweep(key.clone()));
        }
        for number in 2..10 {
            context.mailbox_present(room(number));
            let mut world = context.world();
            world.queue.remove(&Item::Mailbox(room(number).key));
            assert_eq!(
                world.queue.next_due(),
                Some(later(start(), COUNTS_DEBOUNCE))
            );
        }
        assert_eq!(context.world().mailboxes_summed_up(&key).total, 8);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_mailbox_does_not_wait_for_all_others_when_its_tenant_is_known() {
        let context = Stage::new().context();
        let owner = tenant(1).key;
        context.tenant_present(&tenant(1));
        let (others, new) = (2..99, 99);
        for number in others.clone() {
            let room = waiting(room(number), "True", "Activated");
            context.mailbox_present(room);
        }
        context.mailbox_present(room(new));
        let mut world = context.world();
        let known = world.store.tenant_mut(&owner).unwrap();
        known.known.token = TokenState::Issued;
        world.queue.remove(&Item::Tenant(owner.clone()));
        world.queue.remove(&Item::Sweep(owner.clone()));
        for number in others.clone().chain([new]) {
            world.queue.remove(&Item::Mailbox(room(number).key));
        }
        world.refresh_mailboxes_of(&context, &owner, start());
        for number in others {
            world.queue.remove(&Item::Mailbox(room(number).key));
        }
        assert_eq!(world.queue.next_due(), Some(start()));
    }

    /// As it would say after Graph refused the notification URL twice.
    fn rejected(mut record: TenantRecord) -> TenantRecord {
        let condition = json!({
            "type": "EndpointRejected", "status": "True", "reason": "ValidationFailed",
            "lastTransitionTime": start(),
        });
        record.status = serde_json::from_value(json!({"conditions": [condition]})).unwrap();
        record
    }

    fn waiting(mut record: MailboxRecord, status: &str, reason: &str) -> MailboxRecord {
        let condition = json!({
            "type": "Ready", "status": status, "reason": reason, "lastTransitionTime": start(),
        });
        record.status = serde_json::from_value(json!({"conditions": [condition]})).unwrap();
        record.resource_version = format!("{status}-{reason}").into();
        record
    }

    /// Another process had seen Graph refuse the URL, and meanwhile every mailbox has its subscription.
    #[tokio::test(start_paused = true)]
    async fn a_refused_endpoint_is_not_carried_on_where_nobody_tries_it_any_more() {
        let context = Stage::new().context();
        context.tenant_present(&rejected(tenant(1)));
        let verdict = || context.world().endpoint_verdict(&tenant(1).key);
        for (status, reason, expected) in [
            ("False", "SubscriptionInactive", EndpointVerdict::Unknown),
            ("True", "Activated", EndpointVerdict::NobodyTries),
            ("Unknown", "SubscriptionInactive", EndpointVerdict::Unknown),
            ("False", "MailboxNotFound", EndpointVerdict::NobodyTries),
        ] {
            context.mailbox_present(waiting(room(2), status, reason));
            assert_eq!(verdict(), expected, "{status}/{reason}");
        }
        let cloud: Arc<str> = "Worldwide".into();
        context.world().verdicts.accepted(&cloud);
        assert_eq!(verdict(), EndpointVerdict::Accepted);
    }
}
