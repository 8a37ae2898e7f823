//! Networks for real: each test is a host of its own, a fresh network namespace.
#![allow(clippy::unwrap_used, reason = "tests, helpers included")]

mod costs;
mod host;
mod names;
mod networks;
mod ports;
