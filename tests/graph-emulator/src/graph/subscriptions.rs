//! Subscriptions: which requests are valid, who may make them, how long they live.
//!
//! The validation of notification URLs is in [`super::validation`], deliveries are in [`crate::notify`].

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::access::{self, Need, Obstacle};
use super::error::{GraphError, Refusal, error, not_imitated, relayed, unreadable_body};
use super::query::{Query, context_url, page};
use super::{Reading, Result};
use crate::call::{Answer, Call};
use crate::clock::after;
use crate::ids::Ids;
use crate::route::decoded;
use crate::state::Data;
use crate::state::subscriptions::{Subscription, change_types};

const SUBSCRIPTIONS_PAGE: usize = 500;
const MOST_PER_MAILBOX: usize = 1000;
const SHORTEST_LIFE: Duration = Duration::from_mins(45);
const LONGEST_CLIENT_STATE: usize = 128;
const CHANGES: &[&str] = &["created", "updated", "deleted"];
const TLS_VERSIONS: &[&str] = &["v1_0", "v1_1", "v1_2", "v1_3"];

fn invalid(message: impl Into<String>) -> GraphError {
    error(400, "InvalidRequest", message)
}

fn object(call: &Call) -> Result<Map<String, Value>> {
    match serde_json::from_slice(&call.body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) | Err(_) => Err(unreadable_body().into()),
    }
}

fn text<'a>(body: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => {
            let message = format!("The value of property '{name}' is not a string.");
            Err(invalid(message).into())
        }
    }
}

fn required<'a>(body: &'a Map<String, Value>, name: &str) -> Result<&'a str> {
    text(body, name)?
        .filter(|value| !value.is_empty())
        .ok_or_else(|| invalid(format!("The property '{name}' is required.")).into())
}

fn instant(text: &str) -> Result<Timestamp> {
    text.parse().map_err(|_| {
        let message =
            format!("Invalid expirationDateTime '{text}': it is not a time with an offset.");
        invalid(message).into()
    })
}

