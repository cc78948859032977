//! What all passes share: the store, the queue, what was learned about tenants, and the ways to the cluster and
//! to Microsoft. Locked for moments only, never across a wait.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::Client;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::events::Publisher;
use super::item::{Item, Lane};
use super::lead::{ROW, Settings};
use super::mirror::Mirror;
use super::places::Rooms;
use super::removal::Removal;
use super::status::StatusWriter;
use super::tenant::observe::Link;
use crate::clock::Clock;
use crate::domain::agenda::Agenda;
use crate::domain::identity::{Identity, NotificationUrls};
use crate::domain::mailbox::look::Observed;
use crate::domain::mailbox::snapshot::Snapshot;
use crate::domain::mailbox::subscription::{Endpoint, Progress};
use crate::domain::mailbox::tenant_view::{EndpointState, TenantView};
use crate::domain::mailbox::work::{Work, agenda};
use crate::domain::notification_url::EndpointVerdicts;
use crate::domain::queue::{Class, Queue};
use crate::domain::reading::Outage;
use crate::domain::records::MailboxRecord;
use crate::domain::schedule::{later, smear};
use crate::domain::store::{MailboxEntry, Store};
use crate::domain::sweep::Strays;
use crate::domain::tenant::desired::{SpecProblem, TenantDesired};
use crate::domain::tenant::facts::TenantFacts;
use crate::domain::tenant::memory::TenantMemory;
use crate::graph::gateway::{Gateway, TenantGateway};
use crate::ids::{Kind, ObjectKey, SubscriptionId, Uid};
use crate::metrics::Metrics;

/// So many subscriptions a second are replaced because the endpoint or the keys changed.
const REPLACEMENTS_PER_SECOND: u32 = 5;

/// What panicked is tried again after this long.
pub(super) const PANIC_BACKOFF: Duration = Duration::from_mins(5);

/// A difference between Graph's clock and ours that delays nothing by more than this changes no agenda.
const SMALL_DIFFERENCE: Duration = Duration::from_secs(10);

/// Everything that a pass works with. Cheap to clone.
#[derive(Clone)]
pub struct Context(pub(super) Arc<Inner>);

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}

impl std::ops::Deref for Context {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// See [`Context`].
#[expect(
    missing_debug_implementations,
    reason = "Context has one and is all that others see"
)]
pub struct Inner {
    pub(super) clock: Clock,
    pub(super) metrics: Metrics,
    pub(super) client: Client,
    pub(super) statuses: StatusWriter,
    pub(super) gateway: Gateway,
    pub(super) settings: Settings,
    pub(super) publisher: Publisher,
    /// Where the store comes from, and returns to.
    pub(super) mirror: Mirror,
    pub(super) world: Mutex<World>,
    pub(super) changed: Notify,
    /// Cancelled when this copy is to end and what neither creates nor renews has had its time.
    pub(super) give_up: CancellationToken,
}

impl Inner {
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When an object is due, as `decide` says. One that makes it panic is looked at again slowly: this is asked in
    /// the midst of work for everybody, which a mistake about one object must not end.
    pub(super) fn contained(
        &self,
        item: &Item,
        now: Timestamp,
        decide: impl FnOnce() -> Option<(Timestamp, Class)>,
    ) -> Option<(Timestamp, Class)> {
        // What decides only reads, so that nothing is left half changed.
        catch_unwind(AssertUnwindSafe(decide)).unwrap_or_else(|_| {
            self.metrics.reconcile_panics.inc();
            tracing::error!(
                ?item,
                "when it is due could not be computed; it is tried again later"
            );
            Some((later(now, PANIC_BACKOFF), Class::Routine))
        })
    }
}

/// What is known of one tenant besides the object.
pub(super) struct TenantState {
    pub(super) desired: Arc<Result<TenantDesired, SpecProblem>>,
    pub(super) facts: TenantFacts,
    pub(super) memory: TenantMemory,
    /// The way to Microsoft, once the credential was read.
    pub(super) link: Link,
    /// The last list of its subscriptions.
    pub(super) listing: Arc<tokio::sync::Mutex<Listings>>,
    /// What Places lists of its rooms.
    pub(super) rooms: Arc<Rooms>,
    pub(super) strays: Strays,
    /// How far Graph's clock was ahead of ours when its mailboxes' agendas were last computed for it.
    pub(super) graph_ahead: SignedDuration,
}

