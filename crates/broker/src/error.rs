//! The one error of this room: operation, object, cause, and a kind that `serve` turns into Kafka's error code.

use std::{fmt, io, sync::Arc};

/// What class a failure is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The disk is full, failed, or a file is not what it must be: `KAFKA_STORAGE_ERROR`.
    Storage,
    /// Bytes on disk or from a client whose check sum or form is wrong: `CORRUPT_MESSAGE`.
    Corrupt,
    /// An offset below the log's start or beyond its end: `OFFSET_OUT_OF_RANGE`.
    OffsetOutOfRange,
    /// A batch larger than `max.message.bytes`: `MESSAGE_TOO_LARGE`.
    TooLarge,
    /// A record that the topic does not take: `INVALID_RECORD`.
    InvalidRecord,
    /// A timestamp too far from now: `INVALID_TIMESTAMP`.
    InvalidTimestamp,
    /// A gap in a producer's sequence numbers: `OUT_OF_ORDER_SEQUENCE_NUMBER`.
    OutOfOrderSequence,
    /// A producer whose epoch is older than the one we know: `INVALID_PRODUCER_EPOCH`.
    InvalidProducerEpoch,
    /// A producer that has been replaced by one of the same transactional id: `PRODUCER_FENCED`.
    ProducerFenced,
    /// A producer id that does not belong to this transactional id: `INVALID_PRODUCER_ID_MAPPING`.
    InvalidProducerIdMapping,
    /// A step that the transaction's state does not allow: `INVALID_TXN_STATE`.
    InvalidTxnState,
    /// Another change of the same transaction is on its way: `CONCURRENT_TRANSACTIONS`.
    ConcurrentTransactions,
    /// No such topic, partition, group or transactional id.
    NotFound,
    /// A topic of that name exists: `TOPIC_ALREADY_EXISTS`.
    Exists,
    /// A name that no topic can have: `INVALID_TOPIC_EXCEPTION`.
    InvalidName,
    /// A number of partitions that no topic can have: `INVALID_PARTITIONS`.
    InvalidPartitions,
    /// A configuration, or whatever else is not as it must be: `INVALID_CONFIG`.
    Invalid,
}

/// Operation, object, cause. Cheap to clone: one failed sync answers many appends.
#[derive(Debug, Clone)]
pub struct Error {
    /// Class.
    pub kind: Kind,
    /// What was being done: `append to`.
    pub operation: &'static str,
    /// To what.
    pub object: Arc<str>,
    /// Why.
    pub cause: Arc<str>,
}

/// Shorthand.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of class `kind`.
    pub fn new(
        kind: Kind,
        operation: &'static str,
        object: impl AsRef<str>,
        cause: impl fmt::Display,
    ) -> Self {
        Self { kind, operation, object: object.as_ref().into(), cause: cause.to_string().into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.operation, self.object, self.cause)
    }
}

impl std::error::Error for Error {}

/// Names the operation and the object of a failed system call.
pub(crate) trait At<T> {
    fn at(self, operation: &'static str, object: impl fmt::Display) -> Result<T>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, operation: &'static str, object: impl fmt::Display) -> Result<T> {
        self.map_err(|cause| Error::new(Kind::Storage, operation, object.to_string(), cause))
    }
}

impl<T> At<T> for rustix::io::Result<T> {
    fn at(self, operation: &'static str, object: impl fmt::Display) -> Result<T> {
        self.map_err(io::Error::from).at(operation, object)
    }
}
