//! The one way from the engine room down to the machine room: blocking work on tokio's thread pool.

use crate::{Error, Kind, Result};

/// Runs blocking work elsewhere. A panic down there is an error here, never the end of the daemon's task. Work that a daemon at its end does not
/// begin any more is no failure of that work: who waits for it is dropped as well.
pub(crate) async fn run<T, F>(work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(failure) if failure.is_cancelled() => std::future::pending().await,
        Err(failure) => Err(Error::new(Kind::Internal, format!("internal failure: {failure}"))),
    }
}
