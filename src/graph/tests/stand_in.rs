//! A leaf that answers from a script and remembers what it was asked.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;
use tokio::time::Instant;
use tower::service_fn;

use crate::clock::{Clock, sleep};
use crate::graph::call::{Answer, Body, Call, Failure, NoAnswer, Outcome};
use crate::graph::cloud::Cloud;
use crate::graph::credential::Credential;
use crate::graph::gateway::{Connection, Gateway, GatewayOptions, TenantGateway, Writes};
use crate::graph::operation::Operation;
use crate::graph::transport::Leaf;
use crate::ids::{AppTenant, MailboxId};
use crate::metrics::Metrics;
use crate::secret::Secret;

pub(super) const START: &str = "2026-11-24T08:00:00Z";
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Debug)]
pub(super) enum Reply {
    Answer(u16, Vec<(&'static str, String)>, String),
    Lost(NoAnswer),
    /// Never.
    Silence,
}

impl Reply {
    pub(super) fn status(status: u16) -> Self {
        Self::error(status, "SomeCode", "")
    }

    pub(super) fn error(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({"error": {"code": code, "message": message}});
        Self::json(status, &body)
    }

    pub(super) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::Answer(status, Vec::new(), body.to_string())
    }

    pub(super) fn with(self, name: &'static str, value: &str) -> Self {
        match self {
            Self::Answer(status, mut headers, body) => {
                headers.push((name, value.to_owned()));
                Self::Answer(status, headers, body)
            }
            Self::Lost(_) | Self::Silence => panic!("silence has no headers"),
        }
    }
}

/// One attempt that reached the network.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) operation: Operation,
    pub(super) at: Duration,
    pub(super) bearer: Option<String>,
    pub(super) body: String,
}

#[derive(Clone)]
pub(super) struct StandIn {
    state: Arc<Mutex<State>>,
    clock: Clock,
    started: Instant,
    pub(super) metrics: Metrics,
}

#[derive(Default)]
struct State {
    script: HashMap<Operation, VecDeque<Reply>>,
    seen: Vec<Seen>,
    tokens: u32,
    expires_in: u32,
    refresh_in: Option<u32>,
    latency: Duration,
    /// Mailboxes about which nothing is ever answered.
    hanging: HashSet<String>,
    sent: usize,
    in_flight: usize,
    most_in_flight: usize,
}

impl StandIn {
    pub(super) fn new() -> Self {
        let state = State {
            expires_in: 3600,
            ..State::default()
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            clock: Clock::starting_at(START.parse().unwrap()),
            started: Instant::now(),
            metrics: Metrics::new().unwrap(),
        }
    }

    /// The next answers to `operation`; without any it succeeds.
    pub(super) fn script<const N: usize>(&self, operation: Operation, replies: [Reply; N]) {
        let mut state = self.state.lock().unwrap();
        state.script.entry(operation).or_default().extend(replies);
    }

    pub(super) fn answer_after(&self, latency: Duration) {
        self.state.lock().unwrap().latency = latency;
    }

    /// Nothing about this mailbox is answered any more, nor a batch that asks for it.
    pub(super) fn hang(&self, room: &MailboxId) {
        let mut state = self.state.lock().unwrap();
        state.hanging.insert(room.as_str().to_owned());
    }

    pub(super) fn answer_again(&self, room: &MailboxId) {
        self.state.lock().unwrap().hanging.remove(room.as_str());
    }

    pub(super) fn issue_tokens_for(&self, expires_in: u32, refresh_in: Option<u32>) {
        let mut state = self.state.lock().unwrap();
        state.expires_in = expires_in;
        state.refresh_in = refresh_in;
    }

    pub(super) fn seen(&self, operation: Operation) -> Vec<Seen> {
        let state = self.state.lock().unwrap();
        let of_operation = state.seen.iter().filter(|seen| seen.operation == operation);
        of_operation.cloned().collect()
    }

    pub(super) fn count(&self, operation: Operation) -> usize {
        self.seen(operation).len()
    }

    /// Requests that were sent; what is in a batch is not one.
    pub(super) fn sent(&self) -> usize {
        self.state.lock().unwrap().sent
    }

