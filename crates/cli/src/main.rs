//! `dhow`: docker's words for any engine that speaks the Docker Engine API.
#![forbid(unsafe_code)]

mod client;
mod commands;
mod container_flags;
mod format;
mod kafka;
mod streams;
mod terminal;
mod values;

use std::process::ExitCode;

/// Reading the command line makes thousands of small objects: with musl's allocator that was most of a short command. mimalloc is made for
/// many threads and a long life, and spends thirty calls before the first object.
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    let cli = match commands::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::Error::new(error).context("starting"), 1),
    };
    let outcome = runtime.block_on(commands::run(cli));
    // a thread may still wait for our stdin
    runtime.shutdown_background();
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let code = error.downcast_ref::<commands::Exit>().map_or(1, |exit| exit.0);
            fail(&error, code)
        }
    }
}

/// docker exits with 125 when it does not understand `run`'s flags, else with 1 (clap: 2). Help is success.
fn usage(error: &clap::Error) -> ExitCode {
    // a closed stdout is the reader's wish
    drop(error.print());
    if !error.use_stderr() {
        return ExitCode::SUCCESS;
    }
    let runs = std::env::args().skip(1).any(|arg| arg == "run" || arg == "create");
    ExitCode::from(if runs { 125 } else { 1 })
}

#[allow(clippy::print_stderr, reason = "the one place where errors are told")]
fn fail(error: &anyhow::Error, code: u8) -> ExitCode {
    let text = format!("{error:#}");
    if !text.is_empty() {
        eprintln!("dhow: {text}");
    }
    ExitCode::from(code)
}

/// Whether the reader of our output has gone. An engine that hangs up on us breaks a pipe too, and is an error.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    !error.chain().any(|cause| cause.is::<hyper::Error>())
        && error.chain().any(|cause| {
            cause
                .downcast_ref::<std::io::Error>()
                .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
        })
}
