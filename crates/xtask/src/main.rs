//! The project's chores, one word each: `cargo xtask demo|test|check|dist|bench|conform|contract|vm|fuzz|kafka-codec`.
#![forbid(unsafe_code)]

mod bench;
mod check;
mod conform;
mod contract;
mod demo;
mod dist;
mod engine;
mod fuzz;
mod http;
mod install;
mod kafka_codec;
mod peer;
mod shell;
mod test;
mod vm;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask COMMAND

  demo [--check]   install what is missing, build, run examples/realtime-pipeline and print its URL;
                   --check drives the page, checks the figures and takes everything down again
  test [FILTER]    install what the tests need and run them all
  check            formatting, lints, the walls of ARCHITECTURE.md, SPECIFICATION.md's tests, file sizes
  dist             release programs into target/dist/
  bench [NAME]     ours and the peer in turn: run, parallel, load, memory, build;
                   runtime: dhow-runtime, crun and runc on one bundle, then the engines;
                   thousand: a thousand idle containers, and the stop of a hundred;
                   syscalls: how often each process of ours calls the kernel for one start;
                   profile: where the time of one start goes
                   (DHOW_PROGRAMS=FOLDER takes programs from there instead of building release ones)
  conform [--runtime PROGRAM] [--runtime-tools] [FILTER…]
                   what the OCI runtime specification asks, put to dhow-runtime or to PROGRAM: our scenarios, or the
                   programs of opencontainers/runtime-tools
  contract FILE    takes over moby's api/swagger.yaml: what every answer of the API is held against in tests
  vm [CRATE…] [FILTER] [--systemd|--v1]
                   the root tests in a machine with cgroup v2 alone (qemu); with systemd as its first process, or with that and
                   cgroup v1
  fuzz [TARGET] [SECONDS]
                   looks for input that breaks a decoder: spec, plan, protocol, kafka, batch; each for 600 seconds, with a nightly compiler
  kafka-codec      writes crates/kafka/src/messages from crates/kafka/schema
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["demo"] => demo::run(false),
        ["demo", "--check"] => demo::run(true),
        ["test", rest @ ..] => test::run(rest),
        ["check"] => check::run(),
        ["dist"] => dist::run().map(drop),
        ["bench", rest @ ..] => bench::run(rest),
        ["conform", rest @ ..] => conform::run(rest),
        ["contract", file] => contract::run(file),
        ["vm", rest @ ..] => vm::run(rest),
        ["fuzz", rest @ ..] => fuzz::run(rest),
        ["kafka-codec"] => kafka_codec::run(),
        _ => {
            shell::say(USAGE);
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            shell::say(&format!("xtask: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
