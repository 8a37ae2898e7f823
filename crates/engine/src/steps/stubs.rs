//! Mount points that a step's mounts need and the image lacks: the runtime makes them in the writable layer, and they would end up in the image. What
//! was missing before and is still empty after is taken out again, and folders that were only copied up for it as well.

use super::layers::{Found, look};
use crate::{Result, containers::mounts, error::io};
use dhow_oci::runtime as oci;
use dhow_store::Snapshot;
use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, Mode, OFlags, ResolveFlags},
    io::Errno,
};

/// Paths that were missing, parents first.
#[derive(Debug, Default)]
pub(super) struct Stubs {
    missing: Vec<String>,
}

/// Notes what is missing.
pub(super) fn before(snapshot: &Snapshot, oci: &oci::Spec) -> Stubs {
    let targets: Vec<String> = oci.mounts.iter().map(|m| mounts::clean(&m.destination)).collect();
    let mut missing = Vec::new();
    for target in &targets {
        let mut path = String::new();
        for part in target.split('/').filter(|p| !p.is_empty()) {
            path = format!("{path}/{part}");
            // below a mount of its own (/dev/shm) nothing touches the layer
            let covered = targets.iter().any(|t| t != target && path.starts_with(&format!("{t}/")));
            if !covered && !missing.contains(&path) && look(snapshot, &path) == Found::Absent {
                missing.push(path.clone());
            }
        }
    }
    Stubs { missing }
}

impl Stubs {
    /// Takes what is still empty out of the writable layer.
    pub(super) fn remove(&self, snapshot: &Snapshot) -> Result<()> {
        if !snapshot.upper.is_dir() {
            return Ok(());
        }
        let upper = upper(snapshot)?;
        for path in self.missing.iter().rev() {
            take_out(&upper, path)?;
            uncopy(snapshot, &upper, path)?;
        }
        Ok(())
    }
}

/// The writable layer, pinned.
pub(super) fn upper(snapshot: &Snapshot) -> Result<OwnedFd> {
    rustix::fs::open(&snapshot.upper, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| io("open", snapshot.upper.display(), e.into()))
}

/// A folder of a layer, no links followed: what a step put there must not lead elsewhere.
pub(super) fn folder(root: &OwnedFd, path: &str) -> rustix::io::Result<OwnedFd> {
    let path = path.trim_start_matches('/');
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    rustix::fs::openat2(root, if path.is_empty() { "." } else { path }, flags, Mode::empty(), how)
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// Removes an empty file or folder.
fn take_out(upper: &OwnedFd, path: &str) -> Result<()> {
    let (parent, name) = split(path);
    let Ok(parent) = folder(upper, parent) else { return Ok(()) };
    let Ok(stat) = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) else { return Ok(()) };
    let removed = match stat.st_mode & 0o170_000 {
        0o040_000 => rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR),
        0o100_000 if stat.st_size == 0 => rustix::fs::unlinkat(&parent, name, AtFlags::empty()),
        _ => return Ok(()),
    };
    match removed {
        Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
        Err(failure) => Err(io("take out of the layer", path, failure.into())),
    }
}

/// Folders above `path` that are empty in the writable layer and look exactly as below were only copied up: they go.
pub(super) fn uncopy(snapshot: &Snapshot, upper: &OwnedFd, path: &str) -> Result<()> {
    let mut path = split(path).0.to_owned();
    while !path.is_empty() {
        let Ok(made) = folder(upper, &path) else { return Ok(()) };
        let Ok(stat) = rustix::fs::fstat(&made) else { return Ok(()) };
        let below = snapshot.lowers.iter().find_map(|lower| {
            let root =
                rustix::fs::open(lower, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
                    .ok()?;
            rustix::fs::fstat(folder(&root, &path).ok()?).ok()
        });
        let same = below
            .is_some_and(|b| b.st_mode == stat.st_mode && b.st_uid == stat.st_uid && b.st_gid == stat.st_gid);
        let mut value = [0u8; 1];
        let opaque = rustix::fs::fgetxattr(&made, "trusted.overlay.opaque", &mut value[..]).is_ok();
        if !same || opaque {
            return Ok(());
        }
        let (parent, name) = split(&path);
        let Ok(parent) = folder(upper, parent) else { return Ok(()) };
        match rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR) {
            Ok(()) => {}
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT) => return Ok(()),
            Err(failure) => return Err(io("take out of the layer", &path, failure.into())),
        }
        path = split(&path).0.to_owned();
    }
    Ok(())
}
