//! New images, new names.

use super::{Image, Record, Stored, moment};
use crate::{Error, Kind, Result, Store, Ticket, error::At, layer::digest_of, store::Inner};
use dhow_oci::{
    Digest, Reference,
    image::{Descriptor, ImageConfig, Manifest, media},
};
use std::sync::Arc;

/// A document is no larger.
const MAX_DOCUMENT: usize = 16 * 1024 * 1024;

fn wait(tickets: Vec<Ticket>) -> Result<()> {
    tickets.into_iter().try_for_each(Ticket::wait)
}

pub(super) fn name_key(name: &Reference) -> String {
    format!("name/{name}")
}

pub(super) fn image_key(id: &Digest) -> String {
    format!("image/{id}")
}

impl Store {
    /// Records an image whose config and manifest bytes are given and whose layers are unpacked; moves `names` to it. `index` is the index the
    /// manifest came from, kept byte for byte; then the image's id is its digest.
    ///
    /// # Errors
    /// `Invalid` if a layer is missing or counts differ.
    pub fn put_image(
        &self,
        config: &[u8],
        manifest: &[u8],
        index: Option<&[u8]>,
        names: &[Reference],
    ) -> Result<Arc<Image>> {
        let inner = &*self.0;
        let (stored, id) = inner.check(config, manifest, index)?;
        let unsettled = {
            let catalog = inner.read();
            stored
                .config
                .rootfs
                .diff_ids
                .iter()
                .any(|d| catalog.layers.get(d).is_some_and(|held| !held.settled))
        };
        for document in [Some(config), Some(manifest), index].into_iter().flatten() {
            inner.write_blob(document, !unsettled)?;
        }
        inner.settle()?;
        let changing = inner.change();
        let mut tickets = Vec::new();
        let image = {
            let record = Record { manifest: stored.manifest_digest.clone(), size: stored.size };
            let bytes = serde_json::to_vec(&record)
                .map_err(|e| Error::new(Kind::Internal, "record image", id.as_str(), e))?;
            let mut catalog = inner.write();
            // A layer may have been collected since it was unpacked.
            if let Some(missing) =
                stored.config.rootfs.diff_ids.iter().find(|d| !catalog.layers.contains_key(d))
            {
                return Err(Error::new(
                    Kind::Conflict,
                    "record image",
                    id.as_str(),
                    format!("its layer {missing} was removed meanwhile"),
                ));
            }
            tickets.push(inner.journal.put(&image_key(&id), Some(&bytes)));
            catalog.images.insert(id.clone(), stored);
            for name in names {
                tickets.push(inner.journal.put(&name_key(name), Some(id.as_str().as_bytes())));
                catalog.names.insert(name.clone(), id.clone());
            }
            catalog.publish();
            catalog.by_id().get(&id).cloned()
        };
        drop(changing);
        wait(tickets)?;
        image.ok_or_else(|| Error::absent("record image", id.as_str()))
    }

    /// Builds a manifest over `config` (whose `rootfs.diff_ids` name layers that are unpacked) and records it: for builds, commits, imports.
    ///
    /// # Errors
    /// As [`Store::put_image`].
    pub fn assemble_image(&self, config: &ImageConfig, names: &[Reference]) -> Result<Arc<Image>> {
        let bytes = serde_json::to_vec(config)
            .map_err(|e| Error::new(Kind::Internal, "assemble image", "configuration", e))?;
        let manifest = self.0.plain_manifest(&bytes, &config.rootfs.diff_ids)?;
        self.put_image(&bytes, &manifest, None, names)
    }

    /// Gives an image another name; a name moves from the image that had it.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn tag(&self, id: &Digest, name: &Reference) -> Result<()> {
        let changing = self.0.change();
        let ticket = {
            let mut catalog = self.0.write();
            if !catalog.images.contains_key(id) {
                return Err(Error::absent("tag image", id.as_str()));
            }
            catalog.names.insert(name.clone(), id.clone());
            catalog.publish();
            self.0.journal.put(&name_key(name), Some(id.as_str().as_bytes()))
        };
        drop(changing);
        ticket.wait()
    }

    /// Takes a name away; the image stays, dangling if it was the last.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn untag(&self, name: &Reference) -> Result<()> {
        let changing = self.0.change();
        let ticket = {
            let mut catalog = self.0.write();
            if catalog.names.remove(name).is_none() {
                return Err(Error::absent("untag image", name.familiar()));
            }
            catalog.publish();
            self.0.journal.put(&name_key(name), None)
        };
        drop(changing);
        ticket.wait()
    }
}

