//! What a snapshot changed: `docker diff`.

use super::{Change, Snapshot, lookup};
use crate::{Result, error::At, tree};
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{FileType, Stat},
};
use std::{collections::BTreeMap, io};

const MODIFIED: u8 = 0;
const ADDED: u8 = 1;
const DELETED: u8 = 2;

impl Snapshot {
    /// What differs from the layers, sorted by path.
    ///
    /// # Errors
    /// Disk.
    pub fn changes(&self) -> Result<Vec<Change>> {
        let walk = || -> io::Result<BTreeMap<Vec<u8>, u8>> {
            let upper = tree::open(&self.upper)?;
            let lowers = self.lowers.iter().map(|path| tree::open(path)).collect::<io::Result<Vec<_>>>()?;
            let mut walk = Walk { lowers: &lowers, found: BTreeMap::new() };
            walk.folder(upper.as_fd(), b"", false)?;
            Ok(walk.found)
        };
        let found = walk().at("compare snapshot", self.id.clone())?;
        let change =
            |(path, kind): (Vec<u8>, u8)| Change { path: String::from_utf8_lossy(&path).into_owned(), kind };
        Ok(found.into_iter().map(change).collect())
    }
}

struct Walk<'a> {
    lowers: &'a [OwnedFd],
    found: BTreeMap<Vec<u8>, u8>,
}

impl Walk<'_> {
    /// `new`: the layers have no such folder, so nothing in it either.
    fn folder(&mut self, dir: BorrowedFd<'_>, path: &[u8], new: bool) -> io::Result<()> {
        tree::within(path)?;
        for name in tree::names(dir)? {
            let inner = [path, b"/", name.to_bytes()].concat();
            let stat = tree::stat(dir, &name)?;
            let below = if new { lookup::Found::Nothing } else { lookup::find(self.lowers, &inner)? };
            let existed = !matches!(below, lookup::Found::Nothing);
            if tree::is_whiteout(&stat) {
                if existed {
                    self.note(inner, DELETED);
                }
                continue;
            }
            let folder = tree::kind(&stat) == FileType::Directory;
            match &below {
                lookup::Found::Nothing => self.note(inner.clone(), ADDED),
                // A folder that is here only because of what is inside counts if that counts.
                lookup::Found::File(_, lower) if folder && same_folder(&stat, lower) => {}
                lookup::Found::File(..) | lookup::Found::Link => self.note(inner.clone(), MODIFIED),
            }
            if folder {
                let opened = tree::open_in(dir, &name)?;
                if existed && lookup::is_opaque(&opened)? {
                    self.deleted_below(&opened, &inner)?;
                }
                self.folder(opened.as_fd(), &inner, !existed)?;
            }
        }
        Ok(())
    }

    /// What an opaque folder hides and does not have itself.
    fn deleted_below(&mut self, opaque: &OwnedFd, path: &[u8]) -> io::Result<()> {
        for lower in self.lowers {
            let relative = path.strip_prefix(b"/").unwrap_or(path);
            let Ok(dir) =
                tree::beneath(lower, relative, rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY)
            else {
                continue;
            };
            for name in tree::names(&dir)? {
                let inner = [path, b"/", name.to_bytes()].concat();
                let existed = !matches!(lookup::find(self.lowers, &inner)?, lookup::Found::Nothing);
                if existed && matches!(tree::stat(opaque, &name), Err(rustix::io::Errno::NOENT)) {
                    self.note(inner, DELETED);
                }
            }
        }
        Ok(())
    }

    /// Notes a change, and the folders above it as modified where nothing is noted of them.
    fn note(&mut self, path: Vec<u8>, kind: u8) {
        let mut end = path.len();
        while let Some(at) = path[..end].iter().rposition(|&b| b == b'/').filter(|&at| at > 0) {
            if self.found.contains_key(&path[..at]) {
                break; // and with it those above
            }
            self.found.insert(path[..at].to_vec(), MODIFIED);
            end = at;
        }
        self.found.insert(path, kind);
    }
}

fn same_folder(upper: &Stat, lower: &Stat) -> bool {
    tree::kind(lower) == FileType::Directory
        && (upper.st_mode, upper.st_uid, upper.st_gid) == (lower.st_mode, lower.st_uid, lower.st_gid)
        && (upper.st_mtime, upper.st_mtime_nsec) == (lower.st_mtime, lower.st_mtime_nsec)
}
