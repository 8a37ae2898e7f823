//! Images and hosts that lead the runtime astray, and containers that want out.

use crate::cases::{mount, words};
use crate::fixture::Box;
use dhow_sys::clone::new;
use dhow_sys::namespaces::unshare;
use rustix::mount::{MountPropagationFlags, mount_bind, mount_change};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

pub(crate) const CASES: crate::Cases = &[
    ("root_links_in_an_image_reach_nothing", links),
    ("root_devices_are_not_made_in_a_volume", devices),
    ("root_writes_to_proc_are_not_led_elsewhere", redirected),
    ("root_no_way_out_by_cgroups", cgroups),
    ("root_a_joined_namespace_of_the_host_is_not_changed", joined),
];

/// A folder of the host that nobody may touch.
pub(crate) struct Canary(pub(crate) PathBuf);

impl Canary {
    pub(crate) fn new() -> Self {
        let folder = PathBuf::from(format!("/var/tmp/dhow-canary-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        fs::create_dir(folder.join("folder")).unwrap();
        fs::write(folder.join("file"), "the host's").unwrap();
        Self(folder)
    }

    /// From inside a root, by as many steps up as there can be.
    pub(crate) fn far(&self) -> PathBuf {
        Path::new("../../../../../../../../../..").join(self.0.strip_prefix("/").unwrap())
    }

    pub(crate) fn untouched(&self, what: &str) {
        assert_eq!(fs::read_to_string(self.0.join("file")).unwrap(), "the host's", "{what}");
        assert_eq!(fs::read_dir(&self.0).unwrap().count(), 2, "{what}");
        assert_eq!(fs::read_dir(self.0.join("folder")).unwrap().count(), 0, "{what}");
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Set-up folders and mount targets that are links out of the root (CVE-2026-41579 and its kind): resolved inside, or refused.
/// Seen to fail when `open_in` resolves without RESOLVE_IN_ROOT (then nothing starts; beside `swaps` the canary gets entries).
fn links() {
    let canary = Canary::new();
    let mut worked = 0;
    let names = [
        "dev",
        "proc",
        "sys",
        "etc",
        "run",
        "tmp",
        "data",
        "dev/pts",
        "dev/shm",
        "etc/hosts",
        "var/deep",
        "dev/console",
    ];
    for name in names {
        for target in [
            canary.0.clone(),
            canary.far(),
            canary.0.join("new"),
            Path::new("/proc/self/root").join(canary.far()),
        ] {
            let mut b = Box::new(&["probe", "exit", "3"]);
            let hosts = b.dir.join("hosts");
            fs::write(&hosts, "").unwrap();
            fs::create_dir(b.dir.join("volume")).unwrap();
            b.spec.mounts.push(mount("/etc/hosts", "bind", hosts.to_str().unwrap(), &["rbind"]));
            let volume = b.dir.join("volume");
            b.spec.mounts.push(mount("/data", "bind", volume.to_str().unwrap(), &["rbind"]));
            for place in ["/tmp/inner/deep", "/run/lock", "/var/deep/er", "/data/inner"] {
                b.spec.mounts.push(mount(place, "tmpfs", "tmpfs", &[]));
            }
            if name.starts_with("dev/") {
                b.spec.mounts.retain(|mount| mount.destination != "/dev");
            }
            b.process().cwd = "/var/deep/er/and/er".to_owned();
            let place = b.dir.join("lower").join(name);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            drop(fs::remove_dir_all(&place));
            symlink(&target, &place).unwrap();
            if let Ok(ended) = b.run() {
                assert_eq!(ended.code, 3, "{name} -> {}", target.display());
                worked += 1;
            }
            canary.untouched(name);
            b.done();
        }
    }
    // Links for /proc and /sys are refused.
    assert!(worked > 30, "{worked} started");
}

/// An image whose /data is a link to /dev, and a volume at /data: what fills /dev must not fill the volume. Seen to fail when the
/// nodes and the console come after all mounts: eleven entries.
fn devices() {
    for terminal in [false, true] {
        let mut b = Box::new(&["probe", "exit", "0"]);
        symlink("dev", b.dir.join("lower/data")).unwrap();
        let volume = b.dir.join("volume");
        fs::create_dir(&volume).unwrap();
        b.spec.mounts.push(mount("/data", "bind", volume.to_str().unwrap(), &["rbind"]));
        b.process().terminal = terminal;
        if terminal {
            let size = dhow_runtime::Stdio::Terminal { size: (0, 0) };
            drop(dhow_runtime::create(&b.plan().unwrap(), None, size).unwrap());
        } else {
            b.run().unwrap();
        }
        assert_eq!(fs::read_dir(&volume).unwrap().count(), 0);
        b.done();
    }
}

/// A folder of the host's own /proc, or another, mounted over the one that is to be written to (CVE-2025-52881): the first has the right file
/// system, and is another. Seen to fail without RESOLVE_NO_XDEV: a file of `kernel` or of the fake is written instead, and nobody is told.
fn redirected() {
    let mut b = Box::new(&["probe", "exit", "0"]);
    let fake = b.dir.join("fake");
    fs::create_dir(&fake).unwrap();
    fs::write(fake.join("domainname"), "before").unwrap();
    unshare(new::MOUNT).unwrap();
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
    let sysctl = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
    b.linux().sysctl.insert("net.ipv4.ip_unprivileged_port_start".to_owned(), "7".to_owned());
    b.process().args = words(&["probe", "cat", sysctl]);
    assert_eq!(b.run().unwrap().out, "7\n");
    b.linux().sysctl.clear();
    b.linux().sysctl.insert("net.domainname".to_owned(), "led.astray".to_owned());
    for source in ["/proc/sys/kernel", fake.to_str().unwrap()] {
        mount_bind(source, "/proc/sys/net").unwrap();
        let error = b.run().err().unwrap();
        assert_eq!((error.step.as_str(), error.errno), ("sysctl", 18), "{error}");
        assert_eq!(fs::read_to_string(fake.join("domainname")).unwrap(), "before");
        rustix::mount::unmount("/proc/sys/net", rustix::mount::UnmountFlags::empty()).unwrap();
    }
    b.done();
}

/// A namespace by path that is the host's: what the specification sets would be set for the host.
fn joined() {
    // In a network of its own, and with what is there already: nothing happens to the machine when the guard fails.
    unshare(new::NET | new::IPC | new::UTS).unwrap();
    let mut b = Box::new(&["probe", "exit", "0"]);
    b.spec.hostname = None;
    for (kind, file, key) in [
        ("network", "net", "net.ipv4.ip_unprivileged_port_start"),
        ("ipc", "ipc", "kernel.shmmni"),
        ("uts", "uts", "kernel.domainname"),
    ] {
        let value = format!("/proc/sys/{}", key.replace('.', "/"));
        let before = fs::read_to_string(&value).unwrap();
        let join = |b: &mut Box, path: Option<String>| {
            b.linux().namespaces.iter_mut().find(|n| n.kind == kind).unwrap().path = path;
        };
        b.linux().sysctl.clear();
        join(&mut b, Some(format!("/proc/{}/ns/{file}", std::process::id())));
        // Joined without a change it is fine.
        assert_eq!(b.run().unwrap().code, 0, "{kind}");
        b.linux().sysctl.insert(key.to_owned(), "8".to_owned());
        let error = b.run().err().unwrap();
        assert!(error.detail.contains("is the host's"), "{kind}: {error}");
        assert_eq!(fs::read_to_string(&value).unwrap(), before, "{kind}");
        join(&mut b, None);
        assert_eq!(b.run().unwrap().code, 0, "{kind}");
    }
    b.done();
}

/// Nothing of the control groups can be written, the host's agent is not to be seen, none can be mounted. Seen to fail when the folders
/// are bound without their attributes: `writes /sys/fs/cgroup/…/cgroup.procs`, and `made …`.
fn cgroups() {
    let b = Box::new(&["probe", "cgroups"]);
    // On v2 its own cgroup is all that it sees.
    assert_eq!(b.run().unwrap().out, format!("{} folders, own true\n", !b.host.cgroup_v2()));
    b.done();
}
