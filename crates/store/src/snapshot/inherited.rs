//! Small files that a fresh snapshot has from its image: the layers do not change, so each is looked for once.

use super::{Snapshot, lookup::Found};
use crate::{Error, Result, Store};
use dhow_oci::Digest;
use rustix::io::Errno;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// (Layers, path) → content, or that there is none.
pub(crate) type Inherited = Mutex<HashMap<(Vec<Digest>, String), Option<Arc<[u8]>>>>;

/// A larger file is read each time.
const SMALL: usize = 64 << 10;
/// So many files are remembered.
const MOST: usize = 256;

impl Store {
    /// As [`Snapshot::read_file`], and quick for a snapshot that has nothing of its own where `path` begins.
    ///
    /// # Errors
    /// As [`Snapshot::read_file`].
    pub fn read_file(&self, snapshot: &Snapshot, path: &str, max: u64) -> Result<Option<Vec<u8>>> {
        let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        let own = rustix::fs::lstat(snapshot.upper.join(first));
        let layers = self.0.read().snapshots.get(&snapshot.id).cloned();
        let (Err(Errno::NOENT), Some(layers)) = (own, layers) else { return snapshot.read_file(path, max) };
        let known = || self.0.inherited.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (layers, path.to_owned());
        if let Some(file) = known().get(&key) {
            return Ok(file.as_ref().map(|bytes| bytes.to_vec()));
        }
        let failed = |e| Error::io("read file of snapshot", format!("{}:{path}", snapshot.id), e);
        let found = snapshot.find(path).map_err(failed)?;
        // Where a link leads may lie in the snapshot's own layer.
        let lasting = !matches!(found, Found::Link);
        let file = snapshot.read_found(found, path, max)?;
        if lasting && file.as_ref().is_none_or(|bytes| bytes.len() <= SMALL) {
            let mut known = known();
            if known.len() >= MOST {
                known.clear();
            }
            known.insert(key, file.as_deref().map(Arc::from));
        }
        Ok(file)
    }
}
