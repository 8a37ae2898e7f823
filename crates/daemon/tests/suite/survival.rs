//! `kill -9` of the daemon: containers run on, logs are complete, exit codes are still reported, nothing is doubled or lost.

use super::lifecycle::eventually;
use dhow_testkit::{Daemon, is_root};

#[test]
fn root_containers_outlive_the_daemon() {
    if !is_root() {
        return;
    }
    let mut daemon = Daemon::start();
    let count = "i=0; while true; do echo $i; i=$((i+1)); usleep 20000; done";
    daemon.dhow(&["run", "-d", "--name", "counter", "-p", "80", "busybox", "sh", "-c", count]).ok();
    daemon
        .dhow(&["run", "-d", "--name", "ends", "busybox", "sh", "-c", "sleep 1; echo last words; exit 42"])
        .ok();
    daemon.dhow(&["run", "-d", "--name", "stays", "--network", "none", "busybox", "sleep", "1000"]).ok();
    let pid = daemon.dhow(&["inspect", "-f", "{{.State.Pid}}", "counter"]).ok().to_owned();
    daemon.kill();
    std::thread::sleep(std::time::Duration::from_millis(1500));
    daemon.restart();
    assert_eq!(
        daemon.dhow(&["inspect", "-f", "{{.State.Status}} {{.State.Pid}}", "counter"]).ok(),
        format!("running {pid}")
    );
    assert_eq!(
        daemon.dhow(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "ends"]).ok(),
        "exited 42"
    );
    assert_eq!(daemon.dhow(&["logs", "ends"]).ok(), "last words");
    assert_eq!(daemon.dhow(&["exec", "stays", "echo", "here"]).ok(), "here");
    daemon.dhow(&["stop", "-t", "0", "counter"]).ok();
    let logs = daemon.dhow(&["logs", "counter"]);
    let lines: Vec<usize> = logs.ok().lines().map(|line| line.parse().unwrap()).collect();
    assert!(lines.len() > 60, "{} lines", lines.len());
    assert!(lines.iter().copied().eq(0..lines.len()), "a line is missing or doubled");
    daemon.finish();
}

#[test]
fn root_kill_at_random_moments_loses_nothing() {
    if !is_root() {
        return;
    }
    let rounds: u32 = std::env::var("DHOW_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(12);
    let mut daemon = Daemon::start();
    let mut random = std::collections::hash_map::RandomState::new();
    daemon.dhow(&["run", "-d", "--name", "always", "--restart", "always", "busybox", "sleep", "10000"]).ok();
    for round in 0..rounds {
        let name = format!("r{round}");
        let mut child = daemon
            .dhow_command(&[
                "run",
                "-d",
                "--name",
                &name,
                "busybox",
                "sh",
                "-c",
                "echo begun; sleep 0.05; echo ended",
            ])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let moment = std::hash::BuildHasher::hash_one(&random, round) % 60_000;
        std::thread::sleep(std::time::Duration::from_micros(moment));
        daemon.kill();
        child.wait().unwrap();
        random = std::collections::hash_map::RandomState::new();
        daemon.restart();
        let found = daemon
            .dhow(&["ps", "-a", "--filter", &format!("name=^{name}$"), "--format", "{{.Names}}"])
            .ok()
            .to_owned();
        assert!(found.is_empty() || found == name, "round {round}: {found:?} is doubled");
        if found == name {
            let state = eventually(
                &daemon,
                &["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", &name],
                |out| !out.starts_with("running"),
            );
            assert!(
                ["exited 0", "exited 137", "created 0", "exited 128", "created 128"]
                    .contains(&state.as_str()),
                "round {round}: {state}"
            );
            if state == "exited 0" {
                assert_eq!(daemon.dhow(&["logs", &name]).ok(), "begun\nended", "round {round}");
            }
            daemon.dhow(&["rm", "-f", &name]).ok();
        }
        assert_eq!(daemon.dhow(&["ps", "--format", "{{.Names}}"]).ok(), "always", "round {round}");
    }
    daemon.finish();
}
