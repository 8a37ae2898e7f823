//! The root itself: where it comes from, and how it becomes the only one.

use super::mounts::{self, attach};
use super::walk::Walker;
use super::{Done, Held, Named};
use dhow_sys::mount::{Change, mount_setattr, propagation};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{Mode, OFlags, fstat, open};
use rustix::io::Errno;
use rustix::mount::{
    FsOpenFlags, MountFlags, MountPropagationFlags, UnmountFlags, fsopen, mount, mount_change, unmount,
};
use std::ffi::{CStr, CString};

impl<'a> Walker<'a> {
    pub(super) fn overlay(
        &mut self,
        lowers: &'a [CString],
        upper: &'a CStr,
        work: &'a CStr,
        volatile: bool,
    ) -> Done<'a> {
        let fs = Held::new(fsopen(c"overlay", FsOpenFlags::FSOPEN_CLOEXEC).named("fsopen", b"overlay")?);
        let root = mounts::overlay(fs.as_fd(), lowers, upper, work, volatile)?;
        self.take_root(Held::new(root), None, upper.to_bytes())
    }

    pub(super) fn overlay_classic(&mut self, upper: &'a CStr, data: &'a CStr) -> Done<'a> {
        let object = upper.to_bytes();
        mount(c"overlay", upper, c"overlay", MountFlags::empty(), data).named("mount overlay", object)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        self.root = Some(Held::new(open(upper, flags, Mode::empty()).named("open", object)?));
        Ok(())
    }

    /// Attaches the root over the old one: paths of the host still begin below it. Or where it is.
    pub(super) fn take_root(&mut self, root: Held, place: Option<&CStr>, object: &'a [u8]) -> Done<'a> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let old = open(place.unwrap_or(c"/"), flags, Mode::empty()).map(Held::new).named("open", object)?;
        if place.is_some() {
            private_parent(old.as_fd()).named("make private", object)?;
        }
        attach(root.as_fd(), old.as_fd()).named("attach root", object)?;
        self.root = Some(root);
        Ok(())
    }

    /// The old root goes under the new one, and away; what is unmounted with it stays mounted for the host.
    pub(super) fn pivot(&self) -> Done<'static> {
        let root = self.root()?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let old = Held::new(open(c"/", flags, Mode::empty()).named("open", b"/")?);
        rustix::process::fchdir(root).named("fchdir", b"new root")?;
        rustix::process::pivot_root(c".", c".").named("pivot_root", b"/")?;
        rustix::process::fchdir(old.as_fd()).named("fchdir", b"old root")?;
        if !self.detached {
            mount_change(c".", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
                .named("detach", b"old root")?;
        }
        unmount(c".", UnmountFlags::DETACH).named("unmount", b"old root")?;
        rustix::process::chdir(c"/").named("chdir", b"/")
    }

    /// Enters the root without taking the old one away. The kernel lets a process with a user namespace of its own mount a whole /proc
    /// as long as it can see one, so the host's goes.
    pub(super) fn chroot(&self, hide: bool) -> Done<'static> {
        if hide {
            for path in [c"/proc", c"/sys"] {
                match unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
                    // No mount there; or one that belongs to another user namespace, which no unmount can lay open either.
                    Ok(()) | Err(Errno::INVAL | Errno::NOENT | Errno::PERM) => {}
                    Err(e) => return Err(e).named("unmount", path.to_bytes()),
                }
            }
        }
        rustix::process::fchdir(self.root()?).named("fchdir", b"new root")?;
        rustix::process::chroot(c".").named("chroot", b"/")?;
        rustix::process::chdir(c"/").named("chdir", b"/")
    }
}

pub(super) fn detach(shared: bool) -> rustix::io::Result<()> {
    if shared {
        // Only the root mount itself, so that the new root is not seen outside.
        mount_change(c"/", MountPropagationFlags::PRIVATE)
    } else {
        mount_change(c"/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
    }
}

/// Makes the mount that `folder` is in private, so that what is attached there is seen nowhere else.
fn private_parent(folder: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let id = mounts::mount_id(folder)?;
    let mut top = rustix::fs::openat(folder, c".", flags, Mode::empty())?;
    loop {
        let above = rustix::fs::openat(&top, c"..", flags, Mode::empty())?;
        let (here, there) = (fstat(&top)?, fstat(&above)?);
        let same = (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino);
        if same || mounts::mount_id(above.as_fd())? != id {
            break;
        }
        top = above;
    }
    let change = Change { propagation: propagation::PRIVATE, ..Change::default() };
    match mount_setattr(top.as_fd(), false, change) {
        // The root of the tree need not be the root of a mount that can be seen, as in a chroot: then nothing is below it either. What a
        // user namespace got from the host nobody may change there; it receives mounts but passes none on.
        Err(Errno::INVAL | Errno::PERM) => Ok(()),
        other => other,
    }
}
