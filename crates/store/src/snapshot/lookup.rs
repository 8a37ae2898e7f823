//! Names in a stack of overlay layers, looked up without mounting it.

use crate::tree;
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{FileType, OFlags, Stat},
    io::Errno,
};
use std::io;

/// What a stack has under a name.
#[derive(Debug)]
pub(crate) enum Found {
    /// Nothing, or it was deleted.
    Nothing,
    /// A symbolic link is on the way: only a mount can follow it.
    Link,
    /// A file or folder: its stat, and an `O_PATH` descriptor.
    File(OwnedFd, Stat),
}

/// Looks `path` (relative, without `..`) up in `layers`, top first.
pub(crate) fn find(layers: &[OwnedFd], path: &[u8]) -> io::Result<Found> {
    let parts: Vec<&[u8]> = path.split(|&b| b == b'/').filter(|part| !matches!(part, &b"" | &b".")).collect();
    for layer in layers {
        match find_in(layer.as_fd(), &parts)? {
            InLayer::Found(found) => return Ok(found),
            InLayer::Hidden => return Ok(Found::Nothing),
            InLayer::Absent => {}
        }
    }
    Ok(Found::Nothing)
}

enum InLayer {
    Found(Found),
    /// Not here, and the layers below do not show.
    Hidden,
    Absent,
}

fn find_in(layer: BorrowedFd<'_>, parts: &[&[u8]]) -> io::Result<InLayer> {
    let joined = parts.join(&b'/');
    let name: &[u8] = if joined.is_empty() { b"." } else { &joined };
    match tree::beneath(layer, name, OFlags::PATH | OFlags::NOFOLLOW) {
        Ok(fd) => {
            let stat = rustix::fs::fstat(&fd)?;
            Ok(match tree::kind(&stat) {
                _ if tree::is_whiteout(&stat) => InLayer::Hidden,
                FileType::Symlink => InLayer::Found(Found::Link),
                _ => InLayer::Found(Found::File(fd, stat)),
            })
        }
        Err(Errno::LOOP) => Ok(InLayer::Found(Found::Link)),
        Err(Errno::NOENT | Errno::NOTDIR) => hidden(layer, parts),
        Err(e) => Err(e.into()),
    }
}

/// Whether something of this layer on the way to an absent name hides the layers below.
fn hidden(layer: BorrowedFd<'_>, parts: &[&[u8]]) -> io::Result<InLayer> {
    for end in 1..=parts.len() {
        let path = parts[..end].join(&b'/');
        let fd = match tree::beneath(layer, path.as_slice(), OFlags::PATH | OFlags::NOFOLLOW) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(InLayer::Absent),
            Err(Errno::NOTDIR) => return Ok(InLayer::Hidden),
            Err(Errno::LOOP) => return Ok(InLayer::Found(Found::Link)),
            Err(e) => return Err(e.into()),
        };
        let stat = rustix::fs::fstat(&fd)?;
        if tree::kind(&stat) != FileType::Directory || is_opaque(&fd)? {
            return Ok(InLayer::Hidden);
        }
    }
    Ok(InLayer::Absent)
}

/// Whether a folder hides what the layers below have in it.
pub(crate) fn is_opaque(folder: impl AsFd) -> io::Result<bool> {
    Ok(tree::xattr(&tree::magic(folder, b"."), b"trusted.overlay.opaque")?.is_some_and(|value| value == b"y"))
}

/// Whether the layers below have a folder at `path`.
pub(crate) fn folder_below(lowers: &[OwnedFd], path: &[u8]) -> io::Result<bool> {
    Ok(match find(lowers, path)? {
        Found::File(_, stat) => tree::kind(&stat) == FileType::Directory,
        Found::Nothing | Found::Link => false,
    })
}
