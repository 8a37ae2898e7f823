//! The embedded Kafka broker.
//!
//! This crate has the *storage*, the *coordinators* and the *doors*. Storage and coordinators know neither sockets nor an async runtime: what
//! takes time on a disk is promised by a [`Ticket`], which is a future for tasks and has `wait` for threads. Nothing polls; an idle
//! broker is never woken.
//!
//! - [`accept`] takes connections (`serve`), each with the address that its client used (`listen`); `api` answers, a file for each request.
//! - [`Storage::open`] opens a data folder; [`Storage::topics`] has the topics, each a list of [`Partition`]s.
//! - [`Partition::append`] takes one batch as it came off the wire, gives it its offset in place, and returns at once. `acks=all`:
//!   answer when [`Appended::ticket`] is kept, by group commit. `acks=1`: answer at once.
//! - [`Partition::read`] names whole batches as a range of a file, for `sendfile`; what is not on disk yet is not shown. A long poll
//!   waits on [`Partition::grown`]; before the end of the log is told (`ListOffsets` -1), wait on [`Partition::settled`].
//! - [`Error::kind`](Error) says which of Kafka's error codes it is.
//! - [`groups::Groups`] has the consumer groups and committed offsets; [`groups::Groups::deadline`] says when it wants to be woken.
//! - [`txn::Txns`] coordinates transactions: enlist before writing, then end; [`txn::Txns::deadline`] likewise.
//! - [`Storage::tidy`] wants to be called now and then; [`Storage::close`] at the end.
#![forbid(unsafe_code)]

mod api;
mod broker;
mod error;
mod flush;
pub mod groups;
mod journal;
mod listen;
mod log;
mod serve;
mod storage;
#[cfg(test)]
mod testing;
pub mod topics;
pub mod txn;

pub use broker::{Broker, Settings};
pub use error::{Error, Kind, Result};
pub use flush::{Flusher, Ticket};
pub use journal::{Change, Journal};
pub use listen::Endpoint;
pub use log::{
    Aborted, Appended, Config, Durability, Found, Isolation, Offsets, Partition, Slice, When, Writer, now,
};
pub use serve::accept;
pub use storage::Storage;
pub use topics::{Topic, TopicId, Topics};
