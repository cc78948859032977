//! A receiver of notifications on loopback, good or bad.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::{Html, IntoResponse, Response};
use http::{StatusCode, Uri};
use serde_json::Value;
use tokio::sync::Notify;

/// How a receiver answers a validation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Good,
    Markup,
    WrongBody,
    NotFound,
    Silent,
    LifecycleNotFound,
    /// Validates well and refuses the first notification.
    RefusesOnce,
    /// Validates well and never answers the first ten notifications.
    HangsTenTimes,
    /// Validates well and takes lifecycle notifications only.
    RefusesChanges,
}

#[derive(Clone)]
struct Shared {
    manner: Manner,
    received: Arc<Mutex<Vec<(String, Value)>>>,
    validated: Arc<Mutex<Vec<String>>>,
    news: Arc<Notify>,
    refused: Arc<Mutex<bool>>,
    hung: Arc<Mutex<u32>>,
}

pub(crate) struct Receiver {
    pub(crate) url: String,
    shared: Shared,
}

impl Receiver {
    pub(crate) async fn start(manner: Manner) -> Self {
        let shared = Shared {
            manner,
            received: Arc::default(),
            validated: Arc::default(),
            news: Arc::default(),
            refused: Arc::default(),
            hung: Arc::default(),
        };
        let router = Router::new().fallback(receive).with_state(shared.clone());
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = tokio::net::TcpListener::bind(any).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, shared }
    }

    /// Paths that were validated.
    pub(crate) fn validated(&self) -> Vec<String> {
        self.shared.validated.lock().unwrap().clone()
    }

    /// The first `count` notifications, with the path they came to.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<(String, Value)> {
        let enough = async {
            loop {
                let news = self.shared.news.notified();
                let received = self.shared.received.lock().unwrap().clone();
                if received.len() >= count {
                    return received;
                }
                news.await;
            }
        };
        let deadline = Duration::from_secs(20);
        tokio::time::timeout(deadline, enough).await.unwrap()
    }
}

async fn receive(
    State(shared): State<Shared>,
    Query(query): Query<HashMap<String, String>>,
    uri: Uri,
    body: String,
) -> Response {
    let path = uri.path().to_owned();
    let Some(token) = query.get("validationToken") else {
        if shared.manner == Manner::HangsTenTimes && hangs(&shared) {
            return std::future::pending().await;
        }
        let first = !std::mem::replace(&mut *shared.refused.lock().unwrap(), true);
        let is_change = !path.ends_with("lifecycle");
        if shared.manner == Manner::RefusesOnce && first
            || shared.manner == Manner::RefusesChanges && is_change
        {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        let body = serde_json::from_str(&body).unwrap();
        shared.received.lock().unwrap().push((path, body));
        shared.news.notify_waiters();
        return StatusCode::ACCEPTED.into_response();
    };
    let lifecycle = path.ends_with("lifecycle");
    shared.validated.lock().unwrap().push(path);
    match shared.manner {
        Manner::Markup => Html(token.clone()).into_response(),
        Manner::WrongBody => format!("\"{token}\"").into_response(),
        Manner::NotFound => StatusCode::NOT_FOUND.into_response(),
        Manner::Silent => std::future::pending().await,
        Manner::LifecycleNotFound if lifecycle => StatusCode::NOT_FOUND.into_response(),
        Manner::Good
        | Manner::RefusesOnce
        | Manner::RefusesChanges
        | Manner::HangsTenTimes
        | Manner::LifecycleNotFound => token.clone().into_response(),
    }
}

fn hangs(shared: &Shared) -> bool {
    let mut hung = shared.hung.lock().unwrap();
    *hung += 1;
    *hung <= 10
}
