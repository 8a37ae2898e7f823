//! What containers must and must not.

use crate::fixture::{Box, wait};
use dhow_oci::runtime as spec;
use dhow_runtime::{Stdio, create, freeze, processes, remove_cgroups, update, usage};
use rustix::fd::AsFd;
use rustix::process::{Signal, pidfd_send_signal};
use std::fs;

/// Name and case.
pub(crate) const CASES: &[(&str, fn())] = &[
    ("root_exit_code", exit_code),
    ("root_namespaces_and_dev", namespaces_and_dev),
    ("root_missing_program", missing_program),
    ("root_exec", exec),
    ("root_masks_and_read_only", masks_and_read_only),
    ("root_no_descriptor_leaks", no_descriptor_leaks),
    ("root_hostile_images", hostile_images),
    ("root_nothing_inside_proc", nothing_inside_proc),
    ("root_binds", binds),
    ("root_terminal", terminal),
    ("root_cgroup_limits_freeze_update_usage", cgroups),
    ("root_failure_leaves_nothing", failure_leaves_nothing),
    ("root_user_and_privileges", user_and_privileges),
    ("root_dropped_before_go", dropped_before_go),
    ("root_home_of_the_user", home),
    ("root_init_forwards_and_reaps", init),
    ("root_unified_cgroup", unified),
    ("root_joined_namespaces", joined),
    ("root_start_cost", start_cost),
];

fn exit_code() {
    let b = Box::new(&["probe", "exit", "7"]);
    assert_eq!(b.run().unwrap().code, 7);
    b.done();
}

fn namespaces_and_dev() {
    let b = Box::new(&["probe", "cat", "/proc/sys/kernel/hostname", "/proc/self/status"]);
    let out = b.run().unwrap().out;
    assert!(out.starts_with("box\n"), "{out}");
    assert!(out.contains("\nPid:\t1\n"), "{out}");
    assert!(out.contains("CapEff:\t00000000a80425fb"), "{out}");
    assert!(out.contains("CapBnd:\t00000000a80425fb"), "{out}");
    b.done();
    let b = Box::new(&["probe", "ls", "/dev", "/sys/fs/cgroup"]);
    let out = b.run().unwrap().out;
    assert!(
        out.contains("fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero\n"),
        "{out}"
    );
    b.done();
}

fn missing_program() {
    for (program, errno) in [("nothing", 2), ("/nothing", 2), ("/etc/plain", 13), ("/etc", 13)] {
        let b = Box::new(&[program]);
        let error = b.run().err().unwrap();
        assert_eq!(
            (error.step.as_str(), error.object.as_str(), error.errno),
            ("exec", program, errno),
            "{error}"
        );
        assert!(!b.dir.join("upper").exists());
        b.done();
    }
}

fn exec() {
    let b = Box::new(&["probe", "hold"]);
    let (process, _read) = b.start().unwrap();
    let ended = b
        .exec(&process, |p| {
            p.args = ["probe", "cat", "/proc/self/status", "/proc/sys/kernel/hostname"]
                .map(str::to_owned)
                .to_vec();
            p.user.uid = 1000;
        })
        .unwrap();
    assert_eq!(ended.code, 0);
    assert!(ended.out.contains("Uid:\t1000\t1000\t1000\t1000\n"), "{}", ended.out);
    assert!(ended.out.contains("CapEff:\t0000000000000000"), "{}", ended.out);
    assert!(ended.out.ends_with("box\n"), "{}", ended.out);
    let failed = b.exec(&process, |p| p.args = vec!["nothing".to_owned()]).err().unwrap();
    assert_eq!((failed.step.as_str(), failed.errno), ("exec", 2));
    rustix::process::pidfd_send_signal(process.pidfd(), rustix::process::Signal::KILL).unwrap();
    assert_eq!(wait(&process), 137);
    dhow_runtime::remove_cgroups(b.plan().unwrap().cgroup_dirs()).unwrap();
    drop(process);
    assert!(fs::exists(b.dir.join("upper")).unwrap());
    b.done();
}

pub(crate) fn words(args: &[&str]) -> Vec<String> {
    args.iter().map(|&a| a.to_owned()).collect()
}

pub(crate) fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> spec::Mount {
    spec::Mount {
        destination: destination.to_owned(),
        kind: Some(kind.to_owned()),
        source: Some(source.to_owned()),
        options: words(options),
        ..Default::default()
    }
}

