//! Somebody else who works in the same organization through the same application: a client of Graph with a receiver
//! of its own, whose subscriptions nobody but it may touch.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::Query;
use graph_emulator::{Emulator, SubscriptionView};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::scene::{CLIENT, SECRET, TENANT};

/// The path at which another installation of the operator, in another cluster, would be notified.
pub(super) const STRANGER: &str =
    "/v1/notifications/feedfacecafebeef/0123456789abcdef/5f1d7a9c-9999-4000-8000-000000000009";

/// Nobody has this UID.
pub(super) const NOBODY: &str = "5f1d7a9c-9999-4000-8000-000000000009";

/// `/v1/notifications/{installation}/{namespace}` of the first of these that an operator made.
pub(super) fn installation(all: &[SubscriptionView]) -> String {
    let is_ours = |url: &&str| url.contains("/v1/notifications/") && !url.ends_with(STRANGER);
    let mut urls = all.iter().map(|one| one.notification_url.as_str());
    let url = urls.find(is_ours).unwrap();
    let (_, path) = url.split_once("/v1/").unwrap();
    format!("/v1/{}", path.rsplit_once('/').unwrap().0)
}

pub(super) struct Neighbour {
    client: reqwest::Client,
    graph: String,
    token: String,
    receiver: SocketAddr,
    serving: JoinHandle<()>,
    subscriptions: Vec<SubscriptionView>,
}

impl Neighbour {
    pub(super) async fn new(emulator: &Emulator) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = listener.local_addr().unwrap();
        let echo = async |Query(query): Query<HashMap<String, String>>| {
            query.get("validationToken").cloned().unwrap_or_default()
        };
        let router = Router::new().fallback(echo);
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let mut neighbour = Self {
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            graph: emulator.base_url().trim_end_matches('/').to_owned(),
            token: String::new(),
            receiver,
            serving,
            subscriptions: Vec::new(),
        };
        neighbour.token = neighbour.log_in().await;
        neighbour
    }

    /// One that has a subscription of its own, and one in the name of another installation, to a mailbox.
    pub(super) async fn of(emulator: &Emulator, address: &str) -> Self {
        let mut neighbour = Self::new(emulator).await;
        neighbour
            .subscribe(emulator, address, ("updated", "/bookings"))
            .await;
        neighbour
            .subscribe(emulator, address, ("deleted", STRANGER))
            .await;
        neighbour
    }

    async fn log_in(&self) -> String {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", CLIENT),
            ("client_secret", SECRET),
            ("scope", "https://graph.microsoft.com/.default"),
        ];
        let url = format!("{}/{TENANT}/oauth2/v2.0/token", self.graph);
        let answer = self.client.post(url).form(&form).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        answer["access_token"].as_str().unwrap().to_owned()
    }

    /// Subscribes to one kind of change of a mailbox; notifications go to a path of the own receiver.
    pub(super) async fn subscribe(
        &mut self,
        emulator: &Emulator,
        address: &str,
        (change, path): (&str, &str),
    ) -> String {
        let expires = emulator.now() + Duration::from_hours(24);
        let body = json!({
            "changeType": change,
            "resource": format!("users/{address}/events"),
            "notificationUrl": format!("http://{}{path}", self.receiver),
            "expirationDateTime": expires.to_string(),
        });
        let url = format!("{}/v1.0/subscriptions", self.graph);
        let request = self.client.post(url).bearer_auth(&self.token).json(&body);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        let id = answer["id"].as_str();
        let id = id.unwrap_or_else(|| panic!("{answer:#}")).to_owned();
        let made = emulator.subscriptions().into_iter().find(|s| s.id == id);
        self.subscriptions.push(made.unwrap());
        id
    }

    /// Fails if anything of the neighbour's was touched; returns what is not the neighbour's.
    pub(super) fn others(&self, emulator: &Emulator) -> Vec<SubscriptionView> {
        let mut all = emulator.subscriptions();
        for own in &self.subscriptions {
            let at = all.iter().position(|one| one == own);
            all.remove(at.unwrap_or_else(|| panic!("{own:?} was touched: {all:?}")));
        }
        all
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
