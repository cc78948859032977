//! Points in time as the API shows them: RFC 3339, UTC, whole seconds.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A time in a spec or status. Fractions of a second are cut off, so that what is written equals what is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(Timestamp);

impl Time {
    /// The full second that `at` lies in.
    #[must_use]
    pub fn new(at: Timestamp) -> Self {
        Self(Timestamp::from_second(at.as_second()).unwrap_or(at))
    }

    /// As a value to calculate with.
    #[must_use]
    pub const fn timestamp(self) -> Timestamp {
        self.0
    }
}

impl From<Timestamp> for Time {
    fn from(at: Timestamp) -> Self {
        Self::new(at)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0}", self.0)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Timestamp::deserialize(deserializer).map(Self::new)
    }
}

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date-time"})
    }

    fn inline_schema() -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_of_a_second_are_cut_off() {
        let time: Time = serde_json::from_str("\"2026-11-24T08:00:00.987Z\"").unwrap();
        assert_eq!(
            serde_json::to_string(&time).unwrap(),
            "\"2026-11-24T08:00:00Z\""
        );
    }

    #[test]
    fn an_offset_is_turned_into_utc() {
        let time: Time = serde_json::from_str("\"2027-06-30T02:00:00+02:00\"").unwrap();
        assert_eq!(time.to_string(), "2027-06-30T00:00:00Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["next summer", "2027-06-30", "2027-06-30T02:00:00"] {
            let quoted = format!("\"{text}\"");
            assert!(serde_json::from_str::<Time>(&quoted).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_written_equals_what_is_read() {
        let now: Timestamp = "2026-11-24T08:00:00.5Z".parse().unwrap();
        let written = serde_json::to_string(&Time::new(now)).unwrap();
        let read: Time = serde_json::from_str(&written).unwrap();
        assert_eq!(read, Time::new(now));
    }
}
