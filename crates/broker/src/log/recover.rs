//! Opening a partition's folder: what is good stays, a torn tail is cut off.

use super::{
    index::Index,
    producers::Producers,
    segment::{self, Segment},
    side,
    walk::Walk,
};
use crate::error::{At as _, Result};
use dhow_kafka::batch::{Batch, Marker};
use std::{fs::OpenOptions, path::Path, sync::Arc};

/// What is in a folder.
#[derive(Debug)]
pub(super) struct Recovered {
    /// In order; the last one takes appends. Never empty.
    pub(super) segments: Vec<Arc<Segment>>,
    pub(super) producers: Producers,
    /// Offset that the next record gets.
    pub(super) end: i64,
    /// Bytes that were no whole batch and are gone.
    pub(super) cut: u64,
    /// Bytes whose check sums were verified.
    pub(super) scanned: u64,
}

/// Opens the log in `folder`; an empty one begins at `start`. Nothing beyond `known` is kept, should a sync have failed there; before
/// `gaps` offsets may be missing.
pub(super) fn recover(folder: &Path, start: i64, known: Option<i64>, gaps: i64) -> Result<Recovered> {
    let mut found = list(folder)?;
    if found.is_empty() {
        let segments = vec![Arc::new(Segment::create(folder, start)?)];
        return Ok(Recovered { segments, producers: Producers::default(), end: start, cut: 0, scanned: 0 });
    }
    // Segments are closed in order, and have a side file when all of it is synced: what lies before one needs no look.
    let with_side = |&(base, _): &(i64, u64)| {
        side::read(&segment::path(folder, base)).filter(|side| known.is_none_or(|known| side.next <= known))
    };
    let (first, side) = (0..found.len())
        .rev()
        .find_map(|at| with_side(&found[at]).map(|side| (at, side)))
        .filter(|(at, side)| side.covered <= found[*at].1)
        .unwrap_or_default();
    let tail = found.split_off(first);
    let mut segments: Vec<_> =
        found.into_iter().map(|(base, size)| Arc::new(Segment::found(folder, base, size))).collect();
    let mut scan = Scan {
        producers: side.producers,
        end: side.next.max(tail[0].0),
        known,
        gaps,
        cut: 0,
        scanned: 0,
        now: super::now(),
    };
    let mut side = Some((side.index, side.covered));
    for (base, size) in tail {
        let segment = Segment::found(folder, base, size);
        let is_first = side.is_some();
        if !is_first && (scan.cut > 0 || !scan.may_follow(base)) {
            // Behind a torn end, or one that is missing, nothing has been acknowledged.
            scan.cut += size;
            segment.remove()?;
            continue;
        }
        scan.end = scan.end.max(base);
        let (index, covered) = side.take().unwrap_or_default();
        scan.segment(&segment, index, covered, size)?;
        segments.push(Arc::new(segment));
    }
    Ok(Recovered { segments, producers: scan.producers, end: scan.end, cut: scan.cut, scanned: scan.scanned })
}

/// Whether nothing has ever been written there.
pub(super) fn is_empty(folder: &Path) -> Result<bool> {
    Ok(list(folder)?.is_empty())
}

/// Base offset and size of each segment.
fn list(folder: &Path) -> Result<Vec<(i64, u64)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).at("list", folder.display())? {
        let entry = entry.at("list", folder.display())?;
        let name = entry.file_name();
        let base = name.to_str().and_then(|name| name.strip_suffix(".log")).filter(|base| base.len() == 20);
        if let Some(base) = base.and_then(|base| base.parse().ok()) {
            found.push((base, entry.metadata().at("look at", entry.path().display())?.len()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

struct Scan {
    producers: Producers,
    end: i64,
    known: Option<i64>,
    /// Before this offset there may be gaps.
    gaps: i64,
    cut: u64,
    scanned: u64,
    now: i64,
}

impl Scan {
    /// Reads a segment from `covered` on, and ends its file behind the last good batch.
    fn segment(&mut self, segment: &Segment, mut index: Index, covered: u64, size: u64) -> Result<()> {
        let path = segment.path();
        let file = OpenOptions::new().read(true).write(true).open(path).at("open", path.display())?;
        let file = Arc::new(file);
        let mut walk = Walk::new(Arc::clone(&file), covered, size);
        let mut good = covered;
        loop {
            match walk.batch() {
                Ok(Some((position, batch))) if self.follows(&batch) => {
                    let header = *batch.header();
                    index.note(header.base_offset, position, header.max_timestamp);
                    self.producers.apply(&header, marker(&batch), self.now);
                    self.end = header.next_offset();
                    good = walk.position();
                }
                Ok(_) => break,
                Err(damage) => {
                    tracing::debug!(path = %path.display(), position = damage.position, why = damage.why, "the log ends here");
                    break;
                }
            }
        }
        self.scanned += good - covered;
        if good < size {
            self.cut += torn(&walk, good, size);
            file.set_len(good).at("cut the torn tail of", path.display())?;
        }
        if good > covered || good < size {
            file.sync_data().at("sync", path.display())?;
        }
        segment.set_size(good);
        segment.adopt(file, index, covered);
        Ok(())
    }

    /// Only compaction leaves gaps.
    fn may_follow(&self, offset: i64) -> bool {
        offset == self.end || (offset > self.end && offset < self.gaps)
    }

    fn follows(&self, batch: &Batch<'_>) -> bool {
        let header = batch.header();
        self.may_follow(header.base_offset)
            && header.last_offset_delta >= 0
            && self.known.is_none_or(|known| header.base_offset < known)
    }
}

/// Bytes behind `good` that are not the zeros of a preallocated tail.
fn torn(walk: &Walk, good: u64, size: u64) -> u64 {
    let mut last = good;
    walk.chunks(good, size, |position, bytes| {
        if let Some(at) = bytes.iter().rposition(|&byte| byte != 0) {
            last = position + at as u64 + 1;
        }
    });
    last - good
}

/// What a control batch says, and its coordinator's epoch.
pub(super) fn marker(batch: &Batch<'_>) -> Option<(Marker, i32)> {
    if !batch.header().control() {
        return None;
    }
    let records = batch.records(0).ok()?;
    let record = records.iter().next()?.ok()?;
    let marker = match record.key?.get(2..4)? {
        [0, 0] => Marker::Abort,
        [0, 1] => Marker::Commit,
        _ => return None,
    };
    let epoch =
        record.value.and_then(|value| value.get(2..)?.first_chunk().map(|epoch| i32::from_be_bytes(*epoch)));
    Some((marker, epoch.unwrap_or(-1)))
}
