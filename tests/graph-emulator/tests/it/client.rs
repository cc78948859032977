//! A small client: just enough to ask, nothing that could agree with the emulator by accident.

use axum::body::Body;
use graph_emulator::{Emulator, EmulatorService, Operation, Options, World};
use http::{HeaderMap, Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use url::form_urlencoded;

pub(crate) const TENANT: &str = "5f1d7a9c-1111-4000-8000-000000000001";
pub(crate) const CLIENT: &str = "5f1d7a9c-2222-4000-8000-000000000001";
pub(crate) const WORLD: &str = include_str!("../../examples/world.yaml");

pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Reply {
    pub(crate) fn code(&self) -> (u16, &str) {
        let code = self.body["error"]["code"].as_str().unwrap_or_default();
        (self.status.as_u16(), code)
    }

    pub(crate) fn message(&self) -> &str {
        self.body["error"]["message"].as_str().unwrap_or_default()
    }
}

/// An emulator and a token for its application.
pub(crate) struct Client {
    pub(crate) emulator: Emulator,
    pub(crate) token: String,
    service: EmulatorService,
}

impl Client {
    /// The world of the example, changed.
    pub(crate) async fn with(change: impl FnOnce(&mut World)) -> Self {
        let mut world = World::from_yaml(WORLD).unwrap();
        change(&mut world);
        let emulator = Emulator::start(world, Options::default()).await.unwrap();
        let service = emulator.service();
        let mut client = Self {
            emulator,
            token: String::new(),
            service,
        };
        client.sign_in().await;
        client
    }

    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn sign_in(&mut self) {
        let reply = self.token_with(&[]).await;
        let token = reply.body["access_token"].as_str();
        token.unwrap_or_default().clone_into(&mut self.token);
    }

    /// Asks for a token by secret, with some fields changed (`""` leaves one out).
    pub(crate) async fn token_with(&self, changes: &[(&str, &str)]) -> Reply {
        self.token_at(TENANT, changes).await
    }

    pub(crate) async fn token_at(&self, tenant: &str, changes: &[(&str, &str)]) -> Reply {
        let mut fields = vec![
            ("grant_type", "client_credentials"),
            ("client_id", CLIENT),
            ("client_secret", "demo-secret"),
            ("scope", "https://graph.microsoft.com/.default"),
        ];
        fields.retain(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
        fields.extend(changes.iter().filter(|(_, value)| !value.is_empty()));
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let request = Request::post(format!("/{tenant}/oauth2/v2.0/token"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(form))
            .unwrap();
        self.send(request).await
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.service.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
        Reply {
            status: head.status,
            headers: head.headers,
            body: serde_json::from_slice(&bytes).unwrap_or_else(|_| text()),
        }
    }

    pub(crate) fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Request<Body> {
        let request = Request::builder()
            .method(method)
            .uri(format!("/v1.0/{path}"))
            .header("authorization", format!("Bearer {}", self.token));
        match body {
            Some(body) => request
                .header("content-type", "application/json")
                .body(Body::from(body.to_string())),
            None => request.body(Body::empty()),
        }
        .unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(self.request("GET", path, None)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(self.request("POST", path, Some(body))).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Reply {
        self.send(self.request("PATCH", path, Some(body))).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.send(self.request("DELETE", path, None)).await
    }

    /// A subscription of a mailbox that lives for so many minutes.
    pub(crate) fn subscription(&self, mailbox: &str, url: &str, minutes: i64) -> Value {
        let until = self.emulator.now() + jiff::SignedDuration::from_mins(minutes);
        json!({
            "changeType": "created,updated,deleted",
            "notificationUrl": format!("{url}/notifications"),
            "lifecycleNotificationUrl": format!("{url}/lifecycle"),
            "resource": format!("users/{mailbox}/events"),
            "expirationDateTime": until.to_string(),
            "clientState": "state",
        })
    }

    pub(crate) fn count(&self, operation: Operation, status: u16) -> u64 {
        self.emulator.counts().with_status(operation, status)
    }
}
