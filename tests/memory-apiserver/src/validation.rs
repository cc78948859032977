//! What of a schema an object breaks: types, what must be there, and limits. Patterns and rules in CEL are not looked at.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::schema::Schema;

/// Every field that is wrong, with what the real server says of it.
pub(crate) fn breaches(schema: Schema<'_>, value: &Value, path: &str) -> Vec<(String, String)> {
    let mut found = Found(Vec::new());
    found.look(schema, value, path);
    found.0
}

struct Found(Vec<(String, String)>);

impl Found {
    fn add(&mut self, path: &str, why: String) {
        self.0.push((path.to_owned(), why));
    }

    fn look(&mut self, schema: Schema<'_>, value: &Value, path: &str) {
        if let Some(expected) = other_type(schema, value) {
            let (is, field) = (type_of(value), field(path));
            let why = format!("{field} in body must be of type {expected}: \"{is}\"");
            return self.add(path, format!("Invalid value: \"{is}\": {why}"));
        }
        if let Some(allowed) = schema.allowed()
            && !allowed.contains(value)
        {
            let allowed: Vec<String> = allowed.iter().map(Value::to_string).collect();
            let allowed = allowed.join(", ");
            let why = format!("Unsupported value: {value}: supported values: {allowed}");
            self.add(path, why);
        }
        match value {
            Value::Object(object) => self.look_at_fields(schema, object, path),
            Value::Array(items) => {
                let (count, limit) = (items.len(), schema.limit("maxItems"));
                if let Some(limit) = limit.filter(|limit| count > *limit) {
                    let why = format!("Too many: {count}: must have at most {limit} items");
                    self.add(path, why);
                }
                for (at, item) in items.iter().enumerate() {
                    self.look(schema.items(), item, &format!("{path}[{at}]"));
                }
            }
            Value::String(text) => self.look_at_text(schema, text, path),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn look_at_fields(&mut self, schema: Schema<'_>, object: &Map<String, Value>, path: &str) {
        for name in schema.required() {
            if !object.contains_key(name) {
                self.add(&format!("{path}.{name}"), "Required value".to_owned());
            }
        }
        for (name, value) in object {
            if let Some(field) = schema.field(name) {
                self.look(field, value, &format!("{path}.{name}"));
            }
        }
    }

    fn look_at_text(&mut self, schema: Schema<'_>, text: &str, path: &str) {
        let (length, name) = (text.chars().count(), field(path));
        let limit = schema.limit("maxLength");
        if let Some(limit) = limit.filter(|limit| length > *limit) {
            self.add(
                path,
                format!("Too long: may not be more than {limit} bytes"),
            );
        }
        let least = schema.limit("minLength");
        if let Some(least) = least.filter(|least| length < *least) {
            let why = format!("{name} in body should be at least {least} chars long");
            self.add(path, format!("Invalid value: {text:?}: {why}"));
        }
        let is_time = schema.text("format") == Some("date-time");
        if is_time && text.parse::<Timestamp>().is_err() {
            let why = format!("{name} in body must be of type date-time: {text:?}");
            self.add(path, format!("Invalid value: {text:?}: {why}"));
        }
    }
}

/// As messages name it: a status is looked at by itself.
fn field(path: &str) -> &str {
    path.strip_prefix("status.").unwrap_or(path)
}

/// The type that a value should have and has not.
fn other_type<'a>(schema: Schema<'a>, value: &Value) -> Option<&'a str> {
    let kind = schema.text("type")?;
    let fits = match value {
        Value::Null => schema.flag("nullable"),
        Value::Bool(_) => kind == "boolean",
        Value::Number(number) => kind == "number" || kind == "integer" && !number.is_f64(),
        Value::String(_) => kind == "string",
        Value::Array(_) => kind == "array",
        Value::Object(_) => kind == "object",
    };
    (!fits).then_some(kind)
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