/// Kills a held container, and takes its cgroups away.
pub(crate) fn end(b: &Box, process: &dhow_runtime::Process) {
    pidfd_send_signal(process.pidfd(), Signal::KILL).unwrap();
    assert_eq!(wait(process), 137);
    remove_cgroups(b.plan().unwrap().cgroup_dirs()).unwrap();
}

fn masks_and_read_only() {
    let mut b = Box::new(&["probe", "cat", "/proc/keys", "/proc/timer_list", "/proc/self/mountinfo"]);
    b.spec.root.as_mut().unwrap().readonly = true;
    let out = b.run().unwrap().out;
    assert!(out.starts_with(|c: char| c.is_ascii_digit()) && out.lines().all(|l| l.contains(" - ")), "{out}");
    for line in out.lines() {
        let (mut fields, read_only) =
            (line.split(' '), ["/proc/sys", "/proc/bus", "/sys", "/", "/sys/fs/cgroup/memory"]);
        let (path, options) = (fields.nth(4).unwrap(), fields.next().unwrap());
        assert!(!read_only.contains(&path) || options.starts_with("ro"), "{line}");
        assert!(!line.contains("shared:") && !line.contains("master:"), "{line}");
    }
    b.process().args = words(&["probe", "ls", "/sys/firmware", "/proc/acpi"]);
    assert!(b.run().unwrap().out.starts_with('\n'));
    let limit = if b.host.cgroup_v2() { "memory.max" } else { "memory/memory.limit_in_bytes" };
    for path in ["/file", "/proc/sys/kernel/hostname", &format!("/sys/fs/cgroup/{limit}")] {
        b.process().args = words(&["probe", "write", path, "1"]);
        assert_eq!(b.run().unwrap().out, "30\n", "{path}");
    }
    b.done();
}

fn no_descriptor_leaks() {
    let host = fs::File::open("/").unwrap();
    let leaky = rustix::io::fcntl_dupfd_cloexec(&host, 100).unwrap();
    rustix::io::fcntl_setfd(&leaky, rustix::io::FdFlags::empty()).unwrap();
    let mut b = Box::new(&["probe", "fds"]);
    assert_eq!(b.run().unwrap().out, "0 1 2\n");
    // CVE-2024-21626: a working directory on a descriptor of the host.
    b.options.make_cwd = false;
    for fd in (3..40).chain([100]) {
        b.process().cwd = format!("/proc/self/fd/{fd}");
        let error = b.run().err().unwrap();
        assert_eq!(error.step, "chdir", "{error}");
    }
    b.process().cwd = "/".to_owned();
    b.process().args = words(&["probe", "hold"]);
    let (process, _read) = b.start().unwrap();
    let ended = b.exec(&process, |p| p.args = words(&["probe", "fds"])).unwrap();
    assert_eq!(ended.out, "0 1 2\n");
    let failed = b.exec(&process, |p| p.cwd = "/proc/self/fd/100".to_owned()).err().unwrap();
    assert_eq!(failed.step, "chdir");
    end(&b, &process);
    drop(process);
    b.done();
}

fn hostile_images() {
    // Set-up folders that are links out of the root: resolved inside it, or refused; the host is not touched.
    let canary = std::path::PathBuf::from(format!("/var/tmp/dhow-canary-{}", std::process::id()));
    for (link, refused) in [("dev", false), ("sys", true), ("proc", true), ("tmp", false)] {
        fs::create_dir(&canary).unwrap();
        let mut b = Box::new(&["probe", "exit", "3"]);
        b.spec.mounts.push(mount("/tmp/inner/deep", "tmpfs", "tmpfs", &[]));
        fs::remove_dir(b.dir.join("lower").join(link)).ok();
        std::os::unix::fs::symlink(&canary, b.dir.join("lower").join(link)).unwrap();
        match b.run() {
            Ok(ended) => assert!(!refused && ended.code == 3, "{link}"),
            Err(error) => assert!(refused, "{link}: {error}"),
        }
        assert_eq!(fs::read_dir(&canary).unwrap().count(), 0, "{link}");
        fs::remove_dir(&canary).unwrap();
        b.done();
    }
}

