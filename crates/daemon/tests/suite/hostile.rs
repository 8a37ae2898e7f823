//! Containers, images and clients that want something of the host or of the daemon: they get nothing, and it lives on.

use super::lifecycle::eventually;
use dhow_testkit::{Daemon, is_root};
use rustix::{
    fd::OwnedFd,
    fs::{CWD, Mode, OFlags, RenameFlags},
};
use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::Stdio,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

fn folder(path: impl rustix::path::Arg) -> OwnedFd {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

/// A container nests folders deeper than any path can say. What walks them refuses or leaves them out; nothing overflows.
#[test]
fn root_folders_without_end_do_not_end_the_daemon() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    daemon.dhow(&["run", "-d", "--name", "deep", "busybox", "sleep", "1000"]).ok();
    let pid = daemon.dhow(&["inspect", "-f", "{{.State.Pid}}", "deep"]).ok().to_owned();
    let mut at = folder(format!("/proc/{pid}/root/tmp"));
    for _ in 0..2200 {
        rustix::fs::mkdirat(&at, "d", Mode::RWXU).unwrap();
        at = rustix::fs::openat(&at, "d", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
    }
    drop(at);
    daemon.dhow(&["diff", "deep"]).fails(1, "name too long");
    daemon.dhow(&["commit", "deep", "deep:1"]).fails(1, "name too long");
    daemon.dhow(&["ps", "-s"]).ok();
    daemon.dhow(&["system", "df"]).ok();
    for args in [&["export", "-o", "/dev/null", "deep"][..], &["cp", "deep:/tmp", "-"]] {
        assert_ne!(daemon.dhow(args).code, 0, "{args:?} cannot have it all");
    }
    assert_eq!(daemon.dhow(&["exec", "deep", "echo", "lives"]).ok(), "lives");
    daemon.dhow(&["rm", "-f", "deep"]).ok();
    daemon.finish();
}

/// Swaps `tmp/swap` of a container between a folder and a link to the host's folder while it is copied in and out.
#[test]
fn root_cp_is_never_led_out_by_a_swap() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let canary = daemon.folder().join("canary");
    fs::create_dir(&canary).unwrap();
    fs::write(canary.join("file"), "the host's").unwrap();
    let source = daemon.folder().join("file");
    fs::write(&source, "from outside").unwrap();
    daemon.dhow(&["run", "-d", "--name", "swapper", "busybox", "sleep", "1000"]).ok();
    let pid = daemon.dhow(&["inspect", "-f", "{{.State.Pid}}", "swapper"]).ok().to_owned();
    let tmp = format!("/proc/{pid}/root/tmp");
    fs::create_dir_all(format!("{tmp}/swap")).unwrap();
    fs::write(format!("{tmp}/swap/file"), "the container's").unwrap();
    symlink(&canary, format!("{tmp}/link")).unwrap();
    fs::write(format!("{tmp}/plain"), "the container's").unwrap();
    symlink(canary.join("file"), format!("{tmp}/other")).unwrap();
    // a FIFO is never opened for reading: nobody would write
    rustix::fs::mknodat(CWD, format!("{tmp}/fifo"), rustix::fs::FileType::Fifo, Mode::RWXU, 0).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let at = folder(tmp.as_str());
            let swap = |one: &str, two: &str| {
                rustix::fs::renameat_with(&at, one, &at, two, RenameFlags::EXCHANGE).unwrap();
            };
            let mut round = 0u32;
            while !done.load(Ordering::Relaxed) {
                swap("swap", "link");
                swap("plain", "other");
                if round.is_multiple_of(3) {
                    swap("plain", "fifo");
                    swap("plain", "fifo");
                }
                round += 1;
            }
        });
        let began = Instant::now();
        let source = source.to_str().unwrap();
        let mut round = 0;
        while began.elapsed() < Duration::from_secs(4) {
            round += 1;
            let out = daemon.folder().join(format!("out{round}"));
            drop(daemon.dhow(&["cp", source, "swapper:/tmp/swap/file"]));
            drop(daemon.dhow(&["cp", source, "swapper:/tmp/swap/new"]));
            drop(daemon.dhow(&["cp", "swapper:/tmp/swap/file", out.to_str().unwrap()]));
            let read = fs::read_to_string(&out).unwrap_or_default();
            assert!(!read.contains("the host's"), "round {round}: {read}");
            let tar = daemon.dhow(&["cp", "swapper:/tmp", "-"]);
            assert!(!tar.out.contains("the host's"), "round {round}");
            assert_eq!(fs::read_to_string(canary.join("file")).unwrap(), "the host's", "round {round}");
            assert_eq!(fs::read_dir(&canary).unwrap().count(), 1, "round {round}");
        }
        done.store(true, Ordering::Relaxed);
    });
    daemon.finish();
}

