//! The json-file log: lines in, records in the file, rotated. A disk that is full costs records, never the container.

use super::{
    clock,
    json::{Tail, record},
    lines::Lines,
};
use crate::LogConfig;
use rustix::io::Errno;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Records that are put together before they are written.
const BATCH: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    max_size: u64,
    max_files: u32,
    tail: Tail,
    lines: [Lines; 2],
    file: Target,
    /// Records that wait to be written with the rest of a reading.
    batch: Vec<u8>,
}

/// The live file.
#[derive(Debug)]
struct Target {
    file: File,
    size: u64,
    /// The file ends in the middle of a record.
    torn: bool,
    /// Records that could not be written since the last that could, and why.
    lost: Option<(u64, Errno)>,
}

impl Log {
    /// Opens the log, if one is wanted.
    pub(super) fn open(config: LogConfig) -> io::Result<Option<Self>> {
        let LogConfig::JsonFile { path, max_size, max_files, attrs } = config else { return Ok(None) };
        let file = Target::open(&path, false)?;
        let (tail, lines, batch) = (Tail::new(attrs), Default::default(), Vec::new());
        Ok(Some(Self { path, max_size, max_files, tail, lines, file, batch }))
    }

    /// Logs what was read from stdout (1) or stderr (2): one write for all lines that are complete.
    pub(super) fn write(&mut self, stream: u8, bytes: &[u8]) {
        self.each_line(stream, |lines, each| lines.feed(bytes, each));
    }

    /// Logs last lines without an end.
    pub(super) fn finish(&mut self) {
        for stream in [1, 2] {
            self.each_line(stream, |lines, each| lines.finish(each));
        }
    }

    /// Gives memory back.
    pub(super) fn shrink(&mut self) {
        self.batch = Vec::new();
    }

    fn each_line(&mut self, stream: u8, cut: impl FnOnce(&mut Lines, &mut dyn FnMut(&[u8]))) {
        self.tail.set_time(clock::now());
        let Self { path, max_size, max_files, tail, lines, file, batch } = self;
        let Some(lines) = lines.get_mut(usize::from(stream - 1)) else { return };
        cut(lines, &mut |line| {
            if *max_size > 0 && file.size + batch.len() as u64 >= *max_size {
                file.append(batch);
                file.rotate(path, *max_files);
            }
            if batch.capacity() == 0 {
                batch.reserve(1024);
            }
            record(line, stream, tail, batch);
            if batch.len() >= BATCH {
                file.append(batch);
            }
        });
        file.append(batch);
    }
}

