//! A data folder in use: what all rooms share.
//!
//! ```text
//! DIR/format     "dhow-broker 1"
//!     lock       held while a broker runs
//!     journal    topics, configurations, group offsets, transactions
//!     logs/      a folder for each partition
//! ```

use crate::{
    error::{At as _, Error, Kind, Result},
    flush::Flusher,
    journal::{Journal, sync_folder},
    log::Shared,
    topics::{Topics, config::Values},
};
use rustix::fs::{FlockOperation, flock};
use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Write as _},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

const FORMAT: &str = "dhow-broker 1\n";
/// So many producer ids are taken from the journal at once.
const ID_BLOCK: i64 = 1000;

/// An open data folder.
#[derive(Debug)]
pub struct Storage {
    /// The topics.
    pub topics: Topics,
    /// The broker's state.
    pub journal: Arc<Journal>,
    flusher: Arc<Flusher>,
    /// What identifies this cluster: made once, and never changed.
    pub cluster_id: String,
    /// The next producer id, and the end of the block that the journal has given out.
    producer_ids: Mutex<(i64, i64)>,
    _lock: Lock,
}

impl Storage {
    /// Opens or makes the data folder. `defaults` are configurations for all topics that do not say otherwise.
    ///
    /// # Errors
    /// If another broker has it, its format is newer, its journal is damaged, or a default is none.
    pub fn open(folder: &Path, defaults: Values) -> Result<Self> {
        std::fs::create_dir_all(folder).at("make", folder.display())?;
        let lock = lock(folder)?;
        check_format(folder)?;
        let flusher = Flusher::start()?;
        let journal = Arc::new(Journal::open(folder, Arc::clone(&flusher))?);
        let cluster_id = cluster_id(&journal)?;
        let shared = Shared { journal: Arc::clone(&journal), flusher: Arc::clone(&flusher) };
        let topics = Topics::open(&folder.join("logs"), shared, defaults)?;
        let producer_ids = Mutex::new((0, 0));
        Ok(Self { topics, journal, flusher, cluster_id, producer_ids, _lock: lock })
    }

    /// A producer id that nobody ever had.
    ///
    /// # Errors
    /// [`Kind::Storage`]
    pub fn producer_id(&self) -> Result<i64> {
        let mut ids = self.producer_ids.lock().unwrap_or_else(PoisonError::into_inner);
        if ids.0 == ids.1 {
            let next = self
                .journal
                .get("producer-ids")
                .and_then(|bytes| bytes.first_chunk().map(|id| i64::from_le_bytes(*id)));
            let next = next.unwrap_or(0);
            self.journal.set("producer-ids", (next + ID_BLOCK).to_le_bytes())?.wait()?;
            *ids = (next, next + ID_BLOCK);
        }
        ids.0 += 1;
        Ok(ids.0 - 1)
    }

    /// Removes what retention no longer wants, and compacts. To be called every few minutes while there is traffic, and else at the time that it returns;
    /// `None` if nothing will grow old by itself.
    pub fn tidy(&self, now: i64) -> Option<i64> {
        let topics = self.topics.list();
        let due = topics.iter().flat_map(|topic| &topic.partitions).filter_map(|partition| {
            partition.tidy(now).unwrap_or_else(|error| {
                tracing::warn!(partition = partition.name(), %error, "what is too old or replaced is still there");
                None
            })
        });
        due.min()
    }

    /// Brings everything to disk, so that the next start has nothing to read.
    ///
    /// # Errors
    /// The first failure; the others are tried all the same.
    pub fn close(&self) -> Result<()> {
        let topics = self.topics.list();
        let all = topics.iter().flat_map(|topic| &topic.partitions);
        let outcome = all.map(crate::log::Partition::close).fold(Ok(()), Result::and);
        self.flusher.close();
        outcome
    }
}

/// The folder is ours as long as it lives.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Not only closed: a process that was just forked from this one still has it open, until it executes its program.
        if let Err(errno) = flock(&self.0, FlockOperation::Unlock) {
            tracing::debug!(%errno, "the data folder was not unlocked");
        }
    }
}

fn lock(folder: &Path) -> Result<Lock> {
    let path = folder.join("lock");
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).open(&path).at("open", path.display())?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|errno| {
        let busy = errno == rustix::io::Errno::WOULDBLOCK;
        let why = if busy { "another broker uses it".to_owned() } else { errno.to_string() };
        Error::new(Kind::Storage, "lock", folder.display().to_string(), why)
    })?;
    Ok(Lock(file))
}

fn check_format(folder: &Path) -> Result<()> {
    let path = folder.join("format");
    match std::fs::read_to_string(&path) {
        Ok(format) if format == FORMAT => Ok(()),
        Ok(format) => {
            let why =
                format!("its format is {:?}, and this program knows {:?}", format.trim(), FORMAT.trim());
            Err(Error::new(Kind::Storage, "open", folder.display().to_string(), why))
        }
        // A journal without the file is one that we did not write.
        Err(error) if error.kind() == ErrorKind::NotFound && !folder.join("journal").exists() => {
            let new = folder.join("format.new");
            let write = || {
                let mut file = File::create(&new)?;
                file.write_all(FORMAT.as_bytes())?;
                file.sync_all()?;
                std::fs::rename(&new, &path)
            };
            write().at("write", path.display())?;
            sync_folder(folder)
        }
        Err(error) => Err(error).at("read", path.display()),
    }
}

/// 22 characters of base64 for 16 bytes, as Kafka's.
fn cluster_id(journal: &Journal) -> Result<String> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    if let Some(id) = journal.get("cluster") {
        return Ok(String::from_utf8_lossy(&id).into_owned());
    }
    let mut bytes = [0; 22];
    getrandom::fill(&mut bytes).map_err(|error| Error::new(Kind::Storage, "make", "a cluster id", error))?;
    // The last letter stands for the two bits that are left.
    bytes[21] &= 0b11_0000;
    let id: String = bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte & 63)])).collect();
    journal.set("cluster", id.as_bytes())?.wait()?;
    Ok(id)
}
