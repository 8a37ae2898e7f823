//! The process of a shim, seen from outside: for when it does not answer.

use rustix::{
    fd::OwnedFd,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use std::{ffi::OsStr, fs, io, os::unix::ffi::OsStrExt as _, path::Path};

/// Signals the shim that lives in `dir`, which is found by its command line. Whether there is one.
///
/// # Errors
/// If `/proc` cannot be read, or the shim cannot be signalled.
pub fn signal_shim(dir: &Path, signal: Signal) -> io::Result<bool> {
    let dir = std::path::absolute(dir)?;
    let mut found: Vec<(Pid, Pid, OwnedFd)> = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let pid = name.to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        found.extend(pid.and_then(|pid| named(pid, &dir)));
    }
    // what it has cloned has its command line until it is another program
    match found.iter().find(|(_, parent, _)| found.iter().all(|(pid, ..)| pid != parent)) {
        Some((.., process)) => pidfd_send_signal(process, signal)?,
        None => return Ok(false),
    }
    Ok(true)
}

/// A process, its parent, and a descriptor of it, if its command line is that of the shim in `dir`. The descriptor comes first: what is read
/// then is of the process that is signalled, whoever has its number later. One that goes meanwhile is not there.
fn named(pid: Pid, dir: &Path) -> Option<(Pid, Pid, OwnedFd)> {
    let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    let read = |file: &str| fs::read(format!("/proc/{}/{file}", pid.as_raw_nonzero())).ok();
    let line = read("cmdline")?;
    let mut words = line.split(|&byte| byte == 0);
    if words.next() != Some(b"dhow-shim") || words.next().map(OsStr::from_bytes) != Some(dir.as_os_str()) {
        return None;
    }
    let status = String::from_utf8(read("status")?).ok()?;
    // A program in a container may call itself what it likes; it has a number in another namespace too.
    if status.lines().find_map(|line| line.strip_prefix("NSpid:"))?.split_whitespace().count() != 1 {
        return None;
    }
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()?;
    Some((pid, Pid::from_raw(parent)?, process))
}
