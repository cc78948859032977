//! The way to Microsoft: one [`Gateway`] per process, one [`TenantGateway`] per tenant and credential.
//!
//! The operations themselves are in `directory`, `mailbox` and `subscriptions`. The order of the layers is
//! told in [`crate::graph`].

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::time::Instant;
use url::Url;
use uuid::Uuid;

use crate::carrier::Carrier;
use crate::clock::Clock;
use crate::graph::admission::{Admission, Permission};
use crate::graph::authorized::Authorized;
use crate::graph::breaker::Breaker;
use crate::graph::budget::Budget;
use crate::graph::call::{Answer, Body, Call};
use crate::graph::classify;
use crate::graph::cloud::Endpoints;
use crate::graph::coalesced::Coalesced;
use crate::graph::credential::Credential;
use crate::graph::error::GraphError;
use crate::graph::measured::Measured;
use crate::graph::model::{ClockOffset, TokenFacts};
use crate::graph::operation::Operation;
use crate::graph::retry::Retry;
use crate::graph::shared::Shared;
use crate::graph::timed::Timed;
use crate::graph::token::{Identity, TokenSource};
use crate::graph::transport::{self, Leaf, Transport};
use crate::ids::{AppTenant, MailboxId};
use crate::metrics::Metrics;
use crate::metrics::graph::{GRAPH, LOGIN};

/// Whether writes to Graph are allowed at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// Within the fence.
    Allowed,
    /// `--observe-only`.
    Refused,
}

/// Asked before each attempt to write: whether this process still leads.
pub trait Fence: Send + Sync {
    /// Whether a write may begin now. One that is under way may end after somebody else leads: that is why a create looks at
    /// the list before it, and why there are sweeps.
    fn may_write(&self) -> bool;

    /// Whether something may begin to exist. Whoever stops takes away what is there, and makes nothing new.
    fn may_create(&self) -> bool {
        self.may_write()
    }
}

impl<F: Fn() -> bool + Send + Sync> Fence for F {
    fn may_write(&self) -> bool {
        self()
    }
}

/// What a gateway is made of.
#[derive(Clone)]
pub struct GatewayOptions {
    /// Authorities to trust besides the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// Whether to write.
    pub writes: Writes,
    /// When to write.
    pub fence: Arc<dyn Fence>,
    /// How long a call may wait; see [`TenantGateway::with_patience`].
    pub default_patience: Duration,
}

impl fmt::Debug for GatewayOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayOptions")
            .field("writes", &self.writes)
            .field("default_patience", &self.default_patience)
            .finish_non_exhaustive()
    }
}

/// Why there is no gateway.
#[derive(Debug, Error)]
pub enum GatewayError {
    /// The additional authorities cannot be used, or the system's cannot be read.
    #[error("cannot prepare TLS for Graph and Entra")]
    Tls {
        /// What the HTTP client says.
        #[source]
        source: reqwest::Error,
    },
}

/// The network, as calls to Microsoft need it. Trusts the system's authorities and those in `ca_pem`.
pub fn network(ca_pem: Option<&[u8]>) -> Result<Carrier, GatewayError> {
    transport::network(ca_pem).map_err(|source| GatewayError::Tls { source })
}

/// Above so many, what nobody is connected to is forgotten.
const MAX_TENANTS: usize = 1_000;

/// Everything that all tenants share. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    stack: Breaker,
    clock: Clock,
    default_patience: Duration,
    registry: Arc<Mutex<Registry>>,
}

/// What outlives connections: budgets used and waits asked for do not end with a credential.
#[derive(Default)]
struct Registry {
    applications: HashMap<(Arc<str>, Arc<str>), Arc<Budget>>,
    tenants: HashMap<AppTenant, Arc<Shared>>,
}

/// How to reach one tenant as one application.
#[derive(Clone, Debug)]
pub struct Connection {
    /// `namespace/name` of the CalendarTenant: a metric label.
    pub label: String,
    /// Whose budgets these calls use.
    pub app: AppTenant,
    /// Where.
    pub endpoints: Endpoints,
    /// As whom.
    pub credential: Credential,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").finish_non_exhaustive()
    }
}

