//! keyctl(2): a session keyring of one's own.
//! <https://man7.org/linux/man-pages/man2/keyctl.2.html>
#![allow(unsafe_code, reason = "rustix has no keyctl")]

use crate::answer;
use rustix::io::Result;
use std::ffi::CStr;

/// Joins the session keyring called `name`, made if there is none, and adds `permissions` to it.
///
/// # Errors
/// `ENOSYS` without keys in the kernel, `EDQUOT` if the user has too many, `EACCES` if the one of that name may not be joined.
pub fn join_session(name: &CStr, permissions: u32) -> Result<()> {
    const JOIN_SESSION_KEYRING: libc::c_int = 1;
    const SETPERM: libc::c_int = 5;
    const DESCRIBE: libc::c_int = 6;
    // SAFETY: `name` ends with NUL and outlives the call.
    let id = answer(unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, name.as_ptr()) })?;
    let mut text = [0u8; 512];
    // SAFETY: the kernel writes at most the given length.
    let length =
        answer(unsafe { libc::syscall(libc::SYS_keyctl, DESCRIBE, id, text.as_mut_ptr(), text.len()) })?;
    // `type;uid;gid;permissions in hex;name`
    let text = text.get(..usize::try_from(length).unwrap_or(0)).unwrap_or_default();
    let now = text.split(|&b| b == b';').nth(3).and_then(|hex| std::str::from_utf8(hex).ok());
    let now = now.and_then(|hex| u32::from_str_radix(hex, 16).ok()).ok_or(rustix::io::Errno::PROTO)?;
    if now & permissions == permissions {
        return Ok(());
    }
    // SAFETY: integers.
    answer(unsafe { libc::syscall(libc::SYS_keyctl, SETPERM, id, now | permissions) }).map(|_| ())
}
