//! `docker cp`: paths of a container, running or not, read and written without ever leaving its root. Everything is resolved with openat2 below a
//! pinned root; a container that runs is entered through `/proc/PID/root`, a stopped one through a detached mount of its layers, with its volumes
//! and binds found by the real path of what is asked for (so also below linked folders like `/var/run`).

mod get;
mod pipe;
mod put;

pub(crate) use pipe::{pipe_in, pipe_out};

use super::{Handle, MountKind, PathStat, inside, mounts, service::snapshot};
use crate::{Error, Kind, Result, error::io, shared::Shared};
use bytes::Bytes;
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{AtFlags, Mode, OFlags},
};
use std::{path::PathBuf, sync::Arc};
use tokio::sync::mpsc;

/// A container's file system.
#[derive(Debug)]
struct Tree {
    root: OwnedFd,
    /// Of a stopped container: target and source of what would be mounted.
    mounts: Vec<Below>,
    /// Whether its root is read-only.
    readonly: bool,
}

#[derive(Debug)]
struct Below {
    target: String,
    source: PathBuf,
    rw: bool,
}

/// A path, resolved: the folder it is in (pinned) and its last component; empty for the folder itself.
#[derive(Debug)]
struct Place {
    parent: OwnedFd,
    name: String,
    /// The root that links are followed in.
    root: OwnedFd,
    /// Where `parent` is below that root.
    path: String,
    rw: bool,
}

fn missing(handle: &Handle, path: &str) -> Error {
    let name = &handle.view().name;
    Error::new(Kind::NotFound, format!("Could not find the file {path} in container {name}"))
}

impl Tree {
    fn open(shared: &Shared, handle: &Handle) -> Result<Self> {
        let view = handle.view();
        let readonly = view.spec.host.readonly_rootfs;
        if let Some(live) = handle.live() {
            return Ok(Self { root: inside::root_of(live.pid)?, mounts: Vec::new(), readonly: false });
        }
        let root = snapshot(shared, &view)?.mount()?;
        let mut below = Vec::new();
        for point in view.mounts.iter().filter(|p| matches!(p.kind, MountKind::Bind | MountKind::Volume)) {
            let target = real_path(&root, &point.target).unwrap_or_else(|| point.target.clone());
            below.push(Below { target, source: point.source.clone(), rw: point.rw });
        }
        // the deepest one wins
        below.sort_by_key(|b| std::cmp::Reverse(b.target.len()));
        Ok(Self { root, mounts: below, readonly })
    }

    /// Resolves `path`; its last component is followed only where `follow` (or a trailing slash or dot) says so.
    fn place(&self, handle: &Handle, path: &str, follow: bool) -> Result<Place> {
        let clean = mounts::clean(path);
        let whole = follow || path.ends_with('/') || path.ends_with("/.") || path == "." || clean == "/";
        let (folder, name) = if whole {
            (clean.clone(), String::new())
        } else {
            let (folder, name) = clean.rsplit_once('/').unwrap_or(("", &clean));
            (if folder.is_empty() { "/".to_owned() } else { folder.to_owned() }, name.to_owned())
        };
        let (root, inner, rw) = self.below(&folder, &name)?;
        let flags = if whole { OFlags::PATH } else { OFlags::PATH | OFlags::DIRECTORY };
        let (inner, name) = match inner {
            // the mount itself
            (at, true) => (at, String::new()),
            (at, false) => (at, name),
        };
        let parent = match inside::open(&root, &inner, flags) {
            Ok(parent) => parent,
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP) => {
                return Err(missing(handle, path));
            }
            Err(failure) => return Err(io("open in the container", path, failure.into())),
        };
        Ok(Place { parent, name, root, path: inner, rw })
    }

    /// The root that holds `folder`/`name`, the folder's path below it, and whether the path is a mount's own target.
    fn below(&self, folder: &str, name: &str) -> Result<(OwnedFd, (String, bool), bool)> {
        let clone = |fd: &OwnedFd| fd.try_clone().map_err(|e| io("share", "a root", e));
        if !self.mounts.is_empty() {
            let real = real_path(&self.root, folder).unwrap_or_else(|| folder.to_owned());
            let full =
                if name.is_empty() { real.clone() } else { format!("{}/{name}", real.trim_end_matches('/')) };
            for mount in &self.mounts {
                let exact = full == mount.target;
                let rest = real.strip_prefix(&mount.target).filter(|r| r.is_empty() || r.starts_with('/'));
                if exact || rest.is_some() {
                    let root = pin(&mount.source)?;
                    let at = rest.filter(|r| !r.is_empty()).unwrap_or("/").to_owned();
                    return Ok((root, (at, exact), mount.rw));
                }
            }
        }
        Ok((clone(&self.root)?, (folder.to_owned(), false), !self.readonly))
    }
}

fn pin(source: &std::path::Path) -> Result<OwnedFd> {
    rustix::fs::open(source, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| io("open", source.display(), e.into()))
}