impl Inner {
    /// Reads the documents of an image and holds them against the layers.
    fn check(&self, config: &[u8], manifest: &[u8], index: Option<&[u8]>) -> Result<(Stored, Digest)> {
        let manifest_digest = digest_of(manifest);
        let id = index.map_or_else(|| manifest_digest.clone(), digest_of);
        let invalid = |why: String| Error::invalid("record image", id.as_str(), why);
        if [config, manifest, index.unwrap_or_default()].iter().any(|bytes| bytes.len() > MAX_DOCUMENT) {
            return Err(invalid("a document of it is larger than 16 MiB".to_owned()));
        }
        if let Some(index) = index {
            let index: dhow_oci::image::Index =
                serde_json::from_slice(index).map_err(|e| invalid(format!("its index: {e}")))?;
            if index.manifests.iter().all(|entry| entry.digest != manifest_digest) {
                return Err(invalid(format!("its index does not list the manifest {manifest_digest}")));
            }
        }
        let manifest: Manifest =
            serde_json::from_slice(manifest).map_err(|e| invalid(format!("its manifest: {e}")))?;
        let found = digest_of(config);
        if manifest.config.digest != found {
            return Err(invalid(format!(
                "its manifest wants the configuration {}, given was {found}",
                manifest.config.digest
            )));
        }
        let config: ImageConfig =
            serde_json::from_slice(config).map_err(|e| invalid(format!("its configuration: {e}")))?;
        let diff_ids = &config.rootfs.diff_ids;
        if manifest.layers.len() != diff_ids.len() {
            return Err(invalid(format!(
                "its manifest lists {} layers, its configuration {}",
                manifest.layers.len(),
                diff_ids.len()
            )));
        }
        let catalog = self.read();
        let mut size = 0;
        for (descriptor, diff_id) in manifest.layers.iter().zip(diff_ids) {
            let held = catalog
                .layers
                .get(diff_id)
                .ok_or_else(|| invalid(format!("its layer {diff_id} is not here")))?;
            if let Some(other) = catalog.blobs.get(&descriptor.digest).filter(|&other| other != diff_id) {
                return Err(invalid(format!(
                    "its layer {} unpacks to {other}, not to {diff_id}",
                    descriptor.digest
                )));
            }
            size += held.layer.size;
        }
        let created = config.created.as_deref().map_or((i64::MIN, 0), moment);
        Ok((Stored { manifest_digest, manifest, config, size, created }, id))
    }

    /// A manifest over uncompressed layers, as bytes.
    pub(crate) fn plain_manifest(&self, config: &[u8], diff_ids: &[Digest]) -> Result<Vec<u8>> {
        let descriptor = |media_type: &str, digest: Digest, size: u64| Descriptor {
            media_type: media_type.to_owned(),
            digest,
            size,
            platform: None,
            annotations: std::collections::BTreeMap::new(),
        };
        let catalog = self.read();
        let mut layers = Vec::new();
        for diff_id in diff_ids {
            let held = catalog
                .layers
                .get(diff_id)
                .ok_or_else(|| Error::invalid("assemble image", diff_id.as_str(), "the layer is not here"))?;
            layers.push(descriptor(media::OCI_LAYER, diff_id.clone(), held.layer.tar_size));
        }
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(media::OCI_MANIFEST.to_owned()),
            config: descriptor(media::OCI_CONFIG, digest_of(config), config.len() as u64),
            layers,
            annotations: std::collections::BTreeMap::new(),
        };
        serde_json::to_vec(&manifest).map_err(std::io::Error::from).at("assemble image", "manifest")
    }
}
