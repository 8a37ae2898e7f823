//! The power fails. What a process did to its files is recorded by strace; then disks are made as they may be after a cut at any moment: what was
//! synced is there, of the rest each write, or half of it, or nothing, in any order; of names made or changed since their folder was
//! synced, the first few. From each such disk the broker must start and have everything that had been acknowledged.

use crate::{
    exactly_once::{self, Ended},
    support::Folder,
    tools::skipped,
    torture::{self, Acknowledged},
};
use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// One change of a file.
#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Size(usize),
    /// Zeros up to here.
    Grow(usize),
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>, part: f64) {
        match self {
            Self::Write(at, bytes) => {
                // Sectors are written whole.
                let cut = (bytes.len() as f64 * part / 512.0) as usize * 512;
                let bytes = if part >= 1.0 { bytes } else { &bytes[..cut.min(bytes.len())] };
                file.resize(file.len().max(at + bytes.len()), 0);
                file[*at..at + bytes.len()].copy_from_slice(bytes);
            }
            Self::Size(size) => file.resize(*size, 0),
            Self::Grow(size) => file.resize(file.len().max(*size), 0),
        }
    }
}

#[derive(Default)]
struct File {
    /// On disk for sure, and what was done since.
    synced: Vec<u8>,
    since: Vec<Change>,
    /// What programs see.
    now: usize,
}

/// What became of a name.
#[derive(Clone)]
enum Renamed {
    Made(PathBuf, Option<usize>),
    Gone(PathBuf),
    Moved(PathBuf, PathBuf),
}

type Names = BTreeMap<PathBuf, Option<usize>>;

fn rename(names: &mut Names, change: &Renamed) {
    match change {
        Renamed::Made(path, file) => drop(names.insert(path.clone(), *file)),
        Renamed::Gone(path) => drop(names.remove(path)),
        Renamed::Moved(from, to) => {
            if let Some(file) = names.remove(from) {
                names.insert(to.clone(), file);
            }
        }
    }
}

/// A disk, and what is only in memory.
#[derive(Default)]
struct Disk {
    root: PathBuf,
    files: Vec<File>,
    names: Names,
    synced_names: Names,
    /// Of each folder, since it was synced.
    renamed: HashMap<PathBuf, Vec<Renamed>>,
}

impl Disk {
    fn file(&mut self, path: &Path) -> Option<usize> {
        self.names.get(path).copied().flatten()
    }

    fn change(&mut self, path: &Path, change: Change) {
        let Some(at) = self.file(path) else { return };
        let file = &mut self.files[at];
        match &change {
            Change::Write(at, bytes) => file.now = file.now.max(at + bytes.len()),
            Change::Size(size) => file.now = *size,
            Change::Grow(size) => file.now = file.now.max(*size),
        }
        file.since.push(change);
    }

    fn name(&mut self, folder: &Path, change: Renamed) {
        rename(&mut self.names, &change);
        self.renamed.entry(folder.to_owned()).or_default().push(change);
    }

    fn make(&mut self, path: &Path, is_file: bool) {
        let file = is_file.then(|| {
            self.files.push(File::default());
            self.files.len() - 1
        });
        self.name(path.parent().unwrap(), Renamed::Made(path.to_owned(), file));
    }

    /// How much of a file or folder a sync that begins now will bring to disk.
    fn begin_sync(&mut self, path: &Path) -> usize {
        match self.file(path) {
            Some(at) => self.files[at].since.len(),
            None => self.renamed.get(path).map_or(0, Vec::len),
        }
    }

    fn end_sync(&mut self, path: &Path, count: usize) {
        if let Some(at) = self.file(path) {
            let file = &mut self.files[at];
            let synced: Vec<Change> = file.since.drain(..count.min(file.since.len())).collect();
            synced.iter().for_each(|change| change.apply(&mut file.synced, 1.0));
        } else if let Some(renamed) = self.renamed.get_mut(path) {
            let synced: Vec<Renamed> = renamed.drain(..count.min(renamed.len())).collect();
            synced.iter().for_each(|change| rename(&mut self.synced_names, change));
        }
    }

