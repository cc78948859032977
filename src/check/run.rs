//! One run: the tenants are looked at, then their mailboxes, and what both found is decided by the controllers' rules.
//!
//! Waits are left out: a grace, a patience or a backoff keeps a running operator from crying too early, while somebody
//! who runs this wants to know what is wrong now. Nothing is subscribed to, and nothing is written unless the
//! provisioning check was asked for.

pub mod ending;
mod mailboxes;
mod tenants;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use self::ending::Ending;
use super::consent;
use super::objects::{Declared, Objects};
use super::offers::FileOffers;
use super::report::{MailboxReport, Report, TenantReport};
use crate::clock::Clock;
use crate::config::Writes;
use crate::controller::tenant::observe::Link;
use crate::domain::endpoints::AllowedEndpoints;
use crate::domain::mailbox::look::Observed;
use crate::domain::mailbox::subscription::Endpoint;
use crate::domain::reading::OutageKind;
use crate::domain::records::Failures;
use crate::domain::schedule::{Pace, earlier};
use crate::domain::store::Store;
use crate::domain::tenant::desired::{SpecProblem, TenantDesired};
use crate::domain::tenant::facts::{MicrosoftOutage, TenantFacts};
use crate::domain::tenant::memory::TenantMemory;
use crate::domain::tenant::observed::TenantObserved;
use crate::domain::tenant::snapshot::Mailboxes;
use crate::domain::tenant::work::Work;
use crate::graph::gateway::Gateway;
use crate::ids::ObjectKey;
use jiff::Timestamp;

/// Longer than any grace or patience of ours.
const LONG: Duration = Duration::from_hours(1);

/// More tries than make an outage.
const MANY: u32 = 9;

/// What a run works with.
#[derive(Debug)]
pub struct Around {
    /// The way to Microsoft.
    pub gateway: Gateway,
    /// Time.
    pub clock: Clock,
    /// Where credentials lie.
    pub offers: FileOffers,
    /// To which hosts they may be sent.
    pub allowed: AllowedEndpoints,
    /// Whether the provisioning check may create its event.
    pub writes: Writes,
    /// Redirect URI for admin-consent URLs.
    pub redirect: Option<url::Url>,
    /// When to have finished.
    pub ending: Ending,
}

/// Looks at everything, and decides.
pub async fn run(objects: Objects, around: &Around) -> Report {
    let mut run = Run::new(objects, around);
    let all: Vec<ObjectKey> = run.tenants.keys().cloned().collect();
    run.look_at_tenants(&all, Work::ALL).await;
    run.look_at_mailboxes().await;
    let news = run.prove();
    run.remember(&news);
    run.look_at_tenants(&news, Work::CHECK).await;
    run.decide();
    run.report()
}

struct Run<'a> {
    around: &'a Around,
    store: Store,
    tenants: BTreeMap<ObjectKey, Tenant>,
    seen: BTreeMap<ObjectKey, Observed>,
    endpoint: Endpoint,
    /// In the order of the files.
    order: (Vec<ObjectKey>, Vec<ObjectKey>),
    /// Namespaces whose labels are known.
    labelled: BTreeSet<Arc<str>>,
    left_aside: Vec<String>,
    now: Timestamp,
    unfinished: bool,
}

/// A tenant, as far as the run has come.
struct Tenant {
    desired: Result<TenantDesired, SpecProblem>,
    /// What was known before the last look.
    before: TenantFacts,
    /// What is known since.
    facts: TenantFacts,
    memory: TenantMemory,
    link: Link,
    work: Work,
    observed: TenantObserved,
    mailboxes: Mailboxes,
}

/// Waits are left out.
fn no_patience() -> Pace {
    Pace::new(u32::MAX).unwrap_or(Pace::REAL)
}

/// Of somebody who has tried for long.
fn long_failing(now: Timestamp) -> Failures {
    Failures::new(MANY, earlier(now, LONG), Timestamp::MIN)
}

/// An outage that nobody waits for any more.
fn long_outage(kind: OutageKind, now: Timestamp) -> MicrosoftOutage {
    MicrosoftOutage {
        since: earlier(now, LONG),
        tries: MANY,
        kind,
    }
}

impl<'a> Run<'a> {
    fn new(objects: Objects, around: &'a Around) -> Self {
        let now = around.clock.now();
        let mut run = Self {
            around,
            store: Store::default(),
            tenants: BTreeMap::new(),
            seen: BTreeMap::new(),
            endpoint: Endpoint {
                hash: "".into(),
                keys: Vec::new(),
                since: now,
                replace_within: Duration::ZERO,
            },
            order: (Vec::new(), Vec::new()),
            labelled: objects.namespaces.keys().cloned().collect(),
            left_aside: objects.left_aside,
            now,
            unfinished: false,
        };
        for (name, labels) in objects.namespaces {
            run.store.put_namespace(name, labels);
        }
        for Declared { record, .. } in objects.tenants {
            run.take_tenant(record);
        }
        for Declared { record, .. } in objects.mailboxes {
            run.order.1.push(record.key.clone());
            run.store.put_mailbox(record, run.memory_of_mailbox());
        }
        run.label_by_name();
        run.count();
        run
    }

    /// Statuses of mailboxes, then those of tenants, which count them.
    fn decide(&mut self) {
        let entries = self.store.mailboxes();
        let decided: Vec<_> = entries.map(|entry| self.decided_mailbox(entry)).collect();
        for record in decided {
            self.store.rewrite_mailbox(record);
        }
        self.count();
        for key in self.order.0.clone() {
            if let Some(status) = self.tenant_status(&key) {
                self.show_tenant(&key, status);
            }
        }
    }

    fn report(self) -> Report {
        let tenants = self.order.0.iter().filter_map(|key| {
            let (entry, tenant) = (self.store.tenant(key)?, self.tenants.get(key)?);
            let desired = tenant.desired.as_ref().ok();
            let redirect = self.around.redirect.as_ref();
            Some(TenantReport {
                record: Arc::clone(&entry.record),
                consent: desired.map(|desired| consent::url(desired, redirect)),
            })
        });
        let mailboxes = self.order.1.iter().filter_map(|key| {
            let entry = self.store.mailbox(key)?;
            let desired = entry.desired.as_ref().as_ref().ok();
            Some(MailboxReport {
                record: Arc::clone(&entry.record),
                tenant: desired.map(|desired| desired.tenant.clone()),
            })
        });
        Report {
            tenants: tenants.collect(),
            mailboxes: mailboxes.collect(),
            left_aside: self.left_aside,
            unfinished: self.unfinished,
            writes: self.around.writes,
        }
    }
}

fn next_version(version: &str) -> Arc<str> {
    version
        .parse::<u64>()
        .map_or_else(|_| "1".into(), |version| (version + 1).to_string().into())
}
