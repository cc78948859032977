//! Which tenant has which mailbox, as a copy knows it that stands by: so that what the receiver counts there is counted
//! for the tenant, whichever copy Graph reaches.
//!
//! Nothing else is kept. Who begins to lead lists everything anew: what a watch brought may lag behind what the leader
//! before wrote last.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::Client;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::changes::tenant_of;
use super::labels::Labels;
use super::lead::{Broken, Surroundings, broken};
use super::watch;
use crate::clock::sleep;
use crate::config::Scope;
use crate::domain::records::MailboxRecord;
use crate::ids::{ObjectKey, Uid};
use crate::metrics::Metrics;
use crate::notification::receiver::TenantLabel;

/// Who leads this soon need not stand by before.
const ELECTED_BY_THEN: Duration = Duration::from_secs(3);

/// What is known. Clones share it.
#[derive(Clone)]
pub(super) struct Names {
    pub(super) client: Client,
    metrics: Metrics,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    tenants: BTreeSet<ObjectKey>,
    mailboxes: BTreeMap<ObjectKey, Uid>,
    tenant_of: BTreeMap<Uid, ObjectKey>,
}

impl Names {
    fn new(around: &Surroundings) -> Self {
        Self {
            client: around.client.clone(),
            metrics: around.metrics.clone(),
            known: Arc::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn mailbox_present(&self, record: &MailboxRecord) {
        let mut known = self.known();
        let before = known.mailboxes.insert(record.key.clone(), record.uid);
        if let Some(before) = before.filter(|before| *before != record.uid) {
            known.tenant_of.remove(&before);
        }
        known.tenant_of.insert(record.uid, tenant_of(record));
    }

    pub(super) fn mailbox_gone(&self, key: &ObjectKey) {
        let mut known = self.known();
        if let Some(uid) = known.mailboxes.remove(key) {
            known.tenant_of.remove(&uid);
        }
    }

    pub(super) fn tenant_present(&self, key: &ObjectKey) {
        self.known().tenants.insert(key.clone());
    }

    pub(super) fn tenant_gone(&self, key: &ObjectKey) {
        self.known().tenants.remove(key);
        self.metrics.forget_tenant(&key.to_string());
    }

    /// The CalendarTenant of the mailbox with this UID.
    pub(super) fn tenant(&self, uid: &Uid) -> TenantLabel {
        let known = self.known();
        match known.tenant_of.get(uid) {
            None => TenantLabel::NoObject,
            Some(tenant) if known.tenants.contains(tenant) => {
                TenantLabel::Named(tenant.to_string().into())
            }
            Some(_) => TenantLabel::Unnamed,
        }
    }
}

/// Tells the receiver names for as long as this runs; it ends only when something is broken.
pub async fn stand_by(scope: &Scope, around: &Surroundings) -> Broken {
    sleep(ELECTED_BY_THEN).await;
    let names = Names::new(around);
    let mut tasks = JoinSet::new();
    let (synced, mut all_synced) = mpsc::channel(1);
    let watches = watch::start_names(&names, scope, &mut tasks, &synced);
    let known = async {
        for _ in 0..watches {
            all_synced.recv().await;
        }
    };
    tokio::select! {
        () = known => {}
        broken = broken(&mut tasks) => return broken,
    }
    // Not before: what is not known yet must not count as unknown.
    around.labels.know(names);
    let _forget = Forget(&around.labels);
    broken(&mut tasks).await
}

/// What nobody keeps in step any more is not told.
struct Forget<'a>(&'a Labels);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.follow(None);
    }
}

#[cfg(test)]
mod tests {
    use super::super::stage::{Stage, room};
    use super::*;

    #[tokio::test]
    async fn a_name_is_told_while_mailbox_and_tenant_are_there() {
        let stage = Stage::new();
        let names = Names::new(&stage.around);
        let another = room(2).uid;
        let room = room(1);
        assert_eq!(names.tenant(&room.uid), TenantLabel::NoObject);
        names.mailbox_present(&room);
        assert_eq!(names.tenant(&room.uid), TenantLabel::Unnamed);
        let key = tenant_of(&room);
        names.tenant_present(&key);
        let told = TenantLabel::Named(key.to_string().into());
        assert_eq!(names.tenant(&room.uid), told);

        let mut made_anew = room.clone();
        made_anew.uid = another;
        names.mailbox_present(&made_anew);
        assert_eq!(names.tenant(&room.uid), TenantLabel::NoObject);
        assert_eq!(names.tenant(&made_anew.uid), told);
        names.mailbox_gone(&room.key);
        assert_eq!(names.tenant(&made_anew.uid), TenantLabel::NoObject);
        assert_eq!(names.known().tenant_of.len(), 0);
    }

    #[tokio::test]
    async fn the_receiver_forgets_names_when_nobody_stands_by() {
        let stage = Stage::new();
        let labels = stage.around.labels.clone();
        let unknown = room(1).uid;
        labels.know(Names::new(&stage.around));
        assert_eq!(labels.tenant(&unknown), TenantLabel::NoObject);
        assert!(labels.followed().is_none(), "nothing to scrape from");
        drop(Forget(&labels));
        assert_eq!(labels.tenant(&unknown), TenantLabel::Unnamed);
    }
}