    /// Makes the folder as it may be when the power comes back.
    fn cut(&self, to: &Path) {
        let mut names = self.synced_names.clone();
        for renamed in self.renamed.values() {
            renamed
                .iter()
                .take(fastrand::usize(0..=renamed.len()))
                .for_each(|change| rename(&mut names, change));
        }
        for (path, file) in &names {
            let place = to.join(path.strip_prefix(&self.root).unwrap());
            let parent_is_there = place.parent().unwrap().exists();
            match file {
                _ if !parent_is_there => {}
                None => std::fs::create_dir_all(&place).unwrap(),
                Some(file) => {
                    let file = &self.files[*file];
                    let mut bytes = file.synced.clone();
                    for change in &file.since {
                        match fastrand::u8(0..4) {
                            0 => change.apply(&mut bytes, fastrand::f64()),
                            1 => change.apply(&mut bytes, 1.0),
                            _ => {}
                        }
                    }
                    std::fs::write(&place, bytes).unwrap();
                }
            }
        }
    }
}

/// Walks through what strace wrote.
struct Replay {
    disk: Disk,
    /// What each thread began and has not ended.
    begun: HashMap<String, (String, usize)>,
}

/// A call that has ended, as text: name, arguments, result.
struct Call<'a> {
    name: &'a str,
    arguments: &'a str,
    result: i64,
}

/// `\x41` → `A`
fn unescape(text: &str) -> Vec<u8> {
    text.split("\\x").skip(1).map(|hex| u8::from_str_radix(&hex[..2], 16).unwrap()).collect()
}

fn path(text: &str) -> PathBuf {
    PathBuf::from(String::from_utf8(unescape(text)).unwrap())
}

impl Call<'_> {
    /// The path of the descriptor that comes first.
    fn of_descriptor(&self) -> PathBuf {
        path(self.arguments.split(['<', '>']).nth(1).unwrap_or_default())
    }

    fn strings(&self) -> Vec<&str> {
        self.arguments.split('"').skip(1).step_by(2).collect()
    }

    /// The number that is last but `at`.
    fn number(&self, at: usize) -> usize {
        self.arguments.rsplit(", ").nth(at).unwrap().trim().parse().unwrap()
    }
}

impl Replay {
    /// A line of strace; returns what has been written to the standard output with it.
    fn line(&mut self, line: &str) -> Option<Vec<u8>> {
        let (thread, rest) = line.split_once(' ')?;
        let rest = rest.trim_start();
        let mut count = None;
        let text = if let Some(begun) = rest.strip_suffix(" <unfinished ...>") {
            return self.begin(thread, begun);
        } else if let Some(resumed) = rest.strip_prefix("<... ") {
            let (_, end) = resumed.split_once(" resumed>")?;
            let (begun, synced) = self.begun.remove(thread)?;
            count = Some(synced);
            begun + end
        } else {
            rest.to_owned()
        };
        let (call, result) = text.rsplit_once(" = ")?;
        let (name, arguments) = call.trim_end().strip_suffix(')')?.split_once('(')?;
        let result = result.split([' ', '<']).next()?.parse().ok()?;
        let call = Call { name, arguments, result };
        if call.name == "write" && call.arguments.starts_with("1<") {
            // Said when it began, if it was interrupted.
            return count.is_none().then(|| unescape(call.strings()[0]));
        }
        self.ended(&call, count);
        None
    }

    fn begin(&mut self, thread: &str, begun: &str) -> Option<Vec<u8>> {
        let (name, arguments) = begun.split_once('(')?;
        let call = Call { name, arguments, result: 0 };
        let count = if name.ends_with("sync") { self.disk.begin_sync(&call.of_descriptor()) } else { 0 };
        self.begun.insert(thread.to_owned(), (begun.to_owned(), count));
        (name == "write" && arguments.starts_with("1<")).then(|| unescape(call.strings()[0]))
    }