impl Gateway {
    /// A gateway to Microsoft by the network.
    pub fn new(
        options: GatewayOptions,
        clock: Clock,
        metrics: Metrics,
    ) -> Result<Self, GatewayError> {
        let carrier = network(options.ca_pem.as_deref())?;
        Ok(Self::over(carrier, options, clock, metrics))
    }

    /// A gateway to whatever `carrier` reaches.
    #[must_use]
    pub fn over(carrier: Carrier, options: GatewayOptions, clock: Clock, metrics: Metrics) -> Self {
        let transport = Transport::new(carrier, clock.clone());
        Self::with_leaf(Leaf::new(transport), options, clock, metrics)
    }

    /// A gateway that sends with whatever `leaf` is.
    pub(super) fn with_leaf(
        leaf: Leaf,
        options: GatewayOptions,
        clock: Clock,
        metrics: Metrics,
    ) -> Self {
        let permission = Permission {
            writes: options.writes,
            fence: options.fence,
        };
        let measured = Measured::new(Timed::new(leaf), metrics.clone());
        let coalesced = Coalesced::new(measured, metrics.clone());
        let admission = Admission::new(coalesced, permission, metrics.clone());
        Self {
            stack: Breaker::new(Retry::new(admission), metrics),
            clock,
            default_patience: options.default_patience,
            registry: Arc::default(),
        }
    }

    /// A tenant with a token source of its own. Keep it as long as the credential stays the same.
    #[must_use]
    pub fn tenant(&self, connection: Connection) -> TenantGateway {
        let shared = self.shared(&connection.app);
        let label: Arc<str> = connection.label.into();
        let Endpoints { login, graph } = connection.endpoints;
        let identity = Identity {
            credential: connection.credential,
            client_id: Arc::clone(&connection.app.client_id),
            token_url: join(
                &login,
                &[&connection.app.tenant_id, "oauth2", "v2.0", "token"],
            ),
            scope: format!("{}/.default", graph.as_str().trim_end_matches('/')),
            shared: Arc::clone(&shared),
            label: Arc::clone(&label),
        };
        let tokens = TokenSource::new(identity, self.stack.clone(), self.clock.clone());
        let tokens = Arc::new(tokens);
        TenantGateway {
            inner: Arc::new(Tenant {
                authorized: Authorized::new(self.stack.clone(), Arc::clone(&tokens)),
                tokens,
                graph,
                shared,
                label,
            }),
            patience: self.default_patience,
        }
    }

    fn shared(&self, app: &AppTenant) -> Arc<Shared> {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let Registry {
            applications,
            tenants,
        } = &mut *registry;
        if let Some(shared) = tenants.get(app) {
            return Arc::clone(shared);
        }
        if tenants.len() >= MAX_TENANTS {
            tenants.retain(|_, shared| Arc::strong_count(shared) > 1);
            applications.retain(|_, budget| Arc::strong_count(budget) > 1);
        }
        let key = (Arc::clone(&app.cloud), Arc::clone(&app.client_id));
        let application = applications
            .entry(key)
            .or_insert_with(|| Arc::new(Budget::of_application()));
        let shared = Arc::new(Shared::new(Arc::clone(application), self.clock.clone()));
        tenants.insert(app.clone(), Arc::clone(&shared));
        shared
    }
}

/// Calls to one tenant as one application. Cheap to clone; clones share the token.
///
/// Every operation may return any [`GraphError`]; dropping a future abandons the call and frees its place.
#[derive(Clone)]
pub struct TenantGateway {
    inner: Arc<Tenant>,
    patience: Duration,
}

struct Tenant {
    authorized: Authorized,
    tokens: Arc<TokenSource>,
    graph: Url,
    shared: Arc<Shared>,
    label: Arc<str>,
}

impl fmt::Debug for TenantGateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantGateway")
            .field("label", &self.inner.label)
            .finish_non_exhaustive()
    }
}

