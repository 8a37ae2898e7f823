//! Options of mounts, devices of all kinds, and ways into the root.

use crate::cases::{mount, words};
use crate::fixture::Box;
use dhow_oci::runtime as spec;
use rustix::mount::{MountFlags, UnmountFlags, unmount};
use std::fs;
use std::os::unix::fs::{PermissionsExt, lchown};

pub(crate) const CASES: &[(&str, fn())] = &[
    ("root_recursive_attributes", recursive),
    ("root_mount_options", options),
    ("root_tmpfs_takes_the_folders_mode", tmpfs_mode),
    ("root_tmpcopyup", copy_up),
    ("root_remount", remount),
    ("root_devices_of_all_kinds", devices),
    ("root_devices_without_mknod", without_mknod),
    ("root_no_pivot", no_pivot),
    ("root_paths_relative_to_the_bundle", bundle),
    ("root_refusals_are_sentences", refusals),
];

/// The options of the mount at `path`, as mountinfo has them.
fn attributes(out: &str, path: &str) -> String {
    let line = out.lines().rfind(|l| l.split(' ').nth(4) == Some(path));
    line.unwrap_or_else(|| panic!("{path} is not in {out}")).split(' ').nth(5).unwrap().to_owned()
}

fn recursive() {
    let mut b = Box::new(&["probe", "cat", "/proc/self/mountinfo"]);
    let data = b.dir.join("data");
    fs::create_dir_all(data.join("sub")).unwrap();
    rustix::mount::mount("t", data.join("sub"), "tmpfs", MountFlags::empty(), None).unwrap();
    let source = data.to_str().unwrap().to_owned();
    let run = |b: &mut Box, options: &[&str]| {
        let mut all = vec!["rbind"];
        all.extend(options);
        b.spec.mounts.push(mount("/data", "bind", &source, &all));
        let out = b.run().map(|ended| (attributes(&ended.out, "/data"), attributes(&ended.out, "/data/sub")));
        b.spec.mounts.pop();
        out.unwrap()
    };
    let (top, sub) = run(&mut b, &["ro", "nosuid"]);
    assert!(top.starts_with("ro,nosuid") && sub.starts_with("rw"), "{top} {sub}");
    let (top, sub) = run(&mut b, &["rro", "rnosuid", "rnodev", "rnoexec", "rnoatime", "rnosymfollow"]);
    for attributes in [&top, &sub] {
        for word in ["ro", "nosuid", "nodev", "noexec", "noatime", "nosymfollow"] {
            assert!(attributes.split(',').any(|a| a == word), "{word}: {attributes}");
        }
    }
    // What is said of the top mount alone is not taken back by what is said of all.
    let (top, sub) = run(&mut b, &["rro", "rw"]);
    assert!(top.starts_with("rw") && sub.starts_with("ro"), "{top} {sub}");
    let (_, sub) = run(&mut b, &["rro", "rrw"]);
    assert!(sub.starts_with("rw"), "{sub}");
    unmount(data.join("sub"), UnmountFlags::DETACH).unwrap();
    b.done();
}

fn options() {
    let mut b = Box::new(&["probe", "cat", "/proc/self/mountinfo"]);
    let words =
        ["ro", "nosuid", "nodev", "noexec", "sync", "dirsync", "strictatime", "nodiratime", "size=4k"];
    b.spec.mounts.push(mount("/data", "tmpfs", "tmpfs", &words));
    b.spec.mounts.push(mount(
        "/lazy",
        "tmpfs",
        "tmpfs",
        &["lazytime", "relatime", "loud", "silent", "defaults"],
    ));
    b.spec.mounts.push(mount("from/root", "tmpfs", "tmpfs", &[]));
    let out = b.run().unwrap().out;
    let line = out.lines().find(|l| l.contains(" /data ")).unwrap();
    for word in ["ro,nosuid,nodev,noexec", "nodiratime", "sync", "dirsync", "size=4k"] {
        assert!(line.contains(word), "{word}: {line}");
    }
    assert!(out.contains(" /from/root ") && b.plan().unwrap().warnings().join("").contains("from/root"));
    assert!(out.lines().find(|l| l.contains(" /lazy ")).unwrap().contains("lazytime"), "{out}");
    b.done();
}

