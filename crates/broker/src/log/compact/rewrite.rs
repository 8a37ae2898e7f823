//! Segments written anew, without what is replaced.

use super::{
    super::{append::MOST_UNPACKED, index::Index, producers::Producers, segment::Segment, side},
    keys::Keys,
};
use crate::error::{At as _, Error, Kind, Result};
use dhow_kafka::batch::{Batch, Header, retain};
use std::{
    collections::HashSet,
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A segment to read.
pub(super) struct Source(pub(super) Arc<Segment>);

/// A new file, on disk under the name `<base>.cleaned`.
pub(super) struct Written {
    pub(super) size: u64,
    pub(super) index: Index,
    /// Of its side file.
    pub(super) side: Option<Vec<u8>>,
}

/// One compaction, from the oldest segment to the newest.
pub(super) struct Rewrite<'a> {
    keys: &'a Keys,
    producers: &'a Producers,
    delete_retention: i64,
    now: i64,
    /// Producers that have records left in the transaction whose marker is still to come.
    unfinished: HashSet<i64>,
}

impl<'a> Rewrite<'a> {
    pub(super) fn new(keys: &'a Keys, producers: &'a Producers, delete_retention: i64, now: i64) -> Self {
        Self { keys, producers, delete_retention, now, unfinished: HashSet::new() }
    }

    /// Writes what is left of `sources` to one file.
    pub(super) fn group(&mut self, folder: &Path, sources: &[Source], next: i64) -> Result<Written> {
        let base = sources[0].0.base;
        let path = folder.join(format!("{base:020}.cleaned"));
        let file = File::create(&path).at("make", path.display())?;
        let mut out = BufWriter::with_capacity(256 * 1024, &file);
        let (mut index, mut size, mut written_last) = (Index::default(), 0, UNIX_EPOCH);
        for Source(segment) in sources {
            let modified = segment.modified(self.now);
            written_last = written_last.max(UNIX_EPOCH + Duration::from_millis(modified.unsigned_abs()));
            let opened = segment.opened()?;
            let mut walk = opened.walk(0, segment.size());
            while let Some((position, batch)) = walk.batch().map_err(|damage| segment.damaged(&damage))? {
                let kept = self.batch(&batch, modified).map_err(|why| {
                    let object = segment.path().display().to_string();
                    Error::new(
                        Kind::Corrupt,
                        "compact",
                        object,
                        format!("{why} in the batch at byte {position}"),
                    )
                })?;
                if let Some(kept) = kept {
                    index.note(batch.header().base_offset, size, batch.header().max_timestamp);
                    out.write_all(&kept).at("write", path.display())?;
                    size += kept.len() as u64;
                }
            }
        }
        out.flush().at("write", path.display())?;
        drop(out);
        // When the records came, and not when they were moved: retention goes by that where they have no time of their own.
        file.set_modified(written_last.min(SystemTime::now())).at("date", path.display())?;
        file.sync_all().at("sync", path.display())?;
        // What was known of producers at the end of the last source holds at the end of the new file.
        let old = sources.last().and_then(|Source(last)| side::read(last.path()));
        let side =
            old.filter(|old| old.next == next).map(|old| side::encode(size, next, &index, &old.producers));
        Ok(Written { size, index, side })
    }

    /// What is left of a batch; `None` if nothing.
    fn batch(
        &mut self,
        batch: &Batch<'_>,
        modified: i64,
    ) -> std::result::Result<Option<Vec<u8>>, dhow_kafka::batch::Error> {
        let header = batch.header();
        if header.base_offset >= self.keys.covered() {
            return Ok(Some(batch.bytes().to_vec()));
        }
        if header.control() {
            let needed = self.unfinished.remove(&header.producer_id)
                || !self.is_old(header.max_timestamp.max(modified));
            return Ok(needed.then(|| batch.bytes().to_vec()));
        }
        let aborted = self.producers.is_aborted(header);
        let kept = retain(batch, MOST_UNPACKED, |record| {
            let replaced = record.key.is_none_or(|key| self.keys.is_replaced(key, record.offset));
            let forgotten = record.value.is_none() && self.is_old(record.timestamp.max(modified));
            !aborted && !replaced && !forgotten
        })?;
        let left = Header::read(&kept).map_or(0, |header| header.count);
        if left > 0 && header.transactional() {
            self.unfinished.insert(header.producer_id);
        }
        Ok((left > 0 || self.is_last_of_producer(header)).then_some(kept))
    }

    fn is_old(&self, timestamp: i64) -> bool {
        self.now.saturating_sub(timestamp) > self.delete_retention
    }

    /// Without its header a producer that goes on would seem to have left a gap.
    fn is_last_of_producer(&self, header: &Header) -> bool {
        let last = self.producers.known.get(&header.producer_id).and_then(|producer| producer.sent.back());
        last.is_some_and(|last| last.last_offset == header.last_offset())
    }
}
