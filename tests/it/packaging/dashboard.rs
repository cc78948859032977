//! The dashboard's form, as strictly as it can be judged without Grafana.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::alert_rules::promtool;
use super::monitoring::dashboard_queries;
use crate::repository::read;

fn dashboard() -> Value {
    serde_json::from_str(&read("config/grafana/dashboard.json")).unwrap()
}

/// Every panel, rows among them.
fn panels() -> Vec<Value> {
    dashboard()["panels"].as_array().unwrap().clone()
}

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is no whole number"))
}

#[test]
fn a_dashboard_can_be_imported_anywhere_and_found_again() {
    let dashboard = dashboard();
    assert!(dashboard["id"].is_null(), "Grafana gives it a number");
    assert_eq!(dashboard["uid"], "hybrid-calendar-operator");
    assert!(number(&dashboard["schemaVersion"]) >= 38);
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let names: Vec<&Value> = variables.iter().map(|variable| &variable["name"]).collect();
    assert_eq!(names, ["datasource", "namespace", "tenant"]);
    assert_eq!(variables[0]["type"], "datasource");
    assert_eq!(variables[0]["query"], "prometheus");
    assert_names_the_variable(&dashboard);
}

/// No data source is named but by the variable.
fn assert_names_the_variable(value: &Value) {
    match value {
        Value::Object(fields) => {
            if let Some(source) = fields.get("datasource").filter(|source| source.is_object()) {
                assert_eq!(source["uid"], "${datasource}", "{source}");
                assert_eq!(source["type"], "prometheus");
            }
            fields.values().for_each(assert_names_the_variable);
        }
        Value::Array(values) => values.iter().for_each(assert_names_the_variable),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn panels_have_ids_of_their_own_and_do_not_overlap() {
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in panels() {
        assert!(ids.insert(number(&panel["id"])), "{}", panel["id"]);
        let place = &panel["gridPos"];
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|field| number(&place[field]));
        assert!(w > 0 && h > 0 && x + w <= 24, "{}: {place}", panel["title"]);
        for cell in (x..x + w).flat_map(|column| (y..y + h).map(move |line| (column, line))) {
            assert!(
                taken.insert(cell),
                "{} overlaps another panel",
                panel["title"]
            );
        }
    }
}

#[test]
fn every_panel_is_of_a_known_kind_with_queries_a_unit_and_thresholds() {
    const KINDS: [&str; 4] = ["stat", "timeseries", "bargauge", "table"];
    const UNITS: [&str; 8] = [
        "short",
        "s",
        "d",
        "percentunit",
        "ops",
        "reqps",
        "bytes",
        "none",
    ];
    for panel in panels().into_iter().filter(|panel| panel["type"] != "row") {
        let title = &panel["title"];
        assert!(KINDS.iter().any(|kind| panel["type"] == *kind), "{title}");
        let defaults = &panel["fieldConfig"]["defaults"];
        assert!(
            UNITS.iter().any(|unit| defaults["unit"] == *unit),
            "{title}"
        );
        assert_thresholds_rise(&defaults["thresholds"]);
        let mut names = BTreeSet::new();
        for target in panel["targets"].as_array().unwrap() {
            assert!(names.insert(target["refId"].as_str().unwrap()), "{title}");
            assert_ne!(target["instant"], target["range"], "{title}");
            let table = panel["type"] == "table";
            assert_eq!(target["format"] == "table", table, "{title}");
        }
        assert!(!names.is_empty(), "{title}");
        assert!(
            !panel["description"].as_str().unwrap().is_empty(),
            "{title}"
        );
    }
}

fn assert_thresholds_rise(thresholds: &Value) {
    let steps = thresholds["steps"].as_array().unwrap();
    assert!(
        steps[0]["value"].is_null(),
        "the first holds from the beginning"
    );
    let values: Vec<f64> = steps[1..]
        .iter()
        .map(|step| step["value"].as_f64().unwrap())
        .collect();
    assert!(values.is_sorted(), "{thresholds}");
}

/// Has promtool ask the panel's query of these series: one value, or none.
async fn assert_shows(panel: &str, series: &[&str], value: Option<f64>) {
    let queries = dashboard_queries();
    let (_, query) = queries.iter().find(|(title, _)| title == panel).unwrap();
    let series = series
        .iter()
        .map(|s| json!({"series": s, "values": "1+0x5"}));
    let samples = value.map(|value| json!({"labels": "{}", "value": value}));
    let file = json!({
        "evaluation_interval": "1m",
        "tests": [{
            "interval": "1m",
            "input_series": series.collect::<Vec<_>>(),
            "promql_expr_test": [{
                "expr": query,
                "eval_time": "3m",
                "exp_samples": samples.into_iter().collect::<Vec<_>>(),
            }],
        }],
    });
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("test.yaml"), file.to_string()).unwrap();
    let arguments = ["test", "rules", "test.yaml"].map(str::to_owned);
    promtool(folder.path(), &arguments).await;
}

#[tokio::test]
async fn nothing_is_told_apart_from_nobody_who_tells() {
    let leader = "hybridcalendar_leader{instance=\"10.0.0.1:9090\"}";
    let lost = "hybridcalendar_subscriptions{tenant=\"calendars/contoso\",state=\"inactive\"}";
    let active = "hybridcalendar_subscriptions{tenant=\"calendars/contoso\",state=\"active\"}";
    let coverage = "Subscription coverage";
    assert_shows(coverage, &[leader, lost], Some(0.0)).await;
    assert_shows(coverage, &[leader, lost, active], Some(0.5)).await;
    let ready = "hybridcalendar_conditions{kind=\"CalendarTenant\",tenant=\"calendars/contoso\",type=\"Ready\",status=\"True\",reason=\"Operational\"}";
    for panel in ["Tenants that do not", "Mailboxes that work", "Not known"] {
        assert_shows(panel, &[leader, ready], Some(0.0)).await;
        assert_shows(panel, &[], None).await;
    }
    assert_shows("Tenants that work", &[leader, ready], Some(1.0)).await;
}
