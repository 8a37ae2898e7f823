//! The log of one partition, as whoever holds its lock sees it: batches go in at the end.

use super::{
    config::Config,
    epochs::Epochs,
    producers::{Producers, Sent, Verdict},
    recover::{Recovered, marker},
    segment::{Opened, Segment},
    side,
};
use crate::{
    error::{At as _, Error, Kind, Result},
    flush::Tail,
    journal::sync_folder,
};
use dhow_kafka::batch::{self, Batch, Header};
use std::{
    collections::VecDeque,
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The side file of the segment that grows is written when it grew by so much: after a crash no more is scanned.
const CHECKPOINT: u64 = 16 * 1024 * 1024;
/// How many ends of the log are remembered: readers at the end come back to where they were.
const ENDS: usize = 8;
/// Closed segments that stay open for readers.
const OPEN: usize = 4;

/// A border between two batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// Of the record behind it.
    pub(super) offset: i64,
    /// Segment and place in its file.
    pub(super) base: i64,
    pub(super) position: u64,
}

#[derive(Debug)]
pub(super) struct Log {
    pub(super) folder: PathBuf,
    /// In order; the last one grows.
    pub(super) segments: Vec<Arc<Segment>>,
    active: Arc<Opened>,
    tail: Tail,
    pub(super) producers: Producers,
    pub(super) epochs: Epochs,
    /// The first offset that may be read.
    pub(super) start: i64,
    /// The offset that the next record gets.
    pub(super) end: i64,
    /// Up to here it is on disk, and up to here it may be read.
    pub(super) synced: Mark,
    pub(super) high: Mark,
    pub(super) ends: VecDeque<Mark>,
    /// Of the first batch in the segment that grows.
    first_timestamp: Option<i64>,
    /// Segments that no longer grow and are not yet on disk.
    closed: Vec<Closed>,
    /// A segment was made since the folder was synced.
    new_file: bool,
    /// How much of the growing segment its side file knows.
    checkpoint: u64,
    /// The segments that readers opened last.
    recent: VecDeque<Arc<Segment>>,
}

#[derive(Debug)]
struct Closed {
    file: Arc<File>,
    path: PathBuf,
    side: Vec<u8>,
}

/// What the flusher does outside the lock.
#[derive(Debug)]
pub(super) struct Work {
    folder: PathBuf,
    closed: Vec<Closed>,
    new_file: bool,
    file: Arc<File>,
    side: Option<(PathBuf, Vec<u8>)>,
    pub(super) mark: Mark,
}

/// What became of a batch.
#[derive(Debug)]
pub(super) enum Placed {
    At(i64),
    Before(Sent),
}

impl Log {
    pub(super) fn new(folder: &Path, recovered: Recovered, epochs: Epochs, start: i64) -> Result<Self> {
        let last = recovered.segments.last().expect("recovery makes a segment where there is none");
        let active = last.opened()?;
        let size = last.size();
        let tail = Tail::new(Arc::clone(&active.file), size).at("look at", last.path().display())?;
        let first_timestamp = active.index().entries.first().map(|entry| entry.max_timestamp);
        let mark = Mark { offset: recovered.end, base: last.base, position: size };
        let start = start.max(recovered.segments[0].base).min(recovered.end);
        Ok(Self {
            folder: folder.to_owned(),
            segments: recovered.segments,
            active,
            tail,
            producers: recovered.producers,
            epochs,
            start,
            end: recovered.end,
            synced: mark,
            high: mark,
            ends: VecDeque::new(),
            first_timestamp,
            closed: Vec::new(),
            // What the last process made may not be in the folder for good yet.
            new_file: size == 0 || recovered.scanned > 0,
            checkpoint: size.saturating_sub(recovered.scanned),
            recent: VecDeque::new(),
        })
    }

    /// Appends a batch that has been checked: gives it its offsets, and writes it to the page cache.
    pub(super) fn append(&mut self, bytes: &mut [u8], config: &Config, now: i64) -> Result<Placed> {
        let mut header = self.header(bytes)?;
        let mark = match Batch::split(bytes) {
            Ok((batch, _)) if header.control() => marker(&batch),
            _ => None,
        };
        match mark {
            Some((_, coordinator_epoch)) => self.producers.check_marker(&header, coordinator_epoch)?,
            None => {
                if let Verdict::Duplicate(sent) = self.producers.check(&header)? {
                    return Ok(Placed::Before(sent));
                }
            }
        }
        self.roll_if_due(&header, config, now)?;
        header.base_offset = self.end;
        batch::stamp(bytes, self.end, self.epochs.current());
        let position = self.tail.append(bytes).at("append to", self.last().path().display())?;
        self.active.index().note(self.end, position, header.max_timestamp);
        self.producers.apply(&header, mark, now);
        self.first_timestamp.get_or_insert(header.max_timestamp);
        self.end = header.next_offset();
        if config.page_cache {
            self.high = self.mark();
        }
        Ok(Placed::At(header.base_offset))
    }

    fn header(&self, bytes: &[u8]) -> Result<Header> {
        Header::read(bytes).map_err(|why| {
            Error::new(Kind::Corrupt, "append to", self.last().path().display().to_string(), why)
        })
    }

    fn last(&self) -> &Arc<Segment> {
        self.segments.last().expect("there is always one that grows")
    }

    /// The end of the log.
    pub(super) fn mark(&self) -> Mark {
        Mark { offset: self.end, base: self.last().base, position: self.tail.end() }
    }

