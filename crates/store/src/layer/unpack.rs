//! Entries of a layer's tar onto the disk, relative to a folder that nobody else writes to. Nothing outside it can be
//! reached: parents are opened beneath the folder, a link on the way is followed as if the folder were `/`, the last
//! component is never followed, and what a name held before is taken away, never written through.

use super::{
    attributes::{opaque, owner, set_opaque, tolerate, wanted_xattrs, write_sparse},
    tarball::{Entry, Tarball},
};
use crate::{Error, Kind, Limits, Result, tree};
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{self, AtFlags, FileType, Mode, OFlags, XattrFlags},
    io::Errno,
};
use std::{
    collections::{BTreeMap, HashMap},
    ffi::CString,
    fs::File,
    io::{self, BufRead, Write},
    sync::Arc,
};
use tar::EntryType;

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// The folder being filled.
pub(super) struct Unpack {
    /// The layer's folder, holding `diff/`.
    home: OwnedFd,
    diff: OwnedFd,
    limits: Limits,
    entries: u64,
    /// Bytes of plain files.
    pub(super) size: u64,
    /// The folder of the last entry.
    parent: Option<(Vec<u8>, Folder)>,
    /// Set at the end, for every entry changes its folder.
    folder_times: BTreeMap<Vec<u8>, (i64, u32)>,
    /// Inodes whose content the tar-index refers to, and by which number.
    references: HashMap<u64, u32>,
}

/// A folder inside: opened, and its path without links.
#[derive(Clone)]
struct Folder {
    fd: Arc<OwnedFd>,
    path: Vec<u8>,
}

fn fail(path: &[u8], cause: impl Into<io::Error>) -> Error {
    let name = String::from_utf8_lossy(path).into_owned();
    let error = Error::io("unpack layer entry", name, cause);
    let errno =
        error.source.as_ref().and_then(|e| e.downcast_ref::<io::Error>()).and_then(io::Error::raw_os_error);
    let hostile = [
        Errno::NAMETOOLONG,
        Errno::LOOP,
        Errno::NOTDIR,
        Errno::XDEV,
        Errno::NOENT,
        Errno::EXIST,
        Errno::INVAL,
    ]
    .iter()
    .any(|e| errno == Some(e.raw_os_error()));
    let data = error.source.as_ref().and_then(|e| e.downcast_ref::<io::Error>()).map(io::Error::kind);
    // The tar crate's complaints about numbers have neither.
    let data = if errno.is_none() && data == Some(io::ErrorKind::Other) {
        Some(io::ErrorKind::InvalidData)
    } else {
        data
    };
    match (hostile, data) {
        (true, _) | (_, Some(io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)) => {
            Error { kind: Kind::Invalid, ..error }
        }
        _ => error,
    }
}

fn refuse(path: &[u8], why: impl Into<String>) -> Error {
    Error::invalid("unpack layer entry", String::from_utf8_lossy(path), why.into())
}

/// The components of a name in a tar: `/` in front and `.` are ignored, `..` must not lead out.
fn components(path: &[u8]) -> Result<Vec<&[u8]>> {
    let mut parts = Vec::new();
    for part in path.split(|&b| b == b'/') {
        match part {
            b"" | b"." => {}
            b".." if parts.pop().is_some() => {}
            b".." => return Err(refuse(path, "its name leads out of the layer")),
            other if other.contains(&0) => return Err(refuse(path, "its name holds a zero byte")),
            other => parts.push(other),
        }
    }
    Ok(parts)
}

impl Unpack {
    /// Fills `diff/` in `home`, both made before.
    pub(super) fn new(home: OwnedFd, limits: Limits) -> Result<Self> {
        let diff = tree::open_in(&home, "diff").map_err(|e| fail(b"/", e))?;
        Ok(Self {
            home,
            diff,
            limits,
            entries: 0,
            size: 0,
            parent: None,
            folder_times: BTreeMap::new(),
            references: HashMap::new(),
        })
    }

    /// Every entry of `tar`.
    pub(super) fn all(&mut self, tar: &mut Tarball<impl BufRead>) -> Result<()> {
        let mut last = Vec::new();
        loop {
            let entry = match tar.next() {
                Ok(Some(entry)) => entry,
                Ok(None) => break,
                Err(e) if last.is_empty() => return Err(fail(b"(the first header)", e)),
                Err(e) => return Err(fail(&[b"(after ", last.as_slice(), b")"].concat(), e)),
            };
            self.entries += 1;
            if self.entries > self.limits.entries {
                return Err(refuse(
                    &entry.path,
                    format!("the layer has more than {} entries", self.limits.entries),
                ));
            }
            self.one(&entry, tar)?;
            last = entry.path;
        }
        self.set_folder_times()
    }

