//! Operations on one mailbox: calendar, place, the event of the provisioning check (docs/graph.md 5, 6, 7).

use http::Method;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::graph::error::GraphError;
use crate::graph::gateway::{Request, TenantGateway, parse};
use crate::graph::model::{Calendar, Event, EventId, Place, TestEvent};
use crate::graph::operation::Operation;
use crate::graph::wire::{Page, WireCalendar, WireEvent, WirePlace};
use crate::ids::MailboxId;

impl TenantGateway {
    /// `GET /users/{id}/calendar`: proves that the mailbox exists and may be read.
    pub async fn calendar(&self, mailbox: &MailboxId) -> Result<Calendar, GraphError> {
        let operation = Operation::GetCalendar;
        let url = self.url(&["users", mailbox.as_str(), "calendar"]);
        let request = Request::get(operation, url)
            .query("$select", "id,owner")
            .on(mailbox);
        let answer = self.send(request).await?;
        parse::<WireCalendar>(operation, &answer).map(Calendar::from)
    }

    /// `GET /places/{address}`: the room as Places knows it.
    pub async fn place(&self, address: &str) -> Result<Place, GraphError> {
        let operation = Operation::GetPlace;
        let request =
            Request::get(operation, self.url(&["places", address])).on(&MailboxId::new(address));
        let answer = self.send(request).await?;
        parse::<WirePlace>(operation, &answer).map(Place::from)
    }

    /// `GET /places/microsoft.graph.room`, one page: proves the permission.
    pub async fn first_places(&self) -> Result<Vec<Place>, GraphError> {
        let operation = Operation::ListPlaces;
        let url = self.url(&["places", "microsoft.graph.room"]);
        let answer = self
            .send(Request::get(operation, url).query("$top", "1"))
            .await?;
        let page: Page<WirePlace> = parse(operation, &answer)?;
        Ok(page.value.into_iter().map(Place::from).collect())
    }

    /// `GET /places/microsoft.graph.room`: all rooms that Places knows; `None` when they are on more than `most` pages.
    pub async fn rooms(&self, most: usize) -> Result<Option<Vec<Place>>, GraphError> {
        let url = self.url(&["places", "microsoft.graph.room"]);
        let rooms: Option<Vec<WirePlace>> = self.pages(Operation::ListPlaces, url, most).await?;
        Ok(rooms.map(|rooms| rooms.into_iter().map(Place::from).collect()))
    }

    /// `POST /users/{id}/events`. Never repeated once Graph may have received it.
    pub async fn create_event(
        &self,
        mailbox: &MailboxId,
        event: &TestEvent,
    ) -> Result<EventId, GraphError> {
        let operation = Operation::CreateEvent;
        let url = self.url(&["users", mailbox.as_str(), "events"]);
        let request = Request::new(operation, Method::POST, url)
            .json(&event_body(event))
            .on(mailbox);
        let answer = self.send(request).await?;
        parse::<WireEvent>(operation, &answer).map(|event| Event::from(event).id)
    }

    /// `GET /users/{id}/events/{id}`, without its content.
    pub async fn get_event(&self, mailbox: &MailboxId, id: &EventId) -> Result<Event, GraphError> {
        let operation = Operation::GetEvent;
        let url = self.url(&["users", mailbox.as_str(), "events", &id.0]);
        let request = Request::get(operation, url)
            .query("$select", "id,transactionId")
            .on(mailbox);
        let answer = self.send(request).await?;
        parse::<WireEvent>(operation, &answer).map(Event::from)
    }

    /// `DELETE /users/{id}/events/{id}`.
    pub async fn delete_event(&self, mailbox: &MailboxId, id: &EventId) -> Result<(), GraphError> {
        let url = self.url(&["users", mailbox.as_str(), "events", &id.0]);
        let request = Request::new(Operation::DeleteEvent, Method::DELETE, url).on(mailbox);
        self.send(request).await.map(drop)
    }
}

fn event_body(event: &TestEvent) -> Value {
    json!({
        "subject": event.subject,
        "start": date_time(event.start),
        "end": date_time(event.end),
        "showAs": "free",
        "transactionId": event.transaction_id,
    })
}

fn date_time(instant: Timestamp) -> Value {
    let civil = instant.to_zoned(TimeZone::UTC).datetime();
    json!({ "dateTime": civil.strftime("%Y-%m-%dT%H:%M:%S").to_string(), "timeZone": "UTC" })
}
