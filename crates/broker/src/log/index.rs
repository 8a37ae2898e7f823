//! Where in a segment an offset or a time is, to within a stride.

/// Bytes of log that one entry stands for, at least.
pub(super) const STRIDE: u64 = 64 * 1024;

/// One stride: from `position` to that of the next entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// Base offset of the batch at `position`.
    pub(super) offset: i64,
    pub(super) position: u64,
    /// The latest timestamp in the stride.
    pub(super) max_timestamp: i64,
}

/// The entries of one segment, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Index {
    pub(super) entries: Vec<Entry>,
}

impl Index {
    /// Notes a batch that stands at `position`.
    pub(super) fn note(&mut self, offset: i64, position: u64, max_timestamp: i64) {
        match self.entries.last_mut() {
            Some(last) if position < last.position + STRIDE => {
                last.max_timestamp = last.max_timestamp.max(max_timestamp);
            }
            _ => self.entries.push(Entry { offset, position, max_timestamp }),
        }
    }

    /// Where to look for `offset`: its batch is not before this position.
    pub(super) fn before(&self, offset: i64) -> u64 {
        let after = self.entries.partition_point(|entry| entry.offset <= offset);
        after.checked_sub(1).map_or(0, |at| self.entries[at].position)
    }

    /// The last stride border in `(from, to]`.
    pub(super) fn border(&self, from: u64, to: u64) -> Option<u64> {
        let after = self.entries.partition_point(|entry| entry.position <= to);
        let entry = self.entries[..after].last()?;
        (entry.position > from).then_some(entry.position)
    }

    /// An offset that nothing before `position` has; the smallest that is known.
    pub(super) fn offset_behind(&self, position: u64) -> Option<i64> {
        let next = self.entries.partition_point(|entry| entry.position < position);
        self.entries.get(next).map(|entry| entry.offset)
    }

    /// The first stride that has a timestamp of at least `timestamp`.
    pub(super) fn since(&self, timestamp: i64) -> Option<u64> {
        self.entries.iter().find(|entry| entry.max_timestamp >= timestamp).map(|entry| entry.position)
    }

    pub(super) fn max_timestamp(&self) -> i64 {
        self.entries.iter().map(|entry| entry.max_timestamp).max().unwrap_or(-1)
    }

    /// The numbers of the strides that have a byte of `from..to`.
    pub(super) fn strides(&self, from: u64, to: u64) -> std::ops::Range<usize> {
        let first = self.entries.partition_point(|entry| entry.position <= from).saturating_sub(1);
        first..self.entries.partition_point(|entry| entry.position < to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_strides_by_offset_position_and_time() {
        let mut index = Index::default();
        for batch in 0..100_i64 {
            index.note(batch * 10, u64::try_from(batch).unwrap() * STRIDE / 2, 1000 - (batch - 50).abs());
        }
        assert_eq!(index.entries.len(), 50);
        assert_eq!(
            (index.before(0), index.before(39), index.before(40), index.before(i64::MAX)),
            (0, STRIDE, 2 * STRIDE, 49 * STRIDE)
        );
        assert_eq!((index.border(0, STRIDE), index.border(STRIDE, 2 * STRIDE - 1)), (Some(STRIDE), None));
        assert_eq!(
            (index.since(990), index.since(1001), index.max_timestamp()),
            (Some(20 * STRIDE), None, 1000)
        );
        assert_eq!((index.strides(0, 1), index.strides(STRIDE, 2 * STRIDE + 1)), (0..1, 1..3));
    }
}
