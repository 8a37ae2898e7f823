//! ioprio_get(2), ioprio_set(2): which class and level a process's disk requests have. <https://man7.org/linux/man-pages/man2/ioprio_set.2.html>
#![allow(unsafe_code, reason = "a raw system call: libc has no wrapper")]

use crate::answer;
use rustix::io::Result;
use rustix::process::Pid;

/// `IOPRIO_WHO_PROCESS`.
const PROCESS: libc::c_int = 1;
/// Where the class begins in the number.
const CLASS_SHIFT: u32 = 13;

/// The caller's class (0 none, 1 real-time, 2 best effort, 3 idle) and level in it (0 to 7).
///
/// # Errors
/// None in practice.
pub fn get() -> Result<(u32, u32)> {
    // SAFETY: two integers; 0 is the caller.
    let raw = answer(unsafe { libc::syscall(libc::SYS_ioprio_get, PROCESS, 0) })?;
    let raw = u32::try_from(raw).unwrap_or(0);
    Ok((raw >> CLASS_SHIFT, raw & ((1 << CLASS_SHIFT) - 1)))
}

/// Sets class and level of a process (none: the caller).
///
/// # Errors
/// `EPERM` for real time without CAP_SYS_ADMIN or CAP_SYS_NICE.
pub fn set(pid: Option<Pid>, class: u32, level: u32) -> Result<()> {
    let raw = class << CLASS_SHIFT | level;
    // SAFETY: integers.
    answer(unsafe { libc::syscall(libc::SYS_ioprio_set, PROCESS, Pid::as_raw(pid), raw) }).map(|_| ())
}
