//! Archives that `ADD` unpacks, and the build context: tar, plain or compressed, read in our own process, by descriptor only.

use crate::{
    copy::Look,
    rootfs::{Owner, Root, Type, named, own},
};
use rustix::{
    fd::AsFd,
    fs::{self, AtFlags, Mode, OFlags},
    io::Errno,
};
use std::{
    fs::File,
    io::{self, Read, Seek, Write},
    path::{Component, Path, PathBuf},
};

/// More than this from one archive is refused: a bomb, or a mistake.
const MAX_BYTES: u64 = 64 << 30;
const MAX_ENTRIES: u64 = 4_000_000;

fn bad(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.into())
}

/// Decompresses by magic: gzip, zstd, else as it is; bzip2 and xz are refused by name.
pub(crate) fn decoder<'a>(mut source: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut magic = [0; 6];
    let mut have = 0;
    while have < magic.len() {
        match source.read(magic.get_mut(have..).unwrap_or_default())? {
            0 => break,
            count => have += count,
        }
    }
    let head = magic.get(..have).unwrap_or_default().to_vec();
    let kind = head.clone();
    let whole = io::Cursor::new(head).chain(source);
    if kind.starts_with(&[0x1f, 0x8b]) {
        return Ok(Box::new(flate2::read::MultiGzDecoder::new(whole)));
    }
    if kind.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return Ok(Box::new(zstd::stream::read::Decoder::new(whole)?));
    }
    if kind.starts_with(b"BZh") || kind.starts_with(&[0xfd, b'7', b'z', b'X', b'Z', 0]) {
        return Err(bad("bzip2 and xz archives are not unpacked: use gzip, zstd or a plain tar"));
    }
    Ok(Box::new(whole))
}

/// Whether a file is a tar, plain or compressed.
pub(crate) fn is_archive(root: &Root, path: &Path) -> io::Result<bool> {
    let fd = root.open(path, OFlags::RDONLY).map_err(|e| named(path, e))?;
    let mut file = File::from(fd);
    if !file.metadata()?.is_file() {
        return Ok(false);
    }
    let mut head = [0; 6];
    let count = file.read(&mut head)?;
    let compressed = head.starts_with(&[0x1f, 0x8b])
        || head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
        || head.starts_with(b"BZh")
        || head.starts_with(&[0xfd, b'7', b'z', b'X', b'Z']);
    if count < 6 {
        return Ok(false);
    }
    file.rewind()?;
    if head.starts_with(b"BZh") || head.starts_with(&[0xfd, b'7', b'z', b'X', b'Z']) {
        return Ok(true);
    }
    let mut block = Vec::new();
    let reader: Box<dyn Read> = if compressed { decoder(file)? } else { Box::new(file) };
    // what does not decompress is no archive: copied as it is
    if reader.take(512).read_to_end(&mut block).is_err() || block.len() < 512 {
        return Ok(false);
    }
    Ok(block.get(257..262) == Some(b"ustar".as_slice()))
}

/// Unpacks an archive of one tree into a folder of another.
pub(crate) fn unpack(root: &Root, path: &Path, into: &Root, folder: &Path, owner: Owner) -> io::Result<()> {
    let file = File::from(root.open(path, OFlags::RDONLY).map_err(|e| named(path, e))?);
    drop(into.make_dirs(folder, owner.or(Some((0, 0))), 0o755)?);
    tar_into(decoder(io::BufReader::with_capacity(256 << 10, file))?, into, folder, owner)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// A tar's path, relative and without `..`.
fn inside(path: &Path) -> io::Result<PathBuf> {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => out.push(name),
            Component::CurDir | Component::RootDir => {}
            _ => return Err(bad(format!("the entry {:?} leads out of the archive", path.display()))),
        }
    }
    Ok(out)
}