#[test]
fn root_names_that_are_no_text_are_copied() {
    use std::os::unix::ffi::OsStrExt as _;
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    daemon
        .dhow(&[
            "run",
            "-d",
            "--name",
            "bytes",
            "busybox",
            "sh",
            "-c",
            "mkdir /b; echo x > \"/b/$(printf 'a\\377')\"; sleep 1000",
        ])
        .ok();
    eventually(&daemon, &["exec", "bytes", "ls", "/b"], |out| !out.is_empty());
    let out = daemon.folder().join("out.tar");
    daemon.dhow(&["export", "-o", out.to_str().unwrap(), "bytes"]).ok();
    let tar = fs::read(&out).unwrap();
    let wanted = std::ffi::OsStr::from_bytes(b"b/a\xff").as_bytes();
    assert!(tar.windows(wanted.len()).any(|window| window == wanted));
    daemon.finish();
}

/// Nothing of the daemon, the shim or the builder is open in a container, and no working directory finds it (CVE-2024-21626).
#[test]
fn root_no_descriptor_leaks_into_containers() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let count = "n=0; for f in /proc/self/fd/*; do n=$((n+1)); done; echo $n";
    daemon.dhow(&["run", "-d", "--name", "box", "busybox", "sleep", "1000"]).ok();
    // 0, 1, 2 and the folder itself, which the shell reads
    assert_eq!(daemon.dhow(&["run", "--rm", "busybox", "sh", "-c", count]).ok(), "4");
    assert_eq!(daemon.dhow(&["exec", "box", "sh", "-c", count]).ok(), "4");
    for number in (3..24).chain([99, 255, 1023]) {
        let place = format!("/proc/self/fd/{number}");
        let looks = "cat /proc/self/cwd/../../../../etc/hostname; pwd";
        for args in [
            &["run", "--rm", "-w", &place, "busybox", "sh", "-c", looks][..],
            &["exec", "-w", &place, "box", "sh", "-c", looks],
        ] {
            let ran = daemon.dhow(args);
            assert_ne!(ran.code, 0, "{}: {}", ran.command, ran.out);
        }
        let context = daemon.folder().join(format!("context{number}"));
        fs::create_dir(&context).unwrap();
        fs::write(
            context.join("Dockerfile"),
            format!("FROM busybox\nWORKDIR {place}\nRUN cat ../../../../../etc/hostname\n"),
        )
        .unwrap();
        assert_ne!(daemon.dhow(&["build", context.to_str().unwrap()]).code, 0, "{place}");
    }
    daemon.finish();
}

