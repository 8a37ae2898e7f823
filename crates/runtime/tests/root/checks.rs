//! What the contained program tries that it must not be able to do. It prints what worked.

use rustix::fs::{CWD, FileType, Mode, OFlags};
use std::fs;
use std::path::Path;
use std::process::ExitCode;

pub(crate) fn main(word: &str, args: &[String]) -> ExitCode {
    match word {
        "masks" => masks(args),
        "cgroups" => cgroups(Path::new("/sys/fs/cgroup"), &mut 0),
        "peek" => peek(),
        other => {
            println!("unknown word {other:?}");
            return ExitCode::from(99);
        }
    }
    ExitCode::SUCCESS
}

/// In every /proc and /sys of this namespace, wherever it is, each path must be absent, the null device, or an empty folder.
fn masks(paths: &[String]) {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let found = |kind: &str| -> Vec<String> {
        let whole = table.lines().filter(|line| line.contains(&format!(" - {kind} ")));
        let whole = whole.filter(|line| line.split(' ').nth(3) == Some("/"));
        whole.filter_map(|line| line.split(' ').nth(4).map(str::to_owned)).collect()
    };
    for (top, kind, magic) in [("/proc/", "proc", 0x9fa0), ("/sys/", "sysfs", 0x6265_6572)] {
        for place in found(kind) {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
            // The neighbour may have put something else there by now.
            let Ok(mount) = rustix::fs::open(&place, flags, Mode::empty()) else { continue };
            if rustix::fs::fstatfs(&mount).map(|fs| fs.f_type) != Ok(magic) {
                continue;
            }
            println!("looked at {kind}");
            for path in paths.iter().filter_map(|path| path.strip_prefix(top)) {
                if !hidden(&mount, path) {
                    println!("open {place}/{path}");
                }
            }
        }
    }
}

fn hidden(mount: &rustix::fd::OwnedFd, path: &str) -> bool {
    let Ok(file) = rustix::fs::openat(mount, path, OFlags::PATH, Mode::empty()) else { return true };
    let stat = rustix::fs::fstat(&file).unwrap();
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice => stat.st_rdev == rustix::fs::makedev(1, 3),
        FileType::Directory => {
            let folder =
                rustix::fs::openat(mount, path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
            let mut buffer = [std::mem::MaybeUninit::uninit(); 1024];
            let mut entries = rustix::fs::RawDir::new(folder, &mut buffer);
            // `.` and `..` alone.
            std::iter::from_fn(|| entries.next().map(|entry| entry.is_ok())).count() == 2
        }
        _ => false,
    }
}

/// What of the control groups can be written, and whether the agent that the host's root runs is among it (CVE-2022-0492).
fn cgroups(folder: &Path, seen: &mut usize) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    *seen += 1;
    let probe = folder.join("escape");
    if fs::create_dir(&probe).is_ok() {
        println!("made {}", probe.display());
    }
    for entry in entries.flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if path != probe {
                cgroups(&path, seen);
            }
        } else if path.ends_with("release_agent") {
            println!("sees {}", path.display());
        } else if rustix::fs::openat(CWD, &path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).is_ok() {
            println!("writes {}", path.display());
        }
    }
    if folder == Path::new("/sys/fs/cgroup") {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let flags = rustix::mount::MountFlags::empty();
        for kind in ["cgroup", "cgroup2"] {
            if rustix::mount::mount("none", "/tmp", kind, flags, Some(c"memory")).is_ok() {
                println!("mounted {kind}");
            }
        }
        if dhow_sys::namespaces::unshare(dhow_sys::clone::new::USER).is_ok() {
            println!("new user namespace");
        }
        println!("{} folders, own {}", *seen > 1, own.lines().all(|line| line.ends_with(":/")));
    }
}

/// Waits for a second process in the pid namespace, and tries again and again to get hold of its program and descriptors.
fn peek() {
    let others = || {
        let names = fs::read_dir("/proc").unwrap().filter_map(|e| e.unwrap().file_name().into_string().ok());
        names.filter(|n| n != "1" && n.bytes().all(|b| b.is_ascii_digit())).collect::<Vec<_>>()
    };
    println!("ready");
    let (mut tried, mut got) = (0, 0);
    while tried < 3000 {
        for pid in others() {
            tried += 1;
            got += usize::from(fs::read_link(format!("/proc/{pid}/exe")).is_ok());
            got += usize::from(fs::read_link(format!("/proc/{pid}/fd/0")).is_ok());
        }
    }
    println!("got {got}");
    loop {
        std::thread::park();
    }
}
