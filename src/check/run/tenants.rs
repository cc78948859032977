//! The tenants of a run: looked at once, and once more when a mailbox shows what they could not know.

use std::sync::Arc;

use futures::{StreamExt, stream};

use super::{LONG, Run, Tenant, long_failing, long_outage, next_version, no_patience};
use crate::api::v1alpha1::tenant::CalendarTenantStatus;
use crate::check::judge;
use crate::config::Writes;
use crate::controller::tenant::observe::{Edge, Link, look_once};
use crate::domain::notification_url::EndpointVerdict;
use crate::domain::reading::{Outage, OutageKind, Reading};
use crate::domain::records::TenantRecord;
use crate::domain::schedule::earlier;
use crate::domain::tenant::desired::TenantDesired;
use crate::domain::tenant::facts::TenantFacts;
use crate::domain::tenant::looks::{self, TenantLook};
use crate::domain::tenant::memory::TenantMemory;
use crate::domain::tenant::observed::TenantObserved;
use crate::domain::tenant::permissions::CALENDARS_READ;
use crate::domain::tenant::snapshot::{Mailboxes, TenantSnapshot};
use crate::domain::tenant::work::Work;
use crate::ids::ObjectKey;

/// How many tenants are looked at at once.
const TENANTS_AT_ONCE: usize = 8;

