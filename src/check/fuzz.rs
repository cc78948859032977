//! Manifests that somebody hands to `check`: whatever is in them, reading ends, tells what is wrong, and keeps secrets.

use std::sync::Arc;

use fuzz::Target;
use fuzz::shown::nothing_steers;
use serde_json::Value;

use super::manifests::read;
use super::objects::Problems;
use super::yaml::parse;
use crate::config::check::Source;
use crate::domain::endpoints::AllowedEndpoints;

/// The value of the Secret in the examples.
const SECRET: &str = "Q7wK2pXs9d";

const WORDS: &[&str] = &[
    "apiVersion: hybridcalendar.dev/v1alpha1\n",
    "kind: CalendarTenant\n",
    "kind: Secret\n",
    "kind: List\n",
    "items:\n",
    "metadata:\n",
    "  name: contoso\n",
    "spec:\n",
    "stringData:\n",
    "data:\n",
    "null",
];

/// Whether the secret is in a key somewhere, or in the value of another field than a Secret's.
fn is_elsewhere(value: &Value, in_secret: bool) -> bool {
    match value {
        Value::String(text) => !in_secret && text.contains(SECRET),
        Value::Array(items) => items.iter().any(|item| is_elsewhere(item, in_secret)),
        Value::Object(fields) => fields.iter().any(|(name, field)| {
            let holds_secrets = in_secret || name == "data" || name == "stringData";
            name.contains(SECRET) || is_elsewhere(field, holds_secrets)
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[test]
fn reading_manifests_ends_and_tells_no_secret() {
    let namespace: Arc<str> = "calendars".into();
    let now = "2026-11-24T08:00:00Z".parse().unwrap();
    // A YAML parser makes events of every sign before it makes values.
    let target = Target::new("manifests").words(WORDS).memory_per_byte(1_024);
    target.cases(300).run(|input| {
        let text = String::from_utf8_lossy(input).into_owned();
        let source = Source {
            name: "tenant.yaml".into(),
            text: text.clone(),
        };
        let said = match read(&[source], &namespace, now) {
            Ok(objects) => {
                let problems = Problems(objects.problems(&AllowedEndpoints::default()));
                assert!(objects.tenants.len() + objects.mailboxes.len() > 0);
                format!("{problems} {:?} {objects:?}", objects.left_aside)
            }
            Err(problems) => problems.to_string(),
        };
        said.lines().for_each(nothing_steers);
        let is_told = said.contains(SECRET);
        // The documents as the whole text has them; where that cannot be read, nothing of it may be told.
        let misplaced = || {
            let mut documents = text
                .split("\n---")
                .map(|one| parse(one.trim_start_matches('-')));
            documents.any(|one| one.is_ok_and(|value| is_elsewhere(&value, false)))
        };
        assert!(!is_told || misplaced(), "{said}");
    });
}

#[test]
fn yaml_that_is_read_is_written_and_read_again() {
    let target = Target::new("yaml").words(WORDS).memory_per_byte(1_024);
    target.run(|input| {
        let text = String::from_utf8_lossy(input);
        match parse(&text) {
            Ok(value) => {
                let written = serde_yaml_ng::to_string(&value).unwrap();
                assert_eq!(parse(&written), Ok(value), "{written:?}");
            }
            Err(says) => assert!(!says.is_empty()),
        }
    });
}
