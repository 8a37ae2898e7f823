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
use std::time::{Duration, Instant};

pub(crate) const CASES: crate::Cases = &[
    ("root_the_probe_sees_what_is_unmasked", unmasked),
    ("root_a_swapping_neighbour_of_the_root", shared_root),
    ("root_a_swapping_neighbour_of_proc", shared_proc),
    ("root_a_swapping_neighbour_of_dev", shared_dev),
    ("root_a_swapping_neighbour_of_a_volume", shared_volume),
];

/// DHOW_STARTS, 5000 for the long test.
pub(crate) fn starts() -> usize {
    std::env::var("DHOW_STARTS").ok().and_then(|n| n.parse().ok()).unwrap_or(60)
}

/// The neighbour: exchanges the pairs, from words `pause folder one other one other …`, until it is killed. With a pause (µs at most) each is
/// exchanged for a tenth of it, and then left alone for a while: so more starts come far enough to be hit late.
pub(crate) fn neighbour(words: &[String]) -> ! {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).unwrap();
    let pause: u32 = words[0].parse().unwrap();
    let folder = open(words[1].as_str(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
    let exchange = |pair: &[String]| {
        let (one, other) = (pair[0].as_str(), pair[1].as_str());
        // One may be missing until a start makes it.
        renameat_with(&folder, one, &folder, other, RenameFlags::EXCHANGE).unwrap_or_default();
    };
    let wait = |time: u32| {
        let until = Instant::now() + Duration::from_micros(time.into());
        while Instant::now() < until {
            std::hint::spin_loop();
        }
    };
    let mut random = 1u32;
    loop {
        for pair in words[2..].chunks_exact(2) {
            exchange(pair);
            if pause > 0 {
                wait(pause / 10);
                exchange(pair);
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                wait((random >> 8) % pause);
            }
        }
    }
}

struct Neighbour(Child);

impl Neighbour {
    fn of(pause: u32, folder: &Path, pairs: &[&str]) -> Self {
        let program = std::env::current_exe().unwrap();
        let mut command = Command::new(program);
        command.arg("--swap").arg(pause.to_string()).arg(folder).args(pairs).stdout(Streams::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// What of the host a start could have changed: its devices, and mounts of ours or on the canary.
fn host(b: &Box) -> (Vec<(u64, u32)>, Vec<String>) {
    let devices = ["null", "zero", "full", "random", "tty", "ptmx", "console", "shm", "pts", "fd"];
    let stat =
        |name| fs::symlink_metadata(Path::new("/dev").join(name)).map_or((0, 0), |m| (m.rdev(), m.mode()));
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let ours = |line: &&str| line.contains(&b.name) || line.contains("dhow-canary");
    (devices.map(stat).to_vec(), table.lines().filter(ours).map(str::to_owned).collect())
}

/// So slow a neighbour leaves time for a start.
const SLOW: u32 = 5_000;

/// Starts `b` again and again beside the neighbour; some must work: towards the end the neighbour slows down, as the fastest may hit every one.
fn race(b: &Box, canary: &Canary, pause: u32, folder: &Path, pairs: &[&str]) {
    let before = host(b);
    let mut neighbour = Some(Neighbour::of(pause, folder, pairs));
    let (mut worked, mut refused, mut looked) = (0, 0, 0);
    for round in 0..starts() {
        if pause == 0 && round == starts() / 4 * 3 {
            drop(neighbour.take());
            put_right(folder, pairs);
            neighbour = Some(Neighbour::of(SLOW, folder, pairs));
        }
        match attempt(b) {
            Ok(out) => {
                worked += 1;
                looked += usize::from(out.contains("looked at proc"));
                assert!(!out.contains("open"), "round {round}: {out}");
            }
            Err(error) => {
                refused += 1;
                assert_ne!(error.step, "clone3", "{error}");
            }
        }
        canary.untouched(&format!("round {round}"));
    }
    println!("    {worked} started, {looked} found their /proc, {refused} refused");
    assert!(worked > 0 || starts() < 20, "nothing ever started");
    assert_eq!(before, host(b));
}

/// The fast neighbour leaves things wherever they are; the slow one takes that for their places.
fn put_right(folder: &Path, pairs: &[&str]) {
    for pair in pairs.chunks_exact(2) {
        let (one, other) = (folder.join(pair[0]), folder.join(pair[1]));
        if one.is_symlink() && !other.is_symlink() {
            renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).unwrap();
        }
    }
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

/// What the others rely on: without masks the probe says so.
fn unmasked() {
    let (mut b, canary) = on_folder();
    b.linux().masked_paths.clear();
    let out = b.run().unwrap().out;
    assert!(out.contains("open /proc/keys\n") && out.contains("open /sys/firmware\n"), "{out}");
    drop(canary);
    b.done();
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
    race(&b, &canary, 0, &root, &pairs);
    b.done();
}

/// Only what the masks are in. Seen to fail when they are looked up from the root (`open /proc/keys` within fifty starts): a mask whose path is not there
/// is none, and for a moment it is not there.
fn shared_proc() {
    let (b, canary) = on_folder();
    let root = b.dir.join("lower");
    let mut pairs = Vec::new();
    for (name, link) in [("proc", "proc.link"), ("sys", "sys.link")] {
        fs::create_dir(root.join(name)).unwrap();
        symlink(&canary.0, root.join(link)).unwrap();
        pairs.extend([name, link]);
    }
    race(&b, &canary, 500, &root, &pairs);
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
    race(&b, &canary, 0, &dev, &pairs);
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
    race(&b, &canary, 0, &volume, &pairs);
    b.done();
}
