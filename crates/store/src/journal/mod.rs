//! The journal of engine objects: append-only records with a CRC each, group commit, compaction. Key → value, both opaque.
//!
//! Who puts a record hands it to the kernel himself; one thread syncs, when somebody waits for it, or after [`LINGER`] when nobody
//! does. Appending waits for no sync, only for the rare rewriting of the file. Every record of the same moment shares one sync. Records become durable in the order of
//! their [`Journal::put`]: when one is on disk, so is every earlier one.

mod commit;
pub(crate) use commit::sync_folder;
mod format;

use crate::{Error, Kind, Result, error::At};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How long a record that nobody waits for may stay unsynced.
const LINGER: Duration = Duration::from_millis(200);

/// Append-only records with a CRC each and group commit; compacted in the background. Key → value, both opaque.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What the callers and the commit thread share. Who holds the state may try for the log, and waits for it in the thread alone.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    log: Mutex<commit::Log>,
    /// The thread sleeps here.
    work: Condvar,
    /// Waiters sleep here.
    done: Condvar,
}

#[derive(Debug, Default)]
struct State {
    live: BTreeMap<String, Arc<[u8]>>,
    /// Bytes that the live records need in the file.
    live_size: u64,
    /// Records that are not yet written, in order.
    pending: Vec<(String, Option<Arc<[u8]>>)>,
    /// Number of the last record that was put, of the last that the kernel has, and of the last that is on disk.
    last: u64,
    written: u64,
    synced: u64,
    /// Since when the file has more than the disk.
    unsynced_since: Option<Instant>,
    /// The highest record somebody waits for.
    wanted: u64,
    failed: Option<String>,
    closing: bool,
}

impl State {
    /// Hands what is pending to the kernel.
    fn append(&mut self, log: &mut commit::Log) {
        if self.pending.is_empty() || self.failed.is_some() {
            return;
        }
        match log.append(&std::mem::take(&mut self.pending)) {
            Ok(()) => {
                self.written = self.last;
                self.unsynced_since.get_or_insert_with(Instant::now);
            }
            Err(error) => self.fail(&error),
        }
    }

    fn fail(&mut self, error: &Error) {
        let cause = error.source.as_ref().map_or_else(String::new, |cause| format!(": {cause}"));
        self.failed = Some(format!("{error}{cause}"));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal {
    /// Opens or makes the journal in `folder`, cuts a torn tail off, and starts the commit thread.
    ///
    /// # Errors
    /// If a record that had been promised does not read back.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let (log, live) = commit::Log::open(folder)?;
        let log = Mutex::new(log);
        let live_size = live.iter().map(|(key, value)| commit::record_size(key, value)).sum();
        let shared = Arc::new(Shared {
            state: Mutex::new(State { live_size, live, ..State::default() }),
            log,
            work: Condvar::new(),
            done: Condvar::new(),
        });
        let inside = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .stack_size(128 * 1024)
            .spawn(move || commit::run(&inside))
            .at("start journal", folder.display().to_string())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Every live record whose key starts with `prefix`, sorted by key.
    #[must_use]
    pub fn scan(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        self.shared
            .lock()
            .live
            .range(prefix.to_owned()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, value)| (key.clone(), value.to_vec()))
            .collect()
    }

    /// Appends; returns without waiting. A `None` value deletes.
    pub fn put(&self, key: &str, value: Option<&[u8]>) -> Ticket {
        let mut state = self.shared.lock();
        let value: Option<Arc<[u8]>> = value.map(Into::into);
        let old = match &value {
            Some(value) => {
                state.live_size += commit::record_size(key, value);
                state.live.insert(key.to_owned(), Arc::clone(value))
            }
            None => state.live.remove(key),
        };
        state.live_size -= old.map_or(0, |old| commit::record_size(key, &old));
        state.pending.push((key.to_owned(), value));
        state.last += 1;
        let number = state.last;
        let sleeping = state.unsynced_since.is_none();
        // While the thread has the log, it looks for what is pending before it sleeps.
        if let Ok(mut log) = self.shared.log.try_lock() {
            let others = state.pending.len() > 1;
            state.append(&mut log);
            drop(log);
            drop(state);
            if others {
                self.shared.done.notify_all();
            }
            if sleeping {
                self.shared.work.notify_one();
            }
        }
        Ticket { shared: Arc::clone(&self.shared), number }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.work.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic in the thread has been printed; every waiter has its error from `failed`.
            drop(thread.join());
        }
    }
}

/// A promise that a record will be on disk.
#[derive(Debug)]
#[must_use]
pub struct Ticket {
    shared: Arc<Shared>,
    number: u64,
}

impl Ticket {
    /// Returns when the record is synced (shared with every other record of the same moment).
    ///
    /// # Errors
    /// If the disk failed: then nothing later is promised either.
    pub fn wait(self) -> Result<()> {
        let mut state = self.shared.lock();
        if state.synced < self.number && state.wanted < self.number {
            state.wanted = self.number;
            self.shared.work.notify_one();
        }
        while state.synced < self.number {
            if let Some(why) = &state.failed {
                return Err(Error::new(Kind::Internal, "commit", "journal", why.clone()));
            }
            state = self.shared.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    /// Whether the kernel has the record: then it outlives this process, though maybe not the machine.
    #[must_use]
    pub fn is_written(&self) -> bool {
        self.shared.lock().written >= self.number
    }

    /// Returns when the kernel has the record. It has it at once, unless the file is being rewritten.
    ///
    /// # Errors
    /// If the disk failed.
    pub fn written(self) -> Result<()> {
        let mut state = self.shared.lock();
        while state.written < self.number {
            if let Some(why) = &state.failed {
                return Err(Error::new(Kind::Internal, "write to", "journal", why.clone()));
            }
            state = self.shared.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    /// The answer does not depend on it.
    pub fn forget(self) {}
}

#[cfg(test)]
mod tests;
