//! The dashboard in Grafana's own form.

use serde_json::{Value, json};

use super::{Panel, PanelKind, Query, Row, Steps, rows};
use crate::reference::alerts::{PREFIX, RUNBOOKS};

/// The version of Grafana's form that this is; newer Grafanas migrate it.
const SCHEMA: u32 = 39;
const UID: &str = "hybrid-calendar-operator";
const COLUMNS: u32 = 24;
/// Panels of one row have ids of their own hundred, so that a new one changes no other row's.
const IDS_OF_A_ROW: u32 = 100;

/// The whole file.
pub(in crate::reference) fn file() -> String {
    let mut panels = Vec::new();
    let mut top = 0;
    for (number, row) in (1..).zip(rows()) {
        place(row, number * IDS_OF_A_ROW, &mut top, &mut panels);
    }
    let dashboard = json!({
        "__requires": [
            {"type": "grafana", "id": "grafana", "name": "Grafana", "version": "10.0.0"},
            {"type": "datasource", "id": "prometheus", "name": "Prometheus", "version": "1.0.0"},
        ],
        "annotations": {"list": [firing_alerts()]},
        "description": "Tenants, mailboxes and subscriptions of hybrid-calendar-operator, and how it is doing itself.",
        "editable": true,
        "graphTooltip": 1,
        "id": null,
        "links": [{
            "title": "Runbooks", "type": "link", "url": format!("{RUNBOOKS}/index.md"),
            "icon": "doc", "targetBlank": true, "tags": [], "asDropdown": false,
            "includeVars": false, "keepTime": false, "tooltip": "What to do about each problem",
        }],
        "panels": panels,
        "refresh": "1m",
        "schemaVersion": SCHEMA,
        "tags": ["hybrid-calendar-operator"],
        "templating": {"list": variables()},
        "time": {"from": "now-6h", "to": "now"},
        "timepicker": {},
        "timezone": "utc",
        "title": "Hybrid calendar operator",
        "uid": UID,
        "version": 1,
        "weekStart": "",
    });
    format!("{dashboard:#}\n")
}

fn datasource() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

/// Alerts as lines across all panels.
fn firing_alerts() -> Value {
    json!({
        "name": "Critical alerts", "enable": true, "hide": false, "iconColor": "red",
        "datasource": datasource(),
        "expr": format!("ALERTS{{alertname=~\"{PREFIX}.*\", alertstate=\"firing\", severity=\"critical\"}}"),
        "titleFormat": "{{alertname}}", "textFormat": "{{tenant}}", "step": "60s",
    })
}

fn variables() -> Vec<Value> {
    let query = |name: &str, label: &str, query: &str, regex: &str| {
        json!({
            "name": name, "label": label, "type": "query", "datasource": datasource(),
            "definition": query, "query": {"query": query, "refId": "A"}, "regex": regex,
            "includeAll": true, "allValue": ".*", "multi": true, "refresh": 2, "sort": 1, "hide": 0,
            "current": {"selected": true, "text": ["All"], "value": ["$__all"]},
            "options": [], "skipUrlSync": false,
        })
    };
    vec![
        json!({
            "name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus",
            "regex": "", "hide": 0, "includeAll": false, "multi": false, "refresh": 1,
            "current": {}, "options": [], "skipUrlSync": false,
        }),
        query(
            "namespace",
            "Namespace of the tenant",
            "label_values(hybridcalendar_conditions, tenant)",
            "/^([^\\/]+)\\//",
        ),
        query(
            "tenant",
            "Tenant",
            "label_values(hybridcalendar_conditions{tenant=~\"($namespace)/.*\"}, tenant)",
            "",
        ),
    ]
}

/// Puts a row and its panels below what is there, from left to right.
fn place(row: Row, id: u32, top: &mut u32, panels: &mut Vec<Value>) {
    panels.push(json!({
        "id": id, "type": "row", "title": row.title, "collapsed": false, "panels": [],
        "gridPos": {"x": 0, "y": *top, "w": COLUMNS, "h": 1},
    }));
    *top += 1;
    let (mut left, mut height) = (0, 0);
    for (number, content) in (1..).zip(row.panels) {
        if left + content.width > COLUMNS {
            *top += height;
            (left, height) = (0, 0);
        }
        let tall = match content.kind {
            PanelKind::Stat => 4,
            PanelKind::Lines | PanelKind::Stacked | PanelKind::Bars => 8,
            PanelKind::Table => 10,
        };
        height = height.max(tall);
        let mut shown = panel(&content);
        shown["id"] = json!(id + number);
        shown["gridPos"] = json!({"x": left, "y": *top, "w": content.width, "h": tall});
        left += content.width;
        panels.push(shown);
    }
    *top += height;
}

