//! What the demo's manifests say about themselves, in their annotations: what each object is and what to expect of it.

use std::fmt;

use kube::api::DynamicObject;
use serde_json::Value;
use testbed::error::Error;
use testbed::manifest;
use testbed::objects::{Expected, Kind, seen};

use crate::stage::NAMESPACE;

pub(crate) const TENANTS: &str = include_str!("../../demo/tenants.yaml");
pub(crate) const MAILBOXES: &str = include_str!("../../demo/mailboxes.yaml");
pub(crate) const LATECOMERS: &str = include_str!("../../demo/latecomers.yaml");

const WHAT: &str = "demo.hybridcalendar.dev/what";
const EXPECT: &str = "demo.hybridcalendar.dev/expect";

/// What is expected of one object.
#[derive(Clone, Debug)]
pub(crate) struct Expectation {
    pub(crate) kind: Kind,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) what: String,
    pub(crate) conditions: Vec<Expected>,
}

impl Expectation {
    pub(crate) fn holds(&self, object: &Value) -> bool {
        self.conditions
            .iter()
            .all(|expected| expected.holds(object))
    }

    /// The expected conditions, in one cell.
    pub(crate) fn expected(&self) -> String {
        let conditions = self.conditions.iter();
        cell(conditions.map(|expected| (expected.type_.as_str(), Some(expected.clone()))))
    }

    /// The same conditions as they are.
    pub(crate) fn actual(&self, object: &Value) -> String {
        let conditions = self.conditions.iter();
        cell(conditions.map(|expected| (expected.type_.as_str(), seen(object, &expected.type_))))
    }
}

/// `False Unauthorized/AccessPolicyDenied`: the status of `Ready`, its reason, and the reason of that.
fn cell<'a>(conditions: impl Iterator<Item = (&'a str, Option<Expected>)>) -> String {
    let mut words: Vec<String> = Vec::new();
    for (type_, condition) in conditions {
        let Some(condition) = condition else {
            words.push(format!("{type_} -"));
            continue;
        };
        let reason = condition.reason.unwrap_or_default();
        match words.last_mut() {
            None => words.push(format!("{} {reason}", condition.status)),
            Some(ready) if ready.ends_with(&format!(" {type_}")) && condition.status == "True" => {
                *ready = format!("{ready}/{reason}");
            }
            Some(_) => words.push(format!("{type_} {} {reason}", condition.status)),
        }
    }
    words.join(", ")
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.as_str();
        write!(
            f,
            "{kind} {}: {} ({})",
            self.name,
            self.expected(),
            self.what
        )
    }
}

/// Every object that says what to expect of it, in the order of the manifests.
pub(crate) fn all() -> Result<Vec<Expectation>, Error> {
    let mut expectations = Vec::new();
    for yaml in [TENANTS, MAILBOXES, LATECOMERS] {
        for object in manifest::objects(yaml)? {
            expectations.extend(of(object)?);
        }
    }
    Ok(expectations)
}

fn of(object: DynamicObject) -> Result<Option<Expectation>, Error> {
    let kind = match object.types.as_ref().map(|types| types.kind.as_str()) {
        Some("CalendarTenant") => Kind::Tenant,
        Some("WorkspaceMailbox") => Kind::Mailbox,
        Some(_) | None => return Ok(None),
    };
    let annotations = object.metadata.annotations.unwrap_or_default();
    let conditions = annotations.get(EXPECT).map_or("", String::as_str);
    Ok(Some(Expectation {
        kind,
        namespace: object.metadata.namespace.unwrap_or(NAMESPACE.to_owned()),
        name: object.metadata.name.unwrap_or_default(),
        what: annotations.get(WHAT).cloned().unwrap_or_default(),
        conditions: conditions
            .split(',')
            .map(Expected::parse)
            .collect::<Result<_, _>>()?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_shows_the_reason_behind_a_reason() {
        let expectations = all().unwrap();
        let cell = |name: &str| {
            let found = expectations.iter().find(|e| e.name == name).unwrap();
            found.expected()
        };
        assert_eq!(cell("board-room"), "False Unauthorized/AccessPolicyDenied");
        assert_eq!(
            cell("room-d"),
            "True Activated, RoomNotListed True NotInPlaces"
        );
        assert_eq!(cell("room-a"), "True Activated");
    }

    #[test]
    fn every_object_says_what_it_is_and_what_to_expect() {
        let expectations = all().unwrap();
        let mailboxes = expectations.iter().filter(|e| e.kind == Kind::Mailbox);
        assert!(mailboxes.count() >= 10);
        for expectation in &expectations {
            assert!(!expectation.what.is_empty(), "{expectation}");
            assert_eq!(expectation.conditions[0].type_, "Ready", "{expectation}");
        }
    }
}
