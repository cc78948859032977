//! The mailboxes of a run, and what they show of their tenants' permissions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::{StreamExt, stream};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::{LONG, Run, long_failing, next_version, no_patience};
use crate::check::judge;
use crate::controller::mailbox::observe::observe;
use crate::domain::mailbox::look::Observed;
use crate::domain::mailbox::snapshot::Snapshot;
use crate::domain::mailbox::subscription::Progress;
use crate::domain::mailbox::tenant_view::TenantView;
use crate::domain::mailbox::work::Work;
use crate::domain::permission::{Labels, NAME_LABEL, selects_by_name};
use crate::domain::records::{MailboxRecord, Memory};
use crate::domain::schedule::earlier;
use crate::domain::store::MailboxEntry;
use crate::domain::tenant::facts::{MailboxProof, News, Proof};
use crate::graph::gateway::TenantGateway;
use crate::ids::ObjectKey;

/// How many mailboxes are looked at at once: as many as the gateway lets through for a tenant.
const MAILBOXES_AT_ONCE: usize = 16;

/// What of the rest of the world a mailbox depends on.
type Surroundings = (TenantView, Option<ObjectKey>, Progress);

impl Run<'_> {
    pub(super) fn memory_of_mailbox(&self) -> Memory {
        Memory {
            looks: long_failing(self.now),
            ..Memory::new(self.now, earlier(self.now, LONG))
        }
    }

    pub(super) async fn look_at_mailboxes(&mut self) {
        let entries: Vec<&MailboxEntry> = self.store.mailboxes().collect();
        let looks = entries.into_iter().map(|entry| self.look_at_mailbox(entry));
        let looks = stream::iter(looks).buffer_unordered(MAILBOXES_AT_ONCE);
        let seen: Vec<_> = looks.collect().await;
        for (key, observed) in seen {
            self.unfinished |= observed.is_none();
            self.seen.insert(key, observed.unwrap_or_default());
        }
    }

    async fn look_at_mailbox(&self, entry: &MailboxEntry) -> (ObjectKey, Option<Observed>) {
        let key = entry.record.key.clone();
        let gateway = self.gateway_for(entry);
        let around = self.surroundings(entry);
        let unseen = Observed::default();
        let snapshot = self.mailbox_snapshot(entry, &around, &unseen);
        let observed = self.around.ending.before(observe(gateway, &snapshot)).await;
        (key, observed)
    }

    fn gateway_for(&self, entry: &MailboxEntry) -> Option<&TenantGateway> {
        let desired = entry.desired.as_ref().as_ref().ok()?;
        self.tenants.get(&desired.tenant)?.link.gateway()
    }

    fn surroundings(&self, entry: &MailboxEntry) -> (TenantView, Option<ObjectKey>, Progress) {
        (
            self.store.view(entry),
            self.store.conflict(entry).cloned(),
            Progress::starting(&entry.record, &entry.memory),
        )
    }

    fn mailbox_snapshot<'s>(
        &'s self,
        entry: &'s MailboxEntry,
        (tenant, conflict, progress): &'s Surroundings,
        observed: &'s Observed,
    ) -> Snapshot<'s> {
        let gateway = self.gateway_for(entry);
        let ahead = gateway.map_or(SignedDuration::ZERO, TenantGateway::clock_offset);
        Snapshot {
            record: &entry.record,
            desired: &entry.desired,
            tenant,
            conflict: conflict.as_ref(),
            memory: &entry.memory,
            work: Work::CHECK,
            observed,
            progress,
            endpoint: &self.endpoint,
            now: self.now,
            graph_now: self.now.saturating_add(ahead).unwrap_or(self.now),
            pace: no_patience(),
        }
    }

    /// What mailboxes show of permissions. Returns the tenants that have to look again because of it.
    pub(super) fn prove(&mut self) -> Vec<ObjectKey> {
        let (mut readable, mut revoked) = (BTreeSet::new(), BTreeSet::new());
        for entry in self.store.mailboxes() {
            let seen = self.seen.get(&entry.record.key);
            let (Ok(desired), Some(observed)) = (entry.desired.as_ref(), seen) else {
                continue;
            };
            let Some(tenant) = self.tenants.get_mut(&desired.tenant) else {
                continue;
            };
            let proof = MailboxProof::of(observed);
            if tenant.facts.evidence.prove(proof, self.now) == News::Revoked {
                revoked.insert(desired.tenant.clone());
            }
            if proof.calendar == Proof::Works {
                readable.insert(desired.tenant.clone());
            }
        }
        for key in &readable {
            if let Some(entry) = self.store.tenant_mut(key) {
                entry.known.calendars_readable = true;
            }
        }
        // What counts as missing works after all.
        let surprised = readable.into_iter().filter(|key| self.lacks_calendars(key));
        revoked.extend(surprised);
        revoked.into_iter().collect()
    }

    /// The labels that decide about a mailbox, if it is by labels.
    fn selector<'s>(&'s self, entry: &'s MailboxEntry) -> Option<&'s LabelSelector> {
        let desired = entry.desired.as_ref().as_ref().ok()?;
        let tenant = &self.store.tenant(&desired.tenant)?.record;
        let allowed = &tenant.spec.allowed_namespaces;
        let namespace = &entry.record.key.namespace;
        judge::selector_for(allowed, &tenant.key.namespace, namespace)
    }

    /// Gives the namespaces that are in no file the label that each of them has, where it is enough.
    pub(super) fn label_by_name(&mut self) {
        let mut enough: BTreeMap<Arc<str>, bool> = BTreeMap::new();
        for entry in self.store.mailboxes() {
            let namespace = &entry.record.key.namespace;
            if let Some(selector) = self.selector(entry)
                && !self.labelled.contains(namespace)
            {
                let decided = selects_by_name(selector, namespace).is_some();
                *enough.entry(Arc::clone(namespace)).or_insert(true) &= decided;
            }
        }
        for (namespace, _) in enough.into_iter().filter(|(_, enough)| *enough) {
            let labels = Labels::from([(NAME_LABEL.to_owned(), namespace.to_string())]);
            self.store.put_namespace(Arc::clone(&namespace), labels);
            self.labelled.insert(namespace);
        }
    }

    /// Whether a mailbox's tenant decides by labels of its namespace that nobody has told.
    fn is_hidden(&self, entry: &MailboxEntry) -> bool {
        !self.labelled.contains(&entry.record.key.namespace) && self.selector(entry).is_some()
    }

    /// What its status is to say, for the store.
    pub(super) fn decided_mailbox(&self, entry: &MailboxEntry) -> MailboxRecord {
        let around = self.surroundings(entry);
        let unseen = Observed::default();
        let observed = self.seen.get(&entry.record.key).unwrap_or(&unseen);
        let snapshot = self.mailbox_snapshot(entry, &around, observed);
        MailboxRecord {
            status: judge::mailbox(&snapshot, self.is_hidden(entry)),
            resource_version: next_version(&entry.record.resource_version),
            ..(*entry.record).clone()
        }
    }
}
