//! The validation of a notification URL: it must echo a token before a subscription exists.

use std::time::Duration;

use axum::body::Bytes;
use futures::StreamExt;
use http::{Request, StatusCode};
use tower::ServiceExt as _;
use url::Url;

use super::error::{GraphError, error};
use crate::outgoing::Outgoing;
use crate::world::{Behaviour, ValidationFailureCode};

/// How long a URL may take to answer.
pub(crate) const VALIDATION_TIMEOUT: Duration = Duration::from_secs(10);

/// How a validation is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Validation<'a> {
    pub(crate) outgoing: &'a Outgoing,
    pub(crate) timeout: Duration,
    pub(crate) behaviour: &'a Behaviour,
}

impl Validation<'_> {
    /// Asks each URL in turn to echo a token made with its own request id.
    pub(crate) async fn all(
        &self,
        urls: &[String],
        request_id: impl Fn() -> String,
    ) -> Result<(), GraphError> {
        for url in urls {
            let token = self.token(&request_id());
            let answer = tokio::time::timeout(self.timeout, self.ask(url, &token)).await;
            match answer {
                Ok(Ok(())) => {}
                Ok(Err(reason)) => return Err(failed(self.behaviour, reason)),
                Err(_) => {
                    let reason = "Subscription validation request timed out.";
                    return Err(failed(self.behaviour, reason));
                }
            }
        }
        Ok(())
    }

    fn token(&self, request_id: &str) -> String {
        let markup = if self.behaviour.markup_in_validation_token {
            "<b>&\"'"
        } else {
            ""
        };
        format!(
            "Validation: Testing client application reachability for subscription Request-Id: \
             {request_id}{markup}"
        )
    }

    async fn ask(&self, url: &str, token: &str) -> Result<(), &'static str> {
        const NOT_200: &str = "Subscription validation request failed. Notification endpoint must \
                               respond with 200 OK to validation request.";
        const NOT_ECHOED: &str = "Subscription validation request failed. Response must exactly \
                                  match validationToken query parameter.";
        let mut url = Url::parse(url).map_err(|_| NOT_200)?;
        url.query_pairs_mut().append_pair("validationToken", token);
        let request = Request::post(url.as_str())
            .header("content-type", "text/plain; charset=utf-8")
            .header("content-length", "0")
            .body(Bytes::new())
            .map_err(|_| NOT_200)?;
        let answer = self.outgoing.clone().oneshot(request).await;
        let answer = answer.map_err(|_| NOT_200)?;
        if answer.status() != StatusCode::OK {
            return Err(NOT_200);
        }
        let plain = answer
            .headers()
            .get("content-type")
            .and_then(|kind| kind.to_str().ok())
            .and_then(|kind| kind.split(';').next())
            .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/plain"));
        if !plain {
            return Err(NOT_ECHOED);
        }
        let mut body = Vec::new();
        let mut chunks = answer.into_body().into_data_stream();
        while let Some(chunk) = chunks.next().await {
            body.extend_from_slice(&chunk.map_err(|_| NOT_200)?);
            // More than the token is never the token, however much there is.
            if body.len() > token.len() {
                return Err(NOT_ECHOED);
            }
        }
        if body == token.as_bytes() {
            Ok(())
        } else {
            Err(NOT_ECHOED)
        }
    }
}

fn failed(behaviour: &Behaviour, reason: &str) -> GraphError {
    let code: ValidationFailureCode = behaviour.validation_failure_code;
    error(400, code.as_str(), reason)
}
