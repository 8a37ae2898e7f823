//! Bytes on disk.

use crate::{Result, Store, error::At, tree};

/// Bytes on disk by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// `layers/`.
    pub layers: u64,
    /// `containers/`.
    pub containers: u64,
    /// `volumes/`.
    pub volumes: u64,
    /// `build/`.
    pub build: u64,
}

impl Store {
    /// Bytes on disk: (layers, containers' writable layers, volumes, build cache folder).
    ///
    /// # Errors
    /// Disk.
    pub fn usage(&self) -> Result<Usage> {
        let of = |folder: &str| -> Result<u64> {
            let path = self.0.root.join(folder);
            let measured = tree::open(&path).and_then(tree::measure);
            Ok(measured.at("measure", path.display().to_string())?.disk)
        };
        Ok(Usage {
            layers: of("layers")?,
            containers: of("containers")?,
            volumes: of("volumes")?,
            build: of("build")?,
        })
    }
}
