//! What a person would get: every alert that Alertmanager tells, in order.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// One alert of one message.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Told {
    pub(super) status: String,
    pub(super) labels: Value,
    pub(super) annotations: Value,
}

#[derive(Deserialize)]
struct Message {
    alerts: Vec<Told>,
}

/// Listens until it is dropped.
pub(super) struct Webhook {
    pub(super) url: String,
    heard: Arc<Mutex<Vec<Told>>>,
    server: JoinHandle<()>,
}

impl Webhook {
    pub(super) async fn listen() -> Self {
        let heard = Arc::<Mutex<Vec<Told>>>::default();
        let router = Router::new()
            .route("/", post(hear))
            .with_state(Arc::clone(&heard));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, heard, server }
    }

    pub(super) fn heard(&self) -> Vec<Told> {
        self.heard.lock().unwrap().clone()
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn hear(State(heard): State<Arc<Mutex<Vec<Told>>>>, Json(message): Json<Message>) {
    heard.lock().unwrap().extend(message.alerts);
}
