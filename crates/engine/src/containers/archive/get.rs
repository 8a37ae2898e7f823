//! Files → tar, walked by descriptor: what is swapped meanwhile is read as it was opened, never followed.

use super::Place;
use crate::{Result, error::io};
use rustix::{
    fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    fs::{AtFlags, Mode, OFlags, Stat},
    io::Errno,
};
use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    fs::File,
    io::{Read, Write},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// The kernel's limit of a path: a container can nest folders without end, and each level takes a descriptor and stack.
const LONGEST: usize = 4096;

struct Walk<'a> {
    tar: tar::Builder<&'a mut dyn Write>,
    /// Files with several names: the first path stands for the others.
    links: HashMap<(u64, u64), PathBuf>,
    /// Only files of this device, where a mount must not be entered.
    device: Option<u64>,
}

/// Writes the place as `top` (a folder with everything below). With `one_device`, what is mounted below is left empty.
pub(super) fn write(place: &Place, top: &str, one_device: bool, out: &mut dyn Write) -> Result<()> {
    let stat = place.stat().map_err(|e| io("look at", top, e.into()))?;
    let mut walk = Walk {
        tar: tar::Builder::new(out),
        links: HashMap::new(),
        device: one_device.then_some(stat.st_dev),
    };
    let (parent, top) = (place.parent.as_fd(), Path::new(top));
    if place.name.is_empty() {
        match stat.st_mode & 0o170_000 {
            0o040_000 => walk.folder(parent, OsStr::new("."), top, &stat)?,
            // a file that is mounted by itself
            0o100_000 => walk.pinned(parent, top, &stat)?,
            _ => walk.special(top, &stat)?,
        }
    } else {
        walk.entry(parent, OsStr::new(&place.name), top, &stat)?;
    }
    walk.tar.finish().map_err(|e| io("write", "tar", e))
}

