//! The fixed part of a batch.

use super::{Compression, Error};

/// Bytes before the records.
pub const HEADER: usize = 61;
/// What a batch without timestamps has for one.
pub const NO_TIMESTAMP: i64 = -1;

/// Bytes before those that the length field counts.
const BEFORE_LENGTH_COUNTS: usize = 12;
/// Where the checksummed bytes begin.
const CHECKED: usize = 21;
const MAGIC: i8 = 2;

const CODEC: i16 = 0b111;
const LOG_APPEND_TIME: i16 = 1 << 3;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;

/// The fields of a batch's header, in the order of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Offset of the first record the batch was made with.
    pub base_offset: i64,
    /// Bytes after this field.
    pub length: i32,
    /// Epoch of the leader that appended it.
    pub leader_epoch: i32,
    /// CRC-32C of everything from the attributes on.
    pub checksum: u32,
    /// Codec, kind of timestamp, whether transactional, whether control.
    pub attributes: i16,
    /// Offset of the last record the batch was made with, less the base offset.
    pub last_offset_delta: i32,
    /// What the records' timestamps are counted from.
    pub base_timestamp: i64,
    /// The latest timestamp; the time of appending if the topic wants that.
    pub max_timestamp: i64,
    /// Identity of an idempotent producer, or -1.
    pub producer_id: i64,
    /// Its epoch, or -1.
    pub producer_epoch: i16,
    /// Sequence number of the first record, or -1.
    pub base_sequence: i32,
    /// How many records there are.
    pub count: i32,
}

/// Where a field begins in the bytes of a batch.
pub(super) mod at {
    pub(crate) const BASE_OFFSET: usize = 0;
    pub(crate) const LENGTH: usize = 8;
    pub(crate) const LEADER_EPOCH: usize = 12;
    pub(crate) const MAGIC: usize = 16;
    pub(crate) const CHECKSUM: usize = 17;
    pub(crate) const ATTRIBUTES: usize = 21;
    pub(crate) const LAST_OFFSET_DELTA: usize = 23;
    pub(crate) const BASE_TIMESTAMP: usize = 27;
    pub(crate) const MAX_TIMESTAMP: usize = 35;
    pub(crate) const PRODUCER_ID: usize = 43;
    pub(crate) const PRODUCER_EPOCH: usize = 51;
    pub(crate) const BASE_SEQUENCE: usize = 53;
    pub(crate) const COUNT: usize = 57;
}

