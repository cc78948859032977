//! Subscriptions: which requests are valid, who may make them, how long they live.
//!
//! The validation of notification URLs is in [`super::validation`], deliveries are in [`crate::notify`].

mod body;
mod creation;
mod update;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

pub(super) use body::user_of_resource;
pub(crate) use creation::Creation;
pub(crate) use update::Update;

use super::access::{self, Need, Obstacle};
use super::error::{GraphError, Refusal, error, relayed};
use super::payload;
use super::query::{Query, context_url, page};
use super::{Reading, Result};
use crate::call::{Answer, Call};
use crate::clock::after;
use crate::state::Data;
use crate::state::subscriptions::Subscription;
use body::invalid;

const SUBSCRIPTIONS_PAGE: usize = 500;
const SHORTEST_LIFE: Duration = Duration::from_mins(45);

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

/// `POST /subscriptions/{id}/reauthorize`
pub(crate) fn reauthorize(data: &Data, caller: &access::Caller, call: &Call, id: &str) -> Result {
    Query::read(call, &[])?;
    payload::none(call)?;
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
        .of_application(&caller.tenant, &caller.client_id)
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
