//! unshare(2) of what has no memory-safety side: everything but CLONE_FILES and CLONE_VM.
//! <https://man7.org/linux/man-pages/man2/unshare.2.html>
#![allow(unsafe_code, reason = "rustix marks unshare unsafe because of CLONE_FILES")]

use rustix::io::Result;
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Gives the caller new namespaces: the bits of [`crate::clone::new`].
///
/// # Errors
/// `EPERM` without CAP_SYS_ADMIN.
pub fn unshare(namespaces: u64) -> Result<()> {
    let bits = u32::try_from(namespaces & crate::clone::new::ALL).unwrap_or(0);
    // SAFETY: only CLONE_NEW* bits are let through; the table of descriptors stays shared between threads.
    unsafe { unshare_unsafe(UnshareFlags::from_bits_retain(bits)) }
}
