//! `kill -9` of the daemon: containers run on, logs are complete, exit codes are still reported, nothing is doubled or lost.

use super::{
    held::{bridge_of, descriptors, held, no_more_descriptors, wait_held},
    lifecycle::eventually,
};
use dhow_testkit::{Daemon, is_root};
use std::{
    collections::BTreeSet,
    fs,
    hash::BuildHasher as _,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

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

/// The disk takes two seconds to sync, and what is put meanwhile is in the daemon's memory only: nobody else may have forgotten the exit code yet.
#[test]
fn root_an_exit_code_outlives_a_daemon_whose_disk_is_slow() {
    if !is_root() {
        return;
    }
    let mut daemon = Daemon::start();
    let end = "sleep 0.5; exit 42";
    daemon.dhow(&["create", "--name", "ends", "--network", "none", "busybox", "sh", "-c", end]).ok();
    let mut strace = Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_enter=2000000"])
        .args(["-p", &daemon.pid().to_string()])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(300));
    daemon.dhow(&["start", "ends"]).ok();
    eventually(&daemon, &["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "ends"], |out| {
        out == "exited 42"
    });
    // what would be tidied up is
    std::thread::sleep(Duration::from_millis(300));
    daemon.kill();
    strace.wait().unwrap();
    daemon.restart();
    let state = daemon.dhow(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "ends"]);
    assert_eq!(state.ok(), "exited 42");
    daemon.finish();
}

