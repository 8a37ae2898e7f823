//! The broker as a whole: processes that are killed, full disks, Kafka's own tools, and clients of other makers.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test says why it fails or is skipped")]

mod clients;
mod control;
mod exactly_once;
mod full;
mod hostile;
mod idle;
mod java;
mod kcat;
mod power;
mod quiet;
mod served;
mod support;
mod tools;
mod torture;
mod vantage;
