//! Looking into a snapshot's layers without mounting them: a mount that goes costs 5 to 12 ms, a look costs microseconds. Nothing runs on the
//! snapshot meanwhile, and links are never followed.

use dhow_store::Snapshot;
use std::{
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::PathBuf,
};

/// What the merged tree has at a path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Absent,
    /// The topmost one.
    Folder(PathBuf),
    /// A file, a link (also on the way there), anything else.
    Other,
}

/// See the module.
pub(super) fn look(snapshot: &Snapshot, path: &str) -> Found {
    let mut active: Vec<PathBuf> =
        std::iter::once(&snapshot.upper).chain(&snapshot.lowers).cloned().collect();
    for part in path.split('/').filter(|p| !p.is_empty()) {
        let mut next = Vec::new();
        for folder in &active {
            let here = folder.join(part);
            let Ok(meta) = here.symlink_metadata() else { continue };
            if meta.file_type().is_char_device() && meta.rdev() == 0 {
                break; // whited out: what is below is hidden
            }
            if !meta.is_dir() {
                if next.is_empty() {
                    return Found::Other;
                }
                break;
            }
            let mut value = [0u8; 1];
            let opaque = rustix::fs::lgetxattr(&here, "trusted.overlay.opaque", &mut value[..]).is_ok();
            next.push(here);
            if opaque {
                break;
            }
        }
        if next.is_empty() {
            return Found::Absent;
        }
        active = next;
    }
    active.into_iter().next().map_or(Found::Absent, Found::Folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_first_then_layers() {
        let dir = std::env::temp_dir().join(format!("layers-{}", crate::names::id().unwrap()));
        std::fs::create_dir_all(dir.join("low/etc/ssl")).unwrap();
        std::fs::create_dir_all(dir.join("up/etc")).unwrap();
        std::fs::write(dir.join("low/etc/hosts"), "").unwrap();
        std::os::unix::fs::symlink("etc", dir.join("low/link")).unwrap();
        let snapshot = Snapshot {
            id: "x".into(),
            lowers: vec![dir.join("low")],
            upper: dir.join("up"),
            work: dir.join("work"),
            dir: dir.clone(),
        };
        assert_eq!(look(&snapshot, "/etc"), Found::Folder(dir.join("up/etc")));
        assert_eq!(look(&snapshot, "/etc/ssl"), Found::Folder(dir.join("low/etc/ssl")));
        assert_eq!(look(&snapshot, "/etc/hosts"), Found::Other);
        assert_eq!(look(&snapshot, "/link/ssl"), Found::Other);
        assert_eq!(look(&snapshot, "/etc/none"), Found::Absent);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
