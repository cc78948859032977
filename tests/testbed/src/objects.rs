//! The operator's objects as anybody sees them: JSON, conditions by name, Events.

use std::fmt;

use k8s_openapi::api::events::v1::Event;
use kube::Client;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::Value;

use crate::error::{Attempt, Error};

/// A kind of the operator's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `CalendarTenant`.
    Tenant,
    /// `WorkspaceMailbox`.
    Mailbox,
}

impl Kind {
    /// As manifests spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "CalendarTenant",
            Self::Mailbox => "WorkspaceMailbox",
        }
    }

    /// How it is spelled in a URL.
    #[must_use]
    pub fn resource(self) -> ApiResource {
        let gvk = GroupVersionKind::gvk("hybridcalendar.dev", "v1alpha1", self.as_str());
        let plural = match self {
            Self::Tenant => "calendartenants",
            Self::Mailbox => "workspacemailboxes",
        };
        ApiResource::from_gvk_with_plural(&gvk, plural)
    }

    /// The objects of this kind in a namespace.
    #[must_use]
    pub fn api(self, client: &Client, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(client.clone(), namespace, &self.resource())
    }
}

/// A condition that is waited for, written `Type=Status/Reason` or `Type=Status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Type of the condition.
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Its reason, if it matters.
    pub reason: Option<String>,
}

impl Expected {
    /// Reads `Ready=False/MailboxNotFound`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (type_, rest) = text.split_once('=').ok_or_else(|| Error::Document {
            what: format!("the expectation {text:?}"),
            message: "it must be Type=Status or Type=Status/Reason".to_owned(),
        })?;
        let (status, reason) = match rest.split_once('/') {
            Some((status, reason)) => (status, Some(reason.to_owned())),
            None => (rest, None),
        };
        Ok(Self {
            type_: type_.trim().to_owned(),
            status: status.to_owned(),
            reason,
        })
    }

    /// Whether an object has this condition.
    #[must_use]
    pub fn holds(&self, object: &Value) -> bool {
        condition(object, &self.type_).is_some_and(|seen| {
            let reason = self.reason.as_deref();
            seen["status"] == self.status.as_str()
                && reason.is_none_or(|reason| seen["reason"] == reason)
        })
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.type_, self.status)?;
        match &self.reason {
            Some(reason) => write!(f, "/{reason}"),
            None => Ok(()),
        }
    }
}

/// A condition of an object, by type.
#[must_use]
pub fn condition<'a>(object: &'a Value, type_: &str) -> Option<&'a Value> {
    object["status"]["conditions"]
        .as_array()?
        .iter()
        .find(|condition| condition["type"] == type_)
}

/// An object's condition, as an expectation would be written that it fulfils.
#[must_use]
pub fn seen(object: &Value, type_: &str) -> Option<Expected> {
    let condition = condition(object, type_)?;
    Some(Expected {
        type_: type_.to_owned(),
        status: condition["status"].as_str().unwrap_or_default().to_owned(),
        reason: condition["reason"].as_str().map(str::to_owned),
    })
}

/// An object, or `Null` when there is none.
pub async fn get(client: &Client, kind: Kind, namespace: &str, name: &str) -> Result<Value, Error> {
    let object = kind
        .api(client, namespace)
        .get_opt(name)
        .await
        .attempt(format!("read {} {name}", kind.as_str()))?;
    Ok(object.map_or(Value::Null, |object| {
        serde_json::to_value(object).unwrap_or_default()
    }))
}

/// Every object of a kind in a namespace.
pub async fn list(client: &Client, kind: Kind, namespace: &str) -> Result<Vec<Value>, Error> {
    let list = kind
        .api(client, namespace)
        .list(&ListParams::default())
        .await
        .attempt(format!("list {}s", kind.as_str()))?;
    Ok(list
        .into_iter()
        .map(|object| serde_json::to_value(object).unwrap_or_default())
        .collect())
}

/// The Events of a namespace.
pub async fn events(client: &Client, namespace: &str) -> Result<Vec<Event>, Error> {
    let list = Api::<Event>::namespaced(client.clone(), namespace)
        .list(&ListParams::default())
        .await
        .attempt(format!("list the Events of {namespace}"))?;
    Ok(list.items)
}

/// An Event in a line.
#[must_use]
pub fn event_line(event: &Event) -> String {
    let about = event
        .regarding
        .as_ref()
        .and_then(|object| object.name.as_deref());
    let text = |value: Option<&str>| value.unwrap_or("-").to_owned();
    format!(
        "{} {} {}: {}",
        text(event.type_.as_deref()),
        text(about),
        text(event.reason.as_deref()),
        text(event.note.as_deref())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expectation_may_leave_the_reason_open() {
        let object = serde_json::json!({"status": {"conditions": [
            {"type": "Ready", "status": "False", "reason": "DomainMismatch"},
        ]}});
        for (text, holds) in [
            ("Ready=False", true),
            ("Ready=False/DomainMismatch", true),
            ("Ready=False/Conflict", false),
            ("Ready=True", false),
            ("Conflict=False", false),
        ] {
            let expected = Expected::parse(text).unwrap();
            assert_eq!(expected.holds(&object), holds, "{text}");
            assert_eq!(expected.to_string(), text);
        }
        assert_eq!(
            seen(&object, "Ready").unwrap().to_string(),
            "Ready=False/DomainMismatch"
        );
    }
}
