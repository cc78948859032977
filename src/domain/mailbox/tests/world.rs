//! One mailbox, its tenant and a Graph that is only what decisions see of it: passes run to their end in it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::super::desired::MailboxDesired;
use super::super::look::{self, Look, Observed, Person};
use super::super::snapshot::Snapshot;
use super::super::subscription::{
    self, Change, Endpoint, Failure, Granted, Outcome, Progress, Step,
};
use super::super::tenant_view::{
    AcceptedDomains, EndpointState, KnownTenant, TenantView, TokenState,
};
use super::super::work::{Work, agenda};
use super::super::{memory, status};
use crate::api::v1alpha1::condition::{Condition, ConditionStatus};
use crate::api::v1alpha1::mailbox::{WorkspaceMailboxSpec, WorkspaceMailboxStatus};
use crate::api::vocabulary::ConditionType;
use crate::domain::conditions::find;
use crate::domain::queue::Class;
use crate::domain::reading::{Absence, Outage, OutageKind, Reading, Refusal};
use crate::domain::records::{MailboxRecord, Memory};
use crate::domain::schedule::{Pace, later};
use crate::ids::{AppTenant, KeyId, MailboxId, ObjectKey, SubscriptionId, Uid};

pub(super) const ADDRESS: &str = "room-a@contoso.example";

/// How Graph answers for the one mailbox.
#[derive(Clone, Debug)]
pub(super) struct Graph {
    pub(super) directory: Reading<Vec<Person>>,
    pub(super) sign_in: Reading<Person>,
    pub(super) calendar: Reading<()>,
    pub(super) place: Reading<()>,
    /// Subscriptions by id, and whether they are ours.
    pub(super) subscriptions: BTreeMap<SubscriptionId, (Timestamp, bool)>,
    /// Every write fails like this.
    pub(super) writes: Option<Failure>,
    /// Every create fails like this.
    pub(super) creates: Option<Failure>,
    pub(super) longest: Duration,
    pub(super) created: u32,
    pub(super) changes: Vec<Change>,
    pub(super) looks: usize,
    /// How often it was asked, several questions at once or one.
    pub(super) rounds: usize,
}

/// The mailbox, this process's memory of it, and everything around it.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) record: MailboxRecord,
    pub(super) memory: Memory,
    pub(super) tenant: TenantView,
    pub(super) conflict: Option<ObjectKey>,
    pub(super) endpoint: Endpoint,
    pub(super) graph: Graph,
    pub(super) now: Timestamp,
    pub(super) writes: usize,
    /// The API server takes no status.
    pub(super) cluster_refuses: bool,
    /// Passes that made the tenant look.
    pub(super) suspicions: usize,
}

pub(super) fn person(address: &str) -> Person {
    Person {
        id: MailboxId::new("id-of-a"),
        display_name: "Room A".to_owned(),
        primary: Some(address.to_owned()),
        guest: false,
    }
}

pub(super) fn outage() -> Outage {
    Outage::of(OutageKind::GraphUnreachable)
}

pub(super) fn absent() -> Absence {
    Absence {
        not_enabled_for_rest: false,
        request_id: None,
    }
}

pub(super) fn refused() -> Refusal {
    Refusal {
        by_access_policy: true,
        request_id: None,
    }
}

impl World {
    /// A good room in a good tenant, never looked at.
    pub(super) fn new() -> Self {
        let now: Timestamp = "2026-11-25T08:00:00Z".parse().unwrap();
        let spec: WorkspaceMailboxSpec = serde_json::from_value(
            serde_json::json!({"tenantRef": {"name": "contoso"}, "address": ADDRESS}),
        )
        .unwrap();
        let record = MailboxRecord {
            key: ObjectKey::new("rooms", "room-a"),
            uid: Uid::from_bytes([7; 16]),
            generation: 1,
            resource_version: "1".into(),
            created_at: now,
            requested_at: None,
            spec,
            status: WorkspaceMailboxStatus {
                observed_generation: Some(-1),
                ..Default::default()
            },
        };
        Self {
            record,
            memory: Memory::new(now, now),
            tenant: TenantView::Known(Box::new(tenant())),
            conflict: None,
            endpoint: Endpoint {
                hash: "here".into(),
                keys: vec![KeyId(1)],
                since: now,
                replace_within: Duration::ZERO,
            },
            graph: Graph {
                directory: Reading::Present(vec![person(ADDRESS)]),
                sign_in: Reading::Absent(absent()),
                calendar: Reading::Present(()),
                place: Reading::Present(()),
                subscriptions: BTreeMap::new(),
                writes: None,
                creates: None,
                longest: Duration::from_mins(10_070),
                created: 0,
                changes: Vec::new(),
                looks: 0,
                rounds: 0,
            },
            now,
            writes: 0,
            cluster_refuses: false,
            suspicions: 0,
        }
    }

