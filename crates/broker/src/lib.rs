//! The broker's storage and coordinators.
#![forbid(unsafe_code)]

mod error;
mod flush;
mod journal;
mod log;
#[cfg(test)]
mod testing;

pub use error::{Error, Kind, Result};
pub use flush::{Flusher, Ticket};
pub use journal::{Change, Journal};
pub use log::{
    Aborted, Appended, Config, Durability, Found, Isolation, Offsets, Partition, Slice, When, now,
};
