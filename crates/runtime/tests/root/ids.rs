//! User namespaces, id-mapped mounts, and namespaces that are joined.

use crate::cases::{end, mount, words};
use crate::fixture::{Box, finish};
use dhow_oci::runtime as spec;
use dhow_runtime::{RootFs, Stdio, create};
use rustix::fd::AsFd;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::Path;

pub(crate) const CASES: &[(&str, fn())] = &[
    ("root_userns", userns),
    ("root_userns_exec_and_join", exec_and_join),
    ("root_userns_bound_root_behind_closed_folders", bound_root),
    ("root_userns_limits_from_outside", limits),
    ("root_userns_with_the_hosts_network", hosts_network),
    ("root_idmapped_mounts", idmapped),
    ("root_time_namespace", time),
    ("root_joined_mount_namespace", joined_mounts),
];

const FIRST: u32 = 100_000;

fn maps() -> Vec<spec::IdMapping> {
    vec![spec::IdMapping { container_id: 0, host_id: FIRST, size: 65_536 }]
}

fn own(path: &Path) {
    lchown(path, Some(FIRST), Some(FIRST)).unwrap();
    if path.is_dir() && !path.is_symlink() {
        fs::read_dir(path).unwrap().for_each(|entry| own(&entry.unwrap().path()));
    }
}

/// A container with a user namespace of its own, whose files belong to its root.
fn mapped(args: &[&str]) -> Box {
    let mut b = Box::new(args);
    map(&mut b);
    b
}

pub(crate) fn map(b: &mut Box) {
    own(&b.dir.join("lower"));
    plain(b);
    let linux = b.linux();
    linux.namespaces.push(spec::Namespace { kind: "user".to_owned(), path: None });
    (linux.uid_mappings, linux.gid_mappings) = (maps(), maps());
}

/// An older kernel mounts no overlay for a user namespace: then the root is a plain folder.
fn plain(b: &mut Box) {
    if b.host.kernel() < (6, 8) {
        b.options.rootfs = RootFs::Path;
        b.spec.root.as_mut().unwrap().path = b.dir.join("lower").to_string_lossy().into_owned();
    }
}

fn userns() {
    let mut b = mapped(&["probe", "cat", "/proc/self/uid_map", "/proc/self/gid_map", "/proc/self/status"]);
    let out = b.run().unwrap().out;
    let line = "         0     100000      65536\n";
    assert!(out.starts_with(&format!("{line}{line}")), "{out}");
    for expected in ["Uid:\t0\t0\t0\t0", "Groups:\t0 10 ", "CapEff:\t00000000a80425fb", "Seccomp:\t2"] {
        assert!(out.lines().any(|l| l == expected), "{expected}: {out}");
    }
    // Devices are the host's, bound; the null one takes what is written.
    b.process().args = words(&["probe", "stat", "/dev/null", "/dev/tty", "/dev/ptmx", "/etc"]);
    let out = b.run().unwrap().out;
    assert!(out.contains("/dev/null 20666 65534:65534 103\n"), "{out}");
    assert!(out.contains("/etc 40755 0:0 0\n"), "{out}");
    b.process().args = words(&["probe", "write", "/dev/null", "x"]);
    assert_eq!(b.run().unwrap().code, 0);
    // Its pipes are its own.
    b.process().args = words(&["probe", "write", "/dev/stdout", "again"]);
    assert_eq!(b.run().unwrap().out, "again");
    // What root makes is the mapped user's outside.
    b.process().args = words(&["probe", "make", "/made"]);
    assert_eq!(b.run().unwrap().code, 0);
    let made =
        ["upper/made", "lower/made"].map(|path| b.dir.join(path)).into_iter().find(|path| path.exists());
    assert_eq!(fs::metadata(made.unwrap()).unwrap().uid(), FIRST);
    // Another user, with a capability that a new user namespace has though the host's set may not.
    b.process().user = spec::User { uid: 1000, gid: 100, umask: None, additional_gids: vec![7] };
    b.process().capabilities = Some(spec::Capabilities {
        bounding: words(&["CAP_SYS_RESOURCE"]),
        permitted: words(&["CAP_SYS_RESOURCE"]),
        effective: words(&["CAP_SYS_RESOURCE"]),
        ..Default::default()
    });
    b.process().args = words(&["probe", "cat", "/proc/self/status"]);
    let out = b.run().unwrap().out;
    for expected in ["Uid:\t1000\t1000\t1000\t1000", "Groups:\t7 ", "CapBnd:\t0000000001000000"] {
        assert!(out.lines().any(|l| l == expected), "{expected}: {out}");
    }
    b.process().user.uid = 70_000;
    assert!(b.run().err().unwrap().to_string().contains("process.user.uid: 70000 is in no range"));
    b.done();
}

