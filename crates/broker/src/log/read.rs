//! What goes out: whole batches as a range of a segment file.

use super::{
    Partition,
    producers::Aborted,
    segment::{Opened, Segment},
    writer::{Log, Mark},
};
use crate::error::{Error, Kind, Result};
use std::{fs::File, sync::Arc};

/// What a consumer wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// All that is on disk.
    Uncommitted,
    /// What belongs to no open transaction, with a list of the aborted ones.
    Committed,
}

/// Whole batches in a file, to be sent from there.
#[derive(Debug)]
pub struct Slice {
    /// `None` if there is nothing to send.
    pub file: Option<Arc<File>>,
    /// Where in the file they begin.
    pub position: u64,
    /// Bytes of them.
    pub length: usize,
    /// The high watermark.
    pub high: i64,
    /// Where the log begins.
    pub log_start: i64,
    /// The last stable offset.
    pub stable: i64,
    /// Transactions to leave out; for [`Isolation::Committed`] alone.
    pub aborted: Vec<Aborted>,
}

/// What a read needs of the log; the files are read without its lock.
struct Ask {
    offset: i64,
    segments: Vec<Arc<Segment>>,
    high: Mark,
    /// Nothing from here on.
    bound: i64,
    /// Where `offset` is, if that is known.
    known: Option<u64>,
}

/// Where batches are.
struct Range {
    opened: Arc<Opened>,
    from: u64,
    to: u64,
}

impl Partition {
    /// Batches from the one that has `offset` on, at most `max_bytes` of them; with `whole_first` at least one, however large it is.
    ///
    /// # Errors
    /// [`Kind::OffsetOutOfRange`]; [`Kind::Corrupt`] with file and offset if what is on disk is not what was written.
    pub fn read(
        &self,
        offset: i64,
        max_bytes: usize,
        isolation: Isolation,
        whole_first: bool,
    ) -> Result<Slice> {
        let (mut slice, ask) = self.0.with(|log| {
            if offset < log.start || offset > log.end {
                let why = format!("offset {offset} is not within {} and {}", log.start, log.end);
                return Err(Error::new(Kind::OffsetOutOfRange, "read", self.name(), why));
            }
            log.remember_end();
            let stable = log.stable();
            let slice = Slice {
                file: None,
                position: 0,
                length: 0,
                high: log.high.offset,
                log_start: log.start,
                stable,
                aborted: Vec::new(),
            };
            let bound = if isolation == Isolation::Committed { stable } else { log.high.offset };
            Ok((slice, (offset < bound).then(|| log.ask(offset, bound))))
        })?;
        let Some(ask) = ask else { return Ok(slice) };
        let Some(range) = ask.range(max_bytes, whole_first)? else { return Ok(slice) };
        slice.position = range.from;
        slice.length = usize::try_from(range.to - range.from).unwrap_or(usize::MAX);
        slice.file = Some(Arc::clone(&range.opened.file));
        if isolation == Isolation::Committed {
            // A list that is somewhat too long does no harm: consumers look at an entry when they come to its place.
            let upper = range.opened.index().offset_behind(range.to).unwrap_or(ask.bound);
            slice.aborted = self.0.with(|log| Ok(log.producers.aborted_in(offset, upper)))?;
        }
        Ok(slice)
    }
}

impl Log {
    fn ask(&mut self, offset: i64, bound: i64) -> Ask {
        let at = self.segments.partition_point(|segment| segment.base <= offset).saturating_sub(1);
        let segment = Arc::clone(&self.segments[at]);
        let known = self.ends.iter().find(|end| end.offset == offset && end.base == segment.base);
        let known = known.map(|end| end.position);
        self.touch(&segment);
        // Where compaction left a gap the offset is in a later segment; two are enough unless whole segments are empty.
        Ask { offset, segments: self.segments[at..].to_vec(), high: self.high, bound, known }
    }
}

impl Ask {
    fn range(&self, max_bytes: usize, whole_first: bool) -> Result<Option<Range>> {
        for (segment, known) in
            self.segments.iter().zip(std::iter::once(self.known).chain(std::iter::repeat(None)))
        {
            if segment.base > self.high.base {
                return Ok(None);
            }
            let readable = if segment.base == self.high.base { self.high.position } else { segment.size() };
            let opened = segment.opened()?;
            let from = match known {
                Some(position) => Some(position),
                None => locate(segment, &opened, self.offset, readable)?,
            };
            let Some(from) = from.filter(|&from| from < readable) else { continue };
            let readable = match self.bound {
                bound if bound == self.high.offset => readable,
                bound => locate(segment, &opened, bound, readable)?.unwrap_or(readable),
            };
            if from >= readable {
                return Ok(None);
            }
            let to = end(segment, &opened, from, readable, max_bytes as u64, whole_first)?;
            opened.verify(from, to).map_err(|damage| segment.damaged(&damage))?;
            return Ok((to > from).then_some(Range { opened, from, to }));
        }
        Ok(None)
    }
}

/// Where the first batch is that has `offset` or a later one; `None` if all are before it.
pub(super) fn locate(segment: &Segment, opened: &Opened, offset: i64, readable: u64) -> Result<Option<u64>> {
    let from = opened.index().before(offset);
    let mut walk = opened.walk(from, readable);
    while let Some(header) = walk.header().map_err(|damage| segment.damaged(&damage))? {
        if header.last_offset() >= offset {
            return Ok(Some(walk.position()));
        }
        walk.pass(&header);
    }
    Ok(None)
}

/// The border of batches that is at most `max` bytes behind `from`.
fn end(
    segment: &Segment,
    opened: &Opened,
    from: u64,
    readable: u64,
    max: u64,
    whole_first: bool,
) -> Result<u64> {
    let wanted = from.saturating_add(max);
    if wanted >= readable {
        return Ok(readable);
    }
    let border = opened.index().border(from, wanted);
    // A border of strides is known without looking; the next read begins there, and finds it without looking too.
    if let Some(border) = border.filter(|border| border - from >= max / 2) {
        return Ok(border);
    }
    let mut walk = opened.walk(border.unwrap_or(from), readable);
    while let Some(header) = walk.header().map_err(|damage| segment.damaged(&damage))? {
        let position = walk.position();
        if position + header.size() as u64 > wanted && !(whole_first && position == from) {
            break;
        }
        walk.pass(&header);
    }
    Ok(walk.position())
}
