//! The layer below all others: mount points that every container needs (`/proc`, `/etc/hosts`, …), so that nobody makes
//! them in a writable layer, where `diff` and `commit` would show them. What an image has itself wins over it.

use crate::{Error, Result, error::At, tree};
use rustix::fs::{AtFlags, Mode, OFlags};
use std::path::{Path, PathBuf};

/// The folder's name under `layers/`; no short id looks like it.
pub(crate) const NAME: &str = "base";

const FOLDERS: &[&str] = &["dev", "etc", "proc", "sys"];
const FILES: &[&str] = &[".dockerenv", "etc/hostname", "etc/hosts", "etc/resolv.conf"];

/// Its tree.
pub(crate) fn diff(root: &Path) -> PathBuf {
    root.join("layers").join(NAME).join("diff")
}

/// Makes it where anything of it is missing.
pub(crate) fn make(layers: &Path) -> Result<()> {
    let diff = layers.join(NAME).join("diff");
    let name = diff.display().to_string();
    std::fs::create_dir_all(&diff).at("make", &name)?;
    let dir = tree::open(&diff).at("open", &name)?;
    let folder = |inner: &str| -> rustix::io::Result<()> {
        match rustix::fs::mkdirat(&dir, inner, Mode::RWXU) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {
                rustix::fs::chmodat(&dir, inner, tree::mode(0o755), AtFlags::empty())
            }
            Err(e) => Err(e),
        }
    };
    let file = |inner: &str| -> rustix::io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&dir, inner, flags, Mode::RUSR | Mode::WUSR)?;
        rustix::fs::fchmod(file, tree::mode(0o644))
    };
    let mtab = || match rustix::fs::symlinkat("/proc/mounts", &dir, "etc/mtab") {
        Err(rustix::io::Errno::EXIST) => Ok(()),
        other => other,
    };
    // Without a date of its own, so that what is built over it has none either.
    let dated = |inner: &str| -> rustix::io::Result<()> {
        if tree::stat(&dir, inner)?.st_mtime == 0 {
            return Ok(());
        }
        rustix::fs::utimensat(&dir, inner, &tree::times(0, 0), AtFlags::SYMLINK_NOFOLLOW)
    };
    rustix::fs::chmodat(&dir, ".", tree::mode(0o755), AtFlags::empty())
        .and_then(|()| FOLDERS.iter().try_for_each(|name| folder(name)))
        .and_then(|()| FILES.iter().try_for_each(|name| file(name)))
        .and_then(|()| mtab())
        .and_then(|()| {
            FILES
                .iter()
                .chain(["etc/mtab"].iter())
                .chain(FOLDERS)
                .chain(["."].iter())
                .try_for_each(|name| dated(name))
        })
        .map_err(|e| Error::io("make", name, e))
}
