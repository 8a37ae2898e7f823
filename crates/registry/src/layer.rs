//! One layer: downloaded in pieces, resumed where a connection breaks, unpacked while it comes.

use crate::{
    Error, Kind, Progress,
    http::STALL,
    session::{Failure, Session},
};
use bytes::Bytes;
use dhow_oci::{Digest, Reference, image::Descriptor};
use dhow_store::{Kind as StoreKind, Store};
use http::{HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use std::{
    io::{self, Read},
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// Broken connections without one byte in between that end a download.
const PATIENCE: u32 = 5;
/// Pieces (of some 16 KiB) that wait for the disk.
const WAITING: usize = 64;

/// Downloads and unpacks.
pub(crate) async fn pull(
    session: &Session,
    store: &Store,
    image: &Reference,
    blob: &Descriptor,
    diff_id: &Digest,
    progress: &(impl Fn(Progress) + Send + Sync),
) -> Result<(), Error> {
    let (sender, receiver) = mpsc::channel(WAITING);
    let (store, expect_blob, expect_diff) = (store.clone(), blob.digest.clone(), diff_id.clone());
    let source = Pieces { receiver, current: Bytes::new(), left: blob.size };
    let unpacking =
        tokio::task::spawn_blocking(move || store.put_layer(source, Some(&expect_blob), Some(&expect_diff)));
    let (downloaded, unpacked) = tokio::join!(download(session, image, blob, sender, progress), unpacking);
    // A failed download makes the unpacking fail too: its own word is the cause.
    downloaded?;
    let unpacked = unpacked.map_err(|error| Error::internal(format!("unpack {}: {error}", blob.digest)))?;
    match unpacked {
        Ok(_) => Ok(()),
        Err(error) => {
            let kind = if error.kind == StoreKind::Invalid { Kind::Invalid } else { Kind::Internal };
            let name = image.familiar();
            let source = error.source.as_ref().map(|source| format!(": {source}")).unwrap_or_default();
            let message =
                format!("layer {} of {name}: {} {}{source}", blob.digest, error.operation, error.object);
            Err(Error { kind, message, source: error.source })
        }
    }
}

async fn download(
    session: &Session,
    image: &Reference,
    blob: &Descriptor,
    sender: mpsc::Sender<Bytes>,
    progress: &(impl Fn(Progress) + Send + Sync),
) -> Result<(), Error> {
    let id = blob.digest.short().to_owned();
    let tell = |status: &str, bytes| progress(Progress { id: id.clone(), status: status.to_owned(), bytes });
    let mut state = State { offset: 0, failures: 0, told: Instant::now() };
    tell("Downloading", Some((0, blob.size)));
    loop {
        match attempt(session, image, blob, &sender, &mut state, &tell).await {
            Ok(Attempt::Complete) => {
                tell("Download complete", None);
                tell("Extracting", Some((blob.size, blob.size)));
                return Ok(());
            }
            Ok(Attempt::NotWanted) => return Ok(()),
            Ok(Attempt::Broken(_)) if state.failures < PATIENCE => {}
            Ok(Attempt::Broken(error)) | Err(error) => return Err(error),
        }
        // A server in trouble is given time; this is no waiting for an event.
        tokio::time::sleep(Duration::from_millis(100) * 2_u32.pow(state.failures)).await;
        state.failures += 1;
    }
}

struct State {
    /// Bytes passed on.
    offset: u64,
    /// Attempts in a row that brought nothing.
    failures: u32,
    told: Instant,
}

enum Attempt {
    Complete,
    /// Whoever unpacks has given up, and knows why.
    NotWanted,
    /// May go better next time.
    Broken(Error),
}

async fn attempt(
    session: &Session,
    image: &Reference,
    blob: &Descriptor,
    sender: &mpsc::Sender<Bytes>,
    state: &mut State,
    tell: &(impl Fn(&str, Option<(u64, u64)>) + Send + Sync),
) -> Result<Attempt, Error> {
    let mut headers = Vec::new();
    if state.offset > 0 {
        let range = HeaderValue::from_str(&format!("bytes={}-", state.offset));
        headers.push((header::RANGE, range.map_err(|e| Error::internal(format!("range header: {e}")))?));
    }
    let what = format!("layer {} of {}", blob.digest, image.familiar());
    let response = match session.get(&format!("blobs/{}", blob.digest), &headers).await {
        Ok(response) => response,
        Err(Failure::Refused(status, complaint)) if status == StatusCode::NOT_FOUND => {
            return Err(Error::new(Kind::NotFound, format!("{what}: {}", complaint.text())));
        }
        Err(failure) => {
            let error = session.explain(failure, image);
            return if error.kind == Kind::Unavailable { Ok(Attempt::Broken(error)) } else { Err(error) };
        }
    };
    let mut skip = first_wanted(&response, state.offset)
        .ok_or_else(|| Error::invalid(format!("{what}: a wrong range came")))?;
    let mut content = response.into_body();
    loop {
        let frame = match tokio::time::timeout(STALL, content.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(None) => break,
            Ok(Some(Err(error))) => {
                return Ok(Attempt::Broken(Error::unavailable(format!("read {what}: {error}"))));
            }
            Err(_) => return Ok(Attempt::Broken(Error::unavailable(format!("read {what}: i/o timeout")))),
        };
        let Ok(mut data) = frame.into_data() else { continue };
        let known = skip.min(data.len() as u64);
        skip -= known;
        let data = data.split_off(usize::try_from(known).unwrap_or(data.len()));
        if data.is_empty() {
            continue;
        }
        state.failures = 0;
        state.offset += data.len() as u64;
        if state.offset > blob.size {
            return Err(Error::invalid(format!(
                "{what}: longer than the {} bytes that its manifest says",
                blob.size
            )));
        }
        if sender.send(data).await.is_err() {
            return Ok(Attempt::NotWanted);
        }
        if state.told.elapsed() > Duration::from_millis(100) {
            state.told = Instant::now();
            tell("Downloading", Some((state.offset, blob.size)));
        }
    }
    if state.offset == blob.size {
        return Ok(Attempt::Complete);
    }
    let error = format!("read {what}: unexpected EOF after {} of {} bytes", state.offset, blob.size);
    Ok(Attempt::Broken(Error::unavailable(error)))
}

/// How many bytes of an answer were had before; `None` if it does not fit `offset` at all.
fn first_wanted<B>(response: &http::Response<B>, offset: u64) -> Option<u64> {
    if response.status() != StatusCode::PARTIAL_CONTENT {
        return Some(offset);
    }
    let range = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (first, _) = range.strip_prefix("bytes ")?.split_once('-')?;
    offset.checked_sub(first.trim().parse().ok()?)
}

/// What comes through the channel, as a blocking reader that knows how long it must be.
struct Pieces {
    receiver: mpsc::Receiver<Bytes>,
    current: Bytes,
    left: u64,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.current.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.current = piece,
                None if self.left == 0 => return Ok(0),
                None => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the download broke off")),
            }
        }
        let piece = self.current.split_to(buffer.len().min(self.current.len()));
        self.left = self.left.saturating_sub(piece.len() as u64);
        let (head, _) = buffer.split_at_mut(piece.len());
        head.copy_from_slice(&piece);
        Ok(piece.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_checked() {
        let response = |status: u16, range: &str| {
            http::Response::builder().status(status).header(header::CONTENT_RANGE, range).body(()).unwrap()
        };
        assert_eq!(first_wanted(&response(200, ""), 7), Some(7));
        assert_eq!(first_wanted(&response(206, "bytes 7-99/100"), 7), Some(0));
        assert_eq!(first_wanted(&response(206, "bytes 5-99/100"), 7), Some(2));
        assert_eq!(first_wanted(&response(206, "bytes 8-99/100"), 7), None);
        assert_eq!(first_wanted(&response(206, "rubbish"), 7), None);
    }

    #[test]
    fn a_download_that_breaks_off_is_no_end() {
        for (left, ok) in [(3, true), (4, false)] {
            let (sender, receiver) = mpsc::channel(4);
            sender.blocking_send(Bytes::from_static(b"ab")).unwrap();
            sender.blocking_send(Bytes::from_static(b"c")).unwrap();
            drop(sender);
            let mut all = Vec::new();
            let result = Pieces { receiver, current: Bytes::new(), left }.read_to_end(&mut all);
            assert_eq!((result.is_ok(), &all[..]), (ok, &b"abc"[..]));
        }
    }
}
