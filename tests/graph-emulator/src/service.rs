//! The emulator as a tower service: what the listener serves, and what a client in the same process calls.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use http::{Request, Response, StatusCode};
use jiff::Timestamp;
use tower::{BoxError, Service};

use crate::call::{Answer, Call, ConnectionCut, Content, Origin};
use crate::clock::Clock;
use crate::control::Control;
use crate::core::Core;
use crate::outgoing::Outgoing;
use crate::world::{World, WorldError};

/// Entra and Graph without sockets. Clones share one emulator.
#[derive(Clone, Debug)]
pub struct EmulatorService {
    pub(crate) core: Arc<Core>,
    pub(crate) origin: Arc<Origin>,
}

/// What an emulator without sockets lives by.
#[derive(Clone, Debug)]
pub struct Seclusion {
    /// Fixes all ids.
    pub seed: u64,
    /// Its clock at the start; from there on it follows tokio's.
    pub start: Timestamp,
    /// Reaches the receivers of notifications.
    pub outgoing: Outgoing,
}

impl EmulatorService {
    /// An emulator that listens nowhere and calls only by what it was given. Links in its answers are HTTPS. Must be called
    /// within a tokio runtime, which its work does not outlive.
    pub fn secluded(world: World, seclusion: Seclusion) -> Result<Self, WorldError> {
        world.check()?;
        let Seclusion {
            seed,
            start,
            outgoing,
        } = seclusion;
        Ok(Self {
            core: Core::new(world, seed, outgoing, Clock::starting_at(start)),
            origin: Arc::new(Origin {
                scheme: "https",
                authority: "graph.microsoft.com".to_owned(),
            }),
        })
    }

    /// What may be done to it from outside.
    #[must_use]
    pub fn control(&self) -> Control {
        Control(Arc::clone(&self.core))
    }
}

impl<B> Service<Request<B>> for EmulatorService
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = ConnectionCut;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Self { core, origin } = self.clone();
        Box::pin(async move {
            let Some(call) = Call::read(request.map(Body::new), &origin).await else {
                let refused = Answer::new(StatusCode::PAYLOAD_TOO_LARGE, Content::Empty);
                return Ok(refused.into_response());
            };
            core.answer(call).await.map(Answer::into_response)
        })
    }
}

/// Gives every connection its service.
#[derive(Clone, Debug)]
pub(crate) struct ForEachConnection(pub(crate) EmulatorService);

impl<T> Service<T> for ForEachConnection {
    type Response = EmulatorService;
    type Error = Infallible;
    type Future = Ready<Result<EmulatorService, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: T) -> Self::Future {
        ready(Ok(self.0.clone()))
    }
}
