//! Rooms as Places knows them, and the default calendar that proves that a mailbox can be read.

use serde_json::{Value, json};

use super::access::{self, Need, place_role};
use super::error::error;
use super::query::{Query, context_url, page, project};
use super::{Reading, Result};
use crate::call::Answer;
use crate::state::directory::Account;
use crate::world::UnknownPlace;

const PLACES_PAGE: usize = 100;
const LARGEST_PAGE: usize = 1000;

pub(super) fn places(reading: &Reading<'_>) -> Result {
    place_role(reading.caller)?;
    let query = Query::read(
        reading.call,
        &["select", "top", "skip", "skiptoken", "count"],
    )?;
    let select = query.select();
    let rooms: Vec<&Account> = reading
        .tenant
        .mailboxes
        .iter()
        .filter(|account| account.is_place())
        .collect();
    let usual = reading.page_size(PLACES_PAGE);
    let page = page(rooms.into_iter(), &query, usual, LARGEST_PAGE)?;
    let body = page.into_json(reading.call, "places/microsoft.graph.room", |account| {
        project(room_json(account), select.as_deref(), &[])
    })?;
    Ok(Answer::ok(body))
}

pub(super) fn place(reading: &Reading<'_>, name: &str) -> Result {
    place_role(reading.caller)?;
    let query = Query::read(reading.call, &["select"])?;
    let Some(account) = reading.tenant.place(name) else {
        let message = match reading.behaviour().unknown_place {
            UnknownPlace::Empty => String::new(),
            UnknownPlace::InvalidPlace => {
                let message = format!("place in {name} not found");
                json!({"code": "invalid_place", "message": message}).to_string()
            }
        };
        return Err(error(404, "UnknownError", message).into());
    };
    let mut body = project(room_json(account), query.select().as_deref(), &[])?;
    body["@odata.context"] = context_url(reading.call, "places/$entity").into();
    body["@odata.type"] = "#microsoft.graph.room".into();
    Ok(Answer::ok(body))
}

fn room_json(account: &Account) -> Value {
    json!({
        "id": account.place_id,
        "placeId": account.place_id,
        "displayName": account.display_name,
        "emailAddress": account.spec.address,
        "capacity": account.spec.capacity,
        "bookingType": "standard",
        "building": null,
        "floorNumber": null,
        "floorLabel": null,
        "nickname": account.display_name,
        "label": null,
        "audioDeviceName": null,
        "videoDeviceName": null,
        "displayDeviceName": null,
        "teamsEnabledState": "unknown",
        "isWheelChairAccessible": false,
        "phone": null,
        "parentId": null,
        "tags": [],
        "address": null,
        "geoCoordinates": null,
    })
}

pub(super) fn calendar(reading: &Reading<'_>, name: &str) -> Result {
    let account = access::mailbox(reading.tenant, reading.caller, name, Need::ReadCalendar)
        .map_err(|obstacle| obstacle.refusal(&reading.data.directory, name))?;
    let query = Query::read(reading.call, &["select"])?;
    let calendar = json!({
        "id": account.calendar_id,
        "name": "Calendar",
        "color": "auto",
        "hexColor": "",
        "isDefaultCalendar": true,
        "changeKey": account.calendar_id.get(4..28),
        "canShare": true,
        "canViewPrivateItems": true,
        "canEdit": true,
        "allowedOnlineMeetingProviders": ["teamsForBusiness"],
        "defaultOnlineMeetingProvider": "teamsForBusiness",
        "isTallyingResponses": true,
        "isRemovable": false,
        "owner": {"name": account.display_name, "address": account.spec.address},
    });
    let mut body = project(calendar, query.select().as_deref(), &["id"])?;
    let context = format!("users('{}')/calendar/$entity", account.id);
    body["@odata.context"] = context_url(reading.call, &context).into();
    Ok(Answer::ok(body))
}