/// Images whose folders and files are links to the host's: resolved inside the image or refused, and the host is untouched.
#[test]
fn root_links_in_an_image_do_not_reach_the_host() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let canary = daemon.folder().join("canary");
    fs::create_dir(&canary).unwrap();
    fs::write(canary.join("file"), "the host's").unwrap();
    let far = format!("../../../../../../../..{}", canary.display());
    let base = daemon.folder().join("base");
    fs::create_dir(&base).unwrap();
    let unpacked = std::process::Command::new("tar")
        .arg("-xf")
        .arg(daemon.folder().join("busybox.tar"))
        .arg("-C")
        .arg(&base)
        .status();
    assert!(unpacked.unwrap().success());
    let links: [(&str, &str); 12] = [
        ("dev", ""),
        ("proc", ""),
        ("sys", ""),
        ("etc", ""),
        ("run", ""),
        ("dev/pts", ""),
        ("dev/shm", ""),
        ("dev/null", "/file"),
        ("etc/hosts", "/file"),
        ("etc/resolv.conf", "/new"),
        ("etc/hostname", "/file"),
        ("etc/passwd", "/file"),
    ];
    for (n, (name, file)) in links.into_iter().enumerate() {
        for target in [format!("{}{file}", canary.display()), format!("{far}{file}")] {
            let place = base.join(name);
            let kept = base.join("kept");
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            let was = fs::symlink_metadata(&place).is_ok();
            if was {
                fs::rename(&place, &kept).unwrap();
            }
            symlink(&target, &place).unwrap();
            let tar = daemon.folder().join("image.tar");
            let packed =
                std::process::Command::new("tar").arg("-cf").arg(&tar).arg("-C").arg(&base).arg(".").status();
            assert!(packed.unwrap().success());
            let image = format!("hostile:{n}");
            daemon.dhow(&["import", tar.to_str().unwrap(), &image]).ok();
            for args in [
                &["run", "--rm", &image, "/bin/cat", "/etc/hosts", "/etc/hostname", "/etc/passwd"][..],
                &["run", "--rm", "-v", "/dev/x", "-v", "/etc/y", "-u", "root", "-t", &image, "/bin/true"],
            ] {
                let ran = daemon.dhow(args);
                assert!(
                    !ran.out.contains("the host's") && !ran.err.contains("the host's"),
                    "{name}: {ran:?}"
                );
            }
            assert_eq!(fs::read_to_string(canary.join("file")).unwrap(), "the host's", "{name}");
            assert_eq!(fs::read_dir(&canary).unwrap().count(), 1, "{name}");
            fs::remove_file(&place).unwrap();
            if was {
                fs::rename(&kept, &place).unwrap();
            }
        }
    }
    daemon.finish();
}

/// `COPY` of a link in the context, of a link in a stage, of cache ids and bind sources with `..`.
#[test]
fn root_a_build_reads_nothing_of_the_host() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let secret = daemon.folder().join("secret");
    fs::write(&secret, "the host's").unwrap();
    let context = daemon.folder().join("context");
    fs::create_dir(&context).unwrap();
    symlink(&secret, context.join("link")).unwrap();
    symlink(daemon.folder(), context.join("folder")).unwrap();
    let far = format!("../../../../../../../../..{}", daemon.folder().display());
    symlink(&far, context.join("far")).unwrap();
    let folder = daemon.folder().display();
    for copy in [
        "COPY link /x".to_owned(),
        "COPY folder/secret /x".to_owned(),
        "COPY far/secret /x".to_owned(),
        format!("COPY {folder}/secret /x"),
        "COPY ../secret /x".to_owned(),
        format!("RUN ln -s {folder} /l; ln -s {far} /m\nFROM busybox\nCOPY --from=0 /l/secret /x"),
        format!("RUN ln -s {folder} /l; ln -s {far} /m\nFROM busybox\nCOPY --from=0 /m/secret /x"),
        "RUN --mount=type=bind,source=../,target=/b cp /b/secret /x".to_owned(),
        "RUN --mount=type=bind,source=far,target=/b cp /b/secret /x".to_owned(),
        "RUN --mount=type=cache,id=../../../../..,target=/b find /b -name secret | grep . && cp /b/secret /x"
            .to_owned(),
        "ADD link /x".to_owned(),
    ] {
        fs::write(context.join("Dockerfile"), format!("FROM busybox\n{copy}\nRUN cat /x/* /x || true\n"))
            .unwrap();
        let ran = daemon.dhow(&["build", context.to_str().unwrap()]);
        assert!(!ran.out.contains("the host's") && !ran.err.contains("the host's"), "{copy}: {ran:?}");
    }
    daemon.finish();
}

