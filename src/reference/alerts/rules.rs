//! The alerts as a rule file of Prometheus, which is also the `spec` of a PrometheusRule.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Alert, Group, groups, prometheus_duration};
use crate::reference::Error;

#[derive(Serialize)]
struct RuleFile {
    groups: Vec<RuleGroup>,
}

#[derive(Serialize)]
struct RuleGroup {
    name: &'static str,
    rules: Vec<Rule>,
}

#[derive(Serialize)]
struct Rule {
    alert: String,
    expr: String,
    r#for: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_firing_for: Option<String>,
    labels: BTreeMap<&'static str, String>,
    annotations: BTreeMap<&'static str, String>,
}

impl From<Group> for RuleGroup {
    fn from(group: Group) -> Self {
        Self {
            name: group.name,
            rules: group.alerts.into_iter().map(Rule::from).collect(),
        }
    }
}

impl From<Alert> for Rule {
    fn from(alert: Alert) -> Self {
        let annotations = [
            ("runbook_url", alert.runbook_url()),
            ("summary", alert.summary),
            ("description", alert.description),
        ];
        Self {
            alert: alert.name,
            expr: alert.expression,
            r#for: prometheus_duration(alert.after),
            keep_firing_for: (!alert.keep.is_zero()).then(|| prometheus_duration(alert.keep)),
            labels: BTreeMap::from([("severity", alert.severity.as_str().to_owned())]),
            annotations: BTreeMap::from(annotations),
        }
    }
}

/// The whole file.
pub(in crate::reference) fn file() -> Result<String, Error> {
    let groups = groups().into_iter().map(RuleGroup::from).collect();
    serde_yaml_ng::to_string(&RuleFile { groups }).map_err(Error::Rules)
}