impl TenantState {
    /// A tenant that nothing was read of yet.
    pub(super) fn new(
        desired: Result<TenantDesired, SpecProblem>,
        facts: TenantFacts,
        memory: TenantMemory,
    ) -> Self {
        Self {
            desired: Arc::new(desired),
            facts,
            memory,
            link: Link::default(),
            listing: Arc::default(),
            rooms: Arc::default(),
            strays: Strays::new(),
            graph_ahead: SignedDuration::ZERO,
        }
    }

    /// The spec of the same object changed, or came again.
    pub(super) fn desire(&mut self, desired: Result<TenantDesired, SpecProblem>) {
        let app = |desired: &Result<TenantDesired, SpecProblem>| {
            desired.as_ref().ok().map(TenantDesired::app)
        };
        if app(&self.desired) != app(&desired) {
            // An application lists its own subscriptions only.
            self.listing = Arc::default();
            self.rooms = Arc::default();
            self.strays.clear();
        }
        if desired.as_ref().is_ok_and(|desired| desired.suspended) {
            // Nothing more is asked for it, not even the rest of a list.
            self.rooms = Arc::default();
        }
        self.desired = Arc::new(desired);
    }
}

/// What became of the last lists of a tenant's subscriptions.
#[derive(Debug, Default)]
pub(super) struct Listings {
    /// The last that came.
    pub(super) last: Option<Listing>,
    /// When one last failed, and why.
    pub(super) failed: Option<(Timestamp, Outage)>,
}

/// The subscriptions of an application in a tenant that are ours, by object.
#[derive(Clone, Debug)]
pub(super) struct Listing {
    pub(super) at: Timestamp,
    pub(super) ours: Arc<BTreeMap<Uid, Vec<SubscriptionId>>>,
}

/// The state behind the lock.
pub(super) struct World {
    pub(super) store: Store,
    pub(super) queue: Queue<Item, Lane>,
    pub(super) tenants: BTreeMap<ObjectKey, TenantState>,
    /// Ways to Microsoft that serve removals only, and until when.
    pub(super) retired: BTreeMap<ObjectKey, (TenantGateway, Timestamp)>,
    pub(super) removals: BTreeMap<SubscriptionId, Removal>,
    /// What passes are working on.
    pub(super) in_flight: BTreeSet<Item>,
    /// Versions of the Secrets that are offered to us.
    pub(super) secrets: BTreeMap<ObjectKey, String>,
    pub(super) verdicts: EndpointVerdicts,
    pub(super) identity: Option<Arc<Identity>>,
    pub(super) endpoint: Endpoint,
    /// Since when this process leads.
    pub(super) leading_since: Timestamp,
    /// Slots up to here were served by whoever led before.
    pub(super) served_until: Timestamp,
    /// Kinds of which the API server stores something else than what was written.
    pub(super) disputed: BTreeSet<Kind>,
    /// By how much the clock was set back in all: what a pass copied before that moves along when it ends.
    pub(super) set_back_by: Duration,
}

/// One mailbox at the beginning of a pass: copies, so that nothing is locked while Microsoft is asked.
pub(super) struct Start {
    pub(super) entry: MailboxEntry,
    pub(super) tenant: TenantView,
    pub(super) conflict: Option<ObjectKey>,
    pub(super) endpoint: Endpoint,
    pub(super) gateway: Option<TenantGateway>,
    /// By how much the clock had been set back by then.
    pub(super) set_back_by: Duration,
}