fn panel(panel: &Panel) -> Value {
    let type_ = match panel.kind {
        PanelKind::Stat => "stat",
        PanelKind::Lines | PanelKind::Stacked => "timeseries",
        PanelKind::Bars => "bargauge",
        PanelKind::Table => "table",
    };
    let targets: Vec<Value> = ('A'..='Z')
        .zip(&panel.queries)
        .map(|(id, query)| target(id, query, panel.kind))
        .collect();
    json!({
        "type": type_,
        "title": panel.title,
        "description": panel.description,
        "datasource": datasource(),
        "targets": targets,
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "thresholds": thresholds(panel.steps),
                "color": {"mode": if panel.kind == PanelKind::Stat || panel.kind == PanelKind::Bars { "thresholds" } else { "palette-classic" }},
                "custom": custom(panel),
                "mappings": [],
            },
            "overrides": overrides(panel.kind),
        },
        "options": options(panel),
        "transformations": transformations(panel.kind),
    })
}

fn target(id: char, query: &Query, kind: PanelKind) -> Value {
    let at_once = match kind {
        PanelKind::Stat | PanelKind::Bars | PanelKind::Table => true,
        PanelKind::Lines | PanelKind::Stacked => false,
    };
    json!({
        "refId": id.to_string(),
        "datasource": datasource(),
        "editorMode": "code",
        "expr": query.expression,
        "legendFormat": if query.legend.is_empty() { "__auto" } else { query.legend },
        "instant": at_once,
        "range": !at_once,
        "format": if kind == PanelKind::Table { "table" } else { "time_series" },
    })
}

fn thresholds((first, others): Steps) -> Value {
    let steps = others
        .iter()
        .map(|(value, color)| json!({"color": color, "value": value}));
    let steps: Vec<Value> = std::iter::once(json!({"color": first, "value": null}))
        .chain(steps)
        .collect();
    json!({"mode": "absolute", "steps": steps})
}

fn custom(panel: &Panel) -> Value {
    let lines = |fill: u32, stacking: &str| {
        let style = if panel.steps.1.is_empty() {
            "off"
        } else {
            "dashed"
        };
        json!({
            "drawStyle": "line", "lineWidth": 1, "fillOpacity": fill, "showPoints": "never",
            "spanNulls": false, "axisSoftMin": 0,
            "stacking": {"mode": stacking, "group": "A"},
            "thresholdsStyle": {"mode": style},
        })
    };
    match panel.kind {
        PanelKind::Lines => lines(5, "none"),
        PanelKind::Stacked => lines(40, "normal"),
        PanelKind::Table => json!({"align": "auto", "filterable": true}),
        PanelKind::Stat | PanelKind::Bars => json!({}),
    }
}

fn options(panel: &Panel) -> Value {
    let named = panel.queries.iter().any(|query| !query.legend.is_empty());
    let calculated = json!({"calcs": ["lastNotNull"], "fields": "", "values": false});
    match panel.kind {
        PanelKind::Stat => json!({
            "reduceOptions": calculated, "colorMode": "value", "graphMode": "none",
            "justifyMode": "auto", "orientation": "auto", "textMode": if named { "value_and_name" } else { "value" },
        }),
        PanelKind::Bars => json!({
            "reduceOptions": calculated, "displayMode": "basic", "orientation": "horizontal",
            "showUnfilled": true, "valueMode": "color",
        }),
        PanelKind::Lines | PanelKind::Stacked => json!({
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }),
        PanelKind::Table => {
            json!({"showHeader": true, "cellHeight": "sm", "footer": {"show": false}})
        }
    }
}

/// The name of a problem leads to its runbook.
fn overrides(kind: PanelKind) -> Value {
    if kind != PanelKind::Table {
        return json!([]);
    }
    let url = format!("{RUNBOOKS}/${{__data.fields.runbook}}.md");
    json!([
        {
            "matcher": {"id": "byName", "options": "type"},
            "properties": [{
                "id": "links",
                "value": [{"title": "Runbook", "url": url, "targetBlank": true}],
            }],
        },
        {
            "matcher": {"id": "byName", "options": "runbook"},
            "properties": [{"id": "custom.hidden", "value": true}],
        },
    ])
}

fn transformations(kind: PanelKind) -> Value {
    if kind != PanelKind::Table {
        return json!([]);
    }
    json!([{
        "id": "organize",
        "options": {
            "excludeByName": {"Time": true},
            "indexByName": {"tenant": 0, "kind": 1, "namespace": 2, "name": 3, "type": 4, "reason": 5},
            "renameByName": {"Value": "objects"},
        },
    }])
}
