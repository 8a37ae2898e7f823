//! What all connections share.

use crate::{
    error::Result,
    groups::{Groups, Limits},
    listen::Endpoint,
    log::now,
    storage::Storage,
    topics::{Topic, TopicId, config::Values},
    txn::Txns,
};
use dhow_kafka::Uuid;
use std::{future::poll_fn, path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::Notify;

/// How long after something was written the broker looks for what retention no longer wants.
const TIDY: Duration = Duration::from_mins(5);

/// How long after an end of a transaction that did not work the next try is made.
const PAUSE: Duration = Duration::from_millis(100);

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
    pub(crate) groups: Groups,
    pub(crate) txns: Txns,
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
        let groups = Groups::open(Arc::clone(&storage.journal), Limits::default(), now());
        let txns = Txns::open(Arc::clone(&storage.journal));
        Ok(Self { settings, storage, groups, txns, written: Notify::new() })
    }

    /// Removes what is too old or too much, for ever: some time after something was written, and when something grows old.
    pub async fn tidy(self: Arc<Self>) {
        loop {
            let broker = Arc::clone(&self);
            let due = tokio::task::spawn_blocking(move || broker.tidy_once()).await.unwrap_or(None);
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

    fn tidy_once(&self) -> Option<i64> {
        if let Err(error) = self.groups.expire(now()) {
            tracing::warn!("cannot forget old offsets: {error}");
        }
        if let Err(error) = self.txns.expire(now()) {
            tracing::warn!("cannot forget old transactional ids: {error}");
        }
        self.storage.tidy(now())
    }

    /// Wakes the groups when something is due, for ever; while no group has members, never.
    pub async fn watch_groups(self: Arc<Self>) {
        loop {
            let due = self.groups.deadline();
            let earlier = poll_fn(|context| self.groups.poll_earlier(due, context));
            let Some(due) = due else {
                earlier.await;
                continue;
            };
            let left = Duration::from_millis((due - now()).max(0).unsigned_abs());
            tokio::select! {
                () = earlier => {}
                () = tokio::time::sleep(left) => self.groups.tick(now()),
            }
        }
    }

    /// Wakes the transactions when one takes too long or was left half-ended, for ever; while none is open, never.
    pub async fn watch_transactions(self: Arc<Self>) {
        loop {
            let due = self.txns.deadline();
            let earlier = poll_fn(|context| self.txns.poll_earlier(due, context));
            let Some(due) = due else {
                earlier.await;
                continue;
            };
            let left = Duration::from_millis((due - now()).max(0).unsigned_abs());
            tokio::select! {
                () = earlier => {}
                () = tokio::time::sleep(left) => {
                    self.txns.tick(&self.storage, now()).await;
                    if self.txns.deadline().is_some_and(|due| due <= now()) {
                        // the disk fails, or somebody is at it: not again at once
                        tokio::time::sleep(PAUSE).await;
                    }
                }
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
