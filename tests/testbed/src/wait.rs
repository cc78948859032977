//! Waiting on a condition with a deadline: the only waiting that tests do.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::Error;

/// How long a look at the world may be old.
const POLL: Duration = Duration::from_millis(50);

/// Waits until `holds` says so, at most for `deadline`. `what` completes the sentence "not within 5 s: …".
pub async fn until(
    what: &str,
    deadline: Duration,
    mut holds: impl AsyncFnMut() -> bool,
) -> Result<(), Error> {
    for_some(what, deadline, async || holds().await.then_some(())).await
}

/// Waits until `look` finds something, at most for `deadline`.
pub async fn for_some<T>(
    what: &str,
    deadline: Duration,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> Result<T, Error> {
    let end = Instant::now() + deadline;
    loop {
        if let Some(found) = look().await {
            return Ok(found);
        }
        if Instant::now() >= end {
            return Err(Error::Deadline {
                what: what.to_owned(),
                deadline,
            });
        }
        pause(POLL).await;
    }
}

/// Lets `duration` pass between two looks.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the testbed polls"
)]
pub async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}
