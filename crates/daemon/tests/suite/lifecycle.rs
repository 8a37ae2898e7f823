//! create, start, stop, kill, restart, pause, rename, wait, update, rm, prune, exec, restart policies, health.

use dhow_testkit::{Daemon, is_root};
use std::time::{Duration, Instant};

/// Waits until the command's output is as wanted: for what settles after a moment.
#[track_caller]
pub(super) fn eventually(daemon: &Daemon, args: &[&str], wanted: impl Fn(&str) -> bool) -> String {
    let began = Instant::now();
    loop {
        let ran = daemon.dhow(args);
        if wanted(ran.out.trim_end()) {
            return ran.out.trim_end().to_owned();
        }
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{}\nstays {:?} {:?}",
            ran.command,
            ran.out,
            ran.err
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn root_a_container_goes_through_its_states() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let state = |name: &str| {
        daemon.dhow(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", name]).ok().to_owned()
    };
    let id = daemon.dhow(&["create", "--name", "a", "busybox", "sleep", "1000"]).ok().to_owned();
    assert_eq!(id.len(), 64);
    assert_eq!(state("a"), "created 0");
    assert_eq!(daemon.dhow(&["start", "a"]).ok(), "a");
    assert_eq!(state("a"), "running 0");
    assert_eq!(daemon.dhow(&["ps", "--format", "{{.Names}} {{.State}}"]).ok(), "a running");
    daemon.dhow(&["pause", "a"]).ok();
    assert_eq!(state("a"), "paused 0");
    daemon.dhow(&["exec", "a", "true"]).fails(1, "is paused");
    daemon.dhow(&["unpause", "a"]).ok();
    assert_eq!(daemon.dhow(&["rename", "a", "b"]).code, 0);
    assert_eq!(daemon.dhow(&["kill", "-s", "KILL", "b"]).ok(), "b");
    assert_eq!(daemon.dhow(&["wait", "b"]).ok(), "137");
    assert_eq!(state("b"), "exited 137");
    assert_eq!(daemon.dhow(&["restart", "-t", "0", "b"]).ok(), "b");
    daemon.dhow(&["rm", "b"]).fails(1, "container is running");
    let began = Instant::now();
    assert_eq!(
        daemon.dhow(&["stop", "-t", "1", "b"]).ok(),
        "b",
        "sleep as PID 1 ignores SIGTERM: killed after a second"
    );
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(daemon.dhow(&["rm", "b"]).ok(), "b");
    daemon.dhow(&["inspect", "b"]).fails(1, "No such object: b");
    daemon.finish();
}

#[test]
fn root_exec_has_its_own_exit_code_and_streams() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    daemon.dhow(&["run", "-d", "--name", "a", "-e", "X=1", "busybox", "sleep", "1000"]).ok();
    assert_eq!(daemon.dhow(&["exec", "a", "sh", "-c", "echo $X; ps | grep -c 'sleep 1000'"]).ok(), "1\n2");
    daemon.dhow(&["exec", "a", "sh", "-c", "echo no >&2; exit 9"]).fails(9, "no");
    daemon.dhow(&["exec", "a", "nothing-here"]).fails(127, "executable file not found");
    assert_eq!(
        daemon
            .dhow(&["exec", "-u", "app", "-w", "/tmp", "-e", "Y=2", "a", "sh", "-c", "id -u; pwd; echo $Y"])
            .ok(),
        "1000\n/tmp\n2"
    );
    daemon.dhow(&["exec", "-d", "a", "sh", "-c", "echo done > /tmp/mark"]).ok();
    eventually(&daemon, &["exec", "a", "cat", "/tmp/mark"], |out| out == "done");
    daemon.dhow(&["stop", "-t", "0", "a"]).ok();
    daemon.dhow(&["exec", "a", "true"]).fails(1, "is not running");
    daemon.finish();
}

#[test]
fn root_restart_policies_and_health() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    daemon
        .dhow(&["run", "-d", "--name", "flaky", "--restart", "on-failure:2", "busybox", "false"])
        .ok()
        .to_owned();
    eventually(&daemon, &["inspect", "-f", "{{.State.Status}} {{.RestartCount}}", "flaky"], |out| {
        out == "exited 2"
    });
    let probe = ["--health-cmd", "test -e /tmp/ok", "--health-interval", "100ms", "--health-retries", "2"];
    daemon
        .dhow(&[&["run", "-d", "--name", "well"], &probe[..], &["busybox", "sleep", "1000"]].concat())
        .ok()
        .to_owned();
    let health = ["inspect", "-f", "{{.State.Health.Status}}", "well"];
    eventually(&daemon, &health, |out| out == "unhealthy");
    daemon.dhow(&["exec", "well", "touch", "/tmp/ok"]).ok();
    eventually(&daemon, &health, |out| out == "healthy");
    assert!(daemon.dhow(&["ps", "--format", "{{.Status}}"]).ok().contains("(healthy)"));
    daemon.finish();
}

#[test]
fn root_update_top_stats_and_prune() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    daemon.dhow(&["run", "-d", "--name", "a", "--memory", "64m", "busybox", "sleep", "1000"]).ok();
    daemon.dhow(&["update", "--memory", "32m", "--memory-swap", "32m", "a"]).ok();
    assert_eq!(daemon.dhow(&["inspect", "-f", "{{.HostConfig.Memory}}", "a"]).ok(), "33554432");
    assert!(daemon.dhow(&["top", "a"]).ok().contains("sleep 1000"));
    assert!(
        daemon
            .dhow(&["stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}", "a"])
            .ok()
            .contains("/ 32MiB")
    );
    daemon.dhow(&["run", "--name", "gone", "busybox", "true"]).ok();
    let pruned = daemon.dhow(&["container", "prune", "-f"]);
    assert!(pruned.ok().contains("Deleted Containers:"), "{}", pruned.out);
    assert_eq!(daemon.dhow(&["ps", "-a", "--format", "{{.Names}}"]).ok(), "a");
    daemon.finish();
}
