//! The page of fields, from the schemas alone.

use std::fmt::Write as _;

use serde_json::Value;

use super::{Error, cell};
use crate::api::v1alpha1::crd;

const INTRODUCTION: &str = "\
# API: `hybridcalendar.dev/v1alpha1`

Two kinds, both namespaced, both in the categories `all` and `hybridcalendar`. Durations are written as in Go (`90s`,
`1h30m`), times as RFC 3339 in UTC. `kubectl explain` shows the same texts.

| Name on an object | Meaning |
| --- | --- |
| label `hybridcalendar.dev/credential: \"true\"` on a Secret | its owner offers it to the operator |
| annotation `azure.workload.identity/client-id` on a ServiceAccount | its owner offers it to this application |
| annotation `hybridcalendar.dev/reconcile-requested-at` on a CalendarTenant or WorkspaceMailbox | check now; the value is echoed in `status.lastHandledReconcileAt` |
";

/// The whole page.
pub(super) fn page() -> Result<String, Error> {
    let mut page = INTRODUCTION.to_owned();
    for definition in crd::all() {
        let names = &definition.spec.names;
        let short = names.short_names.as_deref().unwrap_or_default().join(", ");
        for version in &definition.spec.versions {
            let text = serde_yaml_ng::to_value(version).map_err(Error::Definition)?;
            let version: Value = serde_yaml_ng::from_value(text).map_err(Error::Definition)?;
            let schema = &version["schema"]["openAPIV3Schema"];
            let about = schema["description"].as_str().unwrap_or_default();
            let _ = writeln!(page, "\n## {} (`{short}`)\n\n{about}", names.kind);
            columns(&mut page, &version);
            for part in ["spec", "status"] {
                let _ = writeln!(page, "\n### {} {part}\n", names.kind);
                page += "| Field | Type | Default | Meaning |\n| --- | --- | --- | --- |\n";
                rows(&mut page, part, &schema["properties"][part]);
            }
        }
    }
    Ok(page)
}

fn columns(page: &mut String, version: &Value) {
    let columns = version["additionalPrinterColumns"].as_array();
    let names: Vec<String> = columns
        .into_iter()
        .flatten()
        .map(|column| {
            let name = column["name"].as_str().unwrap_or_default().to_uppercase();
            match column["priority"].as_i64() {
                Some(1..) => format!("`{name}` (wide)"),
                Some(_) | None => format!("`{name}`"),
            }
        })
        .collect();
    let _ = writeln!(page, "\nColumns: {}.", names.join(", "));
    let fields: Vec<String> = version["selectableFields"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|field| field["jsonPath"].as_str())
        .map(|path| format!("`{}`", path.trim_start_matches('.')))
        .collect();
    if !fields.is_empty() {
        let _ = writeln!(page, "\nSelectable fields: {}.", fields.join(", "));
    }
}

fn rows(page: &mut String, path: &str, schema: &Value) {
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let default = match field.get("default") {
            Some(default) => format!("`{default}`"),
            None if required.contains(&name.as_str()) => "required".to_owned(),
            None => String::new(),
        };
        let _ = writeln!(
            page,
            "| `{path}` | {} | {default} | {} |",
            type_of(field),
            meaning(&path, field)
        );
        // A label selector is Kubernetes' own.
        if name != "selector" {
            rows(page, &path, field);
            rows(page, &format!("{path}[]"), &field["items"]);
        }
    }
}

fn type_of(field: &Value) -> String {
    let words = |values: &Value| -> Option<String> {
        let values = values.as_array()?.iter().filter_map(Value::as_str);
        Some(
            values
                .map(|v| format!("`{v}`"))
                .collect::<Vec<_>>()
                .join(", "),
        )
    };
    if let Some(words) = words(&field["enum"]) {
        return words;
    }
    match (field["type"].as_str(), field["format"].as_str()) {
        (Some("array"), _) => format!("list of {}", type_of(&field["items"])),
        (Some("string"), Some("date-time")) => "time".to_owned(),
        (Some(name), _) => name.to_owned(),
        (None, _) => "any".to_owned(),
    }
}

/// The description, and what the API server refuses.
fn meaning(path: &str, field: &Value) -> String {
    let about = field["description"].as_str().unwrap_or_default();
    let rules = field["x-kubernetes-validations"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|rule| rule["message"].as_str())
        .map(|message| without_subject(path, message));
    let texts: Vec<String> = std::iter::once(about.to_owned()).chain(rules).collect();
    cell(&texts.join(" "))
}

/// `spec.x must be y` in the row of `spec.x` is `Must be y`.
fn without_subject(path: &str, message: &str) -> String {
    let rest = message
        .strip_prefix(path)
        .map(|rest| rest.trim_start().trim_start_matches("is immutable. "));
    let mut letters = rest.unwrap_or(message).chars();
    match letters.next() {
        Some(first) if rest.is_some() => first.to_uppercase().chain(letters).collect(),
        Some(_) | None => message.to_owned(),
    }
}
