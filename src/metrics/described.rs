//! Every metric as a person reads about it: name, kind, labels, meaning.
//!
//! Those that describe the world are named here and computed by the scrape-time collector; those that count
//! what happens are read from their handles.

use prometheus::core::{Collector, Desc};

use super::{Metrics, NAMESPACE};

/// What a metric measures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// With the prefix.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Names of its labels.
    pub labels: Vec<String>,
    /// What it says.
    pub help: String,
}

/// A gauge that is computed from the store when somebody scrapes.
#[derive(Clone, Copy, Debug)]
pub struct WorldGauge {
    /// Without the prefix.
    pub name: &'static str,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

const fn gauge(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> WorldGauge {
    WorldGauge { name, labels, help }
}

/// 1 while an object is Ready.
pub const READY: WorldGauge = gauge(
    "ready",
    &["kind", "namespace", "name", "tenant"],
    "1 while Ready is True, 0 while it is False, absent while it is Unknown.",
);
/// 1 while an object has a problem.
pub const CONDITION: WorldGauge = gauge(
    "condition",
    &["kind", "namespace", "name", "tenant", "type", "reason"],
    "1 while a problem condition is True, absent otherwise; of `Stalled` only for a spec that cannot be used.",
);
/// Objects by condition.
pub const CONDITIONS: WorldGauge = gauge(
    "conditions",
    &["kind", "tenant", "type", "status", "reason"],
    "Objects by condition, status and reason; of what is suspended only `Ready`, of `Stalled` only specs that cannot be used.",
);
/// Subscriptions by state.
pub const SUBSCRIPTIONS: WorldGauge = gauge(
    "subscriptions",
    &["tenant", "state"],
    "Subscriptions that are wanted, by state: active, pending, inactive; of what is suspended only active ones.",
);
/// Subscriptions whose object is gone.
pub const REMOVALS_PENDING: WorldGauge = gauge(
    "subscription_removals_pending",
    &["tenant"],
    "Subscriptions of deleted mailboxes that are still to be removed; what could not be for an hour is left to the sweep.",
);
/// When the next subscription would end.
pub const EARLIEST_EXPIRY: WorldGauge = gauge(
    "subscription_earliest_expiry_timestamp_seconds",
    &["tenant"],
    "When the tenant's first subscription ends unless it is renewed.",
);
/// How much time is left to renew.
pub const RENEWAL_SLACK: WorldGauge = gauge(
    "renewal_slack_seconds",
    &["tenant"],
    "The least, over the subscriptions that a tenant's mailboxes can have, of the time left minus the time to serve those due before it.",
);
/// The same as a share, which does not depend on how long subscriptions live.
pub const RENEWAL_MARGIN: WorldGauge = gauge(
    "renewal_margin_ratio",
    &["tenant"],
    "The least, over the subscriptions that a tenant's mailboxes can have, of the time left as a share of the life that Graph granted.",
);
/// When the credential ends.
pub const CREDENTIAL_EXPIRY: WorldGauge = gauge(
    "credential_expiry_timestamp_seconds",
    &["tenant"],
    "When the tenant's credential ends; absent while that is not known or the tenant is suspended.",
);
/// How long nobody looked.
pub const OLDEST_CHECK_AGE: WorldGauge = gauge(
    "oldest_check_age_seconds",
    &["tenant", "kind"],
    "Time since the object that waits longest was last checked.",
);
/// How late the checks are.
pub const CHECK_OVERDUE: WorldGauge = gauge(
    "check_overdue_seconds",
    &["tenant", "kind"],
    "By how much the latest check of any object is late: its age above the check interval, or 0. Only of what can be checked now.",
);
/// Hosts that do not answer.
pub const CIRCUIT_OPEN: WorldGauge = gauge(
    "graph_circuit_open",
    &["host", "tenant"],
    "1 while Microsoft keeps failing for a tenant, so that only one call at a time is made, 0 while it answers.",
);
/// Waiting work.
pub const QUEUE_DEPTH: WorldGauge = gauge(
    "queue_depth",
    &["class"],
    "Objects that are due now, by class: user, renewal, first, routine.",
);
/// How long work waits.
pub const QUEUE_LONGEST_WAIT: WorldGauge = gauge(
    "queue_longest_wait_seconds",
    &["class"],
    "For how long the first object that waits has been due, by class.",
);
/// What runs.
pub const BUILD_INFO: WorldGauge =
    gauge("build_info", &["version"], "1, with the version that runs.");

/// All gauges that are computed when somebody scrapes.
pub const WORLD: &[WorldGauge] = &[
    READY,
    CONDITION,
    CONDITIONS,
    SUBSCRIPTIONS,
    REMOVALS_PENDING,
    EARLIEST_EXPIRY,
    RENEWAL_SLACK,
    RENEWAL_MARGIN,
    CREDENTIAL_EXPIRY,
    OLDEST_CHECK_AGE,
    CHECK_OVERDUE,
    CIRCUIT_OPEN,
    QUEUE_DEPTH,
    QUEUE_LONGEST_WAIT,
    BUILD_INFO,
];

impl WorldGauge {
    /// With the prefix.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{NAMESPACE}_{}", self.name)
    }
}

impl Metrics {
    /// Every metric of ours, by name.
    #[must_use]
    pub fn descriptions(&self) -> Vec<Description> {
        let mut all: Vec<Description> = WORLD
            .iter()
            .map(|gauge| Description {
                name: gauge.full_name(),
                kind: "gauge",
                labels: gauge.labels.iter().map(|l| (*l).to_owned()).collect(),
                help: gauge.help.to_owned(),
            })
            .collect();
        let counted: [(&'static str, &dyn Collector); 18] = [
            ("counter", &self.graph.requests),
            ("counter", &self.graph.batched_requests),
            ("histogram", &self.graph.request_seconds),
            ("counter", &self.graph.circuit_opened),
            ("counter", &self.graph.throttled_seconds),
            ("counter", &self.subscription_operations),
            ("counter", &self.lifecycle_events),
            ("counter", &self.notifications),
            ("gauge", &self.last_notification),
            ("histogram", &self.notification_response_seconds),
            ("histogram", &self.reconcile_seconds),
            ("gauge", &self.reconciles_active),
            ("counter", &self.wake_lost),
            ("counter", &self.log_lines_lost),
            ("counter", &self.wake_forwards_sent),
            ("counter", &self.wake_forwards_received),
            ("counter", &self.reconcile_panics),
            ("gauge", &self.leader),
        ];
        for (kind, metric) in counted {
            all.extend(metric.desc().into_iter().map(|desc| described(kind, desc)));
        }
        all.sort_by(|left, right| left.name.cmp(&right.name));
        all
    }
}

fn described(kind: &'static str, desc: &Desc) -> Description {
    Description {
        name: desc.fq_name.clone(),
        kind,
        labels: desc.variable_labels.clone(),
        help: desc.help.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_label_can_hold_an_address_an_id_or_an_error() {
        const KNOWN: &[&str] = &[
            "kind",
            "namespace",
            "name",
            "tenant",
            "type",
            "status",
            "reason",
            "state",
            "class",
            "operation",
            "code",
            "outcome",
            "event",
            "host",
            "result",
            "version",
        ];
        for metric in Metrics::new().unwrap().descriptions() {
            for label in &metric.labels {
                assert!(KNOWN.contains(&label.as_str()), "{}: {label}", metric.name);
            }
        }
    }

    #[test]
    fn every_name_has_the_prefix_a_meaning_and_is_described_once() {
        let all = Metrics::new().unwrap().descriptions();
        for pair in all.windows(2) {
            assert_ne!(pair[0].name, pair[1].name);
        }
        for metric in &all {
            assert!(
                metric.name.starts_with("hybridcalendar_"),
                "{}",
                metric.name
            );
            assert!(metric.help.ends_with('.'), "{}", metric.name);
            assert_eq!(
                metric.kind == "counter",
                metric.name.ends_with("_total"),
                "{}",
                metric.name
            );
        }
    }

    #[test]
    fn whatever_is_registered_is_described() {
        let metrics = Metrics::new().unwrap();
        let described = metrics.descriptions();
        for family in metrics.registry.gather() {
            let name = family.name();
            assert!(described.iter().any(|d| d.name == name), "{name}");
        }
    }
}
