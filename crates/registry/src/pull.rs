//! A whole pull: endpoints in turn, manifest, configuration, layers, the image.

use crate::{
    Client, Credentials, Error, Progress, endpoint, layer,
    manifest::{self, Resolved},
    session::{Access, Session},
};
use dhow_oci::{
    Digest, Platform, Reference,
    image::{Descriptor, ImageConfig},
};
use dhow_store::{Image, Store};
use futures_util::{StreamExt, TryStreamExt, stream};
use std::{collections::BTreeSet, sync::Arc};

/// Layers that are downloaded at once.
const PARALLEL: usize = 3;

/// See [`Client::pull`]; `image` has a tag or a digest.
pub(crate) async fn pull(
    client: &Client,
    store: &Store,
    image: &Reference,
    platform: &Platform,
    credentials: Option<&Credentials>,
    progress: &(impl Fn(Progress) + Send + Sync),
) -> Result<Arc<Image>, Error> {
    let line = |id: &str, status: String| progress(Progress { id: id.to_owned(), status, bytes: None });
    let mut last = None;
    for endpoint in endpoint::of_domain(client, image.domain()).await {
        let session = Session::new(client, endpoint, image, credentials, Access::Pull);
        match manifest::resolve(&session, image, platform).await {
            Ok(resolved) => {
                let name = image.tag().unwrap_or_else(|| image.digest().map_or("", Digest::as_str));
                line(name, format!("Pulling from {}", image.path()));
                return match fetch(&session, store, image, &resolved, progress).await {
                    Err(error) if session.endpoint.falls_through(&error) => {
                        tracing::warn!(mirror = session.endpoint.base, %error, "a mirror failed");
                        last = Some(error);
                        continue;
                    }
                    other => other,
                };
            }
            Err(error) if session.endpoint.falls_through(&error) => {
                if session.endpoint.mirror {
                    tracing::debug!(mirror = session.endpoint.base, %error, "a mirror does not have the image");
                }
                last = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    Err(last.unwrap_or_else(|| Error::internal(format!("no way to the registry of {}", image.familiar()))))
}

async fn fetch(
    session: &Session,
    store: &Store,
    image: &Reference,
    resolved: &Resolved,
    progress: &(impl Fn(Progress) + Send + Sync),
) -> Result<Arc<Image>, Error> {
    let line = |id: &str, status: String| progress(Progress { id: id.to_owned(), status, bytes: None });
    let config = manifest::config(session, image, &resolved.manifest.config).await?;
    let parsed: ImageConfig = serde_json::from_slice(&config.bytes)
        .map_err(|error| Error::invalid(format!("configuration of {}: {error}", image.familiar())))?;
    let layers = pairs(&resolved.manifest.layers, &parsed.rootfs.diff_ids).ok_or_else(|| {
        let (layers, ids) = (resolved.manifest.layers.len(), parsed.rootfs.diff_ids.len());
        Error::invalid(format!(
            "{}: the manifest has {layers} layers, the configuration {ids}",
            image.familiar()
        ))
    })?;
    let mut missing = Vec::new();
    for (blob, diff_id) in layers {
        if store.has_layer(diff_id) {
            line(blob.digest.short(), "Already exists".to_owned());
        } else {
            line(blob.digest.short(), "Pulling fs layer".to_owned());
            missing.push((blob.clone(), diff_id.clone()));
        }
    }
    // Collected first: a closure over references that lives across an await makes the whole future not `Send` (rust-lang/rust#102211).
    let pulls: Vec<_> = missing
        .into_iter()
        .map(|(blob, diff_id)| async move {
            layer::pull(session, store, image, &blob, &diff_id, progress).await?;
            line(blob.digest.short(), "Pull complete".to_owned());
            Ok::<_, Error>(())
        })
        .collect();
    stream::iter(pulls).buffer_unordered(PARALLEL).try_collect::<Vec<()>>().await?;

    let (store, names, resolved_documents) =
        (store.clone(), names(image, resolved), documents(resolved, &config.bytes));
    let name = image.to_string();
    let recorded = tokio::task::spawn_blocking(move || {
        let before = store.image(&name).ok().map(|image| image.id.clone());
        let (config, manifest, index) = &resolved_documents;
        store.put_image(config, manifest, index.as_deref(), &names).map(|image| (before, image))
    });
    let recorded =
        recorded.await.map_err(|error| Error::internal(format!("record {}: {error}", image.familiar())))?;
    let (before, pulled) = recorded.map_err(|error| {
        let source = error.source.as_ref().map(|source| format!(": {source}")).unwrap_or_default();
        let message = format!("{} {}{source}", error.operation, error.object);
        Error { source: error.source, ..Error::internal(message) }
    })?;
    line("", format!("Digest: {}", pulled.id));
    let news = if before.as_ref() == Some(&pulled.id) {
        "Image is up to date for"
    } else {
        "Downloaded newer image for"
    };
    line("", format!("Status: {news} {}", image.familiar()));
    Ok(pulled)
}

/// Each layer once, with the digest of its plain tar; `None` if the numbers differ.
fn pairs<'a>(blobs: &'a [Descriptor], diff_ids: &'a [Digest]) -> Option<Vec<(&'a Descriptor, &'a Digest)>> {
    let mut seen = BTreeSet::new();
    let all = blobs.iter().zip(diff_ids).filter(|(_, diff_id)| seen.insert((*diff_id).clone()));
    (blobs.len() == diff_ids.len()).then(|| all.collect())
}

/// The tag (unless the digest was what was asked for), and the digest it had at this moment.
fn names(image: &Reference, resolved: &Resolved) -> Vec<Reference> {
    let id = resolved.index.as_ref().unwrap_or(&resolved.document).digest.clone();
    let tagged = image.digest().is_none().then(|| image.clone());
    tagged.into_iter().chain([image.with_digest(id)]).collect()
}

/// Configuration, manifest, index.
fn documents(resolved: &Resolved, config: &[u8]) -> (Vec<u8>, Vec<u8>, Option<Vec<u8>>) {
    let index = resolved.index.as_ref().map(|index| index.bytes.to_vec());
    (config.to_vec(), resolved.document.bytes.to_vec(), index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_that_comes_twice_is_fetched_once() {
        let digest = |n: u8| Digest::sha256(&[n; 32]);
        let blob = |n| Descriptor {
            media_type: String::new(),
            digest: digest(n),
            size: 0,
            platform: None,
            annotations: Default::default(),
        };
        let (blobs, ids) = ([blob(1), blob(2), blob(1)], [digest(11), digest(12), digest(11)]);
        assert_eq!(pairs(&blobs, &ids).unwrap().len(), 2);
        assert!(pairs(&blobs, &ids[..2]).is_none());
    }
}
