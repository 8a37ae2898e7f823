//! seccomp(2): installing a compiled filter.
//! <https://man7.org/linux/man-pages/man2/seccomp.2.html>
#![allow(unsafe_code, reason = "seccomp takes a pointer to a program")]

use crate::answer;
use rustix::fd::{FromRawFd, OwnedFd};
use rustix::io::{Errno, Result};

/// Filter flags (`SECCOMP_FILTER_FLAG_*`).
pub mod flag {
    /// All threads.
    pub const TSYNC: u32 = 1;
    /// Log every action but allow.
    pub const LOG: u32 = 2;
    /// No speculative store bypass mitigation.
    pub const SPEC_ALLOW: u32 = 4;
    /// The answer is a descriptor on which the notified calls arrive.
    pub const NEW_LISTENER: u32 = 8;
    /// Notified calls wait in a killable state; only with a listener.
    pub const WAIT_KILLABLE_RECV: u32 = 32;
}

/// One instruction of classic BPF.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip if true.
    pub jt: u8,
    /// Instructions to skip if false.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

#[repr(C)]
struct Program {
    len: u16,
    filter: *const Instruction,
}

/// Installs `program` for the calling thread. Wants no_new_privs or CAP_SYS_ADMIN. With [`flag::NEW_LISTENER`] the listener comes back,
/// close-on-exec; without it nothing.
///
/// # Errors
/// `EINVAL` if the program is malformed or longer than 4,096 instructions; `EACCES` without the right.
pub fn load(program: &[Instruction], flags: u32) -> Result<Option<OwnedFd>> {
    const SECCOMP_SET_MODE_FILTER: libc::c_uint = 1;
    let len = u16::try_from(program.len()).map_err(|_| Errno::INVAL)?;
    let program = Program { len, filter: program.as_ptr() };
    // SAFETY: the program lives through the call and says its length; the kernel copies and verifies it.
    let raw = answer(unsafe {
        libc::syscall(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &raw const program)
    })?;
    if flags & flag::NEW_LISTENER == 0 {
        return Ok(None);
    }
    let listener = i32::try_from(raw).map_err(|_| Errno::BADF)?;
    // SAFETY: with this flag the kernel's answer is a fresh descriptor that nothing else owns.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(listener) }))
}
