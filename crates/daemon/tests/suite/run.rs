//! `run` and its flags: what the process sees, and what the caller gets back.

use super::lifecycle::eventually;
use dhow_testkit::{Daemon, is_root};
use std::{
    io::Write as _,
    process::{Command, Stdio},
};

#[test]
fn root_run_exit_codes_are_dockers() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    assert_eq!(daemon.dhow(&["run", "--rm", "busybox", "echo", "hello"]).ok(), "hello");
    daemon.dhow(&["run", "--rm", "busybox", "sh", "-c", "exit 7"]).fails(7, "");
    let mut killed = daemon.dhow_command(&["run", "--rm", "--name", "killed", "busybox", "sleep", "1000"]);
    let mut killed = killed.stdin(Stdio::null()).spawn().unwrap();
    eventually(&daemon, &["ps", "-q"], |out| !out.is_empty());
    daemon.dhow(&["kill", "killed"]).ok();
    assert_eq!(killed.wait().unwrap().code(), Some(137));
    daemon
        .dhow(&["run", "--rm", "busybox", "no-such-program"])
        .fails(127, "executable file not found in $PATH");
    daemon.dhow(&["run", "--rm", "busybox", "/etc/passwd"]).fails(126, "permission denied");
    daemon.dhow(&["run", "--rm", "--no-such-flag", "busybox"]).fails(125, "--no-such-flag");
    daemon
        .dhow(&["run", "--rm", "--pull", "never", "no-such-image"])
        .fails(125, "No such image: no-such-image:latest");
    assert_eq!(
        daemon.dhow(&["ps", "-aq"]).ok(),
        "",
        "nothing stays of containers that could not start with --rm"
    );
    daemon.finish();
}

#[test]
fn root_run_flags_reach_the_process() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let sh = |flags: &[&str], script: &str| {
        daemon.dhow(&[&["run", "--rm"], flags, &["busybox", "sh", "-c", script]].concat()).ok().to_owned()
    };
    assert_eq!(sh(&["-e", "A=b c", "-w", "/tmp"], "echo $A; pwd"), "b c\n/tmp");
    assert_eq!(sh(&["-w", "/made/for/me"], "pwd"), "/made/for/me");
    assert_eq!(sh(&["--hostname", "box"], "hostname; cat /etc/hostname"), "box\nbox");
    assert_eq!(sh(&["-u", "app"], "id -u; id -g; echo $HOME"), "1000\n1000\n/home");
    assert_eq!(sh(&["-u", "1234:55"], "id -u; id -g"), "1234\n55");
    assert_eq!(sh(&["-u", "app", "--group-add", "4242"], "id -G"), "1000 2000 4242");
    assert_eq!(sh(&["--read-only"], "touch /x 2>/dev/null || echo refused"), "refused");
    assert_eq!(sh(&["--read-only", "--tmpfs", "/scratch:size=1m"], "touch /scratch/x && echo fine"), "fine");
    assert_eq!(sh(&["--add-host", "db:10.1.2.3"], "grep 'db$' /etc/hosts | cut -f1"), "10.1.2.3");
    assert_eq!(sh(&["--entrypoint", "echo"], "x"), "sh -c x");
    assert_eq!(sh(&["--shm-size", "8m"], "df -k /dev/shm | tail -1 | awk '{print $2}'"), "8192");
    assert_eq!(sh(&["--ulimit", "nofile=100:200"], "ulimit -n; ulimit -Hn"), "100\n200");
    assert_eq!(sh(&["--init"], "ps | head -2 | tail -1 | grep -c init"), "1");
    assert_eq!(
        sh(&[], "echo $$; echo $PATH"),
        "1\n/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    );
    daemon.finish();
}

#[test]
fn root_run_is_confined_as_dockers() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let sh = |flags: &[&str], script: &str| {
        daemon.dhow(&[&["run", "--rm"], flags, &["busybox", "sh", "-c", script]].concat()).ok().to_owned()
    };
    let status =
        |flags: &[&str], field: &str| sh(flags, &format!("grep {field}: /proc/self/status | cut -f2"));
    assert_eq!(status(&[], "CapEff"), "00000000a80425fb", "docker's default capabilities");
    assert_eq!(status(&["--cap-drop", "ALL"], "CapEff"), "0000000000000000");
    assert_eq!(status(&["--cap-drop", "ALL", "--cap-add", "NET_ADMIN"], "CapEff"), "0000000000001000");
    assert_eq!(status(&[], "NoNewPrivs"), "0");
    assert_eq!(status(&["--security-opt", "no-new-privileges"], "NoNewPrivs"), "1");
    assert_eq!(status(&[], "Seccomp"), "2");
    assert_eq!(status(&["--security-opt", "seccomp=unconfined"], "Seccomp"), "0");
    assert_eq!(sh(&[], "mount -t tmpfs x /tmp 2>/dev/null || echo refused"), "refused");
    assert_eq!(
        sh(&[], "cat /proc/kcore | wc -c; find /proc/scsi /sys/firmware -mindepth 1 2>/dev/null | wc -l"),
        "0\n0"
    );
    assert_eq!(sh(&[], "echo 1 > /proc/sys/kernel/panic 2>/dev/null || echo refused"), "refused");
    assert_eq!(sh(&[], "mknod /tmp/sda b 8 0 && head -c1 /tmp/sda 2>/dev/null || echo refused"), "refused");
    assert_eq!(
        sh(&[], "ls /proc/self/fd | wc -l"),
        "4",
        "stdin, stdout, stderr, and the folder that ls reads"
    );
    assert_eq!(
        sh(
            &["--memory", "64m"],
            "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max"
        ),
        "67108864"
    );
    assert_eq!(
        sh(
            &["--pids-limit", "50"],
            "cat /sys/fs/cgroup/pids/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids.max"
        ),
        "50"
    );
    daemon
        .dhow(&[
            "run",
            "--rm",
            "--memory",
            "16m",
            "--memory-swap",
            "16m",
            "busybox",
            "sh",
            "-c",
            "head -c 64m /dev/zero | tail",
        ])
        .fails(137, "");
    daemon.finish();
}

#[test]
fn root_run_streams_are_whole() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let ran = daemon.dhow(&["run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2"]);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("out\n", "err\n"));
    let mut child = daemon
        .dhow_command(&["run", "-i", "--rm", "busybox", "md5sum"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let megabytes = vec![b'x'; 5 << 20];
    child.stdin.take().unwrap().write_all(&megabytes).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).split(' ').next(), Some(&*md5(&megabytes)));
    let big = daemon.dhow(&["run", "--rm", "busybox", "sh", "-c", "yes 0123456789 | head -n 200000"]);
    assert_eq!(big.ok().lines().count(), 200_000);
    daemon.finish();
}

fn md5(bytes: &[u8]) -> String {
    let mut child = Command::new("md5sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout).split(' ').next().unwrap().to_owned()
}

#[test]
fn root_terminals_work() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    // `script` gives the command line a terminal of its own
    let inner = format!(
        "DHOW_HOST=unix://{} {} run -it --rm busybox sh -c 'tty; stty size; exit 5'",
        daemon.socket().display(),
        program()
    );
    let mut child = Command::new("script")
        .args(["-qec", &format!("stty rows 33 cols 99; {inner}"), "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // held open: at its end `script` would type an end of file, and the terminal would echo it
    let keyboard = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop(keyboard);
    let text = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    assert!(text.contains("/dev/pts/0\n33 99"), "{text}");
    assert_eq!(output.status.code(), Some(5), "{text}");
    daemon.finish();
}

fn program() -> String {
    std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("dhow").display().to_string()
}
