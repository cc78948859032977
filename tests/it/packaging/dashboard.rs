//! The dashboard's form, as strictly as it can be judged without Grafana.

use std::collections::BTreeSet;

use serde_json::Value;

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
