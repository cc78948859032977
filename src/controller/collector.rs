//! Metrics that describe the world as it is: computed from the store when somebody scrapes, so that nothing goes
//! stale and nothing has to be cleaned up. A process that does not lead has nothing to say here.

mod subscriptions;
#[cfg(test)]
mod tests;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Gauge, LabelPair, Metric, MetricFamily, MetricType};

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
use crate::graph::gateway::TenantGateway;
use crate::ids::{Kind, ObjectKey};
use crate::metrics::described::{
    BUILD_INFO, CHECK_OVERDUE, CIRCUIT_OPEN, CONDITION, CONDITIONS, CREDENTIAL_EXPIRY,
    OLDEST_CHECK_AGE, QUEUE_DEPTH, QUEUE_LONGEST_WAIT, READY, REMOVALS_PENDING, WORLD, WorldGauge,
};

/// Series of all families, filled during one scrape.
#[derive(Default)]
struct Series(BTreeMap<&'static str, BTreeMap<Vec<String>, f64>>);

impl Series {
    fn of(&mut self, family: &WorldGauge, labels: &[&str]) -> Entry<'_, Vec<String>, f64> {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        self.0.entry(family.name).or_default().entry(labels)
    }

    fn set(&mut self, family: &WorldGauge, labels: &[&str], value: f64) {
        self.of(family, labels).insert_entry(value);
    }

    fn add(&mut self, family: &WorldGauge, labels: &[&str], number: f64) {
        *self.of(family, labels).or_insert(0.0) += number;
    }

    /// The greatest of the values that are given for the same labels.
    fn greatest(&mut self, family: &WorldGauge, labels: &[&str], value: f64) {
        let greatest = self.of(family, labels).or_insert(value);
        *greatest = greatest.max(value);
    }

    /// The least of the values that are given for the same labels.
    fn least(&mut self, family: &WorldGauge, labels: &[&str], value: f64) {
        let least = self.of(family, labels).or_insert(value);
        *least = least.min(value);
    }

    fn into_families(mut self) -> Vec<MetricFamily> {
        let told = |family| Some(exposed(family, self.0.remove(family.name)?));
        WORLD.iter().filter_map(told).collect()
    }
}

/// A family as Prometheus shows it, from what each series was given for its labels. The library's own gauges would keep all of
/// it twice more: they are for what is counted as it happens.
fn exposed(family: &WorldGauge, series: BTreeMap<Vec<String>, f64>) -> MetricFamily {
    let metrics = series.into_iter().map(|(values, value)| {
        let pair = |(name, value): (&&str, String)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value(value);
            pair
        };
        let mut labels: Vec<LabelPair> = family.labels.iter().zip(values).map(pair).collect();
        labels.sort_by(|left, right| left.name().cmp(right.name()));
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        let mut metric = Metric::from_gauge(gauge);
        metric.set_label(labels);
        metric
    });
    let mut exposed = MetricFamily::default();
    exposed.set_name(family.full_name());
    exposed.set_help(family.help.to_owned());
    exposed.set_field_type(MetricType::GAUGE);
    exposed.set_metric(metrics.collect());
    exposed
}

/// The names are constants that a test registers; a family that could not be described is left out.
fn described(family: &WorldGauge) -> Option<Desc> {
    let labels = family.labels.iter().map(|label| (*label).to_owned());
    let (name, help) = (family.full_name(), family.help.to_owned());
    Desc::new(name, help, labels.collect(), HashMap::new()).ok()
}

/// Joins a registry once for the life of the process.
pub struct WorldCollector {
    labels: Labels,
    detail: MetricsDetail,
    families: Vec<Desc>,
}

