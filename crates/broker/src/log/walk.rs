//! Walking over the batches of a segment file.

use dhow_kafka::batch::{Batch, HEADER, Header};
use std::{fs::File, os::unix::fs::FileExt as _, sync::Arc};

/// Read at once when the batches are small.
const CHUNK: usize = 64 * 1024;

/// Bytes that are no batch, or not the one that was written.
#[derive(Debug)]
pub(super) struct Damage {
    pub(super) position: u64,
    pub(super) why: String,
}

/// From `position` to `end`.
pub(super) struct Walk {
    file: Arc<File>,
    position: u64,
    end: u64,
    buffer: Vec<u8>,
    /// Where in the file the buffer begins.
    from: u64,
}

impl Walk {
    pub(super) fn new(file: Arc<File>, position: u64, end: u64) -> Self {
        Self { file, position, end, buffer: Vec::new(), from: position }
    }

    /// Of the batch that comes next.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The header of the next batch; `None` at the end.
    pub(super) fn header(&mut self) -> Result<Option<Header>, Damage> {
        if self.position >= self.end {
            return Ok(None);
        }
        let position = self.position;
        let header = Header::read(self.bytes(HEADER)?);
        header.map(Some).map_err(|why| Damage { position, why: why.to_string() })
    }

    /// Goes past the batch of `header`.
    pub(super) fn pass(&mut self, header: &Header) {
        self.position += header.size() as u64;
    }

    /// The next batch, with its check sum verified; goes past it. `None` at the end.
    pub(super) fn batch(&mut self) -> Result<Option<(u64, Batch<'_>)>, Damage> {
        let Some(header) = self.header()? else { return Ok(None) };
        let position = self.position;
        let damage = |why: dhow_kafka::batch::Error| Damage { position, why: why.to_string() };
        if header.size() as u64 > self.end - position {
            return Err(Damage { position, why: "it is longer than the file".to_owned() });
        }
        self.bytes(header.size())?;
        self.pass(&header);
        let at = usize::try_from(position - self.from).unwrap_or_default();
        let (batch, _) = Batch::split(&self.buffer[at..]).map_err(damage)?;
        batch.check_sum().map_err(damage)?;
        Ok(Some((position, batch)))
    }

    /// What stands at the position: `wanted` bytes, fewer at the end.
    fn bytes(&mut self, wanted: usize) -> Result<&[u8], Damage> {
        let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let wanted = wanted.min(left);
        let at = usize::try_from(self.position - self.from).unwrap_or(usize::MAX);
        if at.checked_add(wanted).is_none_or(|end| end > self.buffer.len()) {
            self.buffer.resize(wanted.max(CHUNK.min(left)), 0);
            self.from = self.position;
            let read = self.file.read_exact_at(&mut self.buffer, self.position);
            read.map_err(|error| Damage { position: self.position, why: error.to_string() })?;
        }
        let at = usize::try_from(self.position - self.from).unwrap_or_default();
        Ok(&self.buffer[at..at + wanted])
    }
}

impl Walk {
    /// Shows the bytes of `from..to` piece by piece, as far as they can be read.
    pub(super) fn chunks(&self, from: u64, to: u64, mut look: impl FnMut(u64, &[u8])) {
        let mut buffer = vec![0; CHUNK];
        let mut at = from;
        while at < to {
            match self.file.read_at(&mut buffer, at) {
                Ok(read) if read > 0 => {
                    look(at, &buffer[..read]);
                    at += read as u64;
                }
                _ => return,
            }
        }
    }
}
