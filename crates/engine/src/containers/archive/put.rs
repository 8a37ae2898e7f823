//! Tar → files in a container, below a pinned root: each entry's folder is resolved as the container would (its links, its root), and the last
//! component is never followed. Decompression is ours: no program of the image is ever run.

use super::super::inside;
use crate::{Error, Kind, Result, error::io};
use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid},
    io::Errno,
};
use std::{
    fs::File,
    io::{self as std_io, Read},
};

fn invalid(message: impl Into<String>) -> Error {
    Error::new(Kind::Invalid, message)
}

/// Unpacks below `folder` of `root`. `keep_kinds`: a folder never replaces a file, nor the other way round.
pub(super) fn unpack(root: &OwnedFd, folder: &str, source: impl Read, keep_kinds: bool) -> Result<()> {
    let mut archive = tar::Archive::new(plain(source)?);
    let entries = archive.entries().map_err(|e| invalid(format!("read tar: {e}")))?;
    let mut folders = Vec::new();
    for entry in entries {
        let mut entry = entry.map_err(|e| invalid(format!("read tar: {e}")))?;
        one(root, folder, &mut entry, keep_kinds, &mut folders)?;
    }
    // times of folders last: making files in them changed them
    for (folder, times) in folders.into_iter().rev() {
        let fd: OwnedFd = folder;
        rustix::fs::futimens(&fd, &times).map_err(|e| io("set times of", "a folder", e.into()))?;
    }
    Ok(())
}

/// The plain tar, whatever it was packed with.
fn plain<'a>(mut source: impl Read + 'a) -> Result<Box<dyn Read + 'a>> {
    let mut magic = Vec::new();
    source.by_ref().take(6).read_to_end(&mut magic).map_err(|e| io("read", "tar", e))?;
    let whole = std_io::Cursor::new(magic.clone()).chain(source);
    match magic.as_slice() {
        [0x1f, 0x8b, ..] => Ok(Box::new(flate2::read::MultiGzDecoder::new(whole))),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let decoder = zstd::stream::read::Decoder::new(whole).map_err(|e| io("read", "zstd", e))?;
            Ok(Box::new(decoder))
        }
        [b'B', b'Z', b'h', ..] => Err(Error::new(
            Kind::Unsupported,
            "bzip2 archives are not supported: use gzip, zstd or plain tar",
        )),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => {
            Err(Error::new(Kind::Unsupported, "xz archives are not supported: use gzip, zstd or plain tar"))
        }
        _ => Ok(Box::new(whole)),
    }
}

fn refused(path: &str, failure: Errno) -> Error {
    if failure == Errno::ROFS {
        return Error::new(Kind::Forbidden, "mounted volume is marked read-only");
    }
    io("write in the container", path, failure.into())
}

/// A name of the archive, without tricks: relative, no `..` above its start.
fn name_of(path: &std::path::Path) -> Result<Vec<String>> {
    let mut parts: Vec<String> = Vec::new();
    for part in path.components() {
        match part {
            std::path::Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
            std::path::Component::ParentDir => {
                parts.pop().ok_or_else(|| {
                    invalid(format!("{:?} is outside of the archive's root", path.display()))
                })?;
            }
            _ => {}
        }
    }
    Ok(parts)
}

/// Opens the folder of an entry, making what is missing.
fn parent(root: &OwnedFd, folder: &str, parts: &[String]) -> Result<OwnedFd> {
    let mut path = folder.trim_end_matches('/').to_owned();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let full = format!("{path}/{}", parts.join("/"));
    if let Ok(found) = inside::open(root, &full, flags) {
        return Ok(found);
    }
    let mut at = inside::open(root, if path.is_empty() { "/" } else { &path }, flags)
        .map_err(|e| refused(&path, e))?;
    for part in parts {
        match rustix::fs::mkdirat(&at, part.as_str(), Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(failure) => return Err(refused(part, failure)),
        }
        path = format!("{path}/{part}");
        at = inside::open(root, &path, flags).map_err(|e| refused(&path, e))?;
    }
    Ok(at)
}

