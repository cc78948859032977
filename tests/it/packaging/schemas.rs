//! JSON schemas for kubeconform, made from what the API server publishes: its own kinds, ours, and those of others whose
//! definitions are installed. They refuse fields that they do not name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use kube::Client;
use serde_json::{Map, Value, json};
use testbed::wait;

use super::cluster::DEADLINE;

/// How kubeconform finds what [`write`] wrote.
pub(super) const LOCATION: &str = "{{ .Group }}-{{ .ResourceAPIVersion }}-{{ .ResourceKind }}.json";

const REFERENCE: &str = "#/components/schemas/";

/// Writes a schema for every kind of these groups, which are written like `apps/v1` or `v1`.
pub(super) async fn write(client: &Client, versions: &BTreeSet<String>, folder: &Path) {
    for version in versions {
        let path = match version.split_once('/') {
            Some(_) => format!("/openapi/v3/apis/{version}"),
            None => format!("/openapi/v3/api/{version}"),
        };
        // The kinds of a new definition follow a moment after it is served.
        let published = wait::for_some(&path, DEADLINE, async || {
            let request = http::Request::get(&path).body(Vec::new()).unwrap();
            client.request::<Value>(request).await.ok()
        });
        let published = published.await.unwrap();
        let components = published["components"]["schemas"].as_object().unwrap();
        let strict: BTreeMap<&str, Value> = components
            .iter()
            .map(|(name, schema)| (name.as_str(), strict(schema)))
            .collect();
        for (name, schema) in components {
            for kind in schema["x-kubernetes-group-version-kind"]
                .as_array()
                .into_iter()
                .flatten()
            {
                let of_this = [kind["group"].as_str(), kind["version"].as_str()];
                let of_this = of_this.map(Option::unwrap_or_default).join("/");
                if of_this.trim_start_matches('/') == version {
                    let file = folder.join(file_name(version, kind["kind"].as_str().unwrap()));
                    std::fs::write(file, whole(name, &strict).to_string()).unwrap();
                }
            }
        }
    }
}

fn file_name(version: &str, kind: &str) -> String {
    let (group, number) = version.split_once('/').unwrap_or((version, version));
    format!("{group}-{number}-{}.json", kind.to_lowercase())
}

/// A schema with all that it refers to.
fn whole(name: &str, all: &BTreeMap<&str, Value>) -> Value {
    let (mut definitions, mut open) = (Map::new(), vec![name.to_owned()]);
    while let Some(name) = open.pop() {
        if !definitions.contains_key(&name) {
            let schema = all[name.as_str()].clone();
            open.extend(references(&schema));
            definitions.insert(name, schema);
        }
    }
    json!({"$ref": format!("{REFERENCE}{name}"), "components": {"schemas": definitions}})
}

fn references(schema: &Value) -> Vec<String> {
    let text = schema.to_string();
    let found = text.split(REFERENCE).skip(1);
    found
        .map(|rest| rest.split('"').next().unwrap().to_owned())
        .collect()
}

/// The same schema, refusing fields that it does not name, whatever validator reads it.
fn strict(schema: &Value) -> Value {
    match schema {
        Value::Array(schemas) => schemas.iter().map(strict).collect(),
        Value::Object(fields) => {
            let mut fields: Map<String, Value> = fields
                .iter()
                .map(|(key, value)| (key.clone(), strict(value)))
                .collect();
            let open = fields.get("x-kubernetes-preserve-unknown-fields") == Some(&true.into());
            let closed = fields.get("properties").is_some_and(Value::is_object)
                && fields.get("type").is_some_and(Value::is_string)
                && !fields.contains_key("additionalProperties");
            if closed && !open {
                fields.insert("additionalProperties".to_owned(), false.into());
            }
            Value::Object(fields)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => schema.clone(),
    }
}
