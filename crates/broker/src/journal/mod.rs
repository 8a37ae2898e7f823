//! The broker's own state: topics, configurations, group offsets, producer ids, transactions. One append-only file of frames with a check
//! sum each; in memory a map. Key → value, both opaque.
//!
//! A change is in the map at once and on disk when its ticket is kept. Changes become durable in the order of their [`Journal::put`]:
//! when one is on disk, so is every earlier one. When most of the file is garbage, a thread of its own writes a snapshot beside it, appends
//! what came meanwhile, and renames it.

mod file;
mod frame;

pub(crate) use file::sync_folder;
pub use frame::Change;

use crate::{
    error::{At as _, Error, Kind, Result},
    flush::{Flush, Flusher, Progress, Tail, Ticket},
};
use file::Live;
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

/// A file smaller than this is never rewritten.
const COMPACT_FROM: u64 = 1024 * 1024;

/// Key → value on disk.
pub struct Journal(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    flusher: Arc<Flusher>,
    progress: Arc<Progress>,
    state: Mutex<State>,
}

struct State {
    tail: Tail,
    live: Live,
    /// Bytes that the live records need in the file.
    live_size: usize,
    /// Number of the last frame, and of the last one on disk.
    number: u64,
    synced: u64,
    /// Reported to the flusher since it last looked.
    reported: bool,
    /// The thread that writes a snapshot.
    compacting: Option<JoinHandle<()>>,
    /// After a sync that failed nobody knows what the disk has: nothing is promised any more.
    failed: Option<Error>,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("folder", &self.0.folder).finish_non_exhaustive()
    }
}

impl Journal {
    /// Opens or makes the journal in `folder`, and cuts a torn tail off.
    ///
    /// # Errors
    /// If a frame that had been promised does not read back.
    pub fn open(folder: &Path, flusher: Arc<Flusher>) -> Result<Self> {
        let (tail, replayed) = file::open(folder)?;
        let live_size = replayed.live.iter().map(|(key, value)| frame::size(key, Some(value))).sum();
        let (number, live) = (replayed.number, replayed.live);
        let state = State {
            tail,
            live,
            live_size,
            number,
            synced: number,
            reported: false,
            compacting: None,
            failed: None,
        };
        Ok(Self(Arc::new(Inner {
            folder: folder.to_owned(),
            flusher,
            progress: Progress::new(mark(number)),
            state: Mutex::new(state),
        })))
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Arc<[u8]>> {
        self.0.lock().live.get(key).cloned()
    }

    /// Every record whose key starts with `prefix`, sorted by key.
    #[must_use]
    pub fn scan(&self, prefix: &str) -> Vec<(String, Arc<[u8]>)> {
        let state = self.0.lock();
        let from = state.live.range(prefix.to_owned()..);
        from.take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, value)| (key.clone(), Arc::clone(value)))
            .collect()
    }

    /// All of `changes` or none. They are in the map at once; the ticket is kept when they are on disk.
    ///
    /// # Errors
    /// If the disk is full or failed: then nothing has changed.
    pub fn put(&self, changes: Vec<Change>) -> Result<Ticket> {
        let mut state = self.0.lock();
        state.append(changes)?;
        let ticket = self.0.progress.ticket(mark(state.number));
        let first = !std::mem::replace(&mut state.reported, true);
        drop(state);
        if first {
            self.0.flusher.now(Arc::clone(&self.0) as Arc<dyn Flush>);
        }
        Ok(ticket)
    }

    /// [`Journal::put`] of a single key.
    ///
    /// # Errors
    /// As there.
    pub fn set(&self, key: impl Into<String>, value: impl Into<Arc<[u8]>>) -> Result<Ticket> {
        self.put(vec![(key.into(), Some(value.into()))])
    }
}

fn mark(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl State {
    fn append(&mut self, changes: Vec<Change>) -> Result<()> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let bytes = frame::encode(self.number + 1, self.synced, &changes).ok_or_else(|| {
            Error::new(Kind::Invalid, "append to", "the journal", "a key or value is too large")
        })?;
        self.tail.append(&bytes).at("append to", "the journal")?;
        self.number += 1;
        for (key, value) in &changes {
            let old = self.live.get(key).map_or(0, |old| frame::size(key, Some(old)));
            self.live_size += value.as_ref().map_or(0, |value| frame::size(key, Some(value)));
            self.live_size -= old;
        }
        file::apply(&mut self.live, changes);
        Ok(())
    }

    /// Whether it is time for a snapshot, and nobody is at it.
    fn wants_snapshot(&self) -> bool {
        let idle = self.compacting.as_ref().is_none_or(JoinHandle::is_finished);
        idle && self.tail.end() >= COMPACT_FROM && self.tail.end() > 2 * self.live_size as u64
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the snapshot while others put.
    fn compact(&self) -> Result<()> {
        let (live, number, from) = {
            let state = self.lock();
            (state.live.clone(), state.number, state.tail.end())
        };
        let snapshot = file::write_snapshot(&self.folder, &live, number)?;
        let mut state = self.lock();
        state.tail = file::replace(&self.folder, snapshot, &state.tail, from)?;
        if let Err(error) = file::sync_folder(&self.folder) {
            // Nobody knows which of the two files a power cut leaves: nothing more is promised.
            state.failed = Some(error.clone());
            let synced = state.synced;
            drop(state);
            self.progress.fail(mark(synced), &error);
            return Err(error);
        }
        state.synced = state.number;
        let number = state.number;
        drop(state);
        self.progress.advance(mark(number));
        Ok(())
    }
}

impl Flush for Inner {
    fn flush(self: Arc<Self>) {
        let mut state = self.lock();
        state.reported = false;
        let (file, number) = (Arc::clone(state.tail.file()), state.number);
        drop(state);
        match file.sync_data().at("sync", "the journal") {
            Ok(()) => {
                let mut state = self.lock();
                state.synced = state.synced.max(number);
                if state.wants_snapshot() {
                    let this = Arc::clone(&self);
                    let compact = move || {
                        if let Err(error) = this.compact() {
                            // The old file is whole and goes on; a later flush tries again.
                            tracing::warn!(%error, "the journal was not compacted");
                        }
                    };
                    let thread = std::thread::Builder::new().name("journal".to_owned()).spawn(compact);
                    state.compacting = thread
                        .inspect_err(|error| tracing::warn!(%error, "the journal was not compacted"))
                        .ok();
                }
                drop(state);
                self.progress.advance(mark(number));
            }
            Err(error) => {
                let mut state = self.lock();
                let synced = state.synced;
                state.failed = Some(error.clone());
                drop(state);
                self.progress.fail(mark(synced), &error);
            }
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let compacting = self.0.lock().compacting.take();
        // A panic in the thread has been printed, and aborts the process in a release build.
        drop(compacting.map(JoinHandle::join));
        // The zeros behind the end are read over at the next start.
        if let Err(error) = self.0.lock().tail.trim() {
            tracing::debug!(%error, "the journal keeps its preallocated tail");
        }
    }
}

#[cfg(test)]
mod tests;
