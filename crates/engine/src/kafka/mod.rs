//! The Kafka broker beside the engine: wanted or not, and kept running.
//!
//! `dhow-broker` is a process of its own, started by the engine on `<data-root>/kafka`. The engine says on a pipe where to listen: the
//! loopback addresses and, by its bridge only, the gateway of every network. The broker ends, cleanly, when that pipe does; so it is
//! never older than its engine, and an engine that comes back starts it again. What it acknowledged is on disk by then.

mod process;
mod supervisor;

use crate::{Error, Kind, Result, networks::View, shared::Shared};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::{Mutex, watch};

/// What containers call the broker.
pub(crate) const NAME: &str = "kafka";
/// The journal's key of what is wanted.
const RECORD: &str = "kafka";

/// What was asked for last. The disk format (journal `kafka`).
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Record {
    port: u16,
    up: bool,
}

/// What the broker is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    port: u16,
    /// Which command wanted it.
    round: u64,
}

/// One command at a time.
#[derive(Debug)]
struct Commands {
    /// The number of the last one.
    round: u64,
    /// The port, also while it is down.
    port: u16,
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
    commands: Mutex<Commands>,
}

impl Kafka {
    /// Begins to keep it running, if it was wanted before.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let Record { port, up } = recorded(&shared);
        let wanted = watch::Sender::new(up.then_some(Wanted { port, round: 0 }));
        tokio::spawn(supervisor::keep(Arc::downgrade(&shared), wanted.subscribe()));
        Self { shared, wanted, commands: Mutex::new(Commands { round: 0, port }) }
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
        let mut commands = self.commands.lock().await;
        commands.round += 1;
        let (round, port) = (commands.round, port.unwrap_or(commands.port));
        let before = self.wanted.borrow().clone();
        self.wanted.send_replace(Some(Wanted { port, round }));
        let settled =
            |status: &Status| status.round == round && matches!(status.state, State::Running | State::Failed);
        let status = self.becomes(settled).await?;
        let taken = status.refused.get(&main_address(port)).map(|why| (Kind::Conflict, why.clone()));
        let failed = (status.state == State::Failed).then(|| (Kind::Internal, status.error.clone()));
        if let Some((kind, why)) = taken.or(failed) {
            self.wanted.send_replace(before.map(|before| Wanted { round, ..before }));
            return Err(Error::new(kind, format!("cannot start the Kafka broker on port {port}: {why}")));
        }
        commands.port = port;
        let ticket = self.shared.journal(RECORD, &Record { port, up: true })?;
        self.shared.synced(ticket).await?;
        Ok(status)
    }

    /// Stops the broker, which closes its data, and starts it no more. The data stays.
    ///
    /// # Errors
    /// If that cannot be noted.
    pub async fn down(&self) -> Result<()> {
        let commands = self.commands.lock().await;
        let ticket = self.shared.journal(RECORD, &Record { port: commands.port, up: false })?;
        self.shared.synced(ticket).await?;
        self.wanted.send_replace(None);
        self.becomes(|status| status.state == State::Stopped).await.map(drop)
    }

    /// How it is.
    #[must_use]
    pub fn status(&self) -> Status {
        self.shared.kafka.borrow().clone()
    }

    /// Where its data lies.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        data(&self.shared)
    }

    /// Waits until a command has had its effect.
    async fn becomes(&self, settled: impl FnMut(&Status) -> bool) -> Result<Status> {
        let going = || Error::new(Kind::Unavailable, "the engine is shutting down");
        let mut status = self.shared.kafka.subscribe();
        tokio::select! {
            settled = status.wait_for(settled) => settled.map(|status| status.clone()).map_err(|_| going()),
            () = self.shared.drains() => Err(going()),
        }
    }
}

/// How long a running broker may take to listen on one more address.
const ANSWER: Duration = Duration::from_secs(2);
/// Kafka's port.
const PORT: u16 = 9092;

fn recorded(shared: &Shared) -> Record {
    let none = Record { port: PORT, up: false };
    let found = shared.store.journal().scan(RECORD).into_iter().find(|(key, _)| key == RECORD);
    let Some((_, bytes)) = found else { return none };
    serde_json::from_slice(&bytes).unwrap_or_else(|failure| {
        tracing::error!(%failure, "the record of the Kafka broker cannot be read: it is not started");
        none
    })
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
    let wanted = shared.kafka.borrow().state != State::Stopped;
    wanted.then(|| (gateway.to_string(), NAME.to_owned()))
}

/// Waits until the broker, if it runs, listens on a new network: its first container must reach it.
pub(crate) async fn follows(shared: &Shared, network: &View) {
    let there = |status: &Status| {
        let wanted = process::gateways(status.port, network);
        let known =
            |address: &String| status.listening.contains(address) || status.refused.contains_key(address);
        status.state != State::Running || wanted.iter().all(known)
    };
    let mut status = shared.kafka.subscribe();
    // A broker that does not answer is no reason to have no network.
    if tokio::time::timeout(ANSWER, status.wait_for(there)).await.is_err() {
        tracing::warn!(network = network.name, "the Kafka broker does not listen on a new network yet");
    }
}