/// The user in `users/{id}/events`, if the resource has that form.
pub(super) fn user_of_resource(resource: &str) -> Option<String> {
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

fn check_resource(resource: &str) -> Result<String> {
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

/// A subscription that a caller asks for, before its URLs are validated.
#[derive(Debug)]
pub(crate) struct Creation {
    user: String,
    asked_until: Timestamp,
    subscription: Subscription,
}

impl Creation {
    /// Reads the body and refuses what Graph refuses without looking at the mailbox.
    pub(crate) fn read(call: &Call, caller: &access::Caller, now: Timestamp) -> Result<Self> {
        Query::read(call, &[])?;
        let body = object(call)?;
        check_fields(&body)?;
        let change_type = required(&body, "changeType")?;
        if let Some(unknown) = change_types(change_type)
            .iter()
            .find(|change| !CHANGES.contains(&change.as_str()))
        {
            return Err(invalid(format!("The changeType '{unknown}' is not supported.")).into());
        }
        let client_state = text(&body, "clientState")?;
        if client_state.is_some_and(|state| state.chars().count() > LONGEST_CLIENT_STATE) {
            let message = "The property 'clientState' must not exceed 128 characters.";
            return Err(invalid(message).into());
        }
        let tls = text(&body, "latestSupportedTlsVersion")?.unwrap_or("v1_2");
        if !TLS_VERSIONS.contains(&tls) {
            return Err(invalid(format!("latestSupportedTlsVersion '{tls}' is not valid.")).into());
        }
        let asked_until = instant(required(&body, "expirationDateTime")?)?;
        let resource = required(&body, "resource")?;
        let user = check_resource(resource)?;
        let notification_url = required(&body, "notificationUrl")?;
        check_url("notificationUrl", notification_url)?;
        let lifecycle = text(&body, "lifecycleNotificationUrl")?;
        if let Some(url) = lifecycle {
            check_url("lifecycleNotificationUrl", url)?;
        }
        Ok(Self {
            user,
            asked_until,
            subscription: Subscription {
                id: String::new(),
                tenant: caller.tenant.clone(),
                client_id: caller.client_id.clone(),
                creator_id: caller.principal_id.clone(),
                resource: resource.to_owned(),
                mailbox_id: String::new(),
                mailbox: String::new(),
                change_type: change_type.to_owned(),
                notification_url: notification_url.to_owned(),
                lifecycle_notification_url: lifecycle.map(str::to_owned),
                client_state: client_state.map(str::to_owned),
                created_date_time: now,
                expiration_date_time: asked_until,
                latest_supported_tls_version: tls.to_owned(),
            },
        })
    }

    /// Refuses what the mailbox, the policy, the limits or another subscription forbid.
    pub(crate) fn check(
        &mut self,
        data: &Data,
        caller: &access::Caller,
        now: Timestamp,
    ) -> Result<()> {
        let tenant = tenant_of(data, caller)?;
        let account = access::mailbox(tenant, caller, &self.user, Need::Subscribe)
            .map_err(|obstacle| refused("Create", obstacle, data))?;
        self.subscription.mailbox_id.clone_from(&account.id);
        self.subscription.mailbox.clone_from(&account.spec.address);
        self.subscription.expiration_date_time = granted(self.asked_until, data, now)?;
        let of_mailbox = || {
            data.subscriptions
                .values()
                .filter(|other| other.mailbox_id == account.id)
        };
        let double = of_mailbox().find(|other| {
            other.client_id == caller.client_id
                && other.change_types() == self.subscription.change_types()
        });
        if let Some(double) = double
            && !data.directory.world.behaviour.allow_duplicates
        {
            let message = format!(
                "Subscription Id {} already exists for the requested combination",
                double.id
            );
            return Err(error(409, "ObjectIdentifierInUse", message).into());
        }
        if of_mailbox().count() >= MOST_PER_MAILBOX {
            let reason = "Maximum number of subscriptions has been reached";
            return Err(relayed("Create", 403, "Forbidden", reason).into());
        }
        Ok(())
    }

    /// The URLs to validate: both, even if they are the same.
    pub(crate) fn urls(&self) -> Vec<String> {
        let subscription = &self.subscription;
        std::iter::once(subscription.notification_url.clone())
            .chain(subscription.lifecycle_notification_url.clone())
            .collect()
    }

    /// Stores the subscription.
    pub(crate) fn store(
        mut self,
        data: &mut Data,
        ids: &Ids,
        call: &Call,
        now: Timestamp,
    ) -> Answer {
        self.subscription.id = ids.fresh("subscription").to_string();
        self.subscription.created_date_time = now;
        let subscription = self.subscription;
        data.expect_end(subscription.expiration_date_time);
        let mut body = subscription_json(&subscription);
        body["clientState"] = subscription.client_state.clone().into();
        body["@odata.context"] = context_url(call, "subscriptions/$entity").into();
        data.subscriptions
            .insert(subscription.id.clone(), subscription);
        Answer::created(body)
    }
}

fn check_fields(body: &Map<String, Value>) -> Result<()> {
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

fn check_url(name: &str, url: &str) -> Result<()> {
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

fn tenant_of<'a>(
    data: &'a Data,
    caller: &access::Caller,
) -> Result<&'a crate::state::directory::TenantIndex> {
    data.directory
        .tenant(&caller.tenant)
        .ok_or_else(|| error(401, "InvalidAuthenticationToken", "The tenant is unknown.").into())
}

/// As the subscription service relays what stands in the way.
fn refused(operation: &str, obstacle: Obstacle, data: &Data) -> Refusal {
    match obstacle {
        Obstacle::NoRole | Obstacle::OutsidePolicy | Obstacle::OutsideRoleScope => {
            relayed(operation, 403, "Forbidden", "Forbidden")
        }
        Obstacle::NotInCloud => relayed(
            operation,
            data.directory.world.behaviour.on_premises_status,
            "NotFound",
            "REST API is not yet supported for this mailbox.",
        ),
        Obstacle::UnknownMailbox => {
            relayed(operation, 404, "NotFound", "The requested user is invalid.")
        }
    }
    .into()
}

/// The end that is granted for the end that was asked for.
fn granted(asked: Timestamp, data: &Data, now: Timestamp) -> Result<Timestamp> {
    let world = &data.directory.world;
    if asked <= now {
        let message = "Subscription expiration must be in the future.";
        return Err(invalid(message).into());
    }
    let minutes = world.behaviour.max_lifetime_minutes;
    if asked > after(now, Duration::from_secs(u64::from(minutes) * 60)) {
        let message =
            format!("Subscription expiration can only be {minutes} minutes in the future.");
        return Err(error(400, "ExtensionError", message).into());
    }
    let latest = world
        .limits
        .max_lifetime
        .map_or(asked, |most| asked.min(after(now, most)));
    let least = match (world.limits.min_lifetime, world.limits.max_lifetime) {
        (Some(least), _) => least,
        (None, Some(most)) => SHORTEST_LIFE.min(most),
        (None, None) => SHORTEST_LIFE,
    };
    Ok(latest.max(after(now, least)))
}

/// A change of a subscription, before a new URL is validated.
#[derive(Debug)]
pub(crate) struct Update {
    id: String,
    asked_until: Option<Timestamp>,
    notification_url: Option<String>,
}

impl Update {
    /// Reads the body.
    pub(crate) fn read(call: &Call, id: &str) -> Result<Self> {
        Query::read(call, &[])?;
        let body = object(call)?;
        for (name, value) in &body {
            match name.as_str() {
                "@odata.type" | "id" | "expirationDateTime" | "notificationUrl" => {}
                _ if value.is_null() => {}
                "changeType" | "resource" | "clientState" | "lifecycleNotificationUrl" => {
                    return Err(invalid(format!("The property '{name}' cannot be changed.")).into());
                }
                _ => return Err(not_imitated(format!("a change of property {name}"))),
            }
        }
        let asked_until = text(&body, "expirationDateTime")?
            .map(instant)
            .transpose()?;
        let notification_url = text(&body, "notificationUrl")?.map(str::to_owned);
        if let Some(url) = &notification_url {
            check_url("notificationUrl", url)?;
        }
        if asked_until.is_none() && notification_url.is_none() {
            let message = "Subscription must contain either the 'expirationDateTime' or \
                           'notificationUrl' property and its value.";
            return Err(invalid(message).into());
        }
        Ok(Self {
            id: id.to_owned(),
            asked_until,
            notification_url,
        })
    }

    /// Refuses what the subscription, the policy or the limits forbid.
    pub(crate) fn check(&self, data: &Data, caller: &access::Caller, now: Timestamp) -> Result<()> {
        authorized("Update", &self.id, data, caller)?;
        if let Some(asked) = self.asked_until {
            granted(asked, data, now)?;
        }
        Ok(())
    }

    /// The URL to validate, if it changes.
    pub(crate) fn urls(&self, data: &Data) -> Vec<String> {
        if data.directory.world.behaviour.validate_on_patch {
            self.notification_url.clone().into_iter().collect()
        } else {
            Vec::new()
        }
    }

    /// Changes the subscription.
    pub(crate) fn store(
        self,
        data: &mut Data,
        caller: &access::Caller,
        call: &Call,
        now: Timestamp,
    ) -> Result {
        self.check(data, caller, now)?;
        let until = self
            .asked_until
            .map(|asked| granted(asked, data, now))
            .transpose()?;
        let missing = missing(data);
        if let Some(until) = until {
            data.expect_end(until);
        }
        let subscription = data.subscriptions.get_mut(&self.id).ok_or(missing)?;
        if let Some(until) = until {
            subscription.expiration_date_time = until;
        }
        if let Some(url) = self.notification_url {
            subscription.notification_url = url;
        }
        let mut body = subscription_json(subscription);
        body["@odata.context"] = context_url(call, "subscriptions/$entity").into();
        Ok(Answer::ok(body))
    }
}

/// `POST /subscriptions/{id}/reauthorize`
pub(crate) fn reauthorize(data: &Data, caller: &access::Caller, call: &Call, id: &str) -> Result {
    Query::read(call, &[])?;
    authorized("Update", id, data, caller)?;
    Ok(Answer::no_content())
}

/// `DELETE /subscriptions/{id}`
pub(crate) fn delete(data: &mut Data, caller: &access::Caller, call: &Call, id: &str) -> Result {
    Query::read(call, &[])?;
    own(id, data, caller)?;
    data.subscriptions.remove(id);
    Ok(Answer::no_content())
}

fn missing(data: &Data) -> GraphError {
    let code = &data.directory.world.behaviour.missing_subscription_code;
    error(404, code, "The object was not found.")
}

/// The caller's own subscription of this id; others' are invisible.
fn own<'a>(id: &str, data: &'a Data, caller: &access::Caller) -> Result<&'a Subscription> {
    data.subscriptions
        .get(id)
        .filter(|one| one.tenant == caller.tenant && one.client_id == caller.client_id)
        .ok_or_else(|| missing(data).into())
}