    fn ended(&mut self, call: &Call<'_>, begun: Option<usize>) {
        let disk = &mut self.disk;
        if call.result < 0 {
            return;
        }
        match call.name {
            "mkdir" => disk.make(&path(call.strings()[0]), false),
            "rename" => {
                let (from, to) = (path(call.strings()[0]), path(call.strings()[1]));
                disk.name(to.parent().unwrap(), Renamed::Moved(from, to.clone()));
            }
            "unlink" => {
                let gone = path(call.strings()[0]);
                disk.name(gone.parent().unwrap(), Renamed::Gone(gone.clone()));
            }
            "openat" | "open" => {
                let opened = path(call.strings()[0]);
                if !opened.starts_with(&disk.root) || opened == disk.root {
                    return;
                }
                if call.arguments.contains("O_CREAT") && !disk.names.contains_key(&opened) {
                    disk.make(&opened, true);
                } else if call.arguments.contains("O_TRUNC") {
                    disk.change(&opened, Change::Size(0));
                }
            }
            "pwrite64" => {
                let bytes = unescape(call.strings()[0]);
                let at = call.number(0);
                assert_eq!(bytes.len() as i64, call.result, "a write in one piece");
                disk.change(&call.of_descriptor(), Change::Write(at, bytes));
            }
            "write" => {
                let file = call.of_descriptor();
                let at = disk.file(&file).map_or(0, |at| disk.files[at].now);
                disk.change(&file, Change::Write(at, unescape(call.strings()[0])));
            }
            "ftruncate" => disk.change(&call.of_descriptor(), Change::Size(call.number(0))),
            "fallocate" => disk.change(&call.of_descriptor(), Change::Grow(call.number(0) + call.number(1))),
            "fsync" | "fdatasync" => {
                let synced = call.of_descriptor();
                let count = begun.unwrap_or_else(|| disk.begin_sync(&synced));
                disk.end_sync(&synced, count);
            }
            _ => {}
        }
    }
}

/// Runs `victim` under strace, and walks through what it did: `look` sees the disk after everything that it said.
fn record(victim: impl FnOnce(&mut Command, &Path), mut look: impl FnMut(&Disk, &str)) {
    let (data, trace) = (Folder::new(), Folder::new());
    let log = trace.path().join("trace");
    let calls = "trace=open,openat,mkdir,rename,unlink,write,pwrite64,ftruncate,fallocate,fsync,fdatasync";
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-xx", "-s", "1000000", "-e", calls, "-o"]).arg(&log);
    strace.arg(std::env::current_exe().unwrap());
    victim(&mut strace, data.path());
    match strace.stdout(Stdio::null()).status() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return skipped("recording writes needs strace");
        }
        status => assert!(status.unwrap().success()),
    }
    let disk = Disk { root: data.path().to_owned(), ..Disk::default() };
    let mut replay = Replay { disk, begun: HashMap::new() };
    replay.disk.synced_names.insert(data.path().to_owned(), None);
    for line in std::fs::read_to_string(&log).unwrap().lines() {
        if let Some(said) = replay.line(line) {
            look(&replay.disk, &String::from_utf8_lossy(&said));
        }
    }
}

#[test]
fn acknowledged_records_survive_a_power_cut() {
    let (mut acknowledged, mut cuts) = (Acknowledged::new(), 0);
    let victim = |command: &mut Command, folder: &Path| {
        torture::set_up(command.args(torture::VICTIM), folder, "0 0 0 0 0 0", 250);
    };
    record(victim, |disk, said| {
        if acknowledged.note(said) && (acknowledged.count() == 1 || fastrand::u8(0..25) == 0) {
            let folder = Folder::new();
            disk.cut(folder.path());
            torture::check(folder.path(), &acknowledged, cuts);
            cuts += 1;
        }
    });
    let count = acknowledged.count();
    assert!(count == 0 || (cuts > 20 && count == 6 * 250), "{cuts} cuts, {count} records");
}

#[test]
fn transactions_survive_a_power_cut_whole() {
    let (mut ended, mut cuts) = (Ended::new(), 0);
    let victim = |command: &mut Command, folder: &Path| {
        exactly_once::set_up(command.args(exactly_once::VICTIM), folder, "0 0 0 0", 60);
    };
    record(victim, |disk, said| {
        if ended.note(said) && (ended.count() == 1 || fastrand::u8(0..5) == 0) {
            let folder = Folder::new();
            disk.cut(folder.path());
            exactly_once::check(folder.path(), &ended, cuts);
            cuts += 1;
        }
    });
    let count = ended.count();
    assert!(count == 0 || (cuts > 15 && count == 4 * 60), "{cuts} cuts, {count} transactions");
}
