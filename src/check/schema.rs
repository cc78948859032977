//! Judging an object by the schema of its CustomResourceDefinition, as an API server does that is asked to be strict.
//!
//! Everything that is wrong is told at once, in the API server's words where there are any. No value is told that may
//! be a secret in the wrong place.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde_json::Value;

use super::rules;
use crate::api::v1alpha1::time::Time;

/// Longest value that is quoted, in characters.
const LONGEST_QUOTE: usize = 80;

/// Puts in what the schema says about fields that are left out. A field that is `null` is left out.
pub fn fill_in(schema: &JSONSchemaProps, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            for (name, inner) in schema.properties.iter().flatten() {
                if let (None, Some(default)) = (fields.get(name), &inner.default) {
                    fields.insert(name.clone(), default.0.clone());
                }
                if let Some(field) = fields.get_mut(name) {
                    fill_in(inner, field);
                }
            }
        }
        Value::Array(items) => {
            if let Some(JSONSchemaPropsOrArray::Schema(inner)) = &schema.items {
                for item in items {
                    fill_in(inner, item);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What is wrong with a value at `path`, in sentences that name the field.
#[must_use]
pub fn problems(schema: &JSONSchemaProps, value: &Value, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    judge(schema, value, path, &mut found);
    found
}

fn judge(schema: &JSONSchemaProps, value: &Value, path: &str, found: &mut Vec<String>) {
    if let Some(expected) = schema.type_.as_deref().filter(|type_| !is(type_, value)) {
        found.push(format!("{path}: Invalid value: must be of type {expected}"));
        return;
    }
    let before = found.len();
    match value {
        Value::Object(fields) => judge_object(schema, fields, path, found),
        Value::Array(items) => judge_list(schema, items, path, found),
        Value::String(text) => judge_text(schema, text, path, found),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    if found.len() > before && !value.is_object() {
        // A rule would only say it again.
        return;
    }
    for rule in schema.x_kubernetes_validations.iter().flatten() {
        // What cannot be judged here, the API server judges; a test sees that there is no such rule.
        if rules::holds(&rule.rule, value) == Some(false) {
            let message = rule.message.clone();
            found.push(message.unwrap_or_else(|| format!("{path} must obey {}", rule.rule)));
        }
    }
}

fn is(type_: &str, value: &Value) -> bool {
    match type_ {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => true,
    }
}

fn judge_object(
    schema: &JSONSchemaProps,
    fields: &serde_json::Map<String, Value>,
    path: &str,
    found: &mut Vec<String>,
) {
    let known = schema.properties.as_ref();
    let free = match &schema.additional_properties {
        Some(JSONSchemaPropsOrBool::Schema(inner)) => Some(&**inner),
        Some(JSONSchemaPropsOrBool::Bool(_)) | None => None,
    };
    for (name, field) in fields {
        let at = below(path, name);
        match known.and_then(|known| known.get(name)).or(free) {
            Some(inner) => judge(inner, field, &at, found),
            None => found.push(format!("unknown field \"{at}\"{}", nearest(name, known))),
        }
    }
    for name in schema.required.iter().flatten() {
        if !fields.contains_key(name) {
            found.push(format!("{}: Required value", below(path, name)));
        }
    }
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// What was probably meant.
fn nearest<T>(name: &str, known: Option<&std::collections::BTreeMap<String, T>>) -> String {
    let close = known
        .into_iter()
        .flat_map(|known| known.keys())
        .map(|candidate| {
            (
                distance(&name.to_lowercase(), &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(distance, candidate)| *distance <= 2 && *distance < candidate.len())
        .min();
    match close {
        Some((_, candidate)) => format!(": did you mean {candidate}?"),
        None => String::new(),
    }
}

/// In how many characters two words differ (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

fn judge_list(schema: &JSONSchemaProps, items: &[Value], path: &str, found: &mut Vec<String>) {
    if let Some(most) = schema.max_items.and_then(|most| usize::try_from(most).ok())
        && items.len() > most
    {
        found.push(format!(
            "{path}: Too many: {}: must have at most {most} items",
            items.len()
        ));
        // To look at each of them would take as long as somebody likes.
        return;
    }
    let is_set = schema.x_kubernetes_list_type.as_deref() == Some("set");
    for (position, item) in items.iter().enumerate() {
        let at = format!("{path}[{position}]");
        if is_set && items[..position].contains(item) {
            found.push(format!("{at}: Duplicate value"));
        }
        if let Some(JSONSchemaPropsOrArray::Schema(inner)) = &schema.items {
            judge(inner, item, &at, found);
        }
    }
}

fn judge_text(schema: &JSONSchemaProps, text: &str, path: &str, found: &mut Vec<String>) {
    let bound = |limit: Option<i64>| limit.and_then(|limit| usize::try_from(limit).ok());
    let length = text.chars().count();
    if let Some(most) = bound(schema.max_length).filter(|most| length > *most) {
        found.push(format!(
            "{path}: Too long: may not be more than {most} characters"
        ));
    }
    if let Some(least) = bound(schema.min_length).filter(|least| length < *least) {
        found.push(format!(
            "{path}: Invalid value: should be at least {least} chars long"
        ));
    }
    if let Some(choices) = &schema.enum_
        && !choices.iter().any(|choice| choice.0 == *text)
    {
        let choices: Vec<String> = choices.iter().map(|choice| choice.0.to_string()).collect();
        found.push(format!(
            "{path}: Unsupported value: {:?}: supported values: {}",
            quoted(text),
            choices.join(", ")
        ));
    }
    let is_time = || serde_json::from_value::<Time>(Value::from(text)).is_ok();
    if schema.format.as_deref() == Some("date-time") && !is_time() {
        found.push(format!(
            "{path}: Invalid value: must be of type date-time, such as 2027-06-30T00:00:00Z"
        ));
    }
}

fn quoted(text: &str) -> String {
    text.chars().take(LONGEST_QUOTE).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::api::v1alpha1::crd;

    fn schemas() -> Vec<JSONSchemaProps> {
        let schema = |version: &k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinitionVersion| {
            version.schema.clone().unwrap().open_api_v3_schema.unwrap()
        };
        crd::all()
            .iter()
            .map(|crd| schema(&crd.spec.versions[0]))
            .collect()
    }

    fn each(schema: &JSONSchemaProps, visit: &mut impl FnMut(&JSONSchemaProps)) {
        visit(schema);
        for inner in schema.properties.iter().flat_map(|all| all.values()) {
            each(inner, visit);
        }
        if let Some(JSONSchemaPropsOrArray::Schema(inner)) = &schema.items {
            each(inner, visit);
        }
    }

    #[test]
    fn every_rule_of_the_schemas_can_be_judged() {
        let (mut rules_seen, mut words) = (0, BTreeSet::new());
        for schema in schemas() {
            each(&schema, &mut |node| {
                let Value::Object(fields) = serde_json::to_value(node).unwrap() else {
                    panic!("no object");
                };
                words.extend(fields.keys().cloned());
                let sample = match node.type_.as_deref() {
                    Some("object") => json!({}),
                    Some("array") => json!(["sample"]),
                    _ => json!("sample"),
                };
                for rule in node.x_kubernetes_validations.iter().flatten() {
                    assert_ne!(rules::holds(&rule.rule, &sample), None, "{}", rule.rule);
                    rules_seen += 1;
                }
            });
        }
        assert!(rules_seen > 15, "{rules_seen}");
        // Another word of a schema has to be judged here first.
        let known = BTreeSet::from(
            [
                "additionalProperties",
                "default",
                "description",
                "enum",
                "format",
                "items",
                "maxItems",
                "maxLength",
                "minLength",
                "properties",
                "required",
                "title",
                "type",
                "x-kubernetes-list-map-keys",
                "x-kubernetes-list-type",
                "x-kubernetes-validations",
            ]
            .map(str::to_owned),
        );
        assert_eq!(words.difference(&known).collect::<Vec<_>>(), [""; 0]);
    }

    #[test]
    fn a_misspelt_field_is_told_with_what_was_probably_meant() {
        let schema = &schemas()[1];
        let spec = &schema.properties.as_ref().unwrap()["spec"];
        let value = json!({"tenantRef": {"name": "contoso"}, "adress": "room-a@contoso.example"});
        assert_eq!(
            problems(spec, &value, "spec"),
            [
                "unknown field \"spec.adress\": did you mean address?",
                "spec.address: Required value"
            ]
        );
    }

    #[test]
    fn words_differ_by_their_letters() {
        for (left, right, expected) in
            [("", "ab", 2), ("adress", "address", 1), ("same", "same", 0)]
        {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
    }
}
