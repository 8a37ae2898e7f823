//! The embedded Kafka broker.
//!
//! This crate has the *storage* and the *coordinators*; what speaks to sockets is built on top of it. Nothing here knows sockets or an async
//! runtime: what takes time on a disk is promised by a [`Ticket`], which is a future for tasks and has `wait` for threads. Nothing
//! polls; an idle broker is never woken.
//!
//! - [`Storage::open`] opens a data folder; [`Storage::topics`] has the topics, each a list of [`Partition`]s.
//! - [`Partition::append`] takes one batch as it came off the wire, gives it its offset in place, and returns at once. `acks=all`:
//!   answer when [`Appended::ticket`] is kept, by group commit. `acks=1`: answer at once.
//! - [`Partition::read`] names whole batches as a range of a file, for `sendfile`; what is not on disk yet is not shown. A long poll
//!   waits on [`Partition::grown`]; before the end of the log is told (`ListOffsets` -1), wait on [`Partition::settled`].
//! - [`Error::kind`](Error) says which of Kafka's error codes it is.
//! - [`Storage::tidy`] wants to be called now and then; [`Storage::close`] at the end.
#![forbid(unsafe_code)]

mod error;
mod flush;
mod journal;
mod log;
mod storage;
#[cfg(test)]
mod testing;
pub mod topics;

pub use error::{Error, Kind, Result};
pub use flush::{Flusher, Ticket};
pub use journal::{Change, Journal};
pub use log::{
    Aborted, Appended, Config, Durability, Found, Isolation, Offsets, Partition, Slice, When, now,
};
pub use storage::Storage;
pub use topics::{Topic, TopicId, Topics};
