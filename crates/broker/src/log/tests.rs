use super::{segment, *};
use crate::{error::Kind, testing::Folder};
use dhow_kafka::batch::{self, Builder, Marker};
use std::os::unix::fs::FileExt as _;

/// A partition in a folder of its own.
struct Bench {
    folder: Folder,
    shared: Shared,
    partition: Partition,
}

impl Bench {
    fn new(config: Config) -> Self {
        let folder = Folder::new();
        std::fs::create_dir(folder.path().join("orders-0")).unwrap();
        Self::open(folder, config)
    }

    fn open(folder: Folder, config: Config) -> Self {
        let flusher = Flusher::start().unwrap();
        let journal = Arc::new(Journal::open(folder.path(), Arc::clone(&flusher)).unwrap());
        let shared = Shared { journal, flusher };
        let place = folder.path().join("orders-0");
        let partition =
            Partition::new("orders-0".into(), "id/0".into(), place, shared.clone(), Arc::new(config));
        Self { folder, shared, partition }
    }

    /// As after `kill -9`: nothing is closed.
    fn crash(self) -> Self {
        let config = Config::clone(&self.partition.config());
        let Self { folder, shared, partition } = self;
        shared.flusher.close();
        drop((partition, shared));
        Self::open(folder, config)
    }

    fn file(&self, base: i64) -> PathBuf {
        segment::path(&self.folder.path().join("orders-0"), base)
    }
}

/// A batch of `count` records of 100 bytes, each with its number.
fn batch(first: i64, count: i64) -> Vec<u8> {
    let mut builder = Builder::new();
    fill(&mut builder, first, count);
    builder.build().unwrap()
}

fn fill(builder: &mut Builder, first: i64, count: i64) {
    for n in first..first + count {
        let value = [n.to_le_bytes().as_slice(), &[7; 92]].concat();
        builder.push(1_000 + n, Some(b"key"), Some(&value), &[]);
    }
}

fn put(partition: &Partition, mut bytes: Vec<u8>) -> Appended {
    partition.append(&mut bytes, Durability::Synced).unwrap()
}

/// The numbers of the records in a slice.
fn numbers(slice: &Slice) -> Vec<i64> {
    let Some(file) = &slice.file else { return Vec::new() };
    let mut bytes = vec![0; slice.length];
    file.read_exact_at(&mut bytes, slice.position).unwrap();
    let mut numbers = Vec::new();
    for batch in batch::batches(&bytes) {
        let batch = batch.unwrap();
        batch.check_sum().unwrap();
        for record in batch.records(0).unwrap().iter() {
            let value = record.unwrap().value.unwrap();
            numbers.extend(
                value.first_chunk().filter(|_| !batch.header().control()).map(|n| i64::from_le_bytes(*n)),
            );
        }
    }
    numbers
}

/// Everything from `offset` on, read by readers of `max` bytes.
fn all(partition: &Partition, mut offset: i64, max: usize) -> Vec<i64> {
    let mut found = Vec::new();
    loop {
        let slice = partition.read(offset, max, Isolation::Uncommitted, true).unwrap();
        let some = numbers(&slice);
        let Some(last) = some.last() else { return found };
        offset = last + 1;
        found.extend(some);
    }
}

#[test]
fn what_is_appended_is_read_in_whole_batches() {
    let bench = Bench::new(Config::default());
    let partition = &bench.partition;
    for n in 0..200 {
        let appended = put(partition, batch(n * 10, 10));
        assert_eq!((appended.base_offset, appended.last_offset), (n * 10, n * 10 + 9));
        if n == 199 {
            appended.ticket.wait().unwrap();
        }
    }
    let offsets = partition.offsets().unwrap();
    assert_eq!((offsets.start, offsets.high, offsets.end), (0, 2000, 2000));
    for max in [1, 3_000, 100_000, 10_000_000] {
        assert_eq!(all(partition, 0, max), (0..2000).collect::<Vec<_>>(), "{max}");
    }
    let slice = partition.read(1_234, 4_000, Isolation::Uncommitted, true).unwrap();
    assert_eq!(numbers(&slice), (1_230..1_260).collect::<Vec<_>>());
    let slice = partition.read(1_234, 100, Isolation::Uncommitted, false).unwrap();
    assert_eq!(slice.length, 0);
    assert_eq!(
        partition.read(2_001, 1, Isolation::Uncommitted, true).unwrap_err().kind,
        Kind::OffsetOutOfRange
    );
}

