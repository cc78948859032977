//! Alerts about the operator itself: whether it runs, leads and keeps up. Series of one installation have `job` and
//! `namespace` in common.

use std::time::Duration;

use super::{Alert, BRIDGE, PREFIX, conditions};
use crate::api::vocabulary::remedy::Actor;
use crate::api::vocabulary::severity::Severity;

/// An alert that no condition stands behind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    /// Without the prefix.
    pub(super) name: &'static str,
    pub(super) severity: Severity,
    pub(super) after: Duration,
    pub(super) keep: Duration,
    /// Lines of one expression; `{NO_TOKEN}` stands for [`conditions::no_token`]. Every aggregation and every match
    /// keeps the label `cluster`, which a Prometheus of several clusters has.
    pub(super) expression: &'static [&'static str],
    /// Whom it is about and what is the matter, in a few words; Prometheus fills in the labels. `{INSTALLATION}` stands
    /// for [`INSTALLATION`].
    pub(super) summary: &'static str,
    /// What is the matter, in sentences.
    pub(super) meaning: &'static str,
    pub(super) acts: Actor,
    /// What that person does, in sentences.
    pub(super) remedy: &'static str,
}

/// Where the installation is, as far as its series say.
const INSTALLATION: &str = "{{ with $labels.namespace }} in namespace {{ . }}{{ end }}{{ with $labels.cluster }} of cluster {{ . }}{{ end }}";

/// Most of them: warnings that wait a quarter of an hour.
pub(super) const WARNING: Written = Written {
    name: "",
    severity: Severity::Warning,
    after: Duration::from_mins(15),
    keep: Duration::ZERO,
    expression: &[],
    summary: "",
    meaning: "",
    acts: Actor::PlatformTeam,
    remedy: "",
};

impl From<&Written> for Alert {
    fn from(written: &Written) -> Self {
        let acts = written.acts.as_str();
        Self {
            name: format!("{PREFIX}{}", written.name),
            severity: written.severity,
            expression: written
                .expression
                .join("\n")
                .replace("{NO_TOKEN}", &conditions::no_token()),
            after: written.after,
            keep: written.keep,
            summary: written.summary.replace("{INSTALLATION}", INSTALLATION),
            description: format!("{} Who acts: {acts}. {}", written.meaning, written.remedy),
            meaning: written.meaning.to_owned(),
            acts: acts.to_owned(),
            runbook: format!("operator/{}", written.name),
        }
    }
}

