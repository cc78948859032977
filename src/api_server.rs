//! How long the API server may take to answer. Whoever asks it waits no longer than this, so that a connection that
//! hangs stops nothing for good. The Lease has a stricter limit of its own.

use std::time::Duration;

/// How long the API server may take to answer. kube repeats refused requests by itself, which this bounds too.
pub const ANSWER_TIME: Duration = Duration::from_secs(15);

/// What the API server answers, or that it does not in time.
///
/// # Errors
/// Those of the call, and [`kube::Error::Service`] when there is no answer in time.
pub async fn in_time<T>(call: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
    match tokio::time::timeout(ANSWER_TIME, call).await {
        Ok(answer) => answer,
        Err(elapsed) => Err(kube::Error::Service(elapsed.into())),
    }
}