#[test]
fn consumers_see_only_what_is_on_disk_and_ask_for_it() {
    let bench = Bench::new(Config::default());
    let partition = &bench.partition;
    partition.append(&mut batch(0, 1), Durability::Soon).unwrap().ticket.forget();
    let offsets = partition.offsets().unwrap();
    assert_eq!((offsets.high, offsets.end), (0, 1), "nobody waits, so it is not synced at once");
    assert_eq!(partition.read(0, 1000, Isolation::Uncommitted, true).unwrap().length, 0);
    partition.grown(0).unwrap().wait().unwrap();
    assert_eq!(numbers(&partition.read(0, 1000, Isolation::Uncommitted, true).unwrap()), [0]);
    let poll = partition.grown(1).unwrap();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| poll.wait());
        partition.append(&mut batch(1, 1), Durability::Soon).unwrap().ticket.forget();
        waits.join().unwrap().unwrap();
    });
    partition.configure(Arc::new(Config { page_cache: true, ..Config::default() }));
    assert!(put(partition, batch(2, 1)).ticket.is_done());
    assert_eq!(partition.offsets().unwrap().high, 3);
}

#[test]
fn what_nobody_waits_for_is_on_disk_within_two_seconds() {
    let bench = Bench::new(Config::default());
    let began = std::time::Instant::now();
    bench.partition.append(&mut batch(0, 1), Durability::Soon).unwrap().ticket.wait().unwrap();
    assert!(began.elapsed() < std::time::Duration::from_secs(2));
}

#[test]
fn a_clean_stop_leaves_kafkas_bytes_alone_and_nothing_to_scan() {
    let bench = Bench::new(Config::default());
    (0..50).for_each(|n| put(&bench.partition, batch(n * 3, 3)).ticket.forget());
    bench.partition.close().unwrap();
    let bytes = std::fs::read(bench.file(0)).unwrap();
    assert_eq!(
        batch::batches(&bytes).filter(std::result::Result::is_ok).count(),
        50,
        "and no zeros behind them"
    );
    let recovered = recover::recover(&bench.folder.path().join("orders-0"), 0, None, 0).unwrap();
    assert_eq!((recovered.scanned, recovered.cut, recovered.end), (0, 0, 150));
    let bench = bench.crash();
    assert_eq!(all(&bench.partition, 0, 1000), (0..150).collect::<Vec<_>>());
}

#[test]
fn after_a_crash_whole_batches_stay_and_torn_ones_go() {
    let bench = Bench::new(Config { segment_bytes: 20_000, ..Config::default() });
    (0..50).for_each(|n| put(&bench.partition, batch(n * 10, 10)).ticket.forget());
    bench.partition.settled().unwrap().wait().unwrap();
    let bench = bench.crash();
    assert_eq!(all(&bench.partition, 0, 5_000), (0..500).collect::<Vec<_>>());
    assert_eq!(bench.partition.offsets().unwrap().epoch, 0, "nothing was lost");
    // Half a batch behind the last good one.
    let (tail, position) = bench.partition.0.with(|log| Ok((log.mark().base, log.mark().position))).unwrap();
    let file = bench.file(tail);
    let bench = bench.crash();
    std::fs::OpenOptions::new()
        .write(true)
        .open(file)
        .unwrap()
        .write_all_at(&batch(500, 10)[..300], position)
        .unwrap();
    let offsets = bench.partition.offsets().unwrap();
    assert_eq!((offsets.end, offsets.epoch), (500, 1));
    put(&bench.partition, batch(500, 10)).ticket.wait().unwrap();
    assert_eq!(bench.partition.epoch_end(0).unwrap(), Some((0, 500)));
    assert_eq!(bench.partition.epoch_end(1).unwrap(), Some((1, 510)));
    let bench = bench.crash();
    assert_eq!(all(&bench.partition, 0, 5_000), (0..510).collect::<Vec<_>>());
    assert_eq!(bench.partition.offsets().unwrap().epoch, 1);
}