fn one(
    root: &OwnedFd,
    folder: &str,
    entry: &mut tar::Entry<'_, impl Read>,
    keep_kinds: bool,
    folders: &mut Vec<(OwnedFd, Timestamps)>,
) -> Result<()> {
    let path = entry.path().map_err(|e| invalid(format!("read tar: {e}")))?.into_owned();
    let mut parts = name_of(&path)?;
    let kind = entry.header().entry_type();
    let Some(name) = parts.pop() else {
        return Ok(()); // the folder itself: it stays as it is
    };
    let shown = path.display().to_string();
    let at = parent(root, folder, &parts)?;
    make_room(&at, &name, &shown, kind == tar::EntryType::Directory, keep_kinds)?;
    let header = entry.header();
    let mode = Mode::from_raw_mode(header.mode().map_err(|e| invalid(format!("{shown}: {e}")))? & 0o7777);
    let number = |n: std_io::Result<u64>| n.ok().and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
    let owner = (Uid::from_raw(number(header.uid())), Gid::from_raw(number(header.gid())));
    let mtime = i64::try_from(header.mtime().unwrap_or(0)).unwrap_or(0);
    let moment = Timespec { tv_sec: mtime, tv_nsec: 0 };
    let times = Timestamps { last_access: moment, last_modification: moment };
    let fail = |failure: Errno| refused(&shown, failure);
    match kind {
        tar::EntryType::Directory => {
            match rustix::fs::mkdirat(&at, name.as_str(), mode) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(failure) => return Err(fail(failure)),
            }
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let made = rustix::fs::openat(&at, name.as_str(), flags, Mode::empty()).map_err(fail)?;
            rustix::fs::fchown(&made, Some(owner.0), Some(owner.1)).map_err(fail)?;
            rustix::fs::fchmod(&made, mode).map_err(fail)?;
            if folders.len() < 256 {
                folders.push((made, times));
            }
            return Ok(());
        }
        tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let made =
                rustix::fs::openat(&at, name.as_str(), flags, Mode::from_raw_mode(0o600)).map_err(fail)?;
            let mut file = File::from(made);
            std_io::copy(entry, &mut file).map_err(|e| io("write in the container", &shown, e))?;
            rustix::fs::fchown(&file, Some(owner.0), Some(owner.1)).map_err(fail)?;
            rustix::fs::fchmod(&file, mode).map_err(fail)?;
            return rustix::fs::futimens(&file, &times).map_err(fail);
        }
        tar::EntryType::Symlink => {
            let target = entry
                .link_name()
                .ok()
                .flatten()
                .ok_or_else(|| invalid(format!("{shown}: a link to nothing")))?;
            rustix::fs::symlinkat(target.as_ref(), &at, name.as_str()).map_err(fail)?;
        }
        tar::EntryType::Link => {
            let target = entry
                .link_name()
                .ok()
                .flatten()
                .ok_or_else(|| invalid(format!("{shown}: a link to nothing")))?;
            let mut parts = name_of(&target)?;
            let last = parts.pop().ok_or_else(|| invalid(format!("{shown}: a hard link to a folder")))?;
            let from = parent(root, folder, &parts)?;
            return rustix::fs::linkat(&from, last.as_str(), &at, name.as_str(), AtFlags::empty())
                .map_err(fail);
        }
        tar::EntryType::Char | tar::EntryType::Block | tar::EntryType::Fifo => {
            let (file_type, device) = match kind {
                tar::EntryType::Fifo => (FileType::Fifo, 0),
                kind => {
                    let part = |n: std_io::Result<Option<u32>>| n.ok().flatten().unwrap_or(0);
                    let device =
                        rustix::fs::makedev(part(header.device_major()), part(header.device_minor()));
                    let block = kind == tar::EntryType::Block;
                    (if block { FileType::BlockDevice } else { FileType::CharacterDevice }, device)
                }
            };
            rustix::fs::mknodat(&at, name.as_str(), file_type, mode, device).map_err(fail)?;
        }
        // headers of the format itself, and what docker skips as well
        _ => return Ok(()),
    }
    let nofollow = AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::chownat(&at, name.as_str(), Some(owner.0), Some(owner.1), nofollow).map_err(fail)?;
    rustix::fs::utimensat(&at, name.as_str(), &times, nofollow).map_err(fail)
}

