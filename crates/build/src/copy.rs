//! `COPY` and `ADD` of files: from one tree into another, both by descriptor only.

use crate::rootfs::{self, Info, Owner, Root, Type, named, own};
use rustix::{
    fd::{AsFd, BorrowedFd},
    fs::{self, AtFlags, Mode, OFlags},
    io::Errno,
};
use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

/// How what is copied looks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Look {
    /// `--chown`; none: as in the source.
    pub(crate) owner: Owner,
    /// `--chmod`.
    pub(crate) mode: Option<Chmod>,
}

/// `--chmod`: octal, or symbolic clauses (`u+x,go-w`, `a=rX`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Chmod {
    Octal(u32),
    Symbolic(Vec<Clause>),
}

/// One symbolic clause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clause {
    who: u32,
    operator: char,
    bits: u32,
    /// `X`: execute only for folders and what is executable already.
    conditional: bool,
}

impl Chmod {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Ok(mode) = u32::from_str_radix(text, 8) {
            return if mode <= 0o7777 {
                Ok(Self::Octal(mode))
            } else {
                Err(format!("invalid chmod parameter: {text:?}"))
            };
        }
        text.split(',')
            .map(|clause| Clause::parse(clause).ok_or_else(|| format!("invalid chmod parameter: {text:?}")))
            .collect::<Result<_, _>>()
            .map(Self::Symbolic)
    }

    /// Of a file that had `mode`.
    pub(crate) fn of_file(&self, mode: u32) -> u32 {
        self.apply(mode, false)
    }

    fn apply(&self, mode: u32, dir: bool) -> u32 {
        match self {
            Self::Octal(mode) => *mode,
            Self::Symbolic(clauses) => clauses.iter().fold(mode, |mode, clause| clause.apply(mode, dir)),
        }
    }
}

impl Clause {
    fn parse(text: &str) -> Option<Self> {
        let at = text.find(['+', '-', '='])?;
        let (who, rest) = text.split_at(at);
        let mut mask = 0;
        for c in who.chars() {
            mask |= match c {
                'u' => 0o4700,
                'g' => 0o2070,
                'o' => 0o1007,
                'a' => 0o7777,
                _ => return None,
            };
        }
        let mut chars = rest.chars();
        let operator = chars.next()?;
        let (mut bits, mut conditional) = (0, false);
        for c in chars {
            bits |= match c {
                'r' => 0o444,
                'w' => 0o222,
                'x' => 0o111,
                's' => 0o6000,
                't' => 0o1000,
                'X' => {
                    conditional = true;
                    0
                }
                _ => return None,
            };
        }
        Some(Self { who: if mask == 0 { 0o7777 } else { mask }, operator, bits, conditional })
    }

    fn apply(&self, mode: u32, dir: bool) -> u32 {
        let execute = if self.conditional && (dir || mode & 0o111 != 0) { 0o111 } else { 0 };
        let bits = (self.bits | execute) & self.who;
        match self.operator {
            '+' => mode | bits,
            '-' => mode & !bits,
            _ => mode & !(self.who & 0o777) | bits,
        }
    }
}

/// One source that was found, and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placed {
    /// In the source tree.
    pub(crate) from: PathBuf,
    /// In the destination tree: of the file, or of the folder whose content is copied.
    pub(crate) to: PathBuf,
}

/// What a walk leaves out: paths relative to the source.
pub(crate) type Excluded<'a> = &'a dyn Fn(&Path) -> bool;

/// Copies a file, link or a folder's content.
pub(crate) fn copy(
    source: &Root,
    target: &Root,
    placed: &Placed,
    look: &Look,
    excluded: Excluded<'_>,
) -> io::Result<()> {
    let from = source.open(&placed.from, OFlags::PATH).map_err(|e| named(&placed.from, e))?;
    let info = rootfs::info(from.as_fd()).map_err(|e| named(&placed.from, e))?;
    if info.kind == Type::Dir {
        let existed = target.info(&placed.to, true)?.is_some();
        let to = target.make_dirs(&placed.to, look.owner.or(Some((0, 0))), 0o755)?;
        if !existed {
            dress(to.as_fd(), &info, look).map_err(|e| named(&placed.to, e))?;
        }
        let from = source
            .open(&placed.from, OFlags::RDONLY | OFlags::DIRECTORY)
            .map_err(|e| named(&placed.from, e))?;
        let walk = Walk { target, look, excluded };
        let copied = walk.folder(from.as_fd(), to.as_fd(), &placed.from, Path::new(""), &placed.to);
        if !existed {
            times(to.as_fd(), &info).map_err(|e| named(&placed.to, e))?;
        }
        return copied;
    }
    let parent = placed.to.parent().unwrap_or(Path::new(""));
    let name = placed
        .to
        .file_name()
        .map(Path::new)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the destination has no file name"))?;
    let to = target.make_dirs(parent, look.owner.or(Some((0, 0))), 0o755)?;
    let file = source.open(&placed.from, OFlags::RDONLY).map_err(|e| named(&placed.from, e))?;
    file_into(file.as_fd(), to.as_fd(), name, &info, look)
        .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", placed.to.display())))
}

