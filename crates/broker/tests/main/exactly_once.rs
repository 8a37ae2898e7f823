//! Transactions of a process that is killed at random: each is seen whole or not at all, in all partitions and with its offsets.
//! (`DHOW_ROUNDS=500` for more of it.)

use crate::support::Folder;
use dhow_broker::{
    Durability, Isolation, Partition, Storage,
    groups::{Committed, Groups, Limits},
    now,
    topics::config::Values,
    txn::{Identity, Txns},
};
use dhow_kafka::{
    Code,
    batch::{self, Builder, Marker},
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::FileExt as _,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

const WRITERS: u32 = 4;
const PARTITIONS: u32 = 3;
/// Say to the program of the tests that it is the one to be killed: its folder and the next number of each writer; and where to stop.
const CHILD: &str = "DHOW_EXACTLY_ONCE";
const END: &str = "DHOW_EXACTLY_ONCE_END";
/// What makes the program of the tests run [`victim`].
pub(crate) const VICTIM: [&str; 4] = ["exactly_once::victim", "--exact", "--ignored", "--nocapture"];

/// Makes `command`, which runs [`victim`], do transactions from the numbers `next` of the writers to `end`.
pub(crate) fn set_up(command: &mut Command, folder: &Path, next: &str, end: u32) {
    command.env(CHILD, format!("{} {next}", folder.display())).env(END, end.to_string());
}

/// Of each writer, the transactions that are known to have ended.
pub(crate) struct Ended(Vec<HashSet<u32>>);

impl Ended {
    pub(crate) fn new() -> Self {
        Self(vec![HashSet::new(); WRITERS as usize])
    }

    pub(crate) fn count(&self) -> usize {
        self.0.iter().map(HashSet::len).sum()
    }

    /// Reads a line of the victim; whether it is one.
    pub(crate) fn note(&mut self, line: &str) -> bool {
        let numbers: Vec<u32> = line.trim_end().split(' ').filter_map(|word| word.parse().ok()).collect();
        let [writer, number] = numbers[..] else { return false };
        self.0[writer as usize].insert(number)
    }
}

struct Opened {
    storage: Storage,
    txns: Txns,
    groups: Groups,
    runtime: tokio::runtime::Runtime,
}

impl Opened {
    fn new(folder: &Path) -> Self {
        let storage = Storage::open(folder, Values::new()).unwrap();
        let txns = Txns::open(Arc::clone(&storage.journal));
        let groups = Groups::open(Arc::clone(&storage.journal), Limits::default(), now());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(txns.tick(&storage, now()));
        Self { storage, txns, groups, runtime }
    }

    /// Who the writer is from now on; ends what its forerunner left open.
    fn identity(&self, writer: u32) -> Identity {
        loop {
            let id = id(writer);
            let asked = self.txns.initialise(&self.storage, &id, 60_000, None, now());
            match self.runtime.block_on(asked) {
                Ok(identity) => return identity,
                Err(code) => assert_eq!(code, Code::ConcurrentTransactions),
            }
        }
    }
}

fn id(writer: u32) -> String {
    format!("w{writer}")
}

fn outcome(number: u32) -> Marker {
    if number % 3 == 2 { Marker::Abort } else { Marker::Commit }
}

/// Runs transactions until it is killed; a line on the standard output for each that has ended.
#[test]
#[ignore = "the process that `transactions_survive_kill_9_whole` kills"]
fn victim() {
    let Ok(setup) = std::env::var(CHILD) else { return };
    let mut words = setup.split(' ');
    let opened = Opened::new(Path::new(words.next().unwrap()));
    if opened.storage.topics.get("t").is_none() {
        opened.storage.topics.create("t", PARTITIONS, 1, Values::new()).unwrap();
    }
    let next: Vec<u32> = words.map(|word| word.parse().unwrap()).collect();
    let end = std::env::var(END).unwrap().parse().unwrap();
    std::thread::scope(|scope| {
        for (writer, &from) in (0..WRITERS).zip(&next) {
            let identity = opened.identity(writer);
            let opened = &opened;
            scope.spawn(move || write(opened, writer, identity, from..end));
        }
    });
}

fn write(opened: &Opened, writer: u32, mut identity: Identity, numbers: std::ops::Range<u32>) {
    let topic = opened.storage.topics.get("t").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    // Version 2 of the protocol, in which the epoch moves with each transaction, for every other writer.
    let bump = writer % 2 == 1;
    let mut sequences = HashMap::new();
    let id = id(writer);
    for number in numbers {
        for place in [writer, writer + number + 1] {
            let place = ("t".to_owned(), i32::try_from(place % PARTITIONS).unwrap());
            let enlisted = opened.txns.enlist(&id, identity, [place.clone()], None, now()).unwrap();
            enlisted.map_or(Ok(()), dhow_broker::Ticket::wait).unwrap();
            let sequence = sequences.entry(place.1).or_insert(0);
            let mut builder = Builder::new().producer(identity.id, identity.epoch, *sequence).transactional();
            *sequence += 1;
            builder.push(now(), None, Some(&[writer.to_le_bytes(), number.to_le_bytes()].concat()), &[]);
            let partition = topic.partition(place.1).unwrap();
            partition
                .append(&mut builder.build().unwrap(), Durability::Synced)
                .unwrap()
                .ticket
                .wait()
                .unwrap();
        }
        let committed = Committed {
            offset: i64::from(number),
            leader_epoch: -1,
            timestamp: now(),
            metadata: String::new(),
        };
        let offsets = [(("t".to_owned(), 0), committed)];
        opened.txns.commit_offsets(&id, identity, &id, &offsets, now()).unwrap().wait().unwrap();
        let end = opened.txns.end(&opened.storage, &id, identity, outcome(number), bump, now());
        let after = runtime.block_on(end).unwrap();
        if after != identity {
            sequences.clear();
        }
        identity = after;
        std::io::stdout().lock().write_all(format!("{writer} {number}\n").as_bytes()).unwrap();
    }
}

/// What a consumer of committed records makes of a partition: writer and number of each record.
fn committed(partition: &Partition) -> Vec<(u32, u32)> {
    let (mut found, mut offset) = (Vec::new(), 0);
    let mut aborted: HashSet<i64> = HashSet::new();
    loop {
        let slice = partition.read(offset, 10_000, Isolation::Committed, true).unwrap();
        let Some(file) = slice.file else { return found };
        let mut bytes = vec![0; slice.length];
        file.read_exact_at(&mut bytes, slice.position).unwrap();
        for batch in batch::batches(&bytes) {
            let batch = batch.unwrap();
            let header = batch.header();
            offset = header.next_offset();
            let begins = |one: &&dhow_broker::Aborted| {
                one.first_offset <= header.last_offset() && header.last_offset() <= one.last_offset
            };
            aborted.extend(slice.aborted.iter().filter(begins).map(|one| one.producer_id));
            if header.control() {
                aborted.remove(&header.producer_id);
            } else if !aborted.contains(&header.producer_id) {
                let records = batch.records(0).unwrap();
                found.extend(records.iter().map(|record| {
                    let value = record.unwrap().value.unwrap();
                    let number = |at: usize| u32::from_le_bytes(value[at..at + 4].try_into().unwrap());
                    (number(0), number(4))
                }));
            }
        }
    }
}

pub(crate) fn check(folder: &Path, ended: &Ended, round: usize) {
    let opened = Opened::new(folder);
    for writer in 0..WRITERS {
        opened.identity(writer);
    }
    let mut seen: BTreeMap<(u32, u32), usize> = BTreeMap::new();
    for partition in &opened.storage.topics.get("t").unwrap().partitions {
        let offsets = partition.offsets().unwrap();
        assert_eq!(
            offsets.stable,
            offsets.high,
            "round {round}: a transaction is open in {}",
            partition.name()
        );
        committed(partition).into_iter().for_each(|record| *seen.entry(record).or_default() += 1);
    }
    for (record @ (writer, number), count) in &seen {
        assert_eq!(*count, 2, "round {round}: {record:?} is seen in part");
        assert_eq!(outcome(*number), Marker::Commit, "round {round}: writer {writer} aborted {number}");
    }
    for (writer, ended) in (0..).zip(&ended.0) {
        for &number in ended.iter().filter(|&&number| outcome(number) == Marker::Commit) {
            assert!(
                seen.contains_key(&(writer, number)),
                "round {round}: {number} of writer {writer} is lost"
            );
        }
        let last = seen.keys().filter(|(of, _)| *of == writer).map(|(_, number)| i64::from(*number)).max();
        let offset =
            opened.groups.committed(&id(writer), &("t".to_owned(), 0)).map(|committed| committed.offset);
        assert_eq!(offset, last, "round {round}: the offset is that of writer {writer}'s last transaction");
    }
}

#[test]
fn transactions_survive_kill_9_whole() {
    let rounds = std::env::var("DHOW_ROUNDS").map_or(20, |rounds| rounds.parse().unwrap());
    let folder = Folder::new();
    let mut ended = Ended::new();
    let mut next = [0; WRITERS as usize];
    for round in 0..rounds {
        let from: Vec<String> = next.iter().map(u32::to_string).collect();
        let mut command = Command::new(std::env::current_exe().unwrap());
        set_up(command.args(VICTIM), folder.path(), &from.join(" "), u32::MAX);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut alive = Some(child);
        let mut left = fastrand::u32(0..20);
        let mut killer = None;
        for line in lines {
            if !ended.note(&line.unwrap()) {
                continue;
            }
            // After some more of them, at any moment.
            if left > 0 {
                left -= 1;
            } else if let Some(mut child) = alive.take() {
                killer = Some(std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_micros(fastrand::u64(0..10_000)));
                    child.kill().unwrap();
                    child.wait().unwrap();
                }));
            }
        }
        killer.expect("the child ended no transaction").join().unwrap();
        check(folder.path(), &ended, round);
        for (next, ended) in next.iter_mut().zip(&ended.0) {
            // Of the transaction behind the last that was heard of nobody knows how it ended: its number is not used again.
            *next = ended.iter().max().map_or(*next, |last| last + 1).max(*next) + 1;
        }
    }
    let total = ended.count();
    assert!(total > rounds * 3, "{total} transactions in {rounds} rounds are no test");
}
