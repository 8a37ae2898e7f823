//! Descriptors that whoever started this program left open for it: systemd's socket activation
//! ([sd_listen_fds(3)](https://man7.org/linux/man-pages/man3/sd_listen_fds.3.html)).
#![allow(unsafe_code, reason = "a number in the environment becomes a descriptor")]

use rustix::{
    fd::{FromRawFd, OwnedFd, RawFd},
    io::FdFlags,
};
use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
};

const FIRST: RawFd = 3;

/// Takes the descriptors 3, 4, … that the environment says are ours (`LISTEN_PID`, `LISTEN_FDS`); no child inherits them. The second
/// call finds none.
///
/// # Errors
/// One of them is not open.
pub fn take() -> io::Result<Vec<OwnedFd>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    if number("LISTEN_PID") != Some(std::process::id()) || TAKEN.swap(true, Ordering::AcqRel) {
        return Ok(Vec::new());
    }
    let count = number("LISTEN_FDS").and_then(|count| RawFd::try_from(count).ok()).unwrap_or(0);
    // All are looked at before one is owned: what is not open must not be closed.
    for fd in FIRST..FIRST.saturating_add(count) {
        // SAFETY: only this process's table of descriptors is read; a number that is not open is answered with EBADF.
        if unsafe { libc::fcntl(fd, libc::F_GETFD) } == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    let owned = (FIRST..FIRST.saturating_add(count)).map(|fd| {
        // SAFETY: it is open (above), was opened by nobody in this process (the variables name our process id, which no parent could do
        // for another process), and is taken once (TAKEN).
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        rustix::io::fcntl_setfd(&fd, FdFlags::CLOEXEC)?;
        Ok(fd)
    });
    owned.collect()
}
