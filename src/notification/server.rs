//! The receiver's socket: plain HTTP or TLS, with limits on connections, heads and time, and an end that
//! loses nothing.

use std::future::{Ready, ready};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use axum_server::accept::Accept;
use axum_server::tls_rustls::RustlsAcceptor;
use axum_server::{Control, Handle};
use futures::future::Either;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::tls::{Certificate, TlsError};
use crate::clock::sleep;
use crate::listen::listen;

/// Connections at once; more are closed at once.
const MAX_CONNECTIONS: usize = 1024;

/// How long a new connection may take for the head of its first request, and a used one for its next.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);

/// Longest head of a request.
const HEAD_LIMIT: usize = 16 * 1024;

/// How often the certificate's files are looked at.
const RELOAD_INTERVAL: Duration = Duration::from_secs(10);

/// How long notifications are still taken after a stop is requested: until load balancers have noticed.
pub const DRAIN: Duration = Duration::from_secs(15);

/// How long requests may take that began before the socket closed.
const LAST_REQUESTS: Duration = Duration::from_secs(5);

/// Where and how to listen.
#[derive(Clone, Debug)]
pub struct Socket {
    /// The address.
    pub listen: SocketAddr,
    /// Directory with `tls.crt` and `tls.key`; none: plain HTTP.
    pub tls_dir: Option<PathBuf>,
}

/// Whether notifications can arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listening {
    /// The socket is open.
    Yes,
    /// It was closed, or its server failed.
    No,
}

/// Why the receiver could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address cannot be used.
    #[error("cannot listen on {listen}")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The certificate cannot be used.
    #[error("cannot use the receiver's certificate")]
    Certificate(#[source] TlsError),
}

/// A running receiver.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    handle: Handle<SocketAddr>,
    listening: watch::Receiver<Listening>,
    serving: JoinHandle<()>,
    reloading: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens and serves `router` until [`Server::drain`]. The socket is open when this returns.
    ///
    /// # Errors
    /// When the address or the certificate cannot be used.
    pub async fn start(socket: Socket, router: Router) -> Result<Self, ServerError> {
        Self::start_reloading(socket, router, RELOAD_INTERVAL).await
    }

    /// As [`Server::start`], looking at the certificate's files `every` so often.
    pub(super) async fn start_reloading(
        socket: Socket,
        router: Router,
        every: Duration,
    ) -> Result<Self, ServerError> {
        let certificate = match socket.tls_dir {
            None => None,
            Some(dir) => Some(
                Certificate::load(dir)
                    .await
                    .map_err(ServerError::Certificate)?,
            ),
        };
        let failed = |source| ServerError::Listen {
            listen: socket.listen,
            source,
        };
        let listener = listen(socket.listen).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let server = axum_server::from_tcp(listener).map_err(failed)?;
        let handle = Handle::new();
        let control = handle.control();
        let server = limited(server.handle(handle.clone()));
        let service = router.into_make_service();
        let (listening, watching) = watch::channel(Listening::Yes);
        let (serving, reloading) = match certificate {
            None => {
                let server = server.map(|inner| Limited { inner, control });
                let serving = tokio::spawn(serve(server.serve(service), listening));
                (serving, None)
            }
            Some(certificate) => {
                let inner = RustlsAcceptor::new(certificate.config());
                let server = server.acceptor(Limited { inner, control });
                let serving = tokio::spawn(serve(server.serve(service), listening));
                (serving, Some(tokio::spawn(certificate.follow(every))))
            }
        };
        Ok(Self {
            address,
            handle,
            listening: watching,
            serving,
            reloading,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Tells when it does not listen any more.
    #[must_use]
    pub fn listening(&self) -> watch::Receiver<Listening> {
        self.listening.clone()
    }

    /// Serves for another `keep`, then closes the socket and lets the last requests end.
    pub async fn drain(self, keep: Duration) {
        sleep(keep).await;
        self.handle.graceful_shutdown(Some(LAST_REQUESTS));
        if let Err(error) = self.serving.await {
            tracing::error!(error = %error, "the receiver panicked");
        }
        if let Some(reloading) = self.reloading {
            reloading.abort();
        }
    }
}

/// The same limits for plain HTTP and TLS.
fn limited<A>(server: axum_server::Server<SocketAddr, A>) -> axum_server::Server<SocketAddr, A> {
    let mut server = server
        .http1_only()
        .first_request_timeout(FIRST_REQUEST_TIMEOUT);
    server
        .http_builder()
        .http1()
        .header_read_timeout(IDLE_TIMEOUT)
        .max_buf_size(HEAD_LIMIT);
    server
}

async fn serve(serving: impl Future<Output = io::Result<()>>, listening: watch::Sender<Listening>) {
    if let Err(error) = serving.await {
        tracing::error!(error = %error, "the receiver stopped");
    }
    listening.send_replace(Listening::No);
}

/// Refuses connections beyond [`MAX_CONNECTIONS`].
#[derive(Clone, Debug)]
struct Limited<A> {
    inner: A,
    control: Control,
}

impl<A: Accept<I, S>, I, S> Accept<I, S> for Limited<A> {
    type Stream = A::Stream;
    type Service = A::Service;
    type Future = Either<Ready<io::Result<(A::Stream, A::Service)>>, A::Future>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        if self.control.connection_count() > MAX_CONNECTIONS {
            Either::Left(ready(Err(io::Error::other("too many connections"))))
        } else {
            Either::Right(self.inner.accept(stream, service))
        }
    }
}
