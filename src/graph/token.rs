//! The token of one credential: fetched by one caller at a time, shared by all, renewed early and in the
//! background.
//!
//! A refusal is remembered for a while, so that thousands of callers do not each ask again; a caller with
//! a reason ([`TokenSource::fresh`]) may. A token that still works is used as long as no new one comes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};
use tokio::time::{Instant, timeout_at};
use tower::ServiceExt;
use url::Url;
use uuid::Uuid;

use crate::clock::Clock;
use crate::graph::assertion;
use crate::graph::breaker::Breaker;
use crate::graph::call::{Answer, Body, Call};
use crate::graph::classify;
use crate::graph::credential::{AssertionError, Credential};
use crate::graph::entra::{self, Issued, Proof};
use crate::graph::error::{ErrorClass, GraphError, TokenRefusal, Withheld};
use crate::graph::model::TokenFacts;
use crate::graph::operation::Operation;
use crate::graph::redact::redact;
use crate::graph::shared::Shared;
use crate::secret::Secret;

/// How long before its end a token is replaced, unless Entra names a time.
const EARLY: Duration = Duration::from_mins(5);
/// How long nobody asks again after a refusal; doubles while it goes on.
const AFTER_REFUSAL: Duration = Duration::from_secs(10);
const AFTER_REFUSALS: Duration = Duration::from_mins(5);
/// The same after an outage, and for callers with a reason.
const AFTER_OUTAGE: Duration = Duration::from_secs(1);
/// How long a token is not replaced again after its replacement was not accepted either.
const IN_VAIN: Duration = Duration::from_secs(30);
/// How long a renewal in the background may wait.
const BACKGROUND_PATIENCE: Duration = Duration::from_mins(1);
/// What to advise who cannot wait for the one who is asking.
const ASKING: Duration = Duration::from_secs(5);

/// A token in use.
pub(super) struct Token {
    pub(super) secret: Secret,
    pub(super) facts: TokenFacts,
    pub(super) acquired: Instant,
    refresh_at: Instant,
    expires: Instant,
}

/// Who asks, and where.
pub(super) struct Identity {
    pub(super) credential: Credential,
    pub(super) client_id: Arc<str>,
    pub(super) token_url: Url,
    pub(super) scope: String,
    pub(super) shared: Arc<Shared>,
    pub(super) label: Arc<str>,
}

/// The source of tokens for one credential.
pub(super) struct TokenSource {
    identity: Identity,
    inner: Breaker,
    clock: Clock,
    known: Mutex<Known>,
    /// Whose turn it is to ask, and what askers have learned about the login host's clock.
    turn: Arc<Turn<SignedDuration>>,
}

#[derive(Default)]
struct Known {
    token: Option<Arc<Token>>,
    /// How often somebody asked.
    asked: u64,
    failure: Option<Remembered>,
    /// When a fresh token was found to be no better than the one before.
    in_vain: Option<Instant>,
}

#[derive(Clone)]
struct Remembered {
    error: GraphError,
    at: Instant,
    /// Refusals in a row, this one included.
    refusals: u32,
}

impl Remembered {
    fn quiet_until(&self) -> Instant {
        let quiet = match self.refusals {
            0 => AFTER_OUTAGE,
            n => AFTER_REFUSAL
                .saturating_mul(2_u32.saturating_pow(n - 1))
                .min(AFTER_REFUSALS),
        };
        self.at + quiet
    }
}

impl TokenSource {
    pub(super) fn new(identity: Identity, inner: Breaker, clock: Clock) -> Self {
        Self {
            identity,
            inner,
            clock,
            known: Mutex::default(),
            turn: Arc::new(Turn::new(SignedDuration::ZERO)),
        }
    }

