//! An answer on its way out: bytes, and between them pieces of segment files, which go from the page cache to the network.

use crate::log::Slice;
use dhow_kafka::{Hole, Key, Message, header};
use rustix::net::SendFlags;
use std::{fs::File, io, os::unix::fs::FileExt as _, sync::Arc};
use tokio::{io::Interest, net::TcpStream};

/// Pieces up to this are copied: one call for all is cheaper then.
const COPIED: usize = 16 * 1024;

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    bytes: Vec<u8>,
    pieces: Vec<Piece>,
}

#[derive(Debug)]
struct Piece {
    /// How many of the bytes come before.
    at: usize,
    file: Arc<File>,
    position: u64,
    size: usize,
}

impl Reply {
    /// The answer to a request; `slices` belong into its holes, in order.
    pub(super) fn new<'a>(
        (key, version, correlation): (Key, i16, i32),
        message: &impl Message<'a>,
        slices: Vec<Slice>,
    ) -> Self {
        Self::of(header::open_response(key, version, correlation), version, message, slices)
    }

    fn of<'a>(front: Vec<u8>, version: i16, message: &impl Message<'a>, slices: Vec<Slice>) -> Self {
        let (mut bytes, holes) = message.encode_behind(front, version);
        header::close(&mut bytes, holes.iter().map(|hole| hole.size).sum());
        let filled = slices.into_iter().filter_map(|slice| Some((slice.file?, slice.position)));
        let pieces = holes.iter().zip(filled).map(|(&Hole { at, size }, (file, position))| Piece {
            at,
            file,
            position,
            size,
        });
        Self { bytes, pieces: pieces.collect() }
    }

    /// Sends all of it.
    pub(super) async fn send(mut self, stream: &TcpStream) -> io::Result<()> {
        if self.pieces.iter().map(|piece| piece.size).sum::<usize>() <= COPIED {
            self.copy()?;
        }
        let mut sent = 0;
        for piece in &self.pieces {
            send(stream, &self.bytes[sent..piece.at], SendFlags::MORE).await?;
            sent = piece.at;
            piece.send(stream).await?;
        }
        send(stream, &self.bytes[sent..], SendFlags::empty()).await
    }

    /// Reads the pieces into the bytes.
    fn copy(&mut self) -> io::Result<()> {
        for piece in self.pieces.drain(..).rev() {
            let mut records = vec![0; piece.size];
            piece.file.read_exact_at(&mut records, piece.position)?;
            self.bytes.splice(piece.at..piece.at, records);
        }
        Ok(())
    }
}

impl Piece {
    async fn send(&self, stream: &TcpStream) -> io::Result<()> {
        let mut position = self.position;
        let end = position + self.size as u64;
        while position < end {
            let left = usize::try_from(end - position).unwrap_or(usize::MAX);
            let sent =
                ready(stream, || Ok(rustix::fs::sendfile(stream, &*self.file, Some(&mut position), left)?))
                    .await?;
            if sent == 0 {
                return Err(io::Error::other("a segment file ends before its batches do"));
            }
        }
        Ok(())
    }
}

async fn send(stream: &TcpStream, mut bytes: &[u8], flags: SendFlags) -> io::Result<()> {
    while !bytes.is_empty() {
        let sent =
            ready(stream, || Ok(rustix::net::send(stream, bytes, flags | SendFlags::NOSIGNAL)?)).await?;
        bytes = bytes.get(sent..).unwrap_or_default();
    }
    Ok(())
}

/// Calls as often as it takes until the network takes something.
async fn ready(stream: &TcpStream, mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match stream.try_io(Interest::WRITABLE, &mut call) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            done => return done,
        }
    }
}
