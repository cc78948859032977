//! Every object as the decisions need it, and the relations between them: which mailboxes belong to a tenant,
//! which have the same address, which namespaces carry which labels.
//!
//! Filled by the watches; a diff against it says what changed, including what only a new list shows as gone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::mailbox::desired::MailboxDesired;
use super::mailbox::tenant_view::{KnownTenant, TenantView};
use super::permission::{Labels, permits};
use super::records::{MailboxRecord, Memory, TenantRecord};
use crate::api::v1alpha1::condition::ConditionStatus;
use crate::api::vocabulary::ConditionType;
use crate::domain::conditions::find;
use crate::ids::{ObjectKey, Uid};

/// A tenant and what is known of it.
#[derive(Clone, Debug)]
pub struct TenantEntry {
    /// The object.
    pub record: Arc<TenantRecord>,
    /// What its mailboxes depend on.
    pub known: KnownTenant,
    /// Whether it rests.
    pub suspended: bool,
}

/// A mailbox and what is remembered about it.
#[derive(Clone, Debug)]
pub struct MailboxEntry {
    /// The object.
    pub record: Arc<MailboxRecord>,
    /// What it asks for.
    pub desired: Arc<Result<MailboxDesired, String>>,
    /// What this process remembers.
    pub memory: Memory,
}

/// What putting an object in showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put<Entry> {
    /// Known already, or older than what is known.
    Known,
    /// New, perhaps under the name of another one that is gone.
    New {
        /// The one that had the name.
        replaced: Option<Entry>,
    },
    /// Another version of a known one.
    Changed {
        /// As it was.
        before: Entry,
    },
}

/// All objects.
#[derive(Debug, Default)]
pub struct Store {
    tenants: BTreeMap<ObjectKey, TenantEntry>,
    mailboxes: BTreeMap<ObjectKey, MailboxEntry>,
    uids: HashMap<Uid, ObjectKey>,
    by_tenant: BTreeMap<ObjectKey, BTreeSet<ObjectKey>>,
    by_address: HashMap<String, BTreeSet<ObjectKey>>,
    namespaces: BTreeMap<Arc<str>, Labels>,
}

/// Versions of one object are ordered by the API server's counter; what cannot be read counts as newer.
fn is_newer(candidate: &str, known: &str) -> bool {
    match (candidate.parse::<u64>(), known.parse::<u64>()) {
        (Ok(candidate), Ok(known)) => candidate > known,
        (Ok(_) | Err(_), _) => candidate != known,
    }
}

impl Store {
    /// Takes a mailbox in. `memory` is for one that was not known.
    pub fn put_mailbox(
        &mut self,
        record: MailboxRecord,
        memory: Memory,
    ) -> Put<Arc<MailboxRecord>> {
        let key = record.key.clone();
        let desired = Arc::new(MailboxDesired::from_spec(&key.namespace, &record.spec));
        if let Some(entry) = self.mailboxes.get_mut(&key)
            && entry.record.uid == record.uid
        {
            if !is_newer(&record.resource_version, &entry.record.resource_version) {
                return Put::Known;
            }
            let before = Arc::clone(&entry.record);
            let old = Arc::clone(&entry.desired);
            self.unlink(&key, &old);
            self.link(&key, &desired);
            if let Some(entry) = self.mailboxes.get_mut(&key) {
                entry.record = Arc::new(record);
                entry.desired = desired;
            }
            return Put::Changed { before };
        }
        let replaced = self.remove_mailbox(&key).map(|entry| entry.record);
        self.link(&key, &desired);
        self.uids.insert(record.uid, key.clone());
        self.mailboxes.insert(
            key,
            MailboxEntry {
                record: Arc::new(record),
                desired,
                memory,
            },
        );
        Put::New { replaced }
    }

    /// Forgets a mailbox that is gone.
    pub fn remove_mailbox(&mut self, key: &ObjectKey) -> Option<MailboxEntry> {
        let entry = self.mailboxes.remove(key)?;
        self.uids.remove(&entry.record.uid);
        self.unlink(key, &entry.desired);
        Some(entry)
    }

    fn link(&mut self, key: &ObjectKey, desired: &Result<MailboxDesired, String>) {
        if let Ok(desired) = desired {
            self.by_tenant
                .entry(desired.tenant.clone())
                .or_default()
                .insert(key.clone());
            self.by_address
                .entry(desired.address.to_ascii_lowercase())
                .or_default()
                .insert(key.clone());
        }
    }

