//! Between channels of bytes and blocking readers and writers.

use crate::Result;
use bytes::Bytes;
use std::io::{self, Read, Write};
use tokio::sync::mpsc;

/// A channel as a reader, for a thread that may block.
pub(crate) fn pipe_in(source: mpsc::Receiver<Result<Bytes>>) -> impl Read + Send {
    Reader { source, rest: Bytes::new() }
}

struct Reader {
    source: mpsc::Receiver<Result<Bytes>>,
    rest: Bytes,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.source.blocking_recv() {
                None => return Ok(0),
                Some(Ok(piece)) => self.rest = piece,
                Some(Err(failure)) => return Err(io::Error::other(failure)),
            }
        }
        let n = buffer.len().min(self.rest.len());
        buffer[..n].copy_from_slice(&self.rest.split_to(n));
        Ok(n)
    }
}

/// Runs a blocking writer elsewhere and returns what it writes. Its failure is the last item.
pub(crate) fn pipe_out(
    work: impl FnOnce(&mut dyn Write) -> Result<()> + Send + 'static,
) -> mpsc::Receiver<Result<Bytes>> {
    let (sender, receiver) = mpsc::channel(16);
    tokio::task::spawn_blocking(move || {
        let mut out = io::BufWriter::with_capacity(64 << 10, Writer { sender: sender.clone() });
        let done =
            work(&mut out).and_then(|()| out.flush().map_err(|e| crate::error::io("write", "a stream", e)));
        if let Err(failure) = done
            && sender.blocking_send(Err(failure)).is_err()
        {
            tracing::debug!("the reader of a stream went before its end");
        }
    });
    receiver
}

struct Writer {
    sender: mpsc::Sender<Result<Bytes>>,
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.sender.blocking_send(Ok(Bytes::copy_from_slice(bytes))) {
            Ok(()) => Ok(bytes.len()),
            Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_go_round() {
        let out = pipe_out(|out| {
            for _ in 0..100_000 {
                out.write_all(b"abc").map_err(|e| crate::error::io("write", "x", e))?;
            }
            Ok(())
        });
        let read = tokio::task::spawn_blocking(move || {
            let mut all = Vec::new();
            pipe_in(out).read_to_end(&mut all).map(|_| all)
        });
        assert_eq!(read.await.unwrap().unwrap().len(), 300_000);
    }
}