    /// The end of a segment that no longer grows is the beginning of the next: that one keeps its file.
    fn place(&self, mark: Mark) -> Mark {
        match self.segments.binary_search_by_key(&mark.offset, |segment| segment.base) {
            Ok(_) => Mark { base: mark.offset, position: 0, ..mark },
            Err(_) => mark,
        }
    }

    fn roll_if_due(&mut self, header: &Header, config: &Config, now: i64) -> Result<()> {
        let full = self.tail.end() + header.size() as u64 > config.segment_bytes;
        // Records without timestamps say nothing about the age of the segment.
        let first = self.first_timestamp.filter(|&first| first >= 0);
        let latest = if header.max_timestamp >= 0 { header.max_timestamp } else { now };
        let old = first.is_some_and(|first| latest.saturating_sub(first) > config.segment_ms);
        let far = self.end + i64::from(header.last_offset_delta) - self.last().base > i64::from(i32::MAX);
        if (full || old || far) && self.tail.end() > 0 { self.roll(config, now) } else { Ok(()) }
    }

    /// Closes the segment that grows, and begins the next.
    pub(super) fn roll(&mut self, config: &Config, now: i64) -> Result<()> {
        self.tail.trim().at("close", self.last().path().display())?;
        let next = Segment::create(&self.folder, self.end)?;
        let opened = next.opened()?;
        let tail = Tail::new(Arc::clone(&opened.file), 0).at("open", next.path().display())?;
        self.producers.forget(now.saturating_sub(config.producer_expiration_ms), self.start);
        let old = Arc::clone(self.last());
        let side = side::encode(self.tail.end(), self.end, &self.active.index(), &self.producers);
        old.set_size(self.tail.end());
        self.closed.push(Closed { file: Arc::clone(self.tail.file()), path: old.path().to_owned(), side });
        self.touch(&old);
        self.segments.push(Arc::new(next));
        (self.active, self.tail) = (opened, tail);
        (self.first_timestamp, self.checkpoint, self.new_file) = (None, 0, true);
        (self.high, self.synced) = (self.place(self.high), self.place(self.synced));
        Ok(())
    }

    /// Keeps the segments open that were used last, and closes the others.
    pub(super) fn touch(&mut self, segment: &Arc<Segment>) {
        if Arc::ptr_eq(segment, self.last()) {
            return;
        }
        self.recent.retain(|other| !Arc::ptr_eq(other, segment));
        self.recent.push_back(Arc::clone(segment));
        while self.recent.len() > OPEN {
            if let Some(oldest) = self.recent.pop_front()
                && !Arc::ptr_eq(&oldest, self.last())
            {
                oldest.close();
            }
        }
    }

    /// What must be synced for all that is in the log now to be on disk; `None` if nothing.
    pub(super) fn work(&mut self, last: bool) -> Option<Work> {
        let mark = self.mark();
        if mark == self.synced && self.closed.is_empty() && !(last && self.checkpoint < mark.position) {
            return None;
        }
        let due = last || mark.position >= self.checkpoint + CHECKPOINT;
        let side = due.then(|| {
            self.checkpoint = mark.position;
            let side = side::encode(mark.position, mark.offset, &self.active.index(), &self.producers);
            (self.last().path().to_owned(), side)
        });
        let closed = std::mem::take(&mut self.closed);
        let new_file = std::mem::take(&mut self.new_file);
        Some(Work {
            folder: self.folder.clone(),
            closed,
            new_file,
            file: Arc::clone(self.tail.file()),
            side,
            mark,
        })
    }

    /// Takes note that everything up to `mark` is on disk.
    pub(super) fn synced(&mut self, mark: Mark) {
        let mark = self.place(mark);
        self.synced = mark;
        if self.high.offset < mark.offset {
            self.high = mark;
        }
    }

    /// Ends the growing file where its data ends.
    pub(super) fn trim(&mut self) -> Result<()> {
        self.tail.trim().at("close", self.last().path().display())
    }

    /// The offset before which no transaction is open.
    pub(super) fn stable(&self) -> i64 {
        self.producers.first_open().map_or(self.high.offset, |open| open.min(self.high.offset))
    }

    /// Bytes of all segments.
    pub(super) fn size(&self) -> u64 {
        let closed = &self.segments[..self.segments.len() - 1];
        closed.iter().map(|segment| segment.size()).sum::<u64>() + self.tail.end()
    }

    /// After files have changed nobody knows where in them what is.
    pub(super) fn forget_places(&mut self) {
        self.ends.clear();
        self.recent.clear();
    }

    /// Remembers where the readable log ends now.
    pub(super) fn remember_end(&mut self) {
        if self.ends.back() != Some(&self.high) {
            self.ends.push_back(self.high);
        }
        if self.ends.len() > ENDS {
            self.ends.pop_front();
        }
    }
}

impl Work {
    /// Syncs, oldest first: a segment's side file says that all before it is on disk.
    pub(super) fn sync(&self) -> Result<()> {
        for closed in &self.closed {
            closed.file.sync_data().at("sync", closed.path.display())?;
        }
        if self.new_file {
            sync_folder(&self.folder)?;
        }
        self.file.sync_data().at("sync", self.folder.display())
    }

    /// Writes the side files of what is synced. Without one the log is read instead.
    pub(super) fn write_sides(&self) {
        let closed = self.closed.iter().map(|closed| (&closed.path, &closed.side));
        for (path, side) in closed.chain(self.side.iter().map(|(path, side)| (path, side))) {
            if let Err(error) = side::write(path, side) {
                tracing::warn!(path = %path.display(), %error, "the side file was not written");
            }
        }
    }
}
