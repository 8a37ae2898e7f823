//! An image keeps its id through `save` and `load`, although an archive holds layers uncompressed and so needs a manifest of its own.
//!
//! The archive carries the original manifest (and index) as documents that an annotation names. They cannot lie about content: a
//! manifest names its configuration by digest, and the configuration names the layers by the digests of their plain tars, which `load`
//! compares with what it unpacked.

use dhow_oci::{
    Digest,
    image::{Descriptor, Index, Manifest},
};

/// Of a descriptor in `index.json`: the digest of the original manifest, and of the index that it came from.
const MANIFEST: &str = "dev.dhow.origin.manifest";
const INDEX: &str = "dev.dhow.origin.index";

/// Documents of an image as it was pulled: manifest and index.
pub(super) type Origin = (Vec<u8>, Option<Vec<u8>>);

/// Names the originals.
pub(super) fn note(descriptor: &mut Descriptor, manifest: &Digest, index: Option<&Digest>) {
    descriptor.annotations.insert(MANIFEST.to_owned(), manifest.to_string());
    if let Some(index) = index {
        descriptor.annotations.insert(INDEX.to_owned(), index.to_string());
    }
}

/// The originals, if they are named, there, and of the image with this configuration. `blob` gives verified bytes by digest.
pub(super) fn find<'a>(
    descriptor: &Descriptor,
    config: &Digest,
    blob: impl Fn(&Digest) -> Option<&'a [u8]>,
) -> Option<Origin> {
    let named = |key: &str| descriptor.annotations.get(key)?.parse::<Digest>().ok();
    let digest = named(MANIFEST)?;
    let bytes = blob(&digest)?;
    let manifest: Manifest = serde_json::from_slice(bytes).ok()?;
    if manifest.config.digest != *config {
        return None;
    }
    let Some(index) = named(INDEX) else { return Some((bytes.to_vec(), None)) };
    let index_bytes = blob(&index)?;
    let parsed: Index = serde_json::from_slice(index_bytes).ok()?;
    let lists = parsed.manifests.iter().any(|entry| entry.digest == digest);
    lists.then(|| (bytes.to_vec(), Some(index_bytes.to_vec())))
}