    pub(super) fn most_in_flight(&self) -> usize {
        self.state.lock().unwrap().most_in_flight
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Sets our own clock.
    pub(super) fn set_clock(&self, wall: Timestamp) {
        self.clock.set(wall);
    }

    pub(super) fn gateway(&self) -> Gateway {
        self.gateway_with(Writes::Allowed, || true)
    }

    pub(super) fn gateway_with(
        &self,
        writes: Writes,
        fence: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Gateway {
        let options = GatewayOptions {
            ca_pem: None,
            writes,
            fence: Arc::new(fence),
            default_patience: PATIENCE,
        };
        let stand_in = self.clone();
        let leaf = Leaf::new(service_fn(move |call| stand_in.clone().answer(call)));
        Gateway::with_leaf(leaf, options, self.clock.clone(), self.metrics.clone())
    }

    pub(super) fn tenant(&self) -> TenantGateway {
        self.gateway().tenant(connection(secret()))
    }

    async fn answer(self, call: Call) -> Outcome {
        let (reply, latency) = self.note(&call);
        let entered = InFlight::enter(&self);
        sleep(latency).await;
        let reply = match (reply, call.operation) {
            (Reply::Answer(200, headers, _), Operation::Batch) => match self.parts(&call) {
                Some(parts) => Reply::Answer(200, headers, parts),
                None => Reply::Silence,
            },
            (reply, _) => reply,
        };
        let outcome = match reply {
            Reply::Silence => std::future::pending().await,
            Reply::Lost(cause) => Err(Failure::NoAnswer {
                cause,
                attempt_id: call.attempt_id,
            }),
            Reply::Answer(status, headers, body) => Ok(self.compose(&call, status, headers, body)),
        };
        drop(entered);
        outcome
    }

    /// Answers each part of a batch as if it had come alone; `None` when one of them is never answered.
    fn parts(&self, envelope: &Call) -> Option<String> {
        let Body::Json(body) = &envelope.body else {
            panic!("a batch has a body")
        };
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        let responses: Option<Vec<serde_json::Value>> = body["requests"]
            .as_array()
            .unwrap()
            .iter()
            .map(|part| {
                let path = part["url"].as_str().unwrap();
                let mut url = envelope.url.clone();
                url.set_path(path.split('?').next().unwrap());
                let call = Call {
                    operation: operation_of(path),
                    url,
                    body: Body::Empty,
                    ..envelope.clone()
                };
                let Reply::Answer(status, headers, body) = self.note(&call).0 else {
                    return None;
                };
                Some(serde_json::json!({
                    "id": part["id"],
                    "status": status,
                    "headers": headers.into_iter().collect::<HashMap<_, _>>(),
                    "body": serde_json::from_str::<serde_json::Value>(&body).unwrap_or_default(),
                }))
            })
            .collect();
        Some(serde_json::json!({ "responses": responses? }).to_string())
    }

    fn note(&self, call: &Call) -> (Reply, Duration) {
        let mut state = self.state.lock().unwrap();
        state.seen.push(Seen {
            operation: call.operation,
            at: self.started.elapsed(),
            bearer: call
                .bearer
                .as_ref()
                .map(|bearer| bearer.expose().to_owned()),
            body: match &call.body {
                Body::Empty => String::new(),
                Body::Json(json) => json.to_string(),
                Body::Form(form) => form.expose().to_owned(),
            },
        });
        let segments = call.url.path_segments().into_iter().flatten();
        if segments
            .into_iter()
            .any(|part| state.hanging.contains(part))
        {
            return (Reply::Silence, state.latency);
        }
        let scripted = state
            .script
            .get_mut(&call.operation)
            .and_then(VecDeque::pop_front);
        let reply = scripted.unwrap_or_else(|| success(&mut state, call.operation));
        (reply, state.latency)
    }

    fn compose(
        &self,
        call: &Call,
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
    ) -> Answer {
        let headers: HeaderMap = headers
            .into_iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_str(&value).unwrap(),
                )
            })
            .collect();
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            body: body.into_bytes(),
            received_at: self.clock.now(),
            attempt_id: call.attempt_id,
        }
    }
}

/// What a part of a batch asks for.
fn operation_of(url: &str) -> Operation {
    let path = url.split('?').next().unwrap();
    match path.trim_start_matches('/').split('/').collect::<Vec<_>>()[..] {
        ["users"] => Operation::FindUsers,
        ["users", _] => Operation::GetUser,
        ["users", _, "calendar"] => Operation::GetCalendar,
        ["places", _] => Operation::GetPlace,
        ["subscriptions", _] => Operation::GetSubscription,
        _ => panic!("{url} does not belong into a batch"),
    }
}

/// Counts calls under way, also those that are given up.
struct InFlight(StandIn);

impl InFlight {
    fn enter(stand_in: &StandIn) -> Self {
        let mut state = stand_in.state.lock().unwrap();
        state.sent += 1;
        state.in_flight += 1;
        state.most_in_flight = state.most_in_flight.max(state.in_flight);
        Self(stand_in.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.state.lock().unwrap().in_flight -= 1;
    }
}

fn success(state: &mut State, operation: Operation) -> Reply {
    let subscription = serde_json::json!({
        "id": "s-1", "resource": "users/u-1/events", "notificationUrl": "https://hook.example/",
        "expirationDateTime": "2026-11-30T08:00:00Z",
    });
    let body = match operation {
        Operation::Token => {
            state.tokens += 1;
            serde_json::json!({
                "access_token": format!("token-{}", state.tokens),
                "expires_in": state.expires_in,
                "refresh_in": state.refresh_in,
            })
        }
        Operation::ListSubscriptions => serde_json::json!({"value": [subscription]}),
        Operation::CreateSubscription | Operation::RenewSubscription => subscription,
        Operation::Batch
        | Operation::GetOrganization
        | Operation::ListDomains
        | Operation::GetUser
        | Operation::FindUsers
        | Operation::GetCalendar
        | Operation::GetPlace
        | Operation::ListPlaces
        | Operation::CreateEvent
        | Operation::GetEvent
        | Operation::DeleteEvent
        | Operation::GetSubscription
        | Operation::DeleteSubscription => serde_json::json!({"id": "x-1"}),
    };
    Reply::json(200, &body)
}

pub(super) fn secret() -> Credential {
    Credential::ClientSecret(Secret::new("p&ss word".to_owned()))
}

pub(super) fn connection(credential: Credential) -> Connection {
    Connection {
        label: "calendars/contoso".to_owned(),
        app: AppTenant {
            cloud: "Worldwide".into(),
            tenant_id: "5f1d7a9c-1111-4000-8000-000000000001".into(),
            client_id: "5f1d7a9c-2222-4000-8000-000000000001".into(),
        },
        endpoints: Cloud::Worldwide.endpoints(),
        credential,
    }
}

pub(super) fn room(number: usize) -> MailboxId {
    MailboxId::new(format!("room-{number}"))
}