impl Start {
    /// The decision's view of this pass.
    pub(super) fn snapshot<'a>(
        &'a self,
        shared: &Inner,
        seen: (&'a Observed, &'a Progress),
        work: Work,
    ) -> Snapshot<'a> {
        let now = shared.clock.now();
        let ahead = self
            .gateway
            .as_ref()
            .map_or(SignedDuration::ZERO, TenantGateway::clock_offset);
        Snapshot {
            record: &self.entry.record,
            desired: &self.entry.desired,
            tenant: &self.tenant,
            conflict: self.conflict.as_ref(),
            memory: &self.entry.memory,
            work,
            observed: seen.0,
            progress: seen.1,
            endpoint: &self.endpoint,
            now,
            graph_now: now.saturating_add(ahead).unwrap_or(now),
            pace: shared.settings.pace,
        }
    }

    /// What is coming for it.
    pub(super) fn agenda(&self, shared: &Inner) -> Agenda<Work> {
        let observed = Observed::default();
        let progress = Progress::starting(&self.entry.record, &self.entry.memory);
        agenda(&self.snapshot(shared, (&observed, &progress), Work::default()))
    }
}

impl World {
    pub(super) fn new(settings: &Settings, now: Timestamp) -> Self {
        // The clock may have been set back since the lease was taken, and its last holder's clock may have been ahead.
        let leading_since = settings.leading_since.min(now);
        Self {
            store: Store::default(),
            queue: Queue::new(settings.limits()),
            tenants: BTreeMap::new(),
            retired: BTreeMap::new(),
            removals: BTreeMap::new(),
            in_flight: BTreeSet::new(),
            secrets: BTreeMap::new(),
            verdicts: EndpointVerdicts::default(),
            identity: None,
            endpoint: Endpoint {
                hash: "".into(),
                keys: Vec::new(),
                since: now,
                replace_within: Duration::ZERO,
            },
            leading_since,
            served_until: settings.served_until.min(leading_since),
            disputed: BTreeSet::new(),
            set_back_by: Duration::ZERO,
        }
    }

    /// Copies what a pass over a mailbox needs.
    pub(super) fn start(&self, shared: &Inner, key: &ObjectKey) -> Option<Start> {
        let entry = self.store.mailbox(key)?.clone();
        let mut tenant = self.store.view(&entry);
        if let TenantView::Known(known) = &mut tenant {
            known.endpoint = if shared.settings.listening() {
                self.verdicts
                    .state_for(&known.app.cloud, entry.record.uid, shared.clock.now())
            } else {
                EndpointState::NotListening
            };
        }
        let conflict = self.store.conflict(&entry).cloned();
        let gateway = entry
            .desired
            .as_ref()
            .as_ref()
            .ok()
            .and_then(|desired| self.gateway(&desired.tenant));
        Some(Start {
            entry,
            tenant,
            conflict,
            endpoint: self.endpoint.clone(),
            gateway,
            set_back_by: self.set_back_by,
        })
    }

    /// When a mailbox is due, and how urgent it is.
    pub(super) fn next(
        &self,
        shared: &Inner,
        key: &ObjectKey,
        now: Timestamp,
    ) -> Option<(Timestamp, Class)> {
        shared.contained(&Item::Mailbox(key.clone()), now, || {
            self.start(shared, key)?.agenda(shared).next(now)
        })
    }

    /// Puts a mailbox into the queue by what is coming for it.
    pub(super) fn refresh(&mut self, shared: &Inner, key: &ObjectKey, now: Timestamp) {
        self.refresh_after(shared, key, (now, Duration::ZERO));
    }

    /// As [`World::refresh`], but what is due at once waits a little: spreads what concerns many.
    pub(super) fn refresh_after(
        &mut self,
        shared: &Inner,
        key: &ObjectKey,
        when: (Timestamp, Duration),
    ) {
        let (now, wait) = when;
        let Some(lane) = self.lane_of(key) else {
            return;
        };
        if let Some((at, class)) = self.next(shared, key, now) {
            let at = at.max(later(now, wait));
            self.queue.wake(Item::Mailbox(key.clone()), lane, at, class);
        }
    }

    fn lane_of(&self, key: &ObjectKey) -> Option<Lane> {
        let entry = self.store.mailbox(key)?;
        let tenant = match entry.desired.as_ref() {
            Ok(desired) => desired.tenant.clone(),
            Err(_) => key.clone(),
        };
        Some(Lane::Mailboxes(tenant))
    }

