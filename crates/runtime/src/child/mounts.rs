//! Mounting by descriptor.

use super::paths::{Missing, open_in, open_or_make};
use super::{Done, Failure, Named, procfs};
use crate::step::FsOption;
use dhow_sys::mount::{Change, attr, mount_setattr};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, OFlags, StatxFlags, fstat, fstatfs, statx};
use rustix::io::{Errno, Result};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};
use std::ffi::CStr;

/// A new mount of a new file system, attached nowhere.
pub(super) fn filesystem(
    kind: &CStr,
    source: &CStr,
    options: &[FsOption],
    attributes: u64,
) -> Result<OwnedFd> {
    let fs = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    if !source.is_empty() {
        fsconfig_set_string(fs.as_fd(), c"source", source)?;
    }
    for option in options {
        match &option.value {
            Some(value) => fsconfig_set_string(fs.as_fd(), option.key.as_c_str(), value.as_c_str())?,
            None => fsconfig_set_flag(fs.as_fd(), option.key.as_c_str())?,
        }
    }
    fsconfig_create(fs.as_fd())?;
    let attributes = MountAttrFlags::from_bits_retain(u32::try_from(attributes).map_err(|_| Errno::INVAL)?);
    fsmount(fs.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// An unattached copy of the mount that holds `path`.
pub(super) fn tree(at: BorrowedFd<'_>, path: &CStr, recursive: bool) -> Result<OwnedFd> {
    let mut flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(at, path, flags)
}

/// Attaches a mount on what `target` refers to.
pub(super) fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, c"", target, c"", flags)
}

/// Which mount a descriptor is in.
pub(super) fn mount_id(fd: BorrowedFd<'_>) -> Result<u64> {
    Ok(statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?.stx_mnt_id)
}

/// Attaches `mount` at `path` below `root` and makes sure that it is what the path leads to afterwards: nobody swapped a folder between.
pub(super) fn attach_checked<'a>(
    step: &'static str,
    root: BorrowedFd<'_>,
    path: &'a CStr,
    target: BorrowedFd<'_>,
    mount: BorrowedFd<'_>,
) -> Done<'a> {
    let object = path.to_bytes();
    attach(mount, target).named(step, object)?;
    let seen = open_in(root, object, OFlags::PATH).named(step, object)?;
    if mount_id(seen.as_fd()).named(step, object)? != mount_id(mount).named(step, object)? {
        let detail = "the path leads elsewhere than a moment ago";
        return Err(Failure { step, object, errno: Errno::STALE, detail });
    }
    Ok(())
}

/// One bind mount.
pub(super) struct Bind<'a> {
    pub(super) source: &'a CStr,
    pub(super) target: &'a CStr,
    pub(super) recursive: bool,
    pub(super) change: Change,
    pub(super) recursive_set: u64,
}

pub(super) fn bind<'a>(root: BorrowedFd<'_>, bind: &Bind<'a>) -> Done<'a> {
    let (source, target) = (bind.source.to_bytes(), bind.target.to_bytes());
    let mount = tree(CWD, bind.source, bind.recursive).named("bind from", source)?;
    let kind = FileType::from_raw_mode(fstat(&mount).named("bind from", source)?.st_mode);
    let missing = if kind == FileType::Directory { Missing::Folder } else { Missing::File };
    let place = open_or_make(root, bind.target, missing).named("bind", target)?;
    let there = FileType::from_raw_mode(fstat(&place).named("bind", target)?.st_mode);
    if (kind == FileType::Directory) != (there == FileType::Directory) {
        let detail = "cannot mount a folder over a file or a file over a folder";
        return Err(Failure { step: "bind", object: target, errno: Errno::NOTDIR, detail });
    }
    outside_proc(place.as_fd(), mount.as_fd(), bind.target)?;
    let change = Change { propagation: 0, ..bind.change };
    if change != Change::default() {
        mount_setattr(mount.as_fd(), false, change).named("bind", target)?;
    }
    let all = Change { set: bind.recursive_set, clear: 0, propagation: bind.change.propagation };
    if all != Change::default() {
        mount_setattr(mount.as_fd(), true, all).named("bind", target)?;
    }
    attach_checked("bind", root, bind.target, place.as_fd(), mount.as_fd())
}

/// Files of /proc that describe the machine, which lxcfs and the like replace.
const REPLACEABLE: [&CStr; 11] = [
    c"/proc/cpuinfo",
    c"/proc/diskstats",
    c"/proc/meminfo",
    c"/proc/stat",
    c"/proc/swaps",
    c"/proc/uptime",
    c"/proc/loadavg",
    c"/proc/slabinfo",
    c"/proc/net/dev",
    c"/proc/sys/kernel/ns_last_pid",
    c"/proc/sys/crypto/fips_enabled",
];

fn is_proc(fd: BorrowedFd<'_>) -> Result<bool> {
    Ok(u64::try_from(fstatfs(fd)?.f_type).is_ok_and(|kind| kind == procfs::SUPER_MAGIC))
}

/// Nothing is mounted over or inside the container's /proc, by whatever name: an image whose links lead there could hide its
/// masks, and what the kernel is told through it (runc CVE-2019-16884). Another /proc may replace it.
pub(super) fn outside_proc<'a>(place: BorrowedFd<'_>, mount: BorrowedFd<'_>, target: &'a CStr) -> Done<'a> {
    let object = target.to_bytes();
    if REPLACEABLE.contains(&target) || !is_proc(place).named("mount", object)? {
        return Ok(());
    }
    if target == c"/proc" && is_proc(mount).named("mount", object)? {
        return Ok(());
    }
    let detail = "nothing can be mounted inside /proc";
    Err(Failure { step: "mount", object, errno: Errno::PERM, detail })
}

/// Attribute bits added to a mount that is already attached.
pub(super) fn add_attributes(mount: BorrowedFd<'_>, recursive: bool, set: u64) -> Result<()> {
    mount_setattr(mount, recursive, Change { set, ..Change::default() })
}

/// Attributes of what hides a path.
pub(super) const HIDDEN: u64 = attr::RDONLY;
