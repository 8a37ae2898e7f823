//! Starts beside a neighbour who owns the root file system or a volume too, and exchanges everything there for links to the host
//! (CVE-2025-31133, CVE-2025-52565, CVE-2019-19921, CVE-2021-30465). The host must not change, and no container sees an unmasked /proc.
//!
//! Seen to fail when `open_in` resolves below the root without RESOLVE_IN_ROOT (the canary gets seven entries), and when masks use the container's
//! /dev/null (`open /proc/keys`).

use crate::cases::{mount, words};
use crate::fixture::Box;
use crate::hostile::Canary;
use dhow_runtime::{RootFs, Stdio, create, remove_cgroups};
use rustix::fs::{CWD, FileType, Mode, OFlags, RenameFlags, mknodat, open, renameat_with};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio as Streams};

pub(crate) const CASES: crate::Cases = &[
    ("root_a_swapping_neighbour_of_the_root", shared_root),
    ("root_a_swapping_neighbour_of_dev", shared_dev),
    ("root_a_swapping_neighbour_of_a_volume", shared_volume),
];

/// DHOW_STARTS, 5000 for the long test.
pub(crate) fn starts() -> usize {
    std::env::var("DHOW_STARTS").ok().and_then(|n| n.parse().ok()).unwrap_or(60)
}

