//! The store from outside, on real folders. `root_*` tests need root (owners, devices, overlayfs).
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

mod archives;
mod hostile;
mod images;
mod layers;
mod snapshots;
mod support;
mod volumes;
