//! The records of a batch.

use super::{Error, Header as BatchHeader};
use crate::varint;
use std::borrow::Cow;

/// The smallest record: length, attributes, four numbers and a count of one byte each.
const SMALLEST: usize = 7;

/// The decompressed records of a batch.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    bytes: Cow<'a, [u8]>,
    count: usize,
    base_offset: i64,
    base_timestamp: i64,
    /// The time of every record, when the broker set it.
    append_time: Option<i64>,
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its place in the partition.
    pub offset: i64,
    /// Milliseconds since 1970; -1 if it has none.
    pub timestamp: i64,
    /// What partitioning and compaction go by.
    pub key: Option<&'a [u8]>,
    /// `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// All bytes of the record, with its length.
    pub raw: &'a [u8],
    /// The offset, less the batch's.
    delta: i32,
    headers: &'a [u8],
    header_count: usize,
}

/// One header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Text, by convention; Kafka does not check it.
    pub key: &'a [u8],
    /// Any bytes.
    pub value: Option<&'a [u8]>,
}

impl<'a> Records<'a> {
    pub(super) fn new(bytes: Cow<'a, [u8]>, header: &BatchHeader) -> Self {
        Self {
            bytes,
            count: usize::try_from(header.count).unwrap_or_default(),
            base_offset: header.base_offset,
            base_timestamp: header.base_timestamp,
            append_time: header.log_append_time().then_some(header.max_timestamp),
        }
    }

    /// The records in order; the walk ends after the first error.
    pub fn iter(&self) -> impl Iterator<Item = Result<Record<'_>, Error>> {
        let mut rest: &[u8] = &self.bytes;
        let mut left = self.count;
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let record = self.read(&mut rest);
            if record.is_err() {
                left = 0;
            }
            Some(record)
        })
    }

    /// Whether there are as many records as announced, each whole, in the order of offsets without gaps, and nothing after them.
    pub fn check(&self) -> Result<(), Error> {
        if self.count > self.bytes.len() / SMALLEST {
            return Err(Error::Record("there are fewer records than the batch says"));
        }
        let mut size = 0;
        for (delta, record) in self.iter().enumerate() {
            let record = record?;
            if usize::try_from(record.delta) != Ok(delta) {
                return Err(Error::Record("the offsets have gaps"));
            }
            size += record.raw.len();
        }
        if size == self.bytes.len() { Ok(()) } else { Err(Error::Record("bytes follow the last record")) }
    }

    fn read<'b>(&self, rest: &mut &'b [u8]) -> Result<Record<'b>, Error> {
        let cut = Error::Record("it is cut off");
        let start = *rest;
        let length = varint::read_i32(rest).ok_or(cut.clone())?;
        let length = usize::try_from(length).map_err(|_| Error::Record("its length is negative"))?;
        let (mut body, after) = rest.split_at_checked(length).ok_or(cut)?;
        *rest = after;
        let raw = &start[..start.len() - after.len()];
        let (timestamp, offset, key, value) =
            fields(&mut body).ok_or(Error::Record("its fields are broken"))?;
        let (headers, header_count) = headers(body).ok_or(Error::Record("its headers are broken"))?;
        Ok(Record {
            offset: self.base_offset.saturating_add(i64::from(offset)),
            timestamp: self.append_time.unwrap_or(self.base_timestamp.saturating_add(timestamp)),
            key,
            value,
            raw,
            delta: offset,
            headers,
            header_count,
        })
    }
}

impl<'a> Record<'a> {
    /// The headers in order.
    pub fn headers(&self) -> impl Iterator<Item = Header<'a>> {
        let mut rest = self.headers;
        // read once already, when the record was: none is broken
        (0..self.header_count).map_while(move |_| header(&mut rest))
    }
}

type Fields<'a> = (i64, i32, Option<&'a [u8]>, Option<&'a [u8]>);

fn fields<'a>(body: &mut &'a [u8]) -> Option<Fields<'a>> {
    let (_attributes, rest) = body.split_first()?;
    *body = rest;
    Some((varint::read_i64(body)?, varint::read_i32(body)?, optional(body)?, optional(body)?))
}

fn headers(mut body: &[u8]) -> Option<(&[u8], usize)> {
    let count = usize::try_from(varint::read_i32(&mut body)?).ok()?;
    let all = body;
    for _ in 0..count {
        header(&mut body)?;
    }
    body.is_empty().then_some((all, count))
}

fn header<'a>(rest: &mut &'a [u8]) -> Option<Header<'a>> {
    Some(Header { key: optional(rest)??, value: optional(rest)? })
}

/// Length and bytes; a length of -1 is `None`.
fn optional<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = varint::read_i32(rest)?;
    if length == -1 {
        return Some(None);
    }
    let (bytes, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = after;
    Some(Some(bytes))
}
