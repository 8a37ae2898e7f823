//! A tar stream, entry by entry: headers, PAX and GNU extensions resolved as Go's archive/tar does. Whatever is not the
//! payload of a plain file goes byte for byte into the tar-index, so the stream can be written again exactly.

use super::index::IndexWriter;
use std::io::{self, BufRead};
use tar::{EntryType, Header, PaxExtensions};

/// No PAX header or long name is larger.
const MAX_EXTENSION: u64 = 1024 * 1024;
/// Bytes of a block.
const BLOCK: usize = 512;

/// One entry, extensions applied.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) kind: EntryType,
    pub(super) path: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    /// Seconds and nanoseconds.
    pub(super) mtime: (i64, u32),
    /// Bytes of payload in the stream.
    pub(super) size: u64,
    pub(super) device: (u32, u32),
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Of a sparse file: where its data belongs, and its full size.
    pub(super) sparse: Option<Sparse>,
}

/// The map of a sparse file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sparse {
    /// Offset and length of each piece of data, ascending.
    pub(super) pieces: Vec<(u64, u64)>,
    pub(super) size: u64,
}

/// A tar stream that is being read.
pub(super) struct Tarball<R> {
    source: R,
    index: IndexWriter,
    /// Payload and padding of the current entry that were not taken yet.
    left: u64,
    padding: u64,
}

/// What the headers before an entry said.
#[derive(Default)]
struct Extensions {
    pax: Vec<(Vec<u8>, Vec<u8>)>,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

fn bad(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.into())
}

impl<R: BufRead> Tarball<R> {
    pub(super) fn new(source: R, index: IndexWriter) -> Self {
        Self { source, index, left: 0, padding: 0 }
    }

    /// Number of the reference that the next payload will get.
    pub(super) fn next_reference(&self) -> u32 {
        self.index.references()
    }

    /// The next entry; `None` at the end, after everything behind it was read as well.
    pub(super) fn next(&mut self) -> io::Result<Option<Entry>> {
        self.keep_rest()?;
        let mut extensions = Extensions::default();
        let mut zeros = 0;
        loop {
            let Some(block) = self.block()? else { return Ok(None) };
            if block.iter().all(|&b| b == 0) {
                zeros += 1;
                if zeros == 2 {
                    self.keep_all()?;
                    return Ok(None);
                }
                continue;
            }
            zeros = 0;
            let header = Header::from_byte_slice(&block);
            check(header)?;
            let size = header.entry_size()?;
            match header.entry_type() {
                EntryType::XHeader => extensions.pax = pax(&self.extension(size)?)?,
                // Go's archive/tar, and so docker, applies none of it.
                EntryType::XGlobalHeader => drop(self.extension(size)?),
                EntryType::GNULongName => extensions.name = Some(until_nul(self.extension(size)?)),
                EntryType::GNULongLink => extensions.link = Some(until_nul(self.extension(size)?)),
                _ => return self.entry(header, extensions).map(Some),
            }
        }
    }

    fn entry(&mut self, header: &Header, extensions: Extensions) -> io::Result<Entry> {
        let mut entry = plain(header)?;
        entry.path = extensions.name.unwrap_or(entry.path);
        entry.link = extensions.link.unwrap_or(entry.link);
        let map = apply(&mut entry, &extensions.pax)?;
        if matches!(entry.kind, EntryType::Link | EntryType::Symlink | EntryType::Directory)
            || matches!(entry.kind, EntryType::Char | EntryType::Block | EntryType::Fifo)
        {
            entry.size = 0; // as Go: these have no payload, whatever the header says
        }
        if entry.kind == EntryType::GNUSparse {
            entry.sparse = Some(self.old_sparse(header)?);
        }
        self.left = entry.size;
        self.padding = (BLOCK as u64 - entry.size % BLOCK as u64) % BLOCK as u64;
        match map {
            Some(SparseMap::Given(sparse)) => entry.sparse = Some(sparse),
            Some(SparseMap::InPayload(size)) => entry.sparse = Some(self.payload_map(size)?),
            None => {}
        }
        entry.size = self.left;
        Ok(entry)
    }

    /// Hands the payload over in pieces. With `file`, it stays out of the index, which gets a reference instead.
    pub(super) fn payload(
        &mut self,
        file: Option<&[u8]>,
        mut sink: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        if let (Some(path), true) = (file, self.left > 0) {
            self.index.reference(path, self.left)?;
        }
        while self.left > 0 {
            let piece = self.source.fill_buf()?;
            if piece.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let take = piece.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
            sink(&piece[..take])?;
            if file.is_none() {
                self.index.literal(&piece[..take])?;
            }
            self.source.consume(take);
            self.left -= take as u64;
        }
        Ok(())
    }

