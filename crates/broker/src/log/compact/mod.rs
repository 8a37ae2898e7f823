//! Compaction: of each key the last record stays. Offsets keep their gaps, batches their headers.
//!
//! Segments that no longer grow are read in two passes. The first finds the last offset of each key in what was written since the last time;
//! the second writes the segments anew without the records that a later one replaces. A tombstone goes when consumers have had
//! `delete.retention.ms` to see it, a transaction's marker when none of its records is left.
//!
//! New files take the place of old ones by a note in the journal (`swap/<id>/<partition>`): a start that finds one ends what it says.

mod keys;
mod rewrite;
pub(super) mod swap;

use super::{Partition, config::Config, segment::Segment};
use crate::error::Result;
use keys::Keys;
use rewrite::{Rewrite, Source};
use std::sync::Arc;
use swap::Swap;

/// A segment that could be compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    base: i64,
    /// Offset of the first record in the next segment.
    next: i64,
    size: u64,
    max_timestamp: i64,
}

/// How many of `seen`, which no longer grow, are compacted now; 0 if it is not worth it. What is before `clean` has been before; what is
/// not before `stable` may still change its meaning.
fn plan(seen: &[Seen], clean: i64, stable: i64, config: &Config, now: i64) -> usize {
    let ripe = |segment: &&Seen| {
        segment.next <= stable && now.saturating_sub(segment.max_timestamp) >= config.min_compaction_lag_ms
    };
    let count = seen.iter().take_while(ripe).count();
    let (mut total, mut dirty, mut overdue) = (0_u64, 0_u64, false);
    for segment in &seen[..count] {
        total += segment.size;
        if segment.next > clean {
            dirty += segment.size;
            overdue |= now.saturating_sub(segment.max_timestamp) > config.max_compaction_lag_ms;
        }
    }
    // Ratios of sizes: no need of every bit.
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    let enough = dirty > 0 && dirty as f64 >= config.min_dirty_ratio * total as f64;
    if enough || overdue { count } else { 0 }
}

/// Neighbours that fit into one segment are written to one.
fn groups(seen: &[Seen], config: &Config) -> Vec<std::ops::Range<usize>> {
    let mut groups: Vec<std::ops::Range<usize>> = Vec::new();
    let mut size = 0;
    for (at, segment) in seen.iter().enumerate() {
        size += segment.size;
        match groups.last_mut() {
            Some(group)
                if size <= config.segment_bytes
                    && segment.next - seen[group.start].base <= i64::from(i32::MAX) =>
            {
                group.end = at + 1;
            }
            _ => {
                groups.push(at..at + 1);
                size = segment.size;
            }
        }
    }
    groups
}

impl Partition {
    /// Compacts what is worth it, if the topic wants that. Takes its time; appends and reads go on.
    ///
    /// # Errors
    /// If the disk is full or failed, or something on it is damaged: then the log is as it was.
    pub fn compact(&self, now: i64) -> Result<()> {
        self.compact_keys(now, keys::MOST)
    }

    /// [`Partition::compact`], with no more than `most` keys at once.
    pub(super) fn compact_keys(&self, now: i64, most: usize) -> Result<()> {
        let config = self.0.config();
        if !config.compact {
            return Ok(());
        }
        let clean_key = format!("clean/{}", self.0.key);
        let journal = &self.0.shared.journal;
        let clean = self.0.noted(&clean_key);
        let (seen, segments, stable, producers) = self.0.with(|log| {
            let closed = log.segments[..log.segments.len() - 1].to_vec();
            let nexts = log.segments[1..].iter().map(|next| next.base);
            let seen = closed
                .iter()
                .zip(nexts)
                .map(|(segment, next)| see(segment, next))
                .collect::<Result<Vec<_>>>()?;
            Ok((seen, closed, log.stable().min(log.synced.offset), log.producers.clone()))
        })?;
        let count = plan(&seen, clean, stable, &config, now);
        if count == 0 {
            return Ok(());
        }
        let mut keys = Keys::new(most);
        for (segment, seen) in segments[..count].iter().zip(&seen).filter(|(_, seen)| seen.next > clean) {
            keys.read(segment, clean, seen.next, &producers)?;
            if keys.is_full() {
                break;
            }
        }
        let covered = keys.covered();
        let mut rewrite = Rewrite::new(&keys, &producers, config.delete_retention_ms, now);
        for group in groups(&seen[..count], &config) {
            if seen[group.start].base >= covered {
                break;
            }
            let sources: Vec<Source> =
                segments[group.clone()].iter().map(|segment| Source(Arc::clone(segment))).collect();
            let end = seen[group.end - 1].next;
            let written = rewrite.group(&self.0.folder, &sources, end)?;
            self.0.swap(&Swap::new(&segments[group]), written, end)?;
        }
        // Lost, it is only done again.
        journal.set(clean_key, covered.to_le_bytes())?.forget();
        Ok(())
    }
}

fn see(segment: &Arc<Segment>, next: i64) -> Result<Seen> {
    Ok(Seen { base: segment.base, next, size: segment.size(), max_timestamp: segment.max_timestamp()? })
}

#[cfg(test)]
mod tests;
