//! For tests only: a private engine from the programs that were just built, a static image for it, and a look at what is
//! left behind on the machine. Panics are failures here: this crate is a dev-dependency and never shipped.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test fails by panicking")]

pub mod contract;
mod daemon;
pub mod http;
mod image;
mod leftovers;

pub use daemon::{Daemon, Ran, program};
pub use image::busybox_tar;
pub use leftovers::Leftovers;

/// Whether root tests can run; where `REQUIRE_ROOT` is set (CI), a skip is a failure.
#[must_use]
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let root = std::fs::metadata("/proc/self").is_ok_and(|info| info.uid() == 0);
    assert!(root || std::env::var_os("REQUIRE_ROOT").is_none(), "REQUIRE_ROOT is set, and this is not root");
    root
}
