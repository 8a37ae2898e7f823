//! One tar that is docker-archive and OCI layout at once, the same bytes every time.

use super::origin;
use crate::{
    Error, Image, Kind, Result, Store,
    error::At,
    layer::{digest_of, emit},
};
use dhow_oci::{
    Digest, Reference,
    image::{Descriptor, Index, media},
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
    sync::Arc,
};

/// An entry of `manifest.json`.
#[derive(Debug, Serialize)]
struct DockerImage {
    #[serde(rename = "Config")]
    config: String,
    #[serde(rename = "RepoTags")]
    tags: Option<Vec<String>>,
    #[serde(rename = "Layers")]
    layers: Vec<String>,
}

/// What is to be written, by digest.
#[derive(Default)]
struct Plan {
    docker: Vec<DockerImage>,
    index: Vec<Descriptor>,
    documents: BTreeMap<Digest, Vec<u8>>,
    layers: BTreeSet<Digest>,
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}

impl Store {
    /// Writes images as a tar that is docker-archive and OCI layout at once.
    ///
    /// # Errors
    /// `NotFound` names the image.
    pub fn save(&self, names: &[String], out: &mut dyn Write) -> Result<()> {
        let mut wanted: Vec<(Arc<Image>, BTreeSet<Reference>)> = Vec::new();
        for name in names {
            for (image, tags) in self.selection(name)? {
                match wanted.iter_mut().find(|(known, _)| known.id == image.id) {
                    Some((_, known)) => known.extend(tags),
                    None => wanted.push((image, tags)),
                }
            }
        }
        let mut plan = Plan::default();
        for (image, tags) in &wanted {
            self.plan(&mut plan, image, tags)?;
        }
        self.write(&plan, out)
    }

    /// Images that a name means and the tags to write: a tag means itself, a bare repository all its tags, an id none.
    fn selection(&self, name: &str) -> Result<Vec<(Arc<Image>, BTreeSet<Reference>)>> {
        let parsed = name.parse::<Reference>().ok();
        if let Some(bare) = parsed.as_ref().filter(|name| name.tag().is_none() && name.digest().is_none()) {
            let same = |other: &&Reference| other.domain() == bare.domain() && other.path() == bare.path();
            let all: Vec<_> = self
                .images()
                .into_iter()
                .map(|image| {
                    (Arc::clone(&image), image.tags.iter().filter(same).cloned().collect::<BTreeSet<_>>())
                })
                .filter(|(_, tags)| !tags.is_empty())
                .collect();
            if !all.is_empty() {
                return Ok(all);
            }
        }
        let image = self.image(name)?;
        let tags = parsed.filter(|name| image.tags.contains(name)).into_iter().collect();
        Ok(vec![(image, tags)])
    }

    fn plan(&self, plan: &mut Plan, image: &Image, tags: &BTreeSet<Reference>) -> Result<()> {
        let config = self.read_blob(&image.manifest.config.digest)?;
        let diff_ids = &image.config.rootfs.diff_ids;
        // Layers are written as they lie on the disk, uncompressed: a manifest that means compressed ones is made anew.
        let as_is =
            image.manifest.layers.iter().zip(diff_ids).all(|(layer, diff_id)| layer.digest == *diff_id);
        let manifest = if as_is {
            self.read_blob(&image.manifest_digest)?
        } else {
            self.0.plain_manifest(&config, diff_ids)?
        };
        let mut descriptor = Descriptor {
            media_type: image
                .manifest
                .media_type
                .clone()
                .filter(|_| as_is)
                .unwrap_or_else(|| media::OCI_MANIFEST.to_owned()),
            digest: digest_of(&manifest),
            size: manifest.len() as u64,
            platform: None,
            annotations: BTreeMap::new(),
        };
        if descriptor.digest != image.id {
            let index = Some(&image.id).filter(|id| **id != image.manifest_digest);
            origin::note(&mut descriptor, &image.manifest_digest, index);
            for document in index.into_iter().chain([&image.manifest_digest]) {
                plan.documents.insert(document.clone(), self.read_blob(document)?);
            }
        }
        for tag in tags {
            let mut named = descriptor.clone();
            named.annotations.extend([
                ("io.containerd.image.name".to_owned(), tag.to_string()),
                ("org.opencontainers.image.ref.name".to_owned(), tag.tag().unwrap_or_default().to_owned()),
            ]);
            plan.index.push(named);
        }
        if tags.is_empty() {
            plan.index.push(descriptor.clone());
        }
        plan.docker.push(DockerImage {
            config: blob_path(&image.manifest.config.digest),
            tags: (!tags.is_empty()).then(|| tags.iter().map(Reference::familiar).collect()),
            layers: diff_ids.iter().map(blob_path).collect(),
        });
        plan.documents.insert(descriptor.digest, manifest);
        plan.documents.insert(image.manifest.config.digest.clone(), config);
        plan.layers.extend(diff_ids.iter().cloned());
        Ok(())
    }

    fn write(&self, plan: &Plan, out: &mut dyn Write) -> Result<()> {
        let json = |what: &str, bytes: serde_json::Result<Vec<u8>>| {
            bytes.map_err(|e| Error::new(Kind::Internal, "save images", what, e))
        };
        let index = Index {
            schema_version: 2,
            media_type: Some(media::OCI_INDEX.to_owned()),
            manifests: plan.index.clone(),
            annotations: BTreeMap::new(),
        };
        let mut documents = vec![
            ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
            ("index.json".to_owned(), json("index.json", serde_json::to_vec(&index))?),
            ("manifest.json".to_owned(), json("manifest.json", serde_json::to_vec(&plan.docker))?),
        ];
        documents.extend(plan.documents.iter().map(|(digest, bytes)| (blob_path(digest), bytes.clone())));
        for (path, bytes) in &documents {
            member(out, path, bytes.len() as u64, |out| out.write_all(bytes)).at("save", path.as_str())?;
        }
        for diff_id in &plan.layers {
            let size = self.layer(diff_id)?.tar_size;
            let path = blob_path(diff_id);
            member(out, &path, size, |out| self.write_layer_tar(diff_id, out).map_err(io::Error::from))
                .at("save", path)?;
        }
        out.write_all(&[0; 1024]).and_then(|()| out.flush()).at("save", "archive")
    }
}

/// Header, content, padding.
fn member(
    out: &mut dyn Write,
    path: &str,
    size: u64,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    out.write_all(&emit::header(&emit::Member::document(path.as_bytes(), size)))?;
    content(out)?;
    out.write_all(&[0; 512][..emit::padding(size)])
}