impl WorldCollector {
    /// Tells of the world that `labels` follows.
    #[must_use]
    pub fn new(labels: Labels, detail: MetricsDetail) -> Self {
        Self {
            labels,
            detail,
            families: WORLD.iter().filter_map(described).collect(),
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
        self.families.iter().collect()
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
    let mut alike = Alike::default();
    for entry in world.store.tenants() {
        let tenant = entry.record.key.to_string();
        let object = (Kind::CalendarTenant, &entry.record.key, tenant.as_str());
        let conditions = &entry.record.status.conditions;
        describe_conditions(object, conditions, detail, series);
        alike.note(Kind::CalendarTenant, &entry.record.key, conditions);
        describe_tenant(world, entry, now, series);
        subscriptions::describe_renewals(world, &entry.record.key, now, series);
        // None is told too: whoever waits for the end of removals must see it.
        series.set(&REMOVALS_PENDING, &[&tenant], 0.0);
    }
    for removal in world.removals.values() {
        series.add(&REMOVALS_PENDING, &[&removal.tenant.to_string()], 1.0);
    }
    for entry in world.store.mailboxes() {
        let referred = super::changes::tenant_of(&entry.record);
        let tenant = referred.to_string();
        let object = (Kind::WorkspaceMailbox, &entry.record.key, tenant.as_str());
        let conditions = &entry.record.status.conditions;
        describe_conditions(object, conditions, detail, series);
        alike.note(Kind::WorkspaceMailbox, &referred, conditions);
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
    alike.count(series);
}

fn describe_tenant(world: &World, entry: &TenantEntry, now: Timestamp, series: &mut Series) {
    let Some(state) = world.tenants.get(&entry.record.key) else {
        return;
    };
    let tenant = entry.record.key.to_string();
    if entry.suspended {
        return;
    }
    for (host, open) in state
        .link
        .gateway()
        .into_iter()
        .flat_map(TenantGateway::circuits)
    {
        series.set(&CIRCUIT_OPEN, &[host, &tenant], f64::from(open));
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

/// What is told of single objects: whether they are ready, and their problems.
fn describe_conditions(
    (kind, key, tenant): (Kind, &ObjectKey, &str),
    conditions: &[Condition],
    detail: MetricsDetail,
    series: &mut Series,
) {
    // What rests has no problem that anybody should be woken for.
    if detail != MetricsDetail::Object || is_resting(conditions) {
        return;
    }
    let object = [kind.as_str(), &*key.namespace, &*key.name, tenant];
    for condition in told(kind, conditions) {
        let (type_, reason) = (condition.type_.as_str(), condition.reason.as_str());
        match (&condition.type_, condition.status) {
            (ConditionType::Ready, ConditionStatus::True) => series.set(&READY, &object, 1.0),
            (ConditionType::Ready, ConditionStatus::False) => series.set(&READY, &object, 0.0),
            (_, ConditionStatus::True) => {
                let [kind, namespace, name, tenant] = object;
                let labels = [kind, namespace, name, tenant, type_, reason];
                series.set(&CONDITION, &labels, 1.0);
            }
            // Absent: not a problem, or not known whether it is ready.
            (_, ConditionStatus::False | ConditionStatus::Unknown) => {}
        }
    }
}

/// How many objects of a tenant have which conditions. Nearly all have what others have, which is kept once, so that few lists
/// of conditions are read, however many objects there are.
#[derive(Default)]
struct Alike<'a>(HashMap<(ObjectKey, *const Condition), Group<'a>>);

/// Objects of one tenant that have the same conditions.
struct Group<'a> {
    kind: Kind,
    conditions: &'a [Condition],
    objects: f64,
}

impl<'a> Alike<'a> {
    fn note(&mut self, kind: Kind, tenant: &ObjectKey, conditions: &'a [Condition]) {
        self.0
            .entry((tenant.clone(), conditions.as_ptr()))
            .or_insert(Group {
                kind,
                conditions,
                objects: 0.0,
            })
            .objects += 1.0;
    }

    fn count(self, series: &mut Series) {
        for ((tenant, _), group) in self.0 {
            let (kind, tenant) = (group.kind.as_str(), tenant.to_string());
            for condition in told(group.kind, group.conditions) {
                let labels = [
                    kind,
                    tenant.as_str(),
                    condition.type_.as_str(),
                    condition.status.as_str(),
                    condition.reason.as_str(),
                ];
                series.add(&CONDITIONS, &labels, group.objects);
            }
        }
    }
}

fn is_resting(conditions: &[Condition]) -> bool {
    find(conditions, &ConditionType::Ready).is_some_and(|c| c.reason == Reason::Suspended)
}

/// The conditions that are told of: of what rests only `Ready`.
fn told(kind: Kind, conditions: &[Condition]) -> impl Iterator<Item = &Condition> {
    let problems = conditions_of(kind).iter().map(|meta| meta.type_);
    let resting = is_resting(conditions);
    let problems = problems
        .chain([&ConditionType::Stalled])
        .filter(move |_| !resting);
    std::iter::once(&ConditionType::Ready)
        .chain(problems)
        .filter_map(|type_| find(conditions, type_).filter(|c| is_told(c)))
}

/// `Stalled` repeats another condition, except when the spec cannot be used.
fn is_told(condition: &Condition) -> bool {
    let of_spec = |reason: &Reason| SPEC_PROBLEMS.iter().any(|p| p.reason == reason);
    condition.type_ != ConditionType::Stalled || of_spec(&condition.reason)
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
