//! Events of a mailbox: create, read, update, delete, and bookings from outside.
//!
//! Times are in UTC; invitations, recurrence, attachments and online meetings are not imitated.

mod fields;

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::access::{self, Caller, Need};
use super::error::{error, item_not_found, not_imitated};
use super::query::{Query, context_url, project};
use super::{Reading, Result};
use crate::call::{Answer, Call};
use crate::ids::Ids;
use crate::state::Data;
use crate::state::directory::{Account, TenantIndex};
use crate::state::events::StoredEvent;
use crate::world::BookingNotifications;
use fields::{check_times, fields, invalid, shown};

/// A meeting that someone books.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Booking {
    /// Address of the person who books.
    pub organizer: String,
    /// Subject; a room shows the organizer instead.
    pub subject: String,
    /// When it starts.
    pub start: Timestamp,
    /// When it ends.
    pub end: Timestamp,
}

/// What subscriptions hear.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) mailbox_id: String,
    pub(crate) event_id: String,
    pub(crate) etag: String,
    pub(crate) kind: &'static str,
}

#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) answer: Answer,
    pub(crate) change: Change,
}

/// Where new ids and the time come from.
pub(crate) type Making<'a> = (&'a Ids, Timestamp);

fn account<'a>(
    data: &'a Data,
    caller: &Caller,
    user: &str,
    need: Need,
) -> Result<(&'a TenantIndex, &'a Account)> {
    let unknown = || super::error::unauthenticated("The tenant of the token is unknown.");
    let tenant = data.directory.tenant(&caller.tenant).ok_or_else(unknown)?;
    let account = access::mailbox(tenant, caller, user, need)
        .map_err(|obstacle| obstacle.refusal(&data.directory, user))?;
    Ok((tenant, account))
}

/// `POST /users/{id}/events`
pub(crate) fn create(
    data: &mut Data,
    caller: &Caller,
    call: &Call,
    user: &str,
    (ids, now): Making<'_>,
) -> Result<Written> {
    Query::read(call, &[])?;
    let directory = data.directory.clone();
    let (_, account) = account(data, caller, user, Need::WriteCalendar)?;
    let mailbox_id = account.id.clone();
    let organizer = json!({"name": account.display_name, "address": account.spec.address});
    let fields = fields(call)?;
    let (Some(start), Some(end)) = (fields.start, fields.end) else {
        let message = "At least one property failed validation.";
        return Err(invalid("ErrorPropertyValidationFailure", message).into());
    };
    let is_all_day = fields.kept.get("isAllDay").unwrap_or(&Value::Null);
    check_times(start, end, is_all_day)?;
    let events = data.events.entry(mailbox_id.clone()).or_default();
    check_transaction(
        events,
        fields.transaction_id.as_deref(),
        &directory.world.behaviour,
    )?;
    let id = ids.fresh_item();
    let mut body = base(&id, (start, end), &organizer, now);
    for (name, value) in fields.kept {
        body[name] = value;
    }
    if let Some(transaction) = &fields.transaction_id {
        body["transactionId"] = transaction.clone().into();
    }
    body["iCalUId"] = ids
        .fresh("iCalUId")
        .simple()
        .to_string()
        .to_uppercase()
        .into();
    let event = StoredEvent {
        body,
        change_key: ids.fresh_change_key(),
        transaction_id: fields.transaction_id,
        extended: fields.extended.unwrap_or_default(),
    };
    let change = change(&mailbox_id, &id, &event, "created");
    let body = without_empty_transaction(with_annotations(&event, call, &mailbox_id));
    events.insert(id, event);
    Ok(Written {
        answer: Answer::created(body),
        change,
    })
}

fn check_transaction(
    events: &BTreeMap<String, StoredEvent>,
    transaction_id: Option<&str>,
    behaviour: &crate::world::Behaviour,
) -> Result<()> {
    let used = events.iter().find(|(_, event)| {
        transaction_id.is_some() && event.transaction_id.as_deref() == transaction_id
    });
    let Some((id, _)) = used else {
        return Ok(());
    };
    let mut refused = error(
        behaviour.duplicate_transaction_status,
        "ErrorDuplicateTransactionId",
        "Your request can't be completed. The TransactionId specified in the request has already \
         been used to create a different event.",
    );
    if refused.status == 400 {
        refused
            .details
            .push(("@event.existingEventId", id.clone().into()));
    }
    Err(refused.into())
}

