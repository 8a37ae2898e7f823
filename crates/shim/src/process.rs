//! The process of a shim, seen from outside: for when it does not answer.

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::{ffi::OsStr, fs, io, os::unix::ffi::OsStrExt as _, path::Path};

/// Signals the shim that lives in `dir`, which is found by its command line. Whether there is one.
///
/// # Errors
/// If `/proc` cannot be read, or the shim cannot be signalled.
pub fn signal_shim(dir: &Path, signal: Signal) -> io::Result<bool> {
    let dir = std::path::absolute(dir)?;
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw)
        else {
            continue;
        };
        // the descriptor first: what is read then is of the process that is signalled, whoever has its number later
        let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
        let Ok(line) = fs::read(entry.path().join("cmdline")) else { continue };
        let mut words = line.split(|&byte| byte == 0);
        if words.next() == Some(b"dhow-shim") && words.next().map(OsStr::from_bytes) == Some(dir.as_os_str())
        {
            pidfd_send_signal(process, signal)?;
            return Ok(true);
        }
    }
    Ok(false)
}