/// An ordinary end, with many tasks that end at the same time: none takes another's end for its container's.
#[test]
fn root_containers_run_on_when_the_daemon_is_asked_to_end() {
    if !is_root() {
        return;
    }
    let mut daemon = Daemon::start();
    let names: Vec<String> = (0..20).map(|n| format!("c{n}")).collect();
    for name in &names {
        daemon.dhow(&["run", "-d", "--network", "none", "--name", name, "busybox", "sleep", "1000"]).ok();
    }
    let pids = |daemon: &Daemon| {
        let mut words = vec!["inspect", "-f", "{{.State.Pid}}"];
        words.extend(names.iter().map(String::as_str));
        daemon.dhow(&words).ok().to_owned()
    };
    let before = pids(&daemon);
    for _ in 0..rounds(5) {
        daemon.terminate();
        daemon.restart();
        assert_eq!(pids(&daemon), before);
    }
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

fn rounds(usual: u32) -> u32 {
    std::env::var("DHOW_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Every container is there once, what ran runs, and `xx` is there if it was there before.
fn nothing_lost(daemon: &Daemon, made: bool, when: &str) {
    let names = daemon.dhow(&["ps", "-a", "--format", "{{.Names}}"]);
    let names: Vec<&str> = names.ok().lines().collect();
    let unique: BTreeSet<&&str> = names.iter().collect();
    assert_eq!(unique.len(), names.len(), "{when}: doubled in {names:?}");
    assert_eq!(daemon.dhow(&["exec", "always", "echo", "here"]).ok(), "here", "{when}");
    if made {
        let state = daemon.dhow(&["inspect", "-f", "{{.State.Status}}", "xx"]);
        assert!(["created", "running", "paused", "exited"].contains(&state.ok()), "{when}: {}", state.out);
    }
}

/// Removes whatever a round made.
fn tidy(daemon: &Daemon, project: &str) {
    daemon.dhow(&["compose", "-f", project, "-p", "xx", "down", "-v", "-t", "0"]).ok();
    let all = daemon.dhow(&["ps", "-a", "--format", "{{.Names}}"]);
    for name in all.ok().lines().filter(|name| *name != "always") {
        daemon.dhow(&["rm", "-fv", name]).ok();
    }
    for image in ["imported", "built"] {
        drop(daemon.dhow(&["rmi", "-f", image]));
    }
    daemon.dhow(&["volume", "prune", "-af"]).ok();
}

/// The daemon is killed in the middle of everything it can do. Afterwards it can be done again, and nothing is left of the first try.
#[test]
fn root_kill_in_the_middle_of_everything() {
    if !is_root() {
        return;
    }
    let mut daemon = Daemon::start();
    let bridge = bridge_of(&daemon);
    let tar = daemon.folder().join("busybox.tar").to_string_lossy().into_owned();
    let context = daemon.folder().join("context");
    fs::create_dir(&context).unwrap();
    let project = daemon.folder().join("project");
    fs::create_dir(&project).unwrap();
    fs::write(project.join("compose.yaml"), "services:\n  a:\n    image: busybox\n    command: sleep 1000\n  b:\n    image: busybox\n    command: sleep 1000\n    depends_on: [a]\n").unwrap();
    let project = project.join("compose.yaml").to_string_lossy().into_owned();
    let context_text = context.to_string_lossy().into_owned();
    daemon.dhow(&["run", "-d", "--name", "always", "busybox", "sleep", "10000"]).ok();
    daemon.dhow(&["network", "create", "other"]).ok();
    // every network has been used once: what is made on first use is there
    daemon.dhow(&["run", "--rm", "--network", "other", "busybox", "true"]).ok();
    daemon.dhow(&["volume", "prune", "-af"]).ok();
    daemon.kill();
    daemon.restart();
    std::thread::sleep(Duration::from_millis(300));
    let before = held(&daemon, &bridge);
    let fds = descriptors(&daemon);
    let actions: &[(&[&str], &[&str])] = &[
        (&[], &["create", "--name", "xx", "-v", "/data", "busybox", "true"]),
        (&["create", "--name", "xx", "-p", "80", "busybox", "sleep", "1000"], &["start", "xx"]),
        (&["run", "-d", "--name", "xx", "-p", "80", "busybox", "sleep", "1000"], &["stop", "-t", "0", "xx"]),
        (&["run", "-d", "--name", "xx", "-p", "80", "busybox", "sleep", "1000"], &["rm", "-fv", "xx"]),
        (
            &["run", "-d", "--name", "xx", "busybox", "sleep", "1000"],
            &["exec", "xx", "sh", "-c", "echo in; sleep 0.05"],
        ),
        (&["run", "-d", "--name", "xx", "busybox", "sleep", "1000"], &["restart", "-t", "0", "xx"]),
        (&["run", "-d", "--name", "xx", "busybox", "sleep", "1000"], &["network", "connect", "other", "xx"]),
        (
            &["run", "-d", "--name", "xx", "--network", "other", "busybox", "sleep", "1000"],
            &["network", "disconnect", "other", "xx"],
        ),
        (&["run", "-d", "--name", "xx", "busybox", "sleep", "1000"], &["pause", "xx"]),
        (
            &[],
            &["run", "--rm", "--name", "xx", "-v", "/data", "-p", "80", "busybox", "sh", "-c", "sleep 0.03"],
        ),
        (&[], &["import", &tar, "imported"]),
        (&[], &["build", "-t", "built", "--no-cache", &context_text]),
        (&[], &["compose", "-f", &project, "-p", "xx", "up", "-d"]),
        (&["run", "-d", "--name", "xx", "busybox", "sleep", "1000"], &["commit", "xx", "built"]),
    ];
    let random = std::collections::hash_map::RandomState::new();
    for round in 0..rounds(u32::try_from(actions.len()).unwrap()) {
        let (first, action) = actions[round as usize % actions.len()];
        let when = format!("round {round}: {action:?}");
        fs::write(
            context.join("Dockerfile"),
            format!("FROM busybox\nRUN echo {round} > /made; sleep 0.03\n"),
        )
        .unwrap();
        if !first.is_empty() {
            daemon.dhow(first).ok();
        }
        let mut child =
            daemon.dhow_command(action).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(random.hash_one(round) % 90_000));
        daemon.kill();
        child.wait().unwrap();
        daemon.restart();
        nothing_lost(&daemon, !first.is_empty() && action[0] != "rm", &when);
        let again = daemon.dhow(action);
        assert!(again.code >= 0, "{when}");
        tidy(&daemon, &project);
        wait_held(&daemon, &bridge, &before, &when);
    }
    no_more_descriptors(&daemon, fds);
    daemon.finish();
}

/// A network is there, known and whole, or nothing of it is.
#[test]
fn root_a_network_that_was_being_made_leaves_no_bridge() {
    if !is_root() {
        return;
    }
    let mut daemon = Daemon::start();
    let mark = std::process::id() & 0xfffff;
    for round in 0..rounds(20) {
        let bridge = format!("kb{mark:x}x{round}");
        let option = format!("com.docker.network.bridge.name={bridge}");
        let name = format!("half{round}");
        let mut create = daemon.dhow_command(&["network", "create", "-o", &option, &name]);
        let mut create = create.stderr(std::process::Stdio::null()).spawn().unwrap();
        let link = std::path::Path::new("/sys/class/net").join(&bridge);
        let began = std::time::Instant::now();
        // Every third time some while after the request, else as soon as there is a bridge.
        let after = std::time::Duration::from_micros(500 * u64::from(round));
        while !link.exists() && (round % 3 != 0 || began.elapsed() < after) {
            assert!(began.elapsed() < std::time::Duration::from_secs(20), "no bridge");
        }
        daemon.kill();
        create.wait().unwrap();
        daemon.restart();
        let known =
            daemon.dhow(&["network", "ls", "--format", "{{.Name}}"]).ok().lines().any(|it| it == name);
        assert_eq!(link.exists(), known, "round {round}: {bridge}");
        if known {
            daemon.dhow(&["network", "rm", &name]).ok();
        }
        assert!(!link.exists(), "round {round}: {bridge} stays");
    }
    daemon.finish();
}

fn parent_of(pid: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim().to_owned()
}

/// The shim is killed, while the daemon looks and while it does not.
#[test]
fn root_a_killed_shim_is_an_end_with_137() {
    if !is_root() {
        return;
    }
    let mut daemon = Daemon::start();
    let bridge = bridge_of(&daemon);
    daemon.dhow(&["run", "--rm", "busybox", "true"]).ok();
    std::thread::sleep(Duration::from_millis(300));
    let before = held(&daemon, &bridge);
    for round in 0..6 {
        daemon
            .dhow(&[
                "run",
                "-d",
                "--name",
                "xx",
                "-p",
                "80",
                "busybox",
                "sh",
                "-c",
                "echo said; sleep 1000 & sleep 1000",
            ])
            .ok();
        eventually(&daemon, &["logs", "xx"], |out| out == "said");
        let pid = daemon.dhow(&["inspect", "-f", "{{.State.Pid}}", "xx"]).ok().to_owned();
        let shim = parent_of(&pid);
        let kill = || assert!(Command::new("kill").args(["-9", &shim]).status().unwrap().success());
        match round % 3 {
            0 => kill(),
            1 => {
                daemon.kill();
                kill();
                daemon.restart();
            }
            _ => {
                kill();
                daemon.kill();
                daemon.restart();
            }
        }
        let state = eventually(
            &daemon,
            &["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}} {{.State.Pid}}", "xx"],
            |out| out.starts_with("exited"),
        );
        assert_eq!(state, "exited 137 0", "round {round}");
        assert_eq!(daemon.dhow(&["logs", "xx"]).ok(), "said");
        assert_eq!(daemon.dhow(&["start", "xx"]).ok(), "xx", "round {round}: it can be started again");
        daemon.dhow(&["rm", "-f", "xx"]).ok();
        wait_held(&daemon, &bridge, &before, &format!("round {round}"));
        let gone = Instant::now();
        // its processes died with it; whoever takes orphans on this machine reaps them
        while fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|text| !text.contains("State:\tZ"))
        {
            assert!(gone.elapsed() < Duration::from_secs(5), "round {round}: {pid} lives");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    daemon.finish();
}

/// Each step of a start fails once: one sentence that names the thing, and the machine is as it was.
#[test]
fn root_a_failed_start_leaves_the_machine_as_it_was() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let bridge = bridge_of(&daemon);
    daemon.dhow(&["run", "-d", "--name", "holder", "-p", "80", "busybox", "sleep", "1000"]).ok();
    let taken = daemon.dhow(&["port", "holder", "80"]).ok().lines().next().unwrap().to_owned();
    let taken = taken.rsplit(':').next().unwrap().to_owned();
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let hosts = listener.local_addr().unwrap().port().to_string();
    daemon.dhow(&["run", "--rm", "-p", "80", "busybox", "true"]).ok();
    std::thread::sleep(Duration::from_millis(300));
    let before = held(&daemon, &bridge);
    let fds = descriptors(&daemon);
    let (taken, hosts) = (format!("{taken}:80"), format!("{hosts}:80"));
    let cases: &[(&[&str], &str)] = &[
        (&["--mount", "type=bind,source=/no/such/thing,target=/x", "busybox"], "/no/such/thing"),
        (&["-u", "stranger", "busybox"], "stranger"),
        (&["-w", "/bin/busybox", "busybox"], "/bin/busybox"),
        (&["busybox", "no-such-program"], "no-such-program"),
        (&["-p", "80", "busybox", "/etc"], "/etc"),
        (&["-p", &taken, "busybox"], "port is already allocated"),
        (&["-p", &hosts, "busybox"], "address already in use"),
        (&["-p", "81", "-p", &hosts, "busybox"], "address already in use"),
        (&["--device", "/dev/no-such", "busybox"], "/dev/no-such"),
        (&["--sysctl", "net.ipv4.no_such=1", "busybox"], "no_such"),
        (&["--sysctl", "net.ipv4.ip_forward=many", "busybox"], "ip_forward"),
        (&["--cpuset-cpus", "4000", "busybox"], "Requested CPUs are not available"),
        (&["--tmpfs", "/x:size=lots", "busybox"], "tmpfs"),
        (&["-v", "/etc/hostname:/etc", "busybox"], "/etc"),
        (&["-v", "/tmp:/proc/sys", "busybox"], "inside /proc"),
        (&["--network", "nowhere", "busybox"], "nowhere"),
        (&["--network", "container:nobody", "busybox"], "nobody"),
        (&["--cgroup-parent", "../up", "busybox"], "cgroup"),
        (&["--memory", "1k", "busybox"], "6MB"),
        (&["--entrypoint", "/etc/passwd", "-p", "82", "-v", "/data", "busybox"], "/etc/passwd"),
    ];
    for (args, says) in cases {
        for detached in [&["run", "--rm"][..], &["run", "-d", "--name", "failing"]] {
            let ran = daemon.dhow(&[detached, args].concat());
            assert!((125..=127).contains(&ran.code), "{}: {} {}{}", ran.command, ran.code, ran.out, ran.err);
            assert!(ran.err.contains(says), "{}: {}", ran.command, ran.err);
            drop(daemon.dhow(&["rm", "-fv", "failing"]));
            wait_held(&daemon, &bridge, &before, &ran.command);
        }
    }
    no_more_descriptors(&daemon, fds);
    assert_eq!(daemon.dhow(&["exec", "holder", "echo", "here"]).ok(), "here");
    daemon.finish();
}
