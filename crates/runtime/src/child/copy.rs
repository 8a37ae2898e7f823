//! `tmpcopyup`: what the image has in a folder, copied into the tmpfs that covers it. Names are taken one at a time below open folders,
//! never followed; contents, owners, modes and times are kept, hard links and extended attributes are not (as in runc).

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, RawDir, Stat, Timespec, Timestamps, Uid, chmodat, chownat, fchmod,
    fchown, mkdirat, mknodat, openat, readlinkat_raw, sendfile, statat, symlinkat, utimensat,
};
use rustix::io::{Errno, Result};
use std::ffi::CStr;
use std::mem::MaybeUninit;

/// Folders in folders: the stack of this process has room for many more.
const DEEPEST: usize = 100;

/// Copies what is in `from` to the folder `to`, and then the owner and mode of `from` itself.
pub(super) fn contents(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<()> {
    below(from, to, DEEPEST)?;
    let stat = rustix::fs::fstat(from)?;
    fchown(to, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    fchmod(to, Mode::from_raw_mode(stat.st_mode))
}

fn below(from: BorrowedFd<'_>, to: BorrowedFd<'_>, depth: usize) -> Result<()> {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut entries = RawDir::new(from, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            one(from, to, name, depth)?;
        }
    }
    Ok(())
}

fn one(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, depth: usize) -> Result<()> {
    let stat = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let mode = Mode::from_raw_mode(stat.st_mode);
    let kind = FileType::from_raw_mode(stat.st_mode);
    match kind {
        FileType::Directory => {
            mkdirat(to, name, Mode::RWXU)?;
            let depth = depth.checked_sub(1).ok_or(Errno::LOOP)?;
            below(folder(from, name)?.as_fd(), folder(to, name)?.as_fd(), depth)?;
        }
        FileType::RegularFile => file(from, to, name, &stat)?,
        FileType::Symlink => {
            let mut target = [MaybeUninit::uninit(); 4096];
            let (target, _) = readlinkat_raw(from, name, &mut target)?;
            symlinkat(&*target, to, name)?;
        }
        _ => mknodat(to, name, kind, mode, stat.st_rdev)?,
    }
    let owner = (Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)));
    chownat(to, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)?;
    if kind != FileType::Symlink {
        // After the owner, whose change takes set-user-id away.
        chmodat(to, name, mode, AtFlags::empty())?;
    }
    utimensat(to, name, &times(&stat), AtFlags::SYMLINK_NOFOLLOW)
}

fn folder(at: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd> {
    openat(at, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

fn file(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> Result<()> {
    let source = openat(from, name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let copy = openat(to, name, flags, Mode::RUSR | Mode::WUSR)?;
    let mut left = usize::try_from(stat.st_size).unwrap_or(0);
    while left > 0 {
        match sendfile(&copy, &source, None, left.min(1 << 20))? {
            // Shorter than it was.
            0 => break,
            sent => left = left.saturating_sub(sent),
        }
    }
    Ok(())
}

fn times(stat: &Stat) -> Timestamps {
    let time = |seconds: i64, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: i64::try_from(nanoseconds).unwrap_or(0),
    };
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}
