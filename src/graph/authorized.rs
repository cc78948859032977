//! Attaches the token. After a 401 the call is repeated once with a fresh one; after a 403 too, if the
//! token is older than a minute, since rights may have been granted meanwhile and show in a new token only.

use std::sync::Arc;
use std::time::Duration;

use tower::ServiceExt;

use crate::graph::breaker::Breaker;
use crate::graph::call::{Call, Failure, Outcome};
use crate::graph::classify::{self, Remedy};
use crate::graph::token::{Token, TokenSource};

/// Younger tokens know every right that was granted before.
const OLD: Duration = Duration::from_mins(1);

/// Sends calls with a token.
#[derive(Clone)]
pub(super) struct Authorized {
    inner: Breaker,
    tokens: Arc<TokenSource>,
}

impl Authorized {
    pub(super) const fn new(inner: Breaker, tokens: Arc<TokenSource>) -> Self {
        Self { inner, tokens }
    }

    pub(super) async fn send(&self, call: Call) -> Outcome {
        let token = self
            .tokens
            .usable(call.until)
            .await
            .map_err(Failure::Prerequisite)?;
        let outcome = self.attempt(&call, &token).await;
        let Ok(answer) = &outcome else {
            return outcome;
        };
        let worth_a_fresh_token = match classify::remedy(call.operation, answer) {
            Remedy::FreshToken => true,
            Remedy::FreshTokenIfOld => token.acquired.elapsed() > OLD,
            Remedy::None => false,
        };
        if !worth_a_fresh_token {
            return outcome;
        }
        // What Graph said is better evidence than that no new token came.
        let Ok(fresh) = self.tokens.replace(&token, call.until).await else {
            return outcome;
        };
        let repeated = self.attempt(&call, &fresh).await;
        if let Ok(answer) = &repeated
            && classify::remedy(call.operation, answer) == Remedy::FreshToken
        {
            self.tokens.replaced_in_vain();
        }
        repeated
    }

    async fn attempt(&self, call: &Call, token: &Token) -> Outcome {
        let mut call = call.clone();
        call.bearer = Some(token.secret.clone());
        self.inner.clone().oneshot(call).await
    }
}
