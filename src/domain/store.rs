//! Every object as the decisions need it, and the relations between them: which mailboxes belong to a tenant,
//! which have the same address, which namespaces carry which labels.
//!
//! Filled by the watches; a diff against it says what changed, including what only a new list shows as gone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::mailbox::desired::MailboxDesired;
use super::mailbox::tenant_view::{KnownTenant, TenantView};
use super::permission::{Labels, permits};
use super::records::{MailboxRecord, Memory, Record, TenantRecord};
use super::texts::Texts;
use crate::ids::{ObjectKey, Uid};

#[cfg(test)]
mod tests;

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
    /// Boxed, because a tree leaves up to half of its places empty.
    mailboxes: BTreeMap<ObjectKey, Box<MailboxEntry>>,
    uids: HashMap<Uid, ObjectKey>,
    by_tenant: ByTenant,
    /// Nearly always one object each.
    by_address: HashMap<Arc<str>, Vec<ObjectKey>>,
    namespaces: BTreeMap<Arc<str>, Labels>,
    texts: Texts,
}

/// Versions of one object are ordered by the API server's counter; what cannot be read counts as newer.
fn is_newer(candidate: &str, known: &str) -> bool {
    match (candidate.parse::<u64>(), known.parse::<u64>()) {
        (Ok(candidate), Ok(known)) => candidate > known,
        (Ok(_) | Err(_), _) => candidate != known,
    }
}

/// Whether what is known is this version of the same object, or a newer one.
fn covers<Spec, Status>(known: &Record<Spec, Status>, uid: Uid, version: &str) -> bool {
    known.uid == uid && !is_newer(version, &known.resource_version)
}

/// Takes our own write at its word where the API server has shown another status under the very version that it made or
/// left: it drops fields that its CustomResourceDefinition does not have, or somebody changes them on the way. Whether it was so.
fn insist<Spec: Clone, Status: Clone + PartialEq>(
    known: &mut Arc<Record<Spec, Status>>,
    written: &Record<Spec, Status>,
) -> bool {
    let same = known.uid == written.uid && known.resource_version == written.resource_version;
    let disputed = same && known.status != written.status;
    if disputed {
        Arc::make_mut(known).status = written.status.clone();
    }
    disputed
}

/// Whether the spec names another mailbox than the one that was found.
fn has_moved(mailbox: &MailboxEntry) -> bool {
    let found = mailbox.record.status.mailbox.as_ref();
    let desired = mailbox.desired.as_ref().as_ref().ok();
    found
        .zip(desired)
        .is_some_and(|(found, desired)| !desired.is_at(found))
}

/// Which mailboxes refer to a tenant.
type ByTenant = BTreeMap<ObjectKey, BTreeSet<ObjectKey>>;

/// What a mailbox asks for. Mailboxes of one tenant have one key of it.
fn desired(by_tenant: &ByTenant, record: &MailboxRecord) -> Arc<Result<MailboxDesired, String>> {
    let mut desired = MailboxDesired::from_spec(&record.key.namespace, &record.spec);
    if let Ok(desired) = &mut desired
        && let Some((known, _)) = by_tenant.get_key_value(&desired.tenant)
    {
        desired.tenant = known.clone();
    }
    Arc::new(desired)
}

/// Addresses differ by case for people only.
fn lower_case(address: &Arc<str>) -> Arc<str> {
    if address.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return address.to_ascii_lowercase().into();
    }
    Arc::clone(address)
}

impl Store {
    /// Takes a mailbox in. `memory` is for one that was not known.
    pub fn put_mailbox(
        &mut self,
        mut record: MailboxRecord,
        memory: Memory,
    ) -> Put<Arc<MailboxRecord>> {
        if self.knows_mailbox(&record.key, record.uid, &record.resource_version) {
            return Put::Known;
        }
        record.share(&mut self.texts);
        let key = self.kept_key(&record.key);
        record.key = key.clone();
        let known = self.mailboxes.get_mut(&key);
        if let Some(entry) = known.filter(|entry| entry.record.uid == record.uid) {
            let same_spec = entry.record.generation == record.generation;
            let record = Arc::new(record);
            let before = std::mem::replace(&mut entry.record, Arc::clone(&record));
            if !same_spec {
                let desired = desired(&self.by_tenant, &record);
                let old = std::mem::replace(&mut entry.desired, Arc::clone(&desired));
                self.unlink(&key, &old);
                self.link(&key, &desired);
            }
            return Put::Changed { before };
        }
        let desired = desired(&self.by_tenant, &record);
        let replaced = self.remove_mailbox(&key).map(|entry| entry.record);
        self.link(&key, &desired);
        self.uids.insert(record.uid, key.clone());
        let entry = MailboxEntry {
            record: Arc::new(record),
            desired,
            memory,
        };
        self.mailboxes.insert(key, Box::new(entry));
        Put::New { replaced }
    }

    /// Takes in what our own write made of a mailbox; whether it is still there. Only a watch brings objects: one that
    /// was deleted while we wrote stays away, and another one that has its name now is left as it is.
    pub fn rewrite_mailbox(&mut self, record: MailboxRecord) -> bool {
        let entry = self.mailboxes.get(&record.key);
        let Some(entry) = entry.filter(|entry| entry.record.uid == record.uid) else {
            return false;
        };
        let memory = entry.memory.clone();
        self.put_mailbox(record, memory);
        true
    }

    /// Takes our own write at its word where the API server shows something else under the same version, which another
    /// write would not change: without this it would be written again and again. Whether that was so.
    pub fn insist_on_mailbox(&mut self, written: &MailboxRecord) -> bool {
        let known = self.mailboxes.get_mut(&written.key);
        known.is_some_and(|entry| insist(&mut entry.record, written))
    }

