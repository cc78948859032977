//! What is said to Microsoft, and how long that is allowed.

use super::{Panel, PanelKind, Row, q};

/// Calls, errors, waits.
pub(super) fn row() -> Row {
    Row {
        title: "Microsoft Graph and Entra",
        panels: vec![
            Panel::lines("Calls", "Calls a second, by operation.", vec![q("sum by (operation) (rate(hybridcalendar_graph_requests_total[$__rate_interval]))", "{{operation}}")]).kind(PanelKind::Stacked).unit("reqps"),
            Panel::lines("Requests and what travelled in them", "Requests a second, and the calls that travelled in batches instead of being requests of their own. Many of the latter beside few of the former is good.", vec![q("sum(rate(hybridcalendar_graph_requests_total[$__rate_interval])) - (sum(rate(hybridcalendar_graph_batched_requests_total[$__rate_interval])) or vector(0))", "requests"), q("sum(rate(hybridcalendar_graph_batched_requests_total[$__rate_interval])) or vector(0)", "calls in batches")]).unit("reqps"),
            Panel::lines("Errors", "Calls a second that did not succeed, by operation and code. 404 and 409 can be answers to a question; 429 makes us wait; the rest is trouble.", vec![q("sum by (operation, code) (rate(hybridcalendar_graph_requests_total{code!~\"2..\"}[$__rate_interval]))", "{{operation}} {{code}}")]).unit("reqps"),
            Panel::lines("Calls that fail, by tenant", "Share of a tenant's calls that get no answer or a server error. More than a fifth for a quarter of an hour is trouble.", vec![q("sum by (tenant) (rate(hybridcalendar_graph_requests_total{code=~\"5..|timeout|connect|cut\", {T}}[$__rate_interval])) / sum by (tenant) (rate(hybridcalendar_graph_requests_total{{T}}[$__rate_interval]))", "{{tenant}}")]).unit("percentunit").steps(("green", &[(0.2, "red")])),
            Panel::lines("Hosts that stopped answering", "How often in the last hour a host stopped answering for a tenant, so that only one call at a time was made until it was back.", vec![q("sum by (tenant, host) (increase(hybridcalendar_graph_circuit_opened_total{{T}}[1h]))", "{{tenant}} {{host}}")]).unit("short").steps(("green", &[(1.0, "red")])),
            Panel::lines("Throttling", "Share of the time for which Graph asks calls of a tenant to wait. More than a tenth delays checks and renewals.", vec![q("sum by (tenant) (rate(hybridcalendar_graph_throttled_seconds_total{{T}}[$__rate_interval]))", "{{tenant}}")]).unit("percentunit").steps(("green", &[(0.1, "red")])),
            Panel::lines("Duration of calls", "95 of 100 calls were faster, by operation. Creating a subscription includes Graph's questions to the receiver.", vec![q("histogram_quantile(0.95, sum by (le, operation) (rate(hybridcalendar_graph_request_seconds_bucket[$__rate_interval])))", "{{operation}}")]).unit("s").width(16),
        ],
    }
}

/// How long each credential lasts.
pub(super) fn credentials() -> Row {
    Row {
        title: "Credentials",
        panels: vec![
            Panel::lines("Days until a credential ends", "By tenant, as far as it is known. Plan the rotation at 30 days, rotate at 7.", vec![q("sort((min by (tenant) (hybridcalendar_credential_expiry_timestamp_seconds{{T}}) - time()) / 86400)", "{{tenant}}")]).kind(PanelKind::Bars).unit("d").steps(("red", &[(7.0, "orange"), (30.0, "green")])).width(24),
        ],
    }
}
