//! Mounts that are made before the clone, with the host's privileges: id-mapped ones, and all that a container in a user namespace
//! takes from the host. They are attached nowhere until the child does it.

use crate::child::overlay;
use crate::step::{Attributes, Device, Tree};
use crate::{Error, plan::Body, userns};
use dhow_sys::mount::{Change, idmap, mount_setattr};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, fstat, makedev};
use rustix::io::Errno;
use rustix::mount::{FsOpenFlags, OpenTreeFlags, fsopen, open_tree};
use std::ffi::CStr;

/// Makes all of a plan, in its order.
pub(crate) fn make(body: &Body) -> Result<Vec<OwnedFd>, Error> {
    let maps = body.id_maps.iter().map(userns::of_map).collect::<Result<Vec<_>, _>>()?;
    body.trees.iter().map(|tree| one(tree, &maps)).collect()
}

fn one(tree: &Tree, maps: &[OwnedFd]) -> Result<OwnedFd, Error> {
    match tree {
        Tree::Overlay { lowers, upper, work, volatile } => {
            let fs = fsopen(c"overlay", FsOpenFlags::FSOPEN_CLOEXEC);
            let fs = fs.map_err(|e| Error::os("fsopen", "overlay", e))?;
            overlay(fs.as_fd(), lowers, upper, work, *volatile).map_err(|failure| failure.into_error())
        }
        Tree::Path { source, recursive, attributes, idmap: map, idmap_recursive, device } => {
            let failed = |errno| Error::os("bind from", source.to_string_lossy(), errno);
            let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
            if *recursive {
                flags |= OpenTreeFlags::AT_RECURSIVE;
            }
            let mount = open_tree(CWD, source.as_c_str(), flags).map_err(failed)?;
            if let Some(device) = device {
                check(mount.as_fd(), source, device)?;
            }
            change(mount.as_fd(), attributes).map_err(failed)?;
            let map = map.and_then(|index| maps.get(usize::try_from(index).ok()?));
            if let Some(map) = map {
                idmap(mount.as_fd(), *idmap_recursive, map.as_fd()).map_err(|errno| match errno {
                    Errno::INVAL => Error::os("map ids of", source.to_string_lossy(), errno)
                        .because("its file system cannot, or it has a map already"),
                    errno => Error::os("map ids of", source.to_string_lossy(), errno),
                })?;
            }
            Ok(mount)
        }
    }
}

/// The attributes of a bound tree.
pub(crate) fn change(mount: BorrowedFd<'_>, attributes: &Attributes) -> rustix::io::Result<()> {
    let Attributes { set, clear, recursive_set, recursive_clear, propagation } = *attributes;
    let all = Change { set: recursive_set, clear: recursive_clear, propagation };
    if all != Change::default() {
        mount_setattr(mount, true, all)?;
    }
    // What is said of the top mount alone is said of it last.
    let top = Change { set, clear, propagation: 0 };
    if top == Change::default() { Ok(()) } else { mount_setattr(mount, false, top) }
}

/// Whether a file of the host is the device that the container was promised.
fn check(mount: BorrowedFd<'_>, source: &CStr, device: &Device) -> Result<(), Error> {
    const KIND: u32 = 0o170_000;
    let path = source.to_string_lossy();
    let stat = fstat(mount).map_err(|e| Error::os("stat", &path, e))?;
    if stat.st_mode & KIND == device.kind && stat.st_rdev == makedev(device.major, device.minor) {
        return Ok(());
    }
    let detail =
        format!("the host's is not {}:{}, and a user namespace cannot make it", device.major, device.minor);
    Err(Error::os("bind from", path, Errno::NODEV).because(detail))
}
