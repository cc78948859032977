//! YAML as the API server takes it: a key that is set twice is refused, at its own line.
//!
//! `serde_yaml_ng` reads into its own mappings as strictly, but tells the line where the mapping begins; and into
//! those of JSON it takes the last value silently.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::{Map, Number, Value};

/// Brackets within each other that are read. More of them would be refused after a time that grows with their square.
const DEEPEST: usize = 200;

/// Reads one document.
///
/// # Errors
/// What is wrong, with line and column, as a sentence without a subject.
pub fn parse(text: &str) -> Result<Value, String> {
    if depth(text) > DEEPEST {
        return Err(format!(
            "has more than {DEEPEST} brackets within each other"
        ));
    }
    let strict = Strict::deserialize(serde_yaml_ng::Deserializer::from_str(text));
    strict.map(|Strict(value)| value).map_err(|error| {
        let lenient = IgnoredAny::deserialize(serde_yaml_ng::Deserializer::from_str(text));
        match lenient {
            Ok(_) => error.to_string(),
            Err(_) => format!("is no YAML: {error}"),
        }
    })
}

/// How deep brackets lie within each other, wherever they are: quotes and comments only make it more.
fn depth(text: &str) -> usize {
    let (mut open, mut deepest) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'{' | b'[' => open += 1,
            b'}' | b']' => open = open.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(open);
    }
    deepest
}

/// A value in which no key is set twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Whole).map(Self)
    }
}

struct Whole;

impl<'de> Visitor<'de> for Whole {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON has too")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            all.push(item);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some(key) = fields.next_key_seed(NewKey(&all))? {
            let Strict(value) = fields.next_value()?;
            all.insert(key, value);
        }
        Ok(Value::Object(all))
    }
}

/// A key that is not there yet. It fails where it stands, so that the error has its line.
struct NewKey<'a>(&'a Map<String, Value>);

impl<'de> DeserializeSeed<'de> for NewKey<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl de::Visitor<'_> for NewKey<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key that is text")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<String, E> {
        if self.0.contains_key(key) {
            return Err(E::custom(format_args!(
                "the key {key:?} is set a second time, take one of the two out,"
            )));
        }
        Ok(key.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_json_has_is_read() {
        let text = "a: 1\nb: [true, -2, 1.5, null, ~, x, '1']\n3: {c: \"\"}\n";
        let expected = json!({"a": 1, "b": [true, -2, 1.5, null, null, "x", "1"], "3": {"c": ""}});
        assert_eq!(parse(text).unwrap(), expected);
        assert_eq!(
            parse("{\"a\": {\"b\": []}}").unwrap(),
            json!({"a": {"b": []}})
        );
        assert_eq!(parse("").unwrap(), Value::Null);
    }

    #[test]
    fn a_key_that_is_set_twice_is_told_with_its_line() {
        for (text, told) in [
            (
                "spec:\n  a: 1\n  b: {c: 2}\n  a: 1\n",
                "spec: the key \"a\" is set a second time, take one of the two out, at line 4 column 3",
            ),
            (
                "{\"a\": [{\"b\": 1,\n \"b\": 2}]}",
                "a[0]: the key \"b\" is set a second time, take one of the two out, at line 2 column 2",
            ),
            (
                "a: 1\n\"a\": 1\n",
                "the key \"a\" is set a second time, take one of the two out, at line 2 column 1",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err(), told, "{text}");
        }
    }

    #[test]
    fn brackets_that_lie_too_deep_are_refused_without_being_read() {
        let deep = |brackets| "[".repeat(brackets) + &"]".repeat(brackets);
        let told = parse(&deep(DEEPEST + 1)).unwrap_err();
        assert_eq!(told, "has more than 200 brackets within each other");
        assert!(parse(&deep(100)).is_ok());
        assert!(parse(&"- {}\n".repeat(DEEPEST + 1)).is_ok());
    }

    #[test]
    fn what_is_no_yaml_is_called_so() {
        let told = parse("a: b: c").unwrap_err();
        assert!(told.starts_with("is no YAML: "), "{told}");
    }
}
