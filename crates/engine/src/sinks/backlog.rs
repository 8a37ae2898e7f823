//! What is written to a container's log and not yet sent: the place reached in the spool, remembered on disk, and the files from there on.
//!
//! The spool is the log itself, so it is as bounded as that: a file that the shim takes away before it was sent is lost to the sink, and
//! its records are counted. All unsent files are held open, so that the count is exact and a removed container can still be sent.

use crate::logs::files;
use rustix::fs::{AtFlags, StatxFlags};
use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

/// Bytes of records that are in memory at most.
const BLOCK: usize = 64 * 1024;
/// A line that is longer is no record.
const LONGEST: usize = 1024 * 1024;

/// A file that stays the same while it is renamed: its inode, and when that was born, as numbers are used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Identity {
    inode: u64,
    born: i64,
}

/// A place in the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place {
    file: Identity,
    offset: u64,
}

/// A record, and the place behind it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) line: Vec<u8>,
    pub(super) end: Place,
}

#[derive(Debug)]
struct Segment {
    file: File,
    identity: Identity,
    offset: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Backlog {
    log: PathBuf,
    /// Oldest first; the last is, or was, the live one.
    segments: VecDeque<Segment>,
    /// The newest file ever seen.
    newest: Option<Identity>,
    memory: File,
    /// Records that the spool gave up before they were sent.
    pub(super) dropped: u64,
    /// The files are going: what is open is all there will be.
    finishing: bool,
}

impl Backlog {
    /// Goes on where `memory` (a file in a folder of its own) says, else at the beginning.
    pub(super) fn open(log: PathBuf, memory: &Path) -> io::Result<Self> {
        if let Some(folder) = memory.parent() {
            fs::create_dir_all(folder)?;
        }
        let memory = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(memory)?;
        let mut bytes = [0; 32];
        let read = memory.read_at(&mut bytes, 0)?;
        let mut backlog =
            Self { log, segments: VecDeque::new(), newest: None, memory, dropped: 0, finishing: false };
        backlog.observe()?;
        if read == bytes.len() {
            let number = |at: usize| {
                u64::from_le_bytes(bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).unwrap_or_default())
            };
            let file = Identity { inode: number(0), born: number(8).cast_signed() };
            backlog.dropped = number(24);
            backlog.resume(Place { file, offset: number(16) });
        }
        Ok(backlog)
    }

    /// Forgets what comes before a place; all is new where its file is gone.
    fn resume(&mut self, place: Place) {
        let Some(at) = self.segments.iter().position(|segment| segment.identity == place.file) else {
            return;
        };
        self.segments.drain(..at);
        if let Some(first) = self.segments.front_mut() {
            first.offset = place.offset;
        }
    }

    /// Everything before this place is sent. One small write into the page cache: it outlives the daemon, not a power cut.
    pub(super) fn sent(&self, place: Place) -> io::Result<()> {
        let mut bytes = [0; 32];
        let numbers = [place.file.inode, place.file.born.cast_unsigned(), place.offset, self.dropped];
        for (slot, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            slot.copy_from_slice(&number.to_le_bytes());
        }
        self.memory.write_all_at(&bytes, 0)
    }

    /// Looks for new files, and gives up those that the shim has taken away.
    pub(super) fn observe(&mut self) -> io::Result<()> {
        if self.finishing {
            return Ok(());
        }
        let live = fs::metadata(&self.log).map(|meta| meta.ino()).ok();
        if live.is_none() || live != self.newest.map(|newest| newest.inode) {
            self.find_new()?;
        }
        while let Some(first) = self.segments.front()
            && first.file.metadata()?.nlink() == 0
        {
            self.dropped += lines(&first.file, first.offset)?;
            self.segments.pop_front();
        }
        Ok(())
    }

    fn find_new(&mut self) -> io::Result<()> {
        for (file, _) in files::chain(&self.log, self.newest.map(|newest| newest.inode))? {
            let identity = identity(&file)?;
            if self.newest == Some(identity) {
                continue;
            }
            self.newest = Some(identity);
            self.segments.push_back(Segment { file, identity, offset: 0 });
        }
        Ok(())
    }

    /// Holds on to every file that is there: they are about to go.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.observe()?;
        self.finishing = true;
        Ok(())
    }

    /// The next records, about a block of them. None: all is read.
    pub(super) fn read(&mut self) -> io::Result<Vec<Entry>> {
        loop {
            let last = self.segments.len() <= 1;
            let Some(first) = self.segments.front_mut() else { return Ok(Vec::new()) };
            let entries = first.read()?;
            if !entries.is_empty() {
                return Ok(entries);
            }
            if last {
                return Ok(entries);
            }
            // A newer file is there: nothing comes to this one any more, also not the end of a torn record.
            self.segments.pop_front();
        }
    }

    /// Records that are not read yet.
    pub(super) fn left(&self) -> io::Result<u64> {
        self.segments.iter().map(|segment| lines(&segment.file, segment.offset)).sum()
    }
}

impl Segment {
    fn read(&mut self) -> io::Result<Vec<Entry>> {
        if self.file.metadata()?.len() < self.offset {
            self.offset = 0;
        }
        let mut block = vec![0; BLOCK];
        loop {
            let count = fill(&self.file, &mut block, self.offset)?;
            let text = block.get(..count).unwrap_or_default();
            let entries = self.whole(text);
            if !entries.is_empty() || count < block.len() {
                return Ok(entries);
            }
            if block.len() >= LONGEST {
                // No record is that long: on to where the next may begin.
                self.offset += count as u64;
            } else {
                block.resize(block.len() * 2, 0);
            }
        }
    }

