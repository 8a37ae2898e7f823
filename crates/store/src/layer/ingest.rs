//! A layer's stream into a folder under `tmp/`: this thread reads, decodes and hashes, another one writes.

use super::{index::IndexWriter, tarball::Tarball, unpack::Unpack};
use crate::{Error, Limits, Result, error::At, reaper::Scratch, tree};
use dhow_oci::Digest;
use flate2::bufread::MultiGzDecoder;
use ring::digest::{Context, SHA256};
use std::{
    io::{self, BufRead, BufReader, Read},
    sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
};

/// Bytes handed over at once, and how many such pieces are under way.
const PIECE: usize = 256 * 1024;
const PIECES: usize = 8;

/// A layer that is unpacked but not yet in `layers/`. Dropped, it is removed.
#[derive(Debug)]
pub(crate) struct Unpacked {
    pub(crate) scratch: Scratch,
    pub(crate) diff_id: Digest,
    pub(crate) tar_size: u64,
    pub(crate) size: u64,
    pub(crate) blob: (Digest, u64),
}

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    Plain,
    Gzip,
    Zstd,
}

/// By its first bytes.
pub(crate) fn compression(start: &[u8]) -> Compression {
    match start {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
        // A skippable frame may come first (zstd:chunked, pzstd).
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
        _ => Compression::Plain,
    }
}

/// What `finish` of a hash is as a digest.
pub(crate) fn digest(context: Context) -> Digest {
    let sum = context.finish();
    let mut bytes = [0; 32];
    bytes.copy_from_slice(sum.as_ref());
    Digest::sha256(&bytes)
}

/// The digest of some bytes.
pub(crate) fn digest_of(bytes: &[u8]) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(bytes);
    digest(context)
}

/// Counts and hashes what is read through it.
pub(crate) struct Hashed<R> {
    inner: R,
    context: Option<Context>,
    pub(crate) count: u64,
}

impl<R: Read> Hashed<R> {
    pub(crate) fn new(inner: R, hash: bool) -> Self {
        Self { inner, context: hash.then(|| Context::new(&SHA256)), count: 0 }
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.inner.read(buffer)?;
        if let Some(context) = &mut self.context {
            context.update(&buffer[..size]);
        }
        self.count += size as u64;
        Ok(size)
    }
}

/// Decodes, hashes, unpacks. `scratch` is an empty folder under `tmp/`.
pub(crate) fn ingest(source: impl Read, scratch: Scratch, limits: Limits) -> Result<Unpacked> {
    let home = tree::open(scratch.path()).at("open", scratch.path().display().to_string())?;
    let diff = scratch.path().join("diff");
    std::fs::create_dir(&diff).at("make", diff.display().to_string())?;
    rustix::fs::chmod(&diff, tree::mode(0o755)).at("chmod", diff.display().to_string())?;
    let index = IndexWriter::create(&home).at("make tar-index in", scratch.path().display().to_string())?;

    let mut source = BufReader::with_capacity(64 * 1024, Hashed::new(source, true));
    let kind = compression(source.fill_buf().map_err(broken)?);
    let (full, pieces) = sync_channel::<io::Result<Vec<u8>>>(PIECES);
    let (give_back, empties) = channel::<Vec<u8>>();
    std::thread::scope(|scope| {
        let writer = std::thread::Builder::new()
            .name("unpack".to_owned())
            .spawn_scoped(scope, move || {
                write(pieces, give_back, index, home, limits, kind != Compression::Plain)
            })
            .at("start", "unpack thread")?;
        let read = produce(source, kind, &full, &empties, limits);
        drop(full);
        let written = writer
            .join()
            .map_err(|_| Error::new(crate::Kind::Internal, "unpack", "layer", "the writer panicked"))?;
        // What the writer found wrong names the entry; it also sees what the reader found.
        let (plain, tar_size, size) = written?;
        let (blob, blob_size) = read.map_err(broken)?;
        let diff_id = plain.unwrap_or_else(|| blob.clone());
        Ok(Unpacked { scratch, diff_id, tar_size, size, blob: (blob, blob_size) })
    })
}

fn broken(cause: io::Error) -> Error {
    let kind = match cause.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
            crate::Kind::Invalid
        }
        _ => crate::Kind::Internal,
    };
    let error = Error::io("read", "layer", cause);
    if error.operation == "read" { Error { kind, ..error } } else { error }
}

