use super::{Change, Journal, file};
use crate::{flush::Flusher, testing::Folder};
use proptest::prelude::*;
use std::collections::BTreeMap;

type Model = BTreeMap<String, Vec<u8>>;

fn open(folder: &Folder) -> Journal {
    Journal::open(folder.path(), Flusher::start().unwrap()).unwrap()
}

fn all(journal: &Journal) -> Model {
    journal.scan("").into_iter().map(|(key, value)| (key, value.to_vec())).collect()
}

fn put(key: &str, value: &[u8]) -> Change {
    (key.to_owned(), Some(value.into()))
}

#[test]
fn keeps_what_was_put_and_scans_by_prefix() {
    let folder = Folder::new();
    let journal = open(&folder);
    journal.put(vec![put("b/1", b"one"), put("a/2", b"")]).unwrap().forget();
    journal.put(vec![put("b/3", b"three"), ("b/1".to_owned(), None)]).unwrap().wait().unwrap();
    assert_eq!(journal.scan("b/"), [("b/3".to_owned(), b"three".as_slice().into())]);
    drop(journal);
    let expected = Model::from([("a/2".to_owned(), Vec::new()), ("b/3".to_owned(), b"three".to_vec())]);
    assert_eq!(all(&open(&folder)), expected);
}

#[test]
fn what_was_waited_for_is_in_the_file_before_it_is_closed() {
    let folder = Folder::new();
    let journal = open(&folder);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let journal = &journal;
            scope.spawn(move || {
                for n in 0..50 {
                    journal.set(format!("{thread}/{n}"), [thread; 100]).unwrap().wait().unwrap();
                }
            });
        }
    });
    let bytes = std::fs::read(folder.path().join("journal")).unwrap();
    assert_eq!(file::replay(&bytes).ok().unwrap().live.len(), 400);
    assert_eq!(journal.0.progress.waiters(), 0, "nobody is forgotten in the list");
}

#[test]
fn rewrites_itself_when_most_of_it_is_garbage() {
    let folder = Folder::new();
    let journal = open(&folder);
    let value = vec![7; 100_000];
    std::thread::scope(|scope| {
        // Somebody who puts while snapshots are taken.
        scope.spawn(|| {
            (0..600_u32).for_each(|n| journal.set(format!("small/{n}"), n.to_le_bytes()).unwrap().forget())
        });
        for n in 0..60_u8 {
            journal
                .put(vec![put("same", &[&[n], value.as_slice()].concat()), put(&format!("key/{n}"), &[n])])
                .unwrap()
                .wait()
                .unwrap();
        }
    });
    let before = all(&journal);
    drop(journal);
    let size = std::fs::metadata(folder.path().join("journal")).unwrap().len();
    assert!(size < 2_000_000, "{size} bytes for 100 kB of live records");
    assert_eq!(all(&open(&folder)), before);
    assert_eq!((before["same"][0], before.len()), (59, 661));
}

/// The file after `steps`, each waited for, and the number of its bytes after each of them.
fn written(steps: &[Vec<Change>]) -> (Vec<u8>, Vec<u64>) {
    let folder = Folder::new();
    let journal = open(&folder);
    let ends = steps.iter().map(|step| {
        journal.put(step.clone()).unwrap().wait().unwrap();
        journal.0.lock().tail.end()
    });
    let ends = ends.collect();
    drop(journal);
    (std::fs::read(folder.path().join("journal")).unwrap(), ends)
}

fn steps() -> impl Strategy<Value = Vec<Vec<Change>>> {
    // No frame ends in zeros: cut off and preallocated, it would be whole.
    let bytes = prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| [bytes.as_slice(), b"."].concat());
    let value = prop::option::weighted(0.8, bytes);
    let change = ("[a-c]/[0-9]", value).prop_map(|(key, value)| (key, value.map(Into::into)));
    prop::collection::vec(prop::collection::vec(change, 1..4), 1..10)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// The power fails after any byte, with or without zeros behind it: whole frames are there, nothing else.
    #[test]
    fn a_torn_tail_is_cut_at_any_byte(steps in steps()) {
        let (bytes, ends) = written(&steps);
        for cut in 0..=bytes.len() {
            let whole = ends.iter().filter(|&&end| end <= cut as u64).count();
            let mut model = file::Live::new();
            steps[..whole].iter().for_each(|step| file::apply(&mut model, step.clone()));
            let zeros = [&bytes[..cut], &[0; 50]].concat();
            for torn in [&bytes[..cut], &zeros] {
                let replayed = file::replay(torn).map_err(|at| at.to_string());
                prop_assert_eq!(replayed.map(|replayed| replayed.live).ok(), Some(model.clone()));
            }
        }
    }

    /// A byte of what had been acknowledged is damaged: the journal never opens with less than that.
    #[test]
    fn damage_before_acknowledged_frames_is_refused(steps in steps(), at in any::<prop::sample::Index>()) {
        let (mut bytes, ends) = written(&steps);
        prop_assume!(ends.len() > 2);
        // Frame n says that the one before it is on disk: the last two are not vouched for.
        let vouched = usize::try_from(ends[ends.len() - 2]).unwrap();
        bytes[at.index(vouched)] ^= 0x40;
        prop_assert!(file::replay(&bytes).is_err());
    }
}

#[test]
fn a_snapshot_that_lost_its_end_is_refused() {
    let folder = Folder::new();
    let live = (0..1000_u32).map(|n| (format!("{n:04}"), n.to_le_bytes().as_slice().into())).collect();
    let _file = file::write_snapshot(folder.path(), &live, 7).unwrap();
    let bytes = std::fs::read(folder.path().join("journal.new")).unwrap();
    let replayed = file::replay(&bytes).ok().unwrap();
    assert_eq!((replayed.live.len(), replayed.number), (1000, 7));
    assert!(file::replay(&bytes[..bytes.len() - 1]).is_err());
}
