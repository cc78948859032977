//! The routes that Graph calls, and how each request is answered
//! (<https://learn.microsoft.com/graph/change-notifications-delivery-webhooks>).
//!
//! Forged and unknown notifications get the same answer as good ones: nobody learns from it. Until the keys
//! are loaded the answer is 503, because Graph repeats for hours what is answered with a 5xx. A handshake
//! needs nothing but its token. `GET /` tells load balancers, many of which ask nothing else, whether notifications
//! can be taken.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout};
use url::form_urlencoded;

use super::item::{Body, Item};
use super::wake::{LifecycleEvent, Wake, WakeQueue};
use crate::clock::Clock;
use crate::domain::identity::{Identity, Target, TargetKind};
use crate::ids::Uid;
use crate::metrics::{MISSED, Metrics};

/// Longest body that is read.
pub const BODY_LIMIT: usize = 1024 * 1024;

/// Longest validation token that is sent back; Graph's have about 150 characters.
pub const TOKEN_LIMIT: usize = 2048;

/// How much of all bodies together is in memory at once, in KiB.
const BODY_BUDGET: u32 = 16 * 1024;

/// How long a request waits for its share of that, and then for its body to arrive. Together below the ten
/// seconds after which Graph gives up.
const BUDGET_TIMEOUT: Duration = Duration::from_secs(2);
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// Finds the metric label of the tenant of an object.
pub trait TenantLabels: Send + Sync + fmt::Debug {
    /// Of the object with this UID.
    fn label(&self, uid: &Uid) -> TenantLabel;
}

/// Which tenant a notification counts for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TenantLabel {
    /// `namespace/name` of the CalendarTenant.
    Named(Arc<str>),
    /// Nobody can say: this process does not lead, or the tenant is gone.
    Unnamed,
    /// There is no such object (any more, or yet).
    NoObject,
}

/// Installation and keys; empty until they are loaded, exchanged when a key is added.
pub type IdentitySlot = Arc<ArcSwapOption<Identity>>;

/// What the receiver works with. Clones share it.
#[derive(Clone, Debug)]
pub struct ReceiverState {
    identity: IdentitySlot,
    labels: Arc<dyn TenantLabels>,
    wakes: WakeQueue,
    metrics: Metrics,
    clock: Clock,
    budget: Arc<Semaphore>,
}

/// Results of notifications that no tenant is known to have got.
const UNTRUSTED: [&str; 5] = ["forged", "unknown", "malformed", "oversized", UNAVAILABLE];

/// Result of a request that was put off: there is no key yet, or no room for its body.
const UNAVAILABLE: &str = "unavailable";

impl ReceiverState {
    /// Verifies by `identity`, counts in `metrics` and sends lifecycle events to `wakes`.
    #[must_use]
    pub fn new(
        identity: IdentitySlot,
        labels: Arc<dyn TenantLabels>,
        wakes: WakeQueue,
        metrics: Metrics,
        clock: Clock,
    ) -> Self {
        // A counter that appears with its first event hides that event from whoever asks for an increase.
        for result in UNTRUSTED {
            metrics.notifications.with_label_values(&[result, ""]);
        }
        // Where this process does not lead, no tenant is known to have lost any.
        metrics.lifecycle_events.with_label_values(&[MISSED, ""]);
        Self {
            identity,
            labels,
            wakes,
            metrics,
            clock,
            budget: Arc::new(Semaphore::new(BODY_BUDGET as usize)),
        }
    }
}

/// All routes, below any base path: an Ingress may or may not strip it.
pub fn router(state: ReceiverState) -> Router {
    Router::new()
        .fallback(answer)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(state)
}

