//! One request on its way to a handler.

use crate::{failure::Failure, server::App};
use bytes::Bytes;
use dhow_engine::{Error, Kind, filters::Filters};
use dhow_wire::{filters, query::Query, version::ApiVersion};
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::mpsc;

/// JSON bodies are smaller than this; streams (contexts, archives, images) have no limit here but in the room that unpacks them.
const JSON_LIMIT: usize = 8 << 20;

/// A request, its path taken apart.
pub(crate) struct Call {
    pub(crate) app: Arc<App>,
    pub(crate) version: ApiVersion,
    /// What the pattern's `{name}`s matched, in order.
    pub(crate) params: Vec<String>,
    pub(crate) query: Query,
    pub(crate) request: hyper::Request<Incoming>,
}

impl Call {
    /// What the first `{name}` of the pattern matched.
    pub(crate) fn name(&self) -> &str {
        self.params.first().map_or("", String::as_str)
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.request.headers()
    }

    /// A header as text; empty if absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// `filters=`.
    pub(crate) fn filters(&self) -> Result<Filters, Failure> {
        Ok(Filters(filters::parse(self.query.text("filters"))?))
    }

    /// The whole body as JSON; an empty one is `null`.
    pub(crate) async fn json(&mut self) -> Result<Value, Failure> {
        // docker 20.10's command line sends nothing at all as text/plain.
        if !hyper::body::Body::is_end_stream(self.request.body()) {
            check_type(self.header("content-type"))?;
        }
        let bytes = match Limited::new(self.request.body_mut(), JSON_LIMIT).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                let text = format!("request body too large: more than {JSON_LIMIT} bytes of JSON");
                return Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, text));
            }
            Err(error) => return Err(Failure::bad(format!("reading the request body: {error}"))),
        };
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|error| Failure::bad(format!("invalid JSON: {error}")))
    }

    /// The body as it comes.
    pub(crate) fn upload(self) -> mpsc::Receiver<dhow_engine::Result<Bytes>> {
        upload(self.request.into_body())
    }
}

/// Refuses what says that it is no JSON, before it is read. Who says nothing is believed, other than by docker.
fn check_type(kind: &str) -> Result<(), Failure> {
    let media = kind.split(';').next().unwrap_or_default().trim();
    if media.is_empty() || media.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Failure::bad(format!("unsupported Content-Type header ({media}): must be 'application/json'")))
}

/// A body as it comes. When the client breaks off, the last piece is an error. What comes after the reader has seen enough is read and
/// thrown away: many clients look for an answer only when they have sent everything, and a closed connection would lose them the reason.
pub(crate) fn upload(mut body: Incoming) -> mpsc::Receiver<dhow_engine::Result<Bytes>> {
    let (sender, receiver) = mpsc::channel(8);
    tokio::spawn(async move {
        while let Some(frame) = body.frame().await {
            let piece = match frame.map(hyper::body::Frame::into_data) {
                // Trailers.
                Ok(Err(_)) => continue,
                Ok(Ok(bytes)) => Ok(bytes),
                Err(error) => Err(Error::new(Kind::Invalid, format!("reading the request body: {error}"))),
            };
            let last = piece.is_err();
            if sender.send(piece).await.is_err() {
                tracing::trace!("a piece of an upload that nobody reads any more");
            }
            if last {
                break;
            }
        }
    });
    receiver
}