    /// As [`World::new`], looked at and subscribed.
    pub(super) fn converged() -> Self {
        let mut world = Self::new();
        assert!(world.pass(), "a new mailbox is due");
        world.graph.changes.clear();
        world.graph.looks = 0;
        world.graph.rounds = 0;
        world.writes = 0;
        world
    }

    pub(super) fn tenant(&mut self) -> &mut KnownTenant {
        match &mut self.tenant {
            TenantView::Known(known) => known,
            TenantView::Missing(_) | TenantView::NotPermitted(_) | TenantView::Suspended(_) => {
                panic!("the tenant cannot be used")
            }
        }
    }

    pub(super) fn condition(&self, type_: &ConditionType) -> &Condition {
        find(&self.record.status.conditions, type_).unwrap()
    }

    /// Status and reason of a condition.
    pub(super) fn says(&self, type_: &ConditionType) -> (ConditionStatus, String) {
        let condition = self.condition(type_);
        (condition.status, condition.reason.to_string())
    }

    /// Whether Graph has a subscription that lives.
    pub(super) fn subscribed(&self) -> bool {
        let mut ends = self.graph.subscriptions.values().map(|(ends, _)| *ends);
        ends.any(|ends| ends > self.now)
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.now = later(self.now, by);
    }

    fn desired(&self) -> Result<MailboxDesired, String> {
        MailboxDesired::from_spec(&self.record.key.namespace, &self.record.spec)
    }

    fn with<R>(
        &self,
        work: Work,
        seen: (&Observed, &Progress),
        decide: impl FnOnce(&Snapshot<'_>) -> R,
    ) -> R {
        let desired = self.desired();
        decide(&Snapshot {
            record: &self.record,
            desired: &desired,
            tenant: &self.tenant,
            conflict: self.conflict.as_ref(),
            memory: &self.memory,
            work,
            observed: seen.0,
            progress: seen.1,
            endpoint: &self.endpoint,
            now: self.now,
            graph_now: self.now,
            pace: Pace::REAL,
        })
    }

    /// Whether its subscription, were it found gone now, was removed by somebody.
    pub(super) fn would_be_removed(&self) -> bool {
        let progress = Progress::starting(&self.record, &self.memory);
        let seen = (&Observed::default(), &progress);
        self.with(Work::default(), seen, subscription::outcome::was_removed)
    }

    /// When something is due next.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.coming().map(|(at, _)| at)
    }

    /// The same, and how urgent it is.
    pub(super) fn coming(&self) -> Option<(Timestamp, Class)> {
        let (observed, progress) = (
            Observed::default(),
            Progress::starting(&self.record, &self.memory),
        );
        self.with(Work::default(), (&observed, &progress), |s| {
            agenda(s).next(self.now)
        })
    }

    /// Runs a pass if one is due; whether it was.
    pub(super) fn pass(&mut self) -> bool {
        let (mut observed, mut progress) = (
            Observed::default(),
            Progress::starting(&self.record, &self.memory),
        );
        let Some(work) = self.with(Work::default(), (&observed, &progress), |s| {
            agenda(s).due(self.now)
        }) else {
            return false;
        };
        memory::begin(&mut self.memory, work);
        loop {
            let looks = self.with(work, (&observed, &progress), look::next);
            if looks.is_empty() {
                break;
            }
            self.graph.rounds += 1;
            for look in looks {
                self.look(look, &mut observed);
            }
        }
        progress = self.with(work, (&observed, &progress), subscription::outcome::noticed);
        for step in 0.. {
            assert!(step < 8, "a plan does not end: {:?}", self.graph.changes);
            match self.with(work, (&observed, &progress), subscription::plan::next) {
                None => break,
                Some(Step::Look(look)) => self.look(look, &mut observed),
                Some(Step::Change(change)) => {
                    let outcome = self.apply(&change);
                    progress = self.with(work, (&observed, &progress), |s| {
                        subscription::outcome::after(s, change, outcome)
                    });
                }
            }
        }
        let suspicion = self.with(work, (&observed, &progress), memory::is_tenants_affair);
        self.suspicions += usize::from(suspicion);
        let decided = self.with(work, (&observed, &progress), status::status);
        if decided != self.record.status && self.cluster_refuses {
            self.memory = self.with(work, (&observed, &progress), memory::unwritten);
            return true;
        }
        if decided == self.record.status {
            self.memory = self.with(work, (&observed, &progress), memory::after);
        } else {
            self.memory = self.with(work, (&observed, &progress), memory::written);
            self.record.status = decided;
            self.writes += 1;
        }
        true
    }

