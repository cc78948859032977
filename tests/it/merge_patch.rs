//! JSON merge patch (RFC 7396) in memory: how tests vary an object.

use serde_json::{Value, json};

/// The value with this change; `null` removes.
pub(crate) fn merged(mut value: Value, change: Value) -> Value {
    merge(&mut value, change);
    value
}

fn merge(into: &mut Value, change: Value) {
    let Value::Object(changes) = change else {
        *into = change;
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (name, value) in changes {
        let fields = into.as_object_mut().unwrap();
        if value.is_null() {
            fields.remove(&name);
        } else {
            merge(fields.entry(name).or_insert(Value::Null), value);
        }
    }
}
