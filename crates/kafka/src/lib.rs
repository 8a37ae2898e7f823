//! Kafka's protocol, sans-I/O: bytes to values and back, for both ends of a connection.
//!
//! Nothing here knows a socket, a file or a clock. Every length and count that comes from outside is bounded by the bytes that
//! are there: no input makes a decoder allocate more than a small multiple of its size, recurse without bound, or panic.
//!
//! - [`batch`]: record batches, the unit of Kafka's log on the wire and on disk
//! - [`messages`]: requests and responses, generated from `schema/` by `cargo xtask kafka-codec`
//! - [`header`]: what stands before them; [`Code`]: the numbers of errors
#![forbid(unsafe_code)]

pub mod batch;
mod code;
pub mod header;
pub mod messages;
mod reader;
mod uuid;
mod varint;
mod writer;

pub use code::Code;
pub use messages::Key;
pub use reader::{Error, Reader};
pub use uuid::Uuid;
pub use writer::{Hole, Writer};

use std::ops::RangeInclusive;

/// A field of record batches, which are neither copied nor looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Records<'a> {
    /// There is no such field.
    #[default]
    Null,
    /// The batches.
    Here(&'a [u8]),
    /// As many bytes as this, which the sender puts into the [`Hole`].
    Elsewhere(usize),
}

impl<'a> Records<'a> {
    /// The batches, if they are here.
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Self::Here(bytes) => bytes,
            Self::Null | Self::Elsewhere(_) => &[],
        }
    }
}

/// A request, a response, or data that clients exchange through the broker.
pub trait Message<'a>: Sized {
    /// The versions that the schema has.
    const VERSIONS: RangeInclusive<i16>;

    /// Whether a version has compact lengths and tagged fields.
    fn flexible(version: i16) -> bool;

    /// Reads what stands at the reader.
    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error>;

    /// Writes; a field that the version does not have is left out.
    fn write(&self, out: &mut Writer, version: i16);

    /// Reads from the front of `bytes`. What follows is left alone, as Kafka does: some clients send more than they should.
    fn decode(bytes: &'a [u8], version: i16) -> Result<Self, Error> {
        if !Self::VERSIONS.contains(&version) {
            return Err(Error::Version(version));
        }
        Self::read(&mut Reader::new(bytes, Self::flexible(version)), version)
    }

    /// The message's bytes behind `front`, and where records are missing.
    fn encode_behind(&self, front: Vec<u8>, version: i16) -> (Vec<u8>, Vec<Hole>) {
        let mut out = Writer::new(front, Self::flexible(version));
        self.write(&mut out, version);
        out.finish()
    }

    /// The message's bytes.
    fn encode(&self, version: i16) -> Vec<u8> {
        self.encode_behind(Vec::new(), version).0
    }
}

/// A request, and what answers it.
pub trait Request<'a>: Message<'a> {
    /// Its number.
    const KEY: Key;
    /// The answer.
    type Response<'r>: Message<'r>;
}
