//! Blobs and manifests on their way to a registry (distribution specification, "Push").

use crate::{
    Error,
    http::{Content, STALL},
    session::{Failure, Session},
};
use bytes::Bytes;
use dhow_oci::{Digest, image::Descriptor};
use dhow_store::Store;
use futures_util::stream;
use http::{Method, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::mpsc;

/// Of one piece of a packed layer.
const PIECE: usize = 64 << 10;
/// Pieces that wait for the network.
const WAITING: usize = 16;
/// For a whole layer, however slow; what stands still ends earlier.
const LAYER: Duration = Duration::from_secs(24 * 3600);

impl Session {
    /// Whether the repository has the blob.
    pub(crate) async fn has(&self, digest: &Digest) -> Result<bool, Failure> {
        let url = self.url(&format!("blobs/{digest}"));
        match self.call(Method::HEAD, &url, "", Bytes::new()).await {
            Ok(_) => Ok(true),
            Err(Failure::Refused(StatusCode::NOT_FOUND, _)) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Asks the registry to take the blob over from another of its repositories; whether it did.
    pub(crate) async fn mount(&self, digest: &Digest, from: &str) -> Result<bool, Failure> {
        let url = self.url(&format!("blobs/uploads/?mount={digest}&from={from}"));
        match self.call(Method::POST, &url, "", Bytes::new()).await {
            Ok(response) if response.status() == StatusCode::CREATED => Ok(true),
            Ok(response) => {
                // It has begun an upload instead, which nobody wants.
                let begun = self.location(&response).await?;
                if let Err(Failure::Error(error)) = self.call(Method::DELETE, &begun, "", Bytes::new()).await
                {
                    tracing::debug!(%error, "an upload that is not wanted was not cancelled");
                }
                Ok(false)
            }
            Err(Failure::Refused(..)) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Uploads what is known at once.
    pub(crate) async fn put_blob(&self, digest: &Digest, bytes: Bytes) -> Result<(), Failure> {
        let begun = self.begin().await?;
        let url = finished(&begun, digest);
        self.call(Method::PUT, &url, "application/octet-stream", bytes).await.map(drop)
    }

    /// Packs and uploads a layer, and says how much has gone; digest and size of what the registry has then.
    pub(crate) async fn put_layer(
        &self,
        store: &Store,
        diff_id: &Digest,
        tell: &(impl Fn(u64) + Send + Sync),
    ) -> Result<(Digest, u64), Failure> {
        let begun = self.begin().await?;
        let (sender, receiver) = mpsc::channel::<Bytes>(WAITING);
        let sent = Arc::new(AtomicU64::new(0));
        let (store, diff_id) = (store.clone(), diff_id.clone());
        let packing = tokio::task::spawn_blocking(move || {
            let mut pieces = Pieces { sender, piece: Vec::with_capacity(PIECE) };
            let packed = store.pack_layer(&diff_id, &mut pieces)?;
            pieces.flush().map_err(|error| dhow_store::Error {
                kind: dhow_store::Kind::Internal,
                operation: "send layer",
                object: diff_id.to_string(),
                source: Some(error.into()),
            })?;
            Ok::<_, dhow_store::Error>(packed)
        });
        let response =
            watched(self.stream(Method::PATCH, &begun, content(receiver, &sent), LAYER), &sent, tell).await;
        // A refused upload makes the packing fail too: the registry's word is the cause.
        let response = response?;
        let packed = packing.await.map_err(|error| Error::internal(format!("pack layer: {error}")))?;
        let (digest, size) = packed.map_err(|error| {
            let source = error.source.as_ref().map(|source| format!(": {source}")).unwrap_or_default();
            Error::internal(format!("{} {}{source}", error.operation, error.object))
        })?;
        let url = finished(&self.location(&response).await?, &digest);
        self.call(Method::PUT, &url, "application/octet-stream", Bytes::new()).await?;
        Ok((digest, size))
    }

    /// Names a manifest.
    pub(crate) async fn put_manifest(
        &self,
        name: &str,
        media_type: &str,
        bytes: Bytes,
    ) -> Result<(), Failure> {
        let url = self.url(&format!("manifests/{name}"));
        self.call(Method::PUT, &url, media_type, bytes).await.map(drop)
    }

    async fn begin(&self) -> Result<String, Failure> {
        let response = self.call(Method::POST, &self.url("blobs/uploads/"), "", Bytes::new()).await?;
        Ok(self.location(&response).await?)
    }

    /// Where an upload goes on: at the registry itself, as our credentials go along.
    async fn location(&self, response: &Response<Incoming>) -> Result<String, Error> {
        let bad = |why: &str| Error::invalid(format!("registry {}: upload: {why}", self.endpoint.host));
        let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
        let location = location.ok_or_else(|| bad("the answer has no Location"))?;
        let base: Uri = self.endpoint.base.parse().map_err(|_| bad("not a URL"))?;
        let authority = base.authority().map_or("", |authority| authority.as_str());
        let absolute = match location.strip_prefix('/') {
            Some(_) => format!("{}://{authority}{location}", base.scheme_str().unwrap_or("https")),
            None => location.to_owned(),
        };
        let uri: Uri = absolute.parse().map_err(|_| bad(location))?;
        if uri.authority().is_none_or(|other| other.as_str() != authority) {
            return Err(bad(&format!("leads to another host: {location}")));
        }
        self.allow(&uri).await?;
        Ok(absolute)
    }
}

/// The address that ends an upload.
fn finished(location: &str, digest: &Digest) -> String {
    let joint = if location.contains('?') { '&' } else { '?' };
    format!("{location}{joint}digest={digest}")
}

/// A descriptor of a packed layer, in the words of its image's family.
pub(crate) fn packed(docker: bool, (digest, size): (Digest, u64)) -> Descriptor {
    use dhow_oci::image::media;
    let media_type = if docker { media::DOCKER_LAYER } else { media::OCI_LAYER_GZIP };
    let annotations = Default::default();
    Descriptor { media_type: media_type.to_owned(), digest, size, platform: None, annotations }
}

/// Pieces from a thread, counted when they leave.
fn content(receiver: mpsc::Receiver<Bytes>, sent: &Arc<AtomicU64>) -> Content {
    let sent = Arc::clone(sent);
    let frames = stream::unfold((receiver, sent), |(mut receiver, sent)| async move {
        let piece = receiver.recv().await?;
        sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
        Some((Ok::<_, io::Error>(Frame::data(piece)), (receiver, sent)))
    });
    StreamBody::new(frames).boxed_unsync()
}

/// Waits for an upload as long as it moves.
async fn watched<T>(
    upload: impl Future<Output = Result<T, Failure>>,
    sent: &AtomicU64,
    tell: &(impl Fn(u64) + Send + Sync),
) -> Result<T, Failure> {
    /// Between two words to the user.
    const BEAT: Duration = Duration::from_millis(200);
    let mut upload = std::pin::pin!(upload);
    let (mut seen, mut still) = (0, Duration::ZERO);
    loop {
        match tokio::time::timeout(BEAT, upload.as_mut()).await {
            Ok(ended) => return ended,
            Err(_) => {
                let now = sent.load(Ordering::Relaxed);
                still = if now == seen { still + BEAT } else { Duration::ZERO };
                seen = now;
                tell(now);
            }
        }
        if still >= STALL {
            return Err(Error::unavailable("upload of a layer: i/o timeout").into());
        }
    }
}

/// Collects small writes.
struct Pieces {
    sender: mpsc::Sender<Bytes>,
    piece: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        self.sender.blocking_send(piece.into()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
