//! The merged tree of a snapshot as a detached mount: in no mount table, gone with its descriptor.

use super::Snapshot;
use crate::{Error, Result};
use rustix::{
    fd::OwnedFd,
    io::Errno,
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string,
        fsmount, fsopen,
    },
};
use std::path::{Path, PathBuf};

/// What overlayfs is told beside its folders: a layer can hold neither redirects nor metacopies, and a snapshot may be
/// looked at while its container runs.
const OPTIONS: &[(&str, &str)] =
    &[("index", "off"), ("redirect_dir", "off"), ("metacopy", "off"), ("xino", "off")];

impl Snapshot {
    /// The merged tree as a detached mount: nothing appears in any mount table; open files relative to it with
    /// openat2(RESOLVE_IN_ROOT). Do not write to it while a container runs on the snapshot. Device nodes do not open.
    ///
    /// # Errors
    /// If overlayfs refuses.
    pub fn mount(&self) -> Result<OwnedFd> {
        self.forget_volatile()?;
        self.overlay(&self.lowers, Some((&self.upper, &self.work)))
    }

    /// The same, to look only: also while a container runs on the snapshot.
    ///
    /// # Errors
    /// If overlayfs refuses.
    pub fn mount_readonly(&self) -> Result<OwnedFd> {
        let layers: Vec<PathBuf> = std::iter::once(&self.upper).chain(&self.lowers).cloned().collect();
        self.overlay(&layers, None)
    }

    /// A mount with the option `volatile` leaves a mark that makes the next one fail.
    fn forget_volatile(&self) -> Result<()> {
        match std::fs::remove_dir_all(self.work.join("work/incompat")) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("mount snapshot", self.id.clone(), e))
            }
            _ => Ok(()),
        }
    }

    fn overlay(&self, lowers: &[PathBuf], upper: Option<(&Path, &Path)>) -> Result<OwnedFd> {
        let configure = |by_one: bool| -> rustix::io::Result<OwnedFd> {
            let fs = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
            fsconfig_set_string(&fs, "source", "overlay")?;
            if by_one {
                lowers.iter().try_for_each(|lower| fsconfig_set_string(&fs, "lowerdir+", lower.as_path()))?;
            } else {
                fsconfig_set_string(&fs, "lowerdir", joined(lowers).as_path())?;
            }
            if let Some((upper, work)) = upper {
                fsconfig_set_string(&fs, "upperdir", upper)?;
                fsconfig_set_string(&fs, "workdir", work)?;
            } else {
                fsconfig_set_flag(&fs, "ro")?;
            }
            OPTIONS.iter().try_for_each(|(key, value)| fsconfig_set_string(&fs, *key, *value))?;
            fsconfig_create(&fs)?;
            fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_NODEV)
        };
        // Kernels before 6.7 know no `lowerdir+`.
        let mounted = match configure(true) {
            Err(Errno::INVAL) => configure(false),
            other => other,
        };
        mounted.map_err(|e| Error::io("mount snapshot", self.id.clone(), e))
    }
}

/// `lowerdir`'s form: colons between, colons and backslashes inside escaped.
fn joined(lowers: &[PathBuf]) -> PathBuf {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let mut bytes = Vec::new();
    for lower in lowers {
        if !bytes.is_empty() {
            bytes.push(b':');
        }
        for &byte in lower.as_os_str().as_bytes() {
            if matches!(byte, b':' | b'\\' | b',') {
                bytes.push(b'\\');
            }
            bytes.push(byte);
        }
    }
    std::ffi::OsString::from_vec(bytes).into()
}
