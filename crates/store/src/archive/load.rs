//! One pass over an archive, whatever its order: documents are kept in memory, whatever looks like a layer is unpacked at
//! once into `tmp/`, and only at the end is it known which of it makes images. Nothing is spooled, nothing stays on failure.

use super::{Loaded, origin};
use crate::{
    Error, Result, Store,
    error::At,
    layer::{Compression, Hashed, Unpacked, compression, digest_of, ingest},
};
use dhow_oci::{
    Digest, Platform, Reference,
    image::{Descriptor, ImageConfig, Index, Manifest, media},
};
use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;
use std::{
    collections::{BTreeMap, HashMap},
    io::{self, BufRead, BufReader, Read},
};
use tar::EntryType;

/// Documents larger than this are not read; and all of them together.
const MAX_DOCUMENT: u64 = 16 << 20;
const MAX_DOCUMENTS: u64 = 256 << 20;

fn invalid(object: impl Into<String>, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::invalid("load archive", object, why)
}

/// What an archive held, by path.
#[derive(Default)]
struct Contents {
    documents: HashMap<String, Vec<u8>>,
    layers: HashMap<String, Content>,
    links: HashMap<String, String>,
    total: u64,
}

/// A member that looked like a layer.
enum Content {
    New(Box<Unpacked>),
    /// It was unpacked before, by the digest in its name.
    Known(Digest),
    /// It is none; matters only if an image wants it.
    Bad(Error),
}

/// An entry of `manifest.json`.
#[derive(Debug, Deserialize)]
struct DockerImage {
    #[serde(rename = "Config")]
    config: String,
    #[serde(rename = "RepoTags", default)]
    tags: Option<Vec<String>>,
    #[serde(rename = "Layers", default)]
    layers: Option<Vec<String>>,
}

/// An image that is to be recorded: its documents, and each layer's path with the diff id it must have.
struct Wanted {
    config: Vec<u8>,
    /// `None`: made from the layers.
    manifest: Option<Vec<u8>>,
    index: Option<Vec<u8>>,
    layers: Vec<(String, Digest)>,
    names: Vec<Reference>,
}

