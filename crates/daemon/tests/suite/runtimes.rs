//! Containers that another OCI runtime makes and runs: upstairs they are like any other.

use dhow_testkit::{Daemon, is_root};
use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    process::Stdio,
    sync::OnceLock,
    time::{Duration, Instant},
};

/// Two programs that many machines have, and ours with their command line.
const RUNTIMES: [&str; 3] = ["runc", "crun", "dhow-runtime"];

/// A daemon whose default is that runtime; `None` where there is no root.
fn with_default(runtime: &str) -> Option<Daemon> {
    if !is_root() {
        return None;
    }
    if runtime == "dhow-runtime" {
        let added = format!("{runtime}={}", dhow_testkit::program(runtime).display());
        return Some(Daemon::start_with(&["--add-runtime", &added, "--default-runtime", runtime]));
    }
    let hybrid = fs::read_to_string("/sys/fs/cgroup/unified/cgroup.controllers");
    if runtime != "crun" || hybrid.is_ok_and(|controllers| controllers.trim().is_empty()) {
        return Some(Daemon::start_with(&["--runtime", runtime]));
    }
    let added = format!("crun={}", crun_alone());
    Some(Daemon::start_with(&["--add-runtime", &added, "--default-runtime", "crun"]))
}

/// crun refuses a machine whose v2 hierarchy beside v1 has controllers: here it does not get to see it.
fn crun_alone() -> &'static str {
    static WRITTEN: OnceLock<()> = OnceLock::new();
    const WRAPPER: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/crun-alone");
    WRITTEN.get_or_init(|| {
        let inside = "umount /sys/fs/cgroup/unified; exec crun \"$@\"";
        fs::write(WRAPPER, format!("#!/bin/sh\nexec unshare -m sh -c '{inside}' crun \"$@\"\n")).unwrap();
        fs::set_permissions(WRAPPER, fs::Permissions::from_mode(0o755)).unwrap();
    });
    WRAPPER
}

