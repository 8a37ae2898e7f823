//! Requests as they come off a connection: a length of four bytes, then as many bytes.

use std::{io, ops::Range, time::Duration};
use tokio::net::TcpStream;

const LENGTH: usize = 4;
/// What is read at a time when nothing is known yet.
const FIRST: usize = 4 * 1024;
/// A connection that sends nothing keeps no more than this.
const KEPT: usize = 64 * 1024;
/// How long a larger buffer waits for the next large request.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why no further request comes.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    /// The client closed it, between two requests.
    #[error("closed")]
    Closed,
    /// What was read is no request.
    #[error("{0}")]
    Garbage(String),
    /// The network failed, or the client went in the middle of a request.
    #[error(transparent)]
    Broken(#[from] io::Error),
}

/// The bytes of a connection that were read and not yet used.
#[derive(Debug, Default)]
pub(super) struct Frames {
    buffer: Vec<u8>,
    /// Of what was read.
    unread: Range<usize>,
    /// No request is longer.
    most: usize,
}

impl Frames {
    pub(super) fn new(most: usize) -> Self {
        Self { buffer: Vec::new(), unread: 0..0, most }
    }

    /// Where in [`Self::bytes`] the next request lies, once it is whole. May be given up at any point and called again.
    pub(super) async fn next(&mut self, stream: &TcpStream) -> Result<Range<usize>, Ended> {
        loop {
            let known = &self.buffer[self.unread.clone()];
            let want = match known.first_chunk() {
                None => LENGTH,
                Some(length) => LENGTH + self.length(*length)?,
            };
            if known.len() >= want && want > LENGTH {
                let start = self.unread.start;
                self.unread.start += want;
                return Ok(start + LENGTH..start + want);
            }
            self.make_room(want);
            self.fill(stream).await?;
        }
    }

    /// Everything that was read; a request lies where [`Self::next`] said until it is called again.
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    fn length(&self, bytes: [u8; LENGTH]) -> Result<usize, Ended> {
        let length = i32::from_be_bytes(bytes);
        match usize::try_from(length) {
            Ok(length) if (1..=self.most).contains(&length) => Ok(length),
            _ => Err(Ended::Garbage(strange(bytes, length))),
        }
    }

    /// The bytes that were not used go to the front. A large request gets its memory as it comes, not when it is announced.
    fn make_room(&mut self, want: usize) {
        if self.unread.start > 0 {
            self.buffer.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
        }
        if self.unread.end == self.buffer.len() {
            let size = want.clamp(FIRST, (self.buffer.len() * 2).max(KEPT));
            self.buffer.resize(size, 0);
        }
    }

    async fn fill(&mut self, stream: &TcpStream) -> Result<(), Ended> {
        loop {
            match stream.try_read(&mut self.buffer[self.unread.end..]) {
                Ok(0) if self.unread.is_empty() => return Err(Ended::Closed),
                Ok(0) => return Err(Ended::Broken(io::ErrorKind::UnexpectedEof.into())),
                Ok(read) => {
                    self.unread.end += read;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
            if self.unread.is_empty() && self.buffer.len() > KEPT {
                if let Ok(ready) = tokio::time::timeout(PATIENCE, stream.readable()).await {
                    ready?;
                } else {
                    self.buffer = vec![0; FIRST];
                }
            } else {
                stream.readable().await?;
            }
        }
    }
}

/// What someone sent who does not speak Kafka.
fn strange(bytes: [u8; LENGTH], length: i32) -> String {
    match bytes {
        [0x16, 3, ..] => "it began with a TLS handshake, and this listener is plain".to_owned(),
        _ if bytes.iter().all(u8::is_ascii_uppercase) || &bytes == b"GET " || &bytes == b"PUT " => {
            "it began as an HTTP request does".to_owned()
        }
        _ => format!("a request of {length} bytes was announced"),
    }
}
