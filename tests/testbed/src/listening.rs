//! A loopback port that a thread of its own serves, so that it answers whatever the test's runtime does.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::error::{Attempt, Error};
use crate::worker::Worker;

/// The port. Ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Listening {
    address: SocketAddr,
    _worker: Worker,
}

impl Listening {
    /// Listens on a free port; `serve` accepts until its second argument says that it is over.
    pub(crate) fn start<S, F>(name: &str, serve: S) -> Result<Self, Error>
    where
        S: FnOnce(TcpListener, oneshot::Receiver<()>) -> F + Send + 'static,
        F: Future<Output = Result<(), Error>>,
    {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, crate::ports::free()?))
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .attempt(format!("listen for the {name}"))?;
        let address = listener.local_addr().attempt("look at our own port")?;
        let worker = Worker::start(name, move |runtime, stopped| {
            // Without an answer nobody is served, which a test notices.
            let _ = runtime.block_on(async {
                let listener = TcpListener::from_std(listener).attempt("listen")?;
                serve(listener, stopped).await
            });
        })?;
        Ok(Self {
            address,
            _worker: worker,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// As a URL without TLS.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}
