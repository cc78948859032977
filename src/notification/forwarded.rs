//! The port at which the copy that leads takes what other copies were told by Graph.
//!
//! What comes is which objects to look at, and why: the notification that said so was verified by whoever got it, and
//! nothing of it is here. Who has none of our keys is refused, and so is what was sent before. The port is no part of
//! the receiver, which the internet reaches.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::receiver::IdentitySlot;
use super::wake::{LifecycleEvent, Wake, WakeQueue};
use crate::clock::Clock;
use crate::domain::identity::forward::{NotAgain, Seal, Used};
use crate::ids::Uid;
use crate::metrics::Metrics;

/// Where wakes are taken.
pub const PATH: &str = "/v1/wakes";

/// The scheme of `Authorization`, before the seal.
pub(super) const SCHEME: &str = "HybridCalendarWakes";

/// So many wakes travel together.
pub const BATCH: usize = 500;

/// Longest body that is read: more than that many take.
pub const BODY_LIMIT: usize = 64 * 1024;

/// How many bodies are in memory at once.
const BODIES: usize = 16;

/// How long a body may be on its way.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// What one copy sends to another.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Message {
    wakes: Vec<Entry>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Entry {
    uid: String,
    event: String,
}

impl Message {
    pub(super) fn of(wakes: &[Wake]) -> Self {
        let entry = |wake: &Wake| Entry {
            uid: wake.uid.to_string(),
            event: wake.event.as_str().to_owned(),
        };
        Self {
            wakes: wakes.iter().map(entry).collect(),
        }
    }

    /// What it says, without events that a newer copy may know; nothing if it is none of ours.
    fn read(body: &[u8]) -> Option<Vec<Wake>> {
        let Self { wakes } = serde_json::from_slice(body).ok()?;
        if wakes.len() > BATCH {
            return None;
        }
        let mut read = Vec::with_capacity(wakes.len());
        for Entry { uid, event } in wakes {
            let uid = Uid::parse(&uid)?;
            read.extend(LifecycleEvent::parse(&event).map(|event| Wake { uid, event }));
        }
        Some(read)
    }
}

/// What the port works with. Clones share it.
#[derive(Clone, Debug)]
pub struct ForwardedState {
    identity: IdentitySlot,
    /// As the Lease calls this process.
    me: Arc<str>,
    leading: watch::Receiver<bool>,
    wakes: WakeQueue,
    metrics: Metrics,
    clock: Clock,
    used: Arc<Mutex<Used>>,
    bodies: Arc<Semaphore>,
}

impl ForwardedState {
    /// Takes what copies with keys of `identity` send to `me` while this process leads.
    #[must_use]
    pub fn new(
        (me, leading): (Arc<str>, watch::Receiver<bool>),
        identity: IdentitySlot,
        wakes: WakeQueue,
        metrics: Metrics,
        clock: Clock,
    ) -> Self {
        Self {
            identity,
            me,
            leading,
            wakes,
            metrics,
            clock,
            used: Arc::default(),
            bodies: Arc::new(Semaphore::new(BODIES)),
        }
    }
}

/// The one route.
pub fn router(state: ForwardedState) -> Router {
    Router::new()
        .route(PATH, post(answer))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(state)
}

/// What became of a message: how it is counted, and what the sender hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Accepted,
    Unsigned,
    Stale,
    Forged,
    Replayed,
    Malformed,
    Oversized,
    /// Not now: there is no key or no room, or this copy does not lead.
    Unavailable,
}

impl Outcome {
    const fn label(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Unsigned => "unsigned",
            Self::Stale => "stale",
            Self::Forged => "forged",
            Self::Replayed => "replayed",
            Self::Malformed => "malformed",
            Self::Oversized => "oversized",
            Self::Unavailable => "unavailable",
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::Accepted => StatusCode::ACCEPTED,
            Self::Unsigned | Self::Forged => StatusCode::UNAUTHORIZED,
            Self::Stale | Self::Replayed => StatusCode::FORBIDDEN,
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Oversized => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

async fn answer(State(state): State<ForwardedState>, request: Request) -> StatusCode {
    let outcome = match take(&state, request).await {
        Ok(()) => Outcome::Accepted,
        Err(outcome) => outcome,
    };
    let received = &state.metrics.wake_forwards_received;
    received.with_label_values(&[outcome.label()]).inc();
    outcome.status()
}

async fn take(state: &ForwardedState, request: Request) -> Result<(), Outcome> {
    let identity = state.identity.load_full().ok_or(Outcome::Unavailable)?;
    let seal = seal_of(request.headers()).ok_or(Outcome::Unsigned)?;
    if !seal.is_fresh(state.clock.now()) {
        return Err(Outcome::Stale);
    }
    let body = body(state, request).await?;
    let verified = identity.keys.verify_seal(&seal, &state.me, &body);
    verified.map_err(|_| Outcome::Forged)?;
    // Strangers do not learn who leads.
    if !*state.leading.borrow() {
        return Err(Outcome::Unavailable);
    }
    state.first_use(&seal)?;
    let wakes = Message::read(&body).ok_or(Outcome::Malformed)?;
    state
        .wakes
        .push_all(&wakes)
        .map_err(|_| Outcome::Unavailable)
}

fn seal_of(headers: &HeaderMap) -> Option<Seal> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, seal) = text.split_once(' ')?;
    Seal::parse(seal).filter(|_| scheme == SCHEME)
}

async fn body(state: &ForwardedState, request: Request) -> Result<Bytes, Outcome> {
    let _place = { state.bodies.try_acquire() }.map_err(|_| Outcome::Unavailable)?;
    match timeout(BODY_TIMEOUT, Bytes::from_request(request, state)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Err(Outcome::Oversized)
        }
        // Cut off, or too slow.
        Ok(Err(_)) | Err(_) => Err(Outcome::Malformed),
    }
}

impl ForwardedState {
    fn first_use(&self, seal: &Seal) -> Result<(), Outcome> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.note(seal, self.clock.now()).map_err(|why| match why {
            NotAgain::Replayed => Outcome::Replayed,
            NotAgain::TooMany => Outcome::Unavailable,
        })
    }
}
