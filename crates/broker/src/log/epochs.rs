//! Which leader epoch began at which offset. On one machine the leader changes only in one way: it comes back with less than it had.

use crate::{error::Result, journal::Journal};

/// In order; an empty list is epoch 0 since ever.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Epochs(Vec<(i32, i64)>);

impl Epochs {
    pub(super) fn load(journal: &Journal, key: &str) -> Self {
        let bytes = journal.get(key).unwrap_or_default();
        let entry = |entry: &[u8]| {
            let (epoch, offset) = entry.split_first_chunk()?;
            Some((i32::from_le_bytes(*epoch), i64::from_le_bytes(*offset.first_chunk()?)))
        };
        Self(bytes.chunks_exact(12).filter_map(entry).collect())
    }

    /// Begins a new epoch at `offset`. It is on disk before anything that is written in it is acknowledged: the flusher keeps the order.
    /// (Waiting for it here, under the partition's lock, would wait for a flusher that may wait for that lock.)
    pub(super) fn begin(&mut self, offset: i64, journal: &Journal, key: &str) -> Result<()> {
        let next = self.current() + 1;
        // An epoch of which nothing is left has never been.
        self.0.retain(|&(_, began)| began < offset);
        self.0.push((next, offset));
        let bytes: Vec<u8> = self
            .0
            .iter()
            .flat_map(|(epoch, offset)| [epoch.to_le_bytes().as_slice(), &offset.to_le_bytes()].concat())
            .collect();
        journal.set(key, bytes)?.forget();
        Ok(())
    }

    pub(super) fn current(&self) -> i32 {
        self.0.last().map_or(0, |&(epoch, _)| epoch)
    }

    /// The newest epoch that is not newer than `wanted`, and the offset behind its last record; `None` for an epoch to come.
    pub(super) fn end_of(&self, wanted: i32, log_end: i64) -> Option<(i32, i64)> {
        if wanted > self.current() || wanted < 0 {
            return None;
        }
        let later = self.0.partition_point(|&(epoch, _)| epoch <= wanted);
        let epoch = later.checked_sub(1).map_or(0, |at| self.0[at].0);
        Some((epoch, self.0.get(later).map_or(log_end, |&(_, offset)| offset)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_ends_where_the_next_begins() {
        let epochs = Epochs(vec![(1, 100), (2, 150)]);
        let answers = [-1, 0, 1, 2, 3].map(|epoch| epochs.end_of(epoch, 200));
        assert_eq!(answers, [None, Some((0, 100)), Some((1, 150)), Some((2, 200)), None]);
        assert_eq!(Epochs::default().end_of(0, 7), Some((0, 7)));
    }
}
