//! Metrics that describe the world as it is: computed from the store when somebody scrapes, so that nothing goes
//! stale and nothing has to be cleaned up. A process that does not lead has nothing to say here.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, Opts};

use super::world::{Labels, World};
use crate::api::v1alpha1::condition::{Condition, ConditionStatus};
use crate::api::vocabulary::{ConditionType, Reason, conditions_of};
use crate::config::MetricsDetail;
use crate::domain::conditions::find;
use crate::domain::mailbox::desired::MailboxDesired;
use crate::domain::queue::Class;
use crate::domain::schedule::renewal;
use crate::domain::store::MailboxEntry;
use crate::ids::{Kind, ObjectKey};
use crate::metrics::NAMESPACE;
use crate::metrics::described::{
    BUILD_INFO, CONDITION, CONDITIONS, CREDENTIAL_EXPIRY, EARLIEST_EXPIRY, OLDEST_CHECK_AGE,
    QUEUE_DEPTH, READY, RENEWAL_SLACK, SUBSCRIPTIONS, WORLD, WorldGauge,
};

/// How long renewing one subscription takes while others wait: Graph answers a write in about a tenth of a second
/// to each of several that are asked at once.
const RENEWAL_TIME: Duration = Duration::from_millis(100);

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
    for (class, depth) in Class::ALL.into_iter().zip(world.queue.depths(now)) {
        series.set(&QUEUE_DEPTH, &[class.label()], number(depth));
    }
    for entry in world.store.tenants() {
        let record = &entry.record;
        let tenant = record.key.to_string();
        let object = (Kind::CalendarTenant, &record.key, tenant.as_str());
        describe_conditions(object, &record.status.conditions, detail, series);
        if let Some(state) = world.tenants.get(&record.key) {
            if let Some(ends) = state.facts.credential_expires_at {
                series.set(&CREDENTIAL_EXPIRY, &[&tenant], seconds(ends));
            }
            if !entry.suspended {
                let age = [tenant.as_str(), Kind::CalendarTenant.as_str()];
                series.set(&OLDEST_CHECK_AGE, &age, since(state.memory.checked_at, now));
            }
        }
        let slack = renewals(world, &record.key);
        if let Some(slack) = renewal::slack(now, slack, RENEWAL_TIME) {
            series.set(&RENEWAL_SLACK, &[&tenant], slack.as_secs_f64());
        }
    }
    for entry in world.store.mailboxes() {
        let referred = super::changes::tenant_of(&entry.record);
        let tenant = referred.to_string();
        let object = (Kind::WorkspaceMailbox, &entry.record.key, tenant.as_str());
        describe_conditions(object, &entry.record.status.conditions, detail, series);
        describe_subscription(entry, &tenant, now, series);
        let resting = |desired: &MailboxDesired| desired.suspended;
        let tenant_rests = world.store.tenant(&referred).is_some_and(|t| t.suspended);
        // What rests is not looked at, and nobody waits for it.
        if !tenant_rests && !entry.desired.as_ref().as_ref().is_ok_and(resting) {
            let unchecked = -since(entry.memory.checked_at, now);
            series.least(
                &OLDEST_CHECK_AGE,
                &[&tenant, Kind::WorkspaceMailbox.as_str()],
                unchecked,
            );
        }
    }
    // The least of negative ages is the greatest age.
    if let Some(ages) = series.0.get_mut(OLDEST_CHECK_AGE.name) {
        for age in ages.values_mut() {
            *age = age.abs();
        }
    }
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
    for meta in conditions_of(kind) {
        let Some(condition) = find(conditions, meta.type_) else {
            continue;
        };
        count(kind, tenant, condition, series);
        if per_object && condition.status == ConditionStatus::True {
            let labels = [
                object[0],
                object[1],
                object[2],
                object[3],
                meta.type_.as_str(),
            ];
            series.set(&CONDITION, &labels, 1.0);
        }
    }
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

fn describe_subscription(entry: &MailboxEntry, tenant: &str, now: Timestamp, series: &mut Series) {
    let Ok(desired) = entry.desired.as_ref() else {
        return;
    };
    let status = &entry.record.status;
    let inactive = find(&status.conditions, &ConditionType::SubscriptionInactive);
    let waiting = inactive
        .is_none_or(|c| c.status == ConditionStatus::Unknown || c.reason == Reason::Pending);
    let state = match &status.subscription {
        Some(current) if current.expires_at.timestamp() > now => {
            series.least(
                &EARLIEST_EXPIRY,
                &[tenant],
                seconds(current.expires_at.timestamp()),
            );
            "active"
        }
        None if !desired.subscribed => return,
        None if waiting => "pending",
        Some(_) | None => "inactive",
    };
    series.add(&SUBSCRIPTIONS, &[tenant, state]);
}

/// When each of a tenant's subscriptions is to be renewed and ends.
fn renewals(world: &World, tenant: &ObjectKey) -> Vec<(Timestamp, Timestamp)> {
    world
        .store
        .mailboxes_of(tenant)
        .filter_map(|entry| entry.record.status.subscription.as_ref())
        .map(|current| (current.renew_at.timestamp(), current.expires_at.timestamp()))
        .collect()
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

#[cfg(test)]
mod tests {
    use super::super::stage::{Stage, room, tenant};
    use super::*;
    use crate::metrics::Metrics;

    #[tokio::test]
    async fn what_rests_does_not_count_as_unchecked() {
        let ages = |suspend: bool| {
            let stage = Stage::new();
            let context = stage.context();
            let mut record = tenant(1);
            record.spec.suspend = suspend;
            context.tenant_present(&record);
            context.mailbox_present(&room(2));
            stage.around.labels.follow(Some(context));
            let labels = stage.around.labels.clone();
            let families = WorldCollector::new(labels, MetricsDetail::Object).collect();
            let name = OLDEST_CHECK_AGE.full_name();
            families.iter().any(|family| family.name() == name)
        };
        assert!(ages(false));
        assert!(!ages(true));
    }

    #[test]
    fn every_family_can_be_registered_beside_the_counters() {
        let metrics = Metrics::new().unwrap();
        let collector = WorldCollector::new(Labels::default(), MetricsDetail::Object);
        assert_eq!(collector.desc().len(), WORLD.len());
        metrics.registry.register(Box::new(collector)).unwrap();
    }

    #[test]
    fn a_process_that_does_not_lead_tells_its_version_only() {
        let collector = WorldCollector::new(Labels::default(), MetricsDetail::Object);
        let names: Vec<String> = collector
            .collect()
            .iter()
            .map(|family| family.name().to_owned())
            .collect();
        assert_eq!(names, ["hybridcalendar_build_info"]);
    }
}
