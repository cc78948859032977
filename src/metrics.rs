//! Names, labels and handles of what is counted as it happens.
//!
//! Gauges that describe the world (ready, conditions, subscriptions …) are not here: they are computed from
//! the store when somebody scrapes, by `controller::collector`.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use prometheus::proto::MetricFamily;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

pub mod described;
pub mod graph;

use graph::GraphMetrics;

/// Prefix of every metric.
pub const NAMESPACE: &str = "hybridcalendar";

/// The metrics that are recorded as things happen. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Handles>);

impl Deref for Metrics {
    type Target = Handles;

    fn deref(&self) -> &Handles {
        &self.0
    }
}

/// A handle to each metric: see [`Metrics`].
#[derive(Debug)]
pub struct Handles {
    /// Where they are registered; the collector of the store joins here.
    pub registry: Registry,
    /// What is said to Microsoft.
    pub graph: GraphMetrics,
    /// Subscription operations that succeeded or failed. Labels: `operation`, `tenant`.
    pub subscription_operations: IntCounterVec,
    /// Lifecycle events received. Labels: `event`, `tenant`.
    pub lifecycle_events: IntCounterVec,
    /// Notifications received. Labels: `result` (accepted, forged, unknown, malformed, oversized, unavailable), `tenant`.
    pub notifications: IntCounterVec,
    /// When the last accepted notification came, in seconds since the epoch. Label: `tenant`.
    pub last_notification: IntGaugeVec,
    /// Time to answer Graph, without the time for which a body was on its way.
    pub notification_response_seconds: Histogram,
    /// Duration of reconciles. Labels: `kind`, `outcome` (changed, unchanged, error).
    pub reconcile_seconds: HistogramVec,
    /// Reconciles that are under way.
    pub reconciles_active: IntGauge,
    /// Wake-ups that found no room in the queue.
    pub wake_lost: IntCounter,
    /// Attempts to pass wakes on to the copy that leads. Label: `result` ([`FORWARD_RESULTS`]).
    pub wake_forwards_sent: IntCounterVec,
    /// What other copies passed on to this one, or somebody pretended to. Label: `result` ([`FORWARDED_RESULTS`]).
    pub wake_forwards_received: IntCounterVec,
    /// Panics caught in reconciles.
    pub reconcile_panics: IntCounter,
    /// Log lines that could not be written.
    pub log_lines_lost: IntCounter,
    /// 1 while this process leads.
    pub leader: IntGauge,
}

/// The operation that counts subscriptions that somebody else removed.
pub const VANISHED: &str = "vanished";

/// The lifecycle event that tells of notifications that Graph lost.
pub const MISSED: &str = "missed";

/// What may become of an attempt to pass wakes on: taken, refused as not genuine or not understood, or no answer, or
/// one that puts it off.
pub const FORWARD_RESULTS: &[&str] = &["delivered", "refused", "unanswered"];

/// What may become of a message from another copy.
pub const FORWARDED_RESULTS: &[&str] = &[
    "accepted",
    "unsigned",
    "stale",
    "forged",
    "replayed",
    "malformed",
    "oversized",
    "unavailable",
];

const GRAPH_BUCKETS: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0];
const RECEIVER_BUCKETS: &[f64] = &[0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 3.0, 10.0];

impl Metrics {
    /// A fresh registry with every handle registered in it.
    ///
    /// # Errors
    /// Only when a name is used twice, which a test excludes.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let on = &registry;
        let handles = Handles {
            graph: GraphMetrics::new(on)?,
            subscription_operations: counters(
                on,
                "subscription_operations_total",
                "Subscription operations that Graph carried out; `vanished` counts subscriptions that somebody else removed.",
                &["operation", "tenant"],
            )?,
            lifecycle_events: counters(
                on,
                "lifecycle_events_total",
                "Lifecycle events from Graph.",
                &["event", "tenant"],
            )?,
            notifications: counters(
                on,
                "notifications_total",
                "Notifications by result; `unavailable` counts requests that were put off with 503.",
                &["result", "tenant"],
            )?,
            last_notification: gauges(
                on,
                "last_notification_timestamp_seconds",
                "When the last accepted notification came.",
                &["tenant"],
            )?,
            notification_response_seconds: histogram(
                on,
                "notification_response_seconds",
                "Time to answer a notification, without the time for which its body was on its way.",
                RECEIVER_BUCKETS,
            )?,
            reconcile_seconds: histograms(
                on,
                "reconcile_seconds",
                "Duration of reconciles.",
                &["kind", "outcome"],
                GRAPH_BUCKETS,
            )?,
            reconciles_active: gauge(on, "reconciles_active", "Reconciles that are under way.")?,
            wake_lost: counter(on, "wake_lost_total", "Wake-ups that found the queue full.")?,
            wake_forwards_sent: results(
                on,
                "wake_forwards_sent_total",
                "Attempts of a copy that does not lead to pass lifecycle events on to the one that does; what was not delivered is sent again.",
                FORWARD_RESULTS,
            )?,
            wake_forwards_received: results(
                on,
                "wake_forwards_received_total",
                "Messages with lifecycle events from other copies; `unsigned`, `forged`, `stale` and `replayed` ones wake nobody.",
                FORWARDED_RESULTS,
            )?,
            reconcile_panics: counter(
                on,
                "reconcile_panics_total",
                "Panics caught in reconciles.",
            )?,
            log_lines_lost: counter(
                on,
                "log_lines_lost_total",
                "Log lines that could not be written, for example because a disk is full.",
            )?,
            leader: gauge(on, "leader", "1 while this process leads.")?,
            registry,
        };
        Ok(Self(Arc::new(handles)))
    }
}

