//! Paths inside the root: always openat2 with RESOLVE_IN_ROOT, made where absent. Buffers are on the stack.

use super::Held;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, mkdirat, openat2, readlinkat_raw, statat};
use rustix::io::{Errno, Result};
use std::ffi::CStr;
use std::mem::MaybeUninit;

/// A path of at most PATH_MAX bytes.
pub(super) struct Buffer {
    bytes: [u8; 4096],
    len: usize,
}

impl Buffer {
    fn new() -> Self {
        Self { bytes: [0; 4096], len: 0 }
    }

    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn push(&mut self, part: &[u8]) -> Result<()> {
        let separator = usize::from(self.len > 0);
        let end = self.len + separator + part.len();
        let place = self.bytes.get_mut(self.len..end).filter(|_| end < 4096).ok_or(Errno::NAMETOOLONG)?;
        let (slash, rest) = place.split_at_mut(separator);
        slash.fill(b'/');
        rest.copy_from_slice(part);
        self.len = end;
        Ok(())
    }

    fn pop(&mut self) {
        self.len = self.as_slice().iter().rposition(|&b| b == b'/').unwrap_or(0);
    }

    /// What the path is, or the root.
    fn or_dot(&self) -> &[u8] {
        if self.len == 0 { b"." } else { self.as_slice() }
    }

    fn set(&mut self, parts: [&[u8]; 2]) -> Result<()> {
        let mut fresh = Self::new();
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            fresh.push(part)?;
        }
        *self = fresh;
        Ok(())
    }
}

/// Opens `path` below `root`, following links as inside a chroot.
pub(super) fn open_in(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<Held> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let mut tries = 0;
    loop {
        match openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            // A rename elsewhere made the kernel unsure about `..`.
            Err(Errno::AGAIN) if tries < 128 => tries += 1,
            other => return other.map(Held::new),
        }
    }
}

/// What a missing path becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// All folders.
    Folder,
    /// Folders, and an empty file last.
    File,
}

/// [`open_in`] with `O_PATH`; what is missing is made. Links are followed inside the root even where they dangle.
pub(super) fn open_or_make(root: BorrowedFd<'_>, path: &CStr, missing: Missing) -> Result<Held> {
    match open_in(root, path.to_bytes(), OFlags::PATH) {
        Err(Errno::NOENT) => match make_last(root, path, missing) {
            Err(Errno::NOENT | Errno::EXIST | Errno::INVAL) => make(root, path.to_bytes(), missing),
            other => other,
        },
        other => other,
    }
}

/// Makes what is missing where only the last part is: `EXIST` if a link is there, that dangles.
fn make_last(root: BorrowedFd<'_>, path: &CStr, missing: Missing) -> Result<Held> {
    let (folder, name) = split(path)?;
    let parent = open_in(root, folder, OFlags::PATH | OFlags::DIRECTORY)?;
    create(parent.as_fd(), name, missing)?;
    open_in(parent.as_fd(), name, OFlags::PATH | OFlags::NOFOLLOW)
}

fn make(root: BorrowedFd<'_>, path: &[u8], missing: Missing) -> Result<Held> {
    let (mut done, mut rest) = (Buffer::new(), Buffer::new());
    rest.set([path, b""])?;
    let mut links = 0;
    loop {
        let text = rest.as_slice();
        let start = text.iter().position(|&b| b != b'/').unwrap_or(text.len());
        let text = text.get(start..).unwrap_or_default();
        if text.is_empty() {
            return open_in(root, done.or_dot(), OFlags::PATH);
        }
        let end = text.iter().position(|&b| b == b'/').unwrap_or(text.len());
        let (part, after) = text.split_at(end);
        let last = after.iter().all(|&b| b == b'/');
        match part {
            b"." => {}
            b".." => done.pop(),
            _ => {
                let parent = open_in(root, done.or_dot(), OFlags::PATH | OFlags::DIRECTORY)?;
                match statat(parent.as_fd(), part, AtFlags::SYMLINK_NOFOLLOW) {
                    Err(Errno::NOENT) => {
                        let missing = if last { missing } else { Missing::Folder };
                        match create(parent.as_fd(), part, missing) {
                            // Somebody was faster.
                            Ok(()) | Err(Errno::EXIST) => done.push(part)?,
                            Err(e) => return Err(e),
                        }
                    }
                    Err(e) => return Err(e),
                    Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {
                        links += 1;
                        if links > 40 {
                            return Err(Errno::LOOP);
                        }
                        let mut target = [MaybeUninit::uninit(); 4096];
                        let (target, _) = readlinkat_raw(parent.as_fd(), part, &mut target)?;
                        if target.first() == Some(&b'/') {
                            done = Buffer::new();
                        }
                        let mut next = Buffer::new();
                        next.set([target, after])?;
                        rest = next;
                        continue;
                    }
                    Ok(_) => done.push(part)?,
                }
            }
        }
        let mut next = Buffer::new();
        next.set([after, b""])?;
        rest = next;
    }
}

fn create(parent: BorrowedFd<'_>, name: &[u8], missing: Missing) -> Result<()> {
    match missing {
        Missing::Folder => mkdirat(parent, name, Mode::from_raw_mode(0o755)),
        Missing::File => {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
            openat2(parent, name, flags, Mode::from_raw_mode(0o644), resolve).map(drop)
        }
    }
}

/// Splits `/dev/pts/x` into its folder and the name.
pub(super) fn split(path: &CStr) -> Result<(&[u8], &[u8])> {
    let bytes = path.to_bytes();
    let cut = bytes.iter().rposition(|&b| b == b'/').ok_or(Errno::INVAL)?;
    let (folder, name) = bytes.split_at(cut);
    let name = name.get(1..).unwrap_or_default();
    if name.is_empty() || name == b"." || name == b".." {
        return Err(Errno::INVAL);
    }
    Ok((if folder.is_empty() { b"/" } else { folder }, name))
}

/// A folder, made where it is missing.
pub(super) fn folder(root: BorrowedFd<'_>, path: &[u8]) -> Result<Held> {
    match open_in(root, path, OFlags::PATH | OFlags::DIRECTORY) {
        Err(Errno::NOENT) => make(root, path, Missing::Folder),
        other => other,
    }
}
