//! Alerts about subscriptions as a whole, and about what arrives by them.

use std::time::Duration;

use super::BRIDGE;
use super::operator::{WARNING, Written};
use crate::api::vocabulary::remedy::Actor;
use crate::api::vocabulary::severity::Severity;

/// In the order of the page.
pub(super) const ALERTS: &[Written] = &[
    Written {
        name: "RenewalSlackLow",
        // A quarter of the shortest life is eleven minutes, a tenth four and a half.
        after: Duration::from_mins(5),
        keep: BRIDGE,
        expression: &[
            "min by (cluster, tenant) (hybridcalendar_renewal_margin_ratio) < 0.25",
            "unless on (cluster, tenant) min by (cluster, tenant) (hybridcalendar_renewal_margin_ratio) < 0.1",
            "unless on (cluster, tenant) min by (cluster, tenant) (hybridcalendar_renewal_slack_seconds) < 0",
            "unless on (cluster, tenant) hybridcalendar_conditions{kind=\"CalendarTenant\", type=\"Unauthorized\", {NO_TOKEN}, status=\"True\"}",
        ],
        summary: "A subscription of tenant {{ $labels.tenant }} has {{ $value | humanizePercentage }} of its life left and is not renewed",
        meaning: "Renewals begin when a third of a subscription's life is left; one has less than a quarter and was not renewed yet, so that they fail or do not keep up.",
        remedy: "Look at `MicrosoftUnavailable` of the tenant, at the errors and the throttling of `renewSubscription` on the dashboard, and at the queue. Nothing is lost yet: the dashboard shows when the first subscription ends.",
        ..WARNING
    },
    Written {
        name: "SubscriptionsAboutToLapse",
        severity: Severity::Critical,
        after: Duration::from_mins(2),
        keep: BRIDGE,
        expression: &[
            "min by (cluster, tenant) (hybridcalendar_renewal_margin_ratio) < 0.1",
            "or min by (cluster, tenant) (hybridcalendar_renewal_slack_seconds) < 0",
        ],
        summary: "Subscriptions of tenant {{ $labels.tenant }} are about to lapse",
        meaning: "A subscription has less than a tenth of its life left, or more are due than can be renewed in time: when they end, notifications are lost.",
        remedy: "Find out why renewals fail, in this order: `Unauthorized` and `MicrosoftUnavailable` of the tenant, the messages of `SubscriptionInactive` of its mailboxes, throttling, the queue. Then ask for a check of the tenant.",
        ..WARNING
    },
    Written {
        name: "SubscriptionCoverageLow",
        severity: Severity::Critical,
        after: Duration::from_mins(10),
        keep: BRIDGE,
        expression: &[
            "sum by (cluster, tenant) (hybridcalendar_subscriptions{state=\"inactive\"}) / sum by (cluster, tenant) (hybridcalendar_subscriptions) > 0.02",
            "and sum by (cluster, tenant) (hybridcalendar_subscriptions{state=\"inactive\"}) >= 5",
            "unless on (cluster, tenant) hybridcalendar_conditions{kind=\"CalendarTenant\", type=~\"Unauthorized|EndpointRejected\", {NO_TOKEN}, status=\"True\"}",
        ],
        summary: "{{ $value | humanizePercentage }} of the subscriptions of tenant {{ $labels.tenant }} are inactive",
        meaning: "For many mailboxes of a tenant at once no notifications arrive.",
        remedy: "`kubectl get wm -A | grep SubscriptionInactive` names them, and their messages quote Graph. One reason for all points at the tenant, a quota or another installation with the same app registration.",
        ..WARNING
    },
    Written {
        name: "SubscriptionsVanishing",
        after: Duration::ZERO,
        keep: BRIDGE,
        expression: &[
            "sum by (cluster, tenant) (increase(hybridcalendar_subscription_operations_total{operation=\"vanished\"}[1h])) >= 5",
        ],
        summary: "{{ $value | humanize }} subscriptions of tenant {{ $labels.tenant }} were removed by somebody else within an hour",
        meaning: "Subscriptions disappear that the operator did not remove, again and again; each is created anew, with a gap.",
        remedy: "Look for a second installation or another program with the same app registration, and for rights that change: Microsoft removes subscriptions when they do. Use one app registration for each installation.",
        ..WARNING
    },
    Written {
        name: "MailboxesNotReady",
        severity: Severity::Critical,
        keep: BRIDGE,
        expression: &[
            "sum by (cluster, tenant) (hybridcalendar_conditions{kind=\"WorkspaceMailbox\", type=\"Ready\", status=\"False\"})",
            "  / sum by (cluster, tenant) (hybridcalendar_conditions{kind=\"WorkspaceMailbox\", type=\"Ready\"}) > 0.2",
            "and sum by (cluster, tenant) (hybridcalendar_conditions{kind=\"WorkspaceMailbox\", type=\"Ready\", status=\"False\"}) >= 5",
            "and on (cluster, tenant) (",
            "  0.8 * max_over_time(sum by (cluster, tenant) (hybridcalendar_conditions{kind=\"WorkspaceMailbox\", type=\"Ready\", status=\"True\"})[1d:5m])",
            "  > (",
            "    sum by (cluster, tenant) (hybridcalendar_conditions{kind=\"WorkspaceMailbox\", type=\"Ready\", status=\"True\"})",
            "    or 0 * sum by (cluster, tenant) (hybridcalendar_conditions{kind=\"WorkspaceMailbox\", type=\"Ready\"})",
            "  )",
            ")",
            "unless on (cluster, tenant) hybridcalendar_conditions{kind=\"CalendarTenant\", type=~\"Unauthorized|DomainMismatch|EndpointRejected|MicrosoftUnavailable\", {NO_TOKEN}, status=\"True\"}",
            "unless on (cluster, tenant) hybridcalendar_conditions{kind=\"CalendarTenant\", type=\"Ready\", reason=~\"Suspended|InvalidSpec|EndpointNotAllowed\"}",
            "unless on (cluster, tenant) (",
            "  sum by (cluster, tenant) (hybridcalendar_subscriptions{state=\"inactive\"}) / sum by (cluster, tenant) (hybridcalendar_subscriptions) > 0.02",
            "  and sum by (cluster, tenant) (hybridcalendar_subscriptions{state=\"inactive\"}) >= 5",
            ")",
        ],
        summary: "Many mailboxes of tenant {{ $labels.tenant }} stopped working: {{ $value | humanizePercentage }} are not Ready",
        meaning: "More than a fifth of the mailboxes of a tenant that worked within the last day do not work any more, which points at one change: a domain, an access policy or a group of licences.",
        remedy: "`kubectl get wm -A | grep -v True` shows the reason that most of them have. Its runbook says who can end it; ask that person what was changed. After a day it is not new any more: then the alerts of the single mailboxes tell of it.",
        ..WARNING
    },
    Written {
        name: "ReceiverSlow",
        severity: Severity::Critical,
        after: Duration::from_mins(5),
        expression: &[
            "1 - sum by (cluster, job, namespace) (rate(hybridcalendar_notification_response_seconds_bucket{le=~\"3(\\\\.0)?\"}[10m]))",
            "  / sum by (cluster, job, namespace) (rate(hybridcalendar_notification_response_seconds_count[10m])) > 0.05",
            "and sum by (cluster, job, namespace) (increase(hybridcalendar_notification_response_seconds_count[10m])) >= 20",
        ],
        summary: "{{ $value | humanizePercentage }} of the answers of hybrid-calendar-operator{INSTALLATION} to notifications take longer than three seconds",
        meaning: "The receiver answers Graph slowly: from one slow answer in ten on, Graph delays the notifications of the whole host by ten minutes, and counts an answer after ten seconds as failed.",
        remedy: "Look at CPU and memory of the receiver's Pods and raise their limits; then at the node. What the Ingress and the network add is not in this number.",
        ..WARNING
    },
    Written {
        name: "ReceiverUnavailable",
        severity: Severity::Critical,
        expression: &[
            "sum by (cluster, job, namespace) (rate(hybridcalendar_notifications_total{result=\"unavailable\"}[10m]))",
            "  / sum by (cluster, job, namespace) (rate(hybridcalendar_notification_response_seconds_count[10m])) > 0.05",
            "and sum by (cluster, job, namespace) (increase(hybridcalendar_notifications_total{result=\"unavailable\"}[10m])) >= 5",
        ],
        summary: "The receiver of hybrid-calendar-operator{INSTALLATION} puts {{ $value | humanizePercentage }} of the notifications off",
        meaning: "The receiver answers notifications with 503, because it has no key yet or too much is being sent at once. Graph repeats them for some hours, then they are lost.",
        remedy: "If the log says that the key Secret cannot be read or made, mend that: most often the ServiceAccount lacks a right. Otherwise look in the log of the Ingress for whoever sends so much, and limit them there.",
        ..WARNING
    },
    Written {
        name: "NotificationsMissed",
        after: Duration::ZERO,
        keep: BRIDGE,
        expression: &[
            "sum by (cluster, tenant) (increase(hybridcalendar_lifecycle_events_total{event=\"missed\"}[1h])) > 0",
        ],
        summary: "Graph could not deliver notifications{{ with $labels.tenant }} of tenant {{ . }}{{ end }}",
        meaning: "Graph told that it lost notifications that it could not deliver: what changed in these calendars was not told, and whoever reads them by notifications alone has an old picture.",
        remedy: "Look at what was wrong with the receiver, or in front of it, within the last hours: `ReceiverSlow`, `ReceiverUnavailable`, rollouts, Ingress and certificate. The operator checks each mailbox that is concerned by itself.",
        ..WARNING
    },
    Written {
        name: "NotificationsSilent",
        keep: BRIDGE,
        expression: &[
            "sum by (cluster, tenant) (increase(hybridcalendar_notifications_total{result=\"accepted\"}[3h] offset 1w)) >= 20",
            "and on (cluster, tenant) sum by (cluster, tenant) (hybridcalendar_subscriptions{state=\"active\"}) > 0",
            "unless on (cluster, tenant) max by (cluster, tenant) (max_over_time(hybridcalendar_last_notification_timestamp_seconds[3h])) > time() - 3 * 3600",
            "unless on (cluster, tenant) hybridcalendar_conditions{kind=\"CalendarTenant\", type=~\"Unauthorized|EndpointRejected|MicrosoftUnavailable\", {NO_TOKEN}, status=\"True\"}",
            "unless on (cluster, tenant) hybridcalendar_conditions{kind=\"CalendarTenant\", type=\"Ready\", reason=\"Suspended\"}",
        ],
        summary: "Tenant {{ $labels.tenant }} is silent: {{ $value | humanize }} notifications came a week ago at this time, none in the last three hours",
        meaning: "Subscriptions are alive, but no notification has arrived for three hours, although many did at the same time a week ago.",
        remedy: "If it is a holiday, nothing is wrong. Else change an event in a subscribed calendar and watch `hybridcalendar_notifications_total`; when nothing comes within minutes, look at DNS, firewall, certificate and Ingress in front of the notification URL.",
        ..WARNING
    },
    Written {
        name: "NotificationsForged",
        after: Duration::ZERO,
        keep: Duration::ZERO,
        expression: &[
            "sum by (cluster, job, namespace) (increase(hybridcalendar_notifications_total{result=\"forged\"}[15m])) >= 5",
        ],
        summary: "{{ $value | humanize }} notifications with a wrong signature came to hybrid-calendar-operator{INSTALLATION} within a quarter of an hour",
        meaning: "Somebody posts to the notification URL without knowing the key, or subscriptions sign with a key that was lost; such notifications have no effect.",
        acts: Actor::PlatformTeam,
        remedy: "If the key Secret was deleted or made anew, it ends when all subscriptions have been replaced, which happens by itself. Otherwise find the sender in the log of the Ingress and tell whoever is responsible for security.",
        ..WARNING
    },
];
