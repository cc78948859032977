//! Subscriptions, and what arrives by them.

use super::{Panel, PanelKind, Row, q};

/// Whether subscriptions live, and how much time there is.
pub(super) fn row() -> Row {
    Row {
        title: "Subscriptions",
        panels: vec![
            Panel::lines("Subscriptions by state", "Subscriptions that are wanted. Pending ones are about to be created; of inactive ones no notifications arrive. Those of deleted mailboxes are still to be removed.", vec![
                q("sum by (state) (hybridcalendar_subscriptions{{T}})", "{{state}}"),
                q("sum(hybridcalendar_subscription_removals_pending{{T}})", "of deleted mailboxes"),
            ]).kind(PanelKind::Stacked),
            Panel::lines("Time until the first one ends", "By tenant, unless it is renewed. It goes up at each renewal.", vec![q("min by (tenant) (hybridcalendar_subscription_earliest_expiry_timestamp_seconds{{T}}) - time()", "{{tenant}}")]).unit("s"),
            Panel::lines("Renewal margin", "The least share of a life that is left, by tenant. Renewals begin at a third; below a quarter one failed, below a tenth somebody has to act now.", vec![q("min by (tenant) (hybridcalendar_renewal_margin_ratio{{T}})", "{{tenant}}")]).unit("percentunit").steps(("red", &[(0.1, "orange"), (0.25, "green")])),
            Panel::lines("Renewal slack", "Time that is left when all renewals that are due before were served, by tenant. Below zero a subscription will lapse.", vec![q("min by (tenant) (hybridcalendar_renewal_slack_seconds{{T}})", "{{tenant}}")]).unit("s").steps(("red", &[(0.0, "green")])),
            Panel::lines("Subscription operations", "What became of subscriptions at Graph, a second. Vanished ones were removed by somebody else.", vec![q("sum by (operation) (rate(hybridcalendar_subscription_operations_total{{T}}[$__rate_interval]))", "{{operation}}")]).unit("ops"),
            Panel::lines("Lifecycle events", "What Graph told about subscriptions, a second.", vec![q("sum by (event) (rate(hybridcalendar_lifecycle_events_total[$__rate_interval]))", "{{event}}")]).unit("ops"),
        ],
    }
}

/// Whether notifications arrive and are answered in time.
pub(super) fn receiver() -> Row {
    Row {
        title: "Receiver",
        panels: vec![
            Panel::lines("Notifications", "Genuine notifications a second, by tenant; without a name where a copy does not lead.", vec![q("sum by (tenant) (rate(hybridcalendar_notifications_total{result=\"accepted\"}[$__rate_interval]))", "{{tenant}}")]).unit("ops"),
            Panel::lines("Notifications that were refused", "Forged, unknown, malformed or oversized ones, and requests that were put off with 503, a second. A few unknown ones after a deletion are normal; forged ones are not.", vec![q("sum by (result) (rate(hybridcalendar_notifications_total{result!=\"accepted\"}[$__rate_interval]))", "{{result}}")]).unit("ops"),
            Panel::lines("Time since the last notification", "By tenant. What is normal depends on how busy the calendars are.", vec![q("time() - max by (tenant) (hybridcalendar_last_notification_timestamp_seconds{{T}})", "{{tenant}}")]).unit("s"),
            Panel::lines("Time to answer", "Half, and 99 of 100, of the answers were faster. Graph wants an answer within three seconds, and counts one after ten as failed.", vec![
                q("histogram_quantile(0.5, sum by (le) (rate(hybridcalendar_notification_response_seconds_bucket[$__rate_interval])))", "50 %"),
                q("histogram_quantile(0.99, sum by (le) (rate(hybridcalendar_notification_response_seconds_bucket[$__rate_interval])))", "99 %"),
            ]).unit("s").steps(("green", &[(1.0, "orange"), (3.0, "red")])).width(12),
            Panel::lines("Slow answers", "Share of answers that took longer than three seconds. From a tenth on Graph delays the notifications of the whole host.", vec![q("1 - sum(rate(hybridcalendar_notification_response_seconds_bucket{le=~\"3(\\\\.0)?\"}[$__rate_interval])) / sum(rate(hybridcalendar_notification_response_seconds_count[$__rate_interval]))", "slower than 3 s")]).unit("percentunit").steps(("green", &[(0.05, "orange"), (0.1, "red")])).width(12),
        ],
    }
}
