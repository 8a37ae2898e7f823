use super::*;
use crate::{
    Durability, Isolation, Storage,
    groups::{Committed, Groups, Limits},
    testing::{Folder, block_on},
    topics::config::Values,
};
use dhow_kafka::batch::Builder;

const SESSION: i64 = 60_000;

struct Bench {
    folder: Folder,
    storage: Storage,
    txns: Txns,
}

impl Bench {
    fn new() -> Self {
        let bench = Self::open(Folder::new());
        bench.storage.topics.create("t", 2, 1, Values::new()).unwrap();
        bench
    }

    fn open(folder: Folder) -> Self {
        let storage = Storage::open(folder.path(), Values::new()).unwrap();
        let txns = Txns::open(Arc::clone(&storage.journal));
        Self { folder, storage, txns }
    }

    fn restart(self) -> Self {
        let Self { folder, storage, txns } = self;
        drop((storage, txns));
        Self::open(folder)
    }

    fn init(&self, said: Option<Identity>) -> Outcome<Identity> {
        block_on(self.txns.initialise(&self.storage, "x", SESSION, said, 0))
    }

    fn end(&self, identity: Identity, marker: Marker, bump: bool) -> Outcome<Identity> {
        block_on(self.txns.end(&self.storage, "x", identity, marker, bump, 0))
    }

    /// Enlists and writes one record.
    fn write(&self, identity: Identity, partition: i32, sequence: i32) {
        let place = ("t".to_owned(), partition);
        if let Some(ticket) = self.txns.enlist("x", identity, [place], None, 0).unwrap() {
            ticket.wait().unwrap();
        }
        let mut builder = Builder::new().producer(identity.id, identity.epoch, sequence).transactional();
        builder.push(0, None, Some(b"value"), &[]);
        let topic = self.storage.topics.get("t").unwrap();
        let appended =
            topic.partition(partition).unwrap().append(&mut builder.build().unwrap(), Durability::Synced);
        appended.unwrap().ticket.wait().unwrap();
    }

    /// Last stable offset, end, and number of aborted transactions of a partition.
    fn seen(&self, partition: i32) -> (i64, i64, usize) {
        let topic = self.storage.topics.get("t").unwrap();
        let partition = topic.partition(partition).unwrap();
        let slice = partition.read(0, 1 << 20, Isolation::Committed, true).unwrap();
        (slice.stable, partition.offsets().unwrap().end, slice.aborted.len())
    }
}

#[test]
fn a_committed_transaction_is_seen_as_one_in_all_partitions() {
    let bench = Bench::new();
    let identity = bench.init(None).unwrap();
    assert_eq!(identity.epoch, 0);
    bench.write(identity, 0, 0);
    bench.write(identity, 1, 0);
    assert_eq!((bench.seen(0), bench.seen(1)), ((0, 1, 0), (0, 1, 0)));
    assert_eq!(bench.end(identity, Marker::Commit, false), Ok(identity));
    assert_eq!((bench.seen(0), bench.seen(1)), ((2, 2, 0), (2, 2, 0)));
    assert_eq!(bench.end(identity, Marker::Commit, false), Ok(identity), "asked again");
    assert_eq!(bench.end(identity, Marker::Abort, false), Err(Code::InvalidTxnState));
    bench.write(identity, 0, 1);
    bench.end(identity, Marker::Abort, false).unwrap();
    assert_eq!((bench.seen(0), bench.seen(1)), ((4, 4, 1), (2, 2, 0)));
    let place = ("t".to_owned(), 0);
    assert_eq!(bench.txns.verify("x", identity, &place), Err(Code::InvalidTxnState));
}

#[test]
fn a_producer_that_comes_again_fences_the_one_before_and_aborts_its_transaction() {
    let bench = Bench::new();
    let old = bench.init(None).unwrap();
    bench.write(old, 0, 0);
    assert_eq!(
        bench.init(None),
        Err(Code::ConcurrentTransactions),
        "the first answer: its transaction has been aborted"
    );
    let new = bench.init(None).unwrap();
    assert_eq!((new.id, new.epoch), (old.id, 2));
    assert_eq!(bench.seen(0), (2, 2, 1));
    assert_eq!(bench.end(old, Marker::Commit, false), Err(Code::ProducerFenced));
    assert_eq!(bench.txns.enlist("x", old, [], None, 0).unwrap_err(), Code::ProducerFenced);
    assert_eq!(bench.init(Some(old)), Err(Code::ProducerFenced));
    let next = bench.init(Some(new)).unwrap();
    assert_eq!(bench.init(Some(new)), Ok(next), "it did not hear the answer");
}

#[test]
fn version_2_goes_on_in_the_next_epoch() {
    let bench = Bench::new();
    let first = bench.init(None).unwrap();
    bench.write(first, 0, 0);
    let second = bench.end(first, Marker::Commit, true).unwrap();
    assert_eq!((second.id, second.epoch), (first.id, first.epoch + 1));
    assert_eq!(bench.end(first, Marker::Commit, true), Ok(second), "asked again");
    bench.write(second, 0, 0);
    let third = bench.end(second, Marker::Abort, true).unwrap();
    assert_eq!(bench.seen(0), (4, 4, 1));
    // Nothing was written: the epoch moves all the same.
    assert_eq!(bench.end(third, Marker::Abort, true).unwrap().epoch, third.epoch + 1);
    assert_eq!(bench.end(third, Marker::Commit, true), Err(Code::ProducerFenced));
}

