//! What an entry says beside its content: owner, extended attributes, the map of a sparse file.

use super::tarball::{Entry, Sparse, Tarball};
use crate::tree;
use rustix::{
    fd::BorrowedFd,
    fs::{self, XattrFlags},
    io::Errno,
};
use std::{
    fs::File,
    io::{self, BufRead},
    os::unix::fs::FileExt,
};

pub(super) fn owner(entry: &Entry) -> io::Result<(u32, u32)> {
    match (u32::try_from(entry.uid), u32::try_from(entry.gid)) {
        (Ok(uid), Ok(gid)) if uid != u32::MAX && gid != u32::MAX => Ok((uid, gid)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the owner is not a user or group number")),
    }
}

/// Overlayfs' own attributes never come from a tar: they could redirect a folder.
pub(super) fn wanted_xattrs(entry: &Entry) -> impl Iterator<Item = (&[u8], &[u8])> {
    let ours = |key: &[u8]| key.starts_with(b"trusted.overlay.") || key.starts_with(b"user.overlay.");
    entry
        .xattrs
        .iter()
        .filter(move |(key, _)| !ours(key))
        .map(|(key, value)| (key.as_slice(), value.as_slice()))
}

/// A file system without an attribute's class, or a user who may not set it, loses that attribute (as with docker).
pub(super) fn tolerate(outcome: rustix::io::Result<()>) -> io::Result<()> {
    match outcome {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::PERM) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

pub(super) fn opaque(path: &std::path::Path) -> rustix::io::Result<()> {
    fs::lsetxattr(path, "trusted.overlay.opaque", b"y", XattrFlags::empty())
}

pub(super) fn set_opaque(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    Ok(opaque(&tree::magic(dir, name))?)
}

pub(super) fn write_sparse(
    file: &File,
    sparse: &Sparse,
    stored: u64,
    tar: &mut Tarball<impl BufRead>,
    limit: u64,
) -> io::Result<()> {
    let wrong =
        |why: &str| io::Error::new(io::ErrorKind::InvalidData, format!("the map of a sparse file {why}"));
    let mut end = 0_u64;
    let mut sum = 0_u64;
    for &(offset, length) in &sparse.pieces {
        if offset < end {
            return Err(wrong("is not ascending"));
        }
        end = offset.checked_add(length).ok_or_else(|| wrong("overflows"))?;
        sum = sum.checked_add(length).ok_or_else(|| wrong("overflows"))?;
    }
    if end > sparse.size || sum != stored || sparse.size > limit {
        return Err(wrong("does not fit its data"));
    }
    file.set_len(sparse.size)?;
    let mut pieces = sparse.pieces.iter().copied().filter(|&(_, length)| length > 0);
    let (mut offset, mut left) = pieces.next().unwrap_or((0, 0));
    tar.payload(None, |mut bytes| {
        while !bytes.is_empty() {
            if left == 0 {
                (offset, left) = pieces.next().ok_or_else(|| wrong("does not fit its data"))?;
            }
            let (now, later) = bytes.split_at(bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
            file.write_all_at(now, offset)?;
            offset += now.len() as u64;
            left -= now.len() as u64;
            bytes = later;
        }
        Ok(())
    })
}