#[test]
fn a_crash_costs_no_more_than_the_last_16_mib() {
    let bench = Bench::new(Config { max_message_bytes: 2 << 20, ..Config::default() });
    let mut builder = Builder::new();
    builder.push(now(), None, Some(&vec![7; 1 << 20]), &[]);
    let large = builder.build().unwrap();
    (0..40).for_each(|_| put(&bench.partition, large.clone()).ticket.wait().unwrap());
    let bench = bench.crash();
    let recovered = recover::recover(&bench.folder.path().join("orders-0"), 0, None, 0).unwrap();
    assert!(recovered.end == 40 && recovered.scanned < 17 << 20, "{} bytes", recovered.scanned);
}

#[test]
fn after_a_sync_that_failed_only_what_is_known_to_be_on_disk_is_there() {
    let bench = Bench::new(Config::default());
    let partition = &bench.partition;
    put(partition, batch(0, 3)).ticket.wait().unwrap();
    let lost = partition.append(&mut batch(3, 4), Durability::Soon).unwrap().ticket;
    let error = Error::new(Kind::Storage, "sync", "orders-0", "input/output error");
    partition.0.give_up(partition.0.lock(), &error);
    assert_eq!(lost.wait().unwrap_err().kind, Kind::Storage);
    let offsets = partition.offsets().unwrap();
    assert_eq!(
        (offsets.end, offsets.high, offsets.epoch),
        (3, 3, 1),
        "the kernel may still show the bytes; the disk may not"
    );
    let again = put(partition, batch(3, 1));
    assert_eq!(again.base_offset, 3);
    again.ticket.wait().unwrap();
    assert_eq!(all(partition, 0, 1000), [0, 1, 2, 3]);
    assert_eq!(partition.epoch_end(0).unwrap(), Some((0, 3)));
}

#[test]
fn a_log_without_its_side_files_is_read_whole() {
    let bench = Bench::new(Config { segment_bytes: 20_000, ..Config::default() });
    (0..50).for_each(|n| {
        let mut builder = Builder::new().producer(9, 0, i32::try_from(n).unwrap() * 10);
        fill(&mut builder, n * 10, 10);
        put(&bench.partition, builder.build().unwrap()).ticket.forget();
    });
    bench.partition.close().unwrap();
    let (sides, producers) =
        bench.partition.0.with(|log| Ok((log.segments.len(), log.producers.clone()))).unwrap();
    assert!(sides > 2);
    for entry in std::fs::read_dir(bench.folder.path().join("orders-0")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "side") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let bench = bench.crash();
    assert_eq!(all(&bench.partition, 0, 5_000), (0..500).collect::<Vec<_>>());
    let again = bench.partition.0.with(|log| Ok(log.producers.clone())).unwrap();
    assert_eq!(again.known[&9].sent, producers.known[&9].sent);
}

#[test]
fn a_repeated_batch_is_answered_with_its_old_offset_also_after_a_crash() {
    let sent = |sequence| {
        let mut builder = Builder::new().producer(4, 1, sequence);
        fill(&mut builder, i64::from(sequence), 2);
        builder.build().unwrap()
    };
    let bench = Bench::new(Config::default());
    (0..6).for_each(|n| put(&bench.partition, sent(n * 2)).ticket.forget());
    let repeated = put(&bench.partition, sent(4));
    assert_eq!((repeated.base_offset, repeated.last_offset, repeated.duplicate), (4, 5, true));
    repeated.ticket.wait().unwrap();
    bench.partition.settled().unwrap().wait().unwrap();
    let bench = bench.crash();
    assert!(put(&bench.partition, sent(10)).duplicate);
    let gap = bench.partition.append(&mut sent(14), Durability::Synced).unwrap_err();
    assert_eq!(gap.kind, Kind::OutOfOrderSequence);
    assert!(!put(&bench.partition, sent(12)).duplicate);
}

