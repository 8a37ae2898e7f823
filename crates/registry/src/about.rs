//! What a registry has under a name, without pulling it (`GET /distribution/{name}/json`).

use crate::{
    Client, Credentials, Error, endpoint, manifest,
    session::{Access, Session},
};
use dhow_oci::{
    Digest, Platform, Reference,
    image::{Index, Manifest, media},
};

/// The document that a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Of a manifest or an index.
    pub media_type: String,
    /// Of its bytes.
    pub digest: Digest,
    /// Bytes of it.
    pub size: u64,
    /// What it runs on.
    pub platforms: Vec<Platform>,
}

/// See [`Client::about`]; `image` has a tag or a digest.
pub(crate) async fn about(
    client: &Client,
    image: &Reference,
    credentials: Option<&Credentials>,
) -> Result<About, Error> {
    let mut last = None;
    for endpoint in endpoint::of_domain(client, image.domain()).await {
        let session = Session::new(client, endpoint, image, credentials, Access::Pull);
        match ask(&session, image).await {
            Err(error) if session.endpoint.falls_through(&error) => last = Some(error),
            answered => return answered,
        }
    }
    Err(last.unwrap_or_else(|| Error::internal(format!("no way to the registry of {}", image.familiar()))))
}

async fn ask(session: &Session, image: &Reference) -> Result<About, Error> {
    let document = manifest::fetch(session, image, image.digest()).await?;
    let (media_type, platforms) = if manifest::is_index(&document, image)? {
        let index: Index = manifest::parse(&document, image)?;
        let platforms = index.manifests.into_iter().filter_map(|entry| entry.platform).collect();
        (index.media_type.unwrap_or_else(|| media::OCI_INDEX.to_owned()), platforms)
    } else {
        let one: Manifest = manifest::parse(&document, image)?;
        let config = manifest::config(session, image, &one.config).await?;
        (
            one.media_type.unwrap_or_else(|| media::OCI_MANIFEST.to_owned()),
            vec![manifest::parse(&config, image)?],
        )
    };
    let size = document.bytes.len() as u64;
    Ok(About { media_type, digest: document.digest, size, platforms })
}
