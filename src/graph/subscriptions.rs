//! Operations on change-notification subscriptions (docs/graph.md 8.2).

use http::Method;
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use serde_json::json;

use crate::graph::call::Answer;
use crate::graph::error::GraphError;
use crate::graph::gateway::{Request, TenantGateway, parse};
use crate::graph::model::{Granted, NewSubscription, Subscription};
use crate::graph::operation::Operation;
use crate::graph::wire::WireSubscription;
use crate::ids::SubscriptionId;

impl TenantGateway {
    /// `POST /subscriptions`. Never repeated once Graph may have received it: after
    /// [`crate::graph::error::ErrorClass::Unavailable`] only a list tells whether it exists.
    pub async fn create_subscription(&self, new: &NewSubscription) -> Result<Granted, GraphError> {
        let operation = Operation::CreateSubscription;
        let request = Request::new(operation, Method::POST, self.url(&["subscriptions"]))
            .json(&json!({
                "changeType": "created,updated,deleted",
                "resource": format!("users/{}/events", new.mailbox),
                "notificationUrl": new.notification_url.as_str(),
                "lifecycleNotificationUrl": new.lifecycle_url.as_str(),
                "expirationDateTime": whole_seconds(new.expires_at),
                "clientState": new.client_state.expose(),
            }))
            .on(&new.mailbox);
        granted(operation, &self.send(request).await?)
    }

    /// `GET /subscriptions/{id}`.
    pub async fn get_subscription(&self, id: &SubscriptionId) -> Result<Subscription, GraphError> {
        let operation = Operation::GetSubscription;
        let answer = self.send(Request::get(operation, self.one(id))).await?;
        parse::<WireSubscription>(operation, &answer).map(Subscription::from)
    }

    /// `GET /subscriptions`: all that this application made in this tenant, whoever asked for them.
    pub async fn list_subscriptions(&self) -> Result<Vec<Subscription>, GraphError> {
        let all: Vec<WireSubscription> = self
            .all_pages(Operation::ListSubscriptions, self.url(&["subscriptions"]))
            .await?;
        Ok(all.into_iter().map(Subscription::from).collect())
    }

    /// `PATCH /subscriptions/{id}`: lives until `until`, if Graph grants it.
    pub async fn renew_subscription(
        &self,
        id: &SubscriptionId,
        until: Timestamp,
    ) -> Result<Granted, GraphError> {
        let operation = Operation::RenewSubscription;
        let request = Request::new(operation, Method::PATCH, self.one(id))
            .json(&json!({ "expirationDateTime": whole_seconds(until) }));
        granted(operation, &self.send(request).await?)
    }

    /// `DELETE /subscriptions/{id}`. `NotFound` when it is gone already.
    pub async fn delete_subscription(&self, id: &SubscriptionId) -> Result<(), GraphError> {
        let request = Request::new(Operation::DeleteSubscription, Method::DELETE, self.one(id));
        self.send(request).await.map(drop)
    }

    fn one(&self, id: &SubscriptionId) -> url::Url {
        self.url(&["subscriptions", id.as_str()])
    }
}

fn granted(operation: Operation, answer: &Answer) -> Result<Granted, GraphError> {
    let subscription: WireSubscription = parse(operation, answer)?;
    Ok(Granted {
        id: SubscriptionId::new(subscription.id),
        granted_at: answer.date().unwrap_or(answer.received_at),
        expires_at: subscription.expires_at,
    })
}

/// Never later than asked for: Graph refuses a second too much.
fn whole_seconds(instant: Timestamp) -> String {
    let round = TimestampRound::new()
        .smallest(Unit::Second)
        .mode(RoundMode::Floor);
    instant.round(round).unwrap_or(instant).to_string()
}
