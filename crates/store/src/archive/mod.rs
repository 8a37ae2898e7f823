//! Images in and out as one tar: docker-archive and OCI layout.

mod load;
mod origin;
mod save;

use crate::{Image, Result, Store};
use dhow_oci::{Reference, image};
use std::{io::Read, sync::Arc};

/// What a load or import brought.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The image.
    pub image: Arc<Image>,
    /// Names given to it by the archive.
    pub names: Vec<Reference>,
}

impl Store {
    /// A root file system's tar as a new image of one layer.
    ///
    /// # Errors
    /// As [`Store::put_layer`].
    pub fn import(
        &self,
        source: impl Read + Send,
        config: image::ImageConfig,
        name: Option<&Reference>,
    ) -> Result<Arc<Image>> {
        let layer = self.put_layer(source, None, None)?;
        let mut config = config;
        config.rootfs = image::RootFs { diff_ids: vec![layer.diff_id], ..image::RootFs::default() };
        self.assemble_image(&config, name.map(std::slice::from_ref).unwrap_or_default())
    }
}
