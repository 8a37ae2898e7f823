//! The journal's file and the thread that writes it.

use super::{LINGER, Shared, State, format};
use crate::{Error, Kind, Result, error::At};
use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, MutexGuard, PoisonError},
};

/// A file smaller than this is never compacted.
const COMPACT_FROM: u64 = 1024 * 1024;

type Live = BTreeMap<String, Arc<[u8]>>;

/// `journal/log`, open for appending.
#[derive(Debug)]
pub(super) struct Log {
    folder: PathBuf,
    /// Shared with the thread while it syncs, which must not keep anybody from appending.
    file: Arc<File>,
    /// Bytes in the file, and bytes of it that are synced.
    size: u64,
    synced: u64,
}

impl Log {
    /// Reads the log back and cuts a torn tail off.
    pub(super) fn open(folder: &Path) -> Result<(Self, Live)> {
        let path = folder.join("log");
        let name = path.display().to_string();
        std::fs::create_dir_all(folder).at("make", folder.display().to_string())?;
        match std::fs::remove_file(folder.join("log.new")) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove", name + ".new", e));
            }
            _ => {}
        }
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(Error::io("read", name, e)),
        };
        let (live, good) =
            replay(&bytes).map_err(|why| Error::new(Kind::Internal, "read", name.clone(), why))?;
        let file = OpenOptions::new().append(true).create(true).open(&path).at("open", &name)?;
        if good < bytes.len() as u64 {
            file.set_len(good).at("cut the torn tail of", &name)?;
        }
        file.sync_all().at("sync", &name)?;
        sync_folder(folder)?;
        Ok((Self { folder: folder.to_owned(), file: Arc::new(file), size: good, synced: good }, live))
    }

    pub(super) fn append(&mut self, pending: &[(String, Option<Arc<[u8]>>)]) -> Result<()> {
        if pending.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        for (key, value) in pending {
            format::encode(&mut bytes, key, value.as_deref(), self.synced)
                .map_err(|why| Error::new(Kind::Internal, "append to", "journal", why))?;
        }
        (&*self.file).write_all(&bytes).at("append to", "journal")?;
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// Rewrites the log with the live records alone once most of it is garbage.
    fn compact_if_worth(&mut self, shared: &Shared) -> Result<()> {
        if self.size < COMPACT_FROM {
            return Ok(());
        }
        // What is pending is in `live` already; it is appended once more after it, which changes nothing.
        let live = {
            let state = shared.lock();
            if self.size < 2 * state.live_size {
                return Ok(());
            }
            state.live.clone()
        };
        let path = self.folder.join("log.new");
        let mut bytes = Vec::new();
        for (key, value) in &live {
            format::encode(&mut bytes, key, Some(value), 0)
                .map_err(|why| Error::new(Kind::Internal, "compact", "journal", why))?;
        }
        let mut file = File::create(&path).at("make", path.display().to_string())?;
        file.write_all(&bytes).at("write", path.display().to_string())?;
        file.sync_all().at("sync", path.display().to_string())?;
        std::fs::rename(&path, self.folder.join("log")).at("rename", path.display().to_string())?;
        sync_folder(&self.folder)?;
        let file = OpenOptions::new().append(true).open(self.folder.join("log")).at("open", "journal")?;
        self.file = Arc::new(file);
        self.size = bytes.len() as u64;
        self.synced = self.size;
        Ok(())
    }
}

/// Until the journal is dropped: syncs when somebody waits or the linger is over.
pub(super) fn run(shared: &Shared) {
    loop {
        let mut state = shared.lock();
        while !is_due(&state) {
            state = sleep(shared, state);
        }
        let mut log = shared.log.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = !state.pending.is_empty();
        state.append(&mut log);
        if waited {
            shared.done.notify_all();
        }
        let (last, closing) = (state.last, state.closing);
        let late = state.unsynced_since.is_some_and(|since| since.elapsed() >= LINGER);
        let sync = state.failed.is_none() && (closing || late || state.wanted > state.synced);
        let sync = sync && state.unsynced_since.take().is_some();
        let (file, size) = (Arc::clone(&log.file), log.size);
        drop((state, log));
        let outcome = if sync { sync_up_to(shared, &file, size) } else { Ok(()) };
        let mut state = shared.lock();
        match outcome {
            Ok(()) if sync => state.synced = last,
            Ok(()) => {}
            Err(error) => state.fail(&error),
        }
        let failed = state.failed.is_some();
        let stop = failed || (closing && state.pending.is_empty() && state.unsynced_since.is_none());
        drop(state);
        if sync || failed {
            shared.done.notify_all();
        }
        if stop {
            return;
        }
    }
}

/// Syncs what is in the file by now. What others append meanwhile may be synced with it, and is synced again.
fn sync_up_to(shared: &Shared, file: &File, size: u64) -> Result<()> {
    file.sync_data().at("sync", "journal")?;
    let mut log = shared.log.lock().unwrap_or_else(PoisonError::into_inner);
    log.synced = size;
    log.compact_if_worth(shared)
}

fn is_due(state: &State) -> bool {
    let late = state.unsynced_since.is_some_and(|since| since.elapsed() >= LINGER);
    let wanted = state.wanted > state.synced;
    late || wanted || state.closing || state.failed.is_some() || !state.pending.is_empty()
}

fn sleep<'a>(shared: &Shared, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
    match state.unsynced_since {
        None => shared.work.wait(state).unwrap_or_else(PoisonError::into_inner),
        Some(since) => {
            let left = LINGER.saturating_sub(since.elapsed());
            shared.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
        }
    }
}

/// The live records and how many bytes of the file are good.
fn replay(bytes: &[u8]) -> std::result::Result<(Live, u64), String> {
    let mut live = Live::new();
    let mut at = 0;
    while at < bytes.len() {
        let Some(record) = format::decode(&bytes[at..]) else {
            if format::promised_beyond(bytes, at) {
                return Err(format!("damaged at byte {at}, before records that had been acknowledged"));
            }
            break;
        };
        match record.value {
            Some(value) => {
                live.insert(record.key.to_owned(), value.into());
            }
            None => {
                live.remove(record.key);
            }
        }
        at += record.size;
    }
    Ok((live, at as u64))
}

/// Bytes of a record in the file.
pub(super) fn record_size(key: &str, value: &[u8]) -> u64 {
    (format::HEAD + 3 + key.len() + value.len()) as u64
}

/// Makes renames and creations in `folder` last.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|file| file.sync_all()).at("sync", folder.display().to_string())
}
