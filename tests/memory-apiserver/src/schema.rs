//! A structural schema: what of an object is kept, and what is filled in.

use serde_json::{Map, Value};

/// A schema, or that of a part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schema<'a>(&'a Value);

impl<'a> Schema<'a> {
    pub(crate) fn new(schema: &'a Value) -> Self {
        Self(schema)
    }

    /// Whether something is said of it.
    pub(crate) fn flag(self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    pub(crate) fn text(self, name: &str) -> Option<&'a str> {
        self.0.get(name).and_then(Value::as_str)
    }

    pub(crate) fn limit(self, name: &str) -> Option<usize> {
        let limit = self.0.get(name).and_then(Value::as_u64)?;
        usize::try_from(limit).ok()
    }

    /// Fields that must be there.
    pub(crate) fn required(self) -> impl Iterator<Item = &'a str> {
        let names = self.0.get("required").and_then(Value::as_array);
        names.into_iter().flatten().filter_map(Value::as_str)
    }

    /// The only values that are allowed, if there are such.
    pub(crate) fn allowed(self) -> Option<&'a Vec<Value>> {
        self.0.get("enum").and_then(Value::as_array)
    }

    fn properties(self) -> Option<&'a Map<String, Value>> {
        self.0.get("properties").and_then(Value::as_object)
    }

    /// The schema of a field; `None` when it is not kept.
    pub(crate) fn field(self, name: &str) -> Option<Self> {
        let named = self.properties().and_then(|all| all.get(name));
        let other = || self.0.get("additionalProperties");
        named
            .or_else(other)
            .filter(|schema| schema.is_object())
            .map(Self)
    }

    /// The schema of a list's items; of anything when it has none.
    pub(crate) fn items(self) -> Self {
        static ANYTHING: Value = Value::Null;
        Self(self.0.get("items").unwrap_or(&ANYTHING))
    }

    /// Leaves what the schema knows, and fills in what is missing.
    pub(crate) fn shape(self, value: &mut Value) {
        match value {
            Value::Object(object) => self.shape_object(object),
            Value::Array(items) => items.iter_mut().for_each(|item| self.items().shape(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn shape_object(self, object: &mut Map<String, Value>) {
        if self.flag("x-kubernetes-preserve-unknown-fields") {
            return;
        }
        object.retain(|name, value| {
            self.field(name)
                .is_some_and(|field| !value.is_null() || field.flag("nullable"))
        });
        for (name, schema) in self.properties().into_iter().flatten() {
            if let Some(default) = schema.get("default")
                && !object.contains_key(name)
            {
                object.insert(name.clone(), default.clone());
            }
        }
        for (name, value) in object {
            if let Some(field) = self.field(name) {
                field.shape(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn defaults_fill_each_other_and_what_is_unknown_goes() {
        let schema = json!({"properties": {
            "spec": {"properties": {
                "subscription": {
                    "default": {},
                    "properties": {"enabled": {"default": true}, "lifetime": {"type": "string"}},
                },
                "labels": {"additionalProperties": {"type": "string"}},
                "parts": {"items": {"properties": {"size": {"default": 1}}}},
            }},
        }});
        let mut object = json!({"spec": {
            "unknown": 1, "labels": {"a": "b"}, "parts": [{"other": 2}, {"size": 3}],
        }, "more": {}});
        Schema::new(&schema).shape(&mut object);
        let expected = json!({"spec": {
            "subscription": {"enabled": true}, "labels": {"a": "b"}, "parts": [{"size": 1}, {"size": 3}],
        }});
        assert_eq!(object, expected);
    }

    #[test]
    fn null_is_as_good_as_nothing_unless_it_is_allowed() {
        let schema = json!({"properties": {
            "a": {"default": 1}, "b": {"nullable": true, "default": 1}, "c": {"type": "string"},
        }});
        let mut object = json!({"a": null, "b": null, "c": null});
        Schema::new(&schema).shape(&mut object);
        assert_eq!(object, json!({"a": 1, "b": null}));
    }
}
