//! Metrics that describe the world as it is: computed from the store when somebody scrapes, so that nothing goes
//! stale and nothing has to be cleaned up. A process that does not lead has nothing to say here.

mod subscriptions;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, Opts};

use super::labels::Labels;
use super::world::World;
use crate::api::v1alpha1::condition::{Condition, ConditionStatus};
use crate::api::vocabulary::{ConditionType, Reason, SPEC_PROBLEMS, conditions_of};
use crate::config::MetricsDetail;
use crate::domain::conditions::find;
use crate::domain::mailbox::desired::MailboxDesired;
use crate::domain::mailbox::tenant_view::TokenState;
use crate::domain::queue::Class;
use crate::domain::store::{MailboxEntry, TenantEntry};
use crate::ids::{Kind, ObjectKey};
use crate::metrics::NAMESPACE;
use crate::metrics::described::{
    BUILD_INFO, CHECK_OVERDUE, CONDITION, CONDITIONS, CREDENTIAL_EXPIRY, OLDEST_CHECK_AGE,
    QUEUE_DEPTH, QUEUE_LONGEST_WAIT, READY, REMOVALS_PENDING, WORLD, WorldGauge,
};

/// Series of all families, filled during one scrape.
#[derive(Default)]
struct Series(BTreeMap<&'static str, BTreeMap<Vec<String>, f64>>);

impl Series {
    fn set(&mut self, family: &WorldGauge, labels: &[&str], value: f64) {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        self.0.entry(family.name).or_default().insert(labels, value);
    }

    fn add(&mut self, family: &WorldGauge, labels: &[&str]) {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        *self
            .0
            .entry(family.name)
            .or_default()
            .entry(labels)
            .or_insert(0.0) += 1.0;
    }

    /// The greatest of the values that are given for the same labels.
    fn greatest(&mut self, family: &WorldGauge, labels: &[&str], value: f64) {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        let greatest = self
            .0
            .entry(family.name)
            .or_default()
            .entry(labels)
            .or_insert(value);
        *greatest = greatest.max(value);
    }

    /// The least of the values that are given for the same labels.
    fn least(&mut self, family: &WorldGauge, labels: &[&str], value: f64) {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        let least = self
            .0
            .entry(family.name)
            .or_default()
            .entry(labels)
            .or_insert(value);
        *least = least.min(value);
    }

    fn into_families(self) -> Vec<MetricFamily> {
        let mut all = Vec::new();
        for family in WORLD {
            let (Some(gauges), Some(series)) = (gauges(family), self.0.get(family.name)) else {
                continue;
            };
            for (labels, value) in series {
                let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
                gauges.with_label_values(&labels).set(*value);
            }
            all.extend(gauges.collect());
        }
        all
    }
}

/// The names above are constants that a test registers; a family that could not be made is left out.
fn gauges(family: &WorldGauge) -> Option<GaugeVec> {
    let WorldGauge { name, labels, help } = family;
    GaugeVec::new(Opts::new(*name, *help).namespace(NAMESPACE), labels).ok()
}

/// Joins a registry once for the life of the process.
pub struct WorldCollector {
    labels: Labels,
    detail: MetricsDetail,
    gauges: Vec<GaugeVec>,
}

impl WorldCollector {
    /// Tells of the world that `labels` follows.
    #[must_use]
    pub fn new(labels: Labels, detail: MetricsDetail) -> Self {
        Self {
            labels,
            detail,
            gauges: WORLD.iter().filter_map(gauges).collect(),
        }
    }
}

impl std::fmt::Debug for WorldCollector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorldCollector")
            .field("detail", &self.detail)
            .finish_non_exhaustive()
    }
}

impl Collector for WorldCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.gauges.iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut series = Series::default();
        series.set(&BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1.0);
        if let Some(context) = self.labels.followed() {
            let now = context.clock.now();
            describe(&context.world(), (now, self.detail), &mut series);
        }
        series.into_families()
    }
}

fn describe(world: &World, (now, detail): (Timestamp, MetricsDetail), series: &mut Series) {
    for (class, backlog) in Class::ALL.into_iter().zip(world.queue.backlogs(now)) {
        series.set(&QUEUE_DEPTH, &[class.label()], number(backlog.depth));
        let wait = backlog.longest_wait.as_secs_f64();
        series.set(&QUEUE_LONGEST_WAIT, &[class.label()], wait);
    }
    for entry in world.store.tenants() {
        let tenant = entry.record.key.to_string();
        let object = (Kind::CalendarTenant, &entry.record.key, tenant.as_str());
        describe_conditions(object, &entry.record.status.conditions, detail, series);
        describe_tenant(world, entry, now, series);
        subscriptions::describe_renewals(world, &entry.record.key, now, series);
        // None is told too: whoever waits for the end of removals must see it.
        series.set(&REMOVALS_PENDING, &[&tenant], 0.0);
    }
    for removal in world.removals.values() {
        series.add(&REMOVALS_PENDING, &[&removal.tenant.to_string()]);
    }
    for entry in world.store.mailboxes() {
        let referred = super::changes::tenant_of(&entry.record);
        let tenant = referred.to_string();
        let object = (Kind::WorkspaceMailbox, &entry.record.key, tenant.as_str());
        describe_conditions(object, &entry.record.status.conditions, detail, series);
        let resting = rests(world, entry, &referred);
        subscriptions::describe(entry, (&tenant, resting), now, series);
        // What rests, or has the mailbox of an older object, is not looked at, and nobody waits for it.
        if !resting && world.store.conflict(entry).is_none() {
            let age = since(entry.memory.checked_at, now);
            let labels = [tenant.as_str(), Kind::WorkspaceMailbox.as_str()];
            series.greatest(&OLDEST_CHECK_AGE, &labels, age);
            if let (Ok(desired), true) =
                (entry.desired.as_ref(), has_token(world, entry, &referred))
            {
                series.greatest(&CHECK_OVERDUE, &labels, overdue(age, desired.interval));
            }
        }
    }
}