    /// Runs passes as they become due, until `end`.
    pub(super) fn run_until(&mut self, end: Timestamp) {
        for _ in 0..5000 {
            match self.next() {
                Some(at) if at <= end => {
                    self.now = self.now.max(at);
                    assert!(self.pass());
                }
                Some(_) | None => {
                    self.now = end;
                    return;
                }
            }
        }
        panic!("more than 5000 passes until {end}");
    }

    fn look(&mut self, look: Look, observed: &mut Observed) {
        self.graph.looks += 1;
        let graph = &self.graph;
        match look {
            Look::Directory { .. } => observed.directory = graph.directory.clone(),
            Look::SignInName { .. } => observed.sign_in = graph.sign_in.clone(),
            Look::Calendar { .. } => observed.calendar = graph.calendar.clone(),
            Look::Place { .. } => observed.place = graph.place.clone(),
            Look::Subscription { id } => {
                observed.subscription = match graph.subscriptions.get(&id) {
                    Some((ends, _)) if *ends > self.now => Reading::Present(()),
                    Some(_) | None => Reading::Absent(absent()),
                };
            }
            Look::Listing => {
                let ours = graph
                    .subscriptions
                    .iter()
                    .filter(|(_, (ends, ours))| *ours && *ends > self.now);
                observed.listing = Reading::Present(ours.map(|(id, _)| id.clone()).collect());
            }
        }
    }

    fn apply(&mut self, change: &Change) -> Outcome {
        let now = self.now;
        let graph = &mut self.graph;
        graph.changes.push(change.clone());
        if let Some(failure) = graph.writes.clone() {
            return Outcome::Failed(failure);
        }
        graph.subscriptions.retain(|_, (ends, _)| *ends > now);
        match change {
            Change::Create { .. } if let Some(failure) = graph.creates.clone() => {
                Outcome::Failed(failure)
            }
            Change::Create { life, .. } | Change::Renew { life, .. } if *life > graph.longest => {
                Outcome::Failed(Failure::LifetimeTooLong {
                    longest: Some(graph.longest),
                    request_id: None,
                })
            }
            Change::Create { life, .. } => {
                if let Some((id, (_, ours))) = graph.subscriptions.first_key_value() {
                    return Outcome::Duplicate {
                        ours: Some(id.clone()).filter(|_| *ours),
                    };
                }
                graph.created += 1;
                let id = SubscriptionId::new(format!("s{}", graph.created));
                graph
                    .subscriptions
                    .insert(id.clone(), (later(now, *life), true));
                Outcome::Created {
                    id,
                    key_id: *self.endpoint.keys.last().unwrap(),
                    granted: Granted {
                        at: now,
                        until: later(now, *life),
                    },
                }
            }
            Change::Renew { id, life } => match graph.subscriptions.get_mut(id) {
                Some((ends, _)) => {
                    *ends = later(now, *life);
                    Outcome::Renewed(Granted {
                        at: now,
                        until: later(now, *life),
                    })
                }
                None => Outcome::Gone,
            },
            Change::Delete { id } => {
                graph.subscriptions.remove(id);
                Outcome::Gone
            }
        }
    }
}

fn tenant() -> KnownTenant {
    KnownTenant {
        key: ObjectKey::new("rooms", "contoso"),
        uid: Uid::from_bytes([1; 16]),
        app: AppTenant {
            cloud: "Worldwide".into(),
            tenant_id: "t".into(),
            client_id: "c".into(),
        },
        lifetime: Duration::from_hours(160),
        places: true,
        domains: Some(AcceptedDomains {
            verified: vec!["contoso.example".to_owned()],
            allowed: None,
        }),
        token: TokenState::Issued,
        recovered_at: None,
        roles: vec!["Calendars.Read".to_owned()],
        calendars_readable: false,
        microsoft_silent: false,
        endpoint: EndpointState::Usable,
        mailboxes: 1,
    }
}
