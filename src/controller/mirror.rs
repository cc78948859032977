//! The cluster's objects as the watches show them, for as long as this process lives: kept here while another copy leads,
//! lent to the controllers while this one does. Whoever takes over knows everything already and lists nothing.
//!
//! What watches bring may lag behind what the leader before wrote last: see [`Freshness`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::changes::tenant_of;
use super::labels::Labels;
use super::lead::{Broken, broken};
use super::objects::Revision;
use super::watch as watches;
use super::world::Context;
use crate::clock::{Clock, sleep};
use crate::config::Scope;
use crate::domain::freshness::{Freshness, Stream};
use crate::domain::permission;
use crate::domain::records::{MailboxRecord, Memory, TenantRecord};
use crate::domain::schedule::later;
use crate::domain::store::{Put, Store};
use crate::domain::sweep::Strays;
use crate::domain::tenant::facts::TenantFacts;
use crate::ids::{Kind, ObjectKey, SubscriptionId, Uid};
use crate::metrics::Metrics;
use crate::notification::receiver::TenantLabel;
use crate::plain::Causes;

/// Who leads this soon lists when it does: a list that is newer than its term leaves nothing in doubt.
const ELECTED_BY_THEN: Duration = Duration::from_secs(3);

/// What a leader that was killed may not have got to since its last sign of life. Older ones it has removed, or has said
/// that it could not.
const LEFT_FOR: Duration = Duration::from_mins(1);

/// So many of those at most; the sweep finds the others.
const MOST_LEFT: usize = 1000;

/// See the module. Clones share it.
#[derive(Clone)]
pub struct Mirror(Arc<Shared>);

struct Shared {
    client: Client,
    clock: Clock,
    metrics: Metrics,
    scope: Scope,
    labels: Labels,
    state: Mutex<State>,
    /// Whether somebody in this process has begun to lead.
    wanted: watch::Sender<bool>,
    /// Whether everything has been listed once.
    complete: watch::Sender<bool>,
}

struct State {
    holder: Holder,
    freshness: Freshness,
}

/// Where what is known is.
enum Holder {
    Kept(Box<Kept>),
    Lent(Context),
}

/// What is known while another copy leads.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) store: Store,
    /// Versions of the Secrets that are offered to us.
    pub(super) secrets: BTreeMap<ObjectKey, String>,
    /// Subscriptions of objects that went lately, and when.
    pub(super) left: BTreeMap<SubscriptionId, Left>,
    /// What this copy saw nobody name while it led: terms may be shorter than a stray has to have been seen for.
    pub(super) strays: BTreeMap<ObjectKey, Strays>,
}

/// What an object left that is gone.
pub(super) struct Left {
    pub(super) tenant: ObjectKey,
    pub(super) object: Uid,
    pub(super) at: Timestamp,
}

impl std::fmt::Debug for Mirror {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mirror").finish_non_exhaustive()
    }
}

impl Mirror {
    /// Of the cluster behind a client, as far as the scope reaches. The receiver finds its labels in it.
    #[must_use]
    pub fn new(
        (client, clock, metrics): (Client, Clock, Metrics),
        scope: Scope,
        labels: Labels,
    ) -> Self {
        Self(Arc::new(Shared {
            client,
            clock,
            metrics,
            scope,
            labels,
            state: Mutex::new(State {
                holder: Holder::Kept(Box::default()),
                freshness: Freshness::default(),
            }),
            wanted: watch::Sender::new(false),
            complete: watch::Sender::new(false),
        }))
    }

    /// Follows the cluster until something is broken, which is what it returns.
    pub async fn follow(&self) -> Broken {
        let mut wanted = self.0.wanted.subscribe();
        tokio::select! {
            _ = wanted.wait_for(|wanted| *wanted) => {}
            () = sleep(ELECTED_BY_THEN) => {}
        }
        let mut tasks = JoinSet::new();
        let (synced, mut all_synced) = mpsc::channel(1);
        let watches = watches::start(self, &self.0.scope, &mut tasks, &synced);
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
        self.0.labels.follow(Some(self.clone()));
        let _forget = Forget(&self.0.labels);
        self.0.complete.send_replace(true);
        broken(&mut tasks).await
    }

    /// Whether everything has been listed once.
    pub(super) fn complete(&self) -> watch::Receiver<bool> {
        self.0.complete.subscribe()
    }

    /// This copy begins to lead.
    pub(super) fn begin_term(&self) {
        let streams = watches::streams(&self.0.scope);
        self.state().freshness.doubt(streams);
        self.0.wanted.send_replace(true);
    }

    /// Gives what is known to the controllers, until what this returns is dropped.
    pub(super) fn lend(&self, context: &Context) -> Lent {
        let mut state = self.state();
        if let Holder::Kept(kept) = &mut state.holder {
            let kept = std::mem::take(&mut **kept);
            context.world().inherit(context, kept, self.0.clock.now());
        }
        state.holder = Holder::Lent(context.clone());
        Lent(self.clone())
    }

