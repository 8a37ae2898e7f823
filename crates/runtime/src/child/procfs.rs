//! Files of the host's /proc through which the kernel is told things. What is behind their names must be theirs: a write that lands elsewhere
//! gives a container no limit, no label, or the host another's value (CVE-2025-52881).

use rustix::fs::{Mode, OFlags, ResolveFlags, fstat, fstatfs, open, openat2};
use rustix::io::{Errno, Result};
use std::ffi::CStr;

pub(super) const SUPER_MAGIC: u64 = 0x9fa0;
/// The inode of a /proc's own root; a bind of one of its folders has another.
const ROOT_INODE: u64 = 1;

/// Writes `value` at once to `path`, which begins with `/proc/`: a file of a real /proc, with nothing mounted over it or on the way to it.
pub(super) fn write(path: &CStr, value: &[u8]) -> Result<()> {
    let below = path.to_bytes().strip_prefix(b"/proc/").ok_or(Errno::INVAL)?;
    let proc =
        open(c"/proc", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())?;
    if !u64::try_from(fstatfs(&proc)?.f_type).is_ok_and(|kind| kind == SUPER_MAGIC)
        || fstat(&proc)?.st_ino != ROOT_INODE
    {
        return Err(Errno::BADF);
    }
    let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    let file = openat2(&proc, below, flags, Mode::empty(), resolve)?;
    rustix::io::write(&file, value).map(drop)
}