fn authorized<'a>(
    operation: &str,
    id: &str,
    data: &'a Data,
    caller: &access::Caller,
) -> Result<&'a Subscription> {
    let subscription = own(id, data, caller)?;
    let tenant = tenant_of(data, caller)?;
    access::mailbox(tenant, caller, &subscription.mailbox_id, Need::Subscribe)
        .map_err(|obstacle| refused(operation, obstacle, data))?;
    Ok(subscription)
}

/// `GET /subscriptions/{id}`
pub(super) fn get(reading: &Reading<'_>, id: &str) -> Result {
    Query::read(reading.call, &[])?;
    let mut body = subscription_json(own(id, reading.data, reading.caller)?);
    body["@odata.context"] = context_url(reading.call, "subscriptions/$entity").into();
    Ok(Answer::ok(body))
}

/// `GET /subscriptions`: those of this application in this tenant.
pub(super) fn list(reading: &Reading<'_>) -> Result {
    let query = Query::read(reading.call, &["skiptoken"])?;
    let caller = reading.caller;
    let own: Vec<&Subscription> = reading
        .data
        .subscriptions
        .values()
        .filter(|one| one.tenant == caller.tenant && one.client_id == caller.client_id)
        .collect();
    let usual = reading.page_size(SUBSCRIPTIONS_PAGE);
    let page = page(own.into_iter(), &query, usual, SUBSCRIPTIONS_PAGE)?;
    let body = page.into_json(reading.call, "subscriptions", |one| {
        Ok(subscription_json(one))
    })?;
    Ok(Answer::ok(body))
}

/// The subscription as everyone sees it: without its `clientState`.
fn subscription_json(subscription: &Subscription) -> Value {
    let until = subscription.expiration_date_time;
    json!({
        "id": subscription.id,
        "resource": subscription.resource,
        "applicationId": subscription.client_id,
        "changeType": subscription.change_type,
        "clientState": null,
        "notificationUrl": subscription.notification_url,
        "notificationQueryOptions": null,
        "lifecycleNotificationUrl": subscription.lifecycle_notification_url,
        "expirationDateTime": until.strftime("%Y-%m-%dT%H:%M:%S.%7fZ").to_string(),
        "creatorId": subscription.creator_id,
        "includeResourceData": null,
        "latestSupportedTlsVersion": subscription.latest_supported_tls_version,
        "encryptionCertificate": null,
        "encryptionCertificateId": null,
        "notificationUrlAppId": null,
    })
}
