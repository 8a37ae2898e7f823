//! A new file in the place of old ones: all of it or nothing, whenever the power fails.
//!
//! 1. The new file is on disk as `<base>.cleaned`. 2. The journal notes which segments it replaces. 3. It is renamed over the first of
//!    them, the others are removed. 4. The note is removed. A start that finds the note goes on with step 3; one that finds a
//!    `.cleaned` file without a note removes it.

use super::{
    super::{
        Inner,
        segment::{self, Segment},
        side,
    },
    rewrite::Written,
};
use crate::{
    error::{At as _, Error, Kind, Result},
    journal::{Journal, sync_folder},
};
use std::{
    fs::OpenOptions,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Base offsets of the segments that become one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Swap {
    bases: Vec<i64>,
}

impl Swap {
    pub(super) fn new(segments: &[Arc<Segment>]) -> Self {
        Self { bases: segments.iter().map(|segment| segment.base).collect() }
    }

    fn encode(&self) -> Vec<u8> {
        self.bases.iter().flat_map(|base| base.to_le_bytes()).collect()
    }

    fn decode(bytes: &[u8]) -> Self {
        let base = |bytes: &[u8]| bytes.first_chunk().map(|base| i64::from_le_bytes(*base));
        Self { bases: bytes.chunks_exact(8).filter_map(base).collect() }
    }

    /// Step 3, or what is left of it.
    fn finish(&self, folder: &Path) -> Result<()> {
        let Some(first) = self.bases.first() else { return Ok(()) };
        let (cleaned, log) = (cleaned(folder, *first), segment::path(folder, *first));
        let was_renamed = !cleaned.exists();
        if !was_renamed {
            // The old side file does not fit the new log.
            remove(&log.with_extension("side"))?;
            std::fs::rename(&cleaned, &log).at("rename", cleaned.display())?;
        }
        for base in &self.bases[1..] {
            let log = segment::path(folder, *base);
            remove(&log.with_extension("side"))?;
            remove(&log)?;
        }
        sync_folder(folder)
    }
}

fn cleaned(folder: &Path, base: i64) -> PathBuf {
    folder.join(format!("{base:020}.cleaned"))
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).at("remove", path.display()),
        _ => Ok(()),
    }
}

/// Before a log is opened: ends what a crash interrupted.
pub(in super::super) fn resume(folder: &Path, journal: &Journal, key: &str) -> Result<()> {
    if let Some(note) = journal.get(key) {
        Swap::decode(&note).finish(folder)?;
        journal.put(vec![(key.to_owned(), None)])?.forget();
    }
    for entry in std::fs::read_dir(folder).at("list", folder.display())? {
        let path = entry.at("list", folder.display())?.path();
        if path.extension().is_some_and(|extension| extension == "cleaned") {
            remove(&path)?;
        }
    }
    Ok(())
}

impl Inner {
    /// Takes the step from `swap`'s segments, which end before `next`, to what was written of them.
    pub(super) fn swap(&self, swap: &Swap, written: Written, next: i64) -> Result<()> {
        let (journal, key) = (&self.shared.journal, self.swap_key());
        let first = swap.bases.first().copied().unwrap_or_default();
        // Outside the partition's lock: the flusher may want it.
        let gaps = next.max(self.noted(&self.gaps_key()));
        let note = (key.clone(), Some(swap.encode().into()));
        journal.put(vec![note, (self.gaps_key(), Some(gaps.to_le_bytes().as_slice().into()))])?.wait()?;
        let outcome = self.with(|log| {
            let at = log.segments.iter().position(|segment| segment.base == first);
            let at = at.filter(|at| {
                log.segments[*at..]
                    .iter()
                    .map(|segment| segment.base)
                    .zip(&swap.bases)
                    .all(|(one, other)| one == *other)
            });
            let Some(at) = at else {
                remove(&cleaned(&self.folder, first))?;
                return Err(Error::new(Kind::Storage, "compact", &self.name, "retention was faster"));
            };
            swap.finish(&self.folder)?;
            let segment = Segment::found(&self.folder, first, written.size);
            let path = segment.path();
            let file = OpenOptions::new().read(true).write(true).open(path).at("open", path.display())?;
            if let Some(bytes) = &written.side
                && let Err(error) = side::write(path, bytes)
            {
                tracing::warn!(path = %path.display(), %error, "the side file was not written");
            }
            segment.adopt(Arc::new(file), written.index, 0);
            segment.close();
            log.segments.splice(at..at + swap.bases.len(), [Arc::new(segment)]);
            log.forget_places();
            Ok(())
        });
        journal.put(vec![(key, None)])?.forget();
        outcome
    }
}