impl Walk<'_> {
    fn entry(&mut self, parent: BorrowedFd<'_>, name: &OsStr, path: &Path, stat: &Stat) -> Result<()> {
        match stat.st_mode & 0o170_000 {
            0o040_000 => self.folder(parent, name, path, stat),
            0o100_000 => self.file(parent, name, path, stat),
            0o120_000 => {
                let target = match rustix::fs::readlinkat(parent, name, Vec::new()) {
                    Ok(target) => target.into_bytes(),
                    Err(failure) if swapped(failure) => return Ok(()),
                    Err(failure) => return Err(io("read link", path.display(), failure.into())),
                };
                let header = header(stat, tar::EntryType::Symlink, 0);
                let target = OsStr::from_bytes(&target);
                self.append_link(header, path, target).map_err(|e| io("write", path.display(), e))
            }
            _ => self.special(path, stat),
        }
    }

    /// Devices and FIFOs, which are never opened.
    fn special(&mut self, path: &Path, stat: &Stat) -> Result<()> {
        let fail = |e| io("write", path.display(), e);
        let (kind, device) = match stat.st_mode & 0o170_000 {
            0o020_000 => (tar::EntryType::Char, true),
            0o060_000 => (tar::EntryType::Block, true),
            0o010_000 => (tar::EntryType::Fifo, false),
            // sockets have no place in a tar
            _ => return Ok(()),
        };
        let mut header = header(stat, kind, 0);
        if device {
            let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
            header.set_device_major(major).map_err(fail)?;
            header.set_device_minor(minor).map_err(fail)?;
        }
        self.append(header, path.as_os_str(), std::io::empty()).map_err(fail)
    }

    /// Names that begin with `./` (what `cp c:/folder/. …` asks for) stay as they are: clients rename that dot, and the tar crate
    /// would take it away.
    fn append(&mut self, mut header: tar::Header, path: &OsStr, data: impl Read) -> std::io::Result<()> {
        if !path.as_bytes().starts_with(b"./") {
            return self.tar.append_data(&mut header, Path::new(path), data);
        }
        let name = self.fitting(tar::EntryType::GNULongName, path.as_bytes())?;
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_cksum();
        self.tar.append(&header, data)
    }

    fn append_link(&mut self, mut header: tar::Header, path: &Path, target: &OsStr) -> std::io::Result<()> {
        if !path.as_os_str().as_bytes().starts_with(b"./") {
            return self.tar.append_link(&mut header, path, target);
        }
        let link = self.fitting(tar::EntryType::GNULongLink, target.as_bytes())?;
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link);
        self.append(header, path.as_os_str(), std::io::empty())
    }

    /// As much of a name as a header holds; the whole of a longer one goes before it as an entry of its own.
    fn fitting<'b>(&mut self, kind: tar::EntryType, name: &'b [u8]) -> std::io::Result<&'b [u8]> {
        const FIELD: usize = 100;
        if name.len() > FIELD {
            let mut long = tar::Header::new_gnu();
            long.as_old_mut().name[..13].copy_from_slice(b"././@LongLink");
            long.set_entry_type(kind);
            long.set_mode(0o644);
            long.set_uid(0);
            long.set_gid(0);
            long.set_mtime(0);
            long.set_size(name.len() as u64 + 1);
            long.set_cksum();
            self.tar.append(&long, name.chain(&b"\0"[..]))?;
        }
        Ok(name.get(..FIELD).unwrap_or(name))
    }

    fn folder(&mut self, parent: BorrowedFd<'_>, name: &OsStr, path: &Path, stat: &Stat) -> Result<()> {
        let fail = |failure: Errno| io("open", path.display(), failure.into());
        if !path.as_os_str().is_empty() {
            let header = header(stat, tar::EntryType::Directory, 0);
            let mut shown = path.as_os_str().to_owned();
            if shown == "/" {
                shown = OsString::from("./");
            } else {
                shown.push("/");
            }
            self.append(header, &shown, std::io::empty()).map_err(|e| io("write", path.display(), e))?;
        }
        if self.device.is_some_and(|device| device != stat.st_dev) {
            return Ok(());
        }
        if path.as_os_str().len() >= LONGEST {
            return Err(io("open", "a folder that is nested too deep", Errno::NAMETOOLONG.into()));
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = match rustix::fs::openat(parent, name, flags, Mode::empty()) {
            Ok(folder) => folder,
            Err(failure) if swapped(failure) => return Ok(()),
            Err(failure) => return Err(fail(failure)),
        };
        for name in names(&folder).map_err(fail)? {
            let Ok(stat) = rustix::fs::statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue; // it has just gone
            };
            let below = if path == Path::new("/") { PathBuf::from(&name) } else { path.join(&name) };
            self.entry(folder.as_fd(), &name, &below, &stat)?;
        }
        Ok(())
    }

    /// What is swapped for something else since it was looked at is left out, and a device is never opened.
    fn file(&mut self, parent: BorrowedFd<'_>, name: &OsStr, path: &Path, stat: &Stat) -> Result<()> {
        if stat.st_nlink > 1 {
            if let Some(first) = self.links.get(&(stat.st_dev, stat.st_ino)) {
                let (header, first) = (header(stat, tar::EntryType::Link, 0), first.clone());
                let linked = self.append_link(header, path, first.as_os_str());
                return linked.map_err(|e| io("write", path.display(), e));
            }
            self.links.insert((stat.st_dev, stat.st_ino), path.to_owned());
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(parent, name, flags, Mode::empty()) {
            Ok(file) => self.pinned(file.as_fd(), path, stat),
            Err(failure) if swapped(failure) => Ok(()),
            Err(failure) => Err(io("open", path.display(), failure.into())),
        }
    }

    /// A regular file by an `O_PATH` descriptor.
    fn pinned(&mut self, file: BorrowedFd<'_>, path: &Path, seen: &Stat) -> Result<()> {
        let fail = |e| io("open", path.display(), e);
        let stat = rustix::fs::fstat(file).map_err(|e| fail(e.into()))?;
        if (stat.st_dev, stat.st_ino, stat.st_mode & 0o170_000) != (seen.st_dev, seen.st_ino, 0o100_000) {
            return Ok(());
        }
        let opened = File::open(format!("/proc/self/fd/{}", file.as_raw_fd())).map_err(fail)?;
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let header = header(&stat, tar::EntryType::Regular, size);
        // A file that grows or shrinks meanwhile is cut or filled up: the header has its size already.
        let reader = opened.chain(std::io::repeat(0)).take(size);
        self.append(header, path.as_os_str(), reader).map_err(|e| io("write", path.display(), e))
    }
}

/// The name has gone, or means something else than a moment ago: the container runs.
fn swapped(failure: Errno) -> bool {
    matches!(failure, Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::INVAL)
}

fn names(folder: &OwnedFd) -> rustix::io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            names.push(OsStr::from_bytes(name).to_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn header(stat: &Stat, kind: tar::EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(stat.st_mode & 0o7777);
    header.set_uid(u64::from(stat.st_uid));
    header.set_gid(u64::from(stat.st_gid));
    header.set_mtime(u64::try_from(stat.st_mtime).unwrap_or(0));
    header.set_size(size);
    header
}