#[test]
fn readers_of_committed_records_stop_at_open_transactions() {
    let transactional = |producer: i64, sequence, first| {
        let mut builder = Builder::new().producer(producer, 0, sequence).transactional();
        fill(&mut builder, first, 5);
        builder.build().unwrap()
    };
    let bench = Bench::new(Config::default());
    let partition = &bench.partition;
    put(partition, batch(0, 5)).ticket.forget();
    put(partition, transactional(1, 0, 5)).ticket.forget();
    put(partition, transactional(2, 0, 10)).ticket.wait().unwrap();
    let read = |offset| partition.read(offset, 1_000_000, Isolation::Committed, true).unwrap();
    assert_eq!((numbers(&read(0)), read(0).stable), ((0..5).collect(), 5));
    assert_eq!(read(7).length, 0);
    partition.end_transaction(Marker::Abort, (1, 0), 0).unwrap().ticket.wait().unwrap();
    assert_eq!((numbers(&read(0)).len(), read(0).stable), (10, 10));
    assert_eq!(read(0).aborted, [Aborted { producer_id: 1, first_offset: 5, last_offset: 15 }]);
    partition.end_transaction(Marker::Commit, (2, 0), 0).unwrap().ticket.wait().unwrap();
    assert_eq!((read(0).stable, read(16).aborted.len()), (17, 0));
    let bench = bench.crash();
    let slice = bench.partition.read(0, 1_000_000, Isolation::Committed, true).unwrap();
    assert_eq!((slice.stable, slice.aborted.len()), (17, 1));
    let late = bench.partition.append(&mut transactional(1, 99, 0), Durability::Synced).unwrap_err();
    assert_eq!(late.kind, Kind::OutOfOrderSequence);
}

#[test]
fn records_are_found_by_their_time() {
    let bench = Bench::new(Config { segment_bytes: 20_000, ..Config::default() });
    (0..50).for_each(|n| put(&bench.partition, batch(n * 10, 10)).ticket.forget());
    bench.partition.settled().unwrap().wait().unwrap();
    let at =
        |when| bench.partition.find(when, i64::MAX).unwrap().map(|found| (found.offset, found.timestamp));
    assert_eq!(at(When::At(0)), Some((0, 1_000)));
    assert_eq!(at(When::At(1_234)), Some((234, 1_234)));
    assert_eq!((at(When::At(1_500)), at(When::Greatest)), (None, Some((499, 1_499))));
    assert_eq!(bench.partition.find(When::At(1_234), 234).unwrap(), None);
}

#[test]
fn time_of_appending_is_the_brokers() {
    let bench = Bench::new(Config { append_time: true, ..Config::default() });
    let before = now();
    let appended = put(&bench.partition, batch(0, 3));
    assert!(appended.append_time >= before);
    appended.ticket.wait().unwrap();
    let found = bench.partition.find(When::At(before), i64::MAX).unwrap().unwrap();
    assert_eq!((found.offset, found.timestamp), (0, appended.append_time));
    assert_eq!(all(&bench.partition, 0, 100), [0, 1, 2], "the check sum is that of the new bytes");
}

#[test]
fn what_a_topic_does_not_take_is_refused() {
    let bench = Bench::new(Config { compact: true, max_message_bytes: 1_000, ..Config::default() });
    let kind = |mut bytes: Vec<u8>| bench.partition.append(&mut bytes, Durability::Synced).unwrap_err().kind;
    assert_eq!(kind(batch(0, 20)), Kind::TooLarge);
    let mut keyless = Builder::new();
    keyless.push(0, None, Some(b"value"), &[]);
    assert_eq!(kind(keyless.build().unwrap()), Kind::InvalidRecord);
    let mut future = Builder::new();
    future.push(now() + 2 * 60 * 60 * 1000, Some(b"key"), None, &[]);
    assert_eq!(kind(future.build().unwrap()), Kind::InvalidTimestamp);
    let mut damaged = batch(0, 1);
    *damaged.last_mut().unwrap() ^= 1;
    assert_eq!(kind(damaged), Kind::Corrupt);
    assert_eq!(kind(Builder::control(Marker::Commit, (1, 0), 0, 0).build().unwrap()), Kind::InvalidRecord);
    assert_eq!(bench.partition.offsets().unwrap().end, 0);
}