impl Run<'_> {
    pub(super) fn take_tenant(&mut self, record: TenantRecord) {
        let (key, now) = (record.key.clone(), self.now);
        let desired = TenantDesired::from_spec(&key.namespace, &record.spec, &self.around.allowed);
        let facts = TenantFacts::default();
        let known = facts.known(&record, Some(&desired), earlier(now, LONG));
        self.store.put_tenant(record, known);
        self.order.0.push(key.clone());
        let memory = TenantMemory {
            failures: long_failing(now),
            ..TenantMemory::new(now, now)
        };
        let tenant = Tenant {
            desired,
            before: facts.clone(),
            facts,
            memory,
            link: Link::default(),
            work: Work::NONE,
            observed: TenantObserved::default(),
            mailboxes: Mailboxes::default(),
        };
        self.tenants.insert(key, tenant);
    }

    pub(super) fn count(&mut self) {
        for (key, tenant) in &mut self.tenants {
            tenant.mailboxes = Mailboxes::of(&self.store, key);
        }
    }

    fn tenant_snapshot<'s>(
        &'s self,
        record: &'s TenantRecord,
        tenant: &'s Tenant,
    ) -> TenantSnapshot<'s> {
        TenantSnapshot {
            record,
            desired: &tenant.desired,
            facts: &tenant.before,
            memory: &tenant.memory,
            work: tenant.work,
            observed: &tenant.observed,
            endpoint: EndpointVerdict::default(),
            mailboxes: &tenant.mailboxes,
            now: self.now,
            pace: no_patience(),
        }
    }

    pub(super) async fn look_at_tenants(&mut self, keys: &[ObjectKey], work: Work) {
        for key in keys {
            if let Some(tenant) = self.tenants.get_mut(key) {
                tenant.before = tenant.facts.clone();
                tenant.work = work;
                tenant.observed = TenantObserved::default();
            }
        }
        let looks = keys.iter().map(|key| self.look_at_tenant(key));
        let looks = stream::iter(looks).buffer_unordered(TENANTS_AT_ONCE);
        let seen: Vec<_> = looks.collect().await;
        for (key, seen) in seen {
            match seen {
                Some((observed, link)) => {
                    self.unfinished |= self.is_cut_short(&observed);
                    self.learn(&key, observed, link);
                }
                None => self.unfinished = true,
            }
        }
    }

    async fn look_at_tenant(&self, key: &ObjectKey) -> (ObjectKey, Option<(TenantObserved, Link)>) {
        let (Some(entry), Some(tenant)) = (self.store.tenant(key), self.tenants.get(key)) else {
            return (key.clone(), None);
        };
        let look = async {
            let mut link = tenant.link.clone();
            let offers = self.around.offers.of(key);
            let mut edge = Edge {
                offers: &offers,
                gateway: &self.around.gateway,
                key,
                link: &mut link,
            };
            let snapshot = self.tenant_snapshot(&entry.record, tenant);
            let observed = self.observe(&mut edge, &snapshot).await?;
            Some((observed, link))
        };
        let seen = Box::pin(self.around.ending.cleaned_up(look))
            .await
            .flatten();
        (key.clone(), seen)
    }

    /// Whether the provisioning check was asked for and could not come to its end.
    fn is_cut_short(&self, observed: &TenantObserved) -> bool {
        let test = [observed.test.created.outage(), observed.test.read.outage()];
        let mut withheld = test
            .into_iter()
            .flatten()
            .filter(|outage| outage.kind == OutageKind::Withheld);
        self.around.writes == Writes::Allowed && withheld.next().is_some()
    }

    /// As the controller asks, but only until it is time to end: from then on nothing but what removes the event of
    /// the provisioning check.
    async fn observe(
        &self,
        edge: &mut Edge<'_>,
        start: &TenantSnapshot<'_>,
    ) -> Option<TenantObserved> {
        let ending = &self.around.ending;
        let mut observed = start.observed.clone();
        while let Some(look) = looks::next(&start.with(&observed)) {
            match look.clone() {
                TenantLook::CreateTestEvent { mailbox } => {
                    ending.opens(&mailbox);
                    look_once(edge, start, look, &mut observed).await;
                    if !may_exist(&observed.test.created) {
                        ending.closes(&mailbox);
                    }
                }
                TenantLook::ReadTestEvent(_) => {
                    let read = look_once(edge, start, look, &mut observed);
                    if ending.before(read).await.is_none() {
                        let withheld = Outage::of(OutageKind::Withheld);
                        observed.test.read = Reading::Unavailable(withheld);
                    }
                }
                TenantLook::DeleteTestEvent(event) => {
                    look_once(edge, start, look, &mut observed).await;
                    if is_gone(&observed.test.deleted) {
                        ending.closes(&event.mailbox);
                    }
                }
                TenantLook::Credential
                | TenantLook::Token(_)
                | TenantLook::Company { .. }
                | TenantLook::Directory { .. }
                | TenantLook::Calendar { .. }
                | TenantLook::DeleteLeftover(_)
                | TenantLook::IsolationProbe { .. } => {
                    let looked = look_once(edge, start, look, &mut observed);
                    ending.before(looked).await?;
                }
            }
        }
        Some(observed)
    }

    /// Takes in what a look at a tenant brought, for its status and its mailboxes.
    fn learn(&mut self, key: &ObjectKey, observed: TenantObserved, link: Link) {
        let Some(record) = self
            .store
            .tenant(key)
            .map(|entry| Arc::clone(&entry.record))
        else {
            return;
        };
        let silent = observed.outages().find(|outage| outage.kind.is_microsoft());
        let outage = silent.map(|outage| long_outage(outage.kind, self.now));
        let Some(tenant) = self.tenants.get_mut(key) else {
            return;
        };
        tenant.before.outage = outage;
        tenant.observed = observed;
        tenant.link = link;
        let Some(tenant) = self.tenants.get(key) else {
            return;
        };
        let mut facts = tenant.before.clone();
        facts.learn(&self.tenant_snapshot(&record, tenant));
        let mut known = facts.known(&record, Some(&tenant.desired), self.now);
        known.set_back(LONG);
        if let Some(tenant) = self.tenants.get_mut(key) {
            tenant.facts = facts;
        }
        if let Some(entry) = self.store.tenant_mut(key) {
            entry.known = known;
        }
    }

    /// Whether the right that mailboxes have just shown to work counts as missing.
    pub(super) fn lacks_calendars(&self, key: &ObjectKey) -> bool {
        let decided = self.tenant_status(key);
        let permissions = decided.and_then(|status| status.permissions);
        permissions.is_some_and(|all| all.missing.iter().any(|name| name == CALENDARS_READ))
    }

    pub(super) fn tenant_status(&self, key: &ObjectKey) -> Option<CalendarTenantStatus> {
        let (entry, tenant) = (self.store.tenant(key)?, self.tenants.get(key)?);
        let snapshot = self.tenant_snapshot(&entry.record, tenant);
        Some(judge::tenant(&snapshot, self.around.writes))
    }

    /// Ends the pass over tenants that are looked at again.
    pub(super) fn remember(&mut self, keys: &[ObjectKey]) {
        for key in keys {
            let Some(status) = self.tenant_status(key) else {
                continue;
            };
            let memory = self.tenants.get(key).and_then(|tenant| {
                let entry = self.store.tenant(key)?;
                let mut memory = tenant.memory.clone();
                memory.end(&self.tenant_snapshot(&entry.record, tenant));
                Some(memory)
            });
            if let (Some(tenant), Some(memory)) = (self.tenants.get_mut(key), memory) {
                tenant.memory = TenantMemory {
                    failures: long_failing(self.now),
                    ..memory
                };
            }
            self.show_tenant(key, status);
        }
    }

    pub(super) fn show_tenant(&mut self, key: &ObjectKey, status: CalendarTenantStatus) {
        if let Some(entry) = self.store.tenant(key) {
            let record = TenantRecord {
                status,
                resource_version: next_version(&entry.record.resource_version),
                ..(*entry.record).clone()
            };
            let known = entry.known.clone();
            self.store.put_tenant(record, known);
        }
    }
}

/// Whether there may be an event after somebody asked for one: who was kept from asking, or refused, has none.
fn may_exist(created: &Reading<String>) -> bool {
    match created {
        Reading::Present(_) => true,
        Reading::NotLooked | Reading::Absent(_) | Reading::Forbidden(_) => false,
        Reading::Unavailable(outage) => match outage.kind {
            OutageKind::GraphUnreachable | OutageKind::ServerErrors => true,
            OutageKind::LoginUnreachable
            | OutageKind::Refused
            | OutageKind::Throttled
            | OutageKind::NoToken
            | OutageKind::Withheld
            | OutageKind::ClusterUnreachable => false,
        },
    }
}

fn is_gone(deleted: &Reading<()>) -> bool {
    match deleted {
        Reading::Present(()) | Reading::Absent(_) => true,
        Reading::NotLooked | Reading::Forbidden(_) | Reading::Unavailable(_) => false,
    }
}