fn nothing_inside_proc() {
    let mut b = Box::new(&["probe", "cat", "/proc/uptime"]);
    let folder = b.dir.join("data");
    fs::create_dir(&folder).unwrap();
    let file = b.dir.join("file");
    fs::write(&file, "a machine of nothing\n").unwrap();
    let (folder, file) = (folder.to_str().unwrap().to_owned(), file.to_str().unwrap().to_owned());
    std::os::unix::fs::symlink("/proc/1/environ", b.dir.join("lower/etc/hosts")).unwrap();
    std::os::unix::fs::symlink("../proc/self", b.dir.join("lower/etc/self")).unwrap();
    for (target, source) in
        [("/proc", &folder), ("/proc/sys", &folder), ("/etc/self/attr", &folder), ("/etc/hosts", &file)]
    {
        b.spec.mounts.push(mount(target, "bind", source, &["rbind"]));
        let error = b.run().err().unwrap();
        assert!(error.detail.contains("inside /proc"), "{target}: {error}");
        b.spec.mounts.pop();
    }
    b.spec.mounts.push(mount("/proc/acpi", "tmpfs", "tmpfs", &[]));
    assert!(b.run().err().unwrap().detail.contains("inside /proc"));
    b.spec.mounts.pop();
    b.spec.mounts.push(mount("/proc/uptime", "bind", &file, &["bind"]));
    assert_eq!(b.run().unwrap().out, "a machine of nothing\n");
    b.spec.mounts.pop();
    b.spec.mounts.push(mount("/proc", "bind", "/proc", &["rbind"]));
    assert_ne!(b.run().unwrap().out, "");
    b.done();
}

fn binds() {
    let mut b = Box::new(&["probe", "cat", "/etc/hosts", "/data/file"]);
    fs::write(b.dir.join("hosts"), "127.0.0.1 me\n").unwrap();
    fs::create_dir(b.dir.join("data")).unwrap();
    fs::write(b.dir.join("data/file"), "content\n").unwrap();
    std::os::unix::fs::symlink("../run/not/there", b.dir.join("lower/etc/hosts")).unwrap();
    let (hosts, data) = (b.dir.join("hosts"), b.dir.join("data"));
    b.spec.mounts.push(mount("/etc/hosts", "bind", hosts.to_str().unwrap(), &["rbind", "rprivate"]));
    b.spec.mounts.push(mount(
        "/data",
        "bind",
        data.to_str().unwrap(),
        &["rbind", "ro", "nosuid", "rprivate"],
    ));
    assert_eq!(b.run().unwrap().out, "127.0.0.1 me\ncontent\n");
    b.process().args = words(&["probe", "write", "/data/file", "x"]);
    assert_eq!(b.run().unwrap().out, "30\n");
    b.spec.mounts.push(mount("/data", "bind", hosts.to_str().unwrap(), &["bind"]));
    assert!(b.run().err().unwrap().detail.contains("folder"));
    b.spec.mounts.pop();
    b.spec.mounts.push(mount("/x", "bind", "/does/not/exist", &["bind"]));
    let error = b.run().err().unwrap();
    assert_eq!((error.object.as_str(), error.errno), ("/does/not/exist", 2));
    b.done();
}

fn terminal() {
    let mut b = Box::new(&["probe", "tty"]);
    b.process().terminal = true;
    let mut process = create(&b.plan().unwrap(), None, Stdio::Terminal { size: (24, 80) }).unwrap();
    let master = process.console().unwrap();
    assert_eq!(rustix::termios::tcgetwinsize(&master).unwrap().ws_col, 80);
    process.go().unwrap();
    // Reading a pty whose other end closed says EIO, after what was written.
    let (mut out, mut buffer) = (Vec::new(), [0u8; 4096]);
    while let Ok(n @ 1..) = rustix::io::read(&master, &mut buffer) {
        out.extend_from_slice(&buffer[..n]);
    }
    assert_eq!(String::from_utf8_lossy(&out), "true true\r\n");
    assert_eq!(wait(&process), 0);
    remove_cgroups(b.plan().unwrap().cgroup_dirs()).unwrap();
    drop(process);
    b.process().args = words(&["probe", "links", "/proc/self/fd/0"]);
    b.process().terminal = false;
    assert_eq!(b.run().unwrap().out, "/dev/null\n");
    b.done();
}

