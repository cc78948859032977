//! The fields of an event that a caller may set, and how times are written.

use jiff::civil::DateTime;
use serde_json::{Map, Value, json};

use crate::call::Call;
use crate::graph::Result;
use crate::graph::error::{GraphError, error, not_imitated};
use crate::graph::payload::object;

/// Fields that a caller may set and that are kept as they are.
const KEPT: &[&str] = &[
    "subject",
    "body",
    "location",
    "isAllDay",
    "showAs",
    "sensitivity",
    "importance",
    "categories",
    "isReminderOn",
    "reminderMinutesBeforeStart",
    "responseRequested",
    "allowNewTimeProposals",
    "hideAttendees",
];

pub(super) fn invalid(code: &str, message: &str) -> GraphError {
    error(400, code, message)
}

pub(super) struct Fields {
    pub(super) kept: Map<String, Value>,
    pub(super) start: Option<DateTime>,
    pub(super) end: Option<DateTime>,
    pub(super) transaction_id: Option<String>,
    pub(super) extended: Option<Vec<(String, String)>>,
}

pub(super) fn fields(call: &Call) -> Result<Fields> {
    let mut fields = Fields {
        kept: Map::new(),
        start: None,
        end: None,
        transaction_id: None,
        extended: None,
    };
    for (name, value) in object(call)? {
        match name.as_str() {
            "@odata.type" => {}
            "start" => fields.start = Some(date_time(&value)?),
            "end" => fields.end = Some(date_time(&value)?),
            "transactionId" => fields.transaction_id = value.as_str().map(str::to_owned),
            "singleValueExtendedProperties" => fields.extended = Some(extended(&value)?),
            "attendees" if value.as_array().is_some_and(Vec::is_empty) => {}
            known if KEPT.contains(&known) => {
                fields.kept.insert(name, value);
            }
            _ => return Err(not_imitated(format!("property {name} of an event"))),
        }
    }
    Ok(fields)
}

pub(super) fn date_time(value: &Value) -> Result<DateTime> {
    let zone = value["timeZone"].as_str().unwrap_or("UTC");
    if !["UTC", "Etc/UTC", "GMT", "tzone://Microsoft/Utc"].contains(&zone) {
        return Err(not_imitated(format!("time zone {zone}")));
    }
    let text = value["dateTime"].as_str().unwrap_or_default();
    text.trim_end_matches('Z').parse().map_err(|_| {
        invalid(
            "ErrorPropertyValidationFailure",
            "At least one property failed validation.",
        )
        .into()
    })
}

pub(super) fn extended(value: &Value) -> Result<Vec<(String, String)>> {
    let malformed = || {
        invalid(
            "ErrorPropertyValidationFailure",
            "At least one property failed validation.",
        )
    };
    let list = value.as_array().ok_or_else(malformed)?;
    list.iter()
        .map(|one| {
            let pair = (one["id"].as_str(), one["value"].as_str());
            let (Some(id), Some(value)) = pair else {
                return Err(malformed().into());
            };
            Ok((id.to_owned(), value.to_owned()))
        })
        .collect()
}

pub(super) fn check_order(start: DateTime, end: DateTime) -> Result<()> {
    if end < start {
        let message = "The end date is earlier than the start date.";
        return Err(invalid("ErrorCalendarEndDateIsEarlierThanStartDate", message).into());
    }
    Ok(())
}

pub(super) fn shown(date_time: DateTime) -> Value {
    let text = date_time.strftime("%Y-%m-%dT%H:%M:%S.%7f").to_string();
    json!({"dateTime": text, "timeZone": "UTC"})
}
