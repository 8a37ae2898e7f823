//! The tar-index: what rebuilds a layer's exact tar from its folder.
//!
//! A zstd stream of `dhow-tar-index 1\n` and then, until it ends: `0`, length u32, bytes (headers, padding, payloads that
//! are no plain file's); or `1`, size u64, path length u32, path: the content of that file in `diff/`, unless
//! `extra/<n>` exists, n being the reference's number from 0: then the content is there (a later entry of the same tar
//! took the path). Numbers are little-endian.

use rustix::{
    fd::AsFd,
    fs::{Mode, OFlags},
};
use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read, Write},
};

const MAGIC: &[u8; 17] = b"dhow-tar-index 1\n";
/// Literals are gathered up to this size.
const GATHER: usize = 64 * 1024;

/// Writes an index.
pub(super) struct IndexWriter {
    out: zstd::Encoder<'static, BufWriter<File>>,
    gathered: Vec<u8>,
    references: u32,
}

impl IndexWriter {
    /// Starts `tar-index` in the layer's folder.
    pub(super) fn create(home: impl AsFd) -> io::Result<Self> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::openat(home, "tar-index", flags, Mode::RUSR | Mode::WUSR)?;
        let mut out = zstd::Encoder::new(BufWriter::with_capacity(GATHER, File::from(file)), 1)?;
        out.write_all(MAGIC)?;
        Ok(Self { out, gathered: Vec::with_capacity(GATHER), references: 0 })
    }

    pub(super) fn references(&self) -> u32 {
        self.references
    }

    pub(super) fn literal(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = GATHER - self.gathered.len();
            let (now, later) = bytes.split_at(bytes.len().min(room));
            self.gathered.extend_from_slice(now);
            bytes = later;
            if self.gathered.len() == GATHER {
                self.flush()?;
            }
        }
        Ok(())
    }

    pub(super) fn reference(&mut self, path: &[u8], size: u64) -> io::Result<()> {
        self.flush()?;
        let length = u32::try_from(path.len()).map_err(io::Error::other)?;
        self.out.write_all(&[1])?;
        self.out.write_all(&size.to_le_bytes())?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(path)?;
        self.references = self.references.checked_add(1).ok_or_else(|| io::Error::other("too many files"))?;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.gathered.is_empty() {
            let length = u32::try_from(self.gathered.len()).map_err(io::Error::other)?;
            self.out.write_all(&[0])?;
            self.out.write_all(&length.to_le_bytes())?;
            self.out.write_all(&self.gathered)?;
            self.gathered.clear();
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.out.finish()?.flush()
    }
}

/// Writes the exact tar of the layer in `home` to `out`.
pub(super) fn replay(home: impl AsFd, out: &mut dyn Write) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let index = rustix::fs::openat(&home, "tar-index", flags, Mode::empty())?;
    let mut index = BufReader::with_capacity(GATHER, zstd::Decoder::new(File::from(index))?);
    let mut magic = [0; MAGIC.len()];
    index.read_exact(&mut magic)?;
    if magic != *MAGIC {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the tar-index is of another format"));
    }
    let diff = crate::tree::open_in(&home, "diff")?;
    let extra = match crate::tree::open_in(&home, "extra") {
        Ok(dir) => Some(dir),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(e),
    };
    let mut buffer = vec![0; GATHER];
    let mut reference = 0_u32;
    let mut tag = [0];
    while index.read(&mut tag)? == 1 {
        match tag[0] {
            0 => {
                let mut left = u64::from(number(&mut index)?);
                copy_exactly(&mut index, out, &mut left, &mut buffer)?;
            }
            1 => {
                let mut size = [0; 8];
                index.read_exact(&mut size)?;
                let mut path = vec![0; number(&mut index)? as usize];
                index.read_exact(&mut path)?;
                let moved = extra.as_ref().map(|dir| crate::tree::beneath(dir, reference.to_string(), flags));
                let file = match moved {
                    Some(Ok(file)) => Ok(file),
                    Some(Err(rustix::io::Errno::NOENT)) | None => {
                        crate::tree::beneath(&diff, path.as_slice(), flags)
                    }
                    Some(Err(e)) => Err(e),
                };
                let name = || String::from_utf8_lossy(&path).into_owned();
                let mut file = File::from(file.map_err(|e| io::Error::other(format!("{}: {e}", name())))?);
                let mut left = u64::from_le_bytes(size);
                copy_exactly(&mut file, out, &mut left, &mut buffer)
                    .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", name())))?;
                reference += 1;
            }
            other => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("unknown tag {other} in the tar-index"),
                ));
            }
        }
    }
    Ok(())
}

fn number(index: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    index.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn copy_exactly(
    from: &mut impl Read,
    to: &mut dyn Write,
    left: &mut u64,
    buffer: &mut [u8],
) -> io::Result<()> {
    while *left > 0 {
        let want = buffer.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
        let got = from.read(&mut buffer[..want])?;
        if got == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        to.write_all(&buffer[..got])?;
        *left -= got as u64;
    }
    Ok(())
}
