//! A process that writes is killed at random, again and again, on the same data. (`DHOW_ROUNDS=500` for more of it.)

use crate::support::{Folder, batch, records};
use dhow_broker::{Durability, Storage, topics::config::Values};
use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

const WRITERS: u32 = 6;
const PARTITIONS: u32 = 3;
/// Say to the program of the tests that it is the one to be killed: its folder and the next number of each writer; and how many each writes.
const CHILD: &str = "DHOW_TORTURE";
const RECORDS: &str = "DHOW_TORTURE_RECORDS";
/// What makes the program of the tests run [`victim`].
pub(crate) const VICTIM: [&str; 4] = ["torture::victim", "--exact", "--ignored", "--nocapture"];

/// Makes `command`, which runs [`victim`], write `records` of each writer to `folder`.
pub(crate) fn set_up(command: &mut Command, folder: &Path, next: &str, records: u32) {
    command.env(CHILD, format!("{} {next}", folder.display())).env(RECORDS, records.to_string());
}

/// Of each writer: what has been acknowledged, with its offset.
pub(crate) struct Acknowledged(Vec<HashMap<u32, i64>>);

impl Acknowledged {
    pub(crate) fn new() -> Self {
        Self(vec![HashMap::new(); WRITERS as usize])
    }

    pub(crate) fn count(&self) -> usize {
        self.0.iter().map(HashMap::len).sum()
    }

    /// Reads a line of the victim; whether it is one.
    pub(crate) fn note(&mut self, line: &str) -> bool {
        let numbers: Vec<i64> = line.trim_end().split(' ').filter_map(|word| word.parse().ok()).collect();
        let [writer, number, offset] = numbers[..] else { return false };
        let known = self.0[usize::try_from(writer).unwrap()].insert(u32::try_from(number).unwrap(), offset);
        assert_eq!(known, None, "{line} was acknowledged before");
        true
    }
}

fn open(folder: &Path) -> Storage {
    Storage::open(folder, Values::from([("segment.bytes".to_owned(), (1024 * 1024).to_string())])).unwrap()
}

/// Writes until it is killed; a line on the standard output for what is acknowledged: writer, number, offset.
#[test]
#[ignore = "the process that `acknowledged_records_survive_kill_9` kills"]
fn victim() {
    let Ok(setup) = std::env::var(CHILD) else { return };
    let mut words = setup.split(' ');
    let storage = open(Path::new(words.next().unwrap()));
    let records = std::env::var(RECORDS).unwrap().parse().unwrap();
    let next: Vec<u32> = words.map(|word| word.parse().unwrap()).collect();
    if storage.topics.get("t").is_none() {
        storage.topics.create("t", PARTITIONS, 1, Values::new()).unwrap();
    }
    let topic = storage.topics.get("t").unwrap();
    std::thread::scope(|scope| {
        for (writer, &from) in (0..WRITERS).zip(&next) {
            let (topic, storage) = (&topic, &storage);
            scope.spawn(move || {
                let partition = &topic.partitions[(writer % PARTITIONS) as usize];
                for number in from..records {
                    let mut bytes = batch(i64::from(writer), (writer, number), fastrand::usize(8..8000));
                    let appended = partition.append(&mut bytes, Durability::Synced).unwrap();
                    let noted = storage.journal.set(format!("t/{writer}"), number.to_le_bytes()).unwrap();
                    appended.ticket.wait().unwrap();
                    noted.wait().unwrap();
                    // One write, so that lines of different writers do not mix.
                    let line = format!("{writer} {number} {}\n", appended.base_offset);
                    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                }
            });
        }
    });
}

#[test]
fn acknowledged_records_survive_kill_9() {
    let rounds = std::env::var("DHOW_ROUNDS").map_or(20, |rounds| rounds.parse().unwrap());
    let folder = Folder::new();
    let mut acknowledged = Acknowledged::new();
    for round in 0..rounds {
        let next: Vec<String> = acknowledged.0.iter().map(|known| known.len().to_string()).collect();
        kill_one(folder.path(), &next.join(" "), &mut acknowledged);
        check(folder.path(), &acknowledged, round);
    }
    let total = acknowledged.count();
    assert!(total > rounds * 10, "{total} records in {rounds} rounds are no test");
}

fn kill_one(folder: &Path, next: &str, acknowledged: &mut Acknowledged) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    set_up(command.args(VICTIM), folder, next, u32::MAX);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut killer = Some(child);
    let mut left = fastrand::u32(0..100);
    let mut dead = None;
    for line in lines {
        if !acknowledged.note(&line.unwrap()) {
            continue;
        }
        // After some more of them, at any moment.
        if left > 0 {
            left -= 1;
        } else if let Some(mut child) = killer.take() {
            dead = Some(std::thread::spawn(move || {
                std::thread::sleep(Duration::from_micros(fastrand::u64(0..10_000)));
                child.kill().unwrap();
                child.wait().unwrap();
            }));
        }
    }
    dead.expect("the child wrote nothing").join().unwrap();
}

/// Every acknowledged record is there, once, in order, where it was said to be.
pub(crate) fn check(folder: &Path, acknowledged: &Acknowledged, round: usize) {
    let storage = open(folder);
    let topic = storage.topics.get("t").unwrap();
    let mut seen: Vec<Vec<i64>> = vec![Vec::new(); WRITERS as usize];
    for partition in &topic.partitions {
        for (offset, (writer, number)) in records(partition) {
            let of_writer = &mut seen[writer as usize];
            assert_eq!(
                number as usize,
                of_writer.len(),
                "round {round}: writer {writer} at offset {offset}: twice, or out of order"
            );
            of_writer.push(offset);
        }
    }
    for (writer, (known, seen)) in acknowledged.0.iter().zip(&seen).enumerate() {
        assert!(
            seen.len() >= known.len(),
            "round {round}: writer {writer} has {} of {}",
            seen.len(),
            known.len()
        );
        for (&number, offset) in known {
            assert_eq!(seen[number as usize], *offset, "round {round}: writer {writer}, record {number}");
        }
        let noted = storage.journal.get(&format!("t/{writer}"));
        let noted = noted.map_or(0, |noted| u32::from_le_bytes(noted[..].try_into().unwrap()) as usize + 1);
        assert!(
            noted >= known.len(),
            "round {round}: the journal says {noted}, {} were acknowledged",
            known.len()
        );
    }
}