impl Store {
    /// Reads a docker-archive or OCI-layout tar (plain or compressed).
    ///
    /// # Errors
    /// `Invalid` says what; nothing is left then.
    pub fn load(&self, source: impl Read + Send, platform: &Platform) -> Result<Vec<Loaded>> {
        let mut source = BufReader::with_capacity(256 * 1024, source);
        let start = source.fill_buf().at("read", "archive")?;
        let mut contents = match compression(start) {
            Compression::Plain => self.read_archive(source)?,
            Compression::Gzip => {
                self.read_archive(BufReader::with_capacity(256 * 1024, MultiGzDecoder::new(source)))?
            }
            Compression::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(source).at("read", "archive")?;
                decoder.window_log_max(27).at("read", "archive")?;
                self.read_archive(BufReader::with_capacity(256 * 1024, decoder))?
            }
        };
        let wanted = if contents.documents.contains_key("index.json") {
            contents.oci(platform)?
        } else if contents.documents.contains_key("manifest.json") {
            contents.docker()?
        } else {
            return Err(invalid(
                "manifest.json",
                "the archive has neither manifest.json nor index.json: it is no image",
            ));
        };
        // Everything is checked before anything is kept.
        for image in &wanted {
            for (path, diff_id) in &image.layers {
                self.check_layer(&contents, path, diff_id)?;
            }
        }
        wanted.into_iter().map(|image| self.keep(image, &mut contents)).collect()
    }

    /// Reads to the end.
    fn read_archive(&self, source: impl Read) -> Result<Contents> {
        let mut contents = Contents::default();
        let mut archive = tar::Archive::new(source);
        let mut last = "(the first entry)".to_owned();
        let broken = |last: &str, e: io::Error| invalid(format!("entry after {last}"), e);
        for entry in archive.entries().map_err(|e| broken(&last, e))? {
            let mut entry = entry.map_err(|e| broken(&last, e))?;
            let path = tidy(&String::from_utf8_lossy(&entry.path_bytes()));
            match entry.header().entry_type() {
                EntryType::Regular | EntryType::Continuous => {
                    let size = entry.size();
                    let mut counted = Hashed::new(&mut entry, false);
                    let outcome = self.member(&path, &mut counted, &mut contents);
                    io::copy(&mut counted, &mut io::sink()).map_err(|e| invalid(path.as_str(), e))?;
                    if counted.count < size {
                        let why =
                            format!("the archive is cut off after {} of its {size} bytes", counted.count);
                        return Err(invalid(path, why));
                    }
                    outcome?;
                }
                EntryType::Symlink | EntryType::Link => {
                    let target = entry.link_name_bytes().unwrap_or_default();
                    let target = String::from_utf8_lossy(&target);
                    let from =
                        if entry.header().entry_type() == EntryType::Link { "" } else { parent(&path) };
                    contents.links.insert(path.clone(), tidy(&format!("{from}/{target}")));
                }
                _ => {}
            }
            last = path;
        }
        // The archive's own end and a compressed stream's checksum.
        let mut rest = archive.into_inner();
        io::copy(&mut rest, &mut io::sink()).map_err(|e| broken(&last, e))?;
        Ok(contents)
    }

    fn member(&self, path: &str, entry: &mut impl Read, contents: &mut Contents) -> Result<()> {
        let cut = |e: io::Error| invalid(path, e);
        let mut entry = BufReader::with_capacity(64 * 1024, entry);
        if let Some(known) = blob_digest(path).and_then(|digest| self.layer_of_blob(&digest)) {
            contents.layers.insert(path.to_owned(), Content::Known(known.diff_id));
            return Ok(());
        }
        let start = entry.fill_buf().map_err(cut)?;
        if start.len() >= 4 && is_layer(start) {
            let layer = match ingest(&mut entry, self.0.layer_scratch()?, self.0.limits) {
                Ok(layer) => Content::New(Box::new(layer)),
                Err(error) => Content::Bad(error),
            };
            contents.layers.insert(path.to_owned(), layer);
            return Ok(());
        }
        let mut bytes = Vec::new();
        (&mut entry).take(MAX_DOCUMENT + 1).read_to_end(&mut bytes).map_err(cut)?;
        if bytes.len() as u64 > MAX_DOCUMENT {
            return Ok(()); // no document of an image; missed if one wants it
        }
        contents.total += bytes.len() as u64;
        if contents.total > MAX_DOCUMENTS {
            return Err(invalid(path, "the archive holds more than 256 MiB of documents"));
        }
        contents.documents.insert(path.to_owned(), bytes);
        Ok(())
    }

    fn check_layer(&self, contents: &Contents, path: &str, diff_id: &Digest) -> Result<()> {
        let found = match contents.layer(path) {
            Some(Content::New(layer)) => {
                if let Some(named) =
                    blob_digest(&contents.follow(path)).filter(|named| *named != layer.blob.0)
                {
                    return Err(invalid(
                        path,
                        format!("its bytes have the digest {}, not {named}", layer.blob.0),
                    ));
                }
                &layer.diff_id
            }
            Some(Content::Known(known)) => known,
            Some(Content::Bad(error)) => {
                let cause = error.source.as_ref().map_or_else(String::new, |cause| format!(": {cause}"));
                return Err(invalid(path, format!("{error}{cause}")));
            }
            // An empty file was an empty layer once; and a layer we have need not come along.
            None if self.has_layer(diff_id) => return Ok(()),
            None => return Err(invalid(path, "the layer is not in the archive")),
        };
        if found == diff_id {
            Ok(())
        } else {
            Err(invalid(path, format!("the layer has the diff id {found}, its image says {diff_id}")))
        }
    }

    fn keep(&self, image: Wanted, contents: &mut Contents) -> Result<Loaded> {
        let mut diff_ids = Vec::new();
        for (path, diff_id) in image.layers {
            let path = contents.follow(&path);
            if let Some(Content::New(layer)) = contents.layers.remove(&path) {
                self.0.install(*layer)?;
                contents.layers.insert(path, Content::Known(diff_id.clone()));
            }
            diff_ids.push(diff_id);
        }
        let manifest = match image.manifest {
            Some(manifest) => manifest,
            None => self.0.plain_manifest(&image.config, &diff_ids)?,
        };
        let stored = self.put_image(&image.config, &manifest, image.index.as_deref(), &image.names)?;
        Ok(Loaded { image: stored, names: image.names })
    }
}