impl Target {
    fn open(path: &Path, truncate: bool) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o640);
        let mut file = options.open(path)?;
        if truncate {
            file.set_len(0)?;
        }
        let size = file.metadata()?.len();
        let mut last = [b'\n'];
        if size > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
        }
        Ok(Self { file, size, torn: last != [b'\n'], lost: None })
    }

    /// Writes records and empties the batch.
    fn append(&mut self, batch: &mut Vec<u8>) {
        if batch.is_empty() {
            return;
        }
        let records = batch.iter().filter(|b| **b == b'\n').count() as u64;
        let before = self.preface();
        let written = self.write(&before).and_then(|()| self.write(batch));
        self.lost = match (written, self.lost) {
            (Ok(()), _) => None,
            (Err(errno), None) => Some((records, errno)),
            (Err(errno), Some((already, _))) => Some((already + records, errno)),
        };
        batch.clear();
    }

    /// What must stand before the next record: the end of a torn one, and a word about lost ones.
    fn preface(&self) -> Vec<u8> {
        let mut before = Vec::new();
        if self.torn {
            before.push(b'\n');
        }
        if let Some((count, errno)) = self.lost {
            let mut tail = Tail::new(String::new());
            tail.set_time(clock::now());
            let text = match count {
                0 => format!("dhow: the log could not be rotated: {errno}\n"),
                _ => format!("dhow: {count} lines or pieces of output could not be logged: {errno}\n"),
            };
            record(text.as_bytes(), 2, &tail, &mut before);
        }
        before
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<(), Errno> {
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(count) if count > 0 => {
                    let (done, rest) = bytes.split_at(count.min(bytes.len()));
                    self.size += count as u64;
                    self.torn = done.last() != Some(&b'\n');
                    bytes = rest;
                }
                Ok(_) => return Err(Errno::NOSPC),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
            }
        }
        Ok(())
    }

    /// `path` becomes `path.1`, that `path.2` …; of `max_files` in all the oldest goes. When that fails the live file grows on.
    fn rotate(&mut self, path: &Path, max_files: u32) {
        let numbered = |number: u32| {
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..max_files.saturating_sub(1)).rev() {
            // A number that is not used yet is no failure, and any other one shows below.
            fs::rename(numbered(number), numbered(number + 1)).ok();
        }
        let moved = if max_files > 1 { fs::rename(path, numbered(1)) } else { Ok(()) };
        match moved.and_then(|()| Self::open(path, max_files <= 1)) {
            Ok(next) => *self = Self { lost: self.lost, ..next },
            Err(error) => {
                // Told in the log; tried again when as much has been written once more.
                self.lost = self.lost.or(Some((0, Errno::from_io_error(&error).unwrap_or(Errno::IO))));
                self.size = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("dhow-shim-{name}-{}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }
        fn log(&self, max_size: u64, max_files: u32) -> Log {
            let (path, attrs) = (self.0.join("log"), String::new());
            Log::open(LogConfig::JsonFile { path, max_size, max_files, attrs }).unwrap().unwrap()
        }
        fn texts(&self, name: &str) -> Vec<String> {
            let text = fs::read_to_string(self.0.join(name)).unwrap();
            let strip =
                |line: &str| Some(line.strip_prefix("{\"log\":\"")?.split_once("\",\"stream")?.0.to_owned());
            text.lines().filter_map(strip).collect()
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn streams_do_not_mix_within_a_line() {
        let dir = Dir::new("mix");
        let mut log = dir.log(0, 1);
        log.write(1, b"out 1");
        log.write(2, b"err\nerr 2");
        log.write(1, b" and on\n");
        log.finish();
        assert_eq!(dir.texts("log"), ["err\\n", "out 1 and on\\n", "err 2"]);
    }

    #[test]
    fn a_torn_record_ends_before_the_next() {
        let dir = Dir::new("torn");
        fs::write(dir.0.join("log"), "{\"log\":\"to").unwrap();
        dir.log(0, 1).write(1, b"whole\n");
        let text = fs::read_to_string(dir.0.join("log")).unwrap();
        assert!(text.starts_with("{\"log\":\"to\n{\"log\":\"whole\\n\""), "{text}");
    }

    #[test]
    fn files_are_rotated_and_the_oldest_goes() {
        let dir = Dir::new("rotate");
        let mut log = dir.log(300, 3);
        for n in 0..20 {
            log.write(1, format!("line {n:02}\n").as_bytes());
        }
        let mut names: Vec<_> = fs::read_dir(&dir.0).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["log", "log.1", "log.2"]);
        let all = [dir.texts("log.2"), dir.texts("log.1"), dir.texts("log")].concat();
        let expected: Vec<_> = (20 - all.len()..20).map(|n| format!("line {n:02}\\n")).collect();
        assert_eq!(all, expected);
        assert!(all.len() >= 9, "{}", all.len());
        for name in ["log.1", "log.2"] {
            assert!((300..400).contains(&fs::metadata(dir.0.join(name)).unwrap().len()));
        }
    }

    #[test]
    fn a_single_file_is_started_again() {
        let dir = Dir::new("single");
        let mut log = dir.log(1000, 1);
        let lines: String = (0..1000).map(|n| format!("line {n:03}\n")).collect();
        log.write(1, lines.as_bytes());
        assert!(fs::metadata(dir.0.join("log")).unwrap().len() < 1100);
        assert_eq!(dir.texts("log").last().unwrap(), "line 999\\n");
        assert_eq!(fs::read_dir(&dir.0).unwrap().count(), 1);
    }

    #[test]
    fn what_a_full_disk_costs_is_told() {
        let dir = Dir::new("full");
        let mut log = dir.log(0, 1);
        let good =
            std::mem::replace(&mut log.file.file, File::options().write(true).open("/dev/full").unwrap());
        log.write(1, b"lost\nlost\n");
        log.file.file = good;
        log.file.torn = true;
        log.write(1, b"kept\n");
        let texts = dir.texts("log");
        assert!(texts[0].starts_with("dhow: 2 lines or pieces of output could not be logged: "), "{texts:?}");
        assert_eq!(texts[1..], ["kept\\n"]);
    }
}
