//! A loopback port that a thread of its own serves, so that it answers whatever the test's runtime does.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread::JoinHandle;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::error::{Attempt, Error};

/// The port. Ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Listening {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
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
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread();
                // Without it nobody answers, which a test notices.
                if let Ok(runtime) = { runtime }.enable_all().build() {
                    let _ = runtime.block_on(async {
                        let listener = TcpListener::from_std(listener).attempt("listen")?;
                        serve(listener, stopped).await
                    });
                }
            })
            .attempt(format!("start a thread for the {name}"))?;
        Ok(Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
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

impl Drop for Listening {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed.
            let _ = thread.join();
        }
    }
}