async fn answer(State(state): State<ReceiverState>, request: Request) -> Response {
    if request.uri().path() == "/" && matches!(*request.method(), Method::GET | Method::HEAD) {
        return health(&state).into_response();
    }
    let Some(target) = Target::parse_path(request.uri().path()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if request.method() != Method::POST {
        let allow = [(header::ALLOW, "POST")];
        return (StatusCode::METHOD_NOT_ALLOWED, allow).into_response();
    }
    if let Some(token) = validation_token(&request) {
        return handshake(token);
    }
    let started = Instant::now();
    let mut on_its_way = Duration::ZERO;
    let status = receive(&state, &target, request, &mut on_its_way).await;
    if status == StatusCode::SERVICE_UNAVAILABLE {
        state.count(UNAVAILABLE, None);
    }
    // A sender who is slow, whoever that is, says nothing about how fast we are.
    let ours = started.elapsed().saturating_sub(on_its_way);
    let answered = &state.metrics.notification_response_seconds;
    answered.observe(ours.as_secs_f64());
    status.into_response()
}

/// Whether notifications are taken here.
fn health(state: &ReceiverState) -> StatusCode {
    if state.identity.load().is_some() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

/// The decoded token, if the request is a handshake.
fn validation_token(request: &Request) -> Option<String> {
    form_urlencoded::parse(request.uri().query()?.as_bytes())
        .find(|(name, _)| name == "validationToken")
        .map(|(_, token)| token.into_owned())
}

/// Sends the token back as text that no browser takes for anything else.
fn handshake(token: String) -> Response {
    if token.is_empty() || token.len() > TOKEN_LIMIT {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let headers = [
        (header::CONTENT_TYPE, "text/plain"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, token).into_response()
}

/// What the request is answered with; `on_its_way` becomes the time for which its body was waited for.
async fn receive(
    state: &ReceiverState,
    target: &Target,
    request: Request,
    on_its_way: &mut Duration,
) -> StatusCode {
    let Some(identity) = state.identity.load_full() else {
        return StatusCode::SERVICE_UNAVAILABLE;
    };
    if target.instance != identity.instance {
        // Nobody may fill the memory for bodies without an address of ours.
        state.count("unknown", None);
        return StatusCode::ACCEPTED;
    }
    let Some(_share) = share(state, announced_kibibytes(&request)).await else {
        return StatusCode::SERVICE_UNAVAILABLE;
    };
    let waiting = Instant::now();
    let body = timeout(BODY_TIMEOUT, Bytes::from_request(request, state)).await;
    *on_its_way = waiting.elapsed();
    let body = match body {
        Ok(Ok(body)) => body,
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            state.count("oversized", None);
            return StatusCode::PAYLOAD_TOO_LARGE;
        }
        // Cut off, or too slow.
        Ok(Err(_)) | Err(_) => {
            state.count("malformed", None);
            return StatusCode::BAD_REQUEST;
        }
    };
    let Ok(Body { value }) = serde_json::from_slice(&body) else {
        state.count("malformed", None);
        return StatusCode::BAD_REQUEST;
    };
    for item in &value {
        state.take(&identity, target, item);
    }
    StatusCode::ACCEPTED
}

/// Length of the body in KiB, rounded up; the most there can be when it is not announced.
fn announced_kibibytes(request: &Request) -> u32 {
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok())
        .unwrap_or(BODY_LIMIT)
        .min(BODY_LIMIT);
    u32::try_from(announced / 1024 + 1).unwrap_or(BODY_BUDGET)
}

/// A share of the memory for bodies; `None` when there is none in time.
async fn share(state: &ReceiverState, kibibytes: u32) -> Option<SemaphorePermit<'_>> {
    let permit = state.budget.acquire_many(kibibytes);
    timeout(BUDGET_TIMEOUT, permit).await.ok()?.ok()
}

impl ReceiverState {
    /// Verifies one item and does what follows from it.
    fn take(&self, identity: &Identity, target: &Target, item: &Item) {
        if !is_genuine(identity, target, item) {
            return self.count("forged", None);
        }
        let tenant = match self.labels.label(&target.uid) {
            TenantLabel::Named(tenant) => {
                self.count("accepted", Some(&tenant));
                let seconds = self.clock.now().as_second();
                let last = &self.metrics.last_notification;
                last.with_label_values(&[&*tenant]).set(seconds);
                Some(tenant)
            }
            TenantLabel::Unnamed => {
                self.count("accepted", None);
                None
            }
            TenantLabel::NoObject => {
                self.count("unknown", None);
                None
            }
        };
        match target.kind {
            TargetKind::Change => {}
            TargetKind::Lifecycle => self.wake(target.uid, item, tenant.as_deref()),
        }
    }

    /// Our signature is enough for a wake: after a start, an object may be known here a moment later.
    fn wake(&self, uid: Uid, item: &Item, tenant: Option<&str>) {
        let named = item.lifecycle_event.as_deref();
        let event = named.and_then(LifecycleEvent::parse);
        let label = event.map_or("other", LifecycleEvent::as_str);
        self.metrics
            .lifecycle_events
            .with_label_values(&[label, tenant.unwrap_or_default()])
            .inc();
        if let Some(event) = event {
            self.wakes.push(Wake { uid, event });
        }
    }

    fn count(&self, result: &str, tenant: Option<&str>) {
        self.metrics
            .notifications
            .with_label_values(&[result, tenant.unwrap_or_default()])
            .inc();
    }
}

fn is_genuine(identity: &Identity, target: &Target, item: &Item) -> bool {
    let (Some(state), Some(tenant)) = (&item.client_state, &item.tenant_id) else {
        return false;
    };
    identity.keys.verify(state, target.uid, tenant).is_ok()
}
