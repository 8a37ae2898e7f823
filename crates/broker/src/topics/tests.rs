use crate::{Kind, Storage, testing::Folder, topics::config::Values};
use dhow_kafka::batch::Builder;

fn open(folder: &Folder) -> Storage {
    Storage::open(folder.path(), Values::new()).unwrap()
}

fn values(name: &str, value: &str) -> Values {
    [(name.to_owned(), value.to_owned())].into()
}

fn batch() -> Vec<u8> {
    let mut builder = Builder::new();
    builder.push(0, None, Some(b"value"), &[]);
    builder.build().unwrap()
}

fn put(storage: &Storage, topic: &str, partition: i32) -> i64 {
    let topic = storage.topics.get(topic).unwrap();
    let appended =
        topic.partition(partition).unwrap().append(&mut batch(), crate::Durability::Synced).unwrap();
    appended.ticket.wait().unwrap();
    appended.base_offset
}

#[test]
fn topics_survive_with_id_partitions_and_configuration() {
    let folder = Folder::new();
    let storage = open(&folder);
    let id = storage.topics.create("orders", 3, 3, values("retention.ms", "5")).unwrap().id;
    assert_eq!((put(&storage, "orders", 2), put(&storage, "orders", 2)), (0, 1));
    storage.topics.grow("orders", 5).unwrap();
    storage.topics.configure("orders", values("flush", "kafka")).unwrap();
    assert_eq!(put(&storage, "orders", 2), 2, "the partition is the same one");
    assert!(storage.topics.get("orders").unwrap().partitions[2].config().page_cache);
    let (cluster, producer) = (storage.cluster_id.clone(), storage.producer_id().unwrap());
    assert_eq!(cluster.len(), 22);
    storage.close().unwrap();
    drop(storage);
    let storage = open(&folder);
    let topic = storage.topics.by_id(id).unwrap();
    assert_eq!((topic.name.as_str(), topic.partitions.len(), topic.replication), ("orders", 5, 3));
    assert_eq!(topic.configs, values("flush", "kafka"));
    assert_eq!(put(&storage, "orders", 2), 3);
    assert_eq!(storage.cluster_id, cluster);
    assert!(storage.producer_id().unwrap() > producer);
}

#[test]
fn a_data_folder_has_one_broker() {
    let folder = Folder::new();
    let storage = open(&folder);
    let error = Storage::open(folder.path(), Values::new()).unwrap_err();
    assert!(error.to_string().contains("another broker"), "{error}");
    drop(storage);
    std::fs::write(folder.path().join("format"), "dhow-broker 2\n").unwrap();
    assert!(Storage::open(folder.path(), Values::new()).unwrap_err().to_string().contains("dhow-broker 2"));
}

#[test]
fn what_cannot_be_made_is_refused() {
    let folder = Folder::new();
    let storage = open(&folder);
    storage.topics.create("a.b", 1, 1, Values::new()).unwrap();
    let kind = |name: &str, partitions, configs| {
        storage.topics.create(name, partitions, 1, configs).unwrap_err().kind
    };
    assert_eq!(kind("a.b", 1, Values::new()), Kind::Exists);
    assert_eq!(kind("a_b", 1, Values::new()), Kind::InvalidName);
    assert_eq!(kind("new", 0, Values::new()), Kind::InvalidPartitions);
    assert_eq!(kind("new", 1, values("no.such", "1")), Kind::Invalid);
    std::fs::create_dir(folder.path().join("logs/orphan-1")).unwrap();
    assert_eq!(kind("orphan", 2, Values::new()), Kind::Storage);
    assert!(!folder.path().join("logs/orphan-0").exists(), "what was made on the way is gone");
    assert!(folder.path().join("logs/orphan-1").exists(), "what was there is not touched");
    assert_eq!(storage.topics.grow("a.b", 1).unwrap_err().kind, Kind::InvalidPartitions);
    assert_eq!(storage.topics.delete("none").unwrap_err().kind, Kind::NotFound);
}

#[test]
fn a_deleted_topic_leaves_its_name_free_at_once() {
    let folder = Folder::new();
    let storage = open(&folder);
    let old = storage.topics.create("orders", 1, 1, Values::new()).unwrap();
    put(&storage, "orders", 0);
    storage.topics.delete("orders").unwrap();
    assert_eq!(
        old.partitions[0].append(&mut batch(), crate::Durability::Synced).unwrap_err().kind,
        Kind::NotFound
    );
    let new = storage.topics.create("orders", 1, 1, Values::new()).unwrap();
    assert!(new.id != old.id && storage.topics.by_id(old.id).is_none());
    assert_eq!(put(&storage, "orders", 0), 0);
}

#[test]
fn a_removal_that_a_crash_interrupted_goes_on() {
    let folder = Folder::new();
    let storage = open(&folder);
    storage.topics.create("keep", 1, 1, Values::new()).unwrap();
    put(&storage, "keep", 0);
    // The crash came right after the note.
    let again = br#"{"name":"keep","partitions":1}"#;
    let note =
        |id: &str, note: &[u8]| storage.journal.set(format!("deleting/{id}"), note).unwrap().wait().unwrap();
    note("00", br#"{"name":"gone","partitions":1}"#);
    note("11", again);
    std::fs::create_dir(folder.path().join("logs/gone-0")).unwrap();
    std::fs::create_dir(folder.path().join("logs/11-0.delete")).unwrap();
    drop(storage);
    let storage = open(&folder);
    let left = || storage.journal.scan("deleting/").len();
    while left() > 0 {
        std::thread::yield_now();
    }
    let mut names: Vec<_> = std::fs::read_dir(folder.path().join("logs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["keep-0"], "a topic made again under the old name stays");
    assert_eq!(put(&storage, "keep", 0), 1);
}
