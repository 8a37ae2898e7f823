//! What every start needs and can be made before it: the shim and the network namespace. Who creates a container nearly always starts it
//! at once, so they are made while the client reads the answer to `create`; a start that does not come within [`KEPT`] finds nothing
//! made, as does every later one.

use super::{
    launch::{Shim, dismiss, spawn},
    network::{self, Mode, Sandbox, mode},
};
use crate::{Result, containers::record::Record, shared::Shared};
use std::{sync::Arc, time::Duration};
use tokio::{sync::oneshot, task::JoinHandle};

/// How long what was made waits for its start.
const KEPT: Duration = Duration::from_secs(1);
/// For how many containers at once: who creates many is not about to start them all.
pub(crate) const AT_ONCE: usize = 4;

/// Before the plan is known.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) shim: Shim,
    pub(super) sandbox: Sandbox,
}

/// Makes both at the same time; neither is left if the other fails.
pub(super) async fn make(shared: &Arc<Shared>, record: &Arc<Record>) -> Result<Made> {
    match tokio::join!(network::sandbox(shared, &record.spec), spawn(shared, record)) {
        (Ok(sandbox), Ok(shim)) => Ok(Made { shim, sandbox }),
        (Err(failure), Ok(shim)) => {
            discard(shared, record, shim).await;
            Err(failure)
        }
        (_, Err(failure)) => Err(failure),
    }
}

pub(super) async fn discard(shared: &Shared, record: &Record, mut shim: Shim) {
    dismiss(&shim.link, &mut shim.notices, shared.shim_dir(&record.id)).await;
}

/// Being made, or made and waiting. Dropping it is enough: what was made is taken away again.
#[derive(Debug)]
pub(crate) struct Ahead {
    wanted: oneshot::Sender<()>,
    made: JoinHandle<Option<Made>>,
}

impl Ahead {
    /// Begins, unless there is enough begun already or the namespace is another container's, of which nobody knows yet whether it will run.
    pub(crate) fn begin(shared: &Arc<Shared>, record: &Arc<Record>) -> Option<Self> {
        if let Mode::Container(_) = mode(&record.spec.host.network_mode) {
            return None;
        }
        let permit = shared.ahead.clone().try_acquire_owned().ok()?;
        // A drain waits for who holds this.
        let tidying = shared.tidying.clone().try_read_owned().ok()?;
        let (shared, record) = (shared.clone(), record.clone());
        let (wanted, asked) = oneshot::channel();
        let made = tokio::spawn(async move {
            let _held = (permit, tidying);
            // Why it cannot be had, a start will find out and say.
            let made = make(&shared, &record).await.ok()?;
            let wanted = tokio::select! {
                biased;
                asked = asked => asked.is_ok(),
                () = tokio::time::sleep(KEPT) => false,
                () = shared.drains() => false,
            };
            if wanted {
                return Some(made);
            }
            discard(&shared, &record, made.shim).await;
            None
        });
        Some(Self { wanted, made })
    }

    /// What was made; none if it is not there any more, or never was.
    pub(super) async fn take(self) -> Option<Made> {
        // Unheard when the time was over; the task's end says so.
        self.wanted.send(()).unwrap_or_default();
        self.made.await.ok().flatten()
    }
}