    /// Whoever leads in this process.
    pub(super) fn leads(&self) -> Option<Context> {
        match &self.state().holder {
            Holder::Lent(context) => Some(context.clone()),
            Holder::Kept(_) => None,
        }
    }

    pub(super) fn client(&self) -> &Client {
        &self.0.client
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = &self.0.state;
        state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// About what is known now, wherever it is: the objects and the versions of offered Secrets.
    fn with_known<R>(&self, about: impl FnOnce(&Store, &BTreeMap<ObjectKey, String>) -> R) -> R {
        match &self.state().holder {
            Holder::Lent(context) => {
                let world = context.world();
                about(&world.store, &world.secrets)
            }
            Holder::Kept(kept) => about(&kept.store, &kept.secrets),
        }
    }

    /// The CalendarTenant of the mailbox with this UID.
    pub(super) fn tenant(&self, uid: &Uid) -> TenantLabel {
        self.with_known(|store, _| label(store, *uid))
    }

    /// The known objects of a kind, in a namespace or in all.
    pub(super) fn objects(&self, kind: Kind, namespace: Option<&str>) -> Vec<ObjectKey> {
        self.with_known(|store, _| match kind {
            Kind::CalendarTenant => {
                let keys = store.tenants().map(|entry| &entry.record.key);
                those_in(namespace, keys)
            }
            Kind::WorkspaceMailbox => {
                let keys = store.mailboxes().map(|entry| &entry.record.key);
                those_in(namespace, keys)
            }
        })
    }

    /// The known Secrets that are offered, in a namespace or in all.
    pub(super) fn secrets(&self, namespace: Option<&str>) -> Vec<ObjectKey> {
        self.with_known(|_, secrets| those_in(namespace, secrets.keys()))
    }

    /// The known namespaces: this one or all.
    pub(super) fn namespaces(&self, name: Option<&str>) -> Vec<Arc<str>> {
        self.with_known(|store, _| {
            let names = store.namespaces();
            names
                .filter(|known| name.is_none_or(|name| name == &***known))
                .cloned()
                .collect()
        })
    }

    /// About what is in doubt since this copy leads.
    pub(super) fn with_freshness<R>(&self, about: impl FnOnce(&mut Freshness) -> R) -> R {
        about(&mut self.state().freshness)
    }

    /// Something was told.
    pub(super) fn told(&self) {
        if let Holder::Lent(context) = &self.state().holder {
            context.changed.notify_one();
        }
    }

    /// Whether this version of an object is known already: what our own write made, most of the time.
    pub(super) fn knows(&self, kind: Kind, revision: &Revision<'_>) -> bool {
        let (key, uid, version) = (&revision.key, revision.uid, revision.resource_version);
        self.with_known(|store, _| match kind {
            Kind::CalendarTenant => store.knows_tenant(key, uid, version),
            Kind::WorkspaceMailbox => store.knows_mailbox(key, uid, version),
        })
    }

    pub(super) fn mailbox_present(&self, record: MailboxRecord) {
        match &mut self.state().holder {
            Holder::Lent(context) => context.mailbox_present(record),
            Holder::Kept(kept) => kept.mailbox_present(record, self.0.clock.now()),
        }
    }

    pub(super) fn mailbox_gone(&self, key: &ObjectKey) {
        match &mut self.state().holder {
            Holder::Lent(context) => context.mailbox_gone(key),
            Holder::Kept(kept) => kept.mailbox_gone(key, self.0.clock.now()),
        }
    }

    pub(super) fn tenant_present(&self, record: TenantRecord) {
        match &mut self.state().holder {
            Holder::Lent(context) => context.tenant_present(&record),
            Holder::Kept(kept) => kept.tenant_present(record),
        }
    }

    pub(super) fn tenant_gone(&self, key: &ObjectKey) {
        match &mut self.state().holder {
            Holder::Lent(context) => context.tenant_gone(key),
            Holder::Kept(kept) => {
                kept.store.remove_tenant(key);
                self.0.metrics.forget_tenant(&key.to_string());
            }
        }
    }

    pub(super) fn secret_changed(&self, key: &ObjectKey, version: Option<&str>) {
        match (&mut self.state().holder, version) {
            (Holder::Lent(context), version) => context.secret_changed(key, version),
            (Holder::Kept(kept), Some(version)) => {
                kept.secrets.insert(key.clone(), version.to_owned());
            }
            (Holder::Kept(kept), None) => {
                kept.secrets.remove(key);
            }
        }
    }

    pub(super) fn namespace_labelled(&self, name: &Arc<str>, labels: permission::Labels) {
        match &mut self.state().holder {
            Holder::Lent(context) => context.namespace_labelled(name, labels),
            Holder::Kept(kept) => {
                kept.store.put_namespace(Arc::clone(name), labels);
            }
        }
    }

    pub(super) fn namespace_gone(&self, name: &str) {
        match &mut self.state().holder {
            Holder::Lent(context) => context.namespace_gone(name),
            Holder::Kept(kept) => kept.store.remove_namespace(name),
        }
    }
}

fn those_in<'a>(
    namespace: Option<&str>,
    keys: impl Iterator<Item = &'a ObjectKey>,
) -> Vec<ObjectKey> {
    keys.filter(|key| namespace.is_none_or(|namespace| *namespace == *key.namespace))
        .cloned()
        .collect()
}