fn base(id: &str, (start, end): (DateTime, DateTime), organizer: &Value, now: Timestamp) -> Value {
    let now = now.strftime("%Y-%m-%dT%H:%M:%S.%7fZ").to_string();
    json!({
        "id": id,
        "createdDateTime": now,
        "lastModifiedDateTime": now,
        "subject": "",
        "bodyPreview": "",
        "body": {"contentType": "html", "content": ""},
        "start": shown(start),
        "end": shown(end),
        "originalStartTimeZone": "UTC",
        "originalEndTimeZone": "UTC",
        "location": {"displayName": "", "locationType": "default"},
        "locations": [],
        "isAllDay": false,
        "isCancelled": false,
        "isDraft": false,
        "isOrganizer": true,
        "isOnlineMeeting": false,
        "onlineMeetingProvider": "unknown",
        "onlineMeeting": null,
        "onlineMeetingUrl": null,
        "organizer": {"emailAddress": organizer},
        "attendees": [],
        "showAs": "busy",
        "sensitivity": "normal",
        "importance": "normal",
        "type": "singleInstance",
        "seriesMasterId": null,
        "recurrence": null,
        "responseRequested": true,
        "responseStatus": {"response": "organizer", "time": "0001-01-01T00:00:00Z"},
        "hideAttendees": false,
        "allowNewTimeProposals": true,
        "isReminderOn": true,
        "reminderMinutesBeforeStart": 15,
        "categories": [],
        "hasAttachments": false,
        "transactionId": null,
        "webLink": "",
    })
}

fn change(mailbox_id: &str, id: &str, event: &StoredEvent, kind: &'static str) -> Change {
    Change {
        mailbox_id: mailbox_id.to_owned(),
        event_id: id.to_owned(),
        etag: event.etag(),
        kind,
    }
}

fn with_annotations(event: &StoredEvent, call: &Call, mailbox_id: &str) -> Value {
    let context = format!("users('{mailbox_id}')/events/$entity");
    let mut body = json!({
        "@odata.context": context_url(call, &context),
        "@odata.etag": event.etag(),
        "changeKey": event.change_key,
    });
    if let (Value::Object(body), Value::Object(event)) = (&mut body, &event.body) {
        body.extend(event.clone());
    }
    body
}

/// A `transactionId` is shown only if there is one.
fn without_empty_transaction(mut event: Value) -> Value {
    if let Value::Object(event) = &mut event
        && event.get("transactionId") == Some(&Value::Null)
    {
        event.remove("transactionId");
    }
    event
}

/// `GET /users/{id}/events/{id}`
pub(super) fn get(reading: &Reading<'_>, user: &str, id: &str) -> Result {
    let (_, account) = account(reading.data, reading.caller, user, Need::ReadCalendar)?;
    let query = Query::read(reading.call, &["select", "expand"])?;
    let event = reading
        .data
        .events
        .get(&account.id)
        .and_then(|events| events.get(id))
        .ok_or_else(item_not_found)?;
    let body = with_annotations(event, reading.call, &account.id);
    let body = project(body, query.select().as_deref(), &["id"])?;
    let mut body = without_empty_transaction(body);
    if let Some(expand) = query.get("expand") {
        let wanted = expanded(expand)?;
        let found = event.extended.iter().filter(|(id, _)| *id == wanted);
        let found: Vec<Value> = found
            .map(|(id, value)| json!({"id": id, "value": value}))
            .collect();
        if !found.is_empty() {
            body["singleValueExtendedProperties"] = found.into();
        }
    }
    Ok(Answer::ok(body))
}

/// The id in `singleValueExtendedProperties($filter=id eq '…')`.
fn expanded(expand: &str) -> Result<String> {
    expand
        .trim()
        .strip_prefix("singleValueExtendedProperties(")
        .and_then(|rest| rest.strip_suffix(')'))
        .and_then(|rest| rest.trim().strip_prefix("$filter="))
        .and_then(|rest| rest.trim().strip_prefix("id eq '"))
        .and_then(|rest| rest.strip_suffix('\''))
        .map(|id| id.replace("''", "'"))
        .ok_or_else(|| not_imitated(format!("$expand={expand}")))
}

fn check_match(call: &Call, event: &StoredEvent) -> Result<()> {
    match call.header("if-match") {
        Some(etag) if etag != "*" && etag != event.etag() => Err(error(
            412,
            "ErrorIrresolvableConflict",
            "The send or update operation could not be performed because the change key passed in \
             the request does not match the current change key for the item.",
        )
        .into()),
        Some(_) | None => Ok(()),
    }
}

