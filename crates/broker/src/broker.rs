//! What all connections share.

use crate::{
    error::Result,
    listen::Endpoint,
    log::now,
    storage::Storage,
    topics::{Topic, TopicId, config::Values},
};
use dhow_kafka::Uuid;
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::Notify;

/// How long after something was written the broker looks for what retention no longer wants.
const TIDY: Duration = Duration::from_mins(5);

/// What the broker is told at its start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where everything is.
    pub data: PathBuf,
    /// The number of the one node.
    pub node: i32,
    /// What clients are told to use, whatever they used.
    pub advertised: Option<Endpoint>,
    /// Partitions of a topic whose maker does not say how many.
    pub partitions: u32,
    /// Whether a topic is made when a client asks for it.
    pub auto_create: bool,
    /// Whether more than one replica is refused, as Kafka does.
    pub strict_replication: bool,
    /// Configurations of topics that do not say otherwise.
    pub defaults: Values,
}

/// The broker, without its doors.
#[derive(Debug)]
pub struct Broker {
    pub(crate) settings: Settings,
    pub(crate) storage: Storage,
    /// Something was written.
    pub(crate) written: Notify,
}

impl Broker {
    /// Opens the data. Blocks on the disk.
    ///
    /// # Errors
    /// If somebody else has it, or it cannot be read.
    pub fn open(settings: Settings) -> Result<Self> {
        let storage = Storage::open(&settings.data, settings.defaults.clone())?;
        Ok(Self { settings, storage, written: Notify::new() })
    }

    /// Removes what is too old or too much, for ever: some time after something was written, and when something grows old.
    pub async fn tidy(self: Arc<Self>) {
        loop {
            let broker = Arc::clone(&self);
            let due = tokio::task::spawn_blocking(move || broker.storage.tidy(now())).await.unwrap_or(None);
            let after = due.map(|due| Duration::from_millis((due - now()).max(0).unsigned_abs()).max(TIDY));
            let old = async {
                match after {
                    Some(after) => tokio::time::sleep(after).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = old => {}
                () = async { self.written.notified().await; tokio::time::sleep(TIDY).await } => {}
            }
        }
    }

    /// Syncs everything and notes that it is whole: the next start reads nothing of the logs. Blocks on the disk.
    ///
    /// # Errors
    /// The first failure; the rest is closed all the same.
    pub fn close(&self) -> Result<()> {
        self.storage.close()
    }

    /// The folder of the partitions.
    pub(crate) fn logs(&self) -> PathBuf {
        self.settings.data.join("logs")
    }

    /// By the name or, where the client has none to give, by the id.
    pub(crate) fn topic(&self, name: Option<&str>, id: Uuid) -> Option<Arc<Topic>> {
        match name {
            Some(name) => self.storage.topics.get(name),
            None => self.storage.topics.by_id(TopicId(id.0)),
        }
    }
}

impl Topic {
    /// The partitions with their numbers.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (i32, &crate::log::Partition)> {
        (0..).zip(&self.partitions)
    }

    /// The id, as it is on the wire.
    pub(crate) fn uuid(&self) -> Uuid {
        Uuid(self.id.0)
    }
}
