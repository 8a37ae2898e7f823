//! Small documents by digest: manifests, configurations, indexes.

use crate::{Error, Kind, Result, Store, error::At, journal::sync_folder, layer::digest_of, store::Inner};
use dhow_oci::Digest;
use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

/// Where blobs lie.
pub(crate) fn folder(root: &Path) -> PathBuf {
    root.join("images/blobs")
}

fn place(folder: &Path, digest: &Digest) -> PathBuf {
    folder.join(digest.algorithm()).join(digest.hex())
}

/// Reads and verifies.
pub(crate) fn read(folder: &Path, digest: &Digest) -> Result<Vec<u8>> {
    let bytes = match std::fs::read(place(folder, digest)) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::absent("read blob", digest.as_str()));
        }
        Err(e) => return Err(Error::io("read blob", digest.as_str(), e)),
    };
    let found = digest_of(&bytes);
    if found == *digest {
        Ok(bytes)
    } else {
        Err(Error::new(
            Kind::Internal,
            "read blob",
            digest.as_str(),
            format!("its bytes have the digest {found}"),
        ))
    }
}

impl Store {
    /// Writes bytes by their digest (temp, fsync, rename); a blob that is there is left alone.
    ///
    /// # Errors
    /// Disk.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<Digest> {
        self.0.write_blob(bytes, true)
    }

    /// Reads and verifies.
    ///
    /// # Errors
    /// `NotFound`; `Internal` if the bytes do not match.
    pub fn read_blob(&self, digest: &Digest) -> Result<Vec<u8>> {
        read(&folder(&self.0.root), digest)
    }
}

impl Inner {
    /// Writes a blob; without `sync` the caller syncs the file system before it relies on it.
    pub(crate) fn write_blob(&self, bytes: &[u8], sync: bool) -> Result<Digest> {
        let digest = digest_of(bytes);
        let path = place(&folder(&self.root), &digest);
        if std::fs::metadata(&path).is_ok_and(|found| found.len() == bytes.len() as u64) {
            return Ok(digest);
        }
        let new = self.reaper.name();
        let write = || -> std::io::Result<()> {
            let mut file = File::create_new(&new)?;
            file.write_all(bytes)?;
            if sync {
                file.sync_all()?;
            }
            std::fs::rename(&new, &path)
        };
        write().at("write blob", digest.as_str())?;
        if sync && let Some(folder) = path.parent() {
            sync_folder(folder)?;
        }
        Ok(digest)
    }

    /// Removes a blob that no image needs any more; an absent one is fine.
    pub(crate) fn remove_blob(&self, digest: &Digest) -> Result<()> {
        match std::fs::remove_file(place(&folder(&self.root), digest)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("remove blob", digest.as_str(), e))
            }
            _ => Ok(()),
        }
    }
}
