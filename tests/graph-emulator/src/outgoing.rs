//! What the emulator itself asks of others: validations and notifications of receivers, keys of issuers. By the network,
//! or by a service in the same process.

use std::time::Duration;

use axum::body::{Body, Bytes};
use http::{Request, Response};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt, service_fn};

/// Reaches everybody by their URL.
pub type Outgoing = BoxCloneSyncService<Request<Bytes>, Response<Body>, BoxError>;

/// By the network.
pub(crate) fn network(client: reqwest::Client) -> Outgoing {
    Outgoing::new(service_fn(move |request: Request<Bytes>| {
        let client = client.clone();
        async move {
            let request = reqwest::Request::try_from(request)?;
            let response: Response<_> = client.execute(request).await?.into();
            Ok::<_, BoxError>(response.map(Body::new))
        }
    }))
}

/// Why there was no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// Not in time.
    Late,
    /// Nobody is there, or the connection broke.
    Unreached,
}

/// The answer to a request, if its head comes in time.
pub(crate) async fn ask(
    outgoing: &Outgoing,
    request: Request<Bytes>,
    timeout: Duration,
) -> Result<Response<Body>, Unanswered> {
    match tokio::time::timeout(timeout, outgoing.clone().oneshot(request)).await {
        Ok(answer) => answer.map_err(|_| Unanswered::Unreached),
        Err(_) => Err(Unanswered::Late),
    }
}
