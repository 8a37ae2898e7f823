//! [pidfd_send_signal(2)](https://man7.org/linux/man-pages/man2/pidfd_send_signal.2.html) for every number, real-time signals too.
#![allow(unsafe_code, reason = "rustix's Signal has no safe way to a real-time signal")]

use rustix::fd::{AsFd, AsRawFd};
use std::io;

/// Sends `signal` to the process of `pidfd`.
///
/// # Errors
/// ESRCH if it has ended and was waited for, EINVAL for what is no signal.
pub fn pidfd_send_signal(pidfd: impl AsFd, signal: i32) -> io::Result<()> {
    let fd = pidfd.as_fd().as_raw_fd();
    // SAFETY: the descriptor is borrowed for the call, the siginfo pointer may be null, the flags are 0.
    let result = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, std::ptr::null::<libc::siginfo_t>(), 0)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
