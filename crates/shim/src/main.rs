//! `dhow-shim DIR`, with the listening socket as stdin: see the library.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    dhow_shim::program::main(&mut std::env::args_os())
}
