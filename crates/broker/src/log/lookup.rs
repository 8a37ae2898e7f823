//! Offsets by time.

use super::{Partition, append::MOST_UNPACKED, read::locate, segment::Segment, writer::Mark};
use crate::error::{Error, Kind, Result};
use std::sync::Arc;

/// What is looked for; the numbers are `ListOffsets`'.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The first record whose timestamp is at least this.
    At(i64),
    /// The record with the greatest timestamp (-3).
    Greatest,
}

/// A record found by its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Its offset.
    pub offset: i64,
    /// Its timestamp.
    pub timestamp: i64,
    /// The leader epoch it was written in.
    pub epoch: i32,
}

impl Partition {
    /// The record that `when` describes among those before `bound`; `None` if there is none.
    ///
    /// # Errors
    /// [`Kind::Corrupt`] if what is on disk is not what was written.
    pub fn find(&self, when: When, bound: i64) -> Result<Option<Found>> {
        let (segments, start, high) = self.0.with(|log| Ok((log.segments.clone(), log.start, log.high)))?;
        let last = segments.partition_point(|segment| segment.base <= high.base.min(bound));
        let segments = &segments[..last];
        let timestamp = match when {
            When::At(timestamp) => timestamp,
            When::Greatest => {
                let all =
                    segments.iter().map(|segment| segment.max_timestamp()).collect::<Result<Vec<_>>>()?;
                match all.into_iter().max() {
                    Some(greatest) if greatest >= 0 => greatest,
                    _ => return Ok(None),
                }
            }
        };
        for segment in segments {
            if segment.max_timestamp()? >= timestamp
                && let Some(found) = search(segment, high, timestamp, start)?
            {
                return Ok(Some(found).filter(|found| found.offset < bound));
            }
        }
        Ok(None)
    }
}

/// The first record in `segment` that is not older than `timestamp`.
fn search(segment: &Arc<Segment>, high: Mark, timestamp: i64, start: i64) -> Result<Option<Found>> {
    let opened = segment.opened()?;
    let readable = if segment.base == high.base { high.position } else { segment.size() };
    let Some(stride) = opened.index().since(timestamp) else { return Ok(None) };
    let first = locate(segment, &opened, start, readable)?.unwrap_or(readable);
    let mut walk = opened.walk(stride.max(first), readable);
    while let Some(header) = walk.header().map_err(|damage| segment.damaged(&damage))? {
        if header.max_timestamp < timestamp || header.control() {
            walk.pass(&header);
            continue;
        }
        let Some((_, batch)) = walk.batch().map_err(|damage| segment.damaged(&damage))? else { break };
        let damaged = |why| {
            Error::new(
                Kind::Corrupt,
                "read",
                segment.path().display().to_string(),
                format!("{why} at offset {}", header.base_offset),
            )
        };
        let records = batch.records(MOST_UNPACKED).map_err(damaged)?;
        for record in records.iter() {
            let record = record.map_err(damaged)?;
            if record.timestamp >= timestamp && record.offset >= start {
                return Ok(Some(Found {
                    offset: record.offset,
                    timestamp: record.timestamp,
                    epoch: header.leader_epoch,
                }));
            }
        }
    }
    Ok(None)
}
