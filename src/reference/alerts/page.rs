//! The page of alerts.

use std::fmt::Write as _;
use std::time::Duration;

use super::{groups, prometheus_duration};
use crate::api::vocabulary::severity::Severity;
use crate::reference::cell;

const INTRODUCTION: &str = "\
# Alerts

[`config/prometheus/rules.yaml`](https://github.com/hybridcalendar/hybrid-calendar-operator/blob/main/config/prometheus/rules.yaml) is a rule file for Prometheus 2.42 or newer, and the
`spec` of a `PrometheusRule`. Scrape the operator with `honor_labels: true` (`honorLabels` in a ServiceMonitor), so that the
label `namespace` is that of the object.

```yaml
rule_files: [rules.yaml]
scrape_configs:
- job_name: hybrid-calendar-operator
  honor_labels: true
  static_configs: [{targets: [\"hybrid-calendar-operator-metrics.hybrid-calendar-operator:9090\"]}]
```

Each alert says in its description for what reason it fires, who acts and what that person does, and links to a page with the
steps. What a tenant explains is left out of its mailboxes' alerts by the expressions themselves: Alertmanager needs no
inhibition for that. With `--metrics-detail=object` the alerts of mailboxes name one mailbox each (`namespace`, `name`); with
`tenant` they count them by tenant. Group by `alertname` and `tenant` to get one message instead of hundreds. What is suspended
raises none. The tables say how long a problem must last before its alert fires, and for how long the alert goes on when the
problem has ended: what only the leader tells goes on for some minutes, so that a restart of the operator or a change of the
leader neither raises an alert nor ends one.

Several installations and several clusters may share one Prometheus: the rules keep the labels `job` and `namespace` of an
installation, and the label `cluster` where series have one.

";

/// For a table.
fn waiting(duration: Duration, none: &str) -> String {
    if duration.is_zero() {
        none.to_owned()
    } else {
        prometheus_duration(duration)
    }
}

/// The whole page.
pub(in crate::reference) fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    page += "| Severity | Meaning |\n| --- | --- |\n";
    for severity in Severity::ALL {
        let _ = writeln!(page, "| `{}` | {} |", severity.as_str(), severity.docs());
    }
    for group in groups() {
        let _ = writeln!(
            page,
            "\n## {}\n\n| Alert | Severity | Fires after | Goes on for | Meaning | Who acts | Runbook |\n\
             | --- | --- | --- | --- | --- | --- | --- |",
            group.title
        );
        for alert in group.alerts {
            let _ = writeln!(
                page,
                "| `{}` | {} | {} | {} | {} | {} | [{}]({}) |",
                alert.name,
                alert.severity.as_str(),
                waiting(alert.after, "at once"),
                waiting(alert.keep, "-"),
                cell(&alert.meaning),
                alert.acts,
                alert.runbook,
                format_args!("../runbooks/{}.md", alert.runbook)
            );
        }
    }
    page
}
