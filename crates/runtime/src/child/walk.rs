//! One method per kind of step.

use super::mounts::{self, add_attributes, attach, attach_checked, filesystem, tree};
use super::paths::{Missing, open_in, open_or_make, parent_of};
use super::{Done, Failure, Named, console, procfs};
use crate::step::Step;
use dhow_sys::clone::new;
use dhow_sys::mount::{Change, attr, mount_setattr, propagation};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, FileType, Gid, Mode, OFlags, Uid, fstat, open};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, UnmountFlags,
    fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount, mount_change, unmount,
};
use std::ffi::{CStr, CString};

/// What the steps leave to each other.
pub(super) struct Walker {
    root: Option<OwnedFd>,
    size: (u16, u16),
    /// The verified /dev/null of the host, for masks of files.
    null: Option<OwnedFd>,
    /// An attached empty tmpfs, for masks of folders.
    empty: Option<OwnedFd>,
    pub(super) master: Option<OwnedFd>,
    pub(super) slave: Option<OwnedFd>,
}

impl Walker {
    pub(super) fn new(size: (u16, u16)) -> Self {
        Self { root: None, size, null: None, empty: None, master: None, slave: None }
    }

    /// For an exec: the joined mount namespace's root.
    pub(super) fn root_is_own(&mut self) -> Done<'static> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        self.root = Some(open(c"/", flags, Mode::empty()).named("open", b"/")?);
        Ok(())
    }

    fn root(&self) -> Done<'static, BorrowedFd<'_>> {
        self.root.as_ref().map(AsFd::as_fd).ok_or(Errno::BADF).named("resolve", b"/")
    }

    pub(super) fn step<'a>(&mut self, step: &'a Step) -> Done<'a> {
        let (verb, object) = step.words();
        match step {
            Step::Detach { shared } => detach(*shared).named(verb, object),
            Step::CgroupNamespace {} => dhow_sys::namespaces::unshare(new::CGROUP).named(verb, object),
            Step::Overlay { lowers, upper, work, volatile } => self.overlay(lowers, upper, work, *volatile),
            Step::OverlayClassic { upper, data } => self.overlay_classic(upper, data),
            Step::BindRoot { path } => {
                let root = tree(CWD, path, true).named(verb, object)?;
                self.take_root(root, object)
            }
            Step::Filesystem { kind, source, target, options, attributes, propagation } => {
                let mount = filesystem(kind, source, options, *attributes)
                    .named("make file system", kind.to_bytes())?;
                let place = self.place(kind, target)?;
                if kind.as_c_str() != c"proc" {
                    mounts::outside_proc(place.as_fd(), mount.as_fd(), target)?;
                }
                attach_checked(verb, self.root()?, target, place.as_fd(), mount.as_fd())?;
                let change = Change { propagation: *propagation, ..Change::default() };
                if *propagation == 0 {
                    Ok(())
                } else {
                    mount_setattr(mount.as_fd(), true, change).named(verb, object)
                }
            }
            Step::Bind { source, target, recursive, set, clear, recursive_set, propagation } => {
                let change = Change { set: *set, clear: *clear, propagation: *propagation };
                let (recursive, recursive_set) = (*recursive, *recursive_set);
                mounts::bind(self.root()?, &mounts::Bind { source, target, recursive, change, recursive_set })
            }
            Step::CgroupTree { target, folders, names, aliases, attributes } => {
                self.cgroup_tree(target, folders, names, aliases, *attributes)
            }
            Step::Folder { path } => {
                open_or_make(self.root()?, path, Missing::Folder).map(drop).named(verb, object)
            }
            Step::Node { .. } => self.node(step),
            Step::Link { path, to, only_if } => self.link(path, to, only_if.as_deref()),
            Step::Sysctl { path, value } => procfs::write(path, value.to_bytes()).named(verb, object),
            Step::Hostname { name } => rustix::system::sethostname(name.as_bytes()).named(verb, object),
            Step::Domainname { name } => rustix::system::setdomainname(name.as_bytes()).named(verb, object),
            Step::Mask { path } => self.mask(path),
            Step::ReadOnlyPath { path } => self.read_only_path(path),
            Step::MountReadOnly { path } => {
                let place = open_in(self.root()?, path.to_bytes(), OFlags::PATH).named(verb, object)?;
                add_attributes(place.as_fd(), false, attr::RDONLY).named(verb, object)
            }
            Step::Terminal { console } => self.terminal(*console),
            Step::ReadOnlyRoot {} => add_attributes(self.root()?, false, attr::RDONLY).named(verb, object),
            Step::Pivot {} => self.pivot(),
            Step::RootPropagation { flags, recursive } => {
                let change = Change { propagation: *flags, ..Change::default() };
                mount_setattr(self.root()?, *recursive, change).named(verb, object)
            }
        }
    }

    fn overlay<'a>(
        &mut self,
        lowers: &'a [CString],
        upper: &'a CStr,
        work: &'a CStr,
        volatile: bool,
    ) -> Done<'a> {
        const STEP: &str = "mount overlay";
        let fs = fsopen(c"overlay", FsOpenFlags::FSOPEN_CLOEXEC).named("fsopen", b"overlay")?;
        fsconfig_set_string(fs.as_fd(), c"source", c"overlay").named(STEP, upper.to_bytes())?;
        for lower in lowers {
            fsconfig_set_string(fs.as_fd(), c"lowerdir+", lower.as_c_str()).named(STEP, lower.to_bytes())?;
        }
        fsconfig_set_string(fs.as_fd(), c"upperdir", upper).named(STEP, upper.to_bytes())?;
        fsconfig_set_string(fs.as_fd(), c"workdir", work).named(STEP, work.to_bytes())?;
        if volatile {
            fsconfig_set_flag(fs.as_fd(), c"volatile").named(STEP, b"volatile")?;
        }
        fsconfig_create(fs.as_fd()).named(STEP, upper.to_bytes())?;
        let root = fsmount(fs.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
            .named(STEP, upper.to_bytes())?;
        self.take_root(root, upper.to_bytes())
    }

    fn overlay_classic<'a>(&mut self, upper: &'a CStr, data: &'a CStr) -> Done<'a> {
        let object = upper.to_bytes();
        mount(c"overlay", upper, c"overlay", MountFlags::empty(), data).named("mount overlay", object)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        self.root = Some(open(upper, flags, Mode::empty()).named("open", object)?);
        Ok(())
    }

    /// Attaches the root over the old one: paths of the host still begin below it.
    fn take_root<'a>(&mut self, root: OwnedFd, object: &'a [u8]) -> Done<'a> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let old = open(c"/", flags, Mode::empty()).named("open", b"/")?;
        attach(root.as_fd(), old.as_fd()).named("attach root", object)?;
        self.root = Some(root);
        Ok(())
    }

    /// Where a file system goes. /proc and /sys must not be links: a hostile image could point them elsewhere.
    fn place<'a>(&self, kind: &CStr, target: &'a CStr) -> Done<'a, OwnedFd> {
        let object = target.to_bytes();
        let place = open_or_make(self.root()?, target, Missing::Folder).named("mount", object)?;
        if kind == c"proc" || kind == c"sysfs" {
            let (parent, name) = parent_of(self.root()?, target).named("mount", object)?;
            let stat = rustix::fs::statat(&parent, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
                .named("mount", object)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                let detail = "the image has something else than a folder there";
                return Err(Failure { step: "mount", object, errno: Errno::NOTDIR, detail });
            }
        }
        Ok(place)
    }

    fn cgroup_tree<'a>(
        &self,
        target: &'a CStr,
        folders: &'a [CString],
        names: &'a [CString],
        aliases: &'a [CString],
        attributes: u64,
    ) -> Done<'a> {
        const STEP: &str = "mount cgroups";
        let object = target.to_bytes();
        let mode = [];
        let top = filesystem(c"tmpfs", c"tmpfs", &mode, attributes & !attr::RDONLY).named(STEP, object)?;
        rustix::fs::fchmod(as_folder(top.as_fd()).named(STEP, object)?, Mode::from_raw_mode(0o755))
            .named(STEP, object)?;
        let place = open_or_make(self.root()?, target, Missing::Folder).named(STEP, object)?;
        attach_checked(STEP, self.root()?, target, place.as_fd(), top.as_fd())?;
        for (folder, name) in folders.iter().zip(names) {
            let mount = tree(CWD, folder, false).named(STEP, folder.to_bytes())?;
            let change = Change { set: attributes, clear: 0, propagation: propagation::PRIVATE };
            mount_setattr(mount.as_fd(), false, change).named(STEP, folder.to_bytes())?;
            rustix::fs::mkdirat(&top, name.as_c_str(), Mode::from_raw_mode(0o755))
                .named(STEP, name.to_bytes())?;
            let place = open_in(top.as_fd(), name.to_bytes(), OFlags::PATH).named(STEP, name.to_bytes())?;
            attach(mount.as_fd(), place.as_fd()).named(STEP, folder.to_bytes())?;
        }
        for pair in aliases.chunks_exact(2) {
            if let [alias, name] = pair {
                rustix::fs::symlinkat(name.as_c_str(), &top, alias.as_c_str())
                    .named(STEP, alias.to_bytes())?;
            }
        }
        if attributes & attr::RDONLY != 0 {
            add_attributes(top.as_fd(), false, attr::RDONLY).named(STEP, object)?;
        }
        Ok(())
    }

    fn node<'a>(&self, step: &'a Step) -> Done<'a> {
        let Step::Node { path, kind, mode, major, minor, uid, gid } = step else { return Ok(()) };
        let object = path.to_bytes();
        let (parent, name) = parent_of(self.root()?, path).named("mknod", object)?;
        let kind = FileType::from_raw_mode(*kind);
        let device = rustix::fs::makedev(*major, *minor);
        match rustix::fs::mknodat(&parent, name, kind, Mode::from_raw_mode(*mode), device) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let stat = rustix::fs::statat(&parent, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
                    .named("mknod", object)?;
                let same = FileType::from_raw_mode(stat.st_mode) == kind && stat.st_rdev == device;
                return if same { Ok(()) } else { Err(Errno::EXIST).named("mknod", object) };
            }
            Err(e) => return Err(e).named("mknod", object),
        }
        if (*uid, *gid) != (0, 0) {
            // By descriptor: who shares the folder could have put something else there.
            let made = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let made = rustix::fs::openat(&parent, name, made, Mode::empty()).named("chown", object)?;
            let stat = fstat(&made).named("chown", object)?;
            if FileType::from_raw_mode(stat.st_mode) != kind || stat.st_rdev != device {
                return Err(Errno::STALE).named("chown", object);
            }
            let (uid, gid) = (Some(Uid::from_raw(*uid)), Some(Gid::from_raw(*gid)));
            rustix::fs::chownat(&made, c"", uid, gid, rustix::fs::AtFlags::EMPTY_PATH)
                .named("chown", object)?;
        }
        Ok(())
    }

    fn link<'a>(&self, path: &'a CStr, to: &CStr, only_if: Option<&CStr>) -> Done<'a> {
        let object = path.to_bytes();
        if let Some(needed) = only_if
            && open_in(self.root()?, needed.to_bytes(), OFlags::PATH).is_err()
        {
            return Ok(());
        }
        let (parent, name) = parent_of(self.root()?, path).named("symlink", object)?;
        match rustix::fs::symlinkat(to, &parent, name) {
            Err(Errno::EXIST) => Ok(()),
            other => other.named("symlink", object),
        }
    }

    /// Hides a path: a folder behind an empty read-only tmpfs, a file behind the host's /dev/null (not the container's, which its
    /// image or a process in it may have replaced: CVE-2025-31133).
    fn mask<'a>(&mut self, path: &'a CStr) -> Done<'a> {
        const STEP: &str = "mask";
        let object = path.to_bytes();
        let place = match open_in(self.root()?, object, OFlags::PATH) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            other => other.named(STEP, object)?,
        };
        let kind = FileType::from_raw_mode(fstat(&place).named(STEP, object)?.st_mode);
        let cover = if kind == FileType::Directory { &mut self.empty } else { &mut self.null };
        let mount = match cover {
            Some(cover) => tree(cover.as_fd(), c"", false).named(STEP, object)?,
            None if kind == FileType::Directory => {
                filesystem(c"tmpfs", c"tmpfs", &[], mounts::HIDDEN).named(STEP, object)?
            }
            None => null().named(STEP, b"/dev/null")?,
        };
        attach_checked(STEP, self.root()?, path, place.as_fd(), mount.as_fd())?;
        let cover = if kind == FileType::Directory { &mut self.empty } else { &mut self.null };
        cover.get_or_insert(mount);
        Ok(())
    }

    fn read_only_path<'a>(&self, path: &'a CStr) -> Done<'a> {
        const STEP: &str = "make read-only";
        let object = path.to_bytes();
        let place = match open_in(self.root()?, object, OFlags::PATH) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            other => other.named(STEP, object)?,
        };
        let mount = tree(place.as_fd(), c"", true).named(STEP, object)?;
        add_attributes(mount.as_fd(), true, attr::RDONLY).named(STEP, object)?;
        attach_checked(STEP, self.root()?, path, place.as_fd(), mount.as_fd())
    }

    fn terminal(&mut self, console: bool) -> Done<'static> {
        let (master, slave) = console::open(self.root()?, self.size)?;
        if console {
            console::mount_console(self.root()?, slave.as_fd())?;
        }
        self.master = Some(master);
        self.slave = Some(slave);
        Ok(())
    }

    /// The old root goes under the new one, and away; what is unmounted with it stays mounted for the host.
    fn pivot(&self) -> Done<'static> {
        let root = self.root()?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let old = open(c"/", flags, Mode::empty()).named("open", b"/")?;
        rustix::process::fchdir(root).named("fchdir", b"new root")?;
        rustix::process::pivot_root(c".", c".").named("pivot_root", b"/")?;
        rustix::process::fchdir(&old).named("fchdir", b"old root")?;
        mount_change(c".", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
            .named("detach", b"old root")?;
        unmount(c".", UnmountFlags::DETACH).named("unmount", b"old root")?;
        rustix::process::chdir(c"/").named("chdir", b"/")
    }
}

/// A mount's root descriptor, usable for fchmod.
fn as_folder(mount: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(mount, c".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

fn detach(shared: bool) -> rustix::io::Result<()> {
    if shared {
        // Only the root mount itself, so that the new root is not seen outside.
        mount_change(c"/", MountPropagationFlags::PRIVATE)
    } else {
        mount_change(c"/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
    }
}

fn null() -> rustix::io::Result<OwnedFd> {
    let mount = tree(CWD, c"/dev/null", false)?;
    let stat = fstat(&mount)?;
    let genuine = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && stat.st_rdev == rustix::fs::makedev(1, 3);
    if genuine { Ok(mount) } else { Err(Errno::NODEV) }
}
