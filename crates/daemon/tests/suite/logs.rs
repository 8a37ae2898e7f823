//! Logs: whole, in order, bounded, and readable while they grow.

use super::lifecycle::eventually;
use dhow_testkit::{Daemon, is_root};

#[test]
fn root_logs_have_dockers_flags() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    daemon
        .dhow(&[
            "run",
            "--name",
            "aa",
            "busybox",
            "sh",
            "-c",
            "for i in 1 2 3 4 5; do echo line $i; done; echo err >&2; printf tail",
        ])
        .ok();
    let logs = daemon.dhow(&["logs", "aa"]);
    assert_eq!(
        (logs.out.as_str(), logs.err.as_str()),
        ("line 1\nline 2\nline 3\nline 4\nline 5\ntail", "err\n")
    );
    assert_eq!(daemon.dhow(&["logs", "--tail", "1", "aa"]).out, "tail");
    let stamped = daemon.dhow(&["logs", "-t", "aa"]);
    assert!(
        stamped.ok().lines().all(|line| line.starts_with("20") && line.contains("Z ")),
        "{}",
        stamped.out
    );
    assert_eq!(
        daemon.dhow(&["logs", "--since", "1h", "--tail", "2", "aa"]).out.lines().count(),
        1,
        "one of the two is on stderr"
    );
    assert_eq!(daemon.dhow(&["logs", "--until", "1h", "aa"]).out, "");
    daemon.dhow(&["logs", "nobody"]).fails(1, "No such container: nobody");
    daemon.finish();
}

#[test]
fn root_logs_follow_over_rotation() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let options = ["--log-opt", "max-size=20k", "--log-opt", "max-file=100"];
    let script = "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done";
    daemon
        .dhow(&[&["run", "-d", "--name", "aa"], &options[..], &["busybox", "sh", "-c", script]].concat())
        .ok();
    let followed = daemon.dhow(&["logs", "-f", "aa"]);
    let wanted: Vec<String> = (0..3000).map(|i| format!("line {i}")).collect();
    assert_eq!(followed.ok().lines().collect::<Vec<_>>(), wanted);
    assert_eq!(daemon.dhow(&["logs", "aa"]).ok().lines().count(), 3000);
    daemon
        .dhow(&[
            "run",
            "-d",
            "--name",
            "small",
            "--log-opt",
            "max-size=10k",
            "--log-opt",
            "max-file=2",
            "busybox",
            "sh",
            "-c",
            script,
        ])
        .ok();
    eventually(&daemon, &["inspect", "-f", "{{.State.Status}}", "small"], |out| out == "exited");
    let kept = daemon.dhow(&["logs", "small"]);
    let kept: Vec<&str> = kept.ok().lines().collect();
    assert!(kept.len() < 600 && kept.last() == Some(&"line 2999"), "{} lines are kept", kept.len());
    daemon.finish();
}
