//! Making batches.

use super::{
    Compression, Error, HEADER, Header, NO_TIMESTAMP,
    header::{at, checksum},
};
use crate::varint;

/// A batch in the making.
#[derive(Clone, Debug)]
pub struct Builder {
    header: Header,
    records: Vec<u8>,
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// Its records are none.
    Abort,
    /// Its records count.
    Commit,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// An empty batch of no producer.
    pub fn new() -> Self {
        let header = Header {
            base_offset: 0,
            length: 0,
            leader_epoch: -1,
            checksum: 0,
            attributes: 0,
            last_offset_delta: -1,
            base_timestamp: NO_TIMESTAMP,
            max_timestamp: NO_TIMESTAMP,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            count: 0,
        };
        Self { header, records: Vec::new() }
    }

    /// A batch whose header is known, of records that are encoded.
    pub(super) fn remade(header: Header, records: Vec<u8>) -> Self {
        Self { header, records }
    }

    /// The mark of a transaction's end: `epoch` is the coordinator's.
    pub fn control(mark: Marker, producer: (i64, i16), epoch: i32, timestamp: i64) -> Self {
        let kind: i16 = match mark {
            Marker::Abort => 0,
            Marker::Commit => 1,
        };
        let version = 0i16.to_be_bytes();
        let key = [version, kind.to_be_bytes()].concat();
        let value = [version.as_slice(), &epoch.to_be_bytes()].concat();
        let mut builder = Self::new().producer(producer.0, producer.1, -1).transactional();
        builder.header.set_control();
        builder.push(timestamp, Some(&key), Some(&value), &[]);
        builder
    }

    /// Compresses the records.
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.header.attributes |= compression.code();
        self
    }

    /// Says which idempotent producer sends it, and the first record's sequence number.
    #[must_use]
    pub fn producer(mut self, id: i64, epoch: i16, sequence: i32) -> Self {
        self.header.producer_id = id;
        self.header.producer_epoch = epoch;
        self.header.base_sequence = sequence;
        self
    }

    /// Makes the records part of a transaction.
    #[must_use]
    pub fn transactional(mut self) -> Self {
        self.header.set_transactional();
        self
    }

    /// Sets the offset of the first record.
    #[must_use]
    pub fn base_offset(mut self, offset: i64) -> Self {
        self.header.base_offset = offset;
        self
    }

    /// Bytes of records so far, not compressed.
    pub fn size(&self) -> usize {
        self.records.len()
    }

    /// Appends a record.
    pub fn push(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, Option<&[u8]>)],
    ) {
        let header = &mut self.header;
        if header.count == 0 {
            header.base_timestamp = timestamp;
        }
        header.count += 1;
        header.last_offset_delta += 1;
        header.max_timestamp = header.max_timestamp.max(timestamp);
        let mut body = vec![0];
        varint::write_i64(&mut body, timestamp - header.base_timestamp);
        varint::write_i32(&mut body, header.last_offset_delta);
        optional(&mut body, key);
        optional(&mut body, value);
        varint::write_i32(&mut body, length(headers.len()));
        for (name, value) in headers {
            optional(&mut body, Some(name.as_bytes()));
            optional(&mut body, *value);
        }
        varint::write_i32(&mut self.records, length(body.len()));
        self.records.extend(body);
    }

    /// The batch.
    pub fn build(self) -> Result<Vec<u8>, Error> {
        let mut header = self.header;
        let compression = header.compression().unwrap_or_default();
        let packed = compression.pack(&self.records).map_err(|_| Error::Compression(compression))?;
        header.length = length(HEADER - (at::LENGTH + size_of::<i32>()) + packed.len());
        let mut batch = header.encode().to_vec();
        batch.extend(packed);
        let sum = checksum(&batch);
        batch[at::CHECKSUM..at::CHECKSUM + size_of::<u32>()].copy_from_slice(&sum.to_be_bytes());
        Ok(batch)
    }
}

fn optional(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    varint::write_i32(out, bytes.map_or(-1, |bytes| length(bytes.len())));
    out.extend(bytes.unwrap_or_default());
}

/// A length on the wire. What is longer is no batch that anyone would take: the reader finds it broken.
fn length(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}
