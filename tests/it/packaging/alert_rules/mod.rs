//! Every alert rule under promtool: it fires, stays quiet and resolves.
//!
//! The cases are data here and become files that anybody can run: `promtool test rules config/prometheus/tests/*.yaml`.
//! What an alert must say is put together from the vocabulary, or written beside its case.

mod conditions;
mod microsoft;
mod operator;
mod subscriptions;
mod whole;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use testbed::packages;
use tokio::process::Command;

use crate::repository::{assert_generated, read, root};

const RULES: &str = "config/prometheus/rules.yaml";
const HEADER: &str =
    "# Generated from tests/it/packaging/alert_rules by `make generate`. Do not edit.\n";

/// A rule, as far as its tests need it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Rule {
    pub(super) alert: String,
    pub(super) expr: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

/// Every rule of the file that is shipped.
pub(super) fn rules() -> Vec<Rule> {
    let rules = rule_values().into_iter();
    rules
        .map(|rule| serde_json::from_value(rule).unwrap())
        .collect()
}

pub(super) fn rule_values() -> Vec<Value> {
    let file: Value = serde_yaml_ng::from_str(&read(RULES)).unwrap();
    let groups = file["groups"].as_array().unwrap();
    let rules = groups.iter().flat_map(|g| g["rules"].as_array().unwrap());
    rules.cloned().collect()
}

/// What happens, minute by minute, and what is told of it.
struct Case {
    name: String,
    /// Series and their values, one a minute, in promtool's notation.
    series: Vec<(String, String)>,
    checks: Vec<Check>,
}

/// What an alert does at a minute.
struct Check {
    minute: u32,
    alert: String,
    firing: Vec<Firing>,
}

/// One alert that fires.
#[derive(Clone)]
struct Firing {
    labels: BTreeMap<String, String>,
    summary: String,
    /// Where it is not the rule's own text.
    description: Option<String>,
}

impl Firing {
    fn new(labels: &[(&str, &str)], summary: &str) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self {
            labels: labels.iter().map(owned).collect(),
            summary: summary.to_owned(),
            description: None,
        }
    }
}

/// A case about one alert, without the prefix of its name: what fires at which minute.
fn case(
    (alert, name): (&str, &str),
    series: &[(&str, &str)],
    checks: &[(u32, Option<&Firing>)],
) -> Case {
    let alert = format!("HybridCalendar{alert}");
    let check = |(minute, firing): &(u32, Option<&Firing>)| Check {
        minute: *minute,
        alert: alert.clone(),
        firing: firing.iter().copied().cloned().collect(),
    };
    let owned = |(series, values): &(&str, &str)| ((*series).to_owned(), (*values).to_owned());
    Case {
        name: format!("{alert}: {name}"),
        series: series.iter().map(owned).collect(),
        checks: checks.iter().map(check).collect(),
    }
}

#[derive(Serialize)]
struct TestFile {
    rule_files: [&'static str; 1],
    evaluation_interval: &'static str,
    tests: Vec<TestGroup>,
}

#[derive(Serialize)]
struct TestGroup {
    name: String,
    interval: &'static str,
    input_series: Vec<InputSeries>,
    alert_rule_test: Vec<AlertTest>,
}

#[derive(Serialize)]
struct InputSeries {
    series: String,
    values: String,
}

#[derive(Serialize)]
struct AlertTest {
    eval_time: String,
    alertname: String,
    exp_alerts: Vec<ExpectedAlert>,
}

#[derive(Serialize)]
struct ExpectedAlert {
    exp_labels: BTreeMap<String, String>,
    exp_annotations: BTreeMap<String, String>,
}

fn test_group(case: Case, interval: &'static str, rules: &BTreeMap<String, Rule>) -> TestGroup {
    let series = |(series, values)| InputSeries { series, values };
    let test = |check: Check| AlertTest {
        eval_time: format!("{}m", check.minute),
        exp_alerts: check
            .firing
            .into_iter()
            .map(|firing| expected(firing, &rules[&check.alert]))
            .collect(),
        alertname: check.alert,
    };
    TestGroup {
        name: case.name,
        interval,
        input_series: case.series.into_iter().map(series).collect(),
        alert_rule_test: case.checks.into_iter().map(test).collect(),
    }
}

fn expected(firing: Firing, rule: &Rule) -> ExpectedAlert {
    let mut annotations = rule.annotations.clone();
    annotations.insert("summary".to_owned(), firing.summary);
    if let Some(description) = firing.description {
        annotations.insert("description".to_owned(), description);
    }
    ExpectedAlert {
        exp_labels: [firing.labels, rule.labels.clone()]
            .into_iter()
            .flatten()
            .collect(),
        exp_annotations: annotations,
    }
}

fn written(name: &str, cases: Vec<Case>) -> (String, String) {
    // promtool evaluates all rules at each step: what lasts for days must not do so each minute.
    let interval = if name == "weeks" { "30m" } else { "1m" };
    let rules: BTreeMap<String, Rule> = rules().into_iter().map(|r| (r.alert.clone(), r)).collect();
    let file = TestFile {
        rule_files: ["../rules.yaml"],
        evaluation_interval: interval,
        tests: cases
            .into_iter()
            .map(|case| test_group(case, interval, &rules))
            .collect(),
    };
    let yaml = serde_yaml_ng::to_string(&file).unwrap();
    let path = format!("config/prometheus/tests/{name}.yaml");
    (path, format!("{HEADER}{yaml}"))
}

fn every_file() -> Vec<(&'static str, Vec<Case>)> {
    vec![
        ("conditions", conditions::cases()),
        ("operator", operator::cases()),
        ("subscriptions", subscriptions::cases()),
        ("microsoft", microsoft::cases()),
        ("weeks", subscriptions::long_cases()),
        ("whole", whole::cases(&rules())),
    ]
}

#[test]
fn the_generated_unit_tests_of_the_rules_are_current() {
    for (name, cases) in every_file() {
        let (path, content) = written(name, cases);
        assert_generated(&path, &content);
    }
}

/// Runs promtool in a folder; it must be content.
pub(super) async fn promtool(folder: &Path, arguments: &[String]) {
    let mut command = Command::new(packages::program("promtool").await.unwrap());
    command
        .args(arguments)
        .current_dir(folder)
        .kill_on_drop(true);
    let output = command.output().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "promtool {arguments:?}\n{}\n{}",
        text(&output.stdout),
        text(&output.stderr)
    );
}