impl TenantGateway {
    /// The same tenant for callers with another patience: how long each call may wait in all, for a
    /// budget, for a `Retry-After`, for a place, between attempts. Attempts have limits of their own. A
    /// list of several pages is several calls.
    #[must_use]
    pub fn with_patience(&self, patience: Duration) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            patience,
        }
    }

    /// Which hosts keep failing for this tenant, so that only one call at a time is made: for each its name in metrics, and
    /// whether it does.
    #[must_use]
    pub fn circuits(&self) -> [(&'static str, bool); 2] {
        let shared = &self.inner.shared;
        [
            (LOGIN, shared.login_circuit.is_open()),
            (GRAPH, shared.graph_circuit.is_open()),
        ]
    }

    /// Facts about the token in use; fetches one if there is none. An error when the login host refuses
    /// the credential now, even if an older token still works.
    pub async fn token(&self) -> Result<TokenFacts, GraphError> {
        let token = self.inner.tokens.accepted(self.until()).await?;
        Ok(token.facts.clone())
    }

    /// Fetches a new token, whose roles are those granted by now. Asks at most once a second.
    pub async fn fresh_token(&self) -> Result<TokenFacts, GraphError> {
        let token = self.inner.tokens.fresh(self.until()).await?;
        Ok(token.facts.clone())
    }

    /// How far Graph's clock is ahead of ours by its last answer, also when ours was set since; zero when they agree
    /// within the second and a half that can be told.
    #[must_use]
    pub fn clock_offset(&self) -> ClockOffset {
        self.inner.shared.clock_offset()
    }

    fn until(&self) -> Instant {
        Instant::now() + self.patience
    }

    /// `{graph}/v1.0/{segments}`, each segment escaped.
    pub(super) fn url(&self, segments: &[&str]) -> Url {
        let mut path = vec!["v1.0"];
        path.extend(segments);
        join(&self.inner.graph, &path)
    }

    /// Whether `url` is Graph's own: tokens go nowhere else.
    pub(super) fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.inner.graph.origin()
    }

    pub(super) async fn send(&self, request: Request) -> Result<Answer, GraphError> {
        let Request {
            operation,
            method,
            url,
            body,
            mailbox,
        } = request;
        let call = Call {
            operation,
            method,
            url,
            body,
            bearer: None,
            mailbox,
            until: self.until(),
            once: false,
            attempt_id: Uuid::new_v4(),
            shared: Arc::clone(&self.inner.shared),
            label: Arc::clone(&self.inner.label),
        };
        let error = match self.inner.authorized.send(call).await {
            Ok(answer) if answer.status.is_success() => return Ok(answer),
            Ok(answer) => classify::refusal(operation, &answer),
            Err(failure) => classify::failure(operation, failure),
        };
        tracing::debug!(
            tenant = %self.inner.label,
            %error,
            request.id = error.request_id.as_deref(),
            "a call brought no usable answer"
        );
        Err(error)
    }
}

/// One request to Graph, as an operation words it.
pub(super) struct Request {
    operation: Operation,
    method: Method,
    url: Url,
    body: Body,
    mailbox: Option<Arc<str>>,
}

impl Request {
    pub(super) fn get(operation: Operation, url: Url) -> Self {
        Self::new(operation, Method::GET, url)
    }

    pub(super) fn new(operation: Operation, method: Method, url: Url) -> Self {
        Self {
            operation,
            method,
            url,
            body: Body::Empty,
            mailbox: None,
        }
    }

    pub(super) fn json(mut self, json: &serde_json::Value) -> Self {
        self.body = Body::Json(json.to_string().into());
        self
    }

    /// Counts among the calls on this mailbox.
    pub(super) fn on(mut self, mailbox: &MailboxId) -> Self {
        self.mailbox = Some(mailbox.as_str().to_ascii_lowercase().into());
        self
    }

    /// Adds a query parameter.
    pub(super) fn query(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }
}

/// The body of a successful answer.
pub(super) fn parse<T: DeserializeOwned>(
    operation: Operation,
    answer: &Answer,
) -> Result<T, GraphError> {
    serde_json::from_slice(&answer.body).map_err(|error| {
        let detail = format!(
            "cannot read the answer (line {}, column {})",
            error.line(),
            error.column()
        );
        classify::nonsense(operation, answer, &detail)
    })
}

/// `base` with more path segments, escaped; a trailing slash of `base` does not matter.
fn join(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_cannot_leave_their_place() {
        let base = Url::parse("http://127.0.0.1:8600/prefix/").unwrap();
        let url = join(&base, &["v1.0", "users", "a/../b?c#d%", "events"]);
        assert_eq!(
            url.as_str(),
            "http://127.0.0.1:8600/prefix/v1.0/users/a%2F..%2Fb%3Fc%23d%25/events"
        );
    }
}
