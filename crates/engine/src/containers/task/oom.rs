//! The kernel's word that it killed something in a container for its memory: docker's `oom` event, while the container runs.

use super::{Command, Probing, keeper::Keeper};
use crate::{blocking, containers::book::Live};
use dhow_runtime::OomWatch;
use std::sync::Arc;
use tokio::io::{Interest, unix::AsyncFd};

/// Watches until it is dropped with the run. A container without a limit of its own has none to exceed: nothing is watched then.
pub(super) fn watch(keeper: &Keeper, live: &Arc<Live>) -> Option<Probing> {
    let host = &keeper.record.spec.host;
    if host.resources.memory == 0 && host.cgroup_parent.is_empty() {
        return None;
    }
    let (handle, live, run) = (keeper.handle.clone(), live.clone(), keeper.runs);
    let task = tokio::spawn(async move {
        let cgroups = live.cgroups.clone();
        drop(live);
        let watched = blocking::run(move || OomWatch::new(&cgroups).map_err(Into::into)).await;
        let outcome = match watched {
            Ok(Some(watch)) => follow(watch, || handle.tell(Command::OutOfMemory { run })).await,
            Ok(None) => Ok(()),
            Err(failure) => Err(failure),
        };
        if let Err(failure) = outcome {
            tracing::debug!(id = handle.id, %failure, "the OOM killer is not watched");
        }
    });
    Some(Probing(task.abort_handle()))
}

/// Tells each strike, until the cgroup goes.
#[expect(
    deprecated,
    reason = "its successor is unsafe for types that may lie about their descriptor; a watch owns its and keeps it"
)]
async fn follow<F: Future<Output = ()>>(watch: OomWatch, tell: impl Fn() -> F) -> crate::Result<()> {
    let interest = if watch.is_priority() { Interest::PRIORITY } else { Interest::READABLE };
    let fail = |e: std::io::Error| crate::error::io("watch", "the OOM killer", e);
    let mut watch = AsyncFd::with_interest(watch, interest).map_err(fail)?;
    loop {
        watch.ready_mut(interest).await.map_err(fail)?.clear_ready();
        match watch.get_mut().strikes()? {
            Some(0) => {}
            Some(_) => tell().await,
            None => return Ok(()),
        }
    }
}
