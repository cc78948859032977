//! The bodies of requests about subscriptions: which fields and values Graph takes.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::graph::Result;
use crate::graph::error::{GraphError, error, not_imitated};
use crate::route::decoded;

pub(super) fn invalid(message: impl Into<String>) -> GraphError {
    error(400, "InvalidRequest", message)
}

pub(super) fn text<'a>(body: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => {
            let message = format!("The value of property '{name}' is not a string.");
            Err(invalid(message).into())
        }
    }
}

pub(super) fn required<'a>(body: &'a Map<String, Value>, name: &str) -> Result<&'a str> {
    text(body, name)?
        .filter(|value| !value.is_empty())
        .ok_or_else(|| invalid(format!("The property '{name}' is required.")).into())
}

pub(super) fn instant(text: &str) -> Result<Timestamp> {
    text.parse().map_err(|_| {
        let message =
            format!("Invalid expirationDateTime '{text}': it is not a time with an offset.");
        invalid(message).into()
    })
}

/// The user in `users/{id}/events`, if the resource has that form.
pub(in crate::graph) fn user_of_resource(resource: &str) -> Option<String> {
    let parts: Vec<&str> = resource.trim_start_matches('/').split('/').collect();
    match parts.as_slice() {
        [users, user, events]
            if users.eq_ignore_ascii_case("users") && events.eq_ignore_ascii_case("events") =>
        {
            Some(decoded(user))
        }
        _ => None,
    }
}

pub(super) fn check_resource(resource: &str) -> Result<String> {
    if let Some(user) = user_of_resource(resource) {
        return Ok(user);
    }
    let lower = resource.trim_start_matches('/').to_lowercase();
    let parts: Vec<&str> = lower.split('/').collect();
    if matches!(parts.as_slice(), ["users", _, "events", _]) {
        let message = format!("The value '{resource}' of parameter 'Resource' is not supported.");
        return Err(invalid(message).into());
    }
    Err(not_imitated(format!("a subscription to {resource}")))
}

pub(super) fn check_fields(body: &Map<String, Value>) -> Result<()> {
    const TAKEN: &[&str] = &[
        "@odata.type",
        "changeType",
        "clientState",
        "expirationDateTime",
        "latestSupportedTlsVersion",
        "lifecycleNotificationUrl",
        "notificationUrl",
        "resource",
    ];
    for (name, value) in body {
        let harmless =
            value.is_null() || (name == "includeResourceData" && *value == Value::Bool(false));
        if !TAKEN.contains(&name.as_str()) && !harmless {
            return Err(not_imitated(format!("property {name} of a subscription")));
        }
    }
    Ok(())
}

pub(super) fn check_url(name: &str, url: &str) -> Result<()> {
    let lower = url.to_lowercase();
    if lower.starts_with("eventhub:") || lower.starts_with("eventgrid:") {
        return Err(not_imitated(format!("{name} of Event Hubs or Event Grid")));
    }
    let Ok(parsed) = url::Url::parse(url) else {
        return Err(invalid(format!("The {name} '{url}' is not a valid URL.")).into());
    };
    let loopback = match parsed.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match parsed.scheme() {
        "https" => Ok(()),
        "http" if loopback => Ok(()),
        _ => Err(invalid(format!("The {name} must use HTTPS.")).into()),
    }
}
