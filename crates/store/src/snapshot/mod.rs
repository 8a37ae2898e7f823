//! The writable layer of a container or build step: two folders over image layers.

mod changes;
pub(crate) mod inherited;
pub(crate) mod lookup;
mod mount;

use crate::{Error, Kind, Result, Store, error::At, layer::base, tree};
use dhow_oci::Digest;
use rustix::{
    fd::OwnedFd,
    fs::{FileType, OFlags},
};
use std::{
    io::{self, Read},
    path::PathBuf,
};

/// The writable layer of a container or build step, over image layers.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The container's or step's id.
    pub id: String,
    /// `layers/<id>/diff`, top first. The last is the store's own layer of mount points, so there is always one.
    pub lowers: Vec<PathBuf>,
    /// `containers/<id>/upper`.
    pub upper: PathBuf,
    /// `containers/<id>/work`.
    pub work: PathBuf,
    /// `containers/<id>`: also holds the log, hosts, hostname, resolv.conf.
    pub dir: PathBuf,
}

/// A change of a snapshot against its layers. docker's kinds: 0 modified, 1 added, 2 deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Absolute inside.
    pub path: String,
    /// 0, 1, 2.
    pub kind: u8,
}

impl Store {
    /// Makes `containers/<id>/{upper,work}` over layers given base first.
    ///
    /// # Errors
    /// `NotFound` names a missing layer; `Conflict` if the id exists.
    pub fn create_snapshot(&self, id: &str, diff_ids: &[Digest]) -> Result<Snapshot> {
        let exists = || Error::new(Kind::Conflict, "create snapshot", id, "it exists");
        if self.0.read().snapshots.contains_key(id) {
            return Err(exists());
        }
        let snapshot = self.hold(id, diff_ids, "create snapshot")?;
        let made = || -> io::Result<()> {
            // The daemon's umask is 022: it takes nothing from these.
            for (folder, mode) in [(&snapshot.dir, 0o710), (&snapshot.upper, 0o755), (&snapshot.work, 0o700)]
            {
                rustix::fs::mkdir(folder, tree::mode(mode))?;
            }
            Ok(())
        };
        match made() {
            Ok(()) => Ok(snapshot),
            Err(e) => {
                self.0.write().snapshots.remove(id);
                let there = e.kind() == io::ErrorKind::AlreadyExists;
                Err(if there { exists() } else { Error::io("create snapshot", id, e) })
            }
        }
    }

    /// The snapshot made before under `id` (paths only, no I/O beyond a check).
    ///
    /// # Errors
    /// `NotFound`.
    pub fn snapshot(&self, id: &str, diff_ids: &[Digest]) -> Result<Snapshot> {
        let dir = self.snapshot_folder(id, "find snapshot")?;
        if !dir.join("upper").is_dir() {
            return Err(Error::absent("find snapshot", id));
        }
        self.hold(id, diff_ids, "find snapshot")
    }

    /// Removes `containers/<id>` whole (renamed into tmp/ first). One that does not exist is fine.
    ///
    /// # Errors
    /// Disk.
    pub fn remove_snapshot(&self, id: &str) -> Result<()> {
        let dir = self.snapshot_folder(id, "remove snapshot")?;
        match self.0.reaper.discard(&dir) {
            Err(e) if e.kind != Kind::NotFound => return Err(e),
            _ => {}
        }
        self.0.write().snapshots.remove(id);
        Ok(())
    }

    fn snapshot_folder(&self, id: &str, operation: &'static str) -> Result<PathBuf> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        if id.is_empty() || id.len() > 128 || id.starts_with('.') || !id.bytes().all(plain) {
            return Err(Error::invalid(operation, id, "an id has only letters, digits, '_', '.' and '-'"));
        }
        Ok(self.0.root.join("containers").join(id))
    }

    /// The paths of a snapshot; its layers are in use from now on.
    fn hold(&self, id: &str, diff_ids: &[Digest], operation: &'static str) -> Result<Snapshot> {
        let dir = self.snapshot_folder(id, operation)?;
        let mut catalog = self.0.write();
        let mut lowers = Vec::with_capacity(diff_ids.len() + 1);
        for diff_id in diff_ids.iter().rev() {
            let held = catalog
                .layers
                .get(diff_id)
                .ok_or_else(|| Error::absent(operation, format!("{id}: layer {diff_id}")))?;
            let diff = self.0.layer_folder(&held.short).join("diff");
            // Overlayfs refuses a folder that is given twice. The upper of two says all that the lower one says.
            if !lowers.contains(&diff) {
                lowers.push(diff);
            }
        }
        lowers.push(base::diff(&self.0.root));
        catalog.snapshots.insert(id.to_owned(), diff_ids.to_vec());
        drop(catalog);
        Ok(Snapshot { id: id.to_owned(), lowers, upper: dir.join("upper"), work: dir.join("work"), dir })
    }
}

impl Snapshot {
    /// A small file of the merged tree (`/etc/passwd`), found layer by layer without a mount; `None` if absent.
    ///
    /// # Errors
    /// Disk; `Invalid` if larger than `max` bytes.
    pub fn read_file(&self, path: &str, max: u64) -> Result<Option<Vec<u8>>> {
        let found = self.find(path);
        let found =
            found.map_err(|e| Error::io("read file of snapshot", format!("{}:{path}", self.id), e))?;
        self.read_found(found, path, max)
    }

    fn find(&self, path: &str) -> io::Result<lookup::Found> {
        if path.split('/').any(|part| part == "..") {
            return Ok(lookup::Found::Link);
        }
        lookup::find(&self.layers()?, path.as_bytes())
    }

    fn read_found(&self, found: lookup::Found, path: &str, max: u64) -> Result<Option<Vec<u8>>> {
        let failed = |e: io::Error| Error::io("read file of snapshot", format!("{}:{path}", self.id), e);
        let file = match found {
            lookup::Found::Nothing => return Ok(None),
            lookup::Found::File(fd, _) => fd,
            lookup::Found::Link => match tree::in_root(self.mount_readonly()?, path, OFlags::PATH) {
                Ok(fd) => fd,
                Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(None),
                Err(e) => return Err(failed(e.into())),
            },
        };
        let stat = rustix::fs::fstat(&file).map_err(|e| failed(e.into()))?;
        let refuse =
            |why: String| Error::invalid("read file of snapshot", format!("{}:{path}", self.id), why);
        if tree::kind(&stat) != FileType::RegularFile {
            return Err(refuse("it is no plain file".to_owned()));
        }
        // Opened anew by its descriptor: what was looked at is what is read.
        let file = std::fs::File::open(tree::magic_link(&file)).map_err(failed)?;
        let mut bytes = Vec::new();
        file.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > max {
            return Err(refuse(format!("it is larger than {max} bytes")));
        }
        Ok(Some(bytes))
    }

    /// Bytes in the writable layer.
    ///
    /// # Errors
    /// Disk.
    pub fn size(&self) -> Result<u64> {
        let measured = tree::open(&self.upper).and_then(tree::measure);
        Ok(measured.at("measure snapshot", self.id.clone())?.apparent)
    }

    /// Its folders, top first.
    fn layers(&self) -> io::Result<Vec<OwnedFd>> {
        std::iter::once(&self.upper).chain(&self.lowers).map(|path| tree::open(path)).collect()
    }
}
