//! A tree that is written and read by descriptor only: no name in it, whatever it links to, leads out of it.

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{self, AtFlags, Mode, OFlags, ResolveFlags},
    io::Errno,
};
use std::{
    fs::File,
    io,
    path::{Component, Path, PathBuf},
};

/// A folder that is the root of everything below.
#[derive(Debug)]
pub(crate) struct Root(OwnedFd);

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    File,
    Dir,
    Link,
    Other,
}

/// What is known of an entry.
#[derive(Debug, Clone)]
pub(crate) struct Info {
    pub(crate) kind: Type,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: (i64, u32),
}

/// Owner of what is made.
pub(crate) type Owner = Option<(u32, u32)>;

pub(crate) fn named(path: &Path, error: Errno) -> io::Error {
    let error = io::Error::from(error);
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Relative, without `.`; `..` goes up but never out.
pub(crate) fn clean(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => out.push(name),
            Component::ParentDir => drop(out.pop()),
            _ => {}
        }
    }
    out
}

impl Root {
    pub(crate) fn new(folder: OwnedFd) -> Self {
        Self(folder)
    }

    pub(crate) fn open_path(folder: &Path) -> io::Result<Self> {
        let fd = fs::open(folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|e| named(folder, e))?;
        Ok(Self(fd))
    }

    /// Opens with every link resolved inside.
    pub(crate) fn open(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        fs::openat2(&self.0, path, flags | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::IN_ROOT)
    }

    /// Looks at a path; its last link is followed if wanted. `None` if absent.
    pub(crate) fn info(&self, path: &Path, follow: bool) -> io::Result<Option<Info>> {
        let flags = OFlags::PATH | if follow { OFlags::empty() } else { OFlags::NOFOLLOW };
        match self.open(path, flags) {
            Ok(fd) => info(fd.as_fd()).map(Some).map_err(|e| named(path, e)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(named(path, error)),
        }
    }

    /// A folder below the root, made with all its parents where absent.
    pub(crate) fn make_dirs(&self, path: &Path, owner: Owner, mode: u32) -> io::Result<OwnedFd> {
        let mut so_far = PathBuf::new();
        let mut at =
            self.open(Path::new("."), OFlags::RDONLY | OFlags::DIRECTORY).map_err(|e| named(path, e))?;
        for part in clean(path).components() {
            so_far.push(part);
            at = match self.open(&so_far, OFlags::RDONLY | OFlags::DIRECTORY) {
                Ok(fd) => fd,
                Err(Errno::NOENT) => {
                    let name = Path::new(part.as_os_str());
                    fs::mkdirat(&at, name, Mode::from_raw_mode(0o755)).map_err(|e| named(&so_far, e))?;
                    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    let made = fs::openat(&at, name, flags, Mode::empty()).map_err(|e| named(&so_far, e))?;
                    own(made.as_fd(), owner).map_err(|e| named(&so_far, e))?;
                    fs::fchmod(&made, Mode::from_raw_mode(mode)).map_err(|e| named(&so_far, e))?;
                    made
                }
                Err(error) => return Err(named(&so_far, error)),
            };
        }
        Ok(at)
    }

    /// Removes a file (a link itself, not what it points to); absent is fine.
    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
        let removed = self
            .open(folder, OFlags::PATH | OFlags::DIRECTORY)
            .and_then(|folder| fs::unlinkat(&folder, name, AtFlags::empty()));
        match removed {
            Ok(()) | Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
            Err(error) => Err(named(path, error)),
        }
    }

    /// Reads a small file; `None` if absent.
    pub(crate) fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        match self.open(path, OFlags::RDONLY) {
            Ok(fd) => {
                let mut bytes = Vec::new();
                io::Read::read_to_end(&mut File::from(fd), &mut bytes)?;
                Ok(Some(bytes))
            }
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(named(path, error)),
        }
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

pub(crate) fn own(fd: BorrowedFd<'_>, owner: Owner) -> Result<(), Errno> {
    match owner {
        None => Ok(()),
        Some((uid, gid)) => fs::fchown(
            fd,
            Some(rustix::process::Uid::from_raw(uid)),
            Some(rustix::process::Gid::from_raw(gid)),
        ),
    }
}

/// Of an open descriptor.
pub(crate) fn info(fd: BorrowedFd<'_>) -> Result<Info, Errno> {
    let stat = fs::statat(fd, "", AtFlags::EMPTY_PATH)?;
    Ok(of(&stat))
}

/// Of an entry of a folder, links not followed.
pub(crate) fn entry(folder: BorrowedFd<'_>, name: &Path) -> Result<Info, Errno> {
    fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).map(|stat| of(&stat))
}

fn of(stat: &fs::Stat) -> Info {
    let kind = match fs::FileType::from_raw_mode(stat.st_mode) {
        fs::FileType::RegularFile => Type::File,
        fs::FileType::Directory => Type::Dir,
        fs::FileType::Symlink => Type::Link,
        _ => Type::Other,
    };
    Info {
        kind,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or(0)),
    }
}

/// Refuses a path that the kernel could not name: folders can be nested without end, and each level of a walk takes a descriptor
/// and stack.
pub(crate) fn within(path: &Path) -> io::Result<()> {
    if path.as_os_str().len() < 4096 { Ok(()) } else { Err(Errno::NAMETOOLONG.into()) }
}

/// Names in a folder, sorted.
pub(crate) fn names(folder: BorrowedFd<'_>) -> Result<Vec<PathBuf>, Errno> {
    use std::os::unix::ffi::OsStrExt as _;
    let mut names = Vec::new();
    for entry in fs::Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(PathBuf::from(std::ffi::OsStr::from_bytes(name)));
        }
    }
    names.sort_unstable();
    Ok(names)
}
