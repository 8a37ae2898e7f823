//! create, start, stop, kill, restart, pause, rename, wait, update, rm, prune, exec, restart policies, health.

use dhow_testkit::{Daemon, is_root};
use std::time::{Duration, Instant};

/// Waits until the command's output is as wanted: for what settles after a moment.
#[track_caller]
pub(super) fn eventually(daemon: &Daemon, args: &[&str], wanted: impl Fn(&str) -> bool) -> String {
    let began = Instant::now();
    // an emulated processor takes its time
    let patience = if std::env::var_os("DHOW_EMULATED").is_some() { 120 } else { 20 };
    loop {
        let ran = daemon.dhow(args);
        if wanted(ran.out.trim_end()) {
            return ran.out.trim_end().to_owned();
        }
        assert!(
            began.elapsed() < Duration::from_secs(patience),
            "{}\nstays {:?} {:?}",
            ran.command,
            ran.out,
            ran.err
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A start is prepared when a container is created. Who never starts it, removes it, or loses the daemon meanwhile, finds nothing left.
#[test]
fn root_what_was_prepared_for_a_start_goes_when_none_comes() {
    if !is_root() {
        return;
    }
    let mut daemon = Daemon::start();
    let shims = |daemon: &Daemon| {
        let folder = daemon.folder().join("run/shims");
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>()
    };
    let none_soon = |daemon: &Daemon, when: &str| {
        let began = Instant::now();
        while !shims(daemon).is_empty() {
            assert!(began.elapsed() < Duration::from_secs(20), "{when}: {:?}", shims(daemon));
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let id = daemon.dhow(&["create", "--name", "late", "busybox", "true"]).ok().to_owned();
    let began = Instant::now();
    while shims(&daemon).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(20), "nothing was prepared");
    }
    assert_eq!(shims(&daemon), [id.as_str()]);
    none_soon(&daemon, "the time is over");
    assert_eq!(daemon.dhow(&["start", "-a", "late"]).code, 0, "and it starts all the same");

    daemon.dhow(&["create", "--name", "gone", "busybox", "true"]).ok();
    daemon.dhow(&["rm", "gone"]).ok();
    none_soon(&daemon, "it was removed");

    daemon.dhow(&["create", "--name", "orphan", "busybox", "true"]).ok();
    daemon.kill();
    daemon.restart();
    none_soon(&daemon, "the daemon was killed");
    assert_eq!(daemon.dhow(&["start", "-a", "orphan"]).code, 0);
    daemon.dhow(&["create", "busybox", "true"]).ok();
    daemon.finish();
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
    let id = daemon.dhow(&["create", "--name", "aa", "busybox", "sleep", "1000"]).ok().to_owned();
    assert_eq!(id.len(), 64);
    assert_eq!(state("aa"), "created 0");
    assert_eq!(daemon.dhow(&["start", "aa"]).ok(), "aa");
    assert_eq!(state("aa"), "running 0");
    assert_eq!(daemon.dhow(&["ps", "--format", "{{.Names}} {{.State}}"]).ok(), "aa running");
    daemon.dhow(&["pause", "aa"]).ok();
    assert_eq!(state("aa"), "paused 0");
    daemon.dhow(&["exec", "aa", "true"]).fails(1, "is paused");
    daemon.dhow(&["unpause", "aa"]).ok();
    assert_eq!(daemon.dhow(&["rename", "aa", "bb"]).code, 0);
    assert_eq!(daemon.dhow(&["kill", "-s", "KILL", "bb"]).ok(), "bb");
    assert_eq!(daemon.dhow(&["wait", "bb"]).ok(), "137");
    assert_eq!(state("bb"), "exited 137");
    assert_eq!(daemon.dhow(&["restart", "-t", "0", "bb"]).ok(), "bb");
    daemon.dhow(&["rm", "bb"]).fails(1, "container is running");
    let began = Instant::now();
    assert_eq!(
        daemon.dhow(&["stop", "-t", "1", "bb"]).ok(),
        "bb",
        "sleep as PID 1 ignores SIGTERM: killed after a second"
    );
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(daemon.dhow(&["rm", "bb"]).ok(), "bb");
    daemon.dhow(&["inspect", "bb"]).fails(1, "No such object: bb");
    daemon.finish();
}

#[test]
fn root_exec_has_its_own_exit_code_and_streams() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    daemon.dhow(&["run", "-d", "--name", "aa", "-e", "X=1", "busybox", "sleep", "1000"]).ok();
    assert_eq!(daemon.dhow(&["exec", "aa", "sh", "-c", "echo $X; ps | grep -c '[s]leep 1000'"]).ok(), "1\n1");
    daemon.dhow(&["exec", "aa", "sh", "-c", "echo no >&2; exit 9"]).fails(9, "no");
    let missing = daemon.dhow(&["exec", "aa", "nothing-here"]);
    missing.fails(127, "");
    assert!(missing.out.contains("\"nothing-here\": executable file not found in $PATH"), "{}", missing.out);
    assert_eq!(
        daemon
            .dhow(&["exec", "-u", "app", "-w", "/tmp", "-e", "Y=2", "aa", "sh", "-c", "id -u; pwd; echo $Y"])
            .ok(),
        "1000\n/tmp\n2"
    );
    daemon.dhow(&["exec", "-d", "aa", "sh", "-c", "echo done > /tmp/mark"]).ok();
    eventually(&daemon, &["exec", "aa", "cat", "/tmp/mark"], |out| out == "done");
    daemon.dhow(&["stop", "-t", "0", "aa"]).ok();
    daemon.dhow(&["exec", "aa", "true"]).fails(1, "is not running");
    daemon.finish();
}

#[test]
fn root_restart_policies_and_health() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    daemon.dhow(&["run", "-d", "--name", "flaky", "--restart", "on-failure:2", "busybox", "false"]).ok();
    eventually(&daemon, &["inspect", "-f", "{{.State.Status}} {{.RestartCount}}", "flaky"], |out| {
        out == "exited 2"
    });
    let probe = ["--health-cmd", "test -e /tmp/ok", "--health-interval", "100ms", "--health-retries", "2"];
    daemon.dhow(&[&["run", "-d", "--name", "well"], &probe[..], &["busybox", "sleep", "1000"]].concat()).ok();
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
    daemon.dhow(&["run", "-d", "--name", "aa", "--memory", "64m", "busybox", "sleep", "1000"]).ok();
    daemon.dhow(&["update", "--memory", "32m", "--memory-swap", "32m", "aa"]).ok();
    assert_eq!(daemon.dhow(&["inspect", "-f", "{{.HostConfig.Memory}}", "aa"]).ok(), "33554432");
    assert!(daemon.dhow(&["top", "aa"]).ok().contains("sleep 1000"));
    assert!(
        daemon
            .dhow(&["stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}", "aa"])
            .ok()
            .contains("/ 32MiB")
    );
    daemon.dhow(&["run", "--name", "gone", "busybox", "true"]).ok();
    let pruned = daemon.dhow(&["container", "prune", "-f"]);
    assert!(pruned.ok().contains("Deleted Containers:"), "{}", pruned.out);
    assert_eq!(daemon.dhow(&["ps", "-a", "--format", "{{.Names}}"]).ok(), "aa");
    daemon.finish();
}
