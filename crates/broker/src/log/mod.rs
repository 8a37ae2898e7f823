//! The log of one partition: segment files of record batches as Kafka writes them, so that Kafka's own tools read them.
//!
//! ```text
//! <topic>-<partition>/<20-digit base offset>.log     batches of format 2, nothing else; while it grows, zeros behind them
//!                     <20-digit base offset>.side    index, producers, aborted transactions: a cache (see `side`)
//! ```
//! Appends write to the page cache under the partition's lock. The flusher syncs, and moves the *high watermark*: consumers see only
//! what is on disk, so nothing that one has seen can be gone after a power cut. A consumer that waits, or asks for the end, makes
//! the flusher sync at once. A topic with `flush=kafka` moves the high watermark when it writes, as Kafka does.
//!
//! A log is opened when it is first used, and recovered then: the side file of the newest segment that has one says how far all is on
//! disk; what follows is read with its check sums, and ends at the first batch that is not whole. An idle partition has no
//! thread, no timer, and until it is used no file.

mod append;
mod compact;
mod config;
mod epochs;
mod index;
mod lookup;
mod producers;
mod read;
mod recover;
mod retain;
mod segment;
mod side;
mod walk;
mod writer;

pub use append::{Appended, Durability};
pub use config::Config;
pub use lookup::{Found, When};
pub use producers::{Aborted, Writer};
pub use read::{Isolation, Slice};

use crate::{
    error::{Error, Kind, Result},
    flush::{Flush, Flusher, Progress, Ticket},
    journal::Journal,
};
use epochs::Epochs;
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::{SystemTime, UNIX_EPOCH},
};
use writer::Log;

/// One partition. Clones are the same partition.
#[derive(Clone, Debug)]
pub struct Partition(Arc<Inner>);

/// What partitions share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) journal: Arc<Journal>,
    pub(crate) flusher: Arc<Flusher>,
}

#[derive(Debug)]
struct Inner {
    /// `orders-3`
    name: String,
    /// What the journal calls it: topic id and number.
    key: String,
    folder: PathBuf,
    shared: Shared,
    config: RwLock<Arc<Config>>,
    /// The high watermark, and who waits for it.
    progress: Arc<Progress>,
    slot: Mutex<Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    log: Option<Box<Log>>,
    /// A sync failed: what is beyond this offset is not known to be on disk, and will be cut off.
    known: Option<i64>,
    reported: Reported,
    /// Closed since it was looked after, and when retention will want something of it.
    resting: Option<Option<i64>>,
    /// Deleted: nothing opens it again.
    gone: bool,
}

/// What the flusher has been told since it last looked.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Reported {
    #[default]
    No,
    Later,
    Now,
}

/// Where a log begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offsets {
    /// The first that can be read.
    pub start: i64,
    /// The high watermark: what is before it can be read.
    pub high: i64,
    /// What is before it belongs to no open transaction.
    pub stable: i64,
    /// The next record's.
    pub end: i64,
    /// The leader epoch.
    pub epoch: i32,
}

/// Milliseconds since 1970.
#[must_use]
pub fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

impl Partition {
    /// The partition in `folder`, which exists. Nothing is read yet.
    pub(crate) fn new(
        name: String,
        key: String,
        folder: PathBuf,
        shared: Shared,
        config: Arc<Config>,
    ) -> Self {
        let (config, progress) = (RwLock::new(config), Progress::new(0));
        Self(Arc::new(Inner { name, key, folder, shared, config, progress, slot: Mutex::default() }))
    }

    /// Where it begins and ends; `high` does not include what was just written without waiting (see [`Partition::settled`]).
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn offsets(&self) -> Result<Offsets> {
        self.0.with(|log| {
            Ok(Offsets {
                start: log.start,
                high: log.high.offset,
                stable: log.stable(),
                end: log.end,
                epoch: log.epochs.current(),
            })
        })
    }

    /// Kept when all that has been written is on disk, and so can be read: before the end of the log is told to somebody.
    ///
    /// # Errors
    /// If the partition cannot be opened.
    pub fn settled(&self) -> Result<Ticket> {
        let (ticket, dirty) =
            self.0.with(|log| Ok((self.0.progress.ticket(log.end), log.end > log.high.offset)))?;
        if dirty {
            self.0.report(Reported::Now);
        }
        Ok(ticket)
    }

    /// Kept when the high watermark is beyond `seen`: how a long poll waits. Asks for a sync if that is what is missing.
    ///
    /// # Errors
    /// If the partition cannot be opened.
    pub fn grown(&self, seen: i64) -> Result<Ticket> {
        let (ticket, end) = self.0.with(|log| Ok((self.0.progress.ticket(seen + 1), log.end)))?;
        if end > seen && !ticket.is_done() {
            self.0.report(Reported::Now);
        }
        Ok(ticket)
    }

    /// The leader epoch, as far as is known without opening the log.
    #[must_use]
    pub fn epoch(&self) -> i32 {
        if let Some(log) = &self.0.lock().log {
            return log.epochs.current();
        }
        Epochs::load(&self.0.shared.journal, &self.0.epochs_key()).current()
    }

    /// The newest leader epoch that is not newer than `epoch`, and the offset behind its last record; `None` for one that is to come.
    ///
    /// # Errors
    /// If the partition cannot be opened.
    pub fn epoch_end(&self, epoch: i32) -> Result<Option<(i32, i64)>> {
        self.0.with(|log| Ok(log.epochs.end_of(epoch, log.high.offset)))
    }

