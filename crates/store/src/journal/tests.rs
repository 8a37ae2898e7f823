use super::{Journal, format};
use proptest::prelude::*;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

type Model = BTreeMap<String, Vec<u8>>;

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("dhow-journal-{}", crate::tree::random_hex()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn log(&self) -> PathBuf {
        self.0.join("log")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn all(journal: &Journal) -> Model {
    journal.scan("").into_iter().collect()
}

fn reopened(folder: &Path) -> Model {
    all(&Journal::open(folder).unwrap())
}

fn apply(model: &mut Model, key: &str, value: Option<&[u8]>) {
    match value {
        Some(value) => drop(model.insert(key.to_owned(), value.to_vec())),
        None => drop(model.remove(key)),
    }
}

#[test]
fn keeps_what_was_put_and_scans_by_prefix() {
    let folder = Folder::new();
    let journal = Journal::open(&folder.0).unwrap();
    journal.put("b/1", Some(b"one")).forget();
    journal.put("a/2", Some(b"")).forget();
    journal.put("b/3", Some(b"three")).forget();
    journal.put("b/1", None).wait().unwrap();
    assert_eq!(journal.scan("b/"), [("b/3".to_owned(), b"three".to_vec())]);
    drop(journal);
    let expected = Model::from([("a/2".to_owned(), Vec::new()), ("b/3".to_owned(), b"three".to_vec())]);
    assert_eq!(reopened(&folder.0), expected);
}

#[test]
fn what_is_put_while_the_file_is_rewritten_is_known_to_be_written_later() {
    let folder = Folder::new();
    let journal = Journal::open(&folder.0).unwrap();
    let at_once = journal.put("a", Some(b"1"));
    assert!(at_once.is_written());
    // as the thread does
    let rewriting = journal.shared.log.lock().unwrap();
    let late = journal.put("b", Some(b"2"));
    assert!(!late.is_written());
    assert!(!String::from_utf8_lossy(&std::fs::read(folder.log()).unwrap()).contains('2'));
    let waiting = std::thread::spawn(move || late.written());
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert!(!waiting.is_finished());
    drop(rewriting);
    // the thread sees to it, at its next sync at the latest; or whoever puts the next
    waiting.join().unwrap().unwrap();
    assert!(String::from_utf8_lossy(&std::fs::read(folder.log()).unwrap()).contains('2'));
}

#[test]
fn many_threads_share_syncs_and_lose_nothing() {
    let folder = Folder::new();
    let journal = Journal::open(&folder.0).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let journal = &journal;
            scope.spawn(move || {
                for n in 0..50 {
                    journal.put(&format!("{thread}/{n}"), Some(&[thread; 100])).wait().unwrap();
                }
            });
        }
    });
    // Everything was waited for: it must be in the file before the journal is closed.
    let copy = Folder::new();
    std::fs::copy(folder.log(), copy.log()).unwrap();
    assert_eq!(reopened(&copy.0).len(), 400);
}

#[test]
fn rewrites_itself_when_most_of_it_is_garbage() {
    let folder = Folder::new();
    let journal = Journal::open(&folder.0).unwrap();
    let value = vec![7; 100_000];
    for n in 0..60_u8 {
        journal.put("same", Some(&[&[n], value.as_slice()].concat())).wait().unwrap();
        journal.put(&format!("key/{n}"), Some(&[n])).wait().unwrap();
    }
    let before = all(&journal);
    drop(journal);
    let size = std::fs::metadata(folder.log()).unwrap().len();
    assert!(size < 2_000_000, "{size} bytes for 100 kB of live records");
    assert_eq!(reopened(&folder.0), before);
    assert_eq!(before["same"][0], 59);
}

/// Writes `steps`, waiting for each; returns the file and, after each step, its size.
fn written(steps: &[(String, Option<Vec<u8>>)]) -> (Vec<u8>, Vec<usize>) {
    let folder = Folder::new();
    let journal = Journal::open(&folder.0).unwrap();
    let mut ends = Vec::new();
    for (key, value) in steps {
        journal.put(key, value.as_deref()).wait().unwrap();
        ends.push(usize::try_from(std::fs::metadata(folder.log()).unwrap().len()).unwrap());
    }
    drop(journal);
    (std::fs::read(folder.log()).unwrap(), ends)
}

fn steps() -> impl Strategy<Value = Vec<(String, Option<Vec<u8>>)>> {
    let value = prop::option::weighted(0.8, prop::collection::vec(any::<u8>(), 0..40));
    prop::collection::vec(("[a-c]/[0-9]", value), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    /// The power fails after any byte: what had been acknowledged is there, nothing else is.
    #[test]
    fn survives_a_cut_after_any_byte(steps in steps()) {
        let (bytes, ends) = written(&steps);
        let folder = Folder::new();
        for cut in 0..=bytes.len() {
            std::fs::write(folder.log(), &bytes[..cut]).unwrap();
            let mut model = Model::new();
            for ((key, value), _) in steps.iter().zip(&ends).filter(|(_, end)| **end <= cut) {
                apply(&mut model, key, value.as_deref());
            }
            let journal = Journal::open(&folder.0).unwrap();
            prop_assert_eq!(all(&journal), model.clone(), "cut at {}", cut);
            // And it goes on from there.
            journal.put("z", Some(b"after")).wait().unwrap();
            drop(journal);
            model.insert("z".to_owned(), b"after".to_vec());
            prop_assert_eq!(reopened(&folder.0), model, "written after a cut at {}", cut);
        }
    }

    /// Pages of the last, unacknowledged write may arrive in any order or as zeros.
    #[test]
    fn a_torn_last_write_is_cut_off(steps in steps(), tail in prop::collection::vec(prop::option::of(any::<u8>()), 1..80)) {
        let (mut bytes, ends) = written(&steps);
        prop_assert_eq!(*ends.last().unwrap(), bytes.len());
        let mut torn = Vec::new();
        let end = bytes.len() as u64;
        for n in 0..4 {
            format::encode(&mut torn, &format!("torn/{n}"), Some(&[n; 8]), end).unwrap();
        }
        torn[0] ^= 0xff; // the first record of the batch never made it
        torn.extend(tail.iter().map(|b| b.unwrap_or(0)));
        bytes.extend(torn);
        let folder = Folder::new();
        std::fs::write(folder.log(), &bytes).unwrap();
        let mut model = Model::new();
        steps.iter().for_each(|(key, value)| apply(&mut model, key, value.as_deref()));
        prop_assert_eq!(reopened(&folder.0), model);
    }
}

#[test]
fn refuses_damage_to_what_had_been_acknowledged() {
    let steps: Vec<_> = (0..5).map(|n| (format!("key/{n}"), Some(vec![n; 30]))).collect();
    let (bytes, ends) = written(&steps);
    let folder = Folder::new();
    let mut damaged = bytes;
    damaged[ends[1] + 25] ^= 1;
    std::fs::write(folder.log(), &damaged).unwrap();
    let error = Journal::open(&folder.0).unwrap_err();
    assert!(error.source.unwrap().to_string().contains("acknowledged"));
    assert_eq!(std::fs::read(folder.log()).unwrap(), damaged, "the evidence is left alone");
}
