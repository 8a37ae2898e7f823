//! Additional processes: what they and health probes leave behind.

use dhow_testkit::{Daemon, is_root};
use std::{
    fs,
    time::{Duration, Instant},
};

/// The states and names of all processes in the pid namespace of a process.
fn inside(pid: &str) -> Vec<(char, String)> {
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let own = namespace(pid);
    let process = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().ok().filter(|name| name.parse::<u32>().is_ok())?;
        let status = fs::read_to_string(entry.path().join("status")).ok()?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let state = field("State:")?.chars().next()?;
        // A zombie has no namespaces any more: its parent's tell.
        let same = namespace(&name) == own || (state == 'Z' && namespace(field("PPid:")?) == own);
        same.then(|| (state, field("Name:").unwrap_or_default().to_owned()))
    };
    fs::read_dir("/proc").unwrap().flatten().filter_map(process).collect()
}

/// The process between the shim and an exec.
fn reaper_in(pid: &str) -> String {
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let is_one = |pid: &str| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name.trim() == "dhow-exec" && namespace(pid).is_some()
    };
    let mut all =
        fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    all.find(|other| is_one(other) && namespace(other) == namespace(pid)).unwrap()
}

fn until(what: &str, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn root_execs_and_probes_leave_nothing_under_a_pid_1_that_never_reaps() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    // each probe leaves a child of its group and one that leads a session of its own, and never ends
    let probe = "sleep 1000 & setsid sh -c 'sleep 1000 & sleep 1000' & sleep 1000";
    let health = ["--health-cmd", probe, "--health-interval", "100ms", "--health-timeout", "300ms"];
    let run = [&["run", "-d", "--name", "deaf"], &health[..], &["busybox", "sleep", "100000"]].concat();
    daemon.dhow(&run).ok();
    let pid = daemon.dhow(&["inspect", "-f", "{{.State.Pid}}", "deaf"]).ok().to_owned();
    let streak = || -> u32 {
        daemon.dhow(&["inspect", "-f", "{{.State.Health.FailingStreak}}", "deaf"]).ok().parse().unwrap()
    };
    until("probes time out", || streak() >= 5);
    // what they leave is killed with them: never more than the probe of this moment
    let names = inside(&pid);
    assert!(names.len() <= 8, "{names:?}");
    let events =
        daemon.dhow(&["events", "--since", "1h", "--until", "0s", "--format", "{{.Action}}"]).ok().to_owned();
    for action in ["exec_create: /bin/sh -c", "exec_start: /bin/sh -c", "exec_die"] {
        assert!(events.lines().any(|line| line.starts_with(action)), "{action}: {events}");
    }
    daemon.dhow(&["rm", "-f", "deaf"]).ok();

    // orphans of an exec that has ended live on, as docker's do, and are collected when they end
    daemon.dhow(&["run", "-d", "--name", "deaf", "busybox", "sleep", "100000"]).ok();
    let pid = daemon.dhow(&["inspect", "-f", "{{.State.Pid}}", "deaf"]).ok().to_owned();
    for n in 0..5 {
        let ended = daemon.dhow(&["exec", "deaf", "sh", "-c", "(sleep 0.3 &) ; (sleep 0.2 &) ; exit 3"]);
        assert_eq!(ended.code, 3, "{n}");
    }
    daemon.dhow(&["exec", "-d", "deaf", "sh", "-c", "sleep 0.1 & (sleep 77 &) ; exec sleep 0.2"]).ok();
    let sleepers =
        || inside(&pid).into_iter().map(|(state, name)| format!("{state} {name}")).collect::<Vec<_>>();
    until("only what still runs is left", || {
        let mut left = sleepers();
        left.sort();
        left == ["S dhow-exec", "S sleep", "S sleep"]
    });
    let reaper = reaper_in(&pid);
    let status = fs::read_to_string(format!("/proc/{reaper}/status")).unwrap();
    for set in ["CapPrm:\t0000000000000000", "CapEff:\t0000000000000000"] {
        assert!(status.contains(set), "{status}");
    }
    assert_eq!(fs::read_dir(format!("/proc/{reaper}/fd")).unwrap().count(), 1, "only the pipe");
    for namespace in ["mnt", "net", "pid", "ipc", "uts", "cgroup"] {
        let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/{namespace}")).unwrap();
        assert_eq!(of(&reaper), of(&pid), "{namespace}");
    }
    // the reaper is nobody to the container's limits and to `top`
    assert_eq!(daemon.dhow(&["top", "deaf"]).ok().lines().count(), 3);
    // whoever kills everything, reapers too, goes on; whom they would have collected is PID 1's then
    let killer = daemon.dhow(&["exec", "deaf", "sh", "-c", "kill -9 -1; sleep 0.1; echo on"]);
    assert_eq!(killer.out.trim(), "on", "{killer:?}");
    until("nothing but PID 1 runs", || sleepers().iter().filter(|it| !it.starts_with('Z')).eq(["S sleep"]));
    assert_eq!(daemon.dhow(&["stop", "-t", "0", "deaf"]).code, 0);
    daemon.finish();
}

/// Every container has a session keyring of its own, and its further processes are in that one.
#[test]
fn root_every_container_has_its_own_keyring() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    // of the keys that one may see here: the ring of the session, by its serial number
    let rings = |keys: &str, id: &str| {
        let ours = keys.lines().filter(|line| line.contains(&format!("_ses.{id}")));
        ours.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mut all = Vec::new();
    for name in ["one", "two"] {
        let keep = "cat /proc/keys; exec sleep 1000";
        let run = ["run", "-d", "--privileged", "--name", name, "busybox", "sh", "-c", keep];
        let id = daemon.dhow(&run).ok().to_owned();
        until("it has looked", || daemon.dhow(&["logs", name]).out.contains("_ses."));
        let own = rings(&daemon.dhow(&["logs", name]).out, &id);
        let further = daemon.dhow(&["exec", name, "cat", "/proc/keys"]);
        assert!(own.len() == 1 && own == rings(further.ok(), &id), "{own:?} {further:?}");
        all.extend(own);
    }
    assert_ne!(all[0], all[1]);
    daemon.finish();
}

/// The parent of a container's first process.
fn shim_of(daemon: &Daemon, name: &str) -> String {
    let pid = daemon.dhow(&["inspect", "-f", "{{.State.Pid}}", name]).ok().to_owned();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim().to_owned()
}

#[test]
fn root_a_stopped_shim_is_no_obstacle_to_an_end() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    for end in [&["kill"][..], &["rm", "-f"], &["stop", "-t", "1"]] {
        daemon.dhow(&["run", "-d", "--name", "stuck", "busybox", "sleep", "1000"]).ok();
        let shim = shim_of(&daemon, "stuck");
        assert!(std::process::Command::new("kill").args(["-STOP", &shim]).status().unwrap().success());
        let began = Instant::now();
        daemon.dhow(&[end, &["stuck"]].concat()).ok();
        assert!(began.elapsed() < Duration::from_secs(15), "{end:?} took {:?}", began.elapsed());
        until("it ends", || {
            !daemon
                .dhow(&["ps", "-q", "--filter", "name=stuck"])
                .ok()
                .contains(|c: char| c.is_ascii_hexdigit())
        });
        let _ended = daemon.dhow(&["rm", "-f", "stuck"]);
    }
    daemon.finish();
}