    fn one(&mut self, entry: &Entry, tar: &mut Tarball<impl BufRead>) -> Result<()> {
        let parts = components(&entry.path)?;
        let Some((name, folders)) = parts.split_last() else {
            if entry.kind == EntryType::Directory {
                let root = Folder {
                    fd: Arc::new(self.diff.try_clone().map_err(|e| fail(b"/", e))?),
                    path: Vec::new(),
                };
                return self.attributes(entry, &root, b".").map_err(|e| fail(&entry.path, e));
            }
            return Err(refuse(&entry.path, "the layer's root must be a folder"));
        };
        let parent = self.parent(folders, &entry.path)?;
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            return self.whiteout(entry, &parent, name, hidden);
        }
        let made = match entry.kind {
            EntryType::Directory => self.folder(entry, &parent, name),
            EntryType::Link => return self.link(entry, &parent, name),
            EntryType::Symlink => {
                self.make(&parent, name, |dir, name| fs::symlinkat(entry.link.as_slice(), dir, name))
            }
            EntryType::Char => self.node(entry, &parent, name, FileType::CharacterDevice),
            EntryType::Block => self.node(entry, &parent, name, FileType::BlockDevice),
            EntryType::Fifo => self.node(entry, &parent, name, FileType::Fifo),
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                return self.file(entry, &parent, name, tar).map_err(|e| fail(&entry.path, e));
            }
            other => {
                return Err(refuse(
                    &entry.path,
                    format!("entries of type {:?} are unknown", other.as_byte() as char),
                ));
            }
        };
        made.and_then(|()| self.attributes(entry, &parent, name)).map_err(|e| fail(&entry.path, e))
    }

    /// Opens the folder an entry belongs into; what is missing of it is made.
    fn parent(&mut self, parts: &[&[u8]], path: &[u8]) -> Result<Folder> {
        let joined = parts.join(&b'/');
        if let Some((known, folder)) = &self.parent
            && *known == joined
        {
            return Ok(folder.clone());
        }
        let folder = match self.open_folder(&joined) {
            // Something is missing, or deleted by a whiteout of this layer.
            Err(e)
                if [Errno::NOENT, Errno::NOTDIR]
                    .iter()
                    .any(|n| e.raw_os_error() == Some(n.raw_os_error())) =>
            {
                for end in 1..=parts.len() {
                    self.make_missing(&parts[..end]).map_err(|e| fail(path, e))?;
                }
                self.open_folder(&joined)
            }
            other => other,
        };
        let folder = folder.map_err(|e| fail(path, e))?;
        self.parent = Some((joined, folder.clone()));
        Ok(folder)
    }

    fn make_missing(&self, parts: &[&[u8]]) -> io::Result<()> {
        let Some((name, folders)) = parts.split_last() else { return Ok(()) };
        let parent = self.open_folder(&folders.join(&b'/'))?;
        match fs::mkdirat(&*parent.fd, *name, Mode::RWXU) {
            Ok(()) => Ok(fs::chmodat(&*parent.fd, *name, tree::mode(0o755), AtFlags::empty())?),
            // A folder or a link, and a link must lead to a folder; or the whiteout of what the layers below have here.
            Err(Errno::EXIST) if tree::stat(&*parent.fd, *name).is_ok_and(|s| tree::is_whiteout(&s)) => {
                fs::unlinkat(&*parent.fd, *name, AtFlags::empty())?;
                fs::mkdirat(&*parent.fd, *name, Mode::RWXU)?;
                fs::chmodat(&*parent.fd, *name, tree::mode(0o755), AtFlags::empty())?;
                set_opaque(parent.fd.as_fd(), name)
            }
            Err(Errno::EXIST) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    fn open_folder(&self, path: &[u8]) -> io::Result<Folder> {
        if path.is_empty() {
            return Ok(Folder { fd: Arc::new(self.diff.try_clone()?), path: Vec::new() });
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        match tree::beneath(&self.diff, path, flags) {
            Ok(fd) => Ok(Folder { fd: Arc::new(fd), path: path.to_vec() }),
            Err(Errno::LOOP) => {
                let fd = tree::in_root(&self.diff, path, flags)?;
                let top = fs::readlink(tree::magic_link(&self.diff), Vec::new())?.into_bytes();
                let real = fs::readlink(tree::magic_link(&fd), Vec::new())?.into_bytes();
                let inside = real.strip_prefix(top.as_slice()).ok_or(Errno::XDEV)?;
                Ok(Folder { fd: Arc::new(fd), path: inside.strip_prefix(b"/").unwrap_or(inside).to_vec() })
            }
            Err(e) => Err(e.into()),
        }
    }

    /// Makes `name`, taking away what was there.
    fn make(
        &mut self,
        parent: &Folder,
        name: &[u8],
        make: impl Fn(BorrowedFd<'_>, &[u8]) -> rustix::io::Result<()>,
    ) -> io::Result<()> {
        match make(parent.fd.as_fd(), name) {
            Err(Errno::EXIST) => {
                self.clear(parent, name)?;
                Ok(make(parent.fd.as_fd(), name)?)
            }
            other => Ok(other?),
        }
    }

    fn node(&mut self, entry: &Entry, parent: &Folder, name: &[u8], kind: FileType) -> io::Result<()> {
        let device = tree::device(entry.device.0, entry.device.1);
        self.make(parent, name, |dir, name| fs::mknodat(dir, name, kind, Mode::RUSR | Mode::WUSR, device))
    }

    fn folder(&mut self, _entry: &Entry, parent: &Folder, name: &[u8]) -> io::Result<()> {
        match fs::mkdirat(&*parent.fd, name, Mode::RWXU) {
            Err(Errno::EXIST) => {
                let there = tree::stat(&*parent.fd, name)?;
                if tree::kind(&there) == FileType::Directory {
                    return Ok(());
                }
                self.clear(parent, name)?;
                fs::mkdirat(&*parent.fd, name, Mode::RWXU)?;
                if tree::is_whiteout(&there) {
                    set_opaque(parent.fd.as_fd(), name)?;
                }
                Ok(())
            }
            other => Ok(other?),
        }
    }

    fn link(&mut self, entry: &Entry, parent: &Folder, name: &[u8]) -> Result<()> {
        let target = components(&entry.link)?;
        let absent = || {
            refuse(
                &entry.path,
                format!("the link's target {} is not in the layer", String::from_utf8_lossy(&entry.link)),
            )
        };
        let (target_name, folders) = target.split_last().ok_or_else(absent)?;
        let target_parent = self.open_folder(&folders.join(&b'/')).map_err(|_| absent())?;
        let there = tree::stat(&*target_parent.fd, *target_name).map_err(|_| absent())?;
        if tree::kind(&there) == FileType::Directory {
            return Err(refuse(&entry.path, "a hard link to a folder"));
        }
        if let Ok(old) = tree::stat(&*parent.fd, name)
            && (old.st_dev, old.st_ino) == (there.st_dev, there.st_ino)
        {
            return Ok(()); // already the same file
        }
        self.make(parent, name, |dir, name| {
            fs::linkat(&*target_parent.fd, *target_name, dir, name, AtFlags::empty())
        })
        .map_err(|e| fail(&entry.path, e))
    }

    fn file(
        &mut self,
        entry: &Entry,
        parent: &Folder,
        name: &[u8],
        tar: &mut Tarball<impl BufRead>,
    ) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let create = || fs::openat(&*parent.fd, name, flags, Mode::RUSR | Mode::WUSR);
        let fd = match create() {
            Err(Errno::EXIST) => {
                self.clear(parent, name)?;
                create()?
            }
            other => other?,
        };
        let mut file = File::from(fd);
        if let Some(sparse) = &entry.sparse {
            self.size += sparse.size;
            write_sparse(&file, sparse, entry.size, tar, self.limits.bytes)?;
        } else if entry.size > 0 {
            let reference = tar.next_reference();
            let mut path = parent.path.clone();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name);
            tar.payload(Some(&path), |piece| file.write_all(piece))?;
            self.size += entry.size;
            self.references.insert(fs::fstat(&file)?.st_ino, reference);
        }
        let (uid, gid) = owner(entry)?;
        fs::fchown(&file, Some(fs::Uid::from_raw(uid)), Some(fs::Gid::from_raw(gid)))?;
        fs::fchmod(&file, tree::mode(entry.mode))?;
        for (key, value) in wanted_xattrs(entry) {
            tolerate(fs::fsetxattr(&file, key, value, XattrFlags::empty()))?;
        }
        Ok(fs::futimens(&file, &tree::times(entry.mtime.0, entry.mtime.1.into()))?)
    }

    /// Owner, mode, attributes and time of what was just made (not of plain files).
    fn attributes(&mut self, entry: &Entry, parent: &Folder, name: &[u8]) -> io::Result<()> {
        let dir = parent.fd.as_fd();
        let (uid, gid) = owner(entry)?;
        tree::own(dir, name, uid, gid)?;
        if entry.kind != EntryType::Symlink {
            fs::chmodat(dir, name, tree::mode(entry.mode), AtFlags::empty())?;
        }
        for (key, value) in wanted_xattrs(entry) {
            tolerate(fs::lsetxattr(tree::magic(dir, name), key, value, XattrFlags::empty()))?;
        }
        if entry.kind == EntryType::Directory {
            let mut path = parent.path.clone();
            if name != b"." {
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(name);
            }
            self.folder_times.insert(path, entry.mtime);
            return Ok(());
        }
        let time = tree::times(entry.mtime.0, entry.mtime.1.into());
        Ok(fs::utimensat(dir, name, &time, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// `.wh.name` hides a name of the layers below, `.wh..wh..opq` everything below in its folder.
    fn whiteout(&mut self, entry: &Entry, parent: &Folder, name: &[u8], hidden: &[u8]) -> Result<()> {
        if name == OPAQUE {
            return if parent.path.is_empty() {
                Ok(()) // overlayfs has no opaque root, and a base layer needs none
            } else {
                tolerate(opaque(&tree::magic(&parent.fd, b"."))).map_err(|e| fail(&entry.path, e))
            };
        }
        if hidden.starts_with(WHITEOUT) {
            return Ok(()); // aufs' own files, as docker
        }
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(refuse(&entry.path, "a whiteout of no name"));
        }
        let hide = || -> io::Result<()> {
            match fs::mknodat(&*parent.fd, hidden, FileType::CharacterDevice, Mode::empty(), 0) {
                // The layer has the name itself: only what is below is hidden.
                Err(Errno::EXIST) if tree::kind(&tree::stat(&*parent.fd, hidden)?) == FileType::Directory => {
                    set_opaque(parent.fd.as_fd(), hidden)
                }
                Err(Errno::EXIST) => Ok(()),
                other => Ok(other?),
            }
        };
        hide().map_err(|e| fail(&entry.path, e))
    }

    /// Takes a name away. Content that the tar-index refers to is kept in `extra/`.
    fn clear(&mut self, parent: &Folder, name: &[u8]) -> io::Result<()> {
        self.parent = None;
        self.save_content(parent.fd.as_fd(), &CString::new(name)?)?;
        tree::remove(&*parent.fd, name)
    }

    fn save_content(&mut self, dir: BorrowedFd<'_>, name: &CString) -> io::Result<()> {
        let there = tree::stat(dir, name)?;
        match tree::kind(&there) {
            FileType::Directory => {
                let inner = tree::open_in(dir, name)?;
                for name in tree::names(&inner)? {
                    self.save_content(inner.as_fd(), &name)?;
                }
                Ok(())
            }
            FileType::RegularFile => {
                let Some(reference) = self.references.remove(&there.st_ino) else { return Ok(()) };
                match fs::mkdirat(&self.home, "extra", Mode::RWXU) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(e) => return Err(e.into()),
                }
                let extra = tree::open_in(&self.home, "extra")?;
                Ok(fs::renameat(dir, name, &extra, reference.to_string())?)
            }
            _ => Ok(()),
        }
    }

    fn set_folder_times(&self) -> Result<()> {
        for (path, time) in &self.folder_times {
            let name: &[u8] = if path.is_empty() { b"." } else { path };
            match tree::beneath(&self.diff, name, OFlags::RDONLY | OFlags::DIRECTORY) {
                Ok(fd) => {
                    fs::futimens(&fd, &tree::times(time.0, time.1.into())).map_err(|e| fail(path, e))?
                }
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {} // a later entry took the name
                Err(e) => return Err(fail(path, e)),
            }
        }
        Ok(())
    }
}
