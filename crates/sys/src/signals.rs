//! Signal masks and dispositions for processes that start others, and signalfd(2).
//! <https://man7.org/linux/man-pages/man7/signal.7.html>
#![allow(unsafe_code, reason = "signal sets are raw memory to libc")]

use crate::answer;
use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::{Errno, Result};

const KERNEL_SET: usize = 8;

#[repr(C)]
#[derive(Default)]
struct KernelSigaction {
    handler: usize,
    flags: u64,
    restorer: usize,
    mask: u64,
}

/// Every signal back to its default, none blocked: what a new program expects.
pub fn reset_all() {
    reset(u64::MAX);
    unblock_all();
}

/// The signals that the caller ignores, as a mask (bit n-1 is signal n); all of them where that cannot be said.
#[must_use]
pub fn ignored() -> u64 {
    let mut text = [0; 4096];
    let read = rustix::fs::open(
        c"/proc/self/status",
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )
    .and_then(|file| rustix::io::read(&file, &mut text));
    let text = read.ok().and_then(|count| text.get(..count)).unwrap_or_default();
    text.split(|&byte| byte == b'\n')
        .find_map(|line| line.strip_prefix(b"SigIgn:\t"))
        .and_then(|mask| u64::from_str_radix(std::str::from_utf8(mask).ok()?, 16).ok())
        .unwrap_or(u64::MAX)
}

/// The signals of `mask` back to their default. The calls are the kernel's own, as libc hides the signals that it uses itself.
pub fn reset(mask: u64) {
    let default = KernelSigaction::default();
    for signal in (1..=64).filter(|signal| mask >> (signal - 1) & 1 != 0) {
        // SAFETY: `default` is the kernel's layout (handler SIG_DFL); for SIGKILL and SIGSTOP the call answers EINVAL, which is as good.
        unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signal, &raw const default, 0usize, KERNEL_SET);
        }
    }
}

/// No signal of the calling thread is blocked.
pub fn unblock_all() {
    let none = 0u64;
    // SAFETY: the kernel reads 8 bytes from `none`.
    unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const none, 0usize, KERNEL_SET);
    }
}

/// Blocks all signals of the calling thread; they wait for a [`signalfd`].
///
/// # Errors
/// None in practice.
pub fn block_all() -> Result<()> {
    let all = u64::MAX;
    // SAFETY: the kernel reads 8 bytes from `all`.
    answer(unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const all, 0usize, KERNEL_SET)
    })
    .map(|_| ())
}

/// A descriptor that reads the signals in `mask` (bit n-1 is signal n), non-blocking.
///
/// # Errors
/// If there are no descriptors left.
pub fn signalfd(mask: u64) -> Result<OwnedFd> {
    // SAFETY: the kernel reads 8 bytes from `mask`; the new descriptor is nobody else's.
    unsafe {
        let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
        let raw = answer(libc::syscall(libc::SYS_signalfd4, -1, &raw const mask, KERNEL_SET, flags))?;
        Ok(OwnedFd::from_raw_fd(i32::try_from(raw).map_err(|_| Errno::OVERFLOW)?))
    }
}

/// The next signal number of a [`signalfd`].
///
/// # Errors
/// `EAGAIN` if there is none.
pub fn read_signal(fd: BorrowedFd<'_>) -> Result<i32> {
    read_siginfo(fd).map(|info| info.signal)
}

/// A signal and where it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Its number.
    pub signal: i32,
    /// Whether the kernel sent it (a terminal's Ctrl-C goes to the whole foreground group), not a process.
    pub from_kernel: bool,
}

/// The next signal of a [`signalfd`].
///
/// # Errors
/// `EAGAIN` if there is none.
pub fn read_siginfo(fd: BorrowedFd<'_>) -> Result<Received> {
    // SAFETY: signalfd_siginfo is integers; all zeros is a value of it.
    let mut info: libc::signalfd_siginfo = unsafe { std::mem::zeroed() };
    let size = size_of::<libc::signalfd_siginfo>();
    // SAFETY: the buffer is `size` bytes long and outlives the call.
    let read = unsafe { libc::read(fd.as_raw_fd(), (&raw mut info).cast(), size) };
    answer(libc::c_long::try_from(read).map_err(|_| Errno::OVERFLOW)?)?;
    let signal = i32::try_from(info.ssi_signo).map_err(|_| Errno::OVERFLOW)?;
    Ok(Received { signal, from_kernel: info.ssi_code == libc::SI_KERNEL })
}

/// Sends `signal` (any number, real-time ones too) to one process, or with `None` to all that the caller may reach.
///
/// # Errors
/// `ESRCH` if there is none.
pub fn kill(pid: Option<rustix::process::Pid>, signal: i32) -> Result<()> {
    let pid = pid.map_or(-1, |pid| pid.as_raw_nonzero().get());
    // SAFETY: kill takes two integers.
    answer(libc::c_long::from(unsafe { libc::kill(pid, signal) })).map(|_| ())
}

/// Sends `signal` by pidfd. <https://man7.org/linux/man-pages/man2/pidfd_send_signal.2.html>
///
/// # Errors
/// `ESRCH` if the process has ended.
pub fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> Result<()> {
    // SAFETY: a null siginfo means the default one.
    answer(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, 0usize, 0) })
        .map(|_| ())
}

/// Starts `command` with [`reset_all`] done in the child: std leaves the caller's mask in force.
///
/// # Errors
/// As [`std::process::Command::spawn`].
pub fn spawn_with_defaults(command: &mut std::process::Command) -> std::io::Result<std::process::Child> {
    use std::os::unix::process::CommandExt;
    // SAFETY: the closure makes raw system calls only: no allocation, no locks.
    unsafe {
        command.pre_exec(|| {
            reset_all();
            Ok(())
        });
    }
    command.spawn()
}
