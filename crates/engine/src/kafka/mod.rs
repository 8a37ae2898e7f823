//! The Kafka broker beside the engine: wanted or not, and kept running.
//!
//! `dhow-broker` is a process of its own, started by the engine on `<data-root>/kafka`. The engine says on a pipe where to listen: the
//! loopback addresses and, by its bridge only, the gateway of every network. The broker ends, cleanly, when that pipe does; so it is
//! never older than its engine, and an engine that comes back starts it again. What it acknowledged is on disk by then.

mod process;
mod supervisor;

use crate::{Error, Kind, Result, shared::Shared};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
};
use tokio::sync::{Mutex, watch};

/// What containers call the broker.
pub(crate) const NAME: &str = "kafka";
/// The journal's key of what is wanted.
const RECORD: &str = "kafka";

/// What the broker is to do. Also the disk format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Wanted {
    port: u16,
    /// Which command wanted it.
    #[serde(skip)]
    round: u64,
}

/// How the broker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// Nobody wants it.
    #[default]
    Stopped,
    /// It opens its data.
    Starting,
    /// It serves.
    Running,
    /// It ended by itself, and will be started again.
    Failed,
}

/// The broker as it stands.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// How it is.
    pub state: State,
    /// On 127.0.0.1, and on every network's gateway; 0 while stopped.
    pub port: u16,
    /// Of the process.
    pub pid: Option<u32>,
    /// Where it listens.
    pub listening: Vec<String>,
    /// Where it was to listen and cannot, and why.
    pub refused: BTreeMap<String, String>,
    /// How often it was started again since it was wanted.
    pub restarts: u32,
    /// How it ended the last time, if it did by itself.
    pub error: String,
    round: u64,
}

/// The service.
#[derive(Debug)]
pub struct Kafka {
    shared: Arc<Shared>,
    wanted: watch::Sender<Option<Wanted>>,
    status: watch::Receiver<Status>,
    /// One command at a time; the number of the last.
    command: Mutex<u64>,
}

impl Kafka {
    /// Begins to keep it running, if it was wanted before.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let wanted = watch::Sender::new(recorded(&shared));
        let (status, seen) = watch::channel(Status::default());
        tokio::spawn(supervisor::keep(Arc::downgrade(&shared), wanted.subscribe(), status));
        Self { shared, wanted, status: seen, command: Mutex::new(0) }
    }

    /// Starts the broker, now and after every start of the engine; answers when it serves. If it runs, only its port changes.
    ///
    /// # Errors
    /// If there is no program, it does not start, or the port is taken: then all is as it was.
    pub async fn up(&self, port: Option<u16>) -> Result<Status> {
        self.shared.admit()?;
        let program = program(&self.shared);
        if !program.is_file() {
            let text = format!("this engine has no Kafka broker: {} is missing", program.display());
            return Err(Error::new(Kind::Unsupported, text));
        }
        let mut round = self.command.lock().await;
        *round += 1;
        let before = self.wanted.borrow().clone();
        let port = port.or(before.as_ref().map(|before| before.port)).unwrap_or(PORT);
        let wanted = Wanted { port, round: *round };
        self.wanted.send_replace(Some(wanted.clone()));
        let status = self.settled(*round).await?;
        let taken = status.refused.get(&main_address(port)).map(|why| (Kind::Conflict, why.clone()));
        let failed = (status.state == State::Failed).then(|| (Kind::Internal, status.error.clone()));
        if let Some((kind, why)) = taken.or(failed) {
            self.wanted.send_replace(before.map(|before| Wanted { round: *round, ..before }));
            return Err(Error::new(kind, format!("cannot start the Kafka broker on port {port}: {why}")));
        }
        let ticket = self.shared.journal(RECORD, &wanted)?;
        self.shared.synced(ticket).await?;
        Ok(status)
    }

    /// Stops the broker, which closes its data, and starts it no more. The data stays.
    ///
    /// # Errors
    /// If that cannot be noted.
    pub async fn down(&self) -> Result<()> {
        let _round = self.command.lock().await;
        let ticket = self.shared.store.journal().put(RECORD, None);
        self.shared.synced(ticket).await?;
        self.wanted.send_replace(None);
        let mut status = self.status.clone();
        let stopped = status.wait_for(|status| status.state == State::Stopped).await;
        stopped.map(drop).map_err(|_| Error::new(Kind::Unavailable, "the engine is shutting down"))
    }

    /// How it is.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Where its data lies.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        data(&self.shared)
    }

    /// Waits until a command has had its effect.
    async fn settled(&self, round: u64) -> Result<Status> {
        let mut status = self.status.clone();
        let settled =
            |status: &Status| status.round == round && matches!(status.state, State::Running | State::Failed);
        tokio::select! {
            settled = status.wait_for(settled) => settled
                .map(|status| status.clone())
                .map_err(|_| Error::new(Kind::Unavailable, "the engine is shutting down")),
            () = self.shared.drains() => Err(Error::new(Kind::Unavailable, "the engine is shutting down")),
        }
    }
}

/// Kafka's port.
const PORT: u16 = 9092;

fn recorded(shared: &Shared) -> Option<Wanted> {
    let (_, bytes) = shared.store.journal().scan(RECORD).into_iter().find(|(key, _)| key == RECORD)?;
    match serde_json::from_slice(&bytes) {
        Ok(wanted) => Some(wanted),
        Err(failure) => {
            tracing::error!(%failure, "the record of the Kafka broker cannot be read: it is not started");
            None
        }
    }
}

/// It lies beside the shim.
fn program(shared: &Shared) -> PathBuf {
    shared.config.shim.with_file_name("dhow-broker")
}

fn data(shared: &Shared) -> PathBuf {
    shared.config.data_root.join("kafka")
}

fn main_address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// The line of `/etc/hosts` for a container of the default network, which has no names of its own: its gateway is the broker's.
pub(crate) fn host_entry(shared: &Shared, gateway: IpAddr) -> Option<(String, String)> {
    shared.kafka_named.load(Ordering::Relaxed).then(|| (gateway.to_string(), NAME.to_owned()))
}