impl Contents {
    /// Where links lead, a few steps at most.
    fn follow(&self, path: &str) -> String {
        let mut path = path.to_owned();
        for _ in 0..8 {
            match self.links.get(&path) {
                Some(target) => path.clone_from(target),
                None => break,
            }
        }
        path
    }

    fn layer(&self, path: &str) -> Option<&Content> {
        self.layers.get(&self.follow(path))
    }

    fn document(&self, path: &str) -> Result<&[u8]> {
        let found = self
            .documents
            .get(&self.follow(path))
            .ok_or_else(|| invalid(path, "it is not in the archive"))?;
        if let Some(named) = blob_digest(path) {
            let digest = digest_of(found);
            if digest != named {
                return Err(invalid(path, format!("its bytes have the digest {digest}")));
            }
        }
        Ok(found)
    }

    fn blob(&self, digest: &Digest) -> Result<&[u8]> {
        self.document(&blob_path(digest))
    }

    /// Images of `manifest.json`.
    fn docker(&self) -> Result<Vec<Wanted>> {
        let text = self.document("manifest.json")?;
        let images: Vec<DockerImage> =
            serde_json::from_slice(text).map_err(|e| invalid("manifest.json", e))?;
        let mut wanted = Vec::new();
        for image in images {
            let config = self.document(&tidy(&image.config))?.to_vec();
            let parsed: ImageConfig =
                serde_json::from_slice(&config).map_err(|e| invalid(image.config.as_str(), e))?;
            let paths = image.layers.unwrap_or_default();
            let diff_ids = parsed.rootfs.diff_ids;
            if paths.len() != diff_ids.len() {
                let why = format!(
                    "manifest.json lists {} layers, the configuration {}",
                    paths.len(),
                    diff_ids.len()
                );
                return Err(invalid(image.config, why));
            }
            let names =
                image.tags.unwrap_or_default().iter().map(|tag| name_of(tag)).collect::<Result<_>>()?;
            let layers = paths.iter().map(|path| tidy(path)).zip(diff_ids).collect();
            wanted.push(Wanted { config, manifest: None, index: None, layers, names });
        }
        Ok(wanted)
    }

    /// Images of `index.json`; of an index inside it, the one for `platform`.
    fn oci(&self, platform: &Platform) -> Result<Vec<Wanted>> {
        let top: Index =
            serde_json::from_slice(self.document("index.json")?).map_err(|e| invalid("index.json", e))?;
        let mut wanted: Vec<Wanted> = Vec::new();
        let mut by_digest: BTreeMap<Digest, usize> = BTreeMap::new();
        let several = top.manifests.len() > 1;
        for descriptor in &top.manifests {
            let names = names_of(descriptor)?;
            if let Some(&known) = by_digest.get(&descriptor.digest) {
                wanted[known].names.extend(names);
                continue;
            }
            let fits = descriptor.platform.as_ref().is_none_or(|have| have.serves(platform));
            if several && (!fits || is_attestation(descriptor)) {
                continue;
            }
            let image = self.oci_image(descriptor, platform, names)?;
            by_digest.insert(descriptor.digest.clone(), wanted.len());
            wanted.push(image);
        }
        if wanted.is_empty() {
            return Err(invalid("index.json", format!("it has no image for {platform}")));
        }
        Ok(wanted)
    }