/// Two trees on the way down.
struct Walk<'a> {
    target: &'a Root,
    look: &'a Look,
    excluded: Excluded<'a>,
}

impl Walk<'_> {
    /// Copies what is in a folder; `shown` is its name for errors, `inside` relative to the source, `to_path` in the target.
    fn folder(
        &self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        shown: &Path,
        inside: &Path,
        to_path: &Path,
    ) -> io::Result<()> {
        rootfs::within(inside)?;
        for name in rootfs::names(from).map_err(|e| named(shown, e))? {
            let (shown, inside) = (shown.join(&name), inside.join(&name));
            if (self.excluded)(&inside) {
                continue;
            }
            let fail = |e: Errno| named(&shown, e);
            let info = rootfs::entry(from, &name).map_err(fail)?;
            match info.kind {
                Type::Dir => {
                    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    let next_from = fs::openat(from, &name, flags, Mode::empty()).map_err(fail)?;
                    let to_path = to_path.join(&name);
                    let (next_to, fresh) = self.enter(to, &name, &to_path)?;
                    if fresh {
                        dress(next_to.as_fd(), &info, self.look).map_err(fail)?;
                    }
                    self.folder(next_from.as_fd(), next_to.as_fd(), &shown, &inside, &to_path)?;
                    if fresh {
                        times(next_to.as_fd(), &info).map_err(fail)?;
                    }
                }
                Type::File => {
                    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    let file = fs::openat(from, &name, flags, Mode::empty()).map_err(fail)?;
                    file_into(file.as_fd(), to, &name, &info, self.look)
                        .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", shown.display())))?;
                }
                Type::Link => link_into(from, to, &name, &info, self.look).map_err(fail)?,
                // sockets, pipes and devices are no content
                Type::Other => {}
            }
        }
        Ok(())
    }

    /// The target's folder of that name, and whether its looks are the source's: made, or a folder already. A link to a folder
    /// stands for the folder (`/bin` of a merged `/usr`), looked up inside the target, and keeps its looks.
    fn enter(&self, to: BorrowedFd<'_>, name: &Path, path: &Path) -> io::Result<(rustix::fd::OwnedFd, bool)> {
        let fail = |e: Errno| named(path, e);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rootfs::entry(to, name) {
            Ok(there) if there.kind == Type::Dir => {}
            Ok(there) if there.kind == Type::Link => {
                return self
                    .target
                    .open(path, OFlags::RDONLY | OFlags::DIRECTORY)
                    .map(|fd| (fd, false))
                    .map_err(fail);
            }
            Ok(_) => {
                let text = format!("{}: cannot copy a folder over a file", path.display());
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
            }
            Err(Errno::NOENT) => fs::mkdirat(to, name, Mode::from_raw_mode(0o755)).map_err(fail)?,
            Err(error) => return Err(fail(error)),
        }
        fs::openat(to, name, flags, Mode::empty()).map(|fd| (fd, true)).map_err(fail)
    }
}

fn link_into(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    name: &Path,
    info: &Info,
    look: &Look,
) -> Result<(), Errno> {
    let link = fs::readlinkat(from, name, Vec::new())?;
    clear(to, name)?;
    fs::symlinkat(link.as_c_str(), to, name)?;
    let (uid, gid) = look.owner.unwrap_or((info.uid, info.gid));
    let (uid, gid) = (rustix::process::Uid::from_raw(uid), rustix::process::Gid::from_raw(gid));
    fs::chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
}

/// Removes what is in a file's way; a folder stays and is an error later.
fn clear(folder: BorrowedFd<'_>, name: &Path) -> Result<(), Errno> {
    match fs::unlinkat(folder, name, AtFlags::empty()) {
        Err(Errno::NOENT) | Ok(()) => Ok(()),
        Err(error) => Err(error),
    }
}

fn file_into(
    from: BorrowedFd<'_>,
    folder: BorrowedFd<'_>,
    name: &Path,
    info: &Info,
    look: &Look,
) -> io::Result<()> {
    clear(folder, name)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let to = fs::openat(folder, name, flags, Mode::from_raw_mode(0o600))?;
    let mut reader = File::from(from.try_clone_to_owned()?);
    let mut writer = File::from(to);
    io::copy(&mut reader, &mut writer)?;
    for xattr in xattrs(from)? {
        fs::fsetxattr(&writer, xattr.0.as_str(), &xattr.1, fs::XattrFlags::empty())?;
    }
    dress(writer.as_fd(), info, look)?;
    Ok(times(writer.as_fd(), info)?)
}

