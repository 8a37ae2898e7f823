//! What a snapshot changed, as a tar: written into the tar-index and hashed, never stored a second time.

use super::{
    emit::{self, Member},
    index::IndexWriter,
    ingest,
};
use crate::{snapshot::lookup, tree};
use dhow_oci::Digest;
use ring::digest::{Context, SHA256};
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{self, AtFlags, FileType, Mode, OFlags, Stat},
};
use std::{
    collections::HashMap,
    ffi::CString,
    fs::File,
    io::{self, Read},
};
use tar::EntryType;

/// A tree being read as a tar.
pub(super) struct Commit<'a> {
    index: IndexWriter,
    context: Context,
    /// The folders below, top first: to know which opaque folders hide something.
    lowers: &'a [OwnedFd],
    clamp: Option<i64>,
    /// Device and inode of files with several names → the first of them.
    links: HashMap<(u64, u64), Vec<u8>>,
    total: u64,
    size: u64,
    buffer: Vec<u8>,
}

/// What came of it.
pub(super) struct Committed {
    pub(super) diff_id: Digest,
    pub(super) tar_size: u64,
    pub(super) size: u64,
}

impl<'a> Commit<'a> {
    pub(super) fn new(index: IndexWriter, lowers: &'a [OwnedFd], clamp: Option<i64>) -> Self {
        Self {
            index,
            context: Context::new(&SHA256),
            lowers,
            clamp,
            links: HashMap::new(),
            total: 0,
            size: 0,
            buffer: vec![0; 128 * 1024],
        }
    }

    /// Everything in `upper`. Times above the clamp are set on the disk as well, and overlayfs' private marks, which mean
    /// nothing in a layer, are taken away.
    pub(super) fn run(mut self, upper: BorrowedFd<'_>) -> io::Result<Committed> {
        self.folder(upper, &[])?;
        self.put(&[0; 1024])?;
        self.index.finish()?;
        Ok(Committed { diff_id: ingest::digest(self.context), tar_size: self.total, size: self.size })
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.context.update(bytes);
        self.total += bytes.len() as u64;
        self.index.literal(bytes)
    }

    fn folder(&mut self, dir: BorrowedFd<'_>, path: &[u8]) -> io::Result<()> {
        tree::within(path)?;
        for name in tree::names(dir)? {
            let mut inner = path.to_vec();
            if !inner.is_empty() {
                inner.push(b'/');
            }
            inner.extend_from_slice(name.to_bytes());
            self.one(dir, &name, inner).map_err(|e| match e.raw_os_error() {
                Some(_) => io::Error::new(
                    e.kind(),
                    format!("{}/{}: {e}", String::from_utf8_lossy(path), name.to_string_lossy()),
                ),
                None => e,
            })?;
        }
        Ok(())
    }

    fn one(&mut self, dir: BorrowedFd<'_>, name: &CString, path: Vec<u8>) -> io::Result<()> {
        let found = tree::stat(dir, name)?;
        if tree::is_whiteout(&found) {
            return self.whiteout(&path, &found);
        }
        if tree::kind(&found) == FileType::Socket {
            return Ok(()); // tar has none
        }
        let folder = tree::kind(&found) == FileType::Directory;
        if !folder && found.st_nlink > 1 {
            if let Some(first) = self.links.get(&(found.st_dev, found.st_ino)).cloned() {
                let member = Member { link: &first, ..self.member(&found, EntryType::Link, &path, &[]) };
                return self.put(&emit::header(&Member { size: 0, ..member }));
            }
            self.links.insert((found.st_dev, found.st_ino), path.clone());
        }
        let (xattrs, opaque) = xattrs(dir, name)?;
        if self.clamp.is_some_and(|clamp| found.st_mtime > clamp) && !folder {
            let clamp = self.clamp.unwrap_or_default();
            fs::utimensat(dir, name, &tree::times(clamp, 0), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        match tree::kind(&found) {
            FileType::Directory => return self.directory(dir, name, &path, &found, &xattrs, opaque),
            FileType::RegularFile => return self.file(dir, name, &path, &found, &xattrs),
            FileType::Symlink => {
                let target = fs::readlinkat(dir, name, Vec::new())?.into_bytes();
                let member =
                    Member { link: &target, ..self.member(&found, EntryType::Symlink, &path, &xattrs) };
                self.put(&emit::header(&member))?;
            }
            FileType::CharacterDevice => {
                self.put(&emit::header(&self.member(&found, EntryType::Char, &path, &xattrs)))?
            }
            FileType::BlockDevice => {
                self.put(&emit::header(&self.member(&found, EntryType::Block, &path, &xattrs)))?
            }
            FileType::Fifo => {
                self.put(&emit::header(&self.member(&found, EntryType::Fifo, &path, &xattrs)))?
            }
            other => {
                return Err(io::Error::other(format!(
                    "{}: unknown kind {other:?}",
                    String::from_utf8_lossy(&path)
                )));
            }
        }
        Ok(())
    }

    fn member<'m>(
        &self,
        found: &Stat,
        kind: EntryType,
        path: &'m [u8],
        xattrs: &'m [(Vec<u8>, Vec<u8>)],
    ) -> Member<'m> {
        let regular = kind == EntryType::Regular;
        let device = if matches!(kind, EntryType::Char | EntryType::Block) { found.st_rdev } else { 0 };
        Member {
            kind,
            path,
            link: b"",
            mode: found.st_mode & 0o7777,
            uid: found.st_uid,
            gid: found.st_gid,
            mtime: self.clamp.map_or(found.st_mtime, |clamp| found.st_mtime.min(clamp)),
            size: if regular { u64::try_from(found.st_size).unwrap_or(0) } else { 0 },
            device: (fs::major(device), fs::minor(device)),
            xattrs,
        }
    }