fn cgroups() {
    let mut b = Box::new(&["probe", "hold"]);
    let resources = b.linux().resources.as_mut().unwrap();
    resources.memory =
        Some(spec::Memory { limit: Some(64 << 20), swap: Some(64 << 20), ..Default::default() });
    resources.cpu = Some(spec::Cpu {
        shares: Some(512),
        quota: Some(50_000),
        period: Some(100_000),
        ..Default::default()
    });
    resources.pids = Some(spec::Pids { limit: 50 });
    let (process, _read) = b.start().unwrap();
    let plan = b.plan().unwrap();
    let dirs = plan.cgroup_dirs();
    let used = usage(dirs).unwrap();
    assert_eq!((used.memory_limit, used.pids_limit), (64 << 20, 50));
    assert!(used.memory > 0 && used.pids >= 1 && used.cpu_total > 0, "{used:?}");
    let smaller = spec::Resources {
        memory: Some(spec::Memory { limit: Some(128 << 20), swap: Some(256 << 20), ..Default::default() }),
        pids: Some(spec::Pids { limit: 70 }),
        ..Default::default()
    };
    update(dirs, &smaller, &b.host).unwrap();
    let used = usage(dirs).unwrap();
    assert_eq!((used.memory_limit, used.pids_limit), (128 << 20, 70));
    assert_eq!(processes(dirs).unwrap(), [process.pid().as_raw_nonzero().get()]);
    freeze(dirs, true).unwrap();
    let status = fs::read_to_string(format!("/proc/{}/stat", process.pid().as_raw_nonzero())).unwrap();
    assert!(status.contains(") D ") || status.contains(") S "), "{status}");
    freeze(dirs, false).unwrap();
    // Removing kills what is left.
    remove_cgroups(dirs).unwrap();
    assert_eq!(wait(&process), 137);
    drop(process);
    b.done();
}

fn failure_leaves_nothing() {
    let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mut b = Box::new(&["probe", "exit", "0"]);
    b.spec.mounts.push(mount("/x", "nonsense", "x", &[]));
    assert_eq!(b.run().err().unwrap().object, "nonsense");
    b.spec.mounts.pop();
    b.linux().resources.as_mut().unwrap().cpu = Some(spec::Cpu { quota: Some(1), ..Default::default() });
    let error = b.run().err().unwrap();
    let file = if b.host.cgroup_v2() { "cpu.max" } else { "cpu.cfs_quota_us" };
    assert!(error.object.ends_with(file), "{error}");
    assert!(!b.dir.join("upper").exists() && !b.dir.join("work").exists());
    assert_eq!(before, fs::read_to_string("/proc/self/mountinfo").unwrap());
    b.done();
}

fn user_and_privileges() {
    let mut b = Box::new(&["probe", "cat", "/proc/self/status", "/proc/self/limits"]);
    let process = b.process();
    process.user = spec::User { uid: 1000, gid: 100, umask: Some(0o27), additional_gids: vec![7, 8] };
    process.no_new_privileges = true;
    process.cwd = "/srv/app".to_owned();
    process.rlimits = vec![spec::Rlimit { kind: "RLIMIT_NOFILE".into(), hard: 512, soft: 256 }];
    let capabilities = process.capabilities.as_mut().unwrap();
    capabilities.ambient = words(&["CAP_NET_BIND_SERVICE"]);
    capabilities.inheritable = capabilities.ambient.clone();
    let out = b.run().unwrap().out;
    for line in [
        "Uid:\t1000\t1000\t1000\t1000",
        "Gid:\t100\t100\t100\t100",
        "Groups:\t7 8 ",
        "Umask:\t0027",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "CapAmb:\t0000000000000400",
        "CapEff:\t0000000000000400",
        "SigBlk:\t0000000000000000",
    ] {
        assert!(out.lines().any(|l| l == line), "{line}: {out}");
    }
    assert!(out.contains("Max open files            256                  512"), "{out}");
    b.process().args = words(&["probe", "pwd"]);
    assert_eq!(b.run().unwrap().out, "/srv/app\n");
    // Docker's profile: no new namespaces without CAP_SYS_ADMIN, and clone3 is ENOSYS so that libraries fall back.
    b.process().args = words(&["probe", "calls"]);
    assert_eq!(b.run().unwrap().out, "mount 1\nclone3 38\n");
    b.done();
}

fn dropped_before_go() {
    let b = Box::new(&["probe", "hold"]);
    let null = fs::File::open("/dev/null").unwrap();
    let process = create(&b.plan().unwrap(), None, Stdio::Fds([null.as_fd(); 3])).unwrap();
    let pid = process.pid();
    drop(process);
    assert!(rustix::process::test_kill_process(pid).is_err());
    b.done();
}

fn home() {
    let mut b = Box::new(&["probe", "env"]);
    fs::write(
        b.dir.join("lower/etc/passwd"),
        "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh",
    )
    .unwrap();
    let home = |out: String| out.lines().find(|l| l.starts_with("HOME=")).map(str::to_owned);
    for (uid, expected) in [(0, "HOME=/root"), (1000, "HOME=/home/app"), (77, "HOME=/")] {
        b.process().user.uid = uid;
        assert_eq!(home(b.run().unwrap().out).as_deref(), Some(expected));
    }
    b.process().env.push("HOME=/mine".to_owned());
    assert_eq!(home(b.run().unwrap().out).as_deref(), Some("HOME=/mine"));
    b.done();
}