    /// A token that has not ended yet. Nobody waits for the renewal of one that still works.
    pub(super) async fn usable(self: &Arc<Self>, until: Instant) -> Result<Arc<Token>, GraphError> {
        let now = Instant::now();
        let (token, asked, failure) = self.snapshot();
        let quiet = failure.filter(|failure| now < failure.quiet_until());
        match (token.filter(|token| now < token.expires), quiet) {
            (Some(token), _) if now < token.refresh_at => Ok(token),
            (Some(token), quiet) => {
                if quiet.is_none() {
                    self.renew_in_background();
                }
                Ok(token)
            }
            (None, Some(failure)) => Err(failure.error),
            (None, None) => self.ask_or_share(asked, until).await,
        }
    }

    /// Like [`Self::usable`], but says so when the login host refuses us, even if an older token still
    /// works.
    pub(super) async fn accepted(
        self: &Arc<Self>,
        until: Instant,
    ) -> Result<Arc<Token>, GraphError> {
        let (_, asked, failure) = self.snapshot();
        match failure {
            Some(failure) if failure.refusals == 0 => self.usable(until).await,
            Some(failure) if Instant::now() < failure.quiet_until() => Err(failure.error),
            Some(_) => self.ask_or_share(asked, until).await,
            None => self.usable(until).await,
        }
    }

    fn renew_in_background(self: &Arc<Self>) {
        // Somebody is asking already if it is not our turn.
        if let Ok(turn) = Arc::clone(&self.turn).try_lock_owned() {
            let source = Arc::clone(self);
            let until = Instant::now() + BACKGROUND_PATIENCE;
            // What comes of it is remembered.
            tokio::spawn(async move { source.ask(turn, until).await.map(drop) });
        }
    }

    /// A token that was issued after this call began, or with somebody who is asking just now.
    pub(super) async fn fresh(&self, until: Instant) -> Result<Arc<Token>, GraphError> {
        let (_, asked, failure) = self.snapshot();
        match failure {
            Some(failure) if failure.at.elapsed() < AFTER_OUTAGE => Err(failure.error),
            Some(_) | None => self.ask_or_share(asked, until).await,
        }
    }

    /// Another token than `used`, which Graph did not accept.
    pub(super) async fn replace(
        &self,
        used: &Token,
        until: Instant,
    ) -> Result<Arc<Token>, GraphError> {
        match self.snapshot().0 {
            Some(token) if token.acquired > used.acquired => Ok(token),
            Some(_) | None if self.is_in_vain() => Err(error(
                ErrorClass::Unauthenticated,
                "fresh tokens are not accepted either",
            )),
            Some(_) | None => self.fresh(until).await,
        }
    }

    /// The replacement was not accepted either: no use in asking for more of them.
    pub(super) fn replaced_in_vain(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.in_vain = Some(Instant::now());
    }

