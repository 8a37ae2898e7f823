//! Manifests and indexes: fetched, verified, and the one for a platform chosen.

use crate::{Error, http::body, session::Session};
use bytes::Bytes;
use dhow_oci::{
    Digest, Platform, Reference,
    image::{Descriptor, Index, Manifest, media},
};
use http::{HeaderValue, header};
use ring::digest::{SHA256, SHA512, digest};
use serde::Deserialize;

/// Of a manifest, as registries limit it.
const LIMIT: usize = 4 << 20;
/// Of an image configuration.
const CONFIG_LIMIT: usize = 16 << 20;

/// A document and its digest.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) bytes: Bytes,
    pub(crate) digest: Digest,
}

/// What a name stands for.
#[derive(Debug)]
pub(crate) struct Resolved {
    /// The index it came from.
    pub(crate) index: Option<Document>,
    pub(crate) document: Document,
    pub(crate) manifest: Manifest,
}

/// The digest of `bytes` by the algorithm of `like`.
pub(crate) fn digest_like(like: Option<&Digest>, bytes: &[u8]) -> Option<Digest> {
    if like.is_some_and(|like| like.algorithm() == "sha512") {
        let sum = digest(&SHA512, bytes);
        let hex: String = sum.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        return format!("sha512:{hex}").parse().ok();
    }
    digest(&SHA256, bytes).as_ref().try_into().ok().map(Digest::sha256)
}

fn verified(bytes: Bytes, expected: Option<&Digest>, what: &str) -> Result<Document, Error> {
    let found = digest_like(expected, &bytes).ok_or_else(|| Error::internal(format!("digest of {what}")))?;
    match expected {
        Some(expected) if *expected != found => Err(Error::invalid(format!(
            "{what} verification failed for digest {expected}: the content is {found}"
        ))),
        _ => Ok(Document { bytes, digest: found }),
    }
}

pub(crate) async fn fetch(
    session: &Session,
    image: &Reference,
    expected: Option<&Digest>,
) -> Result<Document, Error> {
    let name = expected.map_or_else(|| image.tag().unwrap_or("latest"), Digest::as_str);
    let types =
        [media::OCI_INDEX, media::DOCKER_LIST, media::OCI_MANIFEST, media::DOCKER_MANIFEST, "*/*;q=0.1"]
            .join(", ");
    let accept = HeaderValue::from_str(&types).map_err(|e| Error::internal(format!("accept header: {e}")))?;
    let path = format!("manifests/{name}");
    let response = session.get(&path, &[(header::ACCEPT, accept)]).await;
    let response = response.map_err(|failure| session.explain(failure, image))?;
    let claimed = response.headers().get("docker-content-digest").and_then(|value| value.to_str().ok());
    let claimed = claimed.and_then(|text| text.parse::<Digest>().ok());
    let what = format!("manifest of {}", image.familiar());
    let bytes = body(response, LIMIT, &what).await?;
    verified(bytes, expected.or(claimed.as_ref()), &what)
}

/// Only what tells the kinds of documents apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    #[serde(default)]
    schema_version: u8,
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    manifests: Option<serde::de::IgnoredAny>,
}

pub(crate) fn parse<'a, T: Deserialize<'a>>(document: &'a Document, image: &Reference) -> Result<T, Error> {
    serde_json::from_slice(&document.bytes).map_err(|error| {
        Error::invalid(format!("manifest of {} ({}): {error}", image.familiar(), document.digest))
    })
}

pub(crate) fn is_index(document: &Document, image: &Reference) -> Result<bool, Error> {
    let shape: Shape = parse(document, image)?;
    if shape.schema_version == 1 {
        let why = "image manifest version 2, schema 1 is not supported: push it again with a current client";
        return Err(Error::invalid(format!("{}: {why}", image.familiar())));
    }
    Ok(match shape.media_type.as_str() {
        media::OCI_INDEX | media::DOCKER_LIST => true,
        media::OCI_MANIFEST | media::DOCKER_MANIFEST => false,
        _ => shape.manifests.is_some(),
    })
}

/// Asks what `image` is, for `platform`.
pub(crate) async fn resolve(
    session: &Session,
    image: &Reference,
    platform: &Platform,
) -> Result<Resolved, Error> {
    let first = fetch(session, image, image.digest()).await?;
    if !is_index(&first, image)? {
        let manifest = parse(&first, image)?;
        return Ok(Resolved { index: None, document: first, manifest });
    }
    let index: Index = parse(&first, image)?;
    let chosen = choose(&index.manifests, platform).ok_or_else(|| {
        let name = image.familiar();
        Error::new(
            crate::Kind::NotFound,
            format!("no matching manifest for {platform} in the manifest list entries of {name}"),
        )
    })?;
    let document = fetch(session, image, Some(&chosen.digest)).await?;
    if is_index(&document, image)? {
        return Err(Error::invalid(format!("{}: an index in an index is not supported", image.familiar())));
    }
    let manifest = parse(&document, image)?;
    Ok(Resolved { index: Some(first), document, manifest })
}

/// The manifest for a platform: exactly its variant, else any that serves it; attestations have none that does.
fn choose<'a>(manifests: &'a [Descriptor], wanted: &Platform) -> Option<&'a Descriptor> {
    let serving =
        || manifests.iter().filter(|d| d.platform.as_ref().is_some_and(|platform| platform.serves(wanted)));
    let exact =
        serving().find(|d| d.platform.as_ref().is_some_and(|platform| platform.variant == wanted.variant));
    exact.or_else(|| serving().next())
}

/// The image configuration that a manifest names.
pub(crate) async fn config(
    session: &Session,
    image: &Reference,
    descriptor: &Descriptor,
) -> Result<Document, Error> {
    if !matches!(
        descriptor.media_type.as_str(),
        media::OCI_CONFIG | media::DOCKER_CONFIG | "application/octet-stream"
    ) {
        let kind = &descriptor.media_type;
        return Err(Error::invalid(format!(
            "{}: not an image: its configuration is {kind}",
            image.familiar()
        )));
    }
    let path = format!("blobs/{}", descriptor.digest);
    let response = session.get(&path, &[]).await.map_err(|failure| session.explain(failure, image))?;
    let what = format!("configuration of {}", image.familiar());
    let bytes = body(response, CONFIG_LIMIT, &what).await?;
    verified(bytes, Some(&descriptor.digest), &what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(n: u8, platform: Option<&str>) -> Descriptor {
        Descriptor {
            media_type: media::OCI_MANIFEST.to_owned(),
            digest: Digest::sha256(&[n; 32]),
            size: 1,
            platform: platform.map(|text| text.parse().unwrap()),
            annotations: Default::default(),
        }
    }

    #[test]
    fn the_platform_is_chosen() {
        let list = [
            descriptor(0, None),
            descriptor(1, Some("unknown/unknown")),
            descriptor(2, Some("linux/arm/v6")),
            descriptor(3, Some("linux/arm/v7")),
            descriptor(4, Some("linux/arm64/v8")),
            descriptor(5, Some("linux/amd64/v3")),
            descriptor(6, Some("linux/amd64")),
        ];
        let chosen = |text: &str| choose(&list, &text.parse().unwrap()).map(|d| d.digest.clone());
        for (wanted, expected) in [
            ("linux/amd64", Some(6)),
            ("linux/arm/v7", Some(3)),
            ("linux/arm64", Some(4)),
            ("linux/arm", Some(2)),
            ("linux/riscv64", None),
        ] {
            assert_eq!(chosen(wanted), expected.map(|n| Digest::sha256(&[n; 32])), "{wanted}");
        }
    }
}
