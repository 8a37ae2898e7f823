//! Kafka's protocol, sans-I/O: bytes to values and back, for both ends of a connection.
//!
//! Nothing here knows a socket, a file or a clock. Every length and count that comes from outside is bounded by the bytes that
//! are there: no input makes a decoder allocate more than a small multiple of its size, recurse without bound, or panic.
//!
//! - [`batch`]: record batches, the unit of Kafka's log on the wire and on disk
#![forbid(unsafe_code)]

pub mod batch;
mod varint;
