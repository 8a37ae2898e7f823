//! Paths inside a container, resolved as its own processes would, and never outside: openat2 with RESOLVE_IN_ROOT below a pinned root.

use crate::{Error, Kind, Result, error::io};
use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{Mode, OFlags, ResolveFlags},
};
use std::{fs::File, io::Read};

/// How paths are resolved below a root.
pub(crate) const IN_ROOT: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

/// The root of a running process.
pub(crate) fn root_of(pid: i32) -> Result<OwnedFd> {
    let path = format!("/proc/{pid}/root");
    rustix::fs::open(&path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| io("open", path, e.into()))
}

/// Opens a path below `root`. Races with renames inside are tried again.
pub(crate) fn open(root: impl AsFd, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let path = if path.is_empty() { "/" } else { path };
    let mut tries = 0;
    loop {
        match rustix::fs::openat2(root.as_fd(), path, flags | OFlags::CLOEXEC, Mode::empty(), IN_ROOT) {
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) if tries < 64 => tries += 1,
            other => return other,
        }
    }
}

/// A small text file, empty if absent.
pub(crate) fn read_text(root: impl AsFd, path: &str, max: u64) -> Result<String> {
    let opened = match open(root, path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY) {
        Ok(opened) => opened,
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(String::new()),
        Err(failure) => return Err(io("open in the container", path, failure.into())),
    };
    let file = File::from(opened);
    let meta = file.metadata().map_err(|e| io("look at", path, e))?;
    if !meta.is_file() || meta.len() > max {
        return Err(Error::new(
            Kind::Invalid,
            format!("{path} in the container is no file of at most {max} bytes"),
        ));
    }
    let mut bytes = Vec::new();
    file.take(max).read_to_end(&mut bytes).map_err(|e| io("read in the container", path, e))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_inside() {
        let dir = std::env::temp_dir().join(format!("inside-{}", crate::names::id().unwrap()));
        std::fs::create_dir_all(dir.join("etc")).unwrap();
        std::fs::write(dir.join("etc/passwd"), "mine").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.join("abs")).unwrap();
        std::os::unix::fs::symlink("../../../../../etc/passwd", dir.join("rel")).unwrap();
        let root = rustix::fs::open(&dir, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        for path in ["/etc/passwd", "abs", "rel", "../../etc/passwd"] {
            assert_eq!(read_text(&root, path, 100).unwrap(), "mine", "{path}");
        }
        assert_eq!(read_text(&root, "/absent", 100).unwrap(), "");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