/// Nothing of a container is left: no process, no state of the runtime, no mount, no cgroup (the rest [`Daemon::finish`] looks at).
fn nothing_of(daemon: &Daemon, id: &str) {
    let began = Instant::now();
    loop {
        let left = dhow_testkit::Leftovers::of(&[id]);
        let folder = daemon.folder().join("run/shims").join(id);
        if left.is_empty() && !folder.exists() {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{left:?} {}", folder.exists());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn root_other_runtimes_run_and_exit() {
    for runtime in RUNTIMES {
        let Some(daemon) = with_default(runtime) else { return };
        let info =
            daemon.dhow(&["info", "--format", "{{.DefaultRuntime}} {{json .Runtimes}}"]).ok().to_owned();
        assert!(info.starts_with(&format!("{runtime} ")) && info.contains("dhow-shim"), "{info}");
        assert_eq!(daemon.dhow(&["run", "--rm", "busybox", "echo", "hello"]).ok(), "hello", "{runtime}");
        assert_eq!(daemon.dhow(&["run", "--rm", "busybox", "sh", "-c", "exit 42"]).code, 42);
        daemon.dhow(&["run", "--rm", "busybox", "/nope"]).fails(127, "OCI runtime create failed");
        daemon.dhow(&["run", "--rm", "busybox", "/etc/hostname"]).fails(126, "OCI runtime create failed");
        daemon
            .dhow(&["run", "--rm", "--runtime", "kata", "busybox"])
            .fails(125, "unknown or invalid runtime name: kata");
        // our own beside it
        let own = daemon.dhow(&["run", "--rm", "--runtime", "dhow", "busybox", "cat", "/proc/1/comm"]);
        assert_eq!(own.ok(), "cat");
        // a terminal, and what comes in
        let tty = daemon.dhow(&["run", "--rm", "-t", "busybox", "tty"]);
        assert_eq!(tty.ok().trim(), "/dev/pts/0");
        let mut cat = daemon
            .dhow_command(&["run", "--rm", "-i", "busybox", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        cat.stdin.take().unwrap().write_all(b"typed\n").unwrap();
        assert_eq!(cat.wait_with_output().unwrap().stdout, b"typed\n");
        daemon.finish();
    }
}

#[test]
fn root_other_runtimes_exec_signal_and_pause() {
    for runtime in RUNTIMES {
        let Some(daemon) = with_default(runtime) else { return };
        let sleeper = "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.1; done";
        let id = daemon.dhow(&["run", "-d", "--name", "cc", "busybox", "sh", "-c", sleeper]).ok().to_owned();
        // exec: streams, code, user, terminal, detached; what is not there
        let both =
            daemon.dhow(&["exec", "-u", "1:2", "-e", "A=b", "cc", "sh", "-c", "id -u; echo $A >&2; exit 5"]);
        assert_eq!((both.code, both.out.trim(), both.err.trim()), (5, "1", "b"), "{runtime}");
        assert_eq!(daemon.dhow(&["exec", "-t", "cc", "tty"]).ok().trim(), "/dev/pts/0");
        let missing = daemon.dhow(&["exec", "cc", "nope"]);
        assert_eq!(missing.code, 127, "{missing:?}");
        assert!(missing.out.contains("OCI runtime exec failed"), "{missing:?}");
        daemon.dhow(&["exec", "-d", "cc", "touch", "/detached"]).ok();
        until(|| daemon.dhow(&["exec", "cc", "test", "-e", "/detached"]).code == 0);
        // pausing and resuming
        daemon.dhow(&["pause", "cc"]).ok();
        assert_eq!(daemon.dhow(&["inspect", "-f", "{{.State.Status}}", "cc"]).ok(), "paused");
        assert!(frozen(&id), "{runtime}");
        daemon.dhow(&["unpause", "cc"]).ok();
        assert!(!frozen(&id));
        // what it uses, and what it may
        daemon.dhow(&["update", "--pids-limit", "77", "cc"]).ok();
        let stats =
            daemon.dhow(&["stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", "cc"]).ok().to_owned();
        let pids: u32 = stats.strip_prefix("cc ").unwrap().trim().parse().unwrap();
        assert!((1..10).contains(&pids), "{stats}");
        assert!(daemon.dhow(&["top", "cc"]).ok().contains("sleep"));
        assert_eq!(limit(&id), "77", "{runtime}");
        // an end that is asked for, and its log
        daemon.dhow(&["stop", "cc"]).ok();
        assert_eq!(daemon.dhow(&["inspect", "-f", "{{.State.ExitCode}}", "cc"]).ok(), "7");
        assert_eq!(daemon.dhow(&["logs", "cc"]).ok(), "up\nbye");
        nothing_of(&daemon, &id);
        daemon.dhow(&["start", "cc"]).ok();
        daemon.dhow(&["kill", "cc"]).ok();
        assert_eq!(daemon.dhow(&["wait", "cc"]).ok(), "137");
        nothing_of(&daemon, &id);
        daemon.dhow(&["restart", "cc"]).ok();
        daemon.dhow(&["rm", "-f", "cc"]).ok();
        nothing_of(&daemon, &id);
        daemon.finish();
    }
}

#[test]
fn root_other_runtimes_outlive_the_daemon() {
    for runtime in RUNTIMES {
        let Some(mut daemon) = with_default(runtime) else { return };
        let run = [
            "run",
            "-d",
            "--name",
            "cc",
            "--memory",
            "32m",
            "busybox",
            "sh",
            "-c",
            "sleep 1000 & wait; exit 3",
        ];
        let id = daemon.dhow(&run).ok().to_owned();
        daemon.dhow(&["run", "-d", "--name", "gone", "busybox", "sleep", "1000"]).ok();
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains(&id), "the host's table stays clean");
        daemon.kill();
        daemon.restart();
        assert_eq!(daemon.dhow(&["exec", "cc", "echo", "still"]).ok(), "still", "{runtime}");
        daemon.dhow(&["exec", "cc", "sh", "-c", "kill -9 -1"]).ok();
        assert_eq!(daemon.dhow(&["wait", "cc"]).ok(), "3");
        nothing_of(&daemon, &id);
        // what ate too much is told so
        daemon
            .dhow(&["run", "--memory", "16m", "--name", "fat", "busybox", "tail", "/dev/zero"])
            .fails(137, "");
        assert_eq!(daemon.dhow(&["inspect", "-f", "{{.State.OOMKilled}}", "fat"]).ok(), "true", "{runtime}");
        // a shim that is killed ends its container, whoever runs it
        let gone = daemon.dhow(&["inspect", "-f", "{{.State.Pid}} {{.Id}}", "gone"]).ok().to_owned();
        let (pid, id) = gone.split_once(' ').unwrap();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let shim = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim();
        assert_eq!(fs::read_to_string(format!("/proc/{shim}/comm")).unwrap().trim(), "dhow-shim");
        assert!(std::process::Command::new("kill").args(["-9", shim]).status().unwrap().success());
        assert_eq!(daemon.dhow(&["wait", "gone"]).ok(), "137");
        nothing_of(&daemon, id);
        until(|| !fs::exists(format!("/proc/{pid}")).unwrap());
        daemon.finish();
    }
}

/// A runtime that hangs at one verb costs that request, within a bound, and says whose container it was for.
#[test]
fn root_another_runtime_that_hangs_is_given_up() {
    if !is_root() {
        return;
    }
    const WRAPPER: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/hangs");
    let script = "#!/bin/sh\ncase \" $* \" in *\" exec \"*) exec sleep 1000;; esac\nexec runc \"$@\"\n";
    fs::write(WRAPPER, script).unwrap();
    fs::set_permissions(WRAPPER, fs::Permissions::from_mode(0o755)).unwrap();
    let added = format!("hangs={WRAPPER}");
    let daemon = Daemon::start_with(&["--add-runtime", &added, "--default-runtime", "hangs"]);
    let id = daemon.dhow(&["run", "-d", "--name", "cc", "busybox", "sleep", "1000"]).ok().to_owned();
    let began = Instant::now();
    let ran = daemon.dhow(&["exec", "cc", "true"]);
    assert!(ran.code != 0 && ran.out.contains(&id) && ran.out.contains("after 10 s"), "{ran:?}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    daemon.dhow(&["kill", "cc"]).ok();
    daemon.dhow(&["rm", "-f", "cc"]).ok();
    nothing_of(&daemon, &id);
    daemon.finish();
}

fn until(done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A file of the container's cgroup, wherever it is.
fn cgroup_file(id: &str, controller: &str, file: &str) -> String {
    let found = std::process::Command::new("find")
        .args(["/sys/fs/cgroup", "-path", &format!("*{controller}*{id}/{file}")])
        .output()
        .unwrap();
    let path = String::from_utf8(found.stdout).unwrap();
    fs::read_to_string(path.lines().next().unwrap_or_else(|| panic!("no {file} of {id}"))).unwrap()
}

fn frozen(id: &str) -> bool {
    if fs::exists("/sys/fs/cgroup/cgroup.controllers").unwrap() {
        return cgroup_file(id, "", "cgroup.freeze").trim() == "1";
    }
    cgroup_file(id, "freezer", "freezer.state").trim() == "FROZEN"
}

fn limit(id: &str) -> String {
    cgroup_file(id, "", "pids.max").trim().to_owned()
}
