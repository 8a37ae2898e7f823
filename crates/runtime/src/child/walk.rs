//! One method per kind of step.

use super::mounts::{self, Root, add_attributes, attach_checked, filesystem, filesystem_with, tree};
use super::paths::{Missing, folder, open_in, open_or_make, split};
use super::root::detach;
use super::{Done, Failure, Held, Hooks, Named, console, copy, procfs};
use crate::step::{FsOption, Step};
use dhow_sys::clone::new;
use dhow_sys::mount::{Change, attr, mount_setattr, propagation};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, FileType, Gid, Mode, OFlags, Uid, fstat, open};
use rustix::io::Errno;
use std::ffi::{CStr, CString};

/// What the steps leave to each other.
pub(super) struct Walker<'a> {
    /// What the parent made.
    trees: &'a [OwnedFd],
    hooks: Hooks<'a>,
    pub(super) root: Option<Held>,
    /// See [`Root::shared`].
    pub(super) shared: bool,
    /// No mount of the old root is a peer of one of the host.
    pub(super) detached: bool,
    size: (u16, u16),
    /// The folder of the last node or link: most are in /dev.
    folder: Option<(&'a [u8], Held)>,
    /// The /proc and /sys that were mounted, for what is hidden in them.
    kernel: [Option<(&'a [u8], Held)>; 2],
    /// The verified /dev/null of the host, for masks of files.
    null: Option<Held>,
    /// An attached empty tmpfs, for masks of folders.
    empty: Option<Held>,
    pub(super) master: Option<OwnedFd>,
    pub(super) slave: Option<OwnedFd>,
}

impl<'a> Walker<'a> {
    pub(super) fn new(size: (u16, u16), trees: &'a [OwnedFd], hooks: Hooks<'a>) -> Self {
        Self {
            trees,
            hooks,
            root: None,
            shared: false,
            detached: false,
            size,
            folder: None,
            kernel: [None, None],
            null: None,
            empty: None,
            master: None,
            slave: None,
        }
    }

    /// For an exec: the joined mount namespace's root.
    pub(super) fn root_is_own(&mut self) -> Done<'static> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        self.root = Some(Held::new(open(c"/", flags, Mode::empty()).named("open", b"/")?));
        self.shared = true;
        Ok(())
    }

    pub(super) fn root(&self) -> Done<'static, BorrowedFd<'_>> {
        self.root.as_ref().map(|root| root.as_fd()).ok_or(Errno::BADF).named("resolve", b"/")
    }

    fn furnished(&self) -> Done<'static, Root<'_>> {
        Ok(Root { fd: self.root()?, shared: self.shared })
    }

    pub(super) fn step(&mut self, step: &'a Step) -> Done<'a> {
        let (verb, object) = step.words();
        if !matches!(step, Step::Node { .. } | Step::Link { .. }) {
            // Something may come to lie over it.
            self.folder = None;
        }
        match step {
            Step::Detach { shared } => {
                self.detached = !*shared;
                detach(*shared).named(verb, object)
            }
            Step::CgroupNamespace {} => dhow_sys::namespaces::unshare(new::CGROUP).named(verb, object),
            Step::Overlay { lowers, upper, work, volatile } => self.overlay(lowers, upper, work, *volatile),
            Step::OverlayClassic { upper, data } => self.overlay_classic(upper, data),
            Step::BindRoot { path, in_place } => {
                let root = tree(CWD, path, true).named(verb, object)?;
                self.shared = true;
                self.take_root(root, in_place.then_some(path.as_c_str()), object)
            }
            Step::TreeRoot { tree, path, shared } => {
                let root = duplicate(self.tree(*tree)?).named(verb, object)?;
                self.shared = *shared;
                self.take_root(root, path.as_deref(), object)
            }
            Step::Filesystem { .. } => self.filesystem(step),
            Step::CopyUp { source, target, options, attributes, propagation } => {
                self.copy_up(source, target, options, *attributes, *propagation)
            }
            Step::Bind { source, target, recursive, attributes } => {
                self.covered(target);
                self.shared |= mounts::bind(self.furnished()?, source, target, *recursive, attributes)?;
                Ok(())
            }
            Step::Attach { tree, source, target } => {
                self.covered(target);
                self.shared |= mounts::attach_tree(self.furnished()?, source, target, self.tree(*tree)?)?;
                Ok(())
            }
            Step::Remount { path, attributes } => {
                let place = open_in(self.root()?, path.to_bytes(), OFlags::PATH).named(verb, object)?;
                crate::trees::change(place.as_fd(), attributes).named(verb, object)
            }
            Step::RuntimeHooks {} => self.hooks.outside(),
            Step::ContainerHooks {} => self.hooks.container(self.root()?),
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
            Step::Chroot { hide } => self.chroot(*hide),
            Step::RootPropagation { flags, recursive } => {
                let change = Change { propagation: *flags, ..Change::default() };
                mount_setattr(self.root()?, *recursive, change).named(verb, object)
            }
        }
    }

    /// One of the parent's trees.
    fn tree(&self, index: u32) -> Done<'static, BorrowedFd<'a>> {
        let tree = usize::try_from(index).ok().and_then(|index| self.trees.get(index));
        tree.map(AsFd::as_fd).ok_or(Errno::BADF).named("attach", b"tree")
    }

    fn filesystem(&mut self, step: &'a Step) -> Done<'a> {
        let Step::Filesystem { kind, source, target, options, attributes, propagation, fallback } = step
        else {
            return Ok(());
        };
        let (verb, object) = step.words();
        let made = match (filesystem(kind, source, options, *attributes), fallback) {
            (Err(Errno::PERM), Some(tree)) => duplicate(self.tree(*tree)?),
            (made, _) => made,
        };
        let mount = made.named("make file system", kind.to_bytes())?;
        if kind.as_c_str() == c"tmpfs" && !options.iter().any(|option| option.key.as_c_str() == c"mode") {
            self.keep_mode(target, mount.as_fd())?;
        }
        let place = self.place(kind, target)?;
        if kind.as_c_str() != c"proc" {
            mounts::outside_proc(place.as_fd(), mount.as_fd(), target)?;
        }
        attach_checked(verb, self.furnished()?, target, place.as_fd(), mount.as_fd())?;
        propagate(mount.as_fd(), *propagation).named(verb, object)?;
        let [proc, sysfs] = &mut self.kernel;
        let place = match kind.to_bytes() {
            b"proc" => proc,
            b"sysfs" => sysfs,
            _ => return Ok(()),
        };
        if place.as_ref().is_none_or(|(known, _)| *known == object) {
            *place = Some((object, mount));
        }
        Ok(())
    }

    /// Something is mounted over one of them: paths lead there now.
    fn covered(&mut self, target: &CStr) {
        for place in &mut self.kernel {
            if place.as_ref().is_some_and(|(below, _)| *below == target.to_bytes()) {
                *place = None;
            }
        }
    }

    /// Where to look for a path that is to be hidden or protected: from the /proc or /sys mounted here, if it is in one. By way of the root somebody
    /// who shares it could lead the look-up to where the path is missing, and it would stay open.
    fn inside_kernel<'p>(&self, path: &'p [u8]) -> Done<'static, (Root<'_>, &'p [u8])> {
        for (target, mount) in self.kernel.iter().flatten() {
            if let Some(below) = path.strip_prefix(*target).and_then(|rest| rest.strip_prefix(b"/")) {
                return Ok((Root { fd: mount.as_fd(), shared: self.shared }, below));
            }
        }
        Ok((self.furnished()?, path))
    }

    /// A tmpfs that is not told otherwise has the mode of the folder that the image has there.
    fn keep_mode(&self, target: &'a CStr, mount: BorrowedFd<'_>) -> Done<'a> {
        const STEP: &str = "chmod";
        let object = target.to_bytes();
        let Ok(folder) = open_in(self.root()?, object, OFlags::PATH) else { return Ok(()) };
        let mode = Mode::from_raw_mode(fstat(folder.as_fd()).named(STEP, object)?.st_mode);
        let top = as_folder(mount).named(STEP, object)?;
        rustix::fs::fchmod(top.as_fd(), mode).named(STEP, object)
    }

    fn copy_up(
        &self,
        source: &CStr,
        target: &'a CStr,
        options: &[FsOption],
        attributes: u64,
        propagation: u64,
    ) -> Done<'a> {
        const STEP: &str = "mount and copy";
        let object = target.to_bytes();
        let mount = filesystem(c"tmpfs", source, options, attributes).named(STEP, object)?;
        // A folder that is made here says nothing about owner and mode.
        let there = open_in(self.root()?, object, OFlags::PATH).is_ok();
        let place = self.place(c"tmpfs", target)?;
        mounts::outside_proc(place.as_fd(), mount.as_fd(), target)?;
        if there {
            let from = as_folder(place.as_fd()).named(STEP, object)?;
            let to = as_folder(mount.as_fd()).named(STEP, object)?;
            copy::contents(from.as_fd(), to.as_fd()).named("copy", object)?;
        }
        attach_checked(STEP, self.furnished()?, target, place.as_fd(), mount.as_fd())?;
        propagate(mount.as_fd(), propagation).named(STEP, object)
    }

    /// Where a file system goes. /proc and /sys must not be links: a hostile image could point them elsewhere.
    fn place(&self, kind: &CStr, target: &'a CStr) -> Done<'a, Held> {
        let object = target.to_bytes();
        if kind != c"proc" && kind != c"sysfs" {
            return open_or_make(self.root()?, target, Missing::Folder).named("mount", object);
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let detail = "the image has something else than a folder there";
        match open_in(self.root()?, object, flags) {
            Err(Errno::NOENT) => {}
            Err(Errno::NOTDIR) => {
                return Err(Failure { step: "mount", object, errno: Errno::NOTDIR, detail });
            }
            other => return other.named("mount", object),
        }
        // A link to what is missing is one of those.
        open_or_make(self.root()?, target, Missing::Folder).named("mount", object)?;
        match open_in(self.root()?, object, flags) {
            Err(Errno::NOTDIR) => Err(Failure { step: "mount", object, errno: Errno::NOTDIR, detail }),
            other => other.named("mount", object),
        }
    }

    fn cgroup_tree(
        &self,
        target: &'a CStr,
        folders: &'a [CString],
        names: &'a [CString],
        aliases: &'a [CString],
        attributes: u64,
    ) -> Done<'a> {
        const STEP: &str = "mount cgroups";
        let object = target.to_bytes();
        let mode = [(c"mode", Some(c"755"))].into_iter();
        let top =
            filesystem_with(c"tmpfs", c"tmpfs", mode, attributes & !attr::RDONLY).named(STEP, object)?;
        let place = open_or_make(self.root()?, target, Missing::Folder).named(STEP, object)?;
        attach_checked(STEP, self.furnished()?, target, place.as_fd(), top.as_fd())?;
        for (folder, name) in folders.iter().zip(names) {
            let mount = tree(CWD, folder, false).named(STEP, folder.to_bytes())?;
            rustix::fs::mkdirat(top.as_fd(), name.as_c_str(), Mode::from_raw_mode(0o755))
                .named(STEP, name.to_bytes())?;
            // Nobody else has this tmpfs: the name is the folder just made.
            mounts::attach_at(mount.as_fd(), top.as_fd(), name).named(STEP, folder.to_bytes())?;
        }
        for pair in aliases.chunks_exact(2) {
            if let [alias, name] = pair {
                rustix::fs::symlinkat(name.as_c_str(), top.as_fd(), alias.as_c_str())
                    .named(STEP, alias.to_bytes())?;
            }
        }
        let change = Change { set: attributes, clear: 0, propagation: propagation::PRIVATE };
        mount_setattr(top.as_fd(), true, change).named(STEP, object)
    }

    /// Opens (or makes) the folder that `path` is in; the same for one after the other.
    fn folder_of(&mut self, step: &'static str, path: &'a CStr) -> Done<'a, (BorrowedFd<'_>, &'a [u8])> {
        let object = path.to_bytes();
        let (parent, name) = split(path).named(step, object)?;
        if self.folder.as_ref().is_none_or(|(last, _)| *last != parent) {
            self.folder = Some((parent, folder(self.root()?, parent).named(step, object)?));
        }
        let folder = self.folder.as_ref().map(|(_, fd)| fd.as_fd()).ok_or(Errno::BADF).named(step, object)?;
        Ok((folder, name))
    }

    fn node(&mut self, step: &'a Step) -> Done<'a> {
        let Step::Node { path, kind, mode, major, minor, uid, gid } = step else { return Ok(()) };
        let object = path.to_bytes();
        let (parent, name) = self.folder_of("mknod", path)?;
        let kind = FileType::from_raw_mode(*kind);
        let device = rustix::fs::makedev(*major, *minor);
        match rustix::fs::mknodat(parent, name, kind, Mode::from_raw_mode(*mode), device) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let stat = rustix::fs::statat(parent, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
                    .named("mknod", object)?;
                let same = FileType::from_raw_mode(stat.st_mode) == kind && stat.st_rdev == device;
                return if same { Ok(()) } else { Err(Errno::EXIST).named("mknod", object) };
            }
            // Without CAP_MKNOD: the host's own, if it is the one that was meant.
            Err(Errno::PERM) if kind != FileType::Fifo => {
                let mount = tree(CWD, path, false).named("bind from", object)?;
                let stat = fstat(mount.as_fd()).named("bind from", object)?;
                if FileType::from_raw_mode(stat.st_mode) != kind || stat.st_rdev != device {
                    return Err(Errno::PERM).named("mknod", object);
                }
                self.shared |= mounts::attach_tree(self.furnished()?, path, path, mount.as_fd())?;
                return Ok(());
            }
            Err(e) => return Err(e).named("mknod", object),
        }
        if (*uid, *gid) != (0, 0) {
            // By descriptor: who shares the folder could have put something else there.
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let made = rustix::fs::openat(parent, name, flags, Mode::empty()).named("chown", object)?;
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

    fn link(&mut self, path: &'a CStr, to: &CStr, only_if: Option<&CStr>) -> Done<'a> {
        let object = path.to_bytes();
        if let Some(needed) = only_if
            && open_in(self.root()?, needed.to_bytes(), OFlags::PATH).is_err()
        {
            return Ok(());
        }
        let (parent, name) = self.folder_of("symlink", path)?;
        match rustix::fs::symlinkat(to, parent, name) {
            Err(Errno::EXIST) => Ok(()),
            other => other.named("symlink", object),
        }
    }

    /// Hides a path: a folder behind an empty read-only tmpfs, a file behind the host's /dev/null (not the container's, which its
    /// image or a process in it may have replaced: CVE-2025-31133).
    fn mask(&mut self, path: &'a CStr) -> Done<'a> {
        const STEP: &str = "mask";
        let object = path.to_bytes();
        let (root, below) = self.inside_kernel(object)?;
        let place = match open_in(root.fd, below, OFlags::PATH) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            other => other.named(STEP, object)?,
        };
        let kind = FileType::from_raw_mode(fstat(place.as_fd()).named(STEP, object)?.st_mode);
        let cover = if kind == FileType::Directory { &self.empty } else { &self.null };
        let mount = match cover {
            Some(cover) => tree(cover.as_fd(), c"", false).named(STEP, object)?,
            None if kind == FileType::Directory => {
                filesystem(c"tmpfs", c"tmpfs", &[], mounts::HIDDEN).named(STEP, object)?
            }
            None => null().named(STEP, b"/dev/null")?,
        };
        mounts::attach_below(STEP, object, (root, below), place.as_fd(), mount.as_fd())?;
        let cover = if kind == FileType::Directory { &mut self.empty } else { &mut self.null };
        cover.get_or_insert(mount);
        Ok(())
    }

    fn read_only_path(&self, path: &'a CStr) -> Done<'a> {
        const STEP: &str = "make read-only";
        let object = path.to_bytes();
        let (root, below) = self.inside_kernel(object)?;
        let place = match open_in(root.fd, below, OFlags::PATH) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            other => other.named(STEP, object)?,
        };
        let mount = tree(place.as_fd(), c"", true).named(STEP, object)?;
        add_attributes(mount.as_fd(), true, attr::RDONLY).named(STEP, object)?;
        mounts::attach_below(STEP, object, (root, below), place.as_fd(), mount.as_fd())
    }

    fn terminal(&mut self, console: bool) -> Done<'static> {
        let (master, slave) = console::open(self.root()?, self.size)?;
        if console {
            console::mount_console(self.furnished()?, slave.as_fd())?;
        }
        self.master = Some(master);
        self.slave = Some(slave);
        Ok(())
    }
}

/// The same mount: one that was made in another mount namespace cannot be cloned here.
fn duplicate(tree: BorrowedFd<'_>) -> rustix::io::Result<Held> {
    rustix::io::fcntl_dupfd_cloexec(tree, 3).map(Held::new)
}

/// A mount's root, usable for more than its place.
fn as_folder(mount: BorrowedFd<'_>) -> rustix::io::Result<Held> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(mount, c".", flags, Mode::empty()).map(Held::new)
}

fn propagate(mount: BorrowedFd<'_>, propagation: u64) -> rustix::io::Result<()> {
    if propagation == 0 {
        return Ok(());
    }
    mount_setattr(mount, true, Change { propagation, ..Change::default() })
}

fn null() -> rustix::io::Result<Held> {
    let mount = tree(CWD, c"/dev/null", false)?;
    let stat = fstat(mount.as_fd())?;
    let genuine = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && stat.st_rdev == rustix::fs::makedev(1, 3);
    if genuine { Ok(mount) } else { Err(Errno::NODEV) }
}