/// What is there already goes, unless both are folders.
fn make_room(at: &OwnedFd, name: &str, shown: &str, folder: bool, keep_kinds: bool) -> Result<()> {
    let stat = match rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(()),
        Err(failure) => return Err(refused(shown, failure)),
    };
    let was_folder = stat.st_mode & 0o170_000 == 0o040_000;
    match (was_folder, folder) {
        (true, true) => Ok(()),
        (true, false) if keep_kinds => {
            Err(invalid(format!("cannot overwrite directory \"{shown}\" with non-directory \"{shown}\"")))
        }
        (false, true) if keep_kinds => {
            Err(invalid(format!("cannot overwrite non-directory \"{shown}\" with directory \"{shown}\"")))
        }
        (true, false) => clear(at, name, shown, 0),
        (false, _) => rustix::fs::unlinkat(at, name, AtFlags::empty()).map_err(|e| refused(shown, e)),
    }
}

/// As deep as any path goes: each level takes a descriptor and stack.
const DEEPEST: usize = 2048;

/// Removes a folder and everything below, by descriptor.
fn clear(at: &OwnedFd, name: &str, shown: &str, depth: usize) -> Result<()> {
    let fail = |failure: Errno| refused(shown, failure);
    if depth >= DEEPEST {
        return Err(fail(Errno::NAMETOOLONG));
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(at.as_fd(), name, flags, Mode::empty()).map_err(fail)?;
    let listing = rustix::fs::Dir::read_from(&folder).map_err(fail)?;
    for entry in listing {
        let entry = entry.map_err(fail)?;
        let below = entry.file_name().to_string_lossy().into_owned();
        if below == "." || below == ".." {
            continue;
        }
        match rustix::fs::unlinkat(&folder, below.as_str(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::ISDIR | Errno::PERM) => clear(&folder, &below, shown, depth + 1)?,
            Err(failure) => return Err(fail(failure)),
        }
    }
    rustix::fs::unlinkat(at, name, AtFlags::REMOVEDIR).map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tar_of(entries: &[(&str, tar::EntryType, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, kind, text) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o644);
            if *kind == tar::EntryType::Directory {
                header.set_mode(0o755);
            }
            let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
            header.set_uid(uid.into());
            header.set_gid(gid.into());
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            if *kind == tar::EntryType::Symlink {
                header.set_link_name(text).unwrap();
                header.set_size(0);
                header.set_cksum();
                builder.append(&header, std_io::empty()).unwrap();
            } else {
                header.set_size(text.len() as u64);
                header.set_cksum();
                builder.append(&header, text.as_bytes()).unwrap();
            }
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn hostile_archives_stay_inside() {
        use tar::EntryType::{Regular, Symlink};
        let dir = std::env::temp_dir().join(format!("put-{}", crate::names::id().unwrap()));
        let (root, canary) = (dir.join("root"), dir.join("canary"));
        std::fs::create_dir_all(&root).unwrap();
        std::fs::write(&canary, "untouched").unwrap();
        let pinned = rustix::fs::open(&root, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let link = dir.to_string_lossy().into_owned();
        let tar = tar_of(&[("esc", Symlink, &link), ("esc/canary", Regular, "gone"), ("/abs", Regular, "x")]);
        // an absolute link is the container's own: it is followed inside its root, where nothing is
        let outcome = unpack(&pinned, "/", tar.as_slice(), false);
        assert!(outcome.is_err(), "a dangling link is no folder");
        assert_eq!(std::fs::read_to_string(&canary).unwrap(), "untouched");
        assert!(unpack(&pinned, "/", tar_of(&[("../up", Regular, "x")]).as_slice(), false).is_err());
        assert!(!dir.join("up").exists());
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn replaces_and_refuses() {
        use tar::EntryType::{Directory, Regular};
        let dir = std::env::temp_dir().join(format!("put-{}", crate::names::id().unwrap()));
        std::fs::create_dir_all(dir.join("a/b")).unwrap();
        std::fs::write(dir.join("a/b/f"), "old").unwrap();
        let root = rustix::fs::open(&dir, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let file = tar_of(&[("b", Regular, "now a file")]);
        assert!(unpack(&root, "/a", file.as_slice(), true).is_err());
        unpack(&root, "/a", file.as_slice(), false).unwrap();
        assert_eq!(std::fs::read_to_string(dir.join("a/b")).unwrap(), "now a file");
        let deep = tar_of(&[("x/y/", Directory, ""), ("x/y/z", Regular, "deep")]);
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std_io::Write::write_all(&mut gz, &deep).unwrap();
        unpack(&root, "/a", gz.finish().unwrap().as_slice(), true).unwrap();
        assert_eq!(std::fs::read_to_string(dir.join("a/x/y/z")).unwrap(), "deep");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
