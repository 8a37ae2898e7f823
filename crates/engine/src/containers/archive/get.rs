//! Files → tar, walked by descriptor: what is swapped meanwhile is read as it was opened, never followed.

use super::Place;
use crate::{Result, error::io};
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{AtFlags, Mode, OFlags, Stat},
};
use std::{
    collections::HashMap,
    fs::File,
    io::{Read, Write},
};

struct Walk<'a> {
    tar: tar::Builder<&'a mut dyn Write>,
    /// First name of each file with several.
    links: HashMap<(u64, u64), String>,
    /// Stay on this file system.
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
    if place.name.is_empty() {
        if stat.st_mode & 0o170_000 == 0o040_000 {
            walk.folder(place.parent.as_fd(), "", top, &stat)?;
        } else {
            walk.file_at(place.parent.as_fd(), top, &stat)?;
        }
    } else {
        walk.entry(place.parent.as_fd(), &place.name, top, &stat)?;
    }
    walk.tar.finish().map_err(|e| io("write", "tar", e))
}

impl Walk<'_> {
    fn entry(&mut self, parent: BorrowedFd<'_>, name: &str, path: &str, stat: &Stat) -> Result<()> {
        match stat.st_mode & 0o170_000 {
            0o040_000 => self.folder(parent, name, path, stat),
            0o100_000 => self.file(parent, name, path, stat),
            0o120_000 => {
                let target = rustix::fs::readlinkat(parent, name, Vec::new())
                    .map_err(|e| io("read link", path, e.into()))?;
                let mut header = header(stat, tar::EntryType::Symlink, 0);
                let target = target.to_string_lossy().into_owned();
                self.tar.append_link(&mut header, path, target).map_err(|e| io("write", path, e))
            }
            kind @ (0o020_000 | 0o060_000 | 0o010_000) => {
                let entry = match kind {
                    0o020_000 => tar::EntryType::Char,
                    0o060_000 => tar::EntryType::Block,
                    _ => tar::EntryType::Fifo,
                };
                let mut header = header(stat, entry, 0);

                if kind != 0o010_000 {
                    let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
                    header.set_device_major(major).map_err(|e| io("write", path, e))?;
                    header.set_device_minor(minor).map_err(|e| io("write", path, e))?;
                }
                self.tar.append_data(&mut header, path, std::io::empty()).map_err(|e| io("write", path, e))
            }
            // sockets have no place in a tar
            _ => Ok(()),
        }
    }

    fn folder(&mut self, parent: BorrowedFd<'_>, name: &str, path: &str, stat: &Stat) -> Result<()> {
        if !path.is_empty() {
            let mut header = header(stat, tar::EntryType::Directory, 0);
            let shown = if path == "/" { "./".to_owned() } else { format!("{path}/") };
            self.tar.append_data(&mut header, shown, std::io::empty()).map_err(|e| io("write", path, e))?;
        }
        if self.device.is_some_and(|device| device != stat.st_dev) {
            return Ok(());
        }
        let at = if name.is_empty() { "." } else { name };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder =
            rustix::fs::openat(parent, at, flags, Mode::empty()).map_err(|e| io("open", path, e.into()))?;
        for name in names(&folder, path)? {
            let Ok(stat) = rustix::fs::statat(&folder, name.as_str(), AtFlags::SYMLINK_NOFOLLOW) else {
                continue; // it has just gone
            };
            let below = match path {
                "" | "/" => name.clone(),
                path => format!("{path}/{name}"),
            };
            self.entry(folder.as_fd(), &name, &below, &stat)?;
        }
        Ok(())
    }

    fn file(&mut self, parent: BorrowedFd<'_>, name: &str, path: &str, stat: &Stat) -> Result<()> {
        if stat.st_nlink > 1 {
            if let Some(first) = self.links.get(&(stat.st_dev, stat.st_ino)) {
                let mut header = header(stat, tar::EntryType::Link, 0);
                return self.tar.append_link(&mut header, path, first).map_err(|e| io("write", path, e));
            }
            self.links.insert((stat.st_dev, stat.st_ino), path.to_owned());
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file =
            rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(|e| io("open", path, e.into()))?;
        self.content(file, path, stat)
    }

    /// A file that is mounted by itself.
    fn file_at(&mut self, file: BorrowedFd<'_>, path: &str, stat: &Stat) -> Result<()> {
        use rustix::fd::AsRawFd;
        let again = format!("/proc/self/fd/{}", file.as_raw_fd());
        let opened = File::open(again).map_err(|e| io("open", path, e))?;
        self.content(opened.into(), path, stat)
    }

    fn content(&mut self, file: OwnedFd, path: &str, stat: &Stat) -> Result<()> {
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let mut header = header(stat, tar::EntryType::Regular, size);
        // A file that grows or shrinks meanwhile is cut or filled up: the header has its size already.
        let reader = File::from(file).chain(std::io::repeat(0)).take(size);
        self.tar.append_data(&mut header, path, reader).map_err(|e| io("write", path, e))
    }
}

fn names(folder: &OwnedFd, path: &str) -> Result<Vec<String>> {
    let listing = rustix::fs::Dir::read_from(folder).map_err(|e| io("list", path, e.into()))?;
    let mut names = Vec::new();
    for entry in listing {
        let entry = entry.map_err(|e| io("list", path, e.into()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != "." && name != ".." {
            names.push(name);
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
