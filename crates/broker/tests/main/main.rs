//! The storage as a whole: processes that are killed, full disks, Kafka's own tools.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test says why it fails or is skipped")]

mod full;
mod idle;
mod support;
mod tools;
mod torture;
