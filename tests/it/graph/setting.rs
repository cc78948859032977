//! A small organization, a gateway to it and a receiver that Graph may validate.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Query;
use axum::response::{IntoResponse, Response};
use graph_emulator::{Emulator, Options, World};
use hybrid_calendar_operator::clock::Clock;
use hybrid_calendar_operator::graph::cloud::Endpoints;
use hybrid_calendar_operator::graph::credential::Credential;
use hybrid_calendar_operator::graph::gateway::{
    Connection, Gateway, GatewayOptions, TenantGateway, Writes,
};
use hybrid_calendar_operator::graph::model::NewSubscription;
use hybrid_calendar_operator::ids::{AppTenant, MailboxId};
use hybrid_calendar_operator::metrics::Metrics;
use hybrid_calendar_operator::secret::Secret;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use url::Url;

pub(super) const TENANT: &str = "5f1d7a9c-1111-4000-8000-000000000001";
pub(super) const CLIENT: &str = "5f1d7a9c-2222-4000-8000-000000000001";
pub(super) const SECRET: &str = "demo-secret";
pub(super) const ROOM: &str = "room-a@contoso.example";

/// Patience that never matters in these tests.
const PATIENCE: Duration = Duration::from_secs(10);

/// The organization; tests change it before they start it.
pub(super) fn contoso() -> Value {
    json!({"tenants": [{
        "id": TENANT,
        "displayName": "Contoso",
        "domains": [
            {"name": "Contoso.example", "default": true},
            {"name": "contoso.onmicrosoft.com", "initial": true},
            {"name": "old.example", "verified": false},
        ],
        "applications": [{
            "clientId": CLIENT,
            "secrets": [{"value": SECRET}],
            "roles": [
                "User.Read.All", "Calendars.Read", "Calendars.ReadWrite", "Place.Read.All",
                "Domain.Read.All", "Organization.Read.All",
            ],
        }],
        "mailboxes": [
            {"address": ROOM, "type": "room", "displayName": "Room A", "aliases": ["a@contoso.example"]},
            {"address": "room-b@contoso.example", "type": "room"},
            {"address": "o'neil@contoso.example", "type": "user"},
            {"address": "ceo@contoso.example", "type": "user"},
            {"address": "hidden@contoso.example", "type": "room", "listed": false},
            {"address": "legacy@contoso.example", "type": "room", "location": "onPremises"},
            {"address": "gone@contoso.example", "type": "room", "location": "softDeleted"},
            {"address": "guest@fabrikam.example", "type": "user", "guest": true},
        ],
    }]})
}

/// `contoso` with other fields of its application.
pub(super) fn contoso_with_application(fields: &Value) -> Value {
    let mut world = contoso();
    let application = world["tenants"][0]["applications"][0]
        .as_object_mut()
        .unwrap();
    application.extend(fields.as_object().unwrap().clone());
    world
}

pub(super) fn world(value: &Value) -> World {
    World::from_yaml(&value.to_string()).unwrap()
}

pub(super) async fn start(value: &Value) -> Emulator {
    Emulator::start(world(value), Options::default())
        .await
        .unwrap()
}

/// Every request was one that Graph knows.
pub(super) fn assert_understood(emulator: &Emulator) {
    let journal = emulator.journal(0);
    let strange: Vec<_> = journal.iter().filter(|entry| entry.status == 501).collect();
    assert!(strange.is_empty(), "{strange:?}");
}

pub(super) fn gateway() -> Gateway {
    gateway_that_trusts(None)
}

pub(super) fn gateway_that_trusts(ca_pem: Option<Vec<u8>>) -> Gateway {
    let options = GatewayOptions {
        ca_pem,
        writes: Writes::Allowed,
        fence: Arc::new(|| true),
        default_patience: PATIENCE,
    };
    Gateway::new(options, Clock::system(), Metrics::new().unwrap()).unwrap()
}

pub(super) fn secret(text: &str) -> Credential {
    Credential::ClientSecret(Secret::new(text.to_owned()))
}

pub(super) fn connection(emulator: &Emulator, credential: Credential) -> Connection {
    let base: Url = emulator.base_url().parse().unwrap();
    Connection {
        label: "calendars/contoso".to_owned(),
        app: AppTenant {
            cloud: base.as_str().into(),
            tenant_id: TENANT.into(),
            client_id: CLIENT.into(),
        },
        endpoints: Endpoints {
            login: base.clone(),
            graph: base,
        },
        credential,
    }
}

pub(super) fn tenant(emulator: &Emulator) -> TenantGateway {
    gateway().tenant(connection(emulator, secret(SECRET)))
}

/// The id of whoever has `address`.
pub(super) async fn mailbox(tenant: &TenantGateway, address: &str) -> MailboxId {
    let found = tenant.find_users(address).await.unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].id.clone()
}

/// The base URL of a receiver that answers validations as Graph wants.
pub(super) async fn receiver() -> Url {
    serve(Router::new().fallback(echo)).await
}

pub(super) async fn serve(router: Router) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, router).into_future());
    base.parse().unwrap()
}

async fn echo(Query(query): Query<Vec<(String, String)>>) -> Response {
    match query
        .into_iter()
        .find(|(name, _)| name == "validationToken")
    {
        Some((_, token)) => token.into_response(),
        None => http::StatusCode::ACCEPTED.into_response(),
    }
}

pub(super) fn subscription(mailbox: &MailboxId, receiver: &Url) -> NewSubscription {
    NewSubscription {
        mailbox: mailbox.clone(),
        notification_url: receiver.join("v1/notifications/x").unwrap(),
        lifecycle_url: receiver.join("v1/lifecycle/x").unwrap(),
        client_state: Secret::new("state".to_owned()),
        expires_at: from_now(SignedDuration::from_hours(100)),
    }
}

pub(super) fn from_now(duration: SignedDuration) -> Timestamp {
    Clock::system().now() + duration
}
