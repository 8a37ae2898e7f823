//! Images: an index in memory over documents on disk. An image's id is the digest of the manifest or index that names
//! point to, as in docker 29's store.

mod find;
mod put;
mod remove;

use crate::{Error, Journal, Kind, Result, Store, blobs, catalog::Catalog, reaper::Reaper};
use dhow_oci::{Digest, Reference, image};
use serde::{Deserialize, Serialize};
use std::{path::Path, sync::Arc};

/// An image: one entry of the index in memory. Its id is the digest of the manifest (or index) that names point to.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Digest of the manifest or index that was pulled, loaded or built.
    pub id: Digest,
    /// Names with tag, sorted.
    pub tags: Vec<Reference>,
    /// Names by digest (pulled ones), sorted.
    pub digests: Vec<Reference>,
    /// The manifest for this platform (equal to `id` when there is no index).
    pub manifest_digest: Digest,
    /// Parsed.
    pub manifest: image::Manifest,
    /// Parsed.
    pub config: image::ImageConfig,
    /// Bytes of all layers' files.
    pub size: u64,
}

/// An image without its names.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) manifest_digest: Digest,
    pub(crate) manifest: image::Manifest,
    pub(crate) config: image::ImageConfig,
    pub(crate) size: u64,
    /// Seconds and nanoseconds; images without a date are oldest.
    pub(crate) created: (i64, u32),
}

/// The journal's record of an image.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    manifest: Digest,
    size: u64,
}

impl Stored {
    pub(crate) fn image(&self, id: &Digest, tags: Vec<Reference>, digests: Vec<Reference>) -> Image {
        Image {
            id: id.clone(),
            tags,
            digests,
            manifest_digest: self.manifest_digest.clone(),
            manifest: self.manifest.clone(),
            config: self.config.clone(),
            size: self.size,
        }
    }

    /// The documents it consists of.
    pub(crate) fn documents<'a>(&'a self, id: &'a Digest) -> [&'a Digest; 3] {
        [id, &self.manifest_digest, &self.manifest.config.digest]
    }
}

/// Loads images and names. One whose documents are damaged or whose layers are gone is reported and not shown.
pub(crate) fn restore(blobs: &Path, journal: &Journal, reaper: &Reaper, catalog: &mut Catalog) {
    for (key, value) in journal.scan("image/") {
        match restore_one(blobs, &key, &value, catalog) {
            Ok((id, stored)) => drop(catalog.images.insert(id, stored)),
            Err(error) => reaper.report(error),
        }
    }
    for (key, value) in journal.scan("name/") {
        let name = key["name/".len()..].parse::<Reference>();
        let id = std::str::from_utf8(&value).ok().and_then(|text| text.parse::<Digest>().ok());
        match (name, id) {
            (Ok(name), Some(id)) => {
                if catalog.images.contains_key(&id) {
                    catalog.names.insert(name, id);
                }
            }
            _ => reaper.report(Error::new(Kind::Internal, "read record", key, "it is no name of an image")),
        }
    }
    catalog.publish();
}

fn restore_one(blobs: &Path, key: &str, value: &[u8], catalog: &Catalog) -> Result<(Digest, Stored)> {
    let damaged =
        |why: String| Error::new(Kind::Internal, "open image", key["image/".len()..].to_owned(), why);
    let id: Digest = key["image/".len()..].parse().map_err(|_| damaged("its id is no digest".to_owned()))?;
    let record: Record = serde_json::from_slice(value).map_err(|e| damaged(e.to_string()))?;
    let manifest: image::Manifest =
        serde_json::from_slice(&blobs::read(blobs, &record.manifest)?).map_err(|e| damaged(e.to_string()))?;
    let config: image::ImageConfig = serde_json::from_slice(&blobs::read(blobs, &manifest.config.digest)?)
        .map_err(|e| damaged(e.to_string()))?;
    if let Some(missing) = config.rootfs.diff_ids.iter().find(|diff_id| !catalog.layers.contains_key(diff_id))
    {
        return Err(damaged(format!("its layer {missing} is gone")));
    }
    let created = config.created.as_deref().map_or((i64::MIN, 0), moment);
    Ok((id, Stored { manifest_digest: record.manifest, manifest, config, size: record.size, created }))
}

/// Seconds since 1970 and nanoseconds of an RFC 3339 time; what is none sorts first.
pub(crate) fn moment(text: &str) -> (i64, u32) {
    parse_moment(text).unwrap_or((i64::MIN, 0))
}

fn parse_moment(text: &str) -> Option<(i64, u32)> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let rest = text.get(19..)?;
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?),
        None => ("", rest),
    };
    let nanoseconds = fraction.chars().chain("000000000".chars()).take(9).collect::<String>().parse().ok()?;
    let offset = match zone.as_bytes() {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), ..] => {
            let minutes = zone.get(1..3)?.parse::<i64>().ok()? * 60 + zone.get(4..6)?.parse::<i64>().ok()?;
            if *sign == b'+' { minutes * 60 } else { -minutes * 60 }
        }
        _ => return None,
    };
    // Days from civil (Howard Hinnant): March is the first month of a year.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = y.div_euclid(400);
    let in_era = y.rem_euclid(400);
    let days =
        era * 146_097 + in_era * 365 + in_era / 4 - in_era / 100 + (153 * m + 2) / 5 + day - 1 - 719_468;
    Some((days * 86_400 + hour * 3_600 + minute * 60 + second - offset, nanoseconds))
}

impl Store {
    /// All images, newest first, from memory.
    #[must_use]
    pub fn images(&self) -> Vec<Arc<Image>> {
        self.0.read().listed().to_vec()
    }

    /// By name (default tag `latest`), `name@digest`, id or unique prefix of one (with or without `sha256:`).
    ///
    /// # Errors
    /// `NotFound`, `Conflict` when a prefix is ambiguous, `Invalid` name.
    pub fn image(&self, name: &str) -> Result<Arc<Image>> {
        find::find(&self.0.read(), name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_times_of_any_zone_and_precision() {
        assert_eq!(parse_moment("1970-01-01T00:00:00Z"), Some((0, 0)));
        assert_eq!(parse_moment("2024-02-29T12:00:00.5Z"), Some((1_709_208_000, 500_000_000)));
        assert_eq!(
            parse_moment("2024-02-29T13:00:00.5+01:00"),
            parse_moment("2024-02-29T12:00:00.500000000Z")
        );
        assert_eq!(parse_moment("0001-01-01T00:00:00Z"), Some((-62_135_596_800, 0)));
        for wrong in ["", "yesterday", "2024-02-29", "2024-02-29T12:00:00", "2024-02-29T12:00:00.5"] {
            assert_eq!(parse_moment(wrong), None, "{wrong}");
        }
    }
}
