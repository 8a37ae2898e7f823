//! Folders by descriptor: walking, removing and copying trees without ever following a symbolic link.

use rustix::{
    fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    fs::{
        self, AtFlags, FileType, Gid, IFlags, Mode, OFlags, RawMode, ResolveFlags, Stat, Timespec,
        Timestamps, Uid,
    },
    io::Errno,
};
use std::{
    collections::HashMap,
    ffi::{CString, OsStr},
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// Opens a folder for reading entries and as a base of `*at` calls.
pub(crate) fn open(path: &Path) -> io::Result<OwnedFd> {
    Ok(fs::open(
        path,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}

/// Opens the folder `name` inside `parent`.
pub(crate) fn open_in(parent: impl AsFd, name: impl rustix::path::Arg) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(fs::openat(parent, name, flags, Mode::empty())?)
}

/// Opens `path` under `root`; no component may be a symbolic link, `..` never leads out.
pub(crate) fn beneath(
    root: impl AsFd,
    path: impl rustix::path::Arg,
    flags: OFlags,
) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
}

/// Opens `path` as a process whose root folder is `root` would: links are followed and stay inside.
pub(crate) fn in_root(
    root: impl AsFd,
    path: impl rustix::path::Arg,
    flags: OFlags,
) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
}

/// The path by which the kernel reaches `name` in an open folder, `.` being the folder: for calls that have no `*at` form.
pub(crate) fn magic(dir: impl AsFd, name: &[u8]) -> PathBuf {
    // Not `join`: it would normalise a `.` away, and the call would meet the magic link itself.
    let mut path = magic_link(dir).into_os_string();
    path.push("/");
    path.push(OsStr::from_bytes(name));
    path.into()
}

/// The magic link of a descriptor: to read where it leads, or to open it anew.
pub(crate) fn magic_link(fd: impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()))
}

/// `statat` that never follows.
pub(crate) fn stat(dir: impl AsFd, name: impl rustix::path::Arg) -> rustix::io::Result<Stat> {
    fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
}

/// What kind of file a stat describes.
pub(crate) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Permission bits, setuid, setgid and sticky.
pub(crate) fn permissions(stat: &Stat) -> Mode {
    Mode::from_raw_mode(stat.st_mode & 0o7777)
}