#[test]
fn retention_and_deletion_move_the_start_and_it_stays() {
    let config = Config { segment_bytes: 20_000, retention_ms: Some(1_000), ..Config::default() };
    let bench = Bench::new(config);
    (0..50).for_each(|n| put(&bench.partition, batch(n * 10, 10)).ticket.forget());
    bench.partition.settled().unwrap().wait().unwrap();
    let due = bench.partition.retain(1_900).unwrap().unwrap();
    assert!(bench.file(0).exists() && (2_100..2_200).contains(&due), "{due}");
    assert!(bench.partition.retain(2_300).unwrap() > Some(2_300));
    let start = bench.partition.offsets().unwrap().start;
    assert!(start > 100 && start <= 300, "{start}");
    assert!(!bench.file(0).exists());
    let (deleted, ticket) = bench.partition.delete_records(Some(444)).unwrap();
    ticket.wait().unwrap();
    assert_eq!(deleted, 444);
    assert_eq!(
        bench.partition.read(443, 1, Isolation::Uncommitted, true).unwrap_err().kind,
        Kind::OffsetOutOfRange
    );
    let bench = bench.crash();
    assert_eq!(bench.partition.offsets().unwrap().start, 444);
    assert_eq!(bench.partition.retain(i64::from(u16::MAX)).unwrap(), None, "an empty log does not grow old");
    let offsets = bench.partition.offsets().unwrap();
    assert_eq!((offsets.start, offsets.end), (500, 500), "all is old, and the offsets go on");
    let bench = bench.crash();
    assert_eq!(bench.partition.offsets().unwrap().end, 500);
}

#[test]
fn a_log_that_nobody_uses_is_opened_for_retention_only_when_it_is_time() {
    let bench = Bench::new(Config { retention_ms: Some(1_000), ..Config::default() });
    assert_eq!(bench.partition.tidy(0).unwrap(), None);
    assert!(!bench.file(0).exists(), "nobody has written");
    put(&bench.partition, batch(0, 10)).ticket.wait().unwrap();
    bench.partition.close().unwrap();
    let is_open = || bench.partition.0.lock().log.is_some();
    assert_eq!((bench.partition.tidy(1_500).unwrap(), is_open()), (Some(2_009), false));
    std::fs::remove_file(bench.file(0)).unwrap();
    assert_eq!(bench.partition.tidy(2_000).unwrap(), Some(2_009), "it was not looked at");
    std::fs::write(bench.file(0), batch(0, 10)).unwrap();
    assert_eq!((bench.partition.tidy(2_010).unwrap(), is_open()), (None, false));
    assert_eq!(bench.partition.offsets().unwrap().start, 10);
}

#[test]
fn a_batch_that_rotted_on_disk_is_reported_and_never_served() {
    let bench = Bench::new(Config { segment_bytes: 200_000, ..Config::default() });
    (0..400).for_each(|n| put(&bench.partition, batch(n * 10, 10)).ticket.forget());
    bench.partition.close().unwrap();
    let bench = bench.crash();
    std::fs::OpenOptions::new()
        .write(true)
        .open(bench.file(0))
        .unwrap()
        .write_all_at(b"rot", 100_000)
        .unwrap();
    let error = bench.partition.read(0, 1_000_000, Isolation::Uncommitted, true).unwrap_err();
    assert_eq!(error.kind, Kind::Corrupt);
    let text = error.to_string();
    assert!(text.contains("00000000000000000000.log") && text.contains("at byte 9"), "{text}");
    let first = bench.partition.read(0, 50_000, Isolation::Uncommitted, true).unwrap();
    assert!(numbers(&first).len() > 100, "what is before it is served");
    let later = bench.partition.0.with(|log| Ok(log.segments[1].base)).unwrap();
    assert_eq!(all(&bench.partition, later, 50_000).last(), Some(&3_999), "and what is behind it");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// Whatever becomes of the bytes of a log that nobody had synced: what is there again are its first records, none other.
    #[test]
    fn of_a_damaged_log_the_first_records_are_recovered(
        flips in proptest::collection::vec((0..10_000_usize, 0..=255_u8), 0..4),
        cut in 0..10_000_usize,
        lost in proptest::option::of(0..4_usize),
    ) {
        let bench = Bench::new(Config { segment_bytes: 2_500, ..Config::default() });
        (0..8).for_each(|n| put(&bench.partition, batch(n * 10, 10)).ticket.forget());
        bench.partition.settled().unwrap().wait().unwrap();
        let bases = bench.partition.0.with(|log| Ok(log.segments.iter().map(|segment| segment.base).collect::<Vec<_>>()))?;
        let bench = bench.crash();
        let mut at = 0;
        for (number, base) in bases.iter().enumerate() {
            let path = bench.file(*base);
            let mut bytes = std::fs::read(&path)?;
            for (place, byte) in &flips {
                if let Some(old) = place.checked_sub(at).and_then(|place| bytes.get_mut(place)) {
                    *old = *byte;
                }
            }
            at += bytes.len();
            if cut < at && cut + bytes.len() >= at {
                bytes.truncate(bytes.len() - (at - cut));
            }
            if lost == Some(number) {
                bytes.clear();
            }
            std::fs::write(&path, bytes)?;
            drop(std::fs::remove_file(path.with_extension("side")));
        }
        let found = all(&bench.partition, 0, 1_000);
        proptest::prop_assert_eq!(&found, &(0..i64::try_from(found.len())?).collect::<Vec<_>>());
        let next = put(&bench.partition, batch(99, 1));
        proptest::prop_assert_eq!(usize::try_from(next.base_offset)?, found.len());
    }
}