#[tokio::test]
async fn every_rule_is_valid_and_passes_its_unit_tests() {
    promtool(root(), &["check", "rules", RULES].map(str::to_owned)).await;
    // promtool evaluates each rule at each minute of each case: a rule alone with its cases takes a fraction of the time.
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(format!("{name}.yaml"));
    let write = |name: &str, content: &Value| {
        std::fs::write(path(name), content.to_string()).unwrap();
    };
    let mut arguments = vec!["test".to_owned(), "rules".to_owned()];
    let files = crate::repository::files("config/prometheus/tests", &[".yaml"]);
    for file in &files {
        let tests: Value = serde_yaml_ng::from_str(&read(file)).unwrap();
        if file.ends_with("whole.yaml") {
            arguments.push(root().join(file).to_str().unwrap().to_owned());
            continue;
        }
        for rule in rule_values() {
            let mut own = tests.clone();
            let about = |case: &Value| case["alert_rule_test"][0]["alertname"] == rule["alert"];
            own["tests"].as_array_mut().unwrap().retain(about);
            if own["tests"] == json!([]) {
                continue;
            }
            let name = rule["alert"].as_str().unwrap();
            own["rule_files"] = json!([path(name)]);
            write(name, &json!({"groups": [{"name": name, "rules": [rule]}]}));
            let cases = format!("{name}-cases");
            write(&cases, &own);
            arguments.push(path(&cases).to_str().unwrap().to_owned());
        }
    }
    assert_eq!(
        arguments.len(),
        3 + rules().len(),
        "each rule, and all together"
    );
    promtool(folder.path(), &arguments).await;
}

/// What the cases show of one alert.
#[derive(Default)]
struct Shown {
    fires: bool,
    resolves: bool,
    stays_quiet: bool,
}

#[test]
fn every_alert_is_seen_to_fire_to_stay_quiet_and_to_resolve() {
    let mut shown: BTreeMap<String, Shown> = BTreeMap::new();
    for (file, cases) in every_file() {
        for case in cases {
            let alerts: BTreeSet<&str> = case.checks.iter().map(|c| c.alert.as_str()).collect();
            for alert in alerts {
                let about = || case.checks.iter().filter(|check| check.alert == alert);
                let fired = about().filter(|check| !check.firing.is_empty());
                let first = fired.map(|check| check.minute).min();
                let shown = shown.entry(alert.to_owned()).or_default();
                match first {
                    Some(first) => {
                        shown.fires = true;
                        let ended = |c: &Check| c.firing.is_empty() && c.minute > first;
                        shown.resolves |= about().any(ended);
                    }
                    // Nothing fires when nothing is wrong: that alone says little about one rule.
                    None => shown.stays_quiet |= file != "whole",
                }
            }
        }
    }
    for rule in rules() {
        let shown = shown.remove(&rule.alert).unwrap_or_default();
        assert!(shown.fires, "no case shows that {} fires", rule.alert);
        assert!(shown.resolves, "no case shows that {} resolves", rule.alert);
        assert!(
            shown.stays_quiet,
            "no case shows that {} stays quiet",
            rule.alert
        );
    }
    assert!(
        shown.is_empty(),
        "there are no rules for {:?}",
        shown.keys()
    );
}

#[test]
fn no_expression_depends_on_which_copy_of_the_operator_leads() {
    for rule in rules() {
        let by_copy = rule.expr.contains("instance") || rule.expr.contains("pod");
        assert_eq!(
            by_copy,
            rule.alert == "HybridCalendarOperatorRestarting",
            "{}",
            rule.expr
        );
    }
}
