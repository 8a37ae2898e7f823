//! A whole push: layers that the registry lacks, the configuration, the manifest.

use crate::{
    Client, Credentials, Error, Kind, Progress, endpoint, manifest,
    session::{Access, Failure, Session},
    upload,
};
use bytes::Bytes;
use dhow_oci::{
    Digest, Reference,
    image::{Descriptor, media},
};
use dhow_store::{Image, Store};
use futures_util::{StreamExt, TryStreamExt, stream};
use std::collections::HashMap;

/// Layers that are uploaded at once.
const PARALLEL: usize = 3;
/// Times that a broken upload is begun anew.
const ATTEMPTS: u32 = 3;

/// What the registry has now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Of the manifest.
    pub digest: Digest,
    /// Bytes of it.
    pub size: u64,
}

/// See [`Client::push`]; `name` has a tag.
pub(crate) async fn push(
    client: &Client,
    store: &Store,
    image: &Image,
    name: &Reference,
    credentials: Option<&Credentials>,
    progress: &(impl Fn(Progress) + Send + Sync),
) -> Result<Pushed, Error> {
    let mut last = None;
    for endpoint in endpoint::of_domain(client, name.domain()).await.into_iter().filter(|e| !e.mirror) {
        let session = Session::new(client, endpoint, name, credentials, Access::Push);
        match send(&session, store, image, name, progress).await {
            Err(error) if session.endpoint.falls_through(&error) => last = Some(error),
            done => return done,
        }
    }
    Err(last.unwrap_or_else(|| Error::internal(format!("no way to the registry of {}", name.familiar()))))
}

/// A registry's refusal in docker's words.
fn explain(failure: Failure) -> Error {
    match failure {
        Failure::Error(error) => error,
        Failure::Refused(status, complaint) => {
            let kind = match status.as_u16() {
                401 | 403 => Kind::Unauthorized,
                404 => Kind::NotFound,
                429 | 500.. => Kind::Unavailable,
                _ => Kind::Invalid,
            };
            Error::new(kind, complaint.text())
        }
    }
}

async fn send(
    session: &Session,
    store: &Store,
    image: &Image,
    name: &Reference,
    progress: &(impl Fn(Progress) + Send + Sync),
) -> Result<Pushed, Error> {
    let line = |id: &str, status: &str| {
        progress(Progress { id: id.to_owned(), status: status.to_owned(), bytes: None })
    };
    // Asked before anything is told: the first endpoint may not even be one.
    let config = &image.manifest.config;
    let has_config = session.has(&config.digest).await.map_err(explain)?;
    line("", &format!("The push refers to repository [{}/{}]", name.domain(), name.path()));
    let layers: HashMap<&Digest, &Descriptor> =
        image.config.rootfs.diff_ids.iter().zip(&image.manifest.layers).collect();
    for diff_id in layers.keys() {
        line(diff_id.short(), "Preparing");
    }
    // Collected first: a closure over references that lives across an await makes the whole future not `Send` (rust-lang/rust#102211).
    let uploads: Vec<_> = layers
        .iter()
        .map(|(diff_id, descriptor)| {
            let job = Layer { session, store, image, diff_id, descriptor };
            async move { job.there(progress).await.map(|there| (job.diff_id, there)) }
        })
        .collect();
    let there: HashMap<&Digest, Descriptor> =
        stream::iter(uploads).buffer_unordered(PARALLEL).try_collect().await?;
    if !has_config {
        let bytes = read(store, &config.digest).await?;
        session.put_blob(&config.digest, bytes).await.map_err(explain)?;
    }
    let (bytes, media_type) = document(store, image, &there).await?;
    let digest =
        manifest::digest_like(None, &bytes).ok_or_else(|| Error::internal("digest of a manifest"))?;
    let tag = name.tag().unwrap_or("latest");
    session.put_manifest(tag, &media_type, bytes.clone()).await.map_err(explain)?;
    let size = bytes.len() as u64;
    line("", &format!("{tag}: digest: {digest} size: {size}"));
    Ok(Pushed { digest, size })
}

