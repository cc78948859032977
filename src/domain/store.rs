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
use super::texts::Texts;
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
    /// Boxed, because a tree leaves up to half of its places empty.
    mailboxes: BTreeMap<ObjectKey, Box<MailboxEntry>>,
    uids: HashMap<Uid, ObjectKey>,
    by_tenant: BTreeMap<ObjectKey, BTreeSet<ObjectKey>>,
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
        let key = record.key.clone();
        if self.knows_mailbox(&key, record.uid, &record.resource_version) {
            return Put::Known;
        }
        record.share(&mut self.texts);
        let known = self.mailboxes.get_mut(&key);
        if let Some(entry) = known.filter(|entry| entry.record.uid == record.uid) {
            let same_spec = entry.record.generation == record.generation;
            let record = Arc::new(record);
            let before = std::mem::replace(&mut entry.record, Arc::clone(&record));
            if !same_spec {
                let desired = Arc::new(MailboxDesired::from_spec(&key.namespace, &record.spec));
                let old = std::mem::replace(&mut entry.desired, Arc::clone(&desired));
                self.unlink(&key, &old);
                self.link(&key, &desired);
            }
            return Put::Changed { before };
        }
        let desired = Arc::new(MailboxDesired::from_spec(&key.namespace, &record.spec));
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

    /// Forgets a mailbox that is gone.
    pub fn remove_mailbox(&mut self, key: &ObjectKey) -> Option<MailboxEntry> {
        let entry = self.mailboxes.remove(key)?;
        self.uids.remove(&entry.record.uid);
        self.unlink(key, &entry.desired);
        Some(*entry)
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
        self.mailboxes.get(key).is_some_and(|entry| {
            entry.record.uid == uid && !is_newer(version, &entry.record.resource_version)
        })
    }

    /// Whether this version of a tenant is known already, or a newer one: what we wrote may reach us after somebody
    /// else's change.
    #[must_use]
    pub fn knows_tenant(&self, key: &ObjectKey, uid: Uid, version: &str) -> bool {
        self.tenants.get(key).is_some_and(|entry| {
            entry.record.uid == uid && !is_newer(version, &entry.record.resource_version)
        })
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

    /// Whether an object may have its mailbox, as far as references and other objects decide.
    #[must_use]
    pub fn may_have(&self, mailbox: &MailboxEntry) -> bool {
        !matches!(self.view(mailbox), TenantView::NotPermitted(_))
            && self.conflict(mailbox).is_none()
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::api::v1alpha1::mailbox::WorkspaceMailboxStatus;
    use crate::api::v1alpha1::tenant::CalendarTenantStatus;
    use crate::domain::mailbox::tenant_view::{EndpointState, TokenState};
    use crate::ids::AppTenant;

    fn room(uid: u8, version: &str) -> MailboxRecord {
        let spec = json!({"tenantRef": {"name": "contoso"}, "address": "room-a@contoso.example"});
        MailboxRecord {
            key: ObjectKey::new("rooms", "room-a"),
            uid: Uid::from_bytes([uid; 16]),
            generation: 1,
            resource_version: version.to_owned(),
            created_at: Timestamp::UNIX_EPOCH,
            requested_at: None,
            spec: serde_json::from_value(spec).unwrap(),
            status: WorkspaceMailboxStatus::default(),
        }
    }

    #[test]
    fn an_answer_that_comes_after_somebody_elses_change_is_no_news() {
        let tenant = |version: &str| -> TenantRecord {
            let spec = json!({
                "tenantId": "5f1d7a9c-1111-4000-8000-000000000001",
                "clientId": "5f1d7a9c-2222-4000-8000-000000000001",
                "credential": {"workloadIdentity": {"serviceAccountName": "calendars"}},
            });
            TenantRecord {
                key: ObjectKey::new("rooms", "contoso"),
                uid: Uid::from_bytes([9; 16]),
                generation: 1,
                resource_version: version.to_owned(),
                created_at: Timestamp::UNIX_EPOCH,
                requested_at: None,
                spec: serde_json::from_value(spec).unwrap(),
                status: CalendarTenantStatus::default(),
            }
        };
        let known = KnownTenant {
            key: ObjectKey::new("rooms", "contoso"),
            uid: Uid::from_bytes([9; 16]),
            app: AppTenant {
                cloud: "Worldwide".into(),
                tenant_id: "tenant".into(),
                client_id: "client".into(),
            },
            lifetime: Duration::from_hours(160),
            places: false,
            domains: None,
            token: TokenState::Pending,
            recovered_at: None,
            roles: Vec::new(),
            calendars_readable: false,
            microsoft_silent: false,
            endpoint: EndpointState::Usable,
            mailboxes: 0,
        };
        let is_known = |store: &Store, version| {
            let TenantRecord { key, uid, .. } = tenant("1");
            store.knows_tenant(&key, uid, version)
        };
        let mut store = Store::default();
        assert!(!is_known(&store, "11"));
        store.put_tenant(tenant("11"), known);
        assert!(is_known(&store, "10"));
        assert!(is_known(&store, "11"));
        assert!(!is_known(&store, "12"));
    }

    fn memory() -> Memory {
        Memory::new(Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH)
    }

    fn known(store: &Store) -> Option<(Uid, &str)> {
        let entry = store.mailbox(&ObjectKey::new("rooms", "room-a"))?;
        Some((entry.record.uid, &entry.record.resource_version))
    }

    #[test]
    fn our_own_write_is_known_at_once() {
        let mut store = Store::default();
        store.put_mailbox(room(1, "1"), memory());
        assert!(store.rewrite_mailbox(room(1, "2")));
        assert_eq!(known(&store), Some((room(1, "2").uid, "2")));
    }

    #[test]
    fn our_own_write_does_not_bring_back_what_was_deleted_meanwhile() {
        let mut store = Store::default();
        store.put_mailbox(room(1, "1"), memory());
        store.remove_mailbox(&room(1, "1").key);
        assert!(!store.rewrite_mailbox(room(1, "2")));
        assert_eq!(known(&store), None);
    }

    #[test]
    fn our_own_write_does_not_displace_the_object_that_has_the_name_now() {
        let mut store = Store::default();
        store.put_mailbox(room(1, "1"), memory());
        store.put_mailbox(room(2, "3"), memory());
        assert!(!store.rewrite_mailbox(room(1, "2")));
        assert_eq!(known(&store), Some((room(2, "3").uid, "3")));
        assert_eq!(store.key_of(room(2, "3").uid), Some(&room(2, "3").key));
    }
}
