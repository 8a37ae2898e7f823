//! The side file of a segment: `<20-digit base>.side`. All that can be computed from the log, up to a point of it that is synced.
//!
//! ```text
//! magic u32 "DhS1", crc u32 (CRC-32C of the rest)
//! covered u64 bytes of the segment, next i64 offset behind them
//! entries u32 × { offset i64, position u64, max_timestamp i64 }
//! aborted u32 × { producer_id i64, first_offset i64, last_offset i64 }        of the whole log
//! producers u32 × { id i64, epoch i16, coordinator_epoch i32, last_timestamp i64, open_since i64 or -1,
//!                   sent u8 × { first_sequence i32, last_sequence i32, first_offset i64, last_offset i64, timestamp i64 } }
//! ```
//! Little-endian. It is written when its segment is closed, every 16 MiB, and at a clean stop, and never synced: one that does not read
//! back is as good as none, and the log is read instead.

use super::{
    index::{Entry, Index},
    producers::{Aborted, Producer, Producers, Sent},
};
use std::{collections::HashMap, fs, io, path::Path};

const MAGIC: [u8; 4] = *b"DhS1";

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Side {
    pub(super) covered: u64,
    pub(super) next: i64,
    pub(super) index: Index,
    pub(super) producers: Producers,
}

/// The bytes of a side file.
pub(super) fn encode(covered: u64, next: i64, index: &Index, producers: &Producers) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + index.entries.len() * 24 + producers.known.len() * 200);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0; 4]);
    let mut put = |bytes: &[u8]| out.extend_from_slice(bytes);
    put(&covered.to_le_bytes());
    put(&next.to_le_bytes());
    put(&count(index.entries.len()));
    for entry in &index.entries {
        put(&entry.offset.to_le_bytes());
        put(&entry.position.to_le_bytes());
        put(&entry.max_timestamp.to_le_bytes());
    }
    put(&count(producers.aborted.len()));
    for aborted in &producers.aborted {
        put(&aborted.producer_id.to_le_bytes());
        put(&aborted.first_offset.to_le_bytes());
        put(&aborted.last_offset.to_le_bytes());
    }
    put(&count(producers.known.len()));
    for (id, producer) in &producers.known {
        put(&id.to_le_bytes());
        put(&producer.epoch.to_le_bytes());
        put(&producer.coordinator_epoch.to_le_bytes());
        put(&producer.last_timestamp.to_le_bytes());
        put(&producer.open_since.unwrap_or(-1).to_le_bytes());
        put(&[u8::try_from(producer.sent.len()).unwrap_or(u8::MAX)]);
        for sent in &producer.sent {
            put(&sent.first_sequence.to_le_bytes());
            put(&sent.last_sequence.to_le_bytes());
            put(&sent.first_offset.to_le_bytes());
            put(&sent.last_offset.to_le_bytes());
            put(&sent.timestamp.to_le_bytes());
        }
    }
    let crc = crc32c::crc32c(&out[8..]);
    out[4..8].copy_from_slice(&crc.to_le_bytes());
    out
}

fn count(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

/// `None` if the bytes are not those of a side file.
pub(super) fn decode(bytes: &[u8]) -> Option<Side> {
    let (head, body) = bytes.split_at_checked(8)?;
    if head[..4] != MAGIC || head[4..] != crc32c::crc32c(body).to_le_bytes() {
        return None;
    }
    let mut read = Reader(body);
    let (covered, next) = (read.u64()?, read.i64()?);
    let entries = (0..read.u32()?)
        .map(|_| Some(Entry { offset: read.i64()?, position: read.u64()?, max_timestamp: read.i64()? }))
        .collect::<Option<_>>()?;
    let aborted = (0..read.u32()?)
        .map(|_| {
            Some(Aborted { producer_id: read.i64()?, first_offset: read.i64()?, last_offset: read.i64()? })
        })
        .collect::<Option<_>>()?;
    let known = (0..read.u32()?).map(|_| read.producer()).collect::<Option<HashMap<_, _>>>()?;
    Some(Side { covered, next, index: Index { entries }, producers: Producers::new(known, aborted) })
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const SIZE: usize>(&mut self) -> Option<[u8; SIZE]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.take().map(i32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }

    fn producer(&mut self) -> Option<(i64, Producer)> {
        let id = self.i64()?;
        let epoch = self.take().map(i16::from_le_bytes)?;
        let (coordinator_epoch, last_timestamp) = (self.i32()?, self.i64()?);
        let open_since = Some(self.i64()?).filter(|&offset| offset >= 0);
        let [sent] = self.take()?;
        let sent = (0..sent).map(|_| self.sent()).collect::<Option<_>>()?;
        Some((id, Producer { epoch, coordinator_epoch, last_timestamp, open_since, sent }))
    }

    fn sent(&mut self) -> Option<Sent> {
        Some(Sent {
            first_sequence: self.i32()?,
            last_sequence: self.i32()?,
            first_offset: self.i64()?,
            last_offset: self.i64()?,
            timestamp: self.i64()?,
        })
    }
}

/// The side file of the segment `log`; `None` if there is none that reads back.
pub(super) fn read(log: &Path) -> Option<Side> {
    // Not there, not readable, torn: the log has it all.
    fs::read(log.with_extension("side")).ok().and_then(|bytes| decode(&bytes))
}

/// Puts `bytes` in the place of the side file of the segment `log`.
pub(super) fn write(log: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = log.with_extension("side.new");
    fs::write(&new, bytes)?;
    fs::rename(&new, log.with_extension("side"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_and_notices_damage() {
        let mut index = Index::default();
        (0..10).for_each(|n| index.note(n, u64::try_from(n).unwrap() * 70_000, n * 3));
        let sent =
            Sent { first_sequence: 1, last_sequence: 2, first_offset: 3, last_offset: 4, timestamp: 5 };
        let producer = Producer {
            epoch: 3,
            coordinator_epoch: -1,
            last_timestamp: 9,
            open_since: Some(4),
            sent: [sent, sent].into(),
        };
        let producers = Producers::new(
            [(7, producer.clone()), (8, Producer { open_since: None, ..producer })].into(),
            vec![Aborted { producer_id: 7, first_offset: 1, last_offset: 2 }],
        );
        let bytes = encode(700_000, 10, &index, &producers);
        assert_eq!(decode(&bytes), Some(Side { covered: 700_000, next: 10, index, producers }));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(decode(&damaged), None);
            assert_eq!(decode(&bytes[..at]), None);
        }
    }
}