    fn whole(&mut self, text: &[u8]) -> Vec<Entry> {
        let mut entries = Vec::new();
        for line in text.split_inclusive(|&b| b == b'\n') {
            let Some((_, record)) = line.split_last().filter(|(end, _)| **end == b'\n') else { break };
            self.offset += line.len() as u64;
            let end = Place { file: self.identity, offset: self.offset };
            entries.push(Entry { line: record.to_vec(), end });
        }
        entries
    }
}

fn fill(file: &File, block: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + filled as u64)? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

fn lines(file: &File, mut offset: u64) -> io::Result<u64> {
    let (mut block, mut found) = (vec![0; BLOCK], 0);
    loop {
        let count = file.read_at(&mut block, offset)?;
        if count == 0 {
            return Ok(found);
        }
        offset += count as u64;
        found += block.iter().take(count).filter(|b| **b == b'\n').count() as u64;
    }
}

fn identity(file: &File) -> io::Result<Identity> {
    let seen = rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::INO | StatxFlags::BTIME)?;
    // Zero where the file system keeps no time of birth.
    let born =
        seen.stx_btime.tv_sec.wrapping_mul(1_000_000_000).wrapping_add(i64::from(seen.stx_btime.tv_nsec));
    Ok(Identity { inode: seen.stx_ino, born })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("dhow-backlog-{name}-{}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }
        fn open(&self) -> Backlog {
            Backlog::open(self.0.join("log"), &self.0.join("sink/sent")).unwrap()
        }
        fn append(&self, text: &str) {
            let mut file = OpenOptions::new().create(true).append(true).open(self.0.join("log")).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }
        /// As the shim does it.
        fn rotate(&self, files: u32) {
            for number in (1..files - 1).rev() {
                let name = |n: u32| self.0.join(format!("log.{n}"));
                fs::rename(name(number), name(number + 1)).ok();
            }
            fs::rename(self.0.join("log"), self.0.join("log.1")).unwrap();
            self.append("");
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn all(backlog: &mut Backlog) -> Vec<Entry> {
        let mut found = Vec::new();
        loop {
            backlog.observe().unwrap();
            let more = backlog.read().unwrap();
            if more.is_empty() {
                return found;
            }
            found.extend(more);
        }
    }

    fn texts(entries: &[Entry]) -> Vec<String> {
        entries.iter().map(|entry| String::from_utf8(entry.line.clone()).unwrap()).collect()
    }

    #[test]
    fn goes_on_where_it_was_over_rotation() {
        let dir = Dir::new("place");
        dir.append("a\nb\nc\n");
        let mut backlog = dir.open();
        let entries = all(&mut backlog);
        assert_eq!(texts(&entries), ["a", "b", "c"]);
        backlog.sent(entries[1].end).unwrap();
        dir.rotate(5);
        dir.append("d\n");
        assert_eq!(texts(&all(&mut dir.open())), ["c", "d"]);
        assert_eq!(texts(&all(&mut backlog)), ["d"]);
    }

    #[test]
    fn a_torn_record_waits_for_its_end_or_goes_with_its_file() {
        let dir = Dir::new("torn");
        dir.append("a\nto");
        let mut backlog = dir.open();
        assert_eq!(texts(&all(&mut backlog)), ["a"]);
        dir.append("rn\nha");
        assert_eq!(texts(&all(&mut backlog)), ["torn"]);
        dir.rotate(5);
        dir.append("b\n");
        assert_eq!(texts(&all(&mut backlog)), ["b"]);
    }

    #[test]
    fn what_the_spool_gives_up_is_counted() {
        let dir = Dir::new("drop");
        dir.append("0\n1\n2\n");
        let mut backlog = dir.open();
        let first = &backlog.read().unwrap()[0];
        assert_eq!(first.line, b"0");
        backlog.segments[0].offset = 2;
        for n in 1..6 {
            dir.rotate(3);
            dir.append(&format!("{n}a\n{n}b\n"));
            backlog.observe().unwrap();
        }
        // Three files are left: two lines of the first one were unread, and two of each of the next two.
        assert_eq!(backlog.dropped, 6);
        assert_eq!(backlog.left().unwrap(), 6);
        let entries = all(&mut backlog);
        assert_eq!(texts(&entries), ["3a", "3b", "4a", "4b", "5a", "5b"]);
        backlog.sent(entries[5].end).unwrap();
        let mut again = dir.open();
        assert_eq!((again.dropped, all(&mut again).len()), (6, 0));
    }

    #[test]
    fn a_removed_log_can_still_be_sent() {
        let dir = Dir::new("removed");
        dir.append("a\n");
        let mut backlog = dir.open();
        dir.rotate(3);
        dir.append("b\n");
        backlog.finish().unwrap();
        fs::remove_file(dir.0.join("log")).unwrap();
        fs::remove_file(dir.0.join("log.1")).unwrap();
        assert_eq!(texts(&all(&mut backlog)), ["a", "b"]);
        assert_eq!(backlog.dropped, 0);
    }

    #[test]
    fn long_records_are_whole_and_endless_ones_are_skipped() {
        let dir = Dir::new("long");
        let long = "x".repeat(300_000);
        dir.append(&format!("{long}\nb\n"));
        let mut backlog = dir.open();
        assert_eq!(texts(&all(&mut backlog)), [long.as_str(), "b"]);
        dir.append(&"y".repeat(2_500_000));
        assert!(all(&mut backlog).is_empty());
        dir.append("\nc\n");
        assert_eq!(texts(&all(&mut backlog)).last().unwrap(), "c");
    }
}
