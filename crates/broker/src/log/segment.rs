//! One segment: a file of batches, and the index of it while it is open.

use super::{
    index::Index,
    side,
    walk::{Damage, Walk},
};
use crate::error::{At as _, Error, Kind, Result};
use std::{
    collections::HashSet,
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A segment, open or not.
#[derive(Debug)]
pub(super) struct Segment {
    /// Offset that its first record has, or would have.
    pub(super) base: i64,
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Where its batches end.
    size: u64,
    max_timestamp: Option<i64>,
    opened: Option<Arc<Opened>>,
}

/// A segment's file, and where in it what is.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: Arc<File>,
    index: Mutex<Index>,
    /// Up to here the bytes are from before this process.
    inherited: u64,
    /// The strides of those whose check sums have been verified.
    verified: Mutex<HashSet<usize>>,
}

pub(super) fn path(folder: &Path, base: i64) -> PathBuf {
    folder.join(format!("{base:020}.log"))
}

impl Segment {
    /// One of `size` bytes that was there before.
    pub(super) fn found(folder: &Path, base: i64, size: u64) -> Self {
        Self {
            base,
            path: path(folder, base),
            state: Mutex::new(State { size, max_timestamp: None, opened: None }),
        }
    }

    /// An empty one.
    pub(super) fn create(folder: &Path, base: i64) -> Result<Self> {
        let path = path(folder, base);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .at("make", path.display())?;
        let segment =
            Self { base, path, state: Mutex::new(State { size: 0, max_timestamp: None, opened: None }) };
        segment.adopt(Arc::new(file), Index::default(), 0);
        Ok(segment)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn size(&self) -> u64 {
        self.lock().size
    }

    pub(super) fn set_size(&self, size: u64) {
        self.lock().size = size;
    }

    /// Takes `file` for its own; bytes up to `inherited` are verified when they are read.
    pub(super) fn adopt(&self, file: Arc<File>, index: Index, inherited: u64) -> Arc<Opened> {
        let opened =
            Arc::new(Opened { file, index: Mutex::new(index), inherited, verified: Mutex::default() });
        self.lock().opened = Some(Arc::clone(&opened));
        opened
    }

    /// The open file; opens it with the index of its side file, or reads the whole segment when that is gone.
    pub(super) fn opened(&self) -> Result<Arc<Opened>> {
        let mut state = self.lock();
        if let Some(opened) = &state.opened {
            return Ok(Arc::clone(opened));
        }
        let file = Arc::new(
            OpenOptions::new().read(true).write(true).open(&self.path).at("open", self.path.display())?,
        );
        let side = side::read(&self.path).filter(|side| side.covered == state.size);
        let index = side.map_or_else(|| rebuild(&file, state.size), |side| side.index);
        state.max_timestamp = Some(index.max_timestamp());
        let inherited = state.size;
        let opened =
            Arc::new(Opened { file, index: Mutex::new(index), inherited, verified: Mutex::default() });
        state.opened = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// Closes the file; readers that have it keep it.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        if let Some(opened) = state.opened.take() {
            state.max_timestamp = Some(opened.index().max_timestamp());
        }
    }

    /// The latest timestamp in it.
    pub(super) fn max_timestamp(&self) -> Result<i64> {
        let state = self.lock();
        match (&state.opened, state.max_timestamp) {
            (Some(opened), _) => Ok(opened.index().max_timestamp()),
            (None, Some(timestamp)) => Ok(timestamp),
            (None, None) => {
                drop(state);
                let timestamp = self.opened()?.index().max_timestamp();
                self.close();
                Ok(timestamp)
            }
        }
    }

    /// When its file was written last; `otherwise` if the system does not say.
    pub(super) fn modified(&self, otherwise: i64) -> i64 {
        let modified = std::fs::metadata(&self.path).and_then(|metadata| metadata.modified()).ok();
        let since = modified.and_then(|modified| modified.duration_since(std::time::UNIX_EPOCH).ok());
        since.map_or(otherwise, |since| i64::try_from(since.as_millis()).unwrap_or(otherwise))
    }

    /// Removes its files.
    pub(super) fn remove(&self) -> Result<()> {
        remove(&self.path.with_extension("side"))?;
        remove(&self.path)
    }

    /// What an error about its bytes says.
    pub(super) fn damaged(&self, damage: &Damage) -> Error {
        let why = format!("{} at byte {}", damage.why, damage.position);
        Error::new(Kind::Corrupt, "read", self.path.display().to_string(), why)
    }
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).at("remove", path.display()),
        _ => Ok(()),
    }
}

/// The index of a segment without its side file; it ends where damage begins.
fn rebuild(file: &Arc<File>, size: u64) -> Index {
    let mut walk = Walk::new(Arc::clone(file), 0, size);
    let mut index = Index::default();
    while let Ok(Some(header)) = walk.header() {
        index.note(header.base_offset, walk.position(), header.max_timestamp);
        walk.pass(&header);
    }
    index
}

impl Opened {
    pub(super) fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A walk over its batches in `from..to`.
    pub(super) fn walk(&self, from: u64, to: u64) -> Walk {
        Walk::new(Arc::clone(&self.file), from, to)
    }

    /// Checks the sums of inherited bytes in `from..to`, once.
    pub(super) fn verify(&self, from: u64, to: u64) -> std::result::Result<(), Damage> {
        let to = to.min(self.inherited);
        if from >= to {
            return Ok(());
        }
        let strides = self.index().strides(from, to);
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        for stride in strides.filter(|stride| !verified.contains(stride)).collect::<Vec<_>>() {
            let (begin, end) = {
                let index = self.index();
                let next = index.entries.get(stride + 1).map_or(self.inherited, |entry| entry.position);
                (index.entries[stride].position, next.min(self.inherited))
            };
            let mut walk = self.walk(begin, end);
            while walk.batch()?.is_some() {}
            verified.insert(stride);
        }
        Ok(())
    }
}