    /// Ends the index and gives the source back.
    pub(super) fn finish(self) -> io::Result<R> {
        self.index.finish()?;
        Ok(self.source)
    }

    fn keep_rest(&mut self) -> io::Result<()> {
        self.payload(None, |_| Ok(()))?;
        let padding = std::mem::take(&mut self.padding);
        self.take(padding)?;
        Ok(())
    }

    fn keep_all(&mut self) -> io::Result<()> {
        loop {
            let piece = self.source.fill_buf()?;
            if piece.is_empty() {
                return Ok(());
            }
            self.index.literal(piece)?;
            let size = piece.len();
            self.source.consume(size);
        }
    }

    /// A block; `None` if the stream ends before it.
    fn block(&mut self) -> io::Result<Option<[u8; BLOCK]>> {
        if self.source.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let mut block = [0; BLOCK];
        self.source.read_exact(&mut block)?;
        self.index.literal(&block)?;
        Ok(Some(block))
    }

    fn take(&mut self, size: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(size).map_err(|_| bad("a tar header is too large"))?];
        self.source.read_exact(&mut bytes)?;
        self.index.literal(&bytes)?;
        Ok(bytes)
    }

    fn extension(&mut self, size: u64) -> io::Result<Vec<u8>> {
        if size > MAX_EXTENSION {
            return Err(bad("an extended tar header is larger than 1 MiB"));
        }
        let bytes = self.take(size)?;
        self.take((BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64)?;
        Ok(bytes)
    }

    /// The map of GNU tar's old format: in the header and in blocks behind it.
    fn old_sparse(&mut self, header: &Header) -> io::Result<Sparse> {
        let gnu = header.as_gnu().ok_or_else(|| bad("a sparse file in a header that is not GNU's"))?;
        let mut sparse = Sparse { pieces: Vec::new(), size: gnu.real_size()? };
        let mut add = |piece: &tar::GnuSparseHeader| -> io::Result<()> {
            if !piece.is_empty() {
                sparse.pieces.push((piece.offset()?, piece.length()?));
            }
            Ok(())
        };
        gnu.sparse.iter().try_for_each(&mut add)?;
        let mut more = gnu.is_extended();
        while more {
            let block = self.block()?.ok_or(io::ErrorKind::UnexpectedEof)?;
            let mut extension = tar::GnuExtSparseHeader::new();
            extension.as_mut_bytes().copy_from_slice(&block);
            extension.sparse.iter().try_for_each(&mut add)?;
            more = extension.is_extended();
        }
        Ok(sparse)
    }

    /// The map of PAX format 1.0: decimal lines before the data, padded to a block.
    fn payload_map(&mut self, size: u64) -> io::Result<Sparse> {
        let mut text = Vec::new();
        let mut numbers = Vec::new();
        let mut wanted = 1;
        while numbers.len() < wanted {
            if self.left < BLOCK as u64 || text.len() as u64 > MAX_EXTENSION {
                return Err(bad("the map of a sparse file is cut off"));
            }
            text.extend(self.take(BLOCK as u64)?);
            self.left -= BLOCK as u64;
            numbers.clear();
            let whole = text.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
            for line in text[..whole].split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
                if numbers.len() == wanted {
                    break;
                }
                let number = decimal(line).ok_or_else(|| bad("the map of a sparse file is not decimal"))?;
                if numbers.is_empty() {
                    let pairs = usize::try_from(number).ok().and_then(|n| n.checked_mul(2)?.checked_add(1));
                    wanted = pairs.ok_or_else(|| bad("the map of a sparse file is too long"))?;
                }
                numbers.push(number);
            }
        }
        let pieces = numbers[1..].chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        Ok(Sparse { pieces, size })
    }
}

enum SparseMap {
    Given(Sparse),
    InPayload(u64),
}

/// What the header alone says.
fn plain(header: &Header) -> io::Result<Entry> {
    let path = header.path_bytes().into_owned();
    let mut kind = header.entry_type();
    // Before POSIX a folder was a file whose name ends in a slash.
    if kind == EntryType::Regular && header.as_bytes()[156] == 0 && path.ends_with(b"/") {
        kind = EntryType::Directory;
    }
    let device = match kind {
        EntryType::Char | EntryType::Block => {
            (header.device_major()?.unwrap_or(0), header.device_minor()?.unwrap_or(0))
        }
        _ => (0, 0),
    };
    Ok(Entry {
        kind,
        path,
        link: header.link_name_bytes().map(std::borrow::Cow::into_owned).unwrap_or_default(),
        mode: number(&header.as_old().mode, header.mode())?,
        uid: number(&header.as_old().uid, header.uid())?,
        gid: number(&header.as_old().gid, header.gid())?,
        mtime: (number(&header.as_old().mtime, header.mtime())?.cast_signed(), 0),
        size: header.entry_size()?,
        device,
        xattrs: Vec::new(),
        sparse: None,
    })
}

