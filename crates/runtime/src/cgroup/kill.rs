//! Killing what is in cgroups, and removing them. Nothing here sleeps: each wait is for a process or for the kernel's word.

use super::control::{self, pids, with};
use crate::Error;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::fs;
use std::path::{Path, PathBuf};

/// How long a killed process may take to end (one in an uninterruptible sleep may never).
const PATIENCE: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// Removes the cgroups of a container that has ended, killing what is left in them, and with those that it made below them. All failures
/// are gathered.
///
/// # Errors
/// What could not be removed.
pub fn remove_cgroups(dirs: &[PathBuf]) -> Result<(), Vec<Error>> {
    let (mut busy, mut failures) = (Vec::new(), Vec::new());
    for dir in dirs {
        match rustix::fs::rmdir(dir) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::BUSY | Errno::NOTEMPTY) => busy.push(dir.clone()),
            Err(e) => failures.push(Error::os("remove cgroup", dir.display(), e)),
        }
    }
    if !busy.is_empty() {
        failures.extend(kill_all(&busy).err());
        failures.extend(busy.iter().filter_map(|dir| remove(dir).err()));
    }
    if failures.is_empty() { Ok(()) } else { Err(failures) }
}

/// Removes one folder without processes, those below it first.
fn remove(dir: &Path) -> Result<(), Error> {
    match rustix::fs::rmdir(dir) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::BUSY | Errno::NOTEMPTY) => {}
        Err(e) => return Err(Error::os("remove cgroup", dir.display(), e)),
    }
    for child in control::children(dir)? {
        remove(&child)?;
    }
    match rustix::fs::rmdir(dir) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(e) => Err(Error::os("remove cgroup", dir.display(), e)),
    }
}

/// Kills every process of a container's cgroups and of those below, frozen ones too, and waits until they have ended.
///
/// # Errors
/// If the kernel refuses; if they have not ended after five seconds.
pub fn kill_all(dirs: &[PathBuf]) -> Result<(), Error> {
    let mut rest = Vec::new();
    for dir in dirs {
        // Linux 5.14, v2: all at once, whatever they fork meanwhile.
        let kill = dir.join("cgroup.kill");
        match fs::write(&kill, "1") {
            Ok(()) => await_empty(dir)?,
            Err(_) if !kill.exists() => rest.push(dir.clone()),
            Err(e) => return Err(Error::io("write cgroup", kill.display(), &e)),
        }
    }
    if control::all_processes(&rest)?.is_empty() {
        return Ok(());
    }
    // What cannot run cannot fork. Where there is no freezer, or it cannot stop them all, the rounds below do it.
    let freezer = with(&rest, "freezer.state").or_else(|| with(&rest, "cgroup.freeze"));
    let frozen = freezer.is_some_and(|dir| control::freeze(&[dir.to_owned()], true).is_ok());
    let killed = signal_all(&rest, frozen.then_some(freezer).flatten());
    let nested = freezer.map_or(Ok(()), thaw);
    killed?;
    nested
}

/// Rounds of SIGKILL, until a round finds nobody.
fn signal_all(dirs: &[PathBuf], mut frozen: Option<&Path>) -> Result<(), Error> {
    loop {
        let all = control::all_processes(dirs)?;
        if all.is_empty() {
            return Ok(());
        }
        let mut ending: Vec<(Pid, OwnedFd)> = Vec::new();
        for pid in all.into_iter().filter_map(Pid::from_raw) {
            let sent = pidfd_open(pid, PidfdFlags::empty())
                .and_then(|fd| pidfd_send_signal(&fd, Signal::KILL).map(|()| fd));
            match sent {
                Ok(fd) => ending.push((pid, fd)),
                // It has just ended.
                Err(Errno::SRCH | Errno::INVAL) => {}
                Err(e) => return Err(Error::os("kill", pid.as_raw_nonzero(), e)),
            }
        }
        // v1: a frozen process dies only once it may run.
        if let Some(dir) = frozen.take() {
            thaw(dir)?;
        }
        for (pid, fd) in ending {
            if !ready(fd.as_fd(), PollFlags::IN)? {
                return Err(Error::os("kill", pid.as_raw_nonzero(), Errno::TIMEDOUT));
            }
        }
    }
}

/// Thaws, also what the container froze below.
fn thaw(dir: &Path) -> Result<(), Error> {
    for dir in control::tree(dir)? {
        control::freeze(&[dir], false)?;
    }
    Ok(())
}

fn ready(fd: rustix::fd::BorrowedFd<'_>, events: PollFlags) -> Result<bool, Error> {
    let mut fds = [PollFd::from_borrowed_fd(fd, events)];
    let count = rustix::io::retry_on_intr(|| poll(&mut fds, Some(&PATIENCE)));
    Ok(count.map_err(|e| Error::os("poll", "cgroup", e))? > 0)
}

/// v2: until nothing runs in a folder and those below it.
fn await_empty(dir: &Path) -> Result<(), Error> {
    let path = dir.join("cgroup.events");
    let gone = |e: &std::io::Error| {
        e.kind() == std::io::ErrorKind::NotFound || e.raw_os_error() == Some(Errno::NODEV.raw_os_error())
    };
    let file = match fs::File::open(&path) {
        // systemd removes a scope as soon as it is empty.
        Err(e) if gone(&e) => return Ok(()),
        other => other.map_err(|e| Error::io("open cgroup", path.display(), &e))?,
    };
    loop {
        match read_again(&file) {
            Ok(text) if text.lines().any(|line| line == "populated 0") => return Ok(()),
            Ok(_) => {}
            Err(e) if gone(&e) => return Ok(()),
            Err(e) => return Err(Error::io("read cgroup", path.display(), &e)),
        }
        if !ready(file.as_fd(), PollFlags::PRI)? {
            let left = pids(dir)?;
            return Err(
                Error::os("kill", dir.display(), Errno::TIMEDOUT).because(format_args!("{left:?} stay"))
            );
        }
    }
}

/// The whole of a kernel file, from its beginning, which also takes its last change as seen.
pub(super) fn read_again(file: &fs::File) -> std::io::Result<String> {
    use std::os::unix::fs::FileExt;
    let mut buffer = [0u8; 256];
    let length = file.read_at(&mut buffer, 0)?;
    Ok(String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned())
}
