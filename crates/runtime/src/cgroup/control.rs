//! Freezing, listing, updating and removing the cgroups of a container. Folders are those of [`crate::Plan::cgroup_dirs`].

use super::{apply, v1, v2};
use crate::{Error, Host};
use dhow_oci::runtime as spec;
use rustix::io::Errno;
use std::fs;
use std::path::{Path, PathBuf};

/// The first of `dirs` that has `file`.
pub(super) fn with<'a>(dirs: &'a [PathBuf], file: &str) -> Option<&'a Path> {
    dirs.iter().map(PathBuf::as_path).find(|dir| dir.join(file).exists())
}

/// Removes the cgroups of a container that has ended, killing what is left in them. All failures are gathered.
///
/// # Errors
/// What could not be removed.
pub fn remove_cgroups(dirs: &[PathBuf]) -> Result<(), Vec<Error>> {
    let mut failures = Vec::new();
    for dir in dirs {
        if let Err(error) = remove(dir) {
            failures.push(error);
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(failures) }
}

/// Removes one folder with those below it (a container may have made some).
fn remove(dir: &Path) -> Result<(), Error> {
    match rustix::fs::rmdir(dir) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::BUSY | Errno::NOTEMPTY) => {}
        Err(e) => return Err(Error::os("remove cgroup", dir.display(), e)),
    }
    kill_all(dir)?;
    let children = fs::read_dir(dir).map_err(|e| Error::io("read cgroup", dir.display(), &e))?;
    for child in children {
        let child = child.map_err(|e| Error::io("read cgroup", dir.display(), &e))?;
        if child.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&child.path())?;
        }
    }
    match rustix::fs::rmdir(dir) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(e) => Err(Error::os("remove cgroup", dir.display(), e)),
    }
}

/// Kills every process of one folder and waits until they are gone.
fn kill_all(dir: &Path) -> Result<(), Error> {
    let kill = dir.join("cgroup.kill");
    if kill.exists() {
        fs::write(&kill, "1").map_err(|e| Error::io("write cgroup", kill.display(), &e))?;
    }
    let state = dir.join("freezer.state");
    if state.exists() {
        fs::write(&state, "THAWED").map_err(|e| Error::io("write cgroup", state.display(), &e))?;
    }
    // Each round ends when a process it killed has ended; a fork bomb is frozen by its own pids limit or loses the race in a few rounds.
    for _ in 0..64 {
        let pids = pids(dir)?;
        if pids.is_empty() {
            return Ok(());
        }
        for pid in pids.into_iter().filter_map(rustix::process::Pid::from_raw) {
            let Ok(pidfd) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) else {
                continue;
            };
            match rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::KILL) {
                Ok(()) => await_end(&pidfd),
                Err(Errno::SRCH) => {}
                Err(e) => return Err(Error::os("kill", pid.as_raw_nonzero(), e)),
            }
        }
    }
    Ok(())
}

fn await_end(pidfd: &rustix::fd::OwnedFd) {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let limit = Timespec { tv_sec: 1, tv_nsec: 0 };
    // A process in an uninterruptible sleep does not end: the rmdir after this says so.
    poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&limit)).unwrap_or_default();
}

fn pids(dir: &Path) -> Result<Vec<i32>, Error> {
    let path = dir.join("cgroup.procs");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.lines().filter_map(|line| line.parse().ok()).collect()),
        Err(e) if e.raw_os_error() == Some(Errno::NODEV.raw_os_error()) => Ok(Vec::new()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(Error::io("read cgroup", path.display(), &e)),
    }
}

/// Process ids in a container's cgroups.
///
/// # Errors
/// If the cgroup cannot be read.
pub fn processes(dirs: &[PathBuf]) -> Result<Vec<i32>, Error> {
    let Some(dir) = dirs.iter().find(|dir| dir.exists()) else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    let mut open = vec![dir.clone()];
    while let Some(dir) = open.pop() {
        all.extend(pids(&dir)?);
        let Ok(children) = fs::read_dir(&dir) else { continue };
        open.extend(
            children.flatten().filter(|c| c.file_type().is_ok_and(|kind| kind.is_dir())).map(|c| c.path()),
        );
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// Freezes or thaws everything in a container's cgroups.
///
/// # Errors
/// If the freezer refuses.
pub fn freeze(dirs: &[PathBuf], frozen: bool) -> Result<(), Error> {
    if let Some(dir) = with(dirs, "cgroup.freeze") {
        let path = dir.join("cgroup.freeze");
        fs::write(&path, if frozen { "1" } else { "0" })
            .map_err(|e| Error::io("write cgroup", path.display(), &e))?;
        return if frozen { await_frozen(dir) } else { Ok(()) };
    }
    let Some(dir) = with(dirs, "freezer.state") else {
        return Err(Error::invalid("freezer", "no cgroup of the container has one"));
    };
    let path = dir.join("freezer.state");
    let write =
        |state: &str| fs::write(&path, state).map_err(|e| Error::io("write cgroup", path.display(), &e));
    if !frozen {
        return write("THAWED");
    }
    // A task that forks while it is being frozen leaves the state at FREEZING: writing again looks at it anew.
    for _ in 0..1000 {
        write("FROZEN")?;
        let state = fs::read_to_string(&path).map_err(|e| Error::io("read cgroup", path.display(), &e))?;
        if state.trim() == "FROZEN" {
            return Ok(());
        }
        std::thread::yield_now();
    }
    write("THAWED")?;
    Err(Error::os("freeze", dir.display(), Errno::BUSY))
}

/// v2: cgroup.events is pollable.
fn await_frozen(dir: &Path) -> Result<(), Error> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let path = dir.join("cgroup.events");
    let file = fs::File::open(&path).map_err(|e| Error::io("open cgroup", path.display(), &e))?;
    let limit = Timespec { tv_sec: 10, tv_nsec: 0 };
    loop {
        let text = fs::read_to_string(&path).map_err(|e| Error::io("read cgroup", path.display(), &e))?;
        if text.lines().any(|line| line == "frozen 1") {
            return Ok(());
        }
        let events = poll(&mut [PollFd::new(&file, PollFlags::PRI)], Some(&limit));
        if events.map_err(|e| Error::os("poll", path.display(), e))? == 0 {
            return Err(Error::os("freeze", dir.display(), Errno::TIMEDOUT));
        }
    }
}

/// Writes new limits into a running container's cgroups.
///
/// # Errors
/// The file that refused.
pub fn update(dirs: &[PathBuf], resources: &spec::Resources, host: &Host) -> Result<(), Error> {
    if host.cgroup_v2() {
        return dirs.first().map_or(Ok(()), |dir| apply::write_all(dir, &v2::limits(resources)?));
    }
    let limits = v1::limits(resources)?;
    for dir in dirs {
        let ours = host.hierarchies.iter().find(|h| dir.starts_with(&h.mount));
        let writes: Vec<_> = limits
            .iter()
            .filter(|(controller, _)| ours.is_some_and(|h| h.controllers.contains(controller)))
            .map(|(_, write)| write.clone())
            .collect();
        apply::write_all(dir, &writes)?;
    }
    Ok(())
}

/// Whether everything in a container's cgroups is frozen, or is being.
///
/// # Errors
/// If that cannot be read.
pub fn frozen(dirs: &[PathBuf]) -> Result<bool, Error> {
    for (file, thawed) in [("cgroup.freeze", "0"), ("freezer.state", "THAWED")] {
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
