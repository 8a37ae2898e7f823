//! One tiny process per container: stdio, log file, exit code, exec. This library is its socket protocol and the
//! daemon's side of it: pure encoding, and a non-blocking client that an event loop polls. The program is `main.rs`, its inside
//! [`program`].
//!
//! A shim lives in a folder `DIR` (`/run/dhow/shims/<container id>`): `DIR/sock` is its SEQPACKET socket, `DIR/exit` is
//! written (temp + rename) when the container has ended and outlives the shim. Its first inherited descriptor (stdin) is the
//! listening socket; everything else comes over a connection. `docs/shim.md` tells the protocol and the rules of its life.
#![forbid(unsafe_code)]

mod client;
mod codec;
mod exit;
#[cfg(fuzzing)]
pub mod fuzzing;
mod launcher;
mod process;
pub mod program;
mod protocol;
mod socket;

pub use client::{Client, attach_pair};
pub use exit::read_exit;
pub use launcher::Launcher;
pub use process::signal_shim;
pub use protocol::{Event, Exit, LogConfig, Outside, Request, StdioConfig, Target};