fn exec_and_join() {
    let a = mapped(&["probe", "hold"]);
    let (process, _read) = a.start().unwrap();
    let ended = a
        .exec(&process, |p| {
            p.args = words(&["probe", "cat", "/proc/self/uid_map", "/proc/self/status"]);
            p.user.uid = 5;
        })
        .unwrap();
    assert!(ended.out.contains("     100000 ") && ended.out.contains("Uid:\t5\t5\t5\t5"), "{}", ended.out);
    // Everything of the first but the mounts, the user namespace among it.
    let pid = process.pid().as_raw_nonzero();
    let links = ["user", "pid", "ipc", "net", "uts"];
    let paths: Vec<String> = links.iter().map(|kind| format!("/proc/self/ns/{kind}")).collect();
    let mut b = Box::beside(&a, &["probe", "links"]);
    own(&b.dir.join("lower"));
    plain(&mut b);
    b.process().args.extend(paths);
    let joined = [("user", "user"), ("pid", "pid"), ("ipc", "ipc"), ("network", "net"), ("uts", "uts")];
    b.linux().namespaces.retain(|n| n.kind == "mount");
    for (kind, file) in joined {
        let path = Some(format!("/proc/{pid}/ns/{file}"));
        b.linux().namespaces.push(spec::Namespace { kind: kind.to_owned(), path });
    }
    b.linux().sysctl.clear();
    b.spec.hostname = None;
    let expected: String = links
        .map(|kind| format!("{}\n", fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap().display()))
        .concat();
    assert_eq!(b.run().unwrap().out, expected);
    // A pid namespace of its own in the joined user namespace: it is owned by it, or /proc could not be mounted.
    b.linux().namespaces.iter_mut().find(|n| n.kind == "pid").unwrap().path = None;
    b.process().args = words(&["probe", "cat", "/proc/self/status"]);
    let out = b.run().unwrap().out;
    assert!(out.contains("\nPid:\t1\n"), "{out}");
    // A new user namespace around namespaces that exist: joined while the host's privileges hold.
    let netns = format!("/proc/{}/ns/net", std::process::id());
    let mut c = Box::beside(&b, &["probe", "links", "/proc/self/ns/net"]);
    map(&mut c);
    c.linux().namespaces.iter_mut().find(|n| n.kind == "network").unwrap().path = Some(netns.clone());
    c.linux().sysctl.clear();
    assert_eq!(c.run().unwrap().out.trim(), fs::read_link(netns).unwrap().to_string_lossy());
    c.done();
    end(&a, &process);
    drop(process);
    b.done();
    a.done();
}

fn bound_root() {
    let mut b = mapped(&["probe", "cat", "/data/file"]);
    // Nobody but the host's root gets here; the mounts are made with its privileges.
    let closed = b.dir.join("closed");
    fs::create_dir_all(closed.join("data")).unwrap();
    fs::write(closed.join("data/file"), "behind\n").unwrap();
    fs::rename(b.dir.join("lower"), closed.join("root")).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    b.options.rootfs = dhow_runtime::RootFs::Path;
    b.spec.root.as_mut().unwrap().path = closed.join("root").to_str().unwrap().to_owned();
    b.spec.mounts.push(mount("/data", "bind", closed.join("data").to_str().unwrap(), &["rbind", "ro"]));
    assert_eq!(b.run().unwrap().out, "behind\n");
    b.process().args = words(&["probe", "write", "/data/file", "x"]);
    assert_eq!(b.run().unwrap().out, "30\n");
    b.done();
}

fn limits() {
    let mut b = mapped(&["probe", "cat", "/proc/self/limits", "/proc/self/oom_score_adj"]);
    b.process().rlimits = vec![spec::Rlimit { kind: "RLIMIT_NOFILE".into(), hard: 2048, soft: 512 }];
    b.process().oom_score_adj = Some(500);
    let out = b.run().unwrap().out;
    assert!(out.contains("Max open files            512                  2048"), "{out}");
    assert!(out.ends_with("500\n"), "{out}");
    b.done();
}

fn hosts_network() {
    let mut b = mapped(&["probe", "ls", "/sys/class/net"]);
    b.linux().namespaces.retain(|n| n.kind != "network");
    b.linux().sysctl.clear();
    // The kernel refuses a sysfs of somebody else's network: the host's is bound.
    assert!(b.run().unwrap().out.contains("lo"));
    b.done();
}

