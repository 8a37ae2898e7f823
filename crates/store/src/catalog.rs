//! What there is, in memory: images, names, layers, snapshots, volumes. Lists are answered from here.

use crate::{Image, Layer, Volume, image::Stored};
use dhow_oci::{Digest, Reference};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

/// Everything readers ask for.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) images: HashMap<Digest, Stored>,
    pub(crate) names: BTreeMap<Reference, Digest>,
    /// Newest first, with their names; made anew by every change of `images` and `names`.
    listed: Vec<Arc<Image>>,
    by_id: BTreeMap<Digest, Arc<Image>>,
    pub(crate) layers: HashMap<Digest, Held>,
    /// Compressed blobs that were seen → diff ids.
    pub(crate) blobs: HashMap<Digest, Digest>,
    /// Live snapshots → their layers: what collection must not touch.
    pub(crate) snapshots: HashMap<String, Vec<Digest>>,
    pub(crate) volumes: BTreeMap<String, Arc<Volume>>,
}

/// A layer on disk.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    /// Its folder's name.
    pub(crate) short: String,
    pub(crate) layer: Layer,
    /// Every compressed form that was seen, with its size.
    pub(crate) blobs: Vec<(Digest, u64)>,
    /// The compressed form that we make for registries, once it was made.
    pub(crate) packed: Option<(Digest, u64)>,
    /// Whether its files and its record are on disk.
    pub(crate) settled: bool,
}

impl Catalog {
    /// All images, newest first.
    pub(crate) fn listed(&self) -> &[Arc<Image>] {
        &self.listed
    }

    pub(crate) fn by_id(&self) -> &BTreeMap<Digest, Arc<Image>> {
        &self.by_id
    }

    /// Makes the answers anew.
    pub(crate) fn publish(&mut self) {
        let mut names: HashMap<&Digest, (Vec<Reference>, Vec<Reference>)> = HashMap::new();
        for (name, id) in &self.names {
            let (tags, digests) = names.entry(id).or_default();
            if name.digest().is_some() { digests.push(name.clone()) } else { tags.push(name.clone()) }
        }
        self.by_id = self
            .images
            .iter()
            .map(|(id, stored)| {
                let (tags, digests) = names.remove(id).unwrap_or_default();
                (id.clone(), Arc::new(stored.image(id, tags, digests)))
            })
            .collect();
        let mut listed: Vec<_> =
            self.by_id.values().map(|image| (self.images[&image.id].created, Arc::clone(image))).collect();
        listed.sort_by(|(a, x), (b, y)| b.cmp(a).then_with(|| x.id.cmp(&y.id)));
        self.listed = listed.into_iter().map(|(_, image)| image).collect();
    }

    /// Adds a layer and the blobs that lead to it.
    pub(crate) fn add_layer(&mut self, held: Held) {
        for (blob, _) in &held.blobs {
            self.blobs.insert(blob.clone(), held.layer.diff_id.clone());
        }
        self.layers.insert(held.layer.diff_id.clone(), held);
    }

    /// Takes a layer out.
    pub(crate) fn remove_layer(&mut self, diff_id: &Digest) -> Option<Held> {
        let held = self.layers.remove(diff_id)?;
        for (blob, _) in &held.blobs {
            self.blobs.remove(blob);
        }
        Some(held)
    }

    /// Layers that an image or a snapshot needs.
    pub(crate) fn needed_layers(&self) -> HashSet<Digest> {
        let images = self.images.values().flat_map(|stored| stored.config.rootfs.diff_ids.iter());
        images.chain(self.snapshots.values().flatten()).cloned().collect()
    }
}
