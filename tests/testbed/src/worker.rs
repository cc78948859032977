//! A thread with a runtime of its own, which works until somebody drops it: it goes on whatever a test's runtime does.

use std::thread::JoinHandle;

use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::error::{Attempt, Error};

/// The thread. Ends when it is dropped, which waits for it.
#[derive(Debug)]
pub(crate) struct Worker {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Begins to `work`, which ends when its second argument says that it is over.
    pub(crate) fn start(
        name: &str,
        work: impl FnOnce(&Runtime, oneshot::Receiver<()>) + Send + 'static,
    ) -> Result<Self, Error> {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build().attempt("make a runtime")?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || work(&runtime, stopped))
            .attempt(format!("start a thread for the {name}"))?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed.
            let _ = thread.join();
        }
    }
}
