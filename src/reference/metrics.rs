//! The page of metrics, from their descriptions alone.

use std::fmt::Write as _;

use super::{Error, cell};
use crate::metrics::Metrics;

const INTRODUCTION: &str = "\
# Metrics

Served on the admin port under `/metrics`. What describes the world is computed from the operator's store when somebody
scrapes, by the replica that leads, so nothing goes stale; a replica that does not lead shows only its process, its
receiver and `hybridcalendar_leader 0`. `tenant` is `namespace/name` of the CalendarTenant. With
`--metrics-detail=tenant` the series for single objects are left out. No address, error text or id is ever a label.

[How to use them](../metrics.md) tells which to watch.
";

/// The whole page.
pub(super) fn page() -> Result<String, Error> {
    let metrics = Metrics::new().map_err(Error::Metrics)?;
    let mut page = format!(
        "{INTRODUCTION}\n| Metric | Kind | Labels | Meaning |\n| --- | --- | --- | --- |\n"
    );
    for metric in metrics.descriptions() {
        let labels: Vec<String> = metric.labels.iter().map(|l| format!("`{l}`")).collect();
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} |",
            metric.name,
            metric.kind,
            labels.join(", "),
            cell(&metric.help)
        );
    }
    Ok(page)
}
