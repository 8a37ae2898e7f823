//! Networks for real: each test is a host of its own, a fresh network namespace.

mod host;
mod names;
mod networks;