fn idmapped() {
    let mut b = Box::new(&["probe", "stat", "/data/file", "/data/deep/file"]);
    let data = b.dir.join("data");
    fs::create_dir_all(data.join("deep")).unwrap();
    for file in ["file", "deep/file"] {
        fs::write(data.join(file), "x").unwrap();
        lchown(data.join(file), Some(1000), Some(1001)).unwrap();
    }
    let mut bind = mount("/data", "bind", data.to_str().unwrap(), &["rbind"]);
    let range = |container_id, host_id| vec![spec::IdMapping { container_id, host_id, size: 1 }];
    // On disk 1000:1001, in the mount 5:6.
    (bind.uid_mappings, bind.gid_mappings) = (range(1000, 5), range(1001, 6));
    b.spec.mounts.push(bind.clone());
    let out = b.run().unwrap().out;
    assert_eq!(out, "/data/file 100644 5:6 0\n/data/deep/file 100644 5:6 0\n");
    // Only half of it, or nothing to map by.
    b.spec.mounts.last_mut().unwrap().gid_mappings.clear();
    assert!(b.run().err().unwrap().to_string().contains("belong together"));
    let last = b.spec.mounts.last_mut().unwrap();
    last.uid_mappings.clear();
    last.options.push("idmap".to_owned());
    assert!(b.run().err().unwrap().to_string().contains("or a user namespace"));
    // With the container's own map what is 1000 on disk is 1000 inside.
    map(&mut b);
    let out = b.run().unwrap().out;
    assert!(out.starts_with("/data/file 100644 1000:1001 0\n"), "{out}");
    // Without it belongs to nobody there.
    b.spec.mounts.last_mut().unwrap().options.pop();
    let out = b.run().unwrap().out;
    assert!(out.starts_with("/data/file 100644 65534:65534 0\n"), "{out}");
    let error = {
        b.spec.mounts.push(mount("/x", "bind", "/proc", &["idmap"]));
        b.run().err().unwrap()
    };
    assert_eq!((error.step.as_str(), error.object.as_str()), ("map ids of", "/proc"), "{error}");
    b.spec.mounts.pop();
    b.done();
}

fn time() {
    let offset = |secs| spec::TimeOffset { secs, nanosecs: 0 };
    for in_userns in [false, true] {
        let mut b = Box::new(&["probe", "clocks"]);
        if in_userns {
            map(&mut b);
        }
        b.linux().namespaces.push(spec::Namespace { kind: "time".to_owned(), path: None });
        b.linux().time_offsets.insert("monotonic".to_owned(), offset(1_000_000));
        b.linux().time_offsets.insert("boottime".to_owned(), offset(2_000_000));
        let clocks = |out: &str| -> Vec<i64> { out.split_whitespace().map(|n| n.parse().unwrap()).collect() };
        let here = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic).tv_sec;
        let [monotonic, boottime] = clocks(&b.run().unwrap().out)[..] else { panic!("two clocks") };
        assert!((1_000_000..1_000_100).contains(&(monotonic - here)), "{monotonic} {here}");
        assert!((1_999_900..2_100_000).contains(&(boottime - here)), "{boottime} {here}");
        // An additional process, and another container, are in it too.
        b.process().args = words(&["probe", "hold"]);
        let (process, _read) = b.start().unwrap();
        let ended = b.exec(&process, |p| p.args = words(&["probe", "clocks"])).unwrap();
        assert!(clocks(&ended.out)[0] - here < 1_000_100 && clocks(&ended.out)[0] >= 1_000_000);
        if !in_userns {
            let mut c = Box::beside(&b, &["probe", "clocks"]);
            let path = Some(format!("/proc/{}/ns/time", process.pid().as_raw_nonzero()));
            c.linux().namespaces.push(spec::Namespace { kind: "time".to_owned(), path });
            assert!(clocks(&c.run().unwrap().out)[0] >= 1_000_000);
            c.done();
        }
        end(&b, &process);
        drop(process);
        // Without offsets it is one of its own all the same.
        b.linux().time_offsets.clear();
        b.process().args = words(&["probe", "links", "/proc/self/ns/time"]);
        let ours = fs::read_link("/proc/self/ns/time").unwrap();
        assert_ne!(b.run().unwrap().out.trim(), ours.to_string_lossy());
        b.done();
    }
}

/// A container in the mount namespace of a process that is none: it sees what is mounted there, and leaves that process its root.
fn joined_mounts() {
    let mut holder = std::process::Command::new("unshare")
        .args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            "mount -t tmpfs t /mnt && echo here >/mnt/file && echo ready && exec sleep 1000",
        ])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = [0; 6];
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut ready).unwrap();
    let mut b = Box::new(&["probe", "cat", "/data/file"]);
    b.options.rootfs = dhow_runtime::RootFs::Path;
    b.spec.root.as_mut().unwrap().path = b.dir.join("lower").to_str().unwrap().to_owned();
    let namespace = format!("/proc/{}/ns/mnt", holder.id());
    b.linux().namespaces.iter_mut().find(|n| n.kind == "mount").unwrap().path = Some(namespace);
    b.spec.mounts.push(mount("/data", "bind", "/mnt", &["rbind"]));
    let null = fs::File::open("/dev/null").unwrap();
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let stdio = Stdio::Fds([null.as_fd(), write.as_fd(), write.as_fd()]);
    let mut process = create(&b.plan().unwrap(), None, stdio).unwrap();
    process.go().unwrap();
    drop(write);
    assert_eq!(finish(&mut process, read).out, "here\n");
    let root = format!("/proc/{}/root/etc/hostname", holder.id());
    assert!(fs::exists(&root).unwrap(), "the holder lost its root");
    dhow_runtime::remove_cgroups(b.plan().unwrap().cgroup_dirs()).unwrap();
    drop(process);
    holder.kill().unwrap();
    holder.wait().unwrap();
    b.done();
}
