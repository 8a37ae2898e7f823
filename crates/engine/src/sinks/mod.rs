//! Log drivers that send a container's output elsewhere: syslog, journald, fluentd, gelf.
//!
//! The shim writes the container's log file as with every driver, so `docker logs` reads it and nobody but the disk can slow the
//! container. That file is the spool: one task a container, the forwarder, reads it behind the writer, woken by inotify, and sends record by
//! record. Where it is it remembers on disk. A sink that is dead or slow delays nothing else: the spool is bounded, what it gives up is
//! counted, and the rest is sent when the sink is back.

mod address;
mod backlog;
mod connection;
mod fluentd;
mod forward;
mod gelf;
mod hub;
mod identity;
mod journald;
mod message;
mod options;
mod syslog;
mod words;

pub(crate) use forward::Forwarder;
pub(crate) use hub::Hub;
pub(crate) use identity::{Identity, check, extra, tag};
pub(crate) use options::{driver, files};
pub(crate) use words::{boolean, bytes};
