//! One record of the journal, as bytes.
//!
//! ```text
//! magic  u32  "Dhw1"
//! length u32  of key length, key, verb and value
//! crc    u32  CRC-32 of promised and body
//! promised u64  bytes of the file that were synced when this record was written
//! body:  key length u16, key, verb u8 (1 put, 0 delete), value
//! ```
//! Numbers are little-endian. `promised` tells a torn tail (never acknowledged, cut off) from damage to what had been
//! acknowledged (the store refuses to open).

use flate2::Crc;

/// Before every record.
pub(super) const MAGIC: [u8; 4] = *b"Dhw1";
/// Bytes before the body.
pub(super) const HEAD: usize = 20;
/// No body is larger: a length beyond it is damage.
pub(super) const MAX_BODY: usize = 256 * 1024 * 1024;

/// A record read back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) key: &'a str,
    /// `None` deletes.
    pub(super) value: Option<&'a [u8]>,
    pub(super) promised: u64,
    /// Bytes of the whole record.
    pub(super) size: usize,
}

/// Appends a record to `out`.
pub(super) fn encode(
    out: &mut Vec<u8>,
    key: &str,
    value: Option<&[u8]>,
    promised: u64,
) -> Result<(), String> {
    let key_len =
        u16::try_from(key.len()).map_err(|_| format!("the key {key:.40}… is longer than 65535 bytes"))?;
    let body = 3 + key.len() + value.map_or(0, <[u8]>::len);
    let length = u32::try_from(body).ok().filter(|_| body <= MAX_BODY);
    let length = length.ok_or_else(|| format!("the value of {key} is larger than 256 MiB"))?;
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&length.to_le_bytes());
    let crc_at = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&promised.to_le_bytes());
    out.extend_from_slice(&key_len.to_le_bytes());
    out.extend_from_slice(key.as_bytes());
    out.push(u8::from(value.is_some()));
    out.extend_from_slice(value.unwrap_or_default());
    let crc = crc32(&out[crc_at + 4..]).to_le_bytes();
    out[crc_at..crc_at + 4].copy_from_slice(&crc);
    Ok(())
}

/// The record at the start of `bytes`; `None` if what is there is none.
pub(super) fn decode(bytes: &[u8]) -> Option<Record<'_>> {
    let (head, rest) = bytes.split_at_checked(HEAD)?;
    if head[..4] != MAGIC {
        return None;
    }
    let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let length = usize::try_from(number(4)).ok().filter(|&n| (3..=MAX_BODY).contains(&n))?;
    let body = rest.get(..length)?;
    if crc32(&bytes[12..HEAD + length]) != number(8) {
        return None;
    }
    let promised = u64::from(number(12)) | u64::from(number(16)) << 32;
    let (key_len, body) = body.split_at(2);
    let (key, body) = body.split_at_checked(usize::from(u16::from_le_bytes([key_len[0], key_len[1]])))?;
    let (verb, value) = body.split_first()?;
    let key = std::str::from_utf8(key).ok()?;
    Some(Record { key, value: (*verb == 1).then_some(value), promised, size: HEAD + length })
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// Whether any record behind `at` says that bytes beyond `at` had been promised.
pub(super) fn promised_beyond(bytes: &[u8], at: usize) -> bool {
    let mut from = at;
    while let Some(next) = find(&bytes[from..]) {
        if let Some(record) = decode(&bytes[from + next..])
            && record.promised > at as u64
        {
            return true;
        }
        from += next + 1;
    }
    false
}

fn find(bytes: &[u8]) -> Option<usize> {
    bytes.windows(MAGIC.len()).position(|window| window == MAGIC)
}