    fn directory(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &CString,
        path: &[u8],
        found: &Stat,
        xattrs: &[(Vec<u8>, Vec<u8>)],
        opaque: bool,
    ) -> io::Result<()> {
        let slashed = [path, b"/"].concat();
        self.put(&emit::header(&self.member(found, EntryType::Directory, &slashed, xattrs)))?;
        if opaque && lookup::folder_below(self.lowers, path)? {
            let mark = [path, b"/.wh..wh..opq"].concat();
            self.put(&emit::header(&self.member(found, EntryType::Regular, &mark, &[]).empty()))?;
        }
        let inner = tree::open_in(dir, name)?;
        self.folder(inner.as_fd(), path)?;
        if let Some(clamp) = self.clamp.filter(|&clamp| found.st_mtime > clamp) {
            fs::futimens(&inner, &tree::times(clamp, 0))?;
        }
        Ok(())
    }

    fn file(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &CString,
        path: &[u8],
        found: &Stat,
        xattrs: &[(Vec<u8>, Vec<u8>)],
    ) -> io::Result<()> {
        let member = self.member(found, EntryType::Regular, path, xattrs);
        let size = member.size;
        self.put(&emit::header(&member))?;
        if size == 0 {
            return Ok(());
        }
        self.index.reference(path, size)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(fs::openat(dir, name, flags, Mode::empty())?);
        let mut left = size;
        while left > 0 {
            let want = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let got = file.read(&mut self.buffer[..want])?;
            if got == 0 {
                return Err(io::Error::other(format!(
                    "{} shrank while it was read",
                    String::from_utf8_lossy(path)
                )));
            }
            self.context.update(&self.buffer[..got]);
            left -= got as u64;
        }
        self.total += size;
        self.size += size;
        self.put(&[0; 512][..emit::padding(size)])
    }

    fn whiteout(&mut self, path: &[u8], found: &Stat) -> io::Result<()> {
        let at = path.iter().rposition(|&b| b == b'/').map_or(0, |at| at + 1);
        let name = [&path[..at], b".wh.", &path[at..]].concat();
        self.put(&emit::header(&self.member(found, EntryType::Regular, &name, &[]).empty()))
    }
}

impl Member<'_> {
    /// A mark: an empty file of root's. Its time says nothing (the moment of the removal), so it has none.
    fn empty(self) -> Self {
        Self { size: 0, mode: 0, mtime: 0, uid: 0, gid: 0, ..self }
    }
}

/// The attributes that belong into a layer, and whether the file is an opaque folder.
fn xattrs(dir: BorrowedFd<'_>, name: &CString) -> io::Result<(tree::Xattrs, bool)> {
    let path = tree::magic(dir, name.to_bytes());
    let mut opaque = false;
    let mut kept = Vec::new();
    for (key, value) in tree::xattrs(&path)? {
        match key.strip_prefix(b"trusted.overlay.") {
            Some(b"opaque") => opaque |= value == b"y",
            Some(b"redirect" | b"metacopy") => {
                let why = format!(
                    "{} was written with redirect_dir or metacopy, which a layer cannot say",
                    name.to_string_lossy()
                );
                return Err(io::Error::new(io::ErrorKind::Unsupported, why));
            }
            Some(_) => fs::lremovexattr(&path, key.as_slice())?,
            // The host's label, not the image's.
            None if key == b"security.selinux" => {}
            None => kept.push((key, value)),
        }
    }
    Ok((kept, opaque))
}