fn describe_tenant(world: &World, entry: &TenantEntry, now: Timestamp, series: &mut Series) {
    let Some(state) = world.tenants.get(&entry.record.key) else {
        return;
    };
    let tenant = entry.record.key.to_string();
    if entry.suspended {
        return;
    }
    if let Some(ends) = state.facts.credential_expires_at {
        series.set(&CREDENTIAL_EXPIRY, &[&tenant], seconds(ends));
    }
    let age = since(state.memory.checked_at, now);
    let labels = [tenant.as_str(), Kind::CalendarTenant.as_str()];
    series.set(&OLDEST_CHECK_AGE, &labels, age);
    if let Ok(desired) = state.desired.as_ref() {
        series.set(&CHECK_OVERDUE, &labels, overdue(age, desired.interval));
    }
}

/// Whether a mailbox or its tenant is suspended.
fn rests(world: &World, entry: &MailboxEntry, tenant: &ObjectKey) -> bool {
    let suspended = |desired: &MailboxDesired| desired.suspended;
    let tenant_rests = || world.store.tenant(tenant).is_some_and(|t| t.suspended);
    entry.desired.as_ref().as_ref().is_ok_and(suspended) || tenant_rests()
}

/// Whether a mailbox's tenant lets it be looked at.
fn has_token(world: &World, entry: &MailboxEntry, tenant: &ObjectKey) -> bool {
    let issued = |tenant: &TenantEntry| tenant.known.token == TokenState::Issued;
    world.store.tenant(tenant).is_some_and(issued) && world.store.is_permitted(entry)
}

fn overdue(age: f64, interval: Duration) -> f64 {
    (age - interval.as_secs_f64()).max(0.0)
}

fn describe_conditions(
    (kind, key, tenant): (Kind, &ObjectKey, &str),
    conditions: &[Condition],
    detail: MetricsDetail,
    series: &mut Series,
) {
    let object = [kind.as_str(), &*key.namespace, &*key.name, tenant];
    let resting =
        find(conditions, &ConditionType::Ready).is_some_and(|c| c.reason == Reason::Suspended);
    // What rests has no problem that anybody should be woken for.
    let per_object = detail == MetricsDetail::Object && !resting;
    if let Some(ready) = find(conditions, &ConditionType::Ready) {
        let value = match ready.status {
            ConditionStatus::True => Some(1.0),
            ConditionStatus::False => Some(0.0),
            ConditionStatus::Unknown => None,
        };
        if let Some(value) = value.filter(|_| per_object) {
            series.set(&READY, &object, value);
        }
        count(kind, tenant, ready, series);
    }
    if resting {
        return;
    }
    let problems = conditions_of(kind).iter().map(|meta| meta.type_);
    for type_ in problems.chain([&ConditionType::Stalled]) {
        let Some(condition) = find(conditions, type_).filter(|c| is_told(c)) else {
            continue;
        };
        count(kind, tenant, condition, series);
        if per_object && condition.status == ConditionStatus::True {
            let [kind, namespace, name, tenant] = object;
            let (type_, reason) = (type_.as_str(), condition.reason.as_str());
            let labels = [kind, namespace, name, tenant, type_, reason];
            series.set(&CONDITION, &labels, 1.0);
        }
    }
}

/// `Stalled` repeats another condition, except when the spec cannot be used.
fn is_told(condition: &Condition) -> bool {
    let of_spec = |reason: &Reason| SPEC_PROBLEMS.iter().any(|p| p.reason == reason);
    condition.type_ != ConditionType::Stalled || of_spec(&condition.reason)
}

fn count(kind: Kind, tenant: &str, condition: &Condition, series: &mut Series) {
    let labels = [
        kind.as_str(),
        tenant,
        condition.type_.as_str(),
        condition.status.as_str(),
        condition.reason.as_str(),
    ];
    series.add(&CONDITIONS, &labels);
}

fn seconds(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}

fn since(earlier: Timestamp, now: Timestamp) -> f64 {
    now.duration_since(earlier).as_secs_f64().max(0.0)
}

#[expect(clippy::cast_precision_loss, reason = "no queue holds 2^53 objects")]
fn number(count: usize) -> f64 {
    count as f64
}