fn init() {
    let mut b = Box::new(&["probe", "orphans"]);
    b.options.init = Some(b.dir.join("lower/bin/probe"));
    let ended = b.run().unwrap();
    assert_eq!((ended.out.as_str(), ended.code), ("zombies 0\n", 5));
    b.process().args = words(&["nothing"]);
    assert_eq!(b.run().unwrap().code, 127);
    b.process().args = words(&["probe", "hold"]);
    let (process, _read) = b.start().unwrap();
    // PID 1 has no default actions: only an init that passes it on ends by it.
    pidfd_send_signal(process.pidfd(), Signal::TERM).unwrap();
    assert_eq!(wait(&process), 143);
    remove_cgroups(b.plan().unwrap().cgroup_dirs()).unwrap();
    drop(process);
    b.done();
}

fn unified() {
    let Ok(host) = dhow_runtime::Host::observe_unified() else {
        println!("    skipped: no cgroup v2 here");
        return;
    };
    let mut b = Box::new(&["probe", "hold"]);
    b.host = host;
    let (process, _read) = b.start().unwrap();
    let plan = b.plan().unwrap();
    let dirs = plan.cgroup_dirs();
    assert_eq!(processes(dirs).unwrap(), [process.pid().as_raw_nonzero().get()]);
    // The device program is in force: /dev/null may be opened, the console of the host may not.
    let ended = b.exec(&process, |p| p.args = words(&["probe", "device", "/tmp/a", "1", "3"])).unwrap();
    assert_eq!(ended.out, "opened\n");
    let ended = b.exec(&process, |p| p.args = words(&["probe", "device", "/tmp/b", "1", "11"])).unwrap();
    assert_eq!(ended.out, "1\n");
    let ended = b.exec(&process, |p| p.args = words(&["probe", "ls", "/sys/fs/cgroup"])).unwrap();
    assert!(ended.out.contains("cgroup.procs"), "{}", ended.out);
    freeze(dirs, true).unwrap();
    freeze(dirs, false).unwrap();
    remove_cgroups(dirs).unwrap();
    assert_eq!(wait(&process), 137);
    drop(process);
    b.done();
}

fn joined() {
    let a = Box::new(&["probe", "hold"]);
    let (process, _read) = a.start().unwrap();
    let pid = process.pid().as_raw_nonzero();
    let mut b =
        Box::beside(&a, &["probe", "links", "/proc/self/ns/pid", "/proc/self/ns/ipc", "/proc/self/ns/net"]);
    for (kind, file) in [("pid", "pid"), ("ipc", "ipc"), ("network", "net")] {
        let namespaces = &mut b.linux().namespaces;
        let one = namespaces.iter_mut().find(|n| n.kind == kind).unwrap();
        one.path = Some(format!("/proc/{pid}/ns/{file}"));
    }
    let expected: String = ["pid", "ipc", "net"]
        .map(|kind| format!("{}\n", fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap().display()))
        .concat();
    assert_eq!(b.run().unwrap().out, expected);
    end(&a, &process);
    drop(process);
    b.done();
    a.done();
}

/// Not a benchmark: it prints where a start is.
fn start_cost() {
    let b = Box::new(&["probe", "exit", "0"]);
    let mut rounds = Vec::new();
    for _ in 0..25 {
        let null = fs::File::open("/dev/null").unwrap();
        let begun = std::time::Instant::now();
        let plan = b.plan().unwrap();
        let planned = begun.elapsed();
        let mut process = create(&plan, None, Stdio::Fds([null.as_fd(); 3])).unwrap();
        let created = begun.elapsed();
        process.go().unwrap();
        let gone = begun.elapsed();
        assert_eq!(wait(&process), 0);
        let ended = begun.elapsed();
        remove_cgroups(plan.cgroup_dirs()).unwrap();
        rounds.push([planned, created - planned, gone - created, ended - gone]);
    }
    for (index, name) in ["plan", "create", "go", "run and exit"].iter().enumerate() {
        let mut times: Vec<_> = rounds.iter().map(|r| r[index]).collect();
        times.sort();
        println!("    {name}: median {:?}, best {:?}", times[times.len() / 2], times[0]);
    }
    b.done();
}