/// The manifest as it is, if the registry has its very layers; else one that names those that it has.
async fn document(
    store: &Store,
    image: &Image,
    there: &HashMap<&Digest, Descriptor>,
) -> Result<(Bytes, String), Error> {
    let mut new = image.manifest.clone();
    for (layer, diff_id) in new.layers.iter_mut().zip(&image.config.rootfs.diff_ids) {
        if let Some(there) = there.get(diff_id) {
            layer.clone_from(there);
        }
    }
    let media_type = new.media_type.clone().unwrap_or_else(|| media::OCI_MANIFEST.to_owned());
    if new == image.manifest {
        return Ok((read(store, &image.manifest_digest).await?, media_type));
    }
    new.media_type = Some(media_type.clone());
    let bytes =
        serde_json::to_vec(&new).map_err(|error| Error::internal(format!("encode manifest: {error}")))?;
    Ok((bytes.into(), media_type))
}

async fn read(store: &Store, digest: &Digest) -> Result<Bytes, Error> {
    let (store, digest) = (store.clone(), digest.clone());
    let read = tokio::task::spawn_blocking(move || store.read_blob(&digest)).await;
    let read = read.map_err(|error| Error::internal(format!("read blob: {error}")))?;
    read.map(Bytes::from).map_err(|error| Error::internal(format!("{} {}", error.operation, error.object)))
}

/// One layer on its way.
struct Layer<'a> {
    session: &'a Session,
    store: &'a Store,
    image: &'a Image,
    diff_id: &'a Digest,
    /// As the image's manifest has it.
    descriptor: &'a Descriptor,
}

impl Layer<'_> {
    /// Makes it be there; how the registry has it.
    async fn there(&self, progress: &(impl Fn(Progress) + Send + Sync)) -> Result<Descriptor, Error> {
        let tell = |status: &str, bytes| {
            progress(Progress { id: self.diff_id.short().to_owned(), status: status.to_owned(), bytes });
        };
        let docker = self.image.manifest.media_type.as_deref() == Some(media::DOCKER_MANIFEST);
        if self.session.has(&self.descriptor.digest).await.map_err(explain)? {
            tell("Layer already exists", None);
            return Ok(self.descriptor.clone());
        }
        let packed = self.store.packed(self.diff_id).map(|packed| upload::packed(docker, packed));
        if let Some(packed) = &packed
            && self.session.has(&packed.digest).await.map_err(explain)?
        {
            tell("Layer already exists", None);
            return Ok(packed.clone());
        }
        for from in self.neighbours() {
            for known in packed.iter().chain([self.descriptor]) {
                if self.session.mount(&known.digest, from).await.map_err(explain)? {
                    tell(&format!("Mounted from {from}"), None);
                    return Ok(known.clone());
                }
            }
        }
        let size = self.store.layer(self.diff_id).map_or(0, |layer| layer.tar_size);
        tell("Pushing", Some((0, size)));
        for attempt in 1.. {
            let sent = |bytes: u64| tell("Pushing", Some((bytes.min(size), size)));
            match self.session.put_layer(self.store, self.diff_id, &sent).await.map_err(explain) {
                Ok(packed) => {
                    tell("Pushed", None);
                    return Ok(upload::packed(docker, packed));
                }
                Err(error) if error.kind == Kind::Unavailable && attempt < ATTEMPTS => {
                    tracing::debug!(%error, layer = %self.diff_id, "an upload is begun anew");
                }
                Err(error) => return Err(error),
            }
        }
        Err(Error::internal("an upload without an end"))
    }

    /// Other repositories of this registry that the image came from.
    fn neighbours(&self) -> impl Iterator<Item = &str> {
        let here = |name: &&Reference| {
            crate::endpoint::same_registry(name.domain(), &self.session.endpoint)
                && name.path() != self.session.repository
        };
        self.image.digests.iter().filter(here).map(Reference::path)
    }
}