/// Overlayfs' mark of a deleted name.
pub(crate) fn is_whiteout(stat: &Stat) -> bool {
    kind(stat) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// The kernel's limit of a path, and ours of how deep a walk goes: a container can nest folders without end, and each level
/// takes a descriptor and a piece of the stack.
const LONGEST: usize = 4096;

/// Refuses a path that the kernel could not name, as docker does.
pub(crate) fn within(path: &[u8]) -> io::Result<()> {
    if path.len() < LONGEST { Ok(()) } else { Err(Errno::NAMETOOLONG.into()) }
}

/// The names in a folder, sorted, without `.` and `..`.
pub(crate) fn names(dir: impl AsFd) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in fs::Dir::read_from(dir)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Names and values.
pub(crate) type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// The extended attributes of a file that is reached by `path` (never followed), sorted by name.
pub(crate) fn xattrs(path: &Path) -> io::Result<Xattrs> {
    let mut list = match fs::llistxattr_query(path) {
        Ok(0) | Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        Ok(size) => vec![0; size],
        Err(e) => return Err(e.into()),
    };
    let size = fs::llistxattr(path, list.as_mut_slice())?;
    list.truncate(size);
    let mut found = Vec::new();
    for name in list.split(|&b| b == 0).filter(|name| !name.is_empty()) {
        if let Some(value) = xattr(path, name)? {
            found.push((name.to_vec(), value));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// One extended attribute, if it is there.
pub(crate) fn xattr(path: &Path, name: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut value = vec![0; 256];
    loop {
        match fs::lgetxattr(path, name, value.as_mut_slice()) {
            Ok(size) => {
                value.truncate(size);
                return Ok(Some(value));
            }
            Err(Errno::RANGE) => value = vec![0; fs::lgetxattr_query(path, name)?],
            Err(Errno::NODATA | Errno::OPNOTSUPP) => return Ok(None),
            Err(e) => return Err(e.into()),
        }
    }
}

/// Access time as modification time.
pub(crate) fn times(seconds: i64, nanoseconds: i64) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    Timestamps { last_access: time, last_modification: time }
}

/// Removes `name` inside `parent`, whatever it is: folders with odd modes, immutable files, any depth. Never follows a link.
/// The first failure is returned after everything else that could go has gone.
pub(crate) fn remove(parent: impl AsFd, name: &[u8]) -> io::Result<()> {
    let mut first = None;
    let mut deep = Vec::new();
    remove_at(parent.as_fd(), parent.as_fd(), name, 0, &mut deep, &mut first);
    while let Some(name) = deep.pop() {
        remove_at(parent.as_fd(), parent.as_fd(), &name, 0, &mut deep, &mut first);
    }
    first.map_or(Ok(()), Err)
}

/// Deeper folders are moved up beside the first one, so that neither stack nor descriptors grow.
const DEEPEST: usize = 64;

fn remove_at(
    top: BorrowedFd<'_>,
    parent: BorrowedFd<'_>,
    name: &[u8],
    depth: usize,
    deep: &mut Vec<Vec<u8>>,
    first: &mut Option<io::Error>,
) {
    let gone = |errno: Errno| errno == Errno::NOENT;
    match fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) => return,
        Err(e) if gone(e) => return,
        Err(Errno::ISDIR) => {}
        Err(Errno::PERM | Errno::ACCESS) => {
            soften(parent, name);
            match fs::unlinkat(parent, name, AtFlags::empty()) {
                Ok(()) => return,
                Err(Errno::ISDIR | Errno::PERM) => {}
                Err(e) => {
                    first.get_or_insert(e.into());
                    return;
                }
            }
        }
        Err(e) => {
            first.get_or_insert(e.into());
            return;
        }
    }
    remove_folder(top, parent, name, depth, deep, first);
}

fn remove_folder(
    top: BorrowedFd<'_>,
    parent: BorrowedFd<'_>,
    name: &[u8],
    depth: usize,
    deep: &mut Vec<Vec<u8>>,
    first: &mut Option<io::Error>,
) {
    if depth >= DEEPEST {
        let moved = format!("deep-{}-{}", deep.len(), random_hex()).into_bytes();
        if fs::renameat(parent, name, top, moved.as_slice()).is_ok() {
            deep.push(moved);
            return;
        }
    }
    let inner = open_in(parent, name).or_else(|_| {
        soften(parent, name);
        open_in(parent, name)
    });
    let emptied = inner.and_then(|dir| {
        let mut dir = fs::Dir::new(dir)?;
        let mut entries = Vec::new();
        while let Some(entry) = dir.read() {
            let entry = entry?;
            entries.push((entry.file_name().to_owned(), entry.file_type()));
        }
        for (name, kind) in entries.iter().map(|(name, kind)| (name.to_bytes(), *kind)) {
            match (name, kind) {
                (b"." | b"..", _) => {}
                (_, FileType::Directory) => remove_folder(top, dir.fd()?, name, depth + 1, deep, first),
                _ => remove_at(top, dir.fd()?, name, depth + 1, deep, first),
            }
        }
        Ok(())
    });
    if let Err(e) = emptied {
        first.get_or_insert(e);
    }
    if let Err(e) = fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
        && e != Errno::NOENT
    {
        first.get_or_insert(e.into());
    }
}

/// Takes away what keeps root (immutable, append-only) or the owner (mode bits) from removing a file. Failing is found by the next try.
fn soften(parent: BorrowedFd<'_>, name: &[u8]) {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    for fd in [fs::openat(parent, name, flags, Mode::empty()), fs::openat(parent, ".", flags, Mode::empty())]
    {
        let Ok(fd) = fd else { continue };
        if let Ok(set) = fs::ioctl_getflags(&fd) {
            let without = set - (IFlags::IMMUTABLE | IFlags::APPEND);
            if without != set {
                fs::ioctl_setflags(&fd, without).unwrap_or_default();
            }
        }
    }
    if stat(parent, name).is_ok_and(|stat| kind(&stat) == FileType::Directory) {
        fs::chmodat(parent, name, Mode::RWXU, AtFlags::empty()).unwrap_or_default();
    }
}

/// Sixteen hexadecimal digits for a name in `tmp/`.
pub(crate) fn random_hex() -> String {
    format!(
        "{:016x}",
        getrandom::u64().unwrap_or_else(|_| u64::from(std::process::id()) << 32 | clock_nanos())
    )
}

fn clock_nanos() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::from(now.subsec_nanos())
}

/// Copies what is inside `from` into `to`: owners, modes, times, links among the files, extended attributes.
/// `keep_xattr` decides by name.
pub(crate) fn copy(from: impl AsFd, to: impl AsFd, keep_xattr: fn(&[u8]) -> bool) -> io::Result<()> {
    let mut copier = Copier { links: HashMap::new(), keep_xattr };
    copier.folder(from.as_fd(), to.as_fd(), Path::new(""))
}

struct Copier {
    /// Device and inode of a file with several names → where its copy is, from the top.
    links: HashMap<(u64, u64), (OwnedFd, CString)>,
    keep_xattr: fn(&[u8]) -> bool,
}

impl Copier {
    fn folder(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
        within(path.as_os_str().as_bytes())?;
        for name in names(from)? {
            let inner = path.join(OsStr::from_bytes(name.to_bytes()));
            self.one(from, to, &name, &inner).map_err(|e| named(&inner, e))?;
        }
        Ok(())
    }