    /// The producers that it knows.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn producers(&self) -> Result<Vec<Writer>> {
        self.0.with(|log| Ok(log.producers.list()))
    }

    /// Bytes on disk.
    ///
    /// # Errors
    /// If the partition cannot be opened.
    pub fn size(&self) -> Result<u64> {
        self.0.with(|log| Ok(log.size()))
    }

    /// The topic's configuration from now on.
    pub fn configure(&self, config: Arc<Config>) {
        *self.0.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        self.0.lock().resting = None;
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        self.0.config()
    }

    /// `orders-3`
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Syncs, writes the side file, cuts the preallocated tail off: the next start reads nothing.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn close(&self) -> Result<()> {
        let mut slot = self.0.lock();
        let Some(log) = slot.log.as_mut() else { return Ok(()) };
        let closed = log.trim().and_then(|()| match log.work(true) {
            Some(work) => work.sync().map(|()| Some(work)),
            None => Ok(None),
        });
        match closed {
            Ok(work) => {
                slot.log = None;
                if let Some(work) = work {
                    work.write_sides();
                    self.0.progress.advance(work.mark.offset);
                }
                Ok(())
            }
            Err(error) => {
                self.0.give_up(slot, &error);
                Err(error)
            }
        }
    }

    /// Forgets it for good: its folder goes.
    pub(crate) fn bury(&self) {
        let mut slot = self.0.lock();
        (slot.log, slot.gone) = (None, true);
        drop(slot);
        let why = Error::new(Kind::NotFound, "wait for", &self.0.name, "it was deleted");
        self.0.progress.fail(0, &why);
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs `work` with the log, which is opened if it is not yet.
    fn with<T>(&self, work: impl FnOnce(&mut Log) -> Result<T>) -> Result<T> {
        let mut slot = self.lock();
        if slot.gone {
            return Err(Error::new(Kind::NotFound, "open", &self.name, "it was deleted"));
        }
        if slot.log.is_none() {
            slot.log = Some(Box::new(self.open(slot.known)?));
            (slot.known, slot.resting) = (None, None);
        }
        match slot.log.as_deref_mut() {
            Some(log) => work(log),
            None => Err(Error::new(Kind::Storage, "open", &self.name, "it is closed")),
        }
    }

    fn open(&self, known: Option<i64>) -> Result<Log> {
        let journal = &self.shared.journal;
        let start = self.noted(&self.start_key());
        compact::swap::resume(&self.folder, journal, &self.swap_key())?;
        let recovered = recover::recover(&self.folder, start, known, self.noted(&self.gaps_key()))?;
        let mut epochs = Epochs::load(journal, &self.epochs_key());
        let (cut, scanned, end) = (recovered.cut, recovered.scanned, recovered.end);
        if cut > 0 || known.is_some() {
            tracing::warn!(
                partition = self.name,
                cut,
                scanned,
                end,
                "the log's end was not whole and is cut off"
            );
            epochs.begin(end, journal, &self.epochs_key())?;
        }
        let log = Log::new(&self.folder, recovered, epochs, start)?;
        self.progress.advance(log.high.offset);
        Ok(log)
    }

    /// A sync failed: nobody knows what of it is on disk, nor would another sync tell. What is not known to be there is answered with an
    /// error, and cut off when the log is opened again.
    fn give_up(&self, mut slot: MutexGuard<'_, Slot>, error: &Error) {
        let known = slot.log.take().map(|log| log.synced.offset).or(slot.known).unwrap_or(0);
        slot.known = Some(known);
        drop(slot);
        tracing::error!(partition = self.name, %error, "what was not yet on disk is given up");
        self.progress.fail(known, error);
    }

    fn start_key(&self) -> String {
        format!("start/{}", self.key)
    }

    fn gaps_key(&self) -> String {
        format!("gaps/{}", self.key)
    }

    /// An offset in the journal; 0 if there is none.
    fn noted(&self, key: &str) -> i64 {
        let bytes = self.shared.journal.get(key).unwrap_or_default();
        bytes.first_chunk().map_or(0, |offset| i64::from_le_bytes(*offset))
    }

    fn swap_key(&self) -> String {
        format!("swap/{}", self.key)
    }

    fn epochs_key(&self) -> String {
        format!("epochs/{}", self.key)
    }

    /// Tells the flusher, unless it knows.
    fn report(self: &Arc<Self>, urgency: Reported) {
        let mut slot = self.lock();
        if slot.reported >= urgency {
            return;
        }
        slot.reported = urgency;
        drop(slot);
        let this = Arc::clone(self) as Arc<dyn Flush>;
        if urgency == Reported::Now { self.shared.flusher.now(this) } else { self.shared.flusher.later(this) }
    }
}

impl Flush for Inner {
    fn flush(self: Arc<Self>) {
        let mut slot = self.lock();
        slot.reported = Reported::No;
        let Some(work) = slot.log.as_mut().and_then(|log| log.work(false)) else { return };
        drop(slot);
        match work.sync() {
            Ok(()) => {
                if let Some(log) = self.lock().log.as_mut() {
                    log.synced(work.mark);
                }
                self.progress.advance(work.mark.offset);
                work.write_sides();
            }
            Err(error) => self.give_up(self.lock(), &error),
        }
    }
}

#[cfg(test)]
mod tests;
