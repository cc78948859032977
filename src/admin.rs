//! The port for probes and Prometheus: `/livez`, `/readyz`, `/metrics`.
//!
//! It has a thread and a runtime of its own, so that load elsewhere never fails a probe. It knows nothing
//! of the world: readiness is what others report here, metrics are what they registered.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fmt, io};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus::{Registry, TextEncoder};

use crate::aside::Aside;
use crate::listen::listen;

/// How long a client may take to send the head of its request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// What must be true before Graph may send notifications here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Requirement {
    /// The receiver listens.
    Receiver,
    /// The signing keys are loaded.
    Keys,
}

impl Requirement {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Receiver => "receiver",
            Self::Keys => "keys",
        }
    }
}

/// What `/readyz` says. Clones share it.
#[derive(Clone, Debug)]
pub struct Readiness {
    /// For each requirement, why it is not met.
    unmet: Arc<Mutex<BTreeMap<Requirement, Option<String>>>>,
}

impl Readiness {
    /// Nothing is met yet.
    #[must_use]
    pub fn new() -> Self {
        let unmet = [Requirement::Receiver, Requirement::Keys]
            .into_iter()
            .map(|requirement| (requirement, Some("not started yet".to_owned())))
            .collect();
        Self {
            unmet: Arc::new(Mutex::new(unmet)),
        }
    }

    /// From now on the requirement is met.
    pub fn met(&self, requirement: Requirement) {
        self.set(requirement, None);
    }

    /// From now on it is not, for this reason.
    pub fn unmet(&self, requirement: Requirement, why: impl Into<String>) {
        self.set(requirement, Some(why.into()));
    }

    /// Whether everything is met.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.locked().values().all(Option::is_none)
    }

    fn set(&self, requirement: Requirement, why: Option<String>) {
        self.locked().insert(requirement, why);
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<Requirement, Option<String>>> {
        self.unmet.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.locked()
            .iter()
            .try_for_each(|(requirement, why)| match why {
                None => writeln!(f, "{}: ok", requirement.as_str()),
                Some(why) => writeln!(f, "{}: {why}", requirement.as_str()),
            })
    }
}

/// The running admin port; it stops when this is dropped.
#[derive(Debug)]
pub struct Admin {
    address: SocketAddr,
    _thread: Aside,
}

impl Admin {
    /// Listens on `address` and serves from a thread of its own.
    ///
    /// # Errors
    /// When the address cannot be bound or the thread cannot be started.
    pub fn start(
        address: SocketAddr,
        registry: Registry,
        readiness: Readiness,
    ) -> io::Result<Self> {
        let listener = listen(address)?;
        let address = listener.local_addr()?;
        let serving = serve(listener, router(registry, readiness));
        let thread = Aside::start("admin")?;
        thread.spawn(async {
            if let Err(error) = serving.await {
                tracing::error!(error = %error, "the admin port stopped");
            }
        });
        Ok(Self {
            address,
            _thread: thread,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn serve(listener: TcpListener, router: Router) -> io::Result<()> {
    let mut server = axum_server::from_tcp(listener)?
        .http1_only()
        .first_request_timeout(HEADER_TIMEOUT);
    server
        .http_builder()
        .http1()
        .header_read_timeout(HEADER_TIMEOUT);
    server.serve(router.into_make_service()).await
}

fn router(registry: Registry, readiness: Readiness) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready).with_state(readiness))
        .route("/metrics", get(metrics).with_state(registry))
}

async fn ready(State(readiness): State<Readiness>) -> impl IntoResponse {
    let status = if readiness.is_ready() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, readiness.to_string())
}

async fn metrics(State(registry): State<Registry>) -> impl IntoResponse {
    match TextEncoder::new().encode_to_string(&registry.gather()) {
        Ok(text) => Ok(([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text)),
        Err(error) => Err((StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    async fn get(admin: &Admin, path: &str) -> (u16, String) {
        let answer = reqwest::get(format!("http://{}{path}", admin.address()))
            .await
            .unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    #[tokio::test]
    async fn probes_and_metrics_are_served_from_another_thread() {
        let metrics = Metrics::new().unwrap();
        metrics.wake_lost.inc();
        let readiness = Readiness::new();
        let any_port = "127.0.0.1:0".parse().unwrap();
        let admin = Admin::start(any_port, metrics.registry.clone(), readiness.clone()).unwrap();

        assert_eq!(get(&admin, "/livez").await, (200, "ok\n".to_owned()));
        let (status, text) = get(&admin, "/metrics").await;
        assert_eq!(status, 200);
        assert!(text.contains("hybridcalendar_wake_lost_total 1"), "{text}");

        let starting = "receiver: not started yet\nkeys: not started yet\n";
        assert_eq!(get(&admin, "/readyz").await, (503, starting.to_owned()));
        readiness.met(Requirement::Receiver);
        readiness.met(Requirement::Keys);
        let good = "receiver: ok\nkeys: ok\n";
        assert_eq!(get(&admin, "/readyz").await, (200, good.to_owned()));
        readiness.unmet(Requirement::Receiver, "shutting down");
        assert_eq!(get(&admin, "/readyz").await.0, 503);
        assert_eq!(get(&admin, "/livez").await.0, 200);
    }
}