/// Reads a tar into a folder of a tree.
pub(crate) fn tar_into(source: impl Read, into: &Root, folder: &Path, owner: Owner) -> io::Result<()> {
    let mut archive = tar::Archive::new(source);
    let (mut entries, mut bytes) = (0, 0);
    let mut folders = Vec::new();
    let mut any = false;
    for entry in archive.entries()? {
        let mut entry = entry?;
        any = true;
        entries += 1;
        bytes += entry.size();
        if entries > MAX_ENTRIES || bytes > MAX_BYTES {
            return Err(bad("the archive is larger than what is unpacked"));
        }
        let path = inside(&entry.path()?)?;
        let header = entry.header().clone();
        let (uid, gid) = match owner {
            Some(owner) => owner,
            None => (u32::try_from(header.uid()?).unwrap_or(0), u32::try_from(header.gid()?).unwrap_or(0)),
        };
        let mode = header.mode()? & 0o7777;
        let full = folder.join(&path);
        let kind = header.entry_type();
        if kind.is_dir() {
            let fd = into.make_dirs(&full, Some((uid, gid)), mode)?;
            own(fd.as_fd(), Some((uid, gid))).map_err(|e| named(&full, e))?;
            fs::fchmod(&fd, Mode::from_raw_mode(mode)).map_err(|e| named(&full, e))?;
            folders.push((full, header.mtime()?));
            continue;
        }
        let name = full.file_name().map(PathBuf::from).ok_or_else(|| bad("an entry without a name"))?;
        let parent = into.make_dirs(full.parent().unwrap_or(Path::new("")), Some((uid, gid)), 0o755)?;
        let fail = |e: Errno| named(&full, e);
        match fs::unlinkat(&parent, &name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(fail(error)),
        }
        if kind.is_symlink() {
            let target = entry.link_name()?.ok_or_else(|| bad("a symbolic link without a target"))?;
            fs::symlinkat(&*target, &parent, &name).map_err(fail)?;
            fs::chownat(
                &parent,
                &name,
                Some(rustix::process::Uid::from_raw(uid)),
                Some(rustix::process::Gid::from_raw(gid)),
                AtFlags::SYMLINK_NOFOLLOW,
            )
            .map_err(fail)?;
        } else if kind.is_hard_link() {
            let target =
                folder.join(inside(&entry.link_name()?.ok_or_else(|| bad("a hard link without a target"))?)?);
            let original = into
                .open(target.parent().unwrap_or(Path::new("")), OFlags::RDONLY | OFlags::DIRECTORY)
                .map_err(|e| named(&target, e))?;
            let last = target.file_name().ok_or_else(|| bad("a hard link to nothing"))?;
            fs::linkat(&original, last, &parent, &name, AtFlags::empty()).map_err(fail)?;
        } else if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mut file =
                File::from(fs::openat(&parent, &name, flags, Mode::from_raw_mode(0o600)).map_err(fail)?);
            io::copy(&mut entry, &mut file)?;
            own(file.as_fd(), Some((uid, gid))).map_err(fail)?;
            fs::fchmod(&file, Mode::from_raw_mode(mode)).map_err(fail)?;
            set_time(file.as_fd(), header.mtime()?).map_err(fail)?;
        } else if kind.is_fifo() || kind.is_block_special() || kind.is_character_special() {
            // devices and pipes are no build input
        }
    }
    if !any {
        return Ok(());
    }
    for (folder, time) in folders.into_iter().rev() {
        let fd = into.open(&folder, OFlags::RDONLY | OFlags::DIRECTORY).map_err(|e| named(&folder, e))?;
        set_time(fd.as_fd(), time).map_err(|e| named(&folder, e))?;
    }
    Ok(())
}

fn set_time(fd: rustix::fd::BorrowedFd<'_>, seconds: u64) -> Result<(), Errno> {
    let time = fs::Timespec { tv_sec: i64::try_from(seconds).unwrap_or(0), tv_nsec: 0 };
    fs::futimens(fd, &fs::Timestamps { last_access: time, last_modification: time })
}

/// A file with given bytes: heredocs and what was fetched (mode 600 for the latter in BuildKit; 644 unless `--chmod`).
pub(crate) fn write_file(into: &Root, path: &Path, bytes: &[u8], look: &Look) -> io::Result<()> {
    let name = path.file_name().map(PathBuf::from).ok_or_else(|| bad("the destination has no file name"))?;
    let parent =
        into.make_dirs(path.parent().unwrap_or(Path::new("")), look.owner.or(Some((0, 0))), 0o755)?;
    let fail = |e: Errno| named(path, e);
    if into.info(path, false)?.is_some_and(|info| info.kind != Type::Dir) {
        fs::unlinkat(&parent, &name, AtFlags::empty()).map_err(fail)?;
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(fs::openat(&parent, &name, flags, Mode::from_raw_mode(0o600)).map_err(fail)?);
    file.write_all(bytes)?;
    own(file.as_fd(), look.owner.or(Some((0, 0)))).map_err(fail)?;
    let mode = look.mode.as_ref().map_or(0o644, |mode| mode.of_file(0o644));
    fs::fchmod(&file, Mode::from_raw_mode(mode)).map_err(fail)?;
    // the same bytes make the same layer
    set_time(file.as_fd(), 0).map_err(fail)
}
