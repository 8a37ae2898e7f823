//! Listing and freezing. Folders are those of [`crate::Plan::cgroup_dirs`].

use crate::Error;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The first of `dirs` that has `file`.
pub(super) fn with<'a>(dirs: &'a [PathBuf], file: &str) -> Option<&'a Path> {
    dirs.iter().map(PathBuf::as_path).find(|dir| dir.join(file).exists())
}

fn is_gone(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::NotFound || error.raw_os_error() == Some(Errno::NODEV.raw_os_error())
}

/// The folders right below one; none if it has gone.
pub(super) fn children(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let fail = |e: std::io::Error| Error::io("read cgroup", dir.display(), &e);
    let entries = match fs::read_dir(dir) {
        Err(e) if is_gone(&e) => return Ok(Vec::new()),
        other => other.map_err(fail)?,
    };
    let mut all = Vec::new();
    for entry in entries {
        let entry = entry.map_err(fail)?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            all.push(entry.path());
        }
    }
    Ok(all)
}

/// A folder and all below it.
pub(super) fn tree(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let (mut all, mut next) = (vec![dir.to_owned()], 0);
    while let Some(dir) = all.get(next) {
        let below = children(dir)?;
        all.extend(below);
        next += 1;
    }
    Ok(all)
}

pub(super) fn pids(dir: &Path) -> Result<Vec<i32>, Error> {
    let read = |file: &str| fs::read_to_string(dir.join(file));
    // The threads of a threaded cgroup are listed, its processes are not.
    let text = match read("cgroup.procs") {
        Err(e) if e.raw_os_error() == Some(Errno::OPNOTSUPP.raw_os_error()) => read("cgroup.threads"),
        other => other,
    };
    match text {
        Ok(text) => Ok(text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0).collect()),
        Err(e) if is_gone(&e) => Ok(Vec::new()),
        Err(e) => Err(Error::io("read cgroup", dir.join("cgroup.procs").display(), &e)),
    }
}

/// Of all of these folders and those below, each once.
pub(super) fn all_processes(dirs: &[PathBuf]) -> Result<Vec<i32>, Error> {
    let mut all = Vec::new();
    for dir in dirs {
        for dir in tree(dir)? {
            all.extend(pids(&dir)?);
        }
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// Process ids in a container's cgroups.
///
/// # Errors
/// If the cgroup cannot be read.
pub fn processes(dirs: &[PathBuf]) -> Result<Vec<i32>, Error> {
    dirs.iter()
        .find(|dir| dir.exists())
        .map_or(Ok(Vec::new()), |dir| all_processes(std::slice::from_ref(dir)))
}

/// Freezes or thaws everything in a container's cgroups.
///
/// # Errors
/// If the freezer refuses.
pub fn freeze(dirs: &[PathBuf], frozen: bool) -> Result<(), Error> {
    if let Some(dir) = with(dirs, "freezer.state") {
        return freeze_v1(dir, frozen);
    }
    let Some(dir) = with(dirs, "cgroup.freeze") else {
        return Err(Error::invalid("freezer", "no cgroup of the container has one"));
    };
    let path = dir.join("cgroup.freeze");
    fs::write(&path, if frozen { "1" } else { "0" })
        .map_err(|e| Error::io("write cgroup", path.display(), &e))?;
    if !frozen {
        return Ok(());
    }
    await_frozen(dir).or_else(|failure| {
        freeze(dirs, false)?;
        Err(failure)
    })
}

/// How long freezing may take.
const PATIENCE: Duration = Duration::from_secs(10);

fn freeze_v1(dir: &Path, frozen: bool) -> Result<(), Error> {
    let path = dir.join("freezer.state");
    let write =
        |state: &str| fs::write(&path, state).map_err(|e| Error::io("write cgroup", path.display(), &e));
    if !frozen {
        return write("THAWED");
    }
    let limit = Instant::now() + PATIENCE;
    // A task that forks while it is being frozen leaves the state at FREEZING: writing again looks at it anew.
    for round in 1.. {
        write("FROZEN")?;
        let state = fs::read_to_string(&path).map_err(|e| Error::io("read cgroup", path.display(), &e))?;
        if state.trim() == "FROZEN" {
            return Ok(());
        }
        // What a frozen process holds up (a vfork) can only end if all may run for a moment, as runc found.
        if round % 50 == 0 {
            write("THAWED")?;
        }
        if Instant::now() >= limit {
            break;
        }
        // Nothing tells when v1 is done. At first it is a matter of microseconds; on a busy machine each task must get its turn.
        if round < 50 { std::thread::yield_now() } else { std::thread::sleep(Duration::from_millis(1)) }
    }
    write("THAWED")?;
    Err(Error::os("freeze", dir.display(), Errno::BUSY))
}

/// v2: cgroup.events is pollable.
fn await_frozen(dir: &Path) -> Result<(), Error> {
    let path = dir.join("cgroup.events");
    let file = fs::File::open(&path).map_err(|e| Error::io("open cgroup", path.display(), &e))?;
    let limit = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
    loop {
        let text = super::kill::read_again(&file);
        let text = text.map_err(|e| Error::io("read cgroup", path.display(), &e))?;
        if text.lines().any(|line| line == "frozen 1") {
            return Ok(());
        }
        let events =
            rustix::io::retry_on_intr(|| poll(&mut [PollFd::new(&file, PollFlags::PRI)], Some(&limit)));
        if events.map_err(|e| Error::os("poll", path.display(), e))? == 0 {
            return Err(Error::os("freeze", dir.display(), Errno::TIMEDOUT));
        }
    }
}

/// Whether everything in a container's cgroups is frozen, or is being.
///
/// # Errors
/// If that cannot be read.
pub fn frozen(dirs: &[PathBuf]) -> Result<bool, Error> {
    for (file, thawed) in [("freezer.state", "THAWED"), ("cgroup.freeze", "0")] {
        let Some(dir) = with(dirs, file) else { continue };
        let path = dir.join(file);
        let state = fs::read_to_string(&path).map_err(|e| Error::io("read cgroup", path.display(), &e))?;
        return Ok(state.trim() != thawed);
    }
    Ok(false)
}

/// Sends `signal` to every process of a container. While it happens they are frozen, so that none forks away from it and no number
/// comes to mean another process.
///
/// # Errors
/// If the cgroup cannot be read or a process not be signalled.
pub fn signal_all(dirs: &[PathBuf], signal: i32) -> Result<(), Error> {
    let was = frozen(dirs)?;
    // Without a freezer it is as good as it gets.
    let held = !was && freeze(dirs, true).is_ok();
    let sent = processes(dirs).and_then(|pids| pids.into_iter().try_for_each(|pid| send(pid, signal)));
    if held {
        freeze(dirs, false)?;
    }
    sent
}

fn send(pid: i32, signal: i32) -> Result<(), Error> {
    match dhow_sys::signals::kill(rustix::process::Pid::from_raw(pid), signal) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(e) => Err(Error::os("signal process", pid, e)),
    }
}