    fn is_in_vain(&self) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.in_vain.is_some_and(|at| at.elapsed() < IN_VAIN)
    }

    fn snapshot(&self) -> (Option<Arc<Token>>, u64, Option<Remembered>) {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        (known.token.clone(), known.asked, known.failure.clone())
    }

    async fn ask_or_share(&self, asked: u64, until: Instant) -> Result<Arc<Token>, GraphError> {
        let turn = timeout_at(until, Arc::clone(&self.turn).lock_owned())
            .await
            .map_err(|_| {
                error(
                    ErrorClass::Withheld(Withheld::RetryLater { after: ASKING }),
                    "",
                )
            })?;
        // Who asked while we waited for the turn asked for us too.
        match self.snapshot() {
            (_, now, Some(failure)) if now > asked => Err(failure.error),
            (Some(token), now, None) if now > asked => Ok(token),
            _ => self.ask(turn, until).await,
        }
    }

    async fn ask(
        &self,
        mut turn: OwnedMutexGuard<SignedDuration>,
        until: Instant,
    ) -> Result<Arc<Token>, GraphError> {
        let outcome = self.request(&mut turn, until).await;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.asked += 1;
        match outcome {
            Ok(token) => {
                known.failure = None;
                known.token = Some(Arc::clone(&token));
                Ok(token)
            }
            Err(error) => {
                let before = known.failure.as_ref().map_or(0, |failure| failure.refusals);
                known.failure = Some(Remembered {
                    error: error.clone(),
                    at: Instant::now(),
                    refusals: if error.is_transient() {
                        before
                    } else {
                        before + 1
                    },
                });
                Err(error)
            }
        }
    }

    /// Asks once; once more with the login host's own time if it finds our assertion out of date.
    async fn request(
        &self,
        ahead: &mut SignedDuration,
        until: Instant,
    ) -> Result<Arc<Token>, GraphError> {
        let mut answer = self.send(*ahead, until).await?;
        if entra::code(&answer) == Some(entra::CLOCK_SKEW) {
            let date = answer.date().unwrap_or(answer.received_at);
            *ahead = date.duration_since(answer.received_at);
            answer = self.send(*ahead, until).await?;
        }
        if !answer.status.is_success() {
            return Err(entra::refusal(&answer));
        }
        match entra::issued(&answer) {
            Some(issued) => Ok(Arc::new(token(issued, self.clock.now()))),
            None => Err(classify::nonsense(
                Operation::Token,
                &answer,
                "the answer has no token",
            )),
        }
    }

    async fn send(&self, ahead: SignedDuration, until: Instant) -> Result<Answer, GraphError> {
        let Identity {
            client_id,
            token_url,
            scope,
            shared,
            label,
            ..
        } = &self.identity;
        let proof = self.proof(ahead).await?;
        let call = Call {
            operation: Operation::Token,
            method: Method::POST,
            url: token_url.clone(),
            body: Body::Form(entra::form(client_id, scope, &proof)),
            bearer: None,
            mailbox: None,
            until,
            once: false,
            attempt_id: Uuid::new_v4(),
            shared: Arc::clone(shared),
            label: Arc::clone(label),
        };
        let outcome = self.inner.clone().oneshot(call).await;
        outcome.map_err(|failure| classify::failure(Operation::Token, failure))
    }

    async fn proof(&self, ahead: SignedDuration) -> Result<Proof, GraphError> {
        let Identity {
            credential,
            client_id,
            token_url,
            ..
        } = &self.identity;
        match credential {
            Credential::ClientSecret(secret) => Ok(Proof::Secret(secret.clone())),
            Credential::Certificate(certificate) => {
                let now = self
                    .clock
                    .now()
                    .saturating_add(ahead)
                    .unwrap_or(Timestamp::MAX);
                assertion::sign(certificate, client_id, token_url.as_str(), now)
                    .map(Proof::Assertion)
                    .map_err(|_| {
                        let class = TokenRefusal::CertificateRejected { clock: false };
                        error(ErrorClass::Token(class), "the key cannot sign")
                    })
            }
            Credential::Federated(source) => source
                .assertion()
                .await
                .map(Proof::Assertion)
                .map_err(|why| {
                    let refusal = match why {
                        AssertionError::Forbidden => TokenRefusal::AssertionForbidden,
                        AssertionError::Unavailable(_) => TokenRefusal::AssertionUnavailable,
                    };
                    error(ErrorClass::Token(refusal), &redact(&why.to_string()))
                }),
        }
    }
}

fn token(issued: Issued, now: Timestamp) -> Token {
    let acquired = Instant::now();
    let early = EARLY.min(issued.expires_in / 2);
    let latest = issued.expires_in.saturating_sub(early);
    let refresh_in = issued
        .refresh_in
        .map_or(latest, |advised| advised.min(latest));
    let life = SignedDuration::try_from(issued.expires_in).unwrap_or(SignedDuration::MAX);
    Token {
        secret: issued.secret,
        facts: TokenFacts {
            roles: issued.roles,
            acquired_at: now,
            expires_at: now.saturating_add(life).unwrap_or(Timestamp::MAX),
        },
        acquired,
        refresh_at: acquired + refresh_in,
        expires: acquired + issued.expires_in,
    }
}

fn error(class: ErrorClass, detail: &str) -> GraphError {
    GraphError {
        operation: Operation::Token,
        class,
        detail: detail.to_owned(),
        request_id: None,
    }
}