    fn one(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        name: &CString,
        path: &Path,
    ) -> io::Result<()> {
        let found = stat(from, name)?;
        let several = found.st_nlink > 1 && kind(&found) != FileType::Directory;
        if several && let Some((dir, first)) = self.links.get(&(found.st_dev, found.st_ino)) {
            return Ok(fs::linkat(dir, first, to, name, AtFlags::empty())?);
        }
        match kind(&found) {
            FileType::Directory => {
                fs::mkdirat(to, name, Mode::RWXU)?;
                let (inner, copy) = (open_in(from, name)?, open_in(to, name)?);
                self.folder(inner.as_fd(), copy.as_fd(), path)?;
            }
            FileType::RegularFile => {
                let source = fs::openat(
                    from,
                    name,
                    OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                    Mode::empty(),
                )?;
                let flags =
                    OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let target = fs::openat(to, name, flags, Mode::RUSR | Mode::WUSR)?;
                io::copy(&mut std::fs::File::from(source), &mut std::fs::File::from(target))?;
            }
            FileType::Symlink => {
                fs::symlinkat(fs::readlinkat(from, name, Vec::new())?, to, name)?;
            }
            FileType::Socket => return Ok(()),
            other => fs::mknodat(to, name, other, Mode::empty(), found.st_rdev)?,
        }
        self.attributes(from, to, name, &found)?;
        if several {
            self.links.insert((found.st_dev, found.st_ino), (to.try_clone_to_owned()?, name.clone()));
        }
        Ok(())
    }

    fn attributes(
        &self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        name: &CString,
        found: &Stat,
    ) -> io::Result<()> {
        own(to, name, found.st_uid, found.st_gid)?;
        if kind(found) != FileType::Symlink {
            fs::chmodat(to, name, permissions(found), AtFlags::empty())?;
        }
        for (key, value) in xattrs(&magic(from, name.to_bytes()))? {
            if (self.keep_xattr)(&key) {
                match fs::lsetxattr(
                    magic(to, name.to_bytes()),
                    key.as_slice(),
                    &value,
                    fs::XattrFlags::empty(),
                ) {
                    // The target's file system has no such attributes.
                    Ok(()) | Err(Errno::OPNOTSUPP) => {}
                    Err(e) => return Err(e.into()),
                }
            }
        }
        let time = times(found.st_mtime, i64::try_from(found.st_mtime_nsec).unwrap_or(0));
        Ok(fs::utimensat(to, name, &time, AtFlags::SYMLINK_NOFOLLOW)?)
    }
}

/// `lchown` by descriptor.
pub(crate) fn own(
    dir: impl AsFd,
    name: impl rustix::path::Arg,
    uid: u32,
    gid: u32,
) -> rustix::io::Result<()> {
    fs::chownat(dir, name, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), AtFlags::SYMLINK_NOFOLLOW)
}

/// Puts the path into an I/O error, once.
fn named(path: &Path, error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(_) => io::Error::new(error.kind(), format!("{}: {error}", path.display())),
        None => error,
    }
}

/// What a tree takes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Bytes of regular files, a file with several names counted once.
    pub(crate) apparent: u64,
    /// Bytes of disk, folders included.
    pub(crate) disk: u64,
}

/// Measures the tree in `dir`. What vanishes meanwhile is not counted, nor what is nested deeper than any path can say.
pub(crate) fn measure(dir: impl AsFd) -> io::Result<Sizes> {
    let mut seen = std::collections::HashSet::new();
    let mut sizes = Sizes::default();
    measure_in(dir.as_fd(), 0, &mut seen, &mut sizes)?;
    Ok(sizes)
}

fn measure_in(
    dir: BorrowedFd<'_>,
    depth: usize,
    seen: &mut std::collections::HashSet<(u64, u64)>,
    sizes: &mut Sizes,
) -> io::Result<()> {
    for name in names(dir)? {
        let found = match stat(dir, &name) {
            Ok(found) => found,
            Err(Errno::NOENT) => continue,
            Err(e) => return Err(e.into()),
        };
        let folder = kind(&found) == FileType::Directory;
        if !folder && found.st_nlink > 1 && !seen.insert((found.st_dev, found.st_ino)) {
            continue;
        }
        sizes.disk += u64::try_from(found.st_blocks).unwrap_or(0) * 512;
        if kind(&found) == FileType::RegularFile {
            sizes.apparent += u64::try_from(found.st_size).unwrap_or(0);
        }
        if folder && depth < LONGEST / 2 {
            match open_in(dir, &name) {
                Ok(inner) => measure_in(inner.as_fd(), depth + 1, seen, sizes)?,
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
    }
    Ok(())
}

/// A device number's parts.
pub(crate) fn device(major: u32, minor: u32) -> u64 {
    fs::makedev(major, minor)
}

/// Permission bits from a number; others are dropped.
pub(crate) fn mode(bits: RawMode) -> Mode {
    Mode::from_raw_mode(bits & 0o7777)
}