/// `PATCH /users/{id}/events/{id}`
pub(crate) fn update(
    data: &mut Data,
    caller: &Caller,
    call: &Call,
    (user, id): (&str, &str),
    (ids, now): Making<'_>,
) -> Result<Written> {
    Query::read(call, &[])?;
    let (_, account) = account(data, caller, user, Need::WriteCalendar)?;
    let mailbox_id = account.id.clone();
    let fields = fields(call)?;
    let events = data.events.entry(mailbox_id.clone()).or_default();
    let event = events.get_mut(id).ok_or_else(item_not_found)?;
    check_match(call, event)?;
    if fields.transaction_id.is_some() {
        let message = "The property 'transactionId' cannot be changed.";
        return Err(invalid("ErrorInvalidRequest", message).into());
    }
    let stored = |name: &str| {
        let text = event.body[name]["dateTime"].as_str().unwrap_or_default();
        text.parse::<DateTime>().unwrap_or_default()
    };
    let start = fields.start.unwrap_or_else(|| stored("start"));
    let end = fields.end.unwrap_or_else(|| stored("end"));
    let is_all_day = fields.kept.get("isAllDay");
    check_times(start, end, is_all_day.unwrap_or(&event.body["isAllDay"]))?;
    event.body["start"] = shown(start);
    event.body["end"] = shown(end);
    for (name, value) in fields.kept {
        event.body[name] = value;
    }
    for (id, value) in fields.extended.unwrap_or_default() {
        event.extended.retain(|(known, _)| *known != id);
        event.extended.push((id, value));
    }
    let modified = now.strftime("%Y-%m-%dT%H:%M:%S.%7fZ").to_string();
    event.body["lastModifiedDateTime"] = modified.into();
    event.change_key = ids.fresh_change_key();
    Ok(Written {
        answer: Answer::ok(without_empty_transaction(with_annotations(
            event,
            call,
            &mailbox_id,
        ))),
        change: change(&mailbox_id, id, event, "updated"),
    })
}

/// `DELETE /users/{id}/events/{id}`
pub(crate) fn delete(
    data: &mut Data,
    caller: &Caller,
    call: &Call,
    (user, id): (&str, &str),
) -> Result<Written> {
    Query::read(call, &[])?;
    let (_, account) = account(data, caller, user, Need::WriteCalendar)?;
    let mailbox_id = account.id.clone();
    let events = data.events.entry(mailbox_id.clone()).or_default();
    check_match(call, events.get(id).ok_or_else(item_not_found)?)?;
    let event = events.remove(id).ok_or_else(item_not_found)?;
    Ok(Written {
        answer: Answer::no_content(),
        change: change(&mailbox_id, id, &event, "deleted"),
    })
}

/// Puts a booking into a mailbox, as Exchange does when an invitation arrives; the changes that are heard.
///
/// A room writes its copy, accepts and writes it twice more, each time with a new change key.
pub(crate) fn book(
    data: &mut Data,
    account: &Account,
    booking: &Booking,
    (ids, now): Making<'_>,
) -> Vec<Change> {
    let id = ids.fresh_item();
    let civil = |instant: Timestamp| instant.to_zoned(jiff::tz::TimeZone::UTC).datetime();
    let organizer = json!({"name": booking.organizer, "address": booking.organizer});
    let mut body = base(
        &id,
        (civil(booking.start), civil(booking.end)),
        &organizer,
        now,
    );
    let is_room = account.spec.kind == crate::world::MailboxKind::Room;
    let subject = if is_room {
        &booking.organizer
    } else {
        &booking.subject
    };
    body["subject"] = subject.clone().into();
    body["isOrganizer"] = false.into();
    body["responseStatus"]["response"] = if is_room { "accepted" } else { "notResponded" }.into();
    body["iCalUId"] = ids
        .fresh("iCalUId")
        .simple()
        .to_string()
        .to_uppercase()
        .into();
    let mut event = StoredEvent {
        body,
        change_key: ids.fresh_change_key(),
        transaction_id: None,
        extended: Vec::new(),
    };
    let mut changes = vec![change(&account.id, &id, &event, "created")];
    let exact = data.directory.world.behaviour.booking == BookingNotifications::Exact;
    if is_room && !exact {
        for _ in 0..2 {
            event.change_key = ids.fresh_change_key();
            changes.push(change(&account.id, &id, &event, "updated"));
        }
    }
    data.events
        .entry(account.id.clone())
        .or_default()
        .insert(id, event);
    changes
}
