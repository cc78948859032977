//! What takes a request to another process and brings the answer: the network, or whatever stands in for it in the same
//! process.
//!
//! Says nothing of who asks for what. An answer that is longer than expected is none.

use std::time::Duration;

use http::{Request, Response};
use thiserror::Error;
use tokio::time::Instant;
use tower::util::BoxCloneSyncService;
use tower::{ServiceExt, service_fn};

use crate::plain::Causes;

/// Takes requests. Cheap to clone; dropping a future abandons the request, which may have been carried out.
pub type Carrier = BoxCloneSyncService<Request<Vec<u8>>, Carried, Lost>;

/// An answer that has arrived.
#[derive(Debug)]
pub struct Carried {
    /// All of it.
    pub response: Response<Vec<u8>>,
    /// When its head arrived; the body may have taken a while longer.
    pub head_at: Instant,
}

impl Carried {
    /// One that arrives whole, now.
    #[must_use]
    pub fn now(response: Response<Vec<u8>>) -> Self {
        Self {
            response,
            head_at: Instant::now(),
        }
    }
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Lost {
    /// The request was never sent.
    #[error("there is no connection")]
    Connect,
    /// It may have been carried out.
    #[error("no answer in time")]
    TimedOut,
    /// It may have been carried out.
    #[error("the connection broke")]
    Cut,
    /// It may have been carried out.
    #[error("the answer is longer than any that is expected")]
    Oversized,
}

/// By `client`, with answers of at most `longest` bytes.
#[must_use]
pub fn by_network(client: reqwest::Client, longest: usize) -> Carrier {
    Carrier::new(service_fn(move |request: Request<Vec<u8>>| {
        let client = client.clone();
        async move {
            let is_empty = request.body().is_empty();
            let mut request = reqwest::Request::try_from(request).map_err(lost)?;
            if is_empty {
                *request.body_mut() = None;
            }
            let response = client.execute(request).await;
            read(response.map_err(lost)?, longest).await
        }
    }))
}

async fn read(mut response: reqwest::Response, longest: usize) -> Result<Carried, Lost> {
    let head_at = Instant::now();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(lost)? {
        if body.len() + chunk.len() > longest {
            return Err(Lost::Oversized);
        }
        body.extend_from_slice(&chunk);
    }
    let mut whole = Response::new(body);
    *whole.status_mut() = response.status();
    *whole.headers_mut() = std::mem::take(response.headers_mut());
    Ok(Carried {
        response: whole,
        head_at,
    })
}

fn lost(error: reqwest::Error) -> Lost {
    // Paths name mailboxes. What went wrong is often at the very end: an authority that nobody trusts, a name that is none.
    let error = error.without_url();
    tracing::debug!(error = %Causes(&error), "a request brought no answer");
    if error.is_connect() || error.is_builder() {
        Lost::Connect
    } else if error.is_timeout() {
        Lost::TimedOut
    } else {
        Lost::Cut
    }
}

/// `carrier` that gives up after `limit`.
#[must_use]
pub fn within(carrier: Carrier, limit: Duration) -> Carrier {
    Carrier::new(service_fn(move |request: Request<Vec<u8>>| {
        let answer = carrier.clone().oneshot(request);
        async move {
            tokio::time::timeout(limit, answer)
                .await
                .unwrap_or(Err(Lost::TimedOut))
        }
    }))
}
