//! Bodies of answers: whole, or a stream that is flushed piece by piece.

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::sync::mpsc;

type Pieces = Pin<Box<dyn Stream<Item = dhow_engine::Result<Bytes>> + Send>>;

/// A body.
pub(crate) enum Body {
    /// Nothing, or everything at once.
    Full(Option<Bytes>),
    /// One piece after the other; an error cuts the connection, so that a client never takes half for whole.
    Stream(Pieces),
}

impl Body {
    pub(crate) fn empty() -> Self {
        Self::Full(None)
    }

    pub(crate) fn full(bytes: impl Into<Bytes>) -> Self {
        Self::Full(Some(bytes.into()).filter(|bytes| !bytes.is_empty()))
    }

    pub(crate) fn stream(pieces: impl Stream<Item = dhow_engine::Result<Bytes>> + Send + 'static) -> Self {
        Self::Stream(Box::pin(pieces))
    }

    /// All of a stream of messages that is known at once. Sent in chunks: docker-py takes an answer with a length for one document.
    pub(crate) fn messages(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::stream(futures_util::stream::once(async { Ok(bytes) }))
    }

    /// What arrives in a channel, until it closes.
    pub(crate) fn channel(mut pieces: mpsc::Receiver<dhow_engine::Result<Bytes>>) -> Self {
        Self::stream(futures_util::stream::poll_fn(move |context| pieces.poll_recv(context)))
    }

    /// What arrives in a channel that cannot fail.
    pub(crate) fn pieces(mut pieces: mpsc::Receiver<Bytes>) -> Self {
        Self::stream(futures_util::stream::poll_fn(move |context| pieces.poll_recv(context)).map(Ok))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = dhow_engine::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(pieces) => {
                let piece = ready!(pieces.poll_next_unpin(context));
                Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Full(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}