    fn oci_image(
        &self,
        descriptor: &Descriptor,
        platform: &Platform,
        names: Vec<Reference>,
    ) -> Result<Wanted> {
        let bytes = self.blob(&descriptor.digest)?.to_vec();
        let path = blob_path(&descriptor.digest);
        let (manifest, index) =
            if matches!(descriptor.media_type.as_str(), media::OCI_INDEX | media::DOCKER_LIST) {
                let index: Index = serde_json::from_slice(&bytes).map_err(|e| invalid(path.as_str(), e))?;
                let fits = |entry: &&Descriptor| {
                    !is_attestation(entry) && entry.platform.as_ref().is_none_or(|have| have.serves(platform))
                };
                let chosen = index.manifests.iter().find(fits);
                let chosen = chosen.ok_or_else(|| {
                    invalid(path.as_str(), format!("the index has no image for {platform}"))
                })?;
                (self.blob(&chosen.digest)?.to_vec(), Some(bytes))
            } else {
                (bytes, None)
            };
        let parsed: Manifest = serde_json::from_slice(&manifest).map_err(|e| invalid(path.as_str(), e))?;
        let config = self.blob(&parsed.config.digest)?.to_vec();
        let config_path = blob_path(&parsed.config.digest);
        let diff_ids = serde_json::from_slice::<ImageConfig>(&config)
            .map_err(|e| invalid(config_path, e))?
            .rootfs
            .diff_ids;
        if parsed.layers.len() != diff_ids.len() {
            let why = format!(
                "the manifest lists {} layers, the configuration {}",
                parsed.layers.len(),
                diff_ids.len()
            );
            return Err(invalid(path, why));
        }
        let layers = parsed.layers.iter().map(|layer| blob_path(&layer.digest)).zip(diff_ids).collect();
        let original = origin::find(descriptor, &parsed.config.digest, |digest| self.blob(digest).ok());
        let (manifest, index) = original.unwrap_or((manifest, index));
        Ok(Wanted { config, manifest: Some(manifest), index, layers, names })
    }
}

/// BuildKit's attestations stand in an index as images of an unknown platform.
fn is_attestation(descriptor: &Descriptor) -> bool {
    descriptor.annotations.contains_key("vnd.docker.reference.type")
        || descriptor.platform.as_ref().is_some_and(|platform| platform.os == "unknown")
}

/// Names of an entry of `index.json`: containerd's whole name; else a reference name that is whole.
fn names_of(descriptor: &Descriptor) -> Result<Vec<Reference>> {
    let annotation = |key: &str| descriptor.annotations.get(key);
    if let Some(name) = annotation("io.containerd.image.name") {
        return Ok(vec![name_of(name)?]);
    }
    // A bare tag (`latest`) says of which repository it is nowhere.
    match annotation("org.opencontainers.image.ref.name") {
        Some(name) if name.contains([':', '/']) => Ok(vec![name_of(name)?]),
        _ => Ok(Vec::new()),
    }
}

fn name_of(text: &str) -> Result<Reference> {
    text.parse::<Reference>().map(Reference::with_default_tag).map_err(|e| invalid(text, e))
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}

fn blob_digest(path: &str) -> Option<Digest> {
    path.strip_prefix("blobs/")?.replace('/', ":").parse().ok()
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// Without `.`, `..` and doubled slashes; `..` at the top stays there.
fn tidy(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            other => parts.push(other),
        }
    }
    parts.join("/")
}

/// Whether a member is a layer by its first bytes: compressed, or a tar (also an empty one).
fn is_layer(start: &[u8]) -> bool {
    if compression(start) != Compression::Plain {
        return true;
    }
    let Some(block) = start.get(..512) else { return false };
    &block[257..262] == b"ustar" || block.iter().all(|&b| b == 0) || old_tar(block)
}

/// A header from before POSIX has no magic, but its checksum fits.
fn old_tar(block: &[u8]) -> bool {
    let header = tar::Header::from_byte_slice(block);
    let sum: u32 = block
        .iter()
        .enumerate()
        .map(|(at, &b)| u32::from(if (148..156).contains(&at) { b' ' } else { b }))
        .sum();
    header.cksum().is_ok_and(|stated| stated == sum)
}
