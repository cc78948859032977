//! A thread with a runtime of its own: what runs there neither waits for the rest of the process nor holds it up.

use std::io;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task;

/// The thread. Dropping it ends what runs there.
#[derive(Debug)]
pub struct Aside {
    runtime: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Aside {
    /// Starts a thread in which nothing runs yet.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(name: &str) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                // The sender is gone when this is dropped, which means the same.
                let _ = runtime.block_on(stopped);
            })?;
        Ok(Self {
            runtime: handle,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Runs `task` there; so does whatever it spawns.
    pub fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> task::JoinHandle<T> {
        self.runtime.spawn(task)
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It only waits: a task that panics there ends itself alone.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[tokio::test]
    async fn what_is_spawned_there_runs_there_and_ends_with_it() {
        let here = thread::current().id();
        let aside = Aside::start("test").unwrap();
        let inner = aside.spawn(async { tokio::spawn(async { thread::current().id() }).await });
        assert_ne!(inner.await.unwrap().unwrap(), here);
        let endless = aside.spawn(std::future::pending::<()>());
        drop(aside);
        assert!(endless.await.unwrap_err().is_cancelled());
    }
}