fn tmpfs_mode() {
    let mut b = Box::new(&["probe", "stat", "/there", "/made", "/said"]);
    for (name, mode) in [("there", 0o710), ("said", 0o710)] {
        let path = b.dir.join("lower").join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    b.spec.mounts.push(mount("/there", "tmpfs", "tmpfs", &[]));
    b.spec.mounts.push(mount("/made", "tmpfs", "tmpfs", &[]));
    b.spec.mounts.push(mount("/said", "tmpfs", "tmpfs", &["mode=700"]));
    assert_eq!(b.run().unwrap().out, "/there 40710 0:0 0\n/made 41777 0:0 0\n/said 40700 0:0 0\n");
    b.done();
}

fn copy_up() {
    let mut b = Box::new(&["probe", "stat", "/srv", "/srv/a", "/srv/a/file", "/srv/link", "/srv/pipe"]);
    let srv = b.dir.join("lower/srv");
    fs::create_dir_all(srv.join("a")).unwrap();
    fs::write(srv.join("a/file"), vec![b'x'; 3 << 20]).unwrap();
    fs::set_permissions(srv.join("a/file"), fs::Permissions::from_mode(0o4750)).unwrap();
    lchown(srv.join("a"), Some(7), Some(8)).unwrap();
    std::os::unix::fs::symlink("/etc/plain", srv.join("link")).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, srv.join("pipe"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    lchown(&srv, Some(33), Some(34)).unwrap();
    fs::set_permissions(&srv, fs::Permissions::from_mode(0o750)).unwrap();
    b.spec.mounts.push(mount("/srv", "tmpfs", "tmpfs", &["tmpcopyup", "ro"]));
    let expected = "/srv 40750 33:34 0\n/srv/a 40755 7:8 0\n/srv/a/file 104750 0:0 0\n/srv/link 120777 0:0 0\n/srv/pipe 10600 0:0 0\n";
    assert_eq!(b.run().unwrap().out, expected);
    b.process().args = words(&["probe", "cat", "/srv/a/file"]);
    assert_eq!(b.run().unwrap().out.len(), 3 << 20);
    b.process().args = words(&["probe", "write", "/srv/new", "x"]);
    assert_eq!(b.run().unwrap().out, "30\n");
    // A folder that the image does not have is an empty tmpfs.
    b.spec.mounts.last_mut().unwrap().destination = "/nothing".to_owned();
    b.process().args = words(&["probe", "ls", "/nothing"]);
    assert_eq!(b.run().unwrap().out, "\n");
    b.done();
}

fn remount() {
    let mut b = Box::new(&["probe", "cat", "/proc/self/mountinfo"]);
    b.spec.mounts.push(mount("/dev/shm", "", "", &["remount", "ro", "noatime"]));
    let out = b.run().unwrap().out;
    assert!(attributes(&out, "/dev/shm").starts_with("ro,nosuid,nodev,noexec,noatime"), "{out}");
    b.spec.mounts.last_mut().unwrap().options.push("size=1".to_owned());
    assert!(b.run().err().unwrap().to_string().contains("cannot change"));
    b.done();
}

fn devices() {
    let mut b = Box::new(&["probe", "stat", "/dev/fuse", "/dev/loop7", "/dev/deep/pipe", "/dev/zero"]);
    let device = |kind: &str, path: &str, major, minor, uid| spec::Device {
        kind: kind.to_owned(),
        path: path.to_owned(),
        major,
        minor,
        file_mode: Some(0o640),
        uid: Some(uid),
        gid: Some(6),
    };
    b.linux().devices = vec![
        device("c", "/dev/fuse", 10, 229, 5),
        device("b", "/dev/loop7", 7, 7, 0),
        device("p", "/dev/deep/pipe", 0, 0, 5),
        device("u", "/dev/zero", 1, 5, 0),
    ];
    let out = b.run().unwrap().out;
    let expected = "/dev/fuse 20640 5:6 ae5\n/dev/loop7 60640 0:6 707\n/dev/deep/pipe 10640 5:6 0\n/dev/zero 20640 0:6 105\n";
    assert_eq!(out, expected);
    b.process().args = words(&["probe", "links", "/dev/fd", "/dev/stdin", "/dev/stderr", "/dev/ptmx"]);
    assert_eq!(b.run().unwrap().out, "/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/2\npts/ptmx\n");
    b.done();
}

fn without_mknod() {
    use rustix::thread::{
        CapabilitySet, capabilities, remove_capability_from_bounding_set, set_capabilities,
    };
    let mut b = Box::new(&["probe", "stat", "/dev/null"]);
    remove_capability_from_bounding_set(CapabilitySet::MKNOD).unwrap();
    let mut sets = capabilities(None).unwrap();
    sets.effective.remove(CapabilitySet::MKNOD);
    sets.permitted.remove(CapabilitySet::MKNOD);
    set_capabilities(None, sets).unwrap();
    b.host = dhow_runtime::Host::observe().unwrap();
    assert_eq!(b.run().unwrap().out, "/dev/null 20666 0:0 103\n");
    b.process().args = words(&["probe", "write", "/dev/null", "x"]);
    assert_eq!(b.run().unwrap().code, 0);
    // Nothing but what was asked for takes its place.
    b.linux().devices = vec![spec::Device {
        kind: "c".into(),
        path: "/dev/null".into(),
        major: 1,
        minor: 5,
        ..Default::default()
    }];
    let error = b.run().err().unwrap();
    assert_eq!((error.step.as_str(), error.object.as_str(), error.errno), ("mknod", "/dev/null", 1));
    b.done();
}

fn no_pivot() {
    let mut b = Box::new(&["probe", "cat", "/proc/self/mountinfo", "/etc/plain"]);
    b.options.no_pivot = true;
    let out = b.run().unwrap().out;
    assert!(out.ends_with("not a program"), "{out}");
    assert!(attributes(&out, "/").starts_with("rw"), "{out}");
    // The host's tree is above, out of reach: the root's parent is the root.
    b.process().args = words(&["probe", "ls", "/../../.."]);
    assert!(b.run().unwrap().out.starts_with("bin dev etc"));
    b.process().cwd = "/proc/self/fd/9".to_owned();
    b.options.make_cwd = false;
    assert_eq!(b.run().err().unwrap().step, "chdir");
    b.done();
}

fn bundle() {
    let mut b = Box::new(&["probe", "cat", "/data/file"]);
    b.options.bundle = b.dir.to_str().unwrap().to_owned();
    b.options.rootfs = dhow_runtime::RootFs::Path;
    b.spec.root.as_mut().unwrap().path = "lower".to_owned();
    fs::create_dir(b.dir.join("data")).unwrap();
    fs::write(b.dir.join("data/file"), "from the bundle\n").unwrap();
    b.spec.mounts.push(mount("/data", "bind", "data", &["bind"]));
    assert_eq!(b.run().unwrap().out, "from the bundle\n");
    b.options.bundle.clear();
    assert!(b.run().err().unwrap().to_string().contains("must be absolute"));
    b.options.bundle = b.dir.to_str().unwrap().to_owned();
    b.done();
}

fn refusals() {
    let refused = |sentence: &str, change: fn(&mut Box)| {
        let mut b = Box::new(&["probe", "exit", "0"]);
        change(&mut b);
        let error = b.plan().err().unwrap().to_string();
        assert!(error.contains(sentence), "{sentence}: {error}");
        fs::remove_dir_all(&b.dir).unwrap();
    };
    refused("linux.intelRdt: is not supported", |b| b.linux().intel_rdt = Some(spec::IntelRdt::default()));
    refused("only 1.x is known", |b| b.spec.oci_version = "2.0.0".to_owned());
    refused("only 1.x is known", |b| b.spec.oci_version.clear());
    refused("must be absolute", |b| b.linux().masked_paths.push("proc/keys".to_owned()));
    refused("must be absolute", |b| b.linux().readonly_paths.push("proc/sys".to_owned()));
    refused("no SELinux", |b| b.process().selinux_label = Some("system_u:x".to_owned()));
    refused("no SELinux", |b| b.linux().mount_label = Some("system_u:x".to_owned()));
    refused("listed twice", |b| {
        let limit = spec::Rlimit { kind: "RLIMIT_NOFILE".into(), hard: 5, soft: 5 };
        b.process().rlimits = vec![limit.clone(), limit];
    });
    refused("tmpcopyup is for a tmpfs", |b| b.spec.mounts.push(mount("/x", "proc", "proc", &["tmpcopyup"])));
}