/// The shim's program cannot be written through /proc/PID/exe (CVE-2019-5736), by a container with every capability that tries all the time. That the
/// file is busy while a shim runs would hide a shim that runs from the disk: so the seals are looked at as well, which a file on a disk
/// does not have.
#[test]
fn root_the_shim_is_not_overwritten() {
    use rustix::fs::SealFlags;
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let shim =
        Path::new(&format!("/proc/{}/exe", daemon.pid())).canonicalize().unwrap().with_file_name("dhow-shim");
    let before = fs::read(&shim).unwrap();
    let attack = "while true; do for p in /proc/[0-9]*/exe; do case $p in /proc/1/exe) ;; *) (echo x > $p) 2>/dev/null && echo WROTE;; esac; done; done";
    daemon.dhow(&["run", "-d", "--privileged", "--name", "attacker", "busybox", "sh", "-c", attack]).ok();
    for _ in 0..20 {
        drop(daemon.dhow(&["exec", "attacker", "/proc/self/exe"]));
        daemon.dhow(&["exec", "attacker", "true"]).ok();
    }
    drop(daemon.dhow(&["run", "--rm", "--entrypoint", "/proc/self/exe", "busybox"]));
    let pid = daemon.dhow(&["inspect", "-f", "{{.State.Pid}}", "attacker"]).ok().to_owned();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim().to_owned();
    let program = fs::File::open(format!("/proc/{parent}/exe")).unwrap();
    let sealed = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    assert_eq!(rustix::fs::fcntl_get_seals(&program).map(|seals| seals.contains(sealed)), Ok(true));
    assert_eq!(fs::read(&shim).unwrap(), before);
    assert!(!daemon.dhow(&["logs", "attacker"]).out.contains("WROTE"));
    daemon.dhow(&["run", "--rm", "busybox", "true"]).ok();
    daemon.finish();
}

/// One container that hangs does not hang the others.
#[test]
fn root_a_stuck_container_holds_nobody_up() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    for name in ["stuck", "frozen", "fine"] {
        daemon.dhow(&["run", "-d", "--name", name, "busybox", "sleep", "1000"]).ok();
    }
    daemon.dhow(&["pause", "frozen"]).ok();
    let pid = daemon.dhow(&["inspect", "-f", "{{.State.Pid}}", "stuck"]).ok().to_owned();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let shim = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim().to_owned();
    let signal = |name: &str| {
        assert!(std::process::Command::new("kill").args([name, &shim]).status().unwrap().success());
    };
    signal("-STOP");
    // these wait for the shim; nobody waits for them
    let mut waiting: Vec<_> =
        [&["stop", "-t", "1", "stuck"][..], &["exec", "stuck", "true"], &["rm", "-f", "stuck"]]
            .into_iter()
            .map(|args| {
                daemon
                    .dhow_command(args)
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()
                    .unwrap()
            })
            .collect();
    std::thread::sleep(Duration::from_millis(200));
    for args in [
        &["ps", "-a"][..],
        &["ps", "-s"],
        &["inspect", "stuck"],
        &["inspect", "fine"],
        &["exec", "fine", "true"],
        &["run", "--rm", "busybox", "true"],
        &["info"],
        &["network", "inspect", "bridge"],
        &["system", "df"],
        &["logs", "stuck"],
        &["stop", "-t", "0", "fine"],
    ] {
        let began = Instant::now();
        daemon.dhow(args).ok();
        assert!(began.elapsed() < Duration::from_secs(3), "{args:?} took {:?}", began.elapsed());
    }
    signal("-CONT");
    for child in &mut waiting {
        child.wait().unwrap();
    }
    daemon.dhow(&["inspect", "stuck"]).fails(1, "No such object");
    daemon.finish();
}

