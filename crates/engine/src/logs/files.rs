//! The files of one log as one sequence of lines: oldest first, from the n-th line before the end, across rotation.

use std::{
    fs::File,
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

/// Bytes read at once.
const BLOCK: usize = 64 * 1024;
/// A line that is longer is no record (docker's are at most 16 KiB of text, six-fold when escaped, and attributes).
const LONGEST: usize = 1024 * 1024;

/// A place in a log. `read` goes on from there to the present end.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    /// The live file, once it was seen.
    live: Option<Position>,
    /// Lines from the end, until the first reading.
    tail: Option<u64>,
}

#[derive(Debug)]
struct Position {
    file: File,
    inode: u64,
    offset: u64,
    /// Beginning of a line whose end was not there yet.
    start: Vec<u8>,
    /// The line is too long to be a record.
    skipping: bool,
}

impl Position {
    fn new(file: File, inode: u64) -> Self {
        Self { file, inode, offset: 0, start: Vec::new(), skipping: false }
    }

    /// Calls `each` with every whole line up to the end of the file; `false` when it said so.
    fn read(&mut self, each: &mut impl FnMut(&[u8]) -> bool) -> io::Result<bool> {
        if self.file.metadata()?.len() < self.offset {
            // Truncated: the writer keeps one file only and starts it again.
            (self.offset, self.skipping) = (0, false);
            self.start.clear();
        }
        let mut block = vec![0; BLOCK];
        loop {
            let count = self.file.read_at(&mut block, self.offset)?;
            if count == 0 {
                return Ok(true);
            }
            self.offset += count as u64;
            if !self.lines(block.get(..count).unwrap_or_default(), each) {
                return Ok(false);
            }
        }
    }

    fn lines(&mut self, block: &[u8], each: &mut impl FnMut(&[u8]) -> bool) -> bool {
        for piece in block.split_inclusive(|&b| b == b'\n') {
            let Some((_, line)) = piece.split_last().filter(|(last, _)| **last == b'\n') else {
                self.skipping |= self.start.len() + piece.len() > LONGEST;
                if self.skipping {
                    self.start = Vec::new();
                } else {
                    self.start.extend_from_slice(piece);
                }
                continue;
            };
            let more = if std::mem::take(&mut self.skipping) {
                true
            } else if self.start.is_empty() {
                each(line)
            } else {
                self.start.extend_from_slice(line);
                let more = each(&self.start);
                self.start.clear();
                more
            };
            if !more {
                return false;
            }
        }
        true
    }

    /// The offset behind which `wanted` lines are left, or how many lines the file has if fewer.
    fn before_last(&self, wanted: u64) -> io::Result<Result<u64, u64>> {
        let mut block = vec![0; BLOCK];
        let (mut end, mut found) = (self.file.metadata()?.len(), 0);
        while end > 0 {
            let size = end.min(BLOCK as u64);
            let from = end - size;
            let Some(part) = block.get_mut(..usize::try_from(size).unwrap_or(BLOCK)) else { break };
            self.file.read_exact_at(part, from)?;
            for (at, _) in part.iter().enumerate().rev().filter(|(_, b)| **b == b'\n') {
                if found == wanted {
                    return Ok(Ok(from + at as u64 + 1));
                }
                found += 1;
            }
            end = from;
        }
        Ok(if found == wanted && wanted > 0 { Ok(0) } else { Err(found) })
    }
}

impl Log {
    /// Of the live file `path`, from `tail` lines before the end (from the beginning if `None`).
    pub(super) fn new(path: PathBuf, tail: Option<u64>) -> Self {
        Self { path, live: None, tail }
    }

    /// Calls `each` with every line that is new since the last call; `false` when it said to stop.
    pub(super) fn read(&mut self, each: &mut impl FnMut(&[u8]) -> bool) -> io::Result<bool> {
        let mut live = match self.live.take() {
            Some(live) => live,
            None => {
                let mut chain = self.chain(None)?;
                if let Some(tail) = self.tail.take() {
                    chain = skip_to_tail(chain, tail)?;
                }
                match read_chain(chain, each)? {
                    Ok(Some(live)) => live,
                    Ok(None) => return Ok(true),
                    Err(Stop) => return Ok(false),
                }
            }
        };
        loop {
            if !live.read(each)? {
                return Ok(false);
            }
            let current = std::fs::metadata(&self.path).map(|m| m.ino());
            if matches!(&current, Ok(inode) if *inode == live.inode) {
                break;
            }
            // Rotated, and in this moment perhaps between the two renames: the next event brings the new file.
            let mut chain = self.chain(Some(live.inode))?;
            if chain.last().is_none_or(|newest| newest.inode == live.inode) {
                break;
            }
            // What came before the writer left it.
            if !live.read(each)? {
                return Ok(false);
            }
            chain.retain(|file| file.inode != live.inode);
            match read_chain(chain, each)? {
                Ok(Some(next)) => live = next,
                Ok(None) => break,
                Err(Stop) => return Ok(false),
            }
        }
        self.live = Some(live);
        Ok(true)
    }

    fn chain(&self, since: Option<u64>) -> io::Result<Vec<Position>> {
        let files = chain(&self.path, since)?.into_iter();
        Ok(files.map(|(file, inode)| Position::new(file, inode)).collect())
    }
}

/// All files of a log that are newer than the one with this inode, and it; all, if it is gone. Oldest first, the live one last.
pub(crate) fn chain(path: &Path, since: Option<u64>) -> io::Result<Vec<(File, u64)>> {
    let mut newest_first: Vec<(File, u64)> = Vec::new();
    let mut missing = 0;
    for number in 0_u32.. {
        let Some((file, inode)) = open(&numbered(path, number))? else {
            // Files only move up, as we do: while they are rotated one number is missing, never two.
            missing += 1;
            if missing == 2 {
                break;
            }
            continue;
        };
        missing = 0;
        // A rotation while we look shows a file twice.
        if newest_first.iter().any(|(_, known)| *known == inode) {
            continue;
        }
        newest_first.push((file, inode));
        if since == Some(inode) {
            break;
        }
    }
    newest_first.reverse();
    Ok(newest_first)
}

fn open(path: &Path) -> io::Result<Option<(File, u64)>> {
    match File::open(path) {
        Ok(file) => {
            let inode = file.metadata()?.ino();
            Ok(Some((file, inode)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

struct Stop;

/// Reads all; gives back the last one.
fn read_chain(
    chain: Vec<Position>,
    each: &mut impl FnMut(&[u8]) -> bool,
) -> io::Result<Result<Option<Position>, Stop>> {
    let mut last = None;
    for mut file in chain {
        if !file.read(each)? {
            return Ok(Err(Stop));
        }
        last = Some(file);
    }
    Ok(Ok(last))
}

fn skip_to_tail(mut chain: Vec<Position>, tail: u64) -> io::Result<Vec<Position>> {
    let mut left = tail;
    for at in (0..chain.len()).rev() {
        let Some(file) = chain.get_mut(at) else { break };
        match file.before_last(left)? {
            Ok(offset) => {
                file.offset = offset;
                return Ok(chain.split_off(at));
            }
            Err(found) => left -= found,
        }
    }
    Ok(chain)
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}