/// A batch of the records `key=value`; a value of `-` is a tombstone.
fn pairs(builder: Builder, pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = builder;
    for (key, value) in pairs {
        builder.push(
            now(),
            Some(key.as_bytes()),
            Some(*value).filter(|value| *value != "-").map(str::as_bytes),
            &[],
        );
    }
    builder.build().unwrap()
}

/// Offset, key and value of all records.
fn table(partition: &Partition) -> Vec<(i64, String, String)> {
    let mut found = Vec::new();
    let mut offset = 0;
    loop {
        let slice = partition.read(offset, 300, Isolation::Uncommitted, true).unwrap();
        let Some(file) = slice.file else { return found };
        let mut bytes = vec![0; slice.length];
        file.read_exact_at(&mut bytes, slice.position).unwrap();
        for batch in batch::batches(&bytes).map(|batch| batch.unwrap()) {
            batch.check_sum().unwrap();
            assert!(
                batch.header().base_offset >= offset,
                "{} comes after {offset}",
                batch.header().base_offset
            );
            offset = batch.header().next_offset();
            let records = batch.records(1 << 20).unwrap();
            let text = |bytes: Option<&[u8]>| {
                bytes.map_or("-".to_owned(), |bytes| String::from_utf8_lossy(bytes).into_owned())
            };
            let records = records.iter().map(|record| record.unwrap());
            let records = records.filter(|_| !batch.header().control());
            found.extend(records.map(|record| (record.offset, text(record.key), text(record.value))));
        }
    }
}

fn roll(partition: &Partition) {
    let config = partition.config();
    partition.settled().unwrap().wait().unwrap();
    partition.0.with(|log| log.roll(&config, now())).unwrap();
}

fn compacting() -> Config {
    Config { compact: true, delete: false, min_dirty_ratio: 0.0, ..Config::default() }
}

#[test]
fn compaction_leaves_the_last_of_each_key_where_it_was() {
    let bench = Bench::new(compacting());
    let partition = &bench.partition;
    for (sequence, batch) in [
        [("a", "1"), ("b", "1")],
        [("a", "2"), ("c", "1")],
        [("b", "-"), ("d", "1")],
        [("a", "3"), ("c", "2")],
    ]
    .iter()
    .enumerate()
    {
        let builder = Builder::new()
            .producer(5, 0, i32::try_from(sequence).unwrap() * 2)
            .compression(batch::Compression::Zstd);
        put(partition, pairs(builder, batch)).ticket.forget();
        roll(partition);
    }
    put(partition, pairs(Builder::new(), &[("d", "2")])).ticket.wait().unwrap();
    partition.compact(now()).unwrap();
    let owned = |rows: &[(i64, &str, &str)]| {
        rows.iter()
            .map(|(offset, key, value)| (*offset, (*key).to_owned(), (*value).to_owned()))
            .collect::<Vec<_>>()
    };
    let expected = owned(&[(4, "b", "-"), (5, "d", "1"), (6, "a", "3"), (7, "c", "2"), (8, "d", "2")]);
    assert_eq!(table(partition), expected, "the segment that grows is not looked at");
    assert_eq!(partition.0.with(|log| Ok(log.segments.len())).unwrap(), 2, "small ones became one");
    assert_eq!(partition.offsets().unwrap().start, 0, "a consumer anywhere in the gap goes on");
    assert!(
        partition
            .append(&mut pairs(Builder::new().producer(5, 0, 6), &[("a", "3"), ("c", "2")]), Durability::Soon)
            .unwrap()
            .duplicate
    );
    // The tombstone goes when consumers have had their time to see it.
    roll(partition);
    partition.compact(now() + 2 * 24 * 60 * 60 * 1000).unwrap();
    let expected = owned(&[(6, "a", "3"), (7, "c", "2"), (8, "d", "2")]);
    assert_eq!(table(partition), expected);
    let bench = bench.crash();
    assert_eq!(table(&bench.partition), expected);
    assert_eq!(bench.partition.offsets().unwrap().end, 9);
    let next = put(&bench.partition, pairs(Builder::new().producer(5, 0, 8), &[("e", "1")]));
    assert_eq!((next.base_offset, next.duplicate), (9, false));
}