/// Reads to the end; returns digest and size of the stream as it came.
fn produce<R: Read>(
    mut source: BufReader<Hashed<R>>,
    kind: Compression,
    full: &SyncSender<io::Result<Vec<u8>>>,
    empties: &Receiver<Vec<u8>>,
    limits: Limits,
) -> io::Result<(Digest, u64)> {
    let outcome = match kind {
        Compression::Plain => pump(&mut source, full, empties, limits, |_| u64::MAX),
        Compression::Gzip => {
            let mut decoder = MultiGzDecoder::new(source);
            let outcome = pump(&mut decoder, full, empties, limits, |d| d.get_ref().get_ref().count);
            source = decoder.into_inner();
            outcome
        }
        Compression::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(source)?;
            decoder.window_log_max(27)?;
            let outcome = pump(&mut decoder, full, empties, limits, |d| d.get_ref().get_ref().count);
            source = decoder.finish();
            outcome
        }
    };
    if let Err(e) = outcome {
        let copy = io::Error::new(e.kind(), e.to_string());
        // If the writer has gone, its own error is the better one.
        full.send(Err(e)).unwrap_or_default();
        return Err(copy);
    }
    let Hashed { context, count, .. } = source.into_inner();
    let context = context.ok_or_else(|| io::Error::other("the stream was not hashed"))?;
    Ok((digest(context), count))
}

/// Fills pieces until the end. `taken` says how much compressed input was used so far.
fn pump<D: Read>(
    decoder: &mut D,
    full: &SyncSender<io::Result<Vec<u8>>>,
    empties: &Receiver<Vec<u8>>,
    limits: Limits,
    taken: impl Fn(&D) -> u64,
) -> io::Result<()> {
    let mut total = 0_u64;
    loop {
        let mut piece = empties.try_recv().unwrap_or_default();
        piece.resize(PIECE, 0);
        let mut filled = 0;
        while filled < PIECE {
            match decoder.read(&mut piece[filled..]) {
                Ok(0) => break,
                Ok(size) => filled += size,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        total += filled as u64;
        let allowed = taken(decoder).saturating_mul(limits.ratio).max(limits.ratio_from).min(limits.bytes);
        if total > allowed {
            let why = format!("the layer unpacks to more than {allowed} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        piece.truncate(filled);
        if filled > 0 && full.send(Ok(piece)).is_err() {
            return Ok(()); // the writer stopped and says why
        }
        if filled < PIECE {
            return Ok(());
        }
    }
}

/// The writer: digest of the plain tar (if the reader does not have it), its size, bytes of files.
fn write(
    pieces: Receiver<io::Result<Vec<u8>>>,
    give_back: Sender<Vec<u8>>,
    index: IndexWriter,
    home: rustix::fd::OwnedFd,
    limits: Limits,
    hash: bool,
) -> Result<(Option<Digest>, u64, u64)> {
    let pieces = Pieces {
        pieces,
        give_back,
        current: Vec::new(),
        at: 0,
        total: 0,
        context: hash.then(|| Context::new(&SHA256)),
    };
    let mut tar = Tarball::new(pieces, index);
    let mut unpack = Unpack::new(home, limits)?;
    unpack.all(&mut tar)?;
    let pieces = tar.finish().at("write", "tar-index")?;
    Ok((pieces.context.map(digest), pieces.total, unpack.size))
}

/// The channel's receiving end as a stream.
struct Pieces {
    pieces: Receiver<io::Result<Vec<u8>>>,
    give_back: Sender<Vec<u8>>,
    current: Vec<u8>,
    at: usize,
    total: u64,
    context: Option<Context>,
}

impl BufRead for Pieces {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.current.len() {
            match self.pieces.recv() {
                Ok(piece) => {
                    let old = std::mem::replace(&mut self.current, piece?);
                    self.at = 0;
                    self.total += self.current.len() as u64;
                    if let Some(context) = &mut self.context {
                        context.update(&self.current);
                    }
                    if old.capacity() == 0 || self.give_back.send(old).is_err() {
                        // Nothing to reuse, or the reader is done.
                    }
                }
                Err(_) => return Ok(&[]),
            }
        }
        Ok(&self.current[self.at..])
    }

    fn consume(&mut self, amount: usize) {
        self.at += amount;
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let piece = self.fill_buf()?;
        let size = piece.len().min(buffer.len());
        buffer[..size].copy_from_slice(&piece[..size]);
        self.consume(size);
        Ok(size)
    }
}
