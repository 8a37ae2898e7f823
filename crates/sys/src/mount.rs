//! mount_setattr(2): attributes and propagation of a mount by descriptor.
//! <https://man7.org/linux/man-pages/man2/mount_setattr.2.html>
#![allow(unsafe_code, reason = "mount_setattr is not in rustix")]

use crate::answer;
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Result;

/// `MOUNT_ATTR_*` bits.
pub mod attr {
    /// Read-only.
    pub const RDONLY: u64 = 0x1;
    /// No set-user-id.
    pub const NOSUID: u64 = 0x2;
    /// No devices.
    pub const NODEV: u64 = 0x4;
    /// No programs.
    pub const NOEXEC: u64 = 0x8;
    /// The bits of the access-time mode (an enumeration, not flags).
    pub const ATIME: u64 = 0x70;
    /// Access times now and then.
    pub const RELATIME: u64 = 0x0;
    /// No access times.
    pub const NOATIME: u64 = 0x10;
    /// Access times always.
    pub const STRICTATIME: u64 = 0x20;
    /// No access times of folders.
    pub const NODIRATIME: u64 = 0x80;
    /// Symbolic links are not followed.
    pub const NOSYMFOLLOW: u64 = 0x20_0000;
}

/// `MS_*` propagation types.
pub mod propagation {
    /// Neither way, and no binds of it.
    pub const UNBINDABLE: u64 = 1 << 17;
    /// Neither way.
    pub const PRIVATE: u64 = 1 << 18;
    /// Inwards only.
    pub const SLAVE: u64 = 1 << 19;
    /// Both ways.
    pub const SHARED: u64 = 1 << 20;
}

/// What to change: the kernel's `struct mount_attr` without the user namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Change {
    /// [`attr`] bits to set.
    pub set: u64,
    /// [`attr`] bits to clear first.
    pub clear: u64,
    /// One of [`propagation`], or 0 for no change.
    pub propagation: u64,
}

#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Changes the mount that `fd` is in, with all below it if `recursive`.
///
/// # Errors
/// `ENOSYS` before Linux 5.12; `EINVAL` if `fd` is not the root of a mount.
pub fn mount_setattr(fd: BorrowedFd<'_>, recursive: bool, change: Change) -> Result<()> {
    let attr = MountAttr {
        attr_set: change.set,
        attr_clr: change.clear,
        propagation: change.propagation,
        userns_fd: 0,
    };
    set(fd, recursive, &attr)
}

/// Shows the files of an unattached mount with the ids that the maps of `user`, a user namespace, give them.
///
/// # Errors
/// `EINVAL` if the file system cannot do it, the mount is attached or has a map already; `EPERM` for the initial user namespace.
pub fn idmap(fd: BorrowedFd<'_>, recursive: bool, user: BorrowedFd<'_>) -> Result<()> {
    const MOUNT_ATTR_IDMAP: u64 = 0x10_0000;
    let userns_fd = u64::try_from(user.as_raw_fd()).map_err(|_| rustix::io::Errno::BADF)?;
    set(fd, recursive, &MountAttr { attr_set: MOUNT_ATTR_IDMAP, attr_clr: 0, propagation: 0, userns_fd })
}

fn set(fd: BorrowedFd<'_>, recursive: bool, attr: &MountAttr) -> Result<()> {
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is an empty C string, `attr` is the kernel's layout with its size, and both outlive the call.
    let raw = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(attr),
            size_of::<MountAttr>(),
        )
    };
    answer(raw).map(|_| ())
}
