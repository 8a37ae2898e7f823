//! The scenarios on our runtime, and on the machine's runc: they are believed only where runc passes them, or is known to be wrong.
#![allow(clippy::unwrap_used, reason = "a test")]

use dhow_testkit::{is_root, program};
use std::process::{Command, Output};

fn conform(args: &[&str]) -> Output {
    Command::new(program("dhow-conform")).args(args).output().unwrap()
}

/// All that did not go as expected.
fn judged(args: &[&str]) {
    let output = conform(args);
    let text = String::from_utf8_lossy(&output.stdout);
    let bad: Vec<&str> = text.lines().filter(|line| line.starts_with("FAIL")).collect();
    let summary = text.lines().find(|line| line.contains(" passed, ")).unwrap_or_default();
    assert!(
        output.status.success(),
        "{summary}\n{}\n{}",
        bad.join("\n"),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(!summary.starts_with("0 passed"), "{summary}");
}

#[test]
fn root_every_scenario_passes_on_ours() {
    if is_root() {
        let runtime = program("dhow-runtime");
        judged(&["--runtime", runtime.to_str().unwrap(), "--differences", "dhow"]);
    }
}

#[test]
fn root_runc_differs_only_where_it_is_written_down() {
    let version = Command::new("runc").arg("--version").output();
    let version = version.map(|out| String::from_utf8_lossy(&out.stdout).into_owned()).unwrap_or_default();
    if is_root() && version.starts_with("runc version 1.1.5") {
        // one scenario of each file: all of them take a minute with this runtime
        judged(&[
            "--runtime",
            "runc",
            "--differences",
            "runc",
            "state.",
            "kill.",
            "user.",
            "capabilities.",
            "terminal.",
            "masked.",
            "devices.",
            "cpu.",
            "update.pids",
            "seccomp.args",
            "exec.process",
            "run.",
            "hooks.order",
        ]);
    }
}

/// The tables of the page are the program's.
#[test]
fn the_page_is_current() {
    // Of the checkout that is tested; another checkout may have compiled this test.
    let package = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").into());
    let page = std::fs::read_to_string(format!("{package}/../../docs/conformance.md")).unwrap();
    let output = conform(&["table"]);
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(table.contains("| section | scenarios |"), "{table}");
    assert!(
        page.contains(&*table),
        "replace the tables of docs/conformance.md by what `dhow-conform table` prints:\n{table}"
    );
}

/// Nothing passes that does nothing.
#[test]
fn root_a_program_that_only_succeeds_does_not_pass() {
    if is_root() {
        let output = conform(&["--runtime", "/bin/true", "--differences", "dhow", "state.", "start."]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success());
        assert!(text.contains("\n0 passed, "), "{text}");
    }
}