    /// The same for a tenant.
    pub fn insist_on_tenant(&mut self, written: &TenantRecord) -> bool {
        let known = self.tenants.get_mut(&written.key);
        known.is_some_and(|entry| insist(&mut entry.record, written))
    }

    /// Forgets a mailbox that is gone.
    pub fn remove_mailbox(&mut self, key: &ObjectKey) -> Option<MailboxEntry> {
        let entry = self.mailboxes.remove(key)?;
        self.uids.remove(&entry.record.uid);
        self.unlink(key, &entry.desired);
        Some(*entry)
    }

    /// The key that the indexes have of a mailbox already, or one that shares what it can: each is kept once.
    fn kept_key(&mut self, key: &ObjectKey) -> ObjectKey {
        if let Some((known, _)) = self.mailboxes.get_key_value(key) {
            return known.clone();
        }
        let mut namespace = Arc::clone(&key.namespace);
        self.texts.share(&mut namespace);
        ObjectKey::new(namespace, Arc::clone(&key.name))
    }

    fn link(&mut self, key: &ObjectKey, desired: &Result<MailboxDesired, String>) {
        if let Ok(desired) = desired {
            self.by_tenant
                .entry(desired.tenant.clone())
                .or_default()
                .insert(key.clone());
            self.by_address
                .entry(lower_case(&desired.address))
                .and_modify(|keys| keys.push(key.clone()))
                .or_insert_with(|| vec![key.clone()]);
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
        let address = lower_case(&desired.address);
        if let Some(keys) = self.by_address.get_mut(&address) {
            keys.retain(|other| other != key);
            if keys.is_empty() {
                self.by_address.remove(&address);
            }
        }
    }

    /// Whether this version of a mailbox is known already, or a newer one.
    #[must_use]
    pub fn knows_mailbox(&self, key: &ObjectKey, uid: Uid, version: &str) -> bool {
        let known = self.mailboxes.get(key);
        known.is_some_and(|entry| covers(&entry.record, uid, version))
    }

    /// Whether this version of a tenant is known already, or a newer one: what we wrote may reach us after somebody
    /// else's change.
    #[must_use]
    pub fn knows_tenant(&self, key: &ObjectKey, uid: Uid, version: &str) -> bool {
        let known = self.tenants.get(key);
        known.is_some_and(|entry| covers(&entry.record, uid, version))
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

    /// The names of namespaces.
    pub fn namespaces(&self) -> impl Iterator<Item = &Arc<str>> {
        self.namespaces.keys()
    }

    /// Forgets a namespace.
    pub fn remove_namespace(&mut self, name: &str) {
        self.namespaces.remove(name);
    }

    /// A mailbox.
    #[must_use]
    pub fn mailbox(&self, key: &ObjectKey) -> Option<&MailboxEntry> {
        self.mailboxes.get(key).map(Box::as_ref)
    }

    /// A mailbox, to remember something about it.
    pub fn mailbox_mut(&mut self, key: &ObjectKey) -> Option<&mut MailboxEntry> {
        self.mailboxes.get_mut(key).map(Box::as_mut)
    }

    /// All mailboxes, to remember something about them.
    pub fn mailboxes_mut(&mut self) -> impl Iterator<Item = &mut MailboxEntry> {
        self.mailboxes.values_mut().map(Box::as_mut)
    }

    /// The name of the mailbox with a UID.
    #[must_use]
    pub fn key_of(&self, uid: Uid) -> Option<&ObjectKey> {
        self.uids.get(&uid)
    }

    /// All mailboxes.
    pub fn mailboxes(&self) -> impl Iterator<Item = &MailboxEntry> {
        self.mailboxes.values().map(Box::as_ref)
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
            .filter_map(|key| self.mailbox(key))
    }

    /// The mailboxes that have an address, in whatever tenant.
    pub fn namesakes(&self, address: &str) -> impl Iterator<Item = &MailboxEntry> {
        self.by_address
            .get(address.to_ascii_lowercase().as_str())
            .into_iter()
            .flatten()
            .filter_map(|key| self.mailbox(key))
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

    /// Whether the mailbox's tenant, if it exists, allows the reference.
    #[must_use]
    pub fn is_permitted(&self, mailbox: &MailboxEntry) -> bool {
        let Ok(desired) = mailbox.desired.as_ref() else {
            return true;
        };
        let tenant = self.tenants.get(&desired.tenant);
        tenant.is_none_or(|tenant| self.permits(&tenant.record, &mailbox.record.key.namespace))
    }

    fn permits(&self, tenant: &TenantRecord, namespace: &str) -> bool {
        permits(
            &tenant.spec.allowed_namespaces,
            &tenant.key.namespace,
            namespace,
            self.namespaces.get(namespace),
        )
    }

    /// Whether an object may have the subscription that its status names, as far as references and other objects decide: it
    /// may be for another mailbox by now, and rest, so that it gives it up only later.
    #[must_use]
    pub fn may_have(&self, mailbox: &MailboxEntry) -> bool {
        !matches!(self.view(mailbox), TenantView::NotPermitted(_))
            && self.conflict(mailbox).is_none()
            && !has_moved(mailbox)
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
                    tenant.known.app.is_same_as(app)
                        && self.permits(&tenant.record, &other.record.key.namespace)
                })
            })
            .min_by_key(|other| (other.record.created_at, other.record.uid))
            .map(|other| &other.record.key)
    }
}
