//! Faults on purpose: which calls go wrong, how, and how often.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::operation::Operation;
use crate::state::Data;

/// Everything that goes wrong on purpose.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Faults {
    /// For calls; the first rule that fires decides.
    pub rules: Vec<FaultRule>,
    /// For notifications.
    pub notifications: NotificationFaults,
}

/// Which calls go wrong, and how. All conditions must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FaultRule {
    /// The operation; `*` for every one.
    pub operation: Operation,
    /// Only this tenant ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Only the mailbox with this primary address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<String>,
    /// Only these ones, counted from 1, of the calls that the rule is about; empty for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nth: Vec<u64>,
    /// Only this share of them, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// Only this many times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// Answer with this status instead of executing the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// `Retry-After` of that answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<RetryAfter>,
    /// Body of that answer: text is sent as text, anything else as JSON. Graph's usual one if missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// Wait before the call is executed.
    #[serde(
        with = "jiff::fmt::serde::unsigned_duration::friendly::compact::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub delay: Option<Duration>,
    /// Wait after the call was executed, before it is answered.
    #[serde(
        with = "jiff::fmt::serde::unsigned_duration::friendly::compact::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub delay_after: Option<Duration>,
    /// Cut the connection instead of answering.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut: Option<Cut>,
    /// Reads are answered from what was true when the rules were set.
    pub stale: bool,
}

/// When a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Cut {
    /// Before the call is executed.
    Before,
    /// After it was executed: the client cannot know.
    After,
}

/// Both forms of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RetryAfter {
    /// `Retry-After: 30`
    Seconds(u64),
    /// `Retry-After: Sun, 06 Nov 1994 08:49:37 GMT`, this long from now; in JSON `{"httpDate": "30s"}`.
    #[serde(rename_all = "camelCase")]
    HttpDate {
        /// How long from now.
        #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
        http_date: Duration,
    },
}

impl From<u64> for RetryAfter {
    fn from(seconds: u64) -> Self {
        Self::Seconds(seconds)
    }
}

/// What goes wrong with notifications.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NotificationFaults {
    /// None is sent.
    pub drop: bool,
    /// Each is sent twice.
    pub duplicate: bool,
    /// Those that belong together are sent in the opposite order.
    pub reorder: bool,
    /// Each is sent this much later.
    #[serde(
        with = "jiff::fmt::serde::unsigned_duration::friendly::compact::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub delay: Option<Duration>,
}

impl<'de> Deserialize<'de> for Faults {
    /// An object with both parts, or just the list of rules.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        struct Both {
            #[serde(default)]
            rules: Vec<FaultRule>,
            #[serde(default)]
            notifications: NotificationFaults,
        }
        let value = Value::deserialize(deserializer)?;
        let both = if value.is_array() {
            Both {
                rules: serde_json::from_value(value).map_err(serde::de::Error::custom)?,
                notifications: NotificationFaults::default(),
            }
        } else {
            serde_json::from_value(value).map_err(serde::de::Error::custom)?
        };
        Ok(Self {
            rules: both.rules,
            notifications: both.notifications,
        })
    }
}

impl Faults {
    /// What would never have an effect, in a sentence that names the field.
    pub(crate) fn check(&self) -> Result<(), String> {
        for (position, rule) in self.rules.iter().enumerate() {
            rule.check()
                .map_err(|reason| format!("rules[{position}].{reason}"))?;
        }
        Ok(())
    }
}

impl FaultRule {
    fn check(&self) -> Result<(), &'static str> {
        let delayed = self.delay.is_some() || self.delay_after.is_some();
        let changes = self.status.is_some() || self.cut.is_some() || delayed || self.stale;
        if !changes {
            return Err("status is missing: a rule needs status, cut, delay, delayAfter or stale");
        }
        if self.status.is_none() && self.retry_after.is_some() {
            return Err("retryAfter needs a status, whose answer has the header");
        }
        if self.status.is_none() && self.body.is_some() {
            return Err("body needs a status, whose answer has the body");
        }
        if self.status.is_some() && self.stale {
            return Err(
                "stale reads are executed, and status is answered without executing: use one",
            );
        }
        if self
            .status
            .is_some_and(|status| !(200..600).contains(&status))
        {
            return Err("status is not an HTTP status: use 200 to 599");
        }
        if self.nth.contains(&0) {
            return Err("nth counts from 1");
        }
        if self.rate.is_some_and(|rate| !(0.0..=1.0).contains(&rate)) {
            return Err("rate is a share: use 0 to 1");
        }
        Ok(())
    }
}

/// A rule that fired for one call.
#[derive(Clone, Debug)]
pub(crate) struct Fired {
    pub(crate) rule: FaultRule,
    /// What reads are answered from.
    pub(crate) stale: Option<Arc<Data>>,
}

/// The rules in force, and how often each has met its call.
#[derive(Debug, Default)]
pub(crate) struct FaultState {
    pub(crate) faults: Faults,
    met: Vec<u64>,
    pub(crate) fired: Vec<u64>,
    before: Option<Arc<Data>>,
}

impl FaultState {
    /// New rules; `now` is what stale reads will see.
    pub(crate) fn new(faults: Faults, now: &Data) -> Self {
        let stale = faults.rules.iter().any(|rule| rule.stale);
        Self {
            met: vec![0; faults.rules.len()],
            fired: vec![0; faults.rules.len()],
            before: stale.then(|| Arc::new(now.clone())),
            faults,
        }
    }

    /// The rule that fires for this call, if any.
    pub(crate) fn fire(
        &mut self,
        operation: Operation,
        tenant: Option<&str>,
        mailbox: Option<&str>,
        share: impl Fn() -> f64,
    ) -> Option<Fired> {
        for (position, rule) in self.faults.rules.iter().enumerate() {
            let about = (rule.operation == Operation::Any || rule.operation == operation)
                && agrees(rule.tenant.as_deref(), tenant)
                && agrees(rule.mailbox.as_deref(), mailbox);
            if !about {
                continue;
            }
            self.met[position] += 1;
            let fires = (rule.nth.is_empty() || rule.nth.contains(&self.met[position]))
                && rule.times.is_none_or(|times| self.fired[position] < times)
                && rule.rate.is_none_or(|rate| share() < rate);
            if fires {
                self.fired[position] += 1;
                return Some(Fired {
                    rule: rule.clone(),
                    stale: rule.stale.then(|| self.before.clone()).flatten(),
                });
            }
        }
        None
    }
}

fn agrees(wanted: Option<&str>, actual: Option<&str>) -> bool {
    match (wanted, actual) {
        (None, _) => true,
        (Some(wanted), Some(actual)) => wanted.eq_ignore_ascii_case(actual),
        (Some(_), None) => false,
    }
}