/// Whatever a client sends, the daemon keeps little of it.
#[test]
fn root_bodies_without_end_are_refused_in_little_memory() {
    use std::io::{Read as _, Write as _};
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let resident = || {
        let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().to_owned();
        line.trim_end_matches(" kB").trim().parse::<u64>().unwrap() >> 10
    };
    let send = |head: &str, piece: &[u8], pieces: usize| {
        let mut stream = std::os::unix::net::UnixStream::connect(daemon.socket()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        for _ in 0..pieces {
            // it may have been refused already
            if stream.write_all(piece).is_err() {
                break;
            }
        }
        let mut answer = [0; 256];
        let count = stream.read(&mut answer).unwrap_or(0);
        String::from_utf8_lossy(&answer[..count]).into_owned()
    };
    let mut chunk = b"100000\r\n".to_vec();
    chunk.extend(std::iter::repeat_n(b'[', 0x10_0000));
    chunk.extend(b"\r\n");
    let before = resident();
    let json = "Host: d\r\nContent-Type: application/json\r\n";
    let chunked = format!("POST /containers/create HTTP/1.1\r\n{json}Transfer-Encoding: chunked\r\n\r\n");
    let long = format!("POST /containers/create HTTP/1.1\r\n{json}Content-Length: 99999999999\r\n\r\n");
    for _ in 0..4 {
        assert!(send(&chunked, &chunk, 300).starts_with("HTTP/1.1 413 "));
        assert!(send(&long, &chunk, 300).starts_with("HTTP/1.1 413 "));
    }
    let deep = format!("POST /containers/create HTTP/1.1\r\n{json}Content-Length: 1048586\r\n\r\n");
    assert!(send(&deep, &chunk, 1).starts_with("HTTP/1.1 400 "));
    for path in ["/images/load", "/build", "/images/create?fromSrc=-"] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: d\r\nContent-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        let answer = send(&head, &chunk, 100);
        assert!(answer.starts_with("HTTP/1.1 4") || answer.contains("\"error\""), "{path}: {answer}");
    }
    for broken in [
        "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: -1\r\n\r\n{}",
        "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}}",
        "\x16\x03\x01 hello\r\n\r\n",
    ] {
        assert!(send(broken, b"", 0).starts_with("HTTP/1.1 400 "), "{broken}");
    }
    let after = resident();
    assert!(after < before + 64, "{before} MiB before, {after} MiB at most");
    assert_eq!(daemon.dhow(&["ps", "-aq"]).ok(), "");
    assert!(fs::read_dir(daemon.folder().join("data/tmp")).unwrap().next().is_none());
    daemon.finish();
}

/// A probe that takes too long is killed with all it started; an exec's own process is always reaped.
#[test]
fn root_late_probes_leave_no_process() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    daemon
        .dhow(&[
            "run",
            "-d",
            "--init",
            "--name",
            "probed",
            "--health-cmd",
            "sleep 1000 & sleep 1000",
            "--health-interval",
            "100ms",
            "--health-timeout",
            "1s",
            "--health-retries",
            "2",
            "busybox",
            "sh",
            "-c",
            "while true; do usleep 500000; done",
        ])
        .ok();
    eventually(&daemon, &["inspect", "-f", "{{.State.Health.Status}}", "probed"], |out| out == "unhealthy");
    for _ in 0..5 {
        daemon.dhow(&["exec", "probed", "sh", "-c", "true & true"]).ok();
    }
    // the probe of this moment may run: its shell and two sleeps, never more
    let count = "ps | grep -c '[s]leep 1000'; ps | grep -c '\\[sleep\\]' || true";
    let seen = eventually(&daemon, &["exec", "probed", "sh", "-c", count], |out| {
        let numbers: Vec<u32> = out.lines().filter_map(|line| line.parse().ok()).collect();
        numbers.first().is_some_and(|n| *n <= 3) && numbers.get(1) == Some(&0)
    });
    assert!(!seen.is_empty());
    daemon.finish();
}

/// A cgroup that holds processes where no signal reaches them.
struct Freezer(std::path::PathBuf);