#[test]
fn epochs_that_are_used_up_bring_a_new_id() {
    let bench = Bench::new();
    let mut identity = bench.init(None).unwrap();
    bench.txns.lock().txns.get_mut("x").unwrap().identity.epoch = i16::MAX - 1;
    identity.epoch = i16::MAX - 1;
    bench.write(identity, 0, 0);
    let next = bench.end(identity, Marker::Commit, true).unwrap();
    assert!(next.id != identity.id && next.epoch == 0);
    assert_eq!(bench.seen(0), (2, 2, 0));
    bench.write(next, 0, 0);
    assert_eq!(bench.end(identity, Marker::Commit, true), Err(Code::InvalidProducerIdMapping));
}

#[test]
fn a_transaction_that_takes_too_long_is_aborted() {
    let bench = Bench::new();
    let identity = bench.init(None).unwrap();
    let mut context = Context::from_waker(Waker::noop());
    assert_eq!(bench.txns.poll_earlier(None, &mut context), Poll::Pending);
    bench.write(identity, 0, 0);
    assert_eq!(bench.txns.poll_earlier(None, &mut context), Poll::Ready(()));
    assert_eq!(bench.txns.deadline(), Some(SESSION));
    block_on(bench.txns.tick(&bench.storage, SESSION - 1));
    assert_eq!(bench.seen(0), (0, 1, 0));
    block_on(bench.txns.tick(&bench.storage, SESSION));
    assert_eq!((bench.seen(0), bench.txns.deadline()), ((2, 2, 1), None));
    assert_eq!(bench.end(identity, Marker::Commit, false), Err(Code::ProducerFenced));
}

#[test]
fn what_was_decided_happens_after_a_crash_and_what_was_not_is_still_open() {
    let bench = Bench::new();
    let identity = bench.init(None).unwrap();
    bench.write(identity, 0, 0);
    let bench = bench.restart();
    assert_eq!((bench.seen(0), bench.txns.deadline()), ((0, 1, 0), Some(SESSION)));
    bench.write(identity, 1, 0);
    // The decision is in the journal, and the process dies before the first marker.
    {
        let mut all = bench.txns.lock();
        let txn = all.txns.get_mut("x").unwrap();
        txn.end(identity, Marker::Commit, false, 99, 0).unwrap();
        bench.txns.save("x", txn, Vec::new()).unwrap().wait().unwrap();
    }
    let bench = bench.restart();
    assert_eq!(bench.txns.deadline(), Some(0), "due at once");
    block_on(bench.txns.tick(&bench.storage, 0));
    assert_eq!((bench.seen(0), bench.seen(1)), ((2, 2, 0), (2, 2, 0)));
    assert_eq!(bench.txns.describe("x").unwrap().state, State::CompleteCommit);
}

#[test]
fn names_that_look_like_keys_of_the_journal_are_names() {
    let bench = Bench::new();
    let init = |id: &str| block_on(bench.txns.initialise(&bench.storage, id, SESSION, None, 0));
    let identity = init("txn/txn/a").unwrap();
    assert_eq!(init("a\0b"), Err(Code::InvalidRequest));
    let bench = bench.restart();
    let names: Vec<String> = bench.txns.list().into_iter().map(|(id, _)| id).collect();
    assert_eq!(
        (names, bench.txns.describe("txn/txn/a").unwrap().identity),
        (vec!["txn/txn/a".to_owned()], identity)
    );
}

#[test]
fn who_hangs_up_while_his_transaction_ends_does_not_stop_it() {
    let bench = Bench::new();
    let identity = bench.init(None).unwrap();
    bench.write(identity, 0, 0);
    {
        let mut end = std::pin::pin!(bench.txns.end(&bench.storage, "x", identity, Marker::Commit, false, 0));
        let mut context = Context::from_waker(Waker::noop());
        assert!(end.as_mut().poll(&mut context).is_pending());
    }
    assert_eq!(bench.txns.deadline(), Some(0));
    block_on(bench.txns.tick(&bench.storage, 0));
    assert_eq!(bench.seen(0), (2, 2, 0));
}

#[test]
fn offsets_count_when_their_transaction_is_committed() {
    let bench = Bench::new();
    let groups = Groups::open(Arc::clone(&bench.storage.journal), Limits::default(), 0);
    let place = ("t".to_owned(), 1);
    let commit = |identity, offset| {
        let committed = Committed { offset, leader_epoch: -1, timestamp: 0, metadata: "m".to_owned() };
        bench
            .txns
            .commit_offsets("x", identity, "g", &[(place.clone(), committed)], 0)
            .unwrap()
            .wait()
            .unwrap();
    };
    let seen = || {
        (groups.committed("g", &place).map(|committed| committed.offset), bench.txns.is_pending("g", &place))
    };
    let identity = bench.init(None).unwrap();
    commit(identity, 7);
    assert_eq!(seen(), (None, true));
    bench.end(identity, Marker::Commit, false).unwrap();
    assert_eq!(seen(), (Some(7), false));
    commit(identity, 9);
    bench.end(identity, Marker::Abort, false).unwrap();
    assert_eq!(seen(), (Some(7), false));
    commit(identity, 11);
    let stranger = bench.init(None);
    assert_eq!((stranger, seen()), (Err(Code::ConcurrentTransactions), (Some(7), false)));
}
