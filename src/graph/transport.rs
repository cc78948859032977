//! The innermost layer: one request through reqwest, one bounded answer. Follows no redirect, so that no
//! token travels to another host.

use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Certificate, Client, redirect};
use tower::util::BoxCloneSyncService;

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

/// Sends calls with reqwest.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    client: Client,
    clock: Clock,
}

impl Transport {
    /// Trusts the system's authorities and those in `ca_pem`; honours the proxy variables.
    pub(super) fn new(ca_pem: Option<&[u8]>, clock: Clock) -> Result<Self, reqwest::Error> {
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
        Ok(Self { client, clock })
    }

    async fn send(self, call: Call) -> Outcome {
        let attempt_id = call.attempt_id;
        let lost = |cause| Failure::NoAnswer { cause, attempt_id };
        let request = self.request(&call);
        let mut response = request.send().await.map_err(|error| lost(cause(&error)))?;
        let received_at = self.clock.now();
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| lost(cause(&error)))?
        {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(lost(NoAnswer::Oversized));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            body,
            received_at,
            attempt_id,
        })
    }

    fn request(&self, call: &Call) -> reqwest::RequestBuilder {
        let mut request = self
            .client
            .request(call.method.clone(), call.url.clone())
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
            Body::Empty => request,
            Body::Json(json) => request
                .header(CONTENT_TYPE, "application/json")
                .body(json.as_bytes().to_vec()),
            Body::Form(form) => request
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form.expose().to_owned()),
        }
    }
}

fn cause(error: &reqwest::Error) -> NoAnswer {
    if error.is_connect() || error.is_builder() {
        NoAnswer::Connect
    } else if error.is_timeout() {
        NoAnswer::TimedOut
    } else {
        NoAnswer::Cut
    }
}

layer!(Transport);