/// The neighbour: exchanges the pairs, from words `folder one other one other …`, until it is killed.
pub(crate) fn neighbour(words: &[String]) -> ! {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).unwrap();
    let folder = open(words[0].as_str(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
    loop {
        for pair in words[1..].chunks_exact(2) {
            let (one, other) = (pair[0].as_str(), pair[1].as_str());
            // One may be missing until a start makes it.
            renameat_with(&folder, one, &folder, other, RenameFlags::EXCHANGE).unwrap_or_default();
        }
    }
}

struct Neighbour(Child);

impl Neighbour {
    fn of(folder: &Path, pairs: &[&str]) -> Self {
        let program = std::env::current_exe().unwrap();
        let mut command = Command::new(program);
        command.arg("--swap").arg(folder).args(pairs).stdout(Streams::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// What of the host a start could have changed: the null device, the list of /dev, the mounts.
fn host() -> (u64, u32, usize, String) {
    let null = fs::metadata("/dev/null").unwrap();
    let count = fs::read_dir("/dev").unwrap().count();
    (null.rdev(), null.mode(), count, fs::read_to_string("/proc/self/mountinfo").unwrap())
}

/// Starts `b` again and again beside the neighbour; some must work.
fn race(b: &Box, canary: &Canary, folder: &Path, pairs: &[&str]) {
    let before = host();
    let _neighbour = Neighbour::of(folder, pairs);
    let (mut worked, mut refused) = (0, 0);
    for round in 0..starts() {
        match attempt(b) {
            Ok(out) => {
                worked += 1;
                assert!(!out.contains("open"), "round {round}: {out}");
            }
            Err(error) => {
                refused += 1;
                assert_ne!(error.step, "clone3", "{error}");
            }
        }
        canary.untouched(&format!("round {round}"));
    }
    println!("    {worked} started, {refused} refused");
    assert!(worked > 0 || starts() < 20, "nothing ever started");
    assert_eq!(before, host());
}

fn attempt(b: &Box) -> Result<String, dhow_runtime::Error> {
    if !b.spec.process.as_ref().unwrap().terminal {
        return b.run().map(|ended| ended.out);
    }
    let plan = b.plan()?;
    let mut process = create(&plan, None, Stdio::Terminal { size: (24, 80) })?;
    let master = process.console().unwrap();
    process.go()?;
    let (mut out, mut buffer) = (Vec::new(), [0u8; 4096]);
    while let Ok(n @ 1..) = rustix::io::read(&master, &mut buffer) {
        out.extend_from_slice(&buffer[..n]);
    }
    crate::fixture::wait(&process);
    drop(process);
    remove_cgroups(plan.cgroup_dirs()).unwrap();
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// A container on a plain folder that the neighbour shares, which looks for what should be masked.
fn on_folder() -> (Box, Canary) {
    let mut b = Box::new(&[]);
    let masked = b.linux().masked_paths.clone();
    b.process().args = words(&["/bin/probe", "masks"]).into_iter().chain(masked).collect();
    let root = b.dir.join("lower");
    b.spec.root.as_mut().unwrap().path = root.to_str().unwrap().to_owned();
    b.options.rootfs = RootFs::Path;
    (b, Canary::new())
}

fn shared_root() {
    let (mut b, canary) = on_folder();
    let root = b.dir.join("lower");
    let hosts = b.dir.join("hosts");
    fs::write(&hosts, "").unwrap();
    b.spec.mounts.push(mount("/etc/hosts", "bind", hosts.to_str().unwrap(), &["rbind"]));
    b.spec.mounts.push(mount("/run/secrets/inner", "tmpfs", "tmpfs", &[]));
    b.process().cwd = "/run/work/here".to_owned();
    let mut pairs = Vec::new();
    let swapped: Vec<String> =
        ["dev", "proc", "sys", "etc", "run"].iter().map(|n| format!("{n}.link")).collect();
    for (n, (name, link)) in ["dev", "proc", "sys", "etc", "run"].into_iter().zip(&swapped).enumerate() {
        fs::create_dir_all(root.join(name)).unwrap();
        let target = if n % 2 == 0 { canary.0.clone() } else { canary.far() };
        symlink(target, root.join(link)).unwrap();
        pairs.extend([name, link.as_str()]);
    }
    race(&b, &canary, &root, &pairs);
    b.done();
}

/// Without a /dev of its own: nodes, console and ptmx are in the folder that the neighbour has.
fn shared_dev() {
    let (mut b, canary) = on_folder();
    let root = b.dir.join("lower");
    b.spec.mounts.retain(|mount| mount.destination == "/dev/pts" || !mount.destination.starts_with("/dev"));
    b.process().terminal = true;
    let dev = root.join("dev");
    fs::create_dir_all(dev.join("pts")).unwrap();
    fs::create_dir(dev.join("fake")).unwrap();
    mknodat(CWD, dev.join("fake/ptmx"), FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap();
    symlink(canary.0.join("file"), dev.join("null.link")).unwrap();
    symlink(canary.0.join("new"), dev.join("console.link")).unwrap();
    let pairs = ["pts", "fake", "null", "null.link", "console", "console.link", "zero", "null.link"];
    race(&b, &canary, &dev, &pairs);
    b.done();
}

/// Mounts inside a volume that another container has as well.
fn shared_volume() {
    let mut b = Box::new(&[]);
    let canary = Canary::new();
    let masked = b.linux().masked_paths.clone();
    b.process().args = words(&["/bin/probe", "masks"]).into_iter().chain(masked).collect();
    let volume = b.dir.join("volume");
    fs::create_dir_all(volume.join("sub")).unwrap();
    fs::write(volume.join("file"), "").unwrap();
    for (link, target) in [
        ("sub.host", canary.far()),
        ("sub.proc", "/proc/self/attr".into()),
        ("file.link", canary.0.join("file")),
    ] {
        symlink(target, volume.join(link)).unwrap();
    }
    b.spec.mounts.push(mount("/data", "bind", volume.to_str().unwrap(), &["rbind"]));
    b.spec.mounts.push(mount("/data/sub/inner", "tmpfs", "tmpfs", &[]));
    let file = b.dir.join("hosts");
    fs::write(&file, "").unwrap();
    b.spec.mounts.push(mount("/data/file", "bind", file.to_str().unwrap(), &["bind", "ro"]));
    b.process().cwd = "/data/sub/work".to_owned();
    let pairs = ["sub", "sub.host", "file", "file.link", "sub", "sub.proc"];
    race(&b, &canary, &volume, &pairs);
    b.done();
}
