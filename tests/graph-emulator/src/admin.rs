//! The admin port: everything that the library handle can do, in JSON over plain HTTP.

use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::control::{Control, ControlError, Removal};
use crate::fault::Faults;
use crate::graph::events::Booking;
use crate::notify::LifecycleEvent;
use crate::world::World;

/// Enough for a world that names every mailbox of a large organization.
const LARGEST_BODY: usize = 64 * 1024 * 1024;

/// A refusal with its reason.
fn refused(status: StatusCode, reason: impl std::fmt::Display) -> Response {
    (status, Json(json!({"error": reason.to_string()}))).into_response()
}

pub(crate) fn router(control: Control) -> Router {
    Router::new()
        .route("/readyz", get(async || "ok"))
        .route("/journal", get(journal))
        .route(
            "/counts",
            get(async |State(control): State<Control>| Json(control.counts())),
        )
        .route("/faults", put(set_faults))
        .route("/clock/advance", post(advance))
        .route("/world", get(world).put(set_world))
        .route("/mailboxes/{address}/events", post(book))
        .route("/subscriptions", get(subscriptions))
        .route("/subscriptions/{id}/remove", post(remove))
        .route("/subscriptions/{id}/lifecycle", post(lifecycle))
        .fallback(async || refused(StatusCode::NOT_FOUND, "the admin port has no such call"))
        .method_not_allowed_fallback(async || {
            let reason = "the admin port has no such method for this call";
            refused(StatusCode::METHOD_NOT_ALLOWED, reason)
        })
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(control)
}

/// Reads a body strictly; the reason of a refusal names the field.
fn body<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, Box<Response>> {
    serde_json::from_str(text).map_err(|error| Box::new(refused(StatusCode::BAD_REQUEST, error)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Since {
    #[serde(default)]
    since: u64,
}

async fn journal(
    State(control): State<Control>,
    query: Result<Query<Since>, QueryRejection>,
) -> Response {
    match query {
        Ok(Query(query)) => Json(json!({"entries": control.journal(query.since)})).into_response(),
        Err(rejection) => refused(StatusCode::BAD_REQUEST, rejection.body_text()),
    }
}

async fn set_faults(State(control): State<Control>, text: String) -> Response {
    match body::<Faults>(&text) {
        Ok(faults) => match faults.check() {
            Ok(()) => {
                control.set_faults(faults);
                StatusCode::NO_CONTENT.into_response()
            }
            Err(reason) => refused(StatusCode::BAD_REQUEST, reason),
        },
        Err(response) => *response,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    by: Duration,
}

async fn advance(State(control): State<Control>, text: String) -> Response {
    match body::<Advance>(&text) {
        Ok(advance) => {
            control.advance(advance.by);
            Json(json!({"now": control.now()})).into_response()
        }
        Err(response) => *response,
    }
}

async fn world(State(control): State<Control>, headers: HeaderMap) -> Response {
    let world = control.world();
    let accepted = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    if accepted.is_some_and(|accept| accept.contains("json")) {
        Json(world).into_response()
    } else {
        ([(CONTENT_TYPE, "application/yaml")], world.to_yaml()).into_response()
    }
}

async fn set_world(State(control): State<Control>, text: String) -> Response {
    match World::from_yaml(&text).and_then(|world| control.set_world(world)) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => refused(StatusCode::BAD_REQUEST, error),
    }
}

async fn book(
    State(control): State<Control>,
    Path(address): Path<String>,
    text: String,
) -> Response {
    match body::<Booking>(&text) {
        Ok(booking) => match control.book(&address, &booking) {
            Ok(id) => (StatusCode::CREATED, Json(json!({"id": id}))).into_response(),
            Err(error) => refused(status(&error), error),
        },
        Err(response) => *response,
    }
}

async fn subscriptions(State(control): State<Control>) -> Json<Value> {
    Json(json!({"subscriptions": control.subscriptions()}))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remove {
    #[serde(default)]
    lifecycle: bool,
}

async fn remove(State(control): State<Control>, Path(id): Path<String>, text: String) -> Response {
    let removal = if text.trim().is_empty() {
        Ok(Remove::default())
    } else {
        body::<Remove>(&text)
    };
    match removal {
        Ok(Remove { lifecycle }) => {
            answered(control.remove_subscription(&id, Removal::from(lifecycle)))
        }
        Err(response) => *response,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lifecycle {
    event: LifecycleEvent,
}

async fn lifecycle(
    State(control): State<Control>,
    Path(id): Path<String>,
    text: String,
) -> Response {
    match body::<Lifecycle>(&text) {
        Ok(Lifecycle { event }) => answered(control.send_lifecycle(&id, event)),
        Err(response) => *response,
    }
}

fn answered(result: Result<(), ControlError>) -> Response {
    match result {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => refused(status(&error), error),
    }
}

const fn status(error: &ControlError) -> StatusCode {
    match error {
        ControlError::NoMailbox(_) | ControlError::NoSubscription(_) => StatusCode::NOT_FOUND,
        ControlError::EndsBeforeItStarts => StatusCode::BAD_REQUEST,
        ControlError::NoLifecycleUrl(_) => StatusCode::CONFLICT,
    }
}
