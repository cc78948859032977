//! The innermost layer: one request, one bounded answer. Follows no redirect, so that no token travels to another host.

use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use jiff::{SignedDuration, Timestamp};
use reqwest::{Certificate, Client, redirect};
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use crate::carrier::{Carrier, Lost, by_network};
use crate::clock::Clock;
use crate::graph::call::{Answer, Body, Call, Failure, NoAnswer, Outcome, layer};
use crate::graph::holds::Group;

/// Ids that stay the same when an event moves to another folder.
pub(super) const IMMUTABLE_IDS: &str = r#"IdType="ImmutableId""#;

/// Longest answer that is read.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Graph closes idle connections after a while; a request must not run into that.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Whatever carries a call to the service: this module, or a stand-in in tests.
pub(super) type Leaf = BoxCloneSyncService<Call, Answer, Failure>;

/// Sends calls by a carrier.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    carrier: Carrier,
    clock: Clock,
}

/// The network, where redirects are answers. Trusts the system's authorities and those in `ca_pem`; honours the proxy
/// variables.
pub(super) fn network(ca_pem: Option<&[u8]>) -> Result<Carrier, reqwest::Error> {
    let authorities = match ca_pem {
        Some(pem) => Certificate::from_pem_bundle(pem)?,
        None => Vec::new(),
    };
    let client = Client::builder()
        .user_agent(concat!(
            "hybrid-calendar-operator/",
            env!("CARGO_PKG_VERSION")
        ))
        .tls_certs_merge(authorities)
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .build()?;
    Ok(by_network(client, MAX_ANSWER))
}

impl Transport {
    pub(super) const fn new(carrier: Carrier, clock: Clock) -> Self {
        Self { carrier, clock }
    }

    async fn send(self, call: Call) -> Outcome {
        let attempt_id = call.attempt_id;
        let lost = |cause| Failure::NoAnswer { cause, attempt_id };
        let request = request(&call).map_err(|_| lost(NoAnswer::Connect))?;
        let carried = self.carrier.oneshot(request).await;
        let carried = carried.map_err(|why| lost(cause(why)))?;
        let since = SignedDuration::try_from(carried.head_at.elapsed()).unwrap_or_default();
        let received_at = self.clock.now().saturating_sub(since);
        let (head, body) = carried.response.into_parts();
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
            received_at: received_at.unwrap_or(Timestamp::MIN),
            attempt_id,
        })
    }
}

fn request(call: &Call) -> http::Result<http::Request<Vec<u8>>> {
    let mut request = http::Request::builder()
        .method(call.method.clone())
        .uri(call.url.as_str())
        .header(ACCEPT, "application/json")
        .header("client-request-id", call.attempt_id.to_string());
    if let Some(bearer) = &call.bearer
        && let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {}", bearer.expose()))
    {
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    if Group::of(call.operation) != Group::Login {
        request = request.header("prefer", IMMUTABLE_IDS);
    }
    match &call.body {
        Body::Empty => request.body(Vec::new()),
        Body::Json(json) => request
            .header(CONTENT_TYPE, "application/json")
            .body(json.as_bytes().to_vec()),
        Body::Form(form) => request
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.expose().as_bytes().to_vec()),
    }
}

const fn cause(lost: Lost) -> NoAnswer {
    match lost {
        Lost::Connect => NoAnswer::Connect,
        Lost::TimedOut => NoAnswer::TimedOut,
        Lost::Cut => NoAnswer::Cut,
        Lost::Oversized => NoAnswer::Oversized,
    }
}

layer!(Transport);