/// A number of a header; nothing written is 0, as for Go's reader.
fn number<T: Default>(field: &[u8], read: io::Result<T>) -> io::Result<T> {
    let nothing = field.iter().all(|byte| matches!(byte, 0 | b' '));
    if nothing { Ok(T::default()) } else { read }
}

fn check(header: &Header) -> io::Result<()> {
    let bytes = header.as_bytes();
    let signed: i64 = bytes
        .iter()
        .enumerate()
        .map(|(at, &b)| i64::from(if in_sum(at) { b' ' } else { b }.cast_signed()))
        .sum();
    let unsigned: u32 =
        bytes.iter().enumerate().map(|(at, &b)| u32::from(if in_sum(at) { b' ' } else { b })).sum();
    let wrong = || bad("a tar header's checksum is wrong");
    let stated = header.cksum().map_err(|_| wrong())?;
    if stated == unsigned || i64::from(stated) == signed { Ok(()) } else { Err(wrong()) }
}

fn in_sum(at: usize) -> bool {
    (148..156).contains(&at)
}

fn pax(bytes: &[u8]) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let record = |record: io::Result<tar::PaxExtension<'_>>| {
        record
            .map(|r| (r.key_bytes().to_vec(), r.value_bytes().to_vec()))
            .map_err(|_| bad("a PAX header is malformed"))
    };
    PaxExtensions::new(bytes).map(record).collect()
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|&b| b == 0) {
        bytes.truncate(end);
    }
    bytes
}

fn decimal(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}

/// `123`, `-1.5`: seconds and nanoseconds, rounded down.
fn pax_time(text: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanoseconds: u32 = digits.parse().ok()?;
    if whole.starts_with('-') && nanoseconds > 0 {
        return Some((seconds.checked_sub(1)?, 1_000_000_000 - nanoseconds));
    }
    Some((seconds, nanoseconds))
}

/// Lays PAX records over an entry.
fn apply(entry: &mut Entry, records: &[(Vec<u8>, Vec<u8>)]) -> io::Result<Option<SparseMap>> {
    let wrong = |key: &[u8]| bad(format!("the PAX record {} is malformed", String::from_utf8_lossy(key)));
    let (mut major, mut real_size, mut map, mut pairs) = (None, None, None, Vec::new());
    let mut sparse_name = None;
    for (key, value) in records {
        let number = || decimal(value).ok_or_else(|| wrong(key));
        match key.as_slice() {
            _ if value.is_empty() && !key.starts_with(b"SCHILY.xattr.") => {} // an empty value takes a record away
            b"path" => entry.path.clone_from(value),
            b"linkpath" => entry.link.clone_from(value),
            b"size" => entry.size = number()?,
            b"uid" => entry.uid = number()?,
            b"gid" => entry.gid = number()?,
            b"mtime" => entry.mtime = pax_time(value).ok_or_else(|| wrong(key))?,
            b"GNU.sparse.major" => major = Some(number()?),
            b"GNU.sparse.name" => sparse_name = Some(value.clone()),
            b"GNU.sparse.realsize" | b"GNU.sparse.size" => real_size = Some(number()?),
            b"GNU.sparse.map" => map = Some(value.clone()),
            b"GNU.sparse.offset" => pairs.push((number()?, 0)),
            b"GNU.sparse.numbytes" => pairs.last_mut().ok_or_else(|| wrong(key))?.1 = number()?,
            other => {
                if let Some(name) = other.strip_prefix(b"SCHILY.xattr.") {
                    entry.xattrs.retain(|(known, _)| known != name);
                    entry.xattrs.push((name.to_vec(), value.clone()));
                }
            }
        }
    }
    let Some(size) = real_size else { return Ok(None) };
    if let Some(name) = sparse_name {
        entry.path = name;
    }
    if major == Some(1) {
        return Ok(Some(SparseMap::InPayload(size)));
    }
    if let Some(map) = map {
        let numbers: Option<Vec<u64>> = map.split(|&b| b == b',').map(decimal).collect();
        let numbers = numbers.filter(|n| n.len() % 2 == 0).ok_or_else(|| wrong(b"GNU.sparse.map"))?;
        pairs = numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    }
    Ok(Some(SparseMap::Given(Sparse { pieces: pairs, size })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_pax_times() {
        assert_eq!(pax_time(b"12"), Some((12, 0)));
        assert_eq!(pax_time(b"12.5"), Some((12, 500_000_000)));
        assert_eq!(pax_time(b"12.1234567891"), Some((12, 123_456_789)));
        assert_eq!(pax_time(b"-1.25"), Some((-2, 750_000_000)));
        for wrong in [&b""[..], b"x", b"1.x", b"1.-5"] {
            assert_eq!(pax_time(wrong), None);
        }
    }
}
