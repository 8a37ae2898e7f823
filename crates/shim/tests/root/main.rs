//! The real program with real containers. This is two things: without arguments it runs every case; as `/bin/inside` in a rootfs it is
//! the contained program.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "a test")]

mod cases;
mod ends;
mod fixture;
mod inside;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    if args[0].ends_with("/inside") {
        return inside::main(&args[1..]);
    }
    let all = || cases::CASES.iter().chain(ends::CASES);
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
    let mut failed = 0;
    for (name, case) in all().filter(|(name, _)| name.contains(&filter)) {
        let ok = std::panic::catch_unwind(case).is_ok();
        println!("test {name} ... {}", if ok { "ok" } else { "FAILED" });
        failed += u8::from(!ok);
    }
    ExitCode::from(failed)
}
