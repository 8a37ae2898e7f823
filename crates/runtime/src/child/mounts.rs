//! Mounting by descriptor.

use super::paths::{Missing, open_in, open_or_make};
use super::{Done, Failure, Held, Named, procfs};
use crate::step::{Attributes, FsOption};
use dhow_sys::mount::{Change, attr, mount_setattr};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, OFlags, StatxFlags, fstat, fstatfs, statx};
use rustix::io::{Errno, Result};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};
use std::ffi::{CStr, CString};

/// A new mount of a new file system, attached nowhere.
pub(super) fn filesystem(kind: &CStr, source: &CStr, options: &[FsOption], attributes: u64) -> Result<Held> {
    let options = options.iter().map(|option| (option.key.as_c_str(), option.value.as_deref()));
    filesystem_with(kind, source, options, attributes)
}

/// The same with (key, value) pairs that are in no plan.
pub(super) fn filesystem_with<'a>(
    kind: &CStr,
    source: &CStr,
    options: impl Iterator<Item = (&'a CStr, Option<&'a CStr>)>,
    attributes: u64,
) -> Result<Held> {
    let fs = Held::new(fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?);
    if !source.is_empty() {
        fsconfig_set_string(fs.as_fd(), c"source", source)?;
    }
    for (key, value) in options {
        match value {
            Some(value) => fsconfig_set_string(fs.as_fd(), key, value)?,
            None => fsconfig_set_flag(fs.as_fd(), key)?,
        }
    }
    fsconfig_create(fs.as_fd())?;
    let attributes = MountAttrFlags::from_bits_retain(u32::try_from(attributes).map_err(|_| Errno::INVAL)?);
    fsmount(fs.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes).map(Held::new)
}

/// An unattached copy of the mount that holds `path`.
pub(super) fn tree(at: BorrowedFd<'_>, path: &CStr, recursive: bool) -> Result<Held> {
    let mut flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(at, path, flags).map(Held::new)
}

/// Attaches a mount on what `target` refers to.
pub(crate) fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, c"", target, c"", flags)
}

/// Attaches a mount on `name` in `folder`; a link is not followed.
pub(super) fn attach_at(mount: BorrowedFd<'_>, folder: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    move_mount(mount, c"", folder, name, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// Which mount a descriptor is in.
pub(super) fn mount_id(fd: BorrowedFd<'_>) -> Result<u64> {
    Ok(statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?.stx_mnt_id)
}

/// The root that is being furnished.
#[derive(Clone, Copy)]
pub(super) struct Root<'r> {
    pub(super) fd: BorrowedFd<'r>,
    /// Somebody else may be in some of its folders: it is a folder of the host, or one is bound into it. An overlay that was mounted a moment
    /// ago, and the file systems made on it, nobody else can reach.
    pub(super) shared: bool,
}

/// Attaches `mount` at `path` and, in a root that others reach, makes sure that it is what the path leads to afterwards: nobody swapped a
/// folder between.
pub(super) fn attach_checked<'a>(
    step: &'static str,
    root: Root<'_>,
    path: &'a CStr,
    target: BorrowedFd<'_>,
    mount: BorrowedFd<'_>,
) -> Done<'a> {
    attach_below(step, path.to_bytes(), (root, path.to_bytes()), target, mount)
}

/// The same for `place.1` below `place.0`; failures name `object`.
pub(super) fn attach_below<'a>(
    step: &'static str,
    object: &'a [u8],
    place: (Root<'_>, &[u8]),
    target: BorrowedFd<'_>,
    mount: BorrowedFd<'_>,
) -> Done<'a> {
    attach(mount, target).named(step, object)?;
    let (root, path) = place;
    if !root.shared {
        return Ok(());
    }
    let seen = open_in(root.fd, path, OFlags::PATH).named(step, object)?;
    if mount_id(seen.as_fd()).named(step, object)? != mount_id(mount).named(step, object)? {
        let detail = "the path leads elsewhere than a moment ago";
        return Err(Failure { step, object, errno: Errno::STALE, detail });
    }
    Ok(())
}

/// Binds a part of the host's tree. Returns whether it is a folder.
pub(super) fn bind<'a>(
    root: Root<'_>,
    source: &'a CStr,
    target: &'a CStr,
    recursive: bool,
    attributes: &Attributes,
) -> Done<'a, bool> {
    let mount = tree(CWD, source, recursive).named("bind from", source.to_bytes())?;
    let (place, folder) = place_for(root.fd, source, target, mount.as_fd())?;
    crate::trees::change(mount.as_fd(), attributes).named("bind", target.to_bytes())?;
    attach_checked("bind", root, target, place.as_fd(), mount.as_fd())?;
    Ok(folder)
}

/// Attaches a tree that the parent made. Returns whether it is a folder.
pub(super) fn attach_tree<'a>(
    root: Root<'_>,
    source: &'a CStr,
    target: &'a CStr,
    mount: BorrowedFd<'_>,
) -> Done<'a, bool> {
    let (place, folder) = place_for(root.fd, source, target, mount)?;
    attach_checked("bind", root, target, place.as_fd(), mount)?;
    Ok(folder)
}

/// What a bound tree goes on: made if it is missing, of the same kind, and not in /proc. And whether it is a folder.
fn place_for<'a>(
    root: BorrowedFd<'_>,
    source: &'a CStr,
    target: &'a CStr,
    mount: BorrowedFd<'_>,
) -> Done<'a, (Held, bool)> {
    let (source, object) = (source.to_bytes(), target.to_bytes());
    let folder = |fd: BorrowedFd<'_>| Ok(FileType::from_raw_mode(fstat(fd)?.st_mode) == FileType::Directory);
    let wanted = folder(mount).named("bind from", source)?;
    let missing = if wanted { Missing::Folder } else { Missing::File };
    let place = open_or_make(root, target, missing).named("bind", object)?;
    if folder(place.as_fd()).named("bind", object)? != wanted {
        let detail = "cannot mount a folder over a file or a file over a folder";
        return Err(Failure { step: "bind", object, errno: Errno::NOTDIR, detail });
    }
    outside_proc(place.as_fd(), mount, target)?;
    Ok((place, wanted))
}

/// Configures `fs` as an overlay with the new mount API (`lowerdir+`, Linux 6.8); its mount, attached nowhere.
pub(crate) fn overlay<'a>(
    fs: BorrowedFd<'_>,
    lowers: &'a [CString],
    upper: &'a CStr,
    work: &'a CStr,
    volatile: bool,
) -> Done<'a, OwnedFd> {
    const STEP: &str = "mount overlay";
    fsconfig_set_string(fs, c"source", c"overlay").named(STEP, upper.to_bytes())?;
    for lower in lowers {
        fsconfig_set_string(fs, c"lowerdir+", lower.as_c_str()).named(STEP, lower.to_bytes())?;
    }
    fsconfig_set_string(fs, c"upperdir", upper).named(STEP, upper.to_bytes())?;
    fsconfig_set_string(fs, c"workdir", work).named(STEP, work.to_bytes())?;
    if volatile {
        fsconfig_set_flag(fs, c"volatile").named(STEP, b"volatile")?;
    }
    fsconfig_create(fs).named(STEP, upper.to_bytes())?;
    fsmount(fs, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty()).named(STEP, upper.to_bytes())
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
