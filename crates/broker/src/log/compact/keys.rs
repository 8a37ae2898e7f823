//! The last offset of each key.

use super::super::{append::MOST_UNPACKED, producers::Producers, segment::Segment};
use crate::error::{Error, Kind, Result};
use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher as _,
    sync::Arc,
};

/// No more at once: 20 MB. What is beyond waits for the next time.
pub(super) const MOST: usize = 400_000;

/// Keys are known by 128 bits that nobody can aim at.
pub(super) struct Keys {
    hashers: [RandomState; 2],
    last: HashMap<u128, i64>,
    covered: i64,
    most: usize,
}

impl Keys {
    pub(super) fn new(most: usize) -> Self {
        Self { hashers: [RandomState::new(), RandomState::new()], last: HashMap::new(), covered: 0, most }
    }

    /// Notes the keys from the offset `from` on of a segment that ends before `next`, as far as there is room. What was aborted replaces
    /// nothing.
    pub(super) fn read(
        &mut self,
        segment: &Arc<Segment>,
        from: i64,
        next: i64,
        producers: &Producers,
    ) -> Result<()> {
        let opened = segment.opened()?;
        let mut walk = opened.walk(0, segment.size());
        while let Some((position, batch)) = walk.batch().map_err(|damage| segment.damaged(&damage))? {
            if self.is_full() {
                self.covered = batch.header().base_offset;
                return Ok(());
            }
            let header = batch.header();
            if header.control() || header.last_offset() < from || producers.is_aborted(header) {
                continue;
            }
            let damaged = |why| {
                let object = segment.path().display().to_string();
                Error::new(Kind::Corrupt, "compact", object, format!("{why} in the batch at byte {position}"))
            };
            let records = batch.records(MOST_UNPACKED).map_err(damaged)?;
            for record in records.iter() {
                let record = record.map_err(damaged)?;
                if let Some(key) = record.key {
                    self.last.insert(self.hash(key), record.offset);
                }
            }
        }
        self.covered = next;
        Ok(())
    }

    pub(super) fn is_full(&self) -> bool {
        self.last.len() >= self.most
    }

    /// What is before this offset has been read.
    pub(super) fn covered(&self) -> i64 {
        self.covered
    }

    /// Whether a later record has the same key.
    pub(super) fn is_replaced(&self, key: &[u8], offset: i64) -> bool {
        self.last.get(&self.hash(key)).is_some_and(|&last| last > offset)
    }

    fn hash(&self, key: &[u8]) -> u128 {
        let [one, other] = self.hashers.each_ref().map(|hasher| hasher.hash_one(key));
        u128::from(one) << 64 | u128::from(other)
    }
}