/// Where a path really is below a root: its links followed.
fn real_path(root: &OwnedFd, path: &str) -> Option<String> {
    let opened = inside::open(root, path, OFlags::PATH).ok()?;
    let read = |fd: BorrowedFd<'_>| {
        use rustix::fd::AsRawFd;
        std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).ok()
    };
    let (base, full) = (read(root.as_fd())?, read(opened.as_fd())?);
    let rest = full.strip_prefix(base).ok()?.to_string_lossy().into_owned();
    Some(format!("/{rest}"))
}

impl Place {
    /// What is there, links not followed.
    fn stat(&self) -> rustix::io::Result<rustix::fs::Stat> {
        if self.name.is_empty() {
            rustix::fs::statat(&self.parent, "", AtFlags::EMPTY_PATH)
        } else {
            rustix::fs::statat(&self.parent, self.name.as_str(), AtFlags::SYMLINK_NOFOLLOW)
        }
    }
}

/// What is at a path. Blocking.
pub(super) fn stat(shared: &Shared, handle: &Handle, path: &str) -> Result<PathStat> {
    let tree = Tree::open(shared, handle)?;
    let place = tree.place(handle, path, false)?;
    describe(handle, &place, path)
}

fn describe(handle: &Handle, place: &Place, path: &str) -> Result<PathStat> {
    let stat = place.stat().map_err(|_| missing(handle, path))?;
    let mode = stat.st_mode;
    // `/etc/passwd/` is no file and no folder.
    if mode & 0o170_000 != 0o040_000 && path.ends_with('/') {
        return Err(missing(handle, path));
    }
    let link_target = if mode & 0o170_000 == 0o120_000 {
        let target = rustix::fs::readlinkat(&place.parent, place.name.as_str(), Vec::new())
            .map_err(|e| io("read link", path, e.into()))?;
        resolved_link(place, &target.to_string_lossy())
    } else {
        String::new()
    };
    let name = base(path);
    Ok(PathStat {
        name,
        size: stat.st_size,
        mode,
        mtime: (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or(0)),
        link_target,
    })
}

/// A link's target as an absolute path inside, as docker tells it.
fn resolved_link(place: &Place, target: &str) -> String {
    if target.starts_with('/') {
        mounts::clean(target)
    } else {
        mounts::clean(&format!("{}/{target}", place.path))
    }
}

/// Go's `filepath.Base`.
fn base(path: &str) -> String {
    let trimmed = path.trim_end_matches('/');
    match trimmed.rsplit('/').next() {
        None | Some("") => "/".to_owned(),
        Some(name) => name.to_owned(),
    }
}

/// A path as a tar stream.
pub(super) async fn get(
    shared: &Arc<Shared>,
    handle: &Arc<Handle>,
    path: String,
) -> Result<(PathStat, mpsc::Receiver<Result<Bytes>>)> {
    let (shared, handle) = (shared.clone(), handle.clone());
    let (stat, tree, place) = crate::blocking::run({
        let path = path.clone();
        move || {
            let tree = Tree::open(&shared, &handle)?;
            let place = tree.place(&handle, &path, false)?;
            Ok((describe(&handle, &place, &path)?, tree, place))
        }
    })
    .await?;
    let top = base(&path);
    let stream = pipe_out(move |out| {
        let done = get::write(&place, &top, false, out);
        // a stopped container's mount lives until everything was read
        drop(tree);
        done
    });
    Ok((stat, stream))
}

/// The whole root, without what is mounted in it.
pub(super) async fn export(
    shared: &Arc<Shared>,
    handle: &Arc<Handle>,
) -> Result<mpsc::Receiver<Result<Bytes>>> {
    let (shared, handle) = (shared.clone(), handle.clone());
    let (tree, place) = crate::blocking::run(move || {
        let mut tree = Tree::open(&shared, &handle)?;
        tree.mounts.clear();
        let place = tree.place(&handle, "/", true)?;
        Ok((tree, place))
    })
    .await?;
    Ok(pipe_out(move |out| {
        let done = get::write(&place, "", true, out);
        drop(tree);
        done
    }))
}

/// Unpacks a tar into a folder.
pub(super) async fn put(
    shared: &Arc<Shared>,
    handle: &Arc<Handle>,
    path: String,
    keep_kinds: bool,
    tar: mpsc::Receiver<Result<Bytes>>,
) -> Result<()> {
    let (shared, handle) = (shared.clone(), handle.clone());
    crate::blocking::run(move || {
        let tree = Tree::open(&shared, &handle)?;
        let place = tree.place(&handle, &path, true)?;
        let stat = place.stat().map_err(|_| missing(&handle, &path))?;
        if stat.st_mode & 0o170_000 != 0o040_000 {
            return Err(Error::new(Kind::Invalid, "extraction point is not a directory"));
        }
        if !place.rw {
            let what = if tree.readonly {
                "container rootfs is marked read-only"
            } else {
                "mounted volume is marked read-only"
            };
            return Err(Error::new(Kind::Forbidden, what));
        }
        put::unpack(&place.root, &place.path, pipe_in(tar), keep_kinds)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_as_go_has_them() {
        for (path, name) in [("/", "/"), ("/a/b", "b"), ("/a/b/", "b"), ("/a/.", "."), ("a", "a")] {
            assert_eq!(base(path), name, "{path}");
        }
    }
}