/// Extended attributes that are part of a file's content: capabilities and the user's.
pub(crate) fn xattrs(fd: BorrowedFd<'_>) -> Result<Vec<(String, Vec<u8>)>, Errno> {
    let mut list = vec![0; 4096];
    let length = match fs::flistxattr(fd, list.as_mut_slice()) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP | Errno::BADF) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for name in list
        .get(..length)
        .unwrap_or_default()
        .split(|b| *b == 0)
        .filter_map(|name| std::str::from_utf8(name).ok())
    {
        if name == "security.capability" || name.starts_with("user.") {
            let mut value = vec![0; 64 << 10];
            let size = fs::fgetxattr(fd, name, value.as_mut_slice())?;
            value.truncate(size);
            found.push((name.to_owned(), value));
        }
    }
    Ok(found)
}

fn dress(fd: BorrowedFd<'_>, info: &Info, look: &Look) -> Result<(), Errno> {
    own(fd, Some(look.owner.unwrap_or((info.uid, info.gid))))?;
    let mode = look.mode.as_ref().map_or(info.mode, |chmod| chmod.apply(info.mode, info.kind == Type::Dir));
    fs::fchmod(fd, Mode::from_raw_mode(mode))
}

fn times(fd: BorrowedFd<'_>, info: &Info) -> Result<(), Errno> {
    let time = fs::Timespec { tv_sec: info.mtime.0, tv_nsec: info.mtime.1.into() };
    fs::futimens(fd, &fs::Timestamps { last_access: time, last_modification: time })
}

/// Sources that match (wildcards as Go's filepath.Match), and their places by docker's rules: a folder's content goes into the
/// destination; a file goes under its own name if the destination is a folder or ends in `/`.
pub(crate) fn place(
    source: &Root,
    target: &Root,
    patterns: &[String],
    destination: &Path,
    folder: bool,
    parents: bool,
) -> io::Result<Vec<Placed>> {
    let mut placed = Vec::new();
    let mut several = patterns.len() > 1;
    let mut found: Vec<PathBuf> = Vec::new();
    for pattern in patterns {
        let matches = find(source, pattern)?;
        several |= matches.len() > 1;
        if matches.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("{pattern:?}: not found")));
        }
        found.extend(matches);
    }
    if several && !folder {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "When using COPY with more than one source file, the destination must be a directory and end with a /",
        ));
    }
    let into = folder || target.info(destination, true)?.is_some_and(|info| info.kind == Type::Dir);
    for from in found {
        let info = source.info(&from, true)?.ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("{}: not found", from.display()))
        })?;
        let to = match (info.kind, parents) {
            (_, true) => destination.join(&from),
            (Type::Dir, false) => destination.to_owned(),
            (_, false) if into => destination.join(from.file_name().unwrap_or_default()),
            _ => destination.to_owned(),
        };
        placed.push(Placed { from, to });
    }
    Ok(placed)
}

fn find(source: &Root, pattern: &str) -> io::Result<Vec<PathBuf>> {
    let path = rootfs::clean(Path::new(pattern));
    if !pattern.contains(['*', '?', '[', '\\']) {
        return Ok(source.info(&path, true)?.map(|_| path).into_iter().collect());
    }
    let mut found = vec![PathBuf::new()];
    for part in path.components() {
        let part = part.as_os_str().to_string_lossy();
        let mut next = Vec::new();
        for folder in found {
            let Ok(fd) = source.open(&folder, OFlags::RDONLY | OFlags::DIRECTORY) else { continue };
            for name in rootfs::names(fd.as_fd()).map_err(|e| named(&folder, e))? {
                if crate::patterns::component(&part, &name.to_string_lossy()) {
                    next.push(folder.join(name));
                }
            }
        }
        found = next;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_octal_or_symbolic() {
        for (text, before, dir, after) in [
            ("755", 0o600, false, 0o755),
            ("u+x", 0o644, false, 0o744),
            ("go-w", 0o666, false, 0o644),
            ("a=r", 0o777, false, 0o444),
            ("a+X", 0o644, false, 0o644),
            ("a+X", 0o644, true, 0o755),
            ("+x,o-x", 0o644, false, 0o754),
        ] {
            assert_eq!(Chmod::parse(text).unwrap().apply(before, dir), after, "{text}");
        }
        for bad in ["9", "77777", "u*x", "q+x", ""] {
            assert!(Chmod::parse(bad).is_err(), "{bad}");
        }
    }
}
