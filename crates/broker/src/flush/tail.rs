//! A file that only grows.

use rustix::fs::FallocateFlags;
use std::{fs::File, io, os::unix::fs::FileExt as _, sync::Arc};

/// Appends larger than this grow the file by themselves: they leave the block they began in anyway.
const SMALL: u64 = 16 * 1024;
const FIRST_STEP: u64 = 64 * 1024;
const LARGEST_STEP: u64 = 4 * 1024 * 1024;

/// The end of a file. Before small appends the file is made longer by a piece of zeros: a sync that need not note a new size is three
/// times as fast. A reader stops at the first zero; [`Tail::trim`] cuts them off.
#[derive(Debug)]
pub(crate) struct Tail {
    file: Arc<File>,
    end: u64,
    /// The size that the file has.
    allocated: u64,
}

impl Tail {
    /// Appends go to `end`; what the file has behind it is zeros.
    pub(crate) fn new(file: Arc<File>, end: u64) -> io::Result<Self> {
        let allocated = file.metadata()?.len().max(end);
        Ok(Self { file, end, allocated })
    }

    pub(crate) fn file(&self) -> &Arc<File> {
        &self.file
    }

    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Writes at the end, all or nothing. Returns where.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let length = bytes.len() as u64;
        if self.end + length > self.allocated && length <= SMALL {
            self.allocate(length);
        }
        if let Err(error) = self.file.write_all_at(bytes, self.end) {
            self.take_back()?;
            return Err(error);
        }
        let at = self.end;
        self.end += length;
        self.allocated = self.allocated.max(self.end);
        Ok(at)
    }

    fn allocate(&mut self, length: u64) {
        let step = self.end.next_multiple_of(FIRST_STEP).clamp(FIRST_STEP, LARGEST_STEP).max(length);
        // Only speed depends on it: on a disk or file system that refuses, the write grows the file or fails itself.
        if rustix::fs::fallocate(&*self.file, FallocateFlags::empty(), self.end, step).is_ok() {
            self.allocated = self.end + step;
        }
    }

    /// A write that came half way is undone: behind the end there are zeros or nothing.
    fn take_back(&mut self) -> io::Result<()> {
        self.file.set_len(self.end)?;
        self.allocated = self.end;
        Ok(())
    }

    /// Ends the file where its data ends.
    pub(crate) fn trim(&mut self) -> io::Result<()> {
        if self.allocated > self.end { self.take_back() } else { Ok(()) }
    }
}
