//! An embedded Kafka broker: one process, one node, no settings.
//!
//! - storage: `journal` (the broker's own state), `log` (partitions), `flush` (group commit), `catalog` (topics)
//! - doors: `serve` (connections), `listen` (vantage points), `api` (one file for each request)
#![forbid(unsafe_code)]

mod api;
mod broker;
mod catalog;
mod error;
mod flush;
mod journal;
mod listen;
mod log;
mod serve;
#[cfg(test)]
mod testing;

pub use broker::{Broker, Settings};
pub use error::{Error, Kind, Result};
pub use flush::{Flusher, Ticket};
pub use journal::{Change, Journal};
pub use listen::Endpoint;
pub use log::{
    Aborted, Appended, Config, Durability, Found, Isolation, Offsets, Partition, Slice, When, now,
};
pub use serve::accept;