#[test]
fn compaction_with_more_keys_than_fit_goes_on_where_it_was() {
    let bench = Bench::new(compacting());
    for round in 0..2 {
        for key in 0..20 {
            let (key, value) = (format!("k{key}"), format!("{round}"));
            put(&bench.partition, pairs(Builder::new(), &[(&key, &value)])).ticket.forget();
        }
    }
    roll(&bench.partition);
    let left = (0..4).map(|_| {
        bench.partition.compact_keys(now(), 10).unwrap();
        table(&bench.partition).len()
    });
    assert_eq!(left.collect::<Vec<_>>(), [40, 40, 30, 20]);
}

#[test]
fn compaction_drops_what_was_aborted_and_markers_of_nothing() {
    let bench = Bench::new(compacting());
    let partition = &bench.partition;
    let in_transaction = |id: i64, sequence| Builder::new().producer(id, 0, sequence).transactional();
    put(partition, pairs(Builder::new(), &[("a", "good")])).ticket.forget();
    put(partition, pairs(in_transaction(1, 0), &[("a", "aborted")])).ticket.forget();
    put(partition, pairs(in_transaction(2, 0), &[("b", "committed")])).ticket.forget();
    partition.end_transaction(Marker::Abort, (1, 0), 0).unwrap().ticket.forget();
    partition.end_transaction(Marker::Commit, (2, 0), 0).unwrap().ticket.forget();
    put(partition, pairs(in_transaction(1, 1), &[("c", "open")])).ticket.forget();
    roll(partition);
    partition.compact(now()).unwrap();
    assert_eq!(table(partition).len(), 4, "what is open may still be either");
    partition.end_transaction(Marker::Commit, (1, 0), 0).unwrap().ticket.forget();
    roll(partition);
    partition.compact(now() + 2 * 24 * 60 * 60 * 1000).unwrap();
    let values: Vec<String> = table(partition).into_iter().map(|(.., value)| value).collect();
    assert_eq!(values, ["good", "committed", "open"]);
    let size = partition.size().unwrap();
    assert_eq!(bench.partition.offsets().unwrap().stable, 7);
    // Without side files all is computed from the log: nothing seems to be open.
    for base in partition
        .0
        .with(|log| Ok(log.segments.iter().map(|segment| segment.base).collect::<Vec<_>>()))
        .unwrap()
    {
        drop(std::fs::remove_file(bench.file(base).with_extension("side")));
    }
    let bench = bench.crash();
    let offsets = bench.partition.offsets().unwrap();
    assert_eq!((offsets.stable, offsets.end, bench.partition.size().unwrap()), (7, 7, size));
}

#[test]
fn a_swap_that_a_crash_interrupted_is_ended() {
    let bench = Bench::new(compacting());
    for round in 0..3 {
        put(&bench.partition, pairs(Builder::new(), &[("a", ["x", "y", "z"][round])])).ticket.forget();
        roll(&bench.partition);
    }
    let folder = bench.folder.path().join("orders-0");
    // The new file of segments 0 and 1 is there, and noted; segment 2 has one that nobody noted.
    std::fs::copy(bench.file(1), folder.join("00000000000000000000.cleaned")).unwrap();
    std::fs::copy(bench.file(1), folder.join("00000000000000000002.cleaned")).unwrap();
    let note: Vec<u8> = [0_i64, 1].iter().flat_map(|base| base.to_le_bytes()).collect();
    bench.shared.journal.set("gaps/id/0", 2_i64.to_le_bytes()).unwrap().forget();
    bench.shared.journal.set("swap/id/0", note).unwrap().wait().unwrap();
    let bench = bench.crash();
    let values: Vec<String> = table(&bench.partition).into_iter().map(|(.., value)| value).collect();
    assert_eq!(values, ["y", "z"]);
    assert!(!bench.file(1).exists() && bench.shared.journal.get("swap/id/0").is_none());
    assert!(!folder.join("00000000000000000002.cleaned").exists());
}