impl Metrics {
    /// Counts what became of a tenant's subscription, by the name of Graph's operation.
    pub fn count_subscription_operation(&self, operation: &str, tenant: &str) {
        self.subscription_operations
            .with_label_values(&[operation, tenant])
            .inc();
    }

    /// A tenant is there. A counter that appears with its first event hides that event from whoever asks for an increase.
    pub fn expect_tenant(&self, tenant: &str) {
        self.graph.expect_tenant(tenant);
        self.subscription_operations
            .with_label_values(&[VANISHED, tenant]);
        self.lifecycle_events.with_label_values(&[MISSED, tenant]);
    }

    /// A tenant is gone: what was counted of it is not shown for ever.
    pub fn forget_tenant(&self, tenant: &str) {
        self.graph.forget_tenant(tenant);
        forget(&self.subscription_operations, tenant);
        forget(&self.lifecycle_events, tenant);
        forget(&self.notifications, tenant);
        forget(&self.last_notification, tenant);
    }
}

fn forget<B: MetricVecBuilder>(family: &MetricVec<B>, tenant: &str)
where
    MetricVec<B>: Collector,
{
    for series in family.collect().iter().flat_map(MetricFamily::get_metric) {
        let labels: HashMap<&str, &str> = series
            .get_label()
            .iter()
            .map(|label| (label.name(), label.value()))
            .collect();
        if labels.get("tenant") == Some(&tenant) {
            // It is gone already only if somebody else removed it in between.
            let _ = family.remove(&labels);
        }
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace(NAMESPACE)
}

fn counter(registry: &Registry, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
    let metric = IntCounter::with_opts(opts(name, help))?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn gauge(registry: &Registry, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
    let metric = IntGauge::with_opts(opts(name, help))?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntCounterVec, prometheus::Error> {
    let metric = IntCounterVec::new(opts(name, help), labels)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

/// Counters of what became of something, which are there from the start.
fn results(
    registry: &Registry,
    name: &str,
    help: &str,
    all: &[&str],
) -> Result<IntCounterVec, prometheus::Error> {
    let metric = counters(registry, name, help, &["result"])?;
    for result in all {
        metric.with_label_values(&[result]);
    }
    Ok(metric)
}

fn float_counters(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<prometheus::CounterVec, prometheus::Error> {
    let metric = prometheus::CounterVec::new(opts(name, help), labels)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn gauges(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntGaugeVec, prometheus::Error> {
    let metric = IntGaugeVec::new(opts(name, help), labels)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn histogram(
    registry: &Registry,
    name: &str,
    help: &str,
    buckets: &[f64],
) -> Result<Histogram, prometheus::Error> {
    let options = HistogramOpts {
        common_opts: opts(name, help),
        buckets: buckets.to_vec(),
    };
    let metric = Histogram::with_opts(options)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn histograms(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
    buckets: &[f64],
) -> Result<HistogramVec, prometheus::Error> {
    let options = HistogramOpts {
        common_opts: opts(name, help),
        buckets: buckets.to_vec(),
    };
    let metric = HistogramVec::new(options, labels)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_tenant_that_is_gone_is_shown() {
        let metrics = Metrics::new().unwrap();
        for tenant in ["rooms/gone", "rooms/there"] {
            let counted = ["accepted", tenant];
            metrics.notifications.with_label_values(&counted).inc();
            metrics
                .last_notification
                .with_label_values(&[tenant])
                .set(1);
        }
        metrics.forget_tenant("rooms/gone");
        let shown = |tenant: &str| {
            let families = metrics.registry.gather();
            let all = families.iter().flat_map(MetricFamily::get_metric);
            all.flat_map(prometheus::proto::Metric::get_label)
                .filter(|label| label.value() == tenant)
                .count()
        };
        assert_eq!((shown("rooms/gone"), shown("rooms/there")), (0, 2));
    }

    #[test]
    fn every_name_is_used_once() {
        Metrics::new().unwrap();
    }
}
