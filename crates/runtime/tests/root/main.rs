//! Containers for real. This program is three things: without arguments it runs every case in a process of its own (a start wants a
//! single-threaded process); as `--drive NAME` it is one case; as `/bin/probe` inside a rootfs it is the contained program.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "a test")]

mod agent;
mod cases;
mod checks;
mod fixture;
mod hooks;
mod hostile;
mod ids;
mod leaks;
mod limits;
mod mounts;
mod probe;
mod process;
mod swaps;

use std::process::{Command, ExitCode};

/// Name and case.
pub(crate) type Cases = &'static [(&'static str, fn())];

const ALL: &[Cases] = &[
    cases::CASES,
    ids::CASES,
    hooks::CASES,
    limits::CASES,
    mounts::CASES,
    process::CASES,
    agent::CASES,
    hostile::CASES,
    leaks::CASES,
    swaps::CASES,
];

fn all() -> impl Iterator<Item = &'static (&'static str, fn())> {
    ALL.iter().copied().flatten()
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    if args[0].ends_with("/probe") || args[0] == "probe" {
        return probe::main(&args);
    }
    if args[0].ends_with("/docker-init") {
        let args: Vec<_> = std::env::args_os().skip(1).collect();
        std::process::exit(dhow_runtime::init_main(&args));
    }
    if args.get(1).is_some_and(|word| word == "--swap") {
        swaps::neighbour(&args[2..]);
    }
    if let Some(at) = args.iter().position(|a| a == "--drive") {
        let name = &args[at + 1];
        let (_, case) = all().find(|(n, _)| n == name).expect("a known case");
        case();
        return ExitCode::SUCCESS;
    }
    if args.iter().any(|a| a == "--list") {
        all().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root");
        return if std::env::var_os("REQUIRE_ROOT").is_some() {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        };
    }
    let filter = args.iter().skip(1).find(|a| !a.starts_with('-')).cloned().unwrap_or_default();
    let program = std::env::current_exe().unwrap();
    let mut failed = 0;
    for (name, _) in all().filter(|(name, _)| name.contains(&filter)) {
        let output = Command::new(&program).args(["--drive", name]).output().unwrap();
        if output.status.success() {
            println!("test {name} ... ok");
            print!("{}", String::from_utf8_lossy(&output.stdout));
        } else {
            failed += 1;
            println!("test {name} ... FAILED ({})", output.status);
            println!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
