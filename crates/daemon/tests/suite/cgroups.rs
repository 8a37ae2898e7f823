//! Limits of running containers: `update` with every flag, and word of the OOM killer.

use super::lifecycle::eventually;
use dhow_testkit::{Daemon, is_root};
use std::path::Path;

#[test]
fn root_update_reaches_the_kernel_with_every_flag() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    daemon.dhow(&["run", "-d", "--name", "aa", "-m", "64m", "busybox", "sleep", "1000"]).ok();
    let v2 = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let says = |v1: &str, v2_file: &str| {
        let file = if v2 { v2_file } else { v1 };
        daemon.dhow(&["exec", "aa", "cat", &format!("/sys/fs/cgroup/{file}")]).ok().to_owned()
    };
    let update = |flags: &[&str]| {
        let args: Vec<&str> = ["update"].iter().chain(flags).chain(&["aa"]).copied().collect();
        daemon.dhow(&args).ok().to_owned()
    };
    // Above what memory and swap may be together until now.
    assert_eq!(update(&["--memory", "256m", "--memory-swap", "300m"]), "aa");
    assert_eq!(says("memory/memory.limit_in_bytes", "memory.max"), "268435456");
    assert_eq!(
        says("memory/memory.memsw.limit_in_bytes", "memory.swap.max"),
        if v2 { "46137344" } else { "314572800" }
    );
    update(&["--memory-reservation", "32m"]);
    assert_eq!(says("memory/memory.soft_limit_in_bytes", "memory.low"), "33554432");
    update(&["--cpu-shares", "512"]);
    assert_eq!(says("cpu/cpu.shares", "cpu.weight"), if v2 { "59" } else { "512" });
    update(&["--cpu-period", "50000", "--cpu-quota", "20000"]);
    assert_eq!(says("cpu/cpu.cfs_quota_us", "cpu.max"), if v2 { "20000 50000" } else { "20000" });
    update(&["--cpuset-cpus", "0", "--cpuset-mems", "0"]);
    assert_eq!(says("cpuset/cpuset.cpus", "cpuset.cpus"), "0");
    update(&["--pids-limit", "77"]);
    assert_eq!(says("pids/pids.max", "pids.max"), "77");
    update(&["--pids-limit", "-1"]);
    assert_eq!(says("pids/pids.max", "pids.max"), "max");
    update(&["--restart", "on-failure:3"]);
    let policy = ["inspect", "-f", "{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.CpuShares}}", "aa"];
    assert_eq!(daemon.dhow(&policy).ok(), "on-failure 512");
    // What is refused changes nothing.
    daemon.dhow(&["update", "--memory", "1m", "aa"]).fails(1, "Minimum memory limit allowed is 6MB");
    daemon
        .dhow(&["update", "--memory-swap", "100m", "aa"])
        .fails(1, "Minimum memoryswap limit should be larger");
    assert_eq!(says("memory/memory.limit_in_bytes", "memory.max"), "268435456");
    daemon.dhow(&["run", "-d", "--name", "bb", "busybox", "sleep", "1000"]).ok();
    daemon.dhow(&["update", "--cpus", "0.5", "bb"]).ok();
    let file = if v2 { "/sys/fs/cgroup/cpu.max" } else { "/sys/fs/cgroup/cpu/cpu.cfs_quota_us" };
    let half = daemon.dhow(&["exec", "bb", "cat", file]).ok().to_owned();
    assert_eq!(half, if v2 { "50000 100000" } else { "50000" });
    daemon.finish();
}

#[test]
fn root_an_oom_event_comes_while_the_container_runs() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let events = [
        "events",
        "--since",
        "1h",
        "--until",
        "0s",
        "--filter",
        "event=oom",
        "--format",
        "{{.Actor.Attributes.name}}",
    ];
    let eater = "tail /dev/zero; sleep 1000";
    let limits = ["-m", "16m", "--memory-swap", "16m"];
    daemon
        .dhow(&[&["run", "-d", "--name", "aa"], &limits[..], &["busybox", "sh", "-c", eater]].concat())
        .ok();
    // Only its child died.
    eventually(&daemon, &events, |out| out == "aa");
    assert_eq!(daemon.dhow(&["inspect", "-f", "{{.State.Status}}", "aa"]).ok(), "running");
    daemon.dhow(&["stop", "-t", "0", "aa"]).ok();
    assert_eq!(daemon.dhow(&["inspect", "-f", "{{.State.OOMKilled}}", "aa"]).ok(), "true");
    // PID 1 itself: one event, and not a second for its end.
    daemon
        .dhow(&[&["run", "--name", "bb"], &limits[..], &["busybox", "tail", "/dev/zero"]].concat())
        .fails(137, "");
    assert_eq!(
        daemon.dhow(&["inspect", "-f", "{{.State.OOMKilled}} {{.State.ExitCode}}", "bb"]).ok(),
        "true 137"
    );
    assert_eq!(daemon.dhow(&events).ok(), "aa\nbb");
    daemon.finish();
}
