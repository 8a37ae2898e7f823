//! `dhow-runtime`: runc's command line over the runtime crate, for engines that start containers by running a program
//! (podman, containerd, docker) and for conformance suites. One command, one file in `commands`; `docs/runtime.md` tells where it
//! differs from runc and why.
#![forbid(unsafe_code)]

mod arguments;
mod bundle;
mod clock;
mod commands;
mod container;
mod failure;
mod hooks;
mod identity;
mod launch;
mod log;
mod protect;
mod relay;
mod streams;

use std::process::ExitCode;

/// musl's allocator maps and unmaps a page for every few objects: a third of all calls of a `run`.
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    let words: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    commands::run(&words)
}
