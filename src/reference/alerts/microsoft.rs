//! Alerts about what Microsoft grants: the credential's end, errors and throttling.

use super::BRIDGE;
use super::operator::{WARNING, Written};
use crate::api::vocabulary::remedy::Actor;
use crate::api::vocabulary::severity::Severity;

/// Seconds until a tenant's credential ends.
pub(super) const CREDENTIAL_LEFT: &str =
    "min by (cluster, tenant) (hybridcalendar_credential_expiry_timestamp_seconds) - time()";

/// The time that is left when somebody has to act now: a week.
pub(super) const CREDENTIAL_ENDS_SOON: &str = "7 * 86400";

/// In the order of the page.
pub(super) const ALERTS: &[Written] = &[
    Written {
        name: "CredentialEndsSoon",
        severity: Severity::Critical,
        keep: BRIDGE,
        expression: &[
            CREDENTIAL_LEFT,
            "<",
            CREDENTIAL_ENDS_SOON,
            "unless on (cluster, tenant) hybridcalendar_conditions{kind=\"CalendarTenant\", type=\"Unauthorized\", status=\"True\", reason=~\"ClientSecretExpired|CertificateExpired\"}",
        ],
        summary: "The credential of tenant {{ $labels.tenant }} ends in {{ $value | humanizeDuration }}",
        meaning: "A tenant's credential ends within a week; without it nothing is checked or renewed, and every mailbox loses its subscription within days.",
        acts: Actor::EntraAdministrator,
        remedy: "Create a new client secret or certificate beside the old one in the app registration, then put it into the Secret that the CalendarTenant names. Old and new may be valid at the same time.",
        ..WARNING
    },
    Written {
        name: "GraphThrottled",
        expression: &[
            "sum by (cluster, tenant) (rate(hybridcalendar_graph_throttled_seconds_total[15m])) > 0.1",
        ],
        summary: "Graph makes tenant {{ $labels.tenant }} wait for {{ $value | humanizePercentage }} of the time",
        meaning: "Graph asks calls of a tenant to wait for more than a tenth of the time, so that checks and renewals come later.",
        remedy: "Look for other programs that use the same app registration or the same mailboxes, and give each its own. Raise `spec.checkInterval` of the tenant and of its mailboxes.",
        ..WARNING
    },
    Written {
        name: "GraphErrors",
        expression: &[
            "sum by (cluster, tenant) (rate(hybridcalendar_graph_requests_total{code=~\"5..|timeout|connect|cut\"}[10m]))",
            "  / sum by (cluster, tenant) (rate(hybridcalendar_graph_requests_total[10m])) > 0.2",
            "and sum by (cluster, tenant) (increase(hybridcalendar_graph_requests_total{code=~\"5..|timeout|connect|cut\"}[10m])) >= 10",
            "unless on (cluster, tenant) hybridcalendar_conditions{kind=\"CalendarTenant\", type=\"MicrosoftUnavailable\", status=\"True\"}",
        ],
        summary: "{{ $value | humanizePercentage }} of the calls to Microsoft for tenant {{ $labels.tenant }} fail",
        meaning: "Many of a tenant's calls to Graph or Entra get no answer or a server error, although the tenant is not cut off yet.",
        remedy: "Look at Microsoft's service health first, then at egress, DNS and proxy of the operator's Pod. The operator goes on trying, and renews subscriptions long before they end.",
        ..WARNING
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::tenant::checks::EXPIRES_VERY_SOON;
    use std::time::Duration;

    #[test]
    fn a_week_is_what_the_condition_calls_very_soon() {
        let seconds = CREDENTIAL_ENDS_SOON
            .split(" * ")
            .map(|n| n.parse::<u64>().unwrap());
        let week = Duration::from_secs(seconds.product());
        assert_eq!(EXPIRES_VERY_SOON, week);
    }
}
