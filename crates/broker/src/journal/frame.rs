//! One frame of the journal, as bytes.
//!
//! ```text
//! magic    u32  "DhK1"
//! length   u32  of the body
//! crc      u32  CRC-32C of everything behind it
//! number   u64  counts the frames; those of a snapshot all have the number of the last frame in it
//! promised u64  the last number that was synced when this frame was written; u64::MAX in a snapshot
//! body:    changes: key length u16, key, value length u32 (u32::MAX deletes), value
//! ```
//! Numbers are little-endian. All changes of a frame happen or none. `promised` tells a torn tail (never acknowledged, cut off) from
//! damage to what had been acknowledged (the broker refuses to start).

use std::sync::Arc;

/// Before every frame.
pub(super) const MAGIC: [u8; 4] = *b"DhK1";
/// Bytes before the body.
pub(super) const HEAD: usize = 28;
/// No body is larger: a length beyond it is damage.
const MAX_BODY: usize = 256 * 1024 * 1024;
/// In a frame of a snapshot: the file got its name only when all of it was synced.
pub(super) const SNAPSHOT: u64 = u64::MAX;
const DELETED: u32 = u32::MAX;

/// A change of one key; `None` deletes it.
pub type Change = (String, Option<Arc<[u8]>>);

/// A frame read back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) number: u64,
    pub(super) promised: u64,
    pub(super) changes: Vec<Change>,
    /// Bytes of the whole frame.
    pub(super) size: usize,
}

/// A frame's bytes; `None` if a key or value is too large for one.
pub(super) fn encode(number: u64, promised: u64, changes: &[Change]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(
        HEAD + changes.iter().map(|(key, value)| size(key, value.as_deref())).sum::<usize>(),
    );
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&promised.to_le_bytes());
    for (key, value) in changes {
        out.extend_from_slice(&u16::try_from(key.len()).ok()?.to_le_bytes());
        out.extend_from_slice(key.as_bytes());
        let length = match value {
            None => DELETED,
            Some(value) => u32::try_from(value.len()).ok().filter(|&length| length < DELETED)?,
        };
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(value.as_deref().unwrap_or_default());
    }
    let body = out.len() - HEAD;
    if body > MAX_BODY {
        return None;
    }
    out[4..8].copy_from_slice(&u32::try_from(body).ok()?.to_le_bytes());
    let crc = crc32c::crc32c(&out[12..]);
    out[8..12].copy_from_slice(&crc.to_le_bytes());
    Some(out)
}

/// Bytes that a change needs in a frame.
pub(super) fn size(key: &str, value: Option<&[u8]>) -> usize {
    6 + key.len() + value.map_or(0, <[u8]>::len)
}

/// The frame at the start of `bytes`; `None` if what is there is none.
pub(super) fn decode(bytes: &[u8]) -> Option<Frame> {
    let (head, rest) = bytes.split_at_checked(HEAD)?;
    let (word, double) = (|at: usize| le32(&head[at..]), |at: usize| le64(&head[at..]));
    let length = usize::try_from(word(4)?).ok().filter(|&length| length <= MAX_BODY)?;
    let mut body = rest.get(..length)?;
    if head[..4] != MAGIC || crc32c::crc32c(&bytes[12..HEAD + length]) != word(8)? {
        return None;
    }
    let mut changes = Vec::new();
    while !body.is_empty() {
        let (change, rest) = change(body)?;
        changes.push(change);
        body = rest;
    }
    Some(Frame { number: double(12)?, promised: double(20)?, changes, size: HEAD + length })
}

fn change(body: &[u8]) -> Option<(Change, &[u8])> {
    let (length, body) = body.split_first_chunk()?;
    let (key, body) = body.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
    let key = std::str::from_utf8(key).ok()?.to_owned();
    let (length, body) = body.split_first_chunk()?;
    let length = u32::from_le_bytes(*length);
    if length == DELETED {
        return Some(((key, None), body));
    }
    let (value, body) = body.split_at_checked(usize::try_from(length).ok()?)?;
    Some(((key, Some(value.into())), body))
}

fn le32(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn le64(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

/// Whether any frame behind `at` says that frames after `number`, the last good one, had been promised.
pub(super) fn promised_beyond(bytes: &[u8], at: usize, number: u64) -> bool {
    let mut from = at;
    while let Some(next) = bytes[from..].windows(MAGIC.len()).position(|window| window == MAGIC) {
        if decode(&bytes[from + next..]).is_some_and(|frame| frame.promised > number) {
            return true;
        }
        from += next + 1;
    }
    false
}
