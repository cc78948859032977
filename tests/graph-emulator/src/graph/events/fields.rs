//! The fields of an event that a caller may set, and how times are written.

use jiff::civil::DateTime;
use serde_json::{Map, Value, json};

use crate::call::Call;
use crate::graph::Result;
use crate::graph::error::{GraphError, error, not_imitated};
use crate::graph::payload::object;

/// What a field may hold.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Flag,
    Number,
    Texts,
    OneOf(&'static [&'static str]),
    Object(&'static [(&'static str, Kind)]),
}

const BODY: &[(&str, Kind)] = &[
    ("contentType", Kind::OneOf(&["text", "html"])),
    ("content", Kind::Text),
];

const LOCATION: &[(&str, Kind)] = &[
    ("displayName", Kind::Text),
    ("locationType", Kind::Text),
    ("uniqueId", Kind::Text),
    ("uniqueIdType", Kind::Text),
];

const SHOW_AS: &[&str] = &[
    "free",
    "tentative",
    "busy",
    "oof",
    "workingElsewhere",
    "unknown",
];

/// Fields that a caller may set and that are kept as they are.
const KEPT: &[(&str, Kind)] = &[
    ("subject", Kind::Text),
    ("body", Kind::Object(BODY)),
    ("location", Kind::Object(LOCATION)),
    ("isAllDay", Kind::Flag),
    ("showAs", Kind::OneOf(SHOW_AS)),
    (
        "sensitivity",
        Kind::OneOf(&["normal", "personal", "private", "confidential"]),
    ),
    ("importance", Kind::OneOf(&["low", "normal", "high"])),
    ("categories", Kind::Texts),
    ("isReminderOn", Kind::Flag),
    ("reminderMinutesBeforeStart", Kind::Number),
    ("responseRequested", Kind::Flag),
    ("allowNewTimeProposals", Kind::Flag),
    ("hideAttendees", Kind::Flag),
];

impl Kind {
    /// Refuses a value that Graph cannot read, and members that are not imitated.
    fn check(self, name: &str, value: &Value) -> Result<()> {
        let readable = match (self, value) {
            (Self::Text, Value::String(_) | Value::Null) | (Self::Flag, Value::Bool(_)) => true,
            (Self::Number, value) => value.is_i64(),
            (Self::Texts, Value::Array(all)) => all.iter().all(Value::is_string),
            (Self::OneOf(names), Value::String(text)) => {
                names.iter().any(|one| one.eq_ignore_ascii_case(text))
            }
            (Self::Object(members), Value::Object(object)) => {
                for (member, value) in object {
                    let path = format!("{name}/{member}");
                    known(members, member, &path)?.check(&path, value)?;
                }
                true
            }
            _ => false,
        };
        if readable {
            return Ok(());
        }
        let message = format!("The value of property '{name}' cannot be read.");
        Err(invalid("RequestBodyRead", &message).into())
    }
}

fn known(members: &[(&str, Kind)], name: &str, path: &str) -> Result<Kind> {
    if name == "@odata.type" {
        return Ok(Kind::Text);
    }
    let found = members.iter().find(|(member, _)| *member == name);
    let unknown = || not_imitated(format!("property {path} of an event"));
    Ok(found.ok_or_else(unknown)?.1)
}

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
            "transactionId" => {
                Kind::Text.check(&name, &value)?;
                fields.transaction_id = value.as_str().map(str::to_owned);
            }
            "singleValueExtendedProperties" => fields.extended = Some(extended(&value)?),
            "attendees" if value.as_array().is_some_and(Vec::is_empty) => {}
            _ => {
                known(KEPT, &name, &name)?.check(&name, &value)?;
                fields.kept.insert(name, value);
            }
        }
    }
    Ok(fields)
}

pub(super) fn date_time(value: &Value) -> Result<DateTime> {
    const MEMBERS: &[(&str, Kind)] = &[("dateTime", Kind::Text), ("timeZone", Kind::Text)];
    if value.is_object() {
        Kind::Object(MEMBERS).check("start or end", value)?;
    }
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
            const MEMBERS: &[(&str, Kind)] = &[("id", Kind::Text), ("value", Kind::Text)];
            Kind::Object(MEMBERS).check("singleValueExtendedProperties", one)?;
            let pair = (one["id"].as_str(), one["value"].as_str());
            let (Some(id), Some(value)) = pair else {
                return Err(malformed().into());
            };
            Ok((id.to_owned(), value.to_owned()))
        })
        .collect()
}

/// Refuses an end before the start, and an all-day event that does not last from midnight to midnight.
pub(super) fn check_times(start: DateTime, end: DateTime, is_all_day: &Value) -> Result<()> {
    let midnight = |at: DateTime| at.time() == jiff::civil::Time::midnight();
    if *is_all_day == Value::Bool(true) && !(midnight(start) && midnight(end)) {
        let message = "The start and the end of an all-day event must be midnight.";
        return Err(invalid("ErrorPropertyValidationFailure", message).into());
    }
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