fn label(store: &Store, uid: Uid) -> TenantLabel {
    let Some(entry) = store.key_of(uid).and_then(|key| store.mailbox(key)) else {
        return TenantLabel::NoObject;
    };
    match entry.desired.as_ref() {
        Ok(desired) if store.tenant(&desired.tenant).is_some() => {
            TenantLabel::Named(desired.tenant.to_string().into())
        }
        Ok(_) | Err(_) => TenantLabel::Unnamed,
    }
}

impl Kept {
    fn mailbox_present(&mut self, record: MailboxRecord, now: Timestamp) {
        let put = self.store.put_mailbox(record, Memory::new(now, now));
        if let Put::New {
            replaced: Some(gone),
        } = put
        {
            self.note_left(&gone, now);
        }
    }

    fn mailbox_gone(&mut self, key: &ObjectKey, now: Timestamp) {
        if let Some(entry) = self.store.remove_mailbox(key) {
            self.note_left(&entry.record, now);
        }
    }

    fn tenant_present(&mut self, record: TenantRecord) {
        // Made anew from the spec when it is lent.
        let facts = TenantFacts::remembered(&record.status);
        let known = facts.known(&record, None, Timestamp::MIN);
        self.store.put_tenant(record, known);
    }

    fn note_left(&mut self, record: &MailboxRecord, now: Timestamp) {
        self.left.retain(|_, left| later(left.at, LEFT_FOR) > now);
        let named = record.status.subscription.as_ref();
        let own = named.filter(|named| named.owner_uid == record.uid);
        if let Some(own) = own.filter(|_| self.left.len() < MOST_LEFT) {
            let left = Left {
                tenant: tenant_of(record),
                object: record.uid,
                at: now,
            };
            self.left.insert(own.id.clone(), left);
        }
    }

    /// What the leader before may not have got to.
    pub(super) fn left_lately(&mut self, now: Timestamp) -> BTreeMap<SubscriptionId, Left> {
        let mut left = std::mem::take(&mut self.left);
        left.retain(|_, left| later(left.at, LEFT_FOR) > now);
        left
    }
}

/// What is known comes back when this is dropped, also in the midst of work.
pub(super) struct Lent(Mirror);

impl Drop for Lent {
    fn drop(&mut self) {
        let mut state = self.0.state();
        let kept = match &state.holder {
            Holder::Kept(_) => return,
            Holder::Lent(context) => {
                // Passes that are being abandoned find nothing any more.
                let mut world = context.world();
                Kept {
                    store: std::mem::take(&mut world.store),
                    secrets: std::mem::take(&mut world.secrets),
                    left: BTreeMap::new(),
                    strays: world.take_strays(),
                }
            }
        };
        state.holder = Holder::Kept(Box::new(kept));
    }
}

/// What nobody keeps in step any more is not told.
struct Forget<'a>(&'a Labels);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.follow(None);
    }
}

/// Asks the API server how new things are, for those who took over, until it has said so of everything. Then it does
/// nothing for ever.
pub(super) async fn ask_versions(mirror: Mirror) {
    /// The longest wait between two tries.
    const LONGEST: Duration = Duration::from_mins(1);
    let mut wait = Duration::from_secs(1);
    loop {
        for stream in mirror.with_freshness(|freshness| freshness.unasked()) {
            ask_version(&mirror, &stream).await;
        }
        if mirror.with_freshness(|freshness| freshness.unasked().is_empty()) {
            return std::future::pending().await;
        }
        sleep(wait).await;
        wait = wait.saturating_mul(2).min(LONGEST);
    }
}

async fn ask_version(mirror: &Mirror, stream: &Stream) {
    let (kind, namespace) = stream;
    match super::cluster::version(mirror.client(), *kind, namespace.as_deref()).await {
        Ok(version) => mirror.with_freshness(|freshness| freshness.asked(stream, &version)),
        Err(error) => {
            let kind = kind.as_str();
            tracing::debug!(kind, error = %Causes(&error), "how new things are could not be asked; each is read by itself");
        }
    }
}
