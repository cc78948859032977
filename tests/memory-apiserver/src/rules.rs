//! Rules of built-in kinds that the operator could break.

use serde_json::Value;

use crate::resource::{Nature, Resource};

/// Longest note of an Event, in bytes.
const NOTE: usize = 1024;

/// Fields of an Event that must be there, and as what messages name them.
const EVENT_FIELDS: &[(&str, &str)] = &[
    ("reason", "reason"),
    ("action", "action"),
    ("reportingController", "reportingController"),
    ("reportingInstance", "reportingInstance"),
    ("note", "message"),
];

/// The first thing that is wrong with an object that is written over another or over nothing: where, and what.
pub(crate) fn flaw(
    resource: &Resource,
    before: Option<&Value>,
    object: &Value,
) -> Option<(&'static str, String)> {
    match resource.nature {
        Nature::Event => event(before, object),
        Nature::Lease => {
            let seconds = object["spec"]["leaseDurationSeconds"].as_i64()?;
            let message = format!("Invalid value: {seconds}: must be greater than 0");
            (seconds <= 0).then_some(("spec.leaseDurationSeconds", message))
        }
        Nature::Secret => unchanged(before?, object, ("type", "type")),
        Nature::Namespace | Nature::ServiceAccount | Nature::Custom(_) => None,
    }
}

fn event(before: Option<&Value>, object: &Value) -> Option<(&'static str, String)> {
    if let Some(before) = before {
        let mut fields = EVENT_FIELDS.iter();
        return fields.find_map(|field| unchanged(before, object, *field));
    }
    for (field, spelled) in EVENT_FIELDS {
        let text = object[field].as_str().unwrap_or_default();
        if text.is_empty() && *field != "note" {
            return Some((spelled, "Required value".to_owned()));
        }
        if text.len() > NOTE && *field == "note" {
            let message = "Invalid value: \"\": can have at most 1024 characters";
            return Some((spelled, message.to_owned()));
        }
    }
    None
}

fn unchanged(
    before: &Value,
    object: &Value,
    (field, spelled): (&str, &'static str),
) -> Option<(&'static str, String)> {
    let message = format!("Invalid value: {}: field is immutable", object[field]);
    (before[field] != object[field]).then_some((spelled, message))
}
