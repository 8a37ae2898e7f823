//! Which image a text means.

use crate::{Error, Image, Kind, Result, catalog::Catalog};
use dhow_oci::{Digest, Reference};
use std::{ops::Bound, sync::Arc};

/// A whole id first, then a name, then the beginning of an id: docker's order.
pub(super) fn find(catalog: &Catalog, text: &str) -> Result<Arc<Image>> {
    let absent = || Error::absent("find image", text);
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    if let Ok(digest) = format!("sha256:{hex}").parse::<Digest>() {
        return by_digest(catalog, &digest).ok_or_else(absent);
    }
    let prefix =
        !hex.is_empty() && hex.len() < 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    match text.parse::<Reference>() {
        Ok(name) => {
            if let Some(found) = by_name(catalog, &name.with_default_tag()) {
                return Ok(found);
            }
        }
        Err(_) if prefix => {}
        Err(e) => return Err(Error::invalid("find image", text, e)),
    }
    if prefix { by_prefix(catalog, text, hex)?.ok_or_else(absent) } else { Err(absent()) }
}

/// An image's id, or the digest of its manifest for this platform, or of its configuration (docker's id before 29).
fn by_digest(catalog: &Catalog, digest: &Digest) -> Option<Arc<Image>> {
    let by_id = catalog.by_id();
    by_id.get(digest).cloned().or_else(|| {
        let part =
            |image: &&Arc<Image>| image.manifest_digest == *digest || image.manifest.config.digest == *digest;
        by_id.values().find(part).cloned()
    })
}

fn by_name(catalog: &Catalog, name: &Reference) -> Option<Arc<Image>> {
    if let Some(id) = catalog.names.get(name) {
        return catalog.by_id().get(id).cloned();
    }
    // A tag beside a digest says nothing more; and an image that has the repository's name in any form will do.
    let digest = name.digest()?;
    if let Some(id) = catalog.names.get(&name.with_digest(digest.clone())) {
        return catalog.by_id().get(id).cloned();
    }
    let image = by_digest(catalog, digest)?;
    let same = |other: &Reference| other.domain() == name.domain() && other.path() == name.path();
    image.tags.iter().chain(&image.digests).any(same).then_some(image)
}

fn by_prefix(catalog: &Catalog, text: &str, hex: &str) -> Result<Option<Arc<Image>>> {
    let Ok(from) = format!("sha256:{hex:0<64}").parse::<Digest>() else { return Ok(None) };
    let mut range = catalog.by_id().range((Bound::Included(from), Bound::Unbounded));
    let mut next =
        || range.next().filter(|(id, _)| id.hex().starts_with(hex)).map(|(_, image)| Arc::clone(image));
    match (next(), next()) {
        (Some(_), Some(_)) => {
            Err(Error::new(Kind::Conflict, "find image", text, "several images' ids begin with it"))
        }
        (found, _) => Ok(found),
    }
}