impl Header {
    /// Reads the header at the front of `bytes`; the records need not be there. Format and length are checked, nothing else.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let short = |want| Error::Short { have: bytes.len(), want };
        // the length first: a file's preallocated tail is zeros, and shorter than a header perhaps
        let length =
            i32::from_be_bytes(*field(bytes, at::LENGTH).ok_or(short(at::LENGTH + size_of::<i32>()))?);
        if usize::try_from(length).map_or(true, |length| length + BEFORE_LENGTH_COUNTS < HEADER) {
            return Err(Error::Length(length));
        }
        let magic = i8::from_be_bytes(*field(bytes, at::MAGIC).ok_or(short(HEADER))?);
        if magic != MAGIC {
            return Err(Error::Magic(magic));
        }
        let head: &[u8; HEADER] = field(bytes, 0).ok_or(short(HEADER))?;
        Ok(Self {
            base_offset: i64::from_be_bytes(fixed(head, at::BASE_OFFSET)),
            length,
            leader_epoch: i32::from_be_bytes(fixed(head, at::LEADER_EPOCH)),
            checksum: u32::from_be_bytes(fixed(head, at::CHECKSUM)),
            attributes: i16::from_be_bytes(fixed(head, at::ATTRIBUTES)),
            last_offset_delta: i32::from_be_bytes(fixed(head, at::LAST_OFFSET_DELTA)),
            base_timestamp: i64::from_be_bytes(fixed(head, at::BASE_TIMESTAMP)),
            max_timestamp: i64::from_be_bytes(fixed(head, at::MAX_TIMESTAMP)),
            producer_id: i64::from_be_bytes(fixed(head, at::PRODUCER_ID)),
            producer_epoch: i16::from_be_bytes(fixed(head, at::PRODUCER_EPOCH)),
            base_sequence: i32::from_be_bytes(fixed(head, at::BASE_SEQUENCE)),
            count: i32::from_be_bytes(fixed(head, at::COUNT)),
        })
    }

    /// The header's bytes.
    pub(super) fn encode(&self) -> [u8; HEADER] {
        let mut head = [0; HEADER];
        let mut put = |at: usize, bytes: &[u8]| head[at..at + bytes.len()].copy_from_slice(bytes);
        put(at::BASE_OFFSET, &self.base_offset.to_be_bytes());
        put(at::LENGTH, &self.length.to_be_bytes());
        put(at::LEADER_EPOCH, &self.leader_epoch.to_be_bytes());
        put(at::MAGIC, &MAGIC.to_be_bytes());
        put(at::CHECKSUM, &self.checksum.to_be_bytes());
        put(at::ATTRIBUTES, &self.attributes.to_be_bytes());
        put(at::LAST_OFFSET_DELTA, &self.last_offset_delta.to_be_bytes());
        put(at::BASE_TIMESTAMP, &self.base_timestamp.to_be_bytes());
        put(at::MAX_TIMESTAMP, &self.max_timestamp.to_be_bytes());
        put(at::PRODUCER_ID, &self.producer_id.to_be_bytes());
        put(at::PRODUCER_EPOCH, &self.producer_epoch.to_be_bytes());
        put(at::BASE_SEQUENCE, &self.base_sequence.to_be_bytes());
        put(at::COUNT, &self.count.to_be_bytes());
        head
    }

    /// Bytes of the whole batch.
    pub fn size(&self) -> usize {
        usize::try_from(self.length).unwrap_or_default() + BEFORE_LENGTH_COUNTS
    }

    /// Offset of the last record.
    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta))
    }

    /// Offset that the next batch gets.
    pub fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }

    /// Sequence number of the last record, as numbers wrap.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            self.base_sequence
        } else {
            add_sequence(self.base_sequence, self.last_offset_delta)
        }
    }

    /// The codec of the records; `None` for a number that Kafka does not know.
    pub fn compression(&self) -> Option<Compression> {
        Compression::from_code(self.attributes & CODEC)
    }

    /// Whether the timestamps are the broker's: then the one of every record is [`Self::max_timestamp`].
    pub fn log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }

    /// Whether the records belong to a transaction.
    pub fn transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Whether this is a transaction's end and not data.
    pub fn control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// Whether an idempotent producer sent it.
    pub fn idempotent(&self) -> bool {
        self.producer_id >= 0
    }

    pub(super) fn set_log_append_time(&mut self, time: i64) {
        self.attributes |= LOG_APPEND_TIME;
        self.max_timestamp = time;
    }

    pub(super) fn set_transactional(&mut self) {
        self.attributes |= TRANSACTIONAL;
    }

    pub(super) fn set_control(&mut self) {
        self.attributes |= CONTROL;
    }

    /// What a client's batch must be.
    pub(super) fn check_produced(&self) -> Result<(), Error> {
        let rules = [
            (self.compression().is_some(), "the codec is none that Kafka knows"),
            (!self.control(), "clients must not write control records"),
            (self.count > 0, "there are no records"),
            (
                self.last_offset_delta == self.count.saturating_sub(1),
                "the last offset does not fit the number of records",
            ),
            (
                !self.idempotent() || (self.producer_epoch >= 0 && self.base_sequence >= 0),
                "a producer id needs an epoch and a sequence number",
            ),
            (self.idempotent() || !self.transactional(), "a transaction needs a producer id"),
            (
                self.base_timestamp >= NO_TIMESTAMP && self.max_timestamp >= NO_TIMESTAMP,
                "a timestamp is before the epoch",
            ),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, broken)) => Err(Error::Invalid(broken)),
            None => Ok(()),
        }
    }
}

/// The sequence number after `last`: they wrap to 0.
pub fn next_sequence(last: i32) -> i32 {
    add_sequence(last, 1)
}

fn add_sequence(sequence: i32, more: i32) -> i32 {
    sequence.checked_add(more).unwrap_or_else(|| more - (i32::MAX - sequence) - 1)
}

/// CRC-32C of what the header's checksum covers.
pub(super) fn checksum(batch: &[u8]) -> u32 {
    crc32c::crc32c(batch.get(CHECKED..).unwrap_or_default())
}

fn field<const SIZE: usize>(bytes: &[u8], at: usize) -> Option<&[u8; SIZE]> {
    bytes.get(at..)?.first_chunk()
}

fn fixed<const SIZE: usize>(head: &[u8; HEADER], at: usize) -> [u8; SIZE] {
    let mut bytes = [0; SIZE];
    bytes.copy_from_slice(&head[at..at + SIZE]);
    bytes
}