impl Freezer {
    fn of(pid: &str) -> Self {
        let v2 = fs::exists("/sys/fs/cgroup/cgroup.controllers").unwrap();
        let root = if v2 { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/freezer" };
        let folder = std::path::Path::new(root).join(format!("dhow-test-frozen-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("cgroup.procs"), pid).unwrap();
        let freezer = Self(folder);
        freezer.say(["1", "FROZEN"]);
        freezer
    }

    /// Words of v2 and v1.
    fn say(&self, [unified, state]: [&str; 2]) {
        let file = self.0.join("freezer.state");
        let v1 = file.exists();
        let file = if v1 { file } else { self.0.join("cgroup.freeze") };
        fs::write(file, if v1 { state } else { unified }).unwrap();
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        self.say(["0", "THAWED"]);
        let above = self.0.parent().unwrap().join("cgroup.procs");
        for pid in fs::read_to_string(self.0.join("cgroup.procs")).unwrap().lines() {
            // it may be ending
            drop(fs::write(&above, pid));
        }
        fs::remove_dir(&self.0).unwrap();
    }
}

/// A shim that cannot be woken (its machine's administrator froze it, its disk hangs): what is asked of its container fails within a bound and
/// names it, and all others go on.
#[test]
fn root_a_shim_that_cannot_be_woken_is_told_of() {
    if !is_root() {
        return;
    }
    let mut daemon = Daemon::start();
    let id = daemon.dhow(&["run", "-d", "--name", "xx", "busybox", "sleep", "1000"]).ok().to_owned();
    let pid = daemon.dhow(&["inspect", "-f", "{{.State.Pid}}", "xx"]).ok().to_owned();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let shim = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim().to_owned();
    let freezer = Freezer::of(&shim);
    let began = Instant::now();
    let ran = daemon.dhow(&["exec", "xx", "true"]);
    assert!(ran.code != 0 && ran.out.contains(&id) && ran.out.contains("has not answered"), "{ran:?}");
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
    assert_eq!(daemon.dhow(&["run", "--rm", "busybox", "echo", "on"]).ok(), "on");
    // nor is it an obstacle to the next daemon, which takes nobody for dead
    daemon.kill();
    daemon.restart();
    assert_eq!(daemon.dhow(&["run", "--rm", "busybox", "echo", "on"]).ok(), "on");
    let state = ["inspect", "-f", "{{.State.Status}} {{.State.Pid}}", "xx"];
    assert_eq!(daemon.dhow(&state).ok(), format!("running {pid}"));
    drop(freezer);
    assert_eq!(daemon.dhow(&["exec", "xx", "echo", "back"]).ok(), "back");
    daemon.dhow(&["rm", "-f", "xx"]).ok();
    daemon.finish();
}

/// Somebody has stopped a shim (SIGSTOP): it is woken when it is needed, and what was asked for happens.
#[test]
fn root_a_stopped_shim_is_woken() {
    if !is_root() {
        return;
    }
    let mut daemon = Daemon::start();
    let commands: &[&[&str]] = &[
        &["exec", "xx", "true"],
        &["kill", "-s", "HUP", "xx"],
        &["stop", "-t", "1", "xx"],
        &["rm", "-f", "xx"],
    ];
    for args in commands.iter().copied().map(Some).chain([None]) {
        daemon
            .dhow(&[
                "run",
                "-d",
                "--name",
                "xx",
                "busybox",
                "sh",
                "-c",
                "trap 'exit 7' TERM; sleep 1000 & wait",
            ])
            .ok();
        let pid = daemon.dhow(&["inspect", "-f", "{{.State.Pid}}", "xx"]).ok().to_owned();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let shim = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim().to_owned();
        assert!(std::process::Command::new("kill").args(["-STOP", &shim]).status().unwrap().success());
        let began = Instant::now();
        match args {
            Some(args) => drop(daemon.dhow(args).ok()),
            // the next daemon has to adopt it
            None => {
                daemon.kill();
                daemon.restart();
                assert_eq!(daemon.dhow(&["exec", "xx", "echo", "here"]).ok(), "here");
            }
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{args:?} took {:?}", began.elapsed());
        if args.is_some_and(|args| args[0] == "stop") {
            let code = daemon.dhow(&["inspect", "-f", "{{.State.ExitCode}}", "xx"]);
            assert_eq!(code.ok(), "7", "its own exit code");
        }
        drop(daemon.dhow(&["rm", "-f", "xx"]));
    }
    daemon.finish();
}