/// In the order of the page.
pub(super) const ALERTS: &[Written] = &[
    Written {
        name: "OperatorDown",
        severity: Severity::Critical,
        // Later than a node that is lost is given up (300 s) and its Pod runs elsewhere.
        after: Duration::from_mins(10),
        expression: &[
            "count by (cluster, job, namespace) (last_over_time(hybridcalendar_build_info[1d]))",
            "unless on (cluster, job, namespace) hybridcalendar_build_info",
            "or on () absent(hybridcalendar_build_info)",
        ],
        summary: "No copy of hybrid-calendar-operator{INSTALLATION} is scraped",
        meaning: "Prometheus gets no metrics from any copy of an installation that it scraped within the last day, or from none at all: nothing is checked or renewed if none runs, and nobody would be told if one does.",
        remedy: "Look at the Pods of the Deployment, their Events and logs; if they run, at the scrape configuration and the network policy between Prometheus and port 9090. Subscriptions live for hours or days without the operator. If it was uninstalled on purpose, silence this alert for a day.",
        ..WARNING
    },
    Written {
        name: "OperatorRestarting",
        after: Duration::ZERO,
        keep: Duration::from_mins(15),
        expression: &[
            "max by (cluster, job, namespace, instance) (",
            "  changes(process_start_time_seconds[1h]) > 3",
            "  and on (cluster, job, instance) last_over_time(hybridcalendar_build_info[15m])",
            ")",
        ],
        summary: "hybrid-calendar-operator{INSTALLATION} on {{ $labels.instance }} started {{ $value }} times within an hour",
        meaning: "A copy of the operator ends and is started again, over and over.",
        remedy: "Read why it ended: `kubectl describe pod` (OOMKilled, failed probe) and `kubectl logs --previous`. Raise the memory limit if it was too small; report a crash with the log.",
        ..WARNING
    },
    Written {
        name: "NoLeader",
        severity: Severity::Critical,
        after: Duration::from_mins(5),
        expression: &["sum by (cluster, job, namespace) (hybridcalendar_leader) == 0"],
        summary: "No copy of hybrid-calendar-operator{INSTALLATION} leads",
        meaning: "Copies of the operator run, but none leads: nothing is checked or renewed, and other alerts are silent.",
        remedy: "`/readyz` on port 9090 and the log of each copy say what it waits for: most often the API server does not answer, or the ServiceAccount may not use the Lease. `kubectl get lease -A` shows who holds it.",
        ..WARNING
    },
    Written {
        name: "TwoLeaders",
        severity: Severity::Critical,
        after: Duration::from_mins(3),
        expression: &["sum by (cluster, job, namespace) (hybridcalendar_leader) > 1"],
        summary: "{{ $value }} copies of hybrid-calendar-operator{INSTALLATION} lead at once",
        meaning: "More than one copy of an installation believes that it leads: they may replace each other's subscriptions.",
        remedy: "Compare `--lease-namespace` and `--lease-name` of all copies and the clocks of their nodes; scale the Deployment to one copy until that is clear.",
        ..WARNING
    },
    Written {
        name: "LeaderBlind",
        severity: Severity::Critical,
        after: Duration::from_mins(10),
        expression: &[
            "sum by (cluster, job, namespace) (hybridcalendar_leader) > 0",
            "unless on (cluster, job, namespace) hybridcalendar_queue_depth",
        ],
        summary: "The leader of hybrid-calendar-operator{INSTALLATION} does not get to know its objects",
        meaning: "A copy of the operator leads, but has not read all objects yet: nothing is checked or renewed, and other alerts are silent.",
        remedy: "The log of the copy that leads says which list fails: most often the ServiceAccount lacks a right, a CustomResourceDefinition is missing, or the API server is overloaded. Compare with `hybrid-calendar-operator rbac`.",
        ..WARNING
    },
    Written {
        name: "ReadinessUnknown",
        after: Duration::from_hours(1),
        keep: BRIDGE,
        expression: &[
            "sum by (cluster, kind, tenant) (hybridcalendar_conditions{type=\"Ready\", status=\"Unknown\", reason!=\"Suspended\"}) > 0",
            "unless on (cluster, tenant) hybridcalendar_conditions{kind=\"CalendarTenant\", type=~\"Unauthorized|MicrosoftUnavailable\", {NO_TOKEN}, status=\"True\"}",
        ],
        summary: "{{ $value }} {{ $labels.kind }} of tenant {{ $labels.tenant }} could not be checked for an hour",
        meaning: "It could not be found out for an hour whether objects work, and no problem of their tenant explains that.",
        remedy: "`kubectl get ct,wm -A -o wide | grep Unknown` names them, and the message of `Ready` what could not be checked; the operator's log tells of the calls that fail.",
        ..WARNING
    },
    Written {
        name: "ChecksStuck",
        keep: BRIDGE,
        expression: &[
            "max by (cluster, kind, tenant) (hybridcalendar_check_overdue_seconds) > 1800",
            "unless on (cluster, tenant) hybridcalendar_conditions{kind=\"CalendarTenant\", type=~\"Unauthorized|MicrosoftUnavailable\", {NO_TOKEN}, status=\"True\"}",
        ],
        summary: "A check of a {{ $labels.kind }} of tenant {{ $labels.tenant }} is {{ $value | humanizeDuration }} late",
        meaning: "Checks are late by more than half an hour, so that what the conditions say is old.",
        remedy: "Compare the queue on the dashboard with the calls to Graph: when Graph makes us wait, checks come later; otherwise raise `--concurrency` or the CPU limit, and report it with the log if neither is short.",
        ..WARNING
    },
    Written {
        name: "QueueStuck",
        after: Duration::from_mins(10),
        keep: BRIDGE,
        expression: &[
            "max by (cluster, job, namespace, class) (hybridcalendar_queue_longest_wait_seconds) > 600",
        ],
        summary: "Work of class {{ $labels.class }} of hybrid-calendar-operator{INSTALLATION} has waited for {{ $value | humanizeDuration }}",
        meaning: "Objects that are due wait for more than ten minutes: the operator does not keep up, or passes hang.",
        remedy: "Look at the duration of calls to Graph and of reconciles on the dashboard. One tenant that hangs holds only its own objects up; if all wait, raise `--concurrency` or the CPU limit, or restart the operator, which loses nothing.",
        ..WARNING
    },
    Written {
        name: "StatusWritesFailing",
        after: Duration::from_mins(10),
        expression: &[
            "sum by (cluster, job, namespace) (rate(hybridcalendar_reconcile_seconds_count{outcome=\"error\"}[10m]))",
            "  / sum by (cluster, job, namespace) (rate(hybridcalendar_reconcile_seconds_count[10m])) > 0.1",
            "and sum by (cluster, job, namespace) (increase(hybridcalendar_reconcile_seconds_count{outcome=\"error\"}[10m])) >= 5",
        ],
        summary: "{{ $value | humanizePercentage }} of the reconciles of hybrid-calendar-operator{INSTALLATION} end in an error",
        meaning: "The API server does not take the statuses that the operator writes, so that what `kubectl` shows is old.",
        remedy: "The log quotes the API server: missing rights (compare with `hybrid-calendar-operator rbac`), an admission webhook, or an API server that is overloaded.",
        ..WARNING
    },
    Written {
        name: "ReconcilePanics",
        after: Duration::ZERO,
        expression: &[
            "sum by (cluster, job, namespace) (increase(hybridcalendar_reconcile_panics_total[1h])) > 0",
        ],
        summary: "A reconcile of hybrid-calendar-operator{INSTALLATION} panicked",
        meaning: "The operator met a defect of its own while it worked on an object, which it tries again after five minutes.",
        remedy: "Find `panicked` in the log and report it with the lines around it. Other objects are not concerned.",
        ..WARNING
    },
    Written {
        name: "WakesLost",
        severity: Severity::Info,
        after: Duration::ZERO,
        expression: &[
            "sum by (cluster, job, namespace) (increase(hybridcalendar_wake_lost_total[1h])) > 0",
        ],
        summary: "Lifecycle notifications found the wake queue of hybrid-calendar-operator{INSTALLATION} full",
        meaning: "More lifecycle notifications came at once than the queue holds; what they told of is found by the next sweep or check.",
        acts: Actor::Nobody,
        remedy: "If it happens again and again, look at what removes or changes so many subscriptions at once.",
        ..WARNING
    },
];
