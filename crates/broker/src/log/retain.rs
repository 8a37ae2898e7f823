//! What goes: whole segments from the front, by age, by size, or because somebody said so.

use super::{Partition, config::Config, recover, writer::Log};
use crate::{
    error::{Error, Kind, Result},
    flush::Ticket,
};

/// What a plan needs to know of a segment.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Offset of the first record in the next segment.
    next: i64,
    size: u64,
    max_timestamp: i64,
}

/// How many of the leading segments go. `seen` has all; the last one grows and stays.
fn plan(seen: &[Seen], start: i64, config: &Config, now: i64) -> usize {
    let closed = seen.len().saturating_sub(1);
    let mut size: u64 = seen.iter().map(|segment| segment.size).sum();
    let mut gone = 0;
    for segment in &seen[..closed] {
        let too_old =
            config.retention_ms.is_some_and(|kept| now.saturating_sub(segment.max_timestamp) > kept);
        let too_much = config.retention_bytes.is_some_and(|kept| size - segment.size >= kept);
        if segment.next > start && !(config.delete && (too_old || too_much)) {
            break;
        }
        size -= segment.size;
        gone += 1;
    }
    gone
}

impl Partition {
    /// Removes what the topic's retention no longer wants. Returns when the next segment will be too old.
    ///
    /// # Errors
    /// If a file cannot be removed: the log goes on without it.
    pub fn retain(&self, now: i64) -> Result<Option<i64>> {
        let config = self.0.config();
        self.0.with(|log| log.retain(&config, now))
    }

    /// Compacts, removes what retention no longer wants, and returns when there will be more to remove. A log that nobody uses is not
    /// opened for it, unless it is time.
    ///
    /// # Errors
    /// As [`Partition::compact`] and [`Partition::retain`].
    pub fn tidy(&self, now: i64) -> Result<Option<i64>> {
        let (was_open, resting) = {
            let slot = self.0.lock();
            (slot.log.is_some(), slot.resting)
        };
        if let Some(due) = resting.filter(|due| !was_open && due.is_none_or(|due| due > now)) {
            return Ok(due);
        }
        let due = if !was_open && recover::is_empty(&self.0.folder)? {
            None
        } else {
            self.compact(now).and_then(|()| self.retain(now))?
        };
        if !was_open {
            self.close()?;
            // Tombstones grow old without anybody writing.
            let config = self.0.config();
            let mut slot = self.0.lock();
            slot.resting = (slot.log.is_none() && !config.compact).then_some(due);
        }
        Ok(due)
    }

    /// Moves the log's start to `before`, or to its end (`None`): `DeleteRecords`. Returns the new start; it lasts when the ticket is kept.
    ///
    /// # Errors
    /// [`Kind::OffsetOutOfRange`] if that is beyond the high watermark; [`Kind::Storage`].
    pub fn delete_records(&self, before: Option<i64>) -> Result<(i64, Ticket)> {
        let (key, journal) = (self.0.start_key(), &self.0.shared.journal);
        self.0.with(|log| {
            let before = before.unwrap_or(log.high.offset);
            if before < 0 || before > log.high.offset {
                let why = format!("offset {before} is beyond the high watermark {}", log.high.offset);
                return Err(Error::new(Kind::OffsetOutOfRange, "delete records of", self.name(), why));
            }
            let start = before.max(log.start);
            let ticket = journal.set(key, start.to_le_bytes())?;
            log.start = start;
            // The files go at the next look at retention, when the new start is on disk.
            Ok((start, ticket))
        })
    }
}

impl Log {
    fn retain(&mut self, config: &Config, now: i64) -> Result<Option<i64>> {
        let last = self.segments.len() - 1;
        let expired = config.delete
            && config.retention_ms.is_some_and(|kept| self.age(now).is_some_and(|age| age > kept));
        if expired && self.high == self.mark() {
            self.roll(config, now)?;
        }
        let mut seen = Vec::with_capacity(last + 1);
        for (at, segment) in self.segments.iter().enumerate() {
            let next = self.segments.get(at + 1).map_or(self.end, |next| next.base);
            let size = if at == self.segments.len() - 1 { self.mark().position } else { segment.size() };
            // Records without timestamps are as old as their file.
            let max_timestamp = Some(segment.max_timestamp()?).filter(|&timestamp| timestamp >= 0);
            let max_timestamp = max_timestamp.unwrap_or_else(|| segment.modified(now));
            seen.push(Seen { next, size, max_timestamp });
        }
        let readable = seen.iter().take_while(|segment| segment.next <= self.high.offset).count();
        let gone = plan(&seen, self.start, config, now).min(readable);
        for segment in self.segments.drain(..gone) {
            segment.remove()?;
        }
        self.start = self.start.max(self.segments[0].base);
        let oldest = seen.get(gone).filter(|oldest| oldest.size > 0 && config.delete);
        let due =
            oldest.zip(config.retention_ms).map(|(oldest, kept)| oldest.max_timestamp.saturating_add(kept));
        Ok(due.map(|due| due.max(now.saturating_add(1))))
    }

    /// How old the newest record of the growing segment is; `None` if it is empty.
    fn age(&self, now: i64) -> Option<i64> {
        let last = self.segments.last()?;
        let newest = last.max_timestamp().ok()?;
        (self.mark().position > 0 && newest >= 0).then(|| now.saturating_sub(newest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(ages: &[i64]) -> Vec<Seen> {
        (1..)
            .zip(ages)
            .map(|(next, age)| Seen { next: next * 10, size: 100, max_timestamp: 10_000 - age })
            .collect()
    }

    #[test]
    fn whole_segments_go_from_the_front() {
        let age = Config { retention_ms: Some(500), ..Config::default() };
        let size = Config { retention_ms: None, retention_bytes: Some(150), ..Config::default() };
        let none = Config { delete: false, ..age.clone() };
        let ages = seen(&[900, 600, 300, 800, 700]);
        assert_eq!(plan(&ages, 0, &age, 10_000), 2, "a young one keeps the old ones behind it");
        assert_eq!(plan(&ages, 0, &size, 10_000), 3, "at least as many bytes as asked for stay");
        assert_eq!(plan(&ages, 0, &none, 10_000), 0);
        assert_eq!(plan(&ages, 29, &none, 10_000), 2, "below the start nobody reads");
        assert_eq!(plan(&seen(&[900, 900]), 99, &age, 10_000), 1, "the last one stays");
    }
}
