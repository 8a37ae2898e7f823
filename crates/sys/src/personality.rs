//! personality(2): which kind of system a program believes to be on.
//! <https://man7.org/linux/man-pages/man2/personality.2.html>
#![allow(unsafe_code, reason = "rustix has no personality")]

use crate::answer;
use rustix::io::Result;

/// Sets the execution domain of the caller (`PER_LINUX32`: `uname -m` says the 32-bit machine); execve keeps it.
///
/// # Errors
/// `EINVAL` if the kernel cannot.
pub fn personality(persona: u32) -> Result<()> {
    // SAFETY: an integer; it changes how later programs are loaded, nothing in this process's memory.
    answer(unsafe { libc::syscall(libc::SYS_personality, libc::c_ulong::from(persona)) }).map(|_| ())
}
