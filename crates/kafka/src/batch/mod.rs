//! Record batches of format 2, the only one that Kafka still writes: a header of 61 bytes, then records, perhaps compressed.
//!
//! [`Batch`] looks at one where it lies. A producer's batch is checked by [`Batch::produced`] and goes to disk as it came: base
//! offset and leader epoch stand before the checksummed part, so [`stamp`] sets them in place. [`Builder`] makes batches.

mod build;
mod compression;
mod header;
mod records;
mod rewrite;

pub use build::{Builder, Marker};
pub use compression::Compression;
pub use header::{HEADER, Header, NO_TIMESTAMP, next_sequence};
pub use records::{Header as RecordHeader, Record, Records};
pub use rewrite::{retain, stamp, stamp_append_time};

use std::borrow::Cow;

/// Why bytes are not a batch, or not one that a producer may send.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Fewer bytes than the batch says it has: at the end of a file that is being written or was torn, nothing unusual.
    #[error("the batch is cut off: {have} of {want} bytes")]
    Short {
        /// Bytes that are there.
        have: usize,
        /// Bytes that the batch needs.
        want: usize,
    },
    /// The length field is none that a batch can have. Zero is what a preallocated file has after its last batch.
    #[error("the batch says it is {0} bytes long")]
    Length(i32),
    /// A format of before Kafka 0.11, or no batch at all.
    #[error("the batch is of format {0}, and only 2 is served")]
    Magic(i8),
    /// The bytes are not those that were written.
    #[error("the batch's checksum is {stored:#010x}, that of its bytes {computed:#010x}")]
    Checksum {
        /// What the header says.
        stored: u32,
        /// What the bytes give.
        computed: u32,
    },
    /// A header that contradicts itself, or that a client must not send.
    #[error("invalid batch: {0}")]
    Invalid(&'static str),
    /// Records that are not what the header announces.
    #[error("invalid record: {0}")]
    Record(&'static str),
    /// The records do not decompress.
    #[error("records do not decompress as {0}")]
    Compression(Compression),
    /// Decompressed, the records are larger than the caller allows.
    #[error("the records are larger than {0} bytes when decompressed")]
    Large(usize),
}

/// One whole batch, checksum not yet looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch<'a> {
    bytes: &'a [u8],
    header: Header,
}

impl<'a> Batch<'a> {
    /// The batch at the front of `bytes`, and what follows it.
    pub fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), Error> {
        let header = Header::read(bytes)?;
        let want = header.size();
        if bytes.len() < want {
            return Err(Error::Short { have: bytes.len(), want });
        }
        let (bytes, rest) = bytes.split_at(want);
        Ok((Self { bytes, header }, rest))
    }

    /// The one batch that a producer sent for a partition, with everything checked that needs no decompression.
    pub fn produced(bytes: &'a [u8]) -> Result<Self, Error> {
        let (batch, rest) = Self::split(bytes)?;
        if !rest.is_empty() {
            return Err(Error::Invalid("a produce request has one batch for a partition"));
        }
        batch.header.check_produced()?;
        batch.check_sum()?;
        if batch.header.compression() == Some(Compression::None) {
            batch.records(0)?.check()?;
        }
        Ok(batch)
    }

    /// Whether the bytes are those that were written.
    pub fn check_sum(&self) -> Result<(), Error> {
        let (stored, computed) = (self.header.checksum, header::checksum(self.bytes));
        if stored == computed { Ok(()) } else { Err(Error::Checksum { stored, computed }) }
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// All bytes of the batch.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The records, decompressed if need be; `most` bounds the decompressed bytes.
    pub fn records(&self, most: usize) -> Result<Records<'a>, Error> {
        if self.header.count < 0 {
            return Err(Error::Invalid("there are fewer than no records"));
        }
        let compression =
            self.header.compression().ok_or(Error::Invalid("the codec is none that Kafka knows"))?;
        let packed = self.bytes.get(HEADER..).unwrap_or_default();
        let bytes = match compression {
            Compression::None => Cow::Borrowed(packed),
            _ => Cow::Owned(compression.unpack(packed, most)?),
        };
        Ok(Records::new(bytes, &self.header))
    }
}

/// The batches in `bytes`, one after the other; the walk ends after the first error.
pub fn batches(bytes: &[u8]) -> impl Iterator<Item = Result<Batch<'_>, Error>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let split = Batch::split(rest);
        rest = split.as_ref().map_or(&[], |(_, rest)| rest);
        Some(split.map(|(batch, _)| batch))
    })
}

#[cfg(test)]
mod tests;
