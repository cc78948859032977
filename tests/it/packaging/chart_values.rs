//! `values.yaml` is the one place where a value is described. The table in the chart's README and `values.schema.json`
//! are made from it and from the limits in `limits.yaml`.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::helm::CHART;
use crate::repository::{assert_generated, read};

const MARK: &str = "<!-- Generated from values.yaml by `make generate` from here on. -->\n";

/// A key of `values.yaml`, in the order of the file.
#[derive(Debug)]
struct Entry {
    /// Keys from the top.
    path: Vec<String>,
    /// What the comment above it says.
    comment: String,
    /// The heading above it.
    section: String,
    /// The default.
    default: Value,
}

impl Entry {
    fn name(&self) -> String {
        self.path.join(".")
    }
}

fn defaults() -> Value {
    serde_yaml_ng::from_str(&read(&format!("{CHART}/values.yaml"))).unwrap()
}

fn at<'a>(values: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(values, |value, key| value.get(key))
}

/// All keys with the comments directly above them.
fn entries() -> Vec<Entry> {
    let defaults = defaults();
    let (mut found, mut comment, mut section) = (Vec::new(), Vec::new(), String::new());
    let mut open: Vec<(usize, String)> = Vec::new();
    for line in read(&format!("{CHART}/values.yaml")).lines() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if let Some(title) = text.strip_prefix("# -- ") {
            title.clone_into(&mut section);
        } else if let Some(said) = text.strip_prefix("# ") {
            comment.push(said.to_owned());
        } else if text.is_empty() {
            comment.clear();
        } else if let Some((key, _)) = text.split_once(':') {
            open.retain(|(outer, _)| *outer < indent);
            open.push((indent, key.to_owned()));
            let path: Vec<String> = open.iter().map(|(_, key)| key.clone()).collect();
            // What is inside of a list is no key of its own.
            if let Some(default) = at(&defaults, &path) {
                found.push(Entry {
                    comment: std::mem::take(&mut comment).join(" "),
                    section: section.clone(),
                    default: default.clone(),
                    path,
                });
            }
        }
    }
    found
}

/// Keys whose contents are described one by one, and those that are described as a whole.
fn split(entries: &[Entry]) -> (Vec<&Entry>, Vec<&Entry>) {
    let inside = |outer: &Entry, inner: &Entry| {
        inner.path.len() > outer.path.len() && inner.path.starts_with(&outer.path)
    };
    let is_group = |entry: &&Entry| {
        let mut others = entries.iter();
        others.any(|other| inside(entry, other) && !other.comment.is_empty())
    };
    let (groups, rest): (Vec<&Entry>, Vec<&Entry>) = entries.iter().partition(is_group);
    let described = |leaf: &&&Entry| !leaf.comment.is_empty();
    let whole: Vec<&Entry> = rest.iter().filter(described).copied().collect();
    let leaves = rest
        .into_iter()
        .filter(|leaf| !whole.iter().any(|outer| inside(outer, leaf)))
        .collect();
    (groups, leaves)
}

#[test]
fn every_value_is_described() {
    let entries = entries();
    let (_, leaves) = split(&entries);
    let silent: Vec<String> = leaves
        .iter()
        .filter(|leaf| leaf.comment.is_empty())
        .map(|leaf| leaf.name())
        .collect();
    assert!(silent.is_empty(), "no comment above {}", silent.join(", "));
    assert!(leaves.len() > 100, "{} values", leaves.len());
}

/// A default as a cell shows it.
fn shown(default: &Value) -> String {
    let text = match default {
        Value::String(text) if text.is_empty() => return String::new(),
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            default.to_string()
        }
    };
    if text.len() > 80 {
        return "see values.yaml".to_owned();
    }
    format!("`{}`", text.replace('|', "\\|"))
}

fn table() -> String {
    let entries = entries();
    let (_, leaves) = split(&entries);
    let (mut text, mut section) = (String::new(), "");
    for leaf in leaves {
        if leaf.section != section || text.is_empty() {
            section = &leaf.section;
            let title = if section.is_empty() {
                "First of all"
            } else {
                section
            };
            write!(
                text,
                "\n### {title}\n\n| Value | Default | Meaning |\n| --- | --- | --- |\n"
            )
            .unwrap();
        }
        let meaning = leaf.comment.replace('|', "\\|");
        writeln!(
            text,
            "| `{}` | {} | {meaning} |",
            leaf.name(),
            shown(&leaf.default)
        )
        .unwrap();
    }
    text
}

#[test]
fn the_generated_table_in_the_readme_of_the_chart_lists_every_value() {
    let path = format!("{CHART}/README.md");
    let text = read(&path);
    let (by_hand, _) = text.split_once(MARK).expect("the mark is in the README");
    assert_generated(&path, &format!("{by_hand}{MARK}{}", table()));
}

/// What a value may be when nobody says more.
fn usual(default: &Value) -> Value {
    let kind = match default {
        Value::String(_) => "string",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::Null => panic!("a value that is null by default needs a type in limits.yaml"),
    };
    json!({ "type": kind })
}

/// The schema of everything below a path.
fn schema_below(groups: &[&Entry], leaves: &[&Entry], limits: &Value, path: &[String]) -> Value {
    let mut properties = Map::new();
    let mut add = |entry: &Entry, mut schema: Value| {
        if !entry.comment.is_empty() {
            schema["description"] = entry.comment.clone().into();
        }
        properties.insert(entry.path.last().unwrap().clone(), schema);
    };
    let here = |entry: &&&Entry| entry.path.len() == path.len() + 1 && entry.path.starts_with(path);
    for group in groups.iter().filter(here) {
        add(group, schema_below(groups, leaves, limits, &group.path));
    }
    for leaf in leaves.iter().filter(here) {
        let name = leaf.name();
        let mut schema = match limits
            .get(&name)
            .filter(|limit| limit.get("type").is_some())
        {
            Some(_) => json!({}),
            None => usual(&leaf.default),
        };
        for (key, limit) in limits
            .get(&name)
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            schema[key] = limit.clone();
        }
        schema["default"] = leaf.default.clone();
        add(leaf, schema);
    }
    if path.is_empty() {
        // Helm's own: values for all charts of a release.
        properties.insert("global".to_owned(), json!({"type": "object"}));
    }
    json!({"type": "object", "additionalProperties": false, "properties": properties})
}

#[test]
fn the_generated_schema_of_the_values_is_made_from_them() {
    let limits: Value = serde_yaml_ng::from_str(&read("tests/it/packaging/limits.yaml")).unwrap();
    let entries = entries();
    let (groups, leaves) = split(&entries);
    for name in limits.as_object().unwrap().keys() {
        let known = leaves.iter().any(|leaf| leaf.name() == *name);
        assert!(known, "limits.yaml limits {name}, which is no value");
    }
    let mut schema = schema_below(&groups, &leaves, &limits, &[]);
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["title"] = "Values of the chart hybrid-calendar-operator".into();
    let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    assert_generated(&format!("{CHART}/values.schema.json"), &text);
}