    fn unlink(&mut self, key: &ObjectKey, desired: &Result<MailboxDesired, String>) {
        let Ok(desired) = desired else { return };
        if let Some(keys) = self.by_tenant.get_mut(&desired.tenant) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_tenant.remove(&desired.tenant);
            }
        }
        let address = desired.address.to_ascii_lowercase();
        if let Some(keys) = self.by_address.get_mut(&address) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_address.remove(&address);
            }
        }
    }

    /// Takes a tenant in. `known` is for one that was not known, or whose spec changed.
    pub fn put_tenant(
        &mut self,
        record: TenantRecord,
        known: KnownTenant,
    ) -> Put<Arc<TenantRecord>> {
        let key = record.key.clone();
        let suspended = record.spec.suspend;
        match self.tenants.get_mut(&key) {
            Some(entry) if entry.record.uid == record.uid => {
                if !is_newer(&record.resource_version, &entry.record.resource_version) {
                    return Put::Known;
                }
                if entry.record.generation != record.generation {
                    entry.known = known;
                }
                entry.suspended = suspended;
                let before = std::mem::replace(&mut entry.record, Arc::new(record));
                Put::Changed { before }
            }
            Some(_) | None => {
                let entry = TenantEntry {
                    record: Arc::new(record),
                    known,
                    suspended,
                };
                let replaced = self.tenants.insert(key, entry).map(|entry| entry.record);
                Put::New { replaced }
            }
        }
    }

    /// Forgets a tenant that is gone.
    pub fn remove_tenant(&mut self, key: &ObjectKey) -> Option<TenantEntry> {
        self.tenants.remove(key)
    }

    /// Takes a namespace's labels in; whether they differ from before.
    pub fn put_namespace(&mut self, name: Arc<str>, labels: Labels) -> bool {
        let known = self.namespaces.get(&name) == Some(&labels);
        self.namespaces.insert(name, labels);
        !known
    }

    /// Forgets a namespace.
    pub fn remove_namespace(&mut self, name: &str) {
        self.namespaces.remove(name);
    }

    /// A mailbox.
    #[must_use]
    pub fn mailbox(&self, key: &ObjectKey) -> Option<&MailboxEntry> {
        self.mailboxes.get(key)
    }

    /// A mailbox, to remember something about it.
    pub fn mailbox_mut(&mut self, key: &ObjectKey) -> Option<&mut MailboxEntry> {
        self.mailboxes.get_mut(key)
    }

    /// The name of the mailbox with a UID.
    #[must_use]
    pub fn key_of(&self, uid: Uid) -> Option<&ObjectKey> {
        self.uids.get(&uid)
    }

    /// All mailboxes.
    pub fn mailboxes(&self) -> impl Iterator<Item = &MailboxEntry> {
        self.mailboxes.values()
    }

    /// A tenant.
    #[must_use]
    pub fn tenant(&self, key: &ObjectKey) -> Option<&TenantEntry> {
        self.tenants.get(key)
    }

    /// A tenant, to note what was learned about it.
    pub fn tenant_mut(&mut self, key: &ObjectKey) -> Option<&mut TenantEntry> {
        self.tenants.get_mut(key)
    }

    /// All tenants.
    pub fn tenants(&self) -> impl Iterator<Item = &TenantEntry> {
        self.tenants.values()
    }

    /// The mailboxes that refer to a tenant, permitted or not, whether it exists or not.
    pub fn mailboxes_of(&self, tenant: &ObjectKey) -> impl Iterator<Item = &MailboxEntry> {
        self.by_tenant
            .get(tenant)
            .into_iter()
            .flatten()
            .filter_map(|key| self.mailboxes.get(key))
    }

    /// The mailboxes that have an address, in whatever tenant.
    pub fn namesakes(&self, address: &str) -> impl Iterator<Item = &MailboxEntry> {
        self.by_address
            .get(&address.to_ascii_lowercase())
            .into_iter()
            .flatten()
            .filter_map(|key| self.mailboxes.get(key))
    }

    /// How many mailboxes a tenant has, and how many of them are ready.
    #[must_use]
    pub fn counts(&self, tenant: &ObjectKey) -> (usize, usize) {
        self.mailboxes_of(tenant)
            .fold((0, 0), |(total, ready), entry| {
                let is_ready = find(&entry.record.status.conditions, &ConditionType::Ready)
                    .is_some_and(|c| c.status == ConditionStatus::True);
                (total + 1, ready + usize::from(is_ready))
            })
    }

    /// The tenant of a mailbox, as far as the mailbox may use it.
    #[must_use]
    pub fn view(&self, mailbox: &MailboxEntry) -> TenantView {
        let Ok(desired) = mailbox.desired.as_ref() else {
            return TenantView::Missing(ObjectKey::new("", ""));
        };
        let Some(tenant) = self.tenants.get(&desired.tenant) else {
            return TenantView::Missing(desired.tenant.clone());
        };
        if !self.permits(&tenant.record, &mailbox.record.key.namespace) {
            return TenantView::NotPermitted(desired.tenant.clone());
        }
        if tenant.suspended {
            return TenantView::Suspended(desired.tenant.clone());
        }
        let mut known = tenant.known.clone();
        known.mailboxes = self.by_tenant.get(&desired.tenant).map_or(0, BTreeSet::len);
        TenantView::Known(Box::new(known))
    }

    fn permits(&self, tenant: &TenantRecord, namespace: &str) -> bool {
        permits(
            &tenant.spec.allowed_namespaces,
            &tenant.key.namespace,
            namespace,
            self.namespaces.get(namespace),
        )
    }

    /// The older, permitted object with the same mailbox, if there is one: the oldest; ties by UID.
    #[must_use]
    pub fn conflict(&self, mailbox: &MailboxEntry) -> Option<&ObjectKey> {
        let desired = mailbox.desired.as_ref().as_ref().ok()?;
        let app = &self.tenants.get(&desired.tenant)?.known.app;
        let own_age = (mailbox.record.created_at, mailbox.record.uid);
        self.namesakes(&desired.address)
            .filter(|other| (other.record.created_at, other.record.uid) < own_age)
            .filter(|other| {
                let tenant = other
                    .desired
                    .as_ref()
                    .as_ref()
                    .ok()
                    .and_then(|d| self.tenants.get(&d.tenant));
                tenant.is_some_and(|tenant| {
                    tenant.known.app == *app
                        && self.permits(&tenant.record, &other.record.key.namespace)
                })
            })
            .min_by_key(|other| (other.record.created_at, other.record.uid))
            .map(|other| &other.record.key)
    }
}
