use super::*;
use crate::{flush::Flusher, journal::Journal, testing::Folder};

fn open(folder: &Folder) -> Catalog {
    let flusher = Flusher::start().unwrap();
    let journal = Arc::new(Journal::open(folder.path(), Arc::clone(&flusher)).unwrap());
    Catalog::open(folder.path(), Shared { journal, flusher }).unwrap()
}

#[test]
fn topics_last() {
    let folder = Folder::new();
    let catalog = open(&folder);
    let overrides = Overrides::from([("retention.ms".to_owned(), "1000".to_owned())]);
    let (made, ticket) = catalog.create("orders", 3, 3, overrides).unwrap();
    ticket.wait().unwrap();
    catalog.create("gone", 1, 1, Overrides::new()).unwrap().1.wait().unwrap();
    catalog.grow("orders", 4).unwrap().1.wait().unwrap();
    let (gone, ticket) = catalog.delete("gone").unwrap();
    ticket.wait().unwrap();
    catalog.sweep(&gone).unwrap();
    drop(catalog);
    let catalog = open(&folder);
    let orders = catalog.named("orders").unwrap();
    assert_eq!((orders.id, orders.partitions.len(), orders.replication), (made.id, 4, 3));
    assert_eq!(orders.partitions[3].config().retention_ms, Some(1000));
    assert!(catalog.named("gone").is_none() && catalog.with_id(gone.id).is_none());
    assert!(!folder.path().join("gone-0").exists());
}

#[test]
fn names_that_are_none() {
    let folder = Folder::new();
    let catalog = open(&folder);
    catalog.create("a.b", 1, 1, Overrides::new()).unwrap().1.wait().unwrap();
    for (name, kind) in [
        ("", Kind::InvalidName),
        ("..", Kind::InvalidName),
        ("a/b", Kind::InvalidName),
        ("a_b", Kind::InvalidName),
        ("a.b", Kind::Exists),
    ] {
        assert_eq!(catalog.create(name, 1, 1, Overrides::new()).unwrap_err().kind, kind, "{name}");
    }
    assert_eq!(catalog.create(&"x".repeat(250), 1, 1, Overrides::new()).unwrap_err().kind, Kind::InvalidName);
    assert_eq!(catalog.create("none", 0, 1, Overrides::new()).unwrap_err().kind, Kind::InvalidPartitions);
    assert_eq!(catalog.grow("a.b", 1).unwrap_err().kind, Kind::InvalidPartitions);
}

#[test]
fn folders_of_no_topic_are_not_taken_over() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path().join("orders-0")).unwrap();
    std::fs::write(folder.path().join("orders-0/00000000000000000000.log"), b"left").unwrap();
    let catalog = open(&folder);
    catalog.create("orders", 1, 1, Overrides::new()).unwrap().1.wait().unwrap();
    assert_eq!(std::fs::read_dir(folder.path().join("orders-0")).unwrap().count(), 0);
}