    /// Looks anew at all mailboxes of a tenant whose state changed, spread over time. New ones show nothing yet that could
    /// change all at once, and somebody may be waiting for them: they wait for nobody, however many there are.
    pub(super) fn refresh_mailboxes_of(
        &mut self,
        shared: &Inner,
        tenant: &ObjectKey,
        now: Timestamp,
    ) {
        let records = self.store.mailboxes_of(tenant).map(|entry| &entry.record);
        let (new, shown): (Vec<_>, Vec<_>) = records
            .cloned()
            .partition(|record| record.status.conditions.is_empty());
        for record in &new {
            self.refresh(shared, &record.key, now);
        }
        for (position, record) in shown.iter().enumerate() {
            // By rows, so that what they ask can travel together.
            let row = position - position % ROW;
            let wait = smear::nth(row, smear::SMEARED_WRITES_PER_SECOND);
            self.refresh_after(shared, &record.key, (now, wait));
        }
    }

    /// Graph's clock was seen at an answer. If it differs from ours in another way than before, what was computed when
    /// renewals are due is wrong, on a clock that is behind too late.
    pub(super) fn note_graph_clock(
        &mut self,
        shared: &Inner,
        tenant: &ObjectKey,
        (ahead, now): (SignedDuration, Timestamp),
    ) {
        let Some(state) = self.tenants.get_mut(tenant) else {
            return;
        };
        let before = std::mem::replace(&mut state.graph_ahead, ahead);
        if ahead.saturating_sub(before).unsigned_abs() > SMALL_DIFFERENCE {
            self.refresh_mailboxes_of(shared, tenant, now);
        }
    }

    /// Looks anew at every mailbox.
    pub(super) fn refresh_all(&mut self, shared: &Inner, now: Timestamp) {
        let keys: Vec<ObjectKey> = self
            .store
            .mailboxes()
            .map(|entry| entry.record.key.clone())
            .collect();
        for key in &keys {
            self.refresh(shared, key, now);
        }
    }

    /// Wakes a tenant's own pass.
    pub(super) fn wake_tenant(&mut self, key: &ObjectKey, at: Timestamp, class: Class) {
        self.queue.wake(
            Item::Tenant(key.clone()),
            Lane::Tenant(key.clone()),
            at,
            class,
        );
    }

    /// Other mailboxes with the address: they may conflict now, or no longer.
    pub(super) fn refresh_namesakes(
        &mut self,
        shared: &Inner,
        record: &MailboxRecord,
        now: Timestamp,
    ) {
        let keys: Vec<ObjectKey> = self
            .store
            .namesakes(&record.spec.address)
            .map(|entry| entry.record.key.clone())
            .filter(|key| *key != record.key)
            .collect();
        for key in &keys {
            self.refresh(shared, key, now);
        }
    }

    /// Notes who we are and which keys we hold; what was made for another endpoint is replaced from now on.
    pub(super) fn identify(
        &mut self,
        identity: Arc<Identity>,
        urls: &NotificationUrls,
        now: Timestamp,
    ) {
        let keys: Vec<_> = identity.keys.ids().collect();
        let hash = urls.endpoint_hash();
        let count = self.store.mailboxes().count();
        if self.endpoint.hash != hash || self.endpoint.keys != keys {
            let replace_within = smear::window_for(count, REPLACEMENTS_PER_SECOND);
            self.endpoint = Endpoint {
                hash,
                keys,
                since: now,
                replace_within,
            };
        }
        self.identity = Some(identity);
    }
}

#[cfg(test)]
mod tests {
    use super::super::stage::{Stage, start, tenant};
    use super::*;

    #[tokio::test]
    async fn a_mistake_about_one_object_ends_nothing_and_is_tried_again_later() {
        let stage = Stage::new();
        let context = stage.context();
        let item = Item::Tenant(tenant(1).key);
        let next = context.contained(&item, start(), || panic!("a mistake"));
        assert_eq!(next, Some((later(start(), PANIC_BACKOFF), Class::Routine)));
        assert_eq!(context.metrics.reconcile_panics.get(), 1);
        let due = Some((start(), Class::User));
        assert_eq!(context.contained(&item, start(), || due), due);
    }
}
