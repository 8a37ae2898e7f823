//! What all connections share.

use crate::{
    catalog::{Catalog, new_id},
    error::{At as _, Error, Kind, Result},
    flush::Flusher,
    journal::Journal,
    listen::Endpoint,
    log::Shared,
};
use std::{
    fs::File,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

const CLUSTER_ID: &str = "cluster/id";
const PRODUCER_IDS: &str = "producer/next";
/// Producer ids that one record of the journal gives away.
const BLOCK: i64 = 1000;

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
    pub partitions: usize,
    /// Whether a topic is made when a client asks for it.
    pub auto_create: bool,
    /// Whether more than one replica is refused, as Kafka does.
    pub strict_replication: bool,
}

/// The broker, without its doors.
#[derive(Debug)]
pub struct Broker {
    pub(crate) settings: Settings,
    pub(crate) cluster_id: String,
    pub(crate) catalog: Catalog,
    pub(crate) journal: Arc<Journal>,
    flusher: Arc<Flusher>,
    producer_ids: Mutex<ProducerIds>,
    /// Held as long as the broker has the data.
    _lock: File,
}

/// Ids that may be given out.
#[derive(Debug)]
struct ProducerIds {
    next: i64,
    /// What the journal has: ids before it are ours.
    reserved: i64,
}

impl Broker {
    /// Opens the data. Blocks on the disk.
    ///
    /// # Errors
    /// If somebody else has it, or it cannot be read.
    pub fn open(settings: Settings) -> Result<Self> {
        let data = &settings.data;
        std::fs::create_dir_all(data).at("make", data.display())?;
        let lock = File::create(data.join("lock")).at("make the lock in", data.display())?;
        lock.try_lock().map_err(|why| Error::new(Kind::Storage, "lock", data.display().to_string(), why))?;
        let flusher = Flusher::start()?;
        let journal = Arc::new(Journal::open(data, Arc::clone(&flusher))?);
        let shared = Shared { journal: Arc::clone(&journal), flusher: Arc::clone(&flusher) };
        let catalog = Catalog::open(data, shared)?;
        let cluster_id = match journal.get(CLUSTER_ID) {
            Some(id) => String::from_utf8_lossy(&id).into_owned(),
            None => {
                let id = new_id()?.to_string();
                journal.set(CLUSTER_ID, id.as_bytes())?.forget();
                id
            }
        };
        let next = journal
            .get(PRODUCER_IDS)
            .and_then(|bytes| bytes.first_chunk().map(|next| i64::from_le_bytes(*next)))
            .unwrap_or(0);
        let producer_ids = Mutex::new(ProducerIds { next, reserved: next });
        Ok(Self { settings, cluster_id, catalog, journal, flusher, producer_ids, _lock: lock })
    }

    /// A producer id that nobody ever had.
    pub(crate) async fn producer_id(&self) -> Result<i64> {
        let (id, ticket) = {
            let mut ids = self.producer_ids.lock().unwrap_or_else(PoisonError::into_inner);
            let id = ids.next;
            let ticket = if id < ids.reserved {
                None
            } else {
                let reserved = id + BLOCK;
                let ticket = self.journal.set(PRODUCER_IDS, reserved.to_le_bytes())?;
                ids.reserved = reserved;
                Some(ticket)
            };
            ids.next += 1;
            (id, ticket)
        };
        if let Some(ticket) = ticket {
            ticket.await?;
        }
        Ok(id)
    }

    /// Syncs everything and notes that it is whole: the next start reads nothing of the logs. Blocks on the disk.
    ///
    /// # Errors
    /// The first partition's whose disk fails; the others are closed all the same.
    pub fn close(&self) -> Result<()> {
        let mut outcome = Ok(());
        for topic in self.catalog.all() {
            for partition in &topic.partitions {
                outcome = outcome.and(partition.close());
            }
        }
        self.flusher.close();
        outcome
    }
}
