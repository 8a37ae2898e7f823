//! A disk that is full.

use crate::support::{Folder, batch, records};
use dhow_broker::{Durability, Kind, Storage, topics::config::Values};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// A file system of 4 MiB.
struct Small(Folder);

impl Small {
    fn new() -> Self {
        let folder = Folder::new();
        mount("tmpfs", folder.path(), "tmpfs", MountFlags::empty(), Some(c"size=4m")).unwrap();
        Self(folder)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        unmount(self.0.path(), UnmountFlags::DETACH).unwrap();
    }
}

#[test]
fn root_a_full_disk_fails_the_append_and_nothing_else() {
    if !rustix::process::geteuid().is_root() {
        return crate::tools::skipped("mounting needs root");
    }
    let small = Small::new();
    let storage = Storage::open(small.0.path(), Values::new()).unwrap();
    let topic = storage.topics.create("t", 1, 1, Values::new()).unwrap();
    let partition = &topic.partitions[0];
    let append = |number| {
        let appended = partition.append(&mut batch(0, (0, number), 30_000), Durability::Synced)?;
        appended.ticket.wait()
    };
    let stored = (0..).find(|&number| append(number).is_err()).unwrap();
    assert!(stored > 50, "{stored}");
    let error = append(stored).unwrap_err();
    assert!(error.kind == Kind::Storage && error.to_string().contains("No space left"), "{error}");
    assert_eq!(records(partition).len(), stored as usize, "consumers go on");
    // The journal has its own way to be full.
    let filled = std::fs::write(small.0.path().join("ballast"), vec![1; 4 << 20]);
    assert!(filled.is_err());
    let large = || storage.journal.set("large", vec![1; 200_000]);
    assert_eq!(large().map(drop).unwrap_err().kind, Kind::Storage);
    assert_eq!(storage.journal.get("large"), None, "nothing has changed");
    // Space comes back, and the same producer goes on where it was.
    std::fs::remove_file(small.0.path().join("ballast")).unwrap();
    let path = small.0.path().join("logs/t-0/00000000000000000000.log");
    rustix::mount::mount_remount(small.0.path(), MountFlags::empty(), "size=8m").unwrap();
    (stored..stored + 10).for_each(|number| append(number).unwrap());
    large().unwrap().wait().unwrap();
    storage.close().unwrap();
    drop((topic, storage));
    assert!(path.metadata().unwrap().len() > 1 << 20);
    let storage = Storage::open(small.0.path(), Values::new()).unwrap();
    assert_eq!(storage.journal.get("large").unwrap().len(), 200_000);
    let all = records(&storage.topics.get("t").unwrap().partitions[0]);
    let numbers: Vec<u32> = all.iter().map(|(_, (_, number))| *number).collect();
    assert_eq!(numbers, (0..stored + 10).collect::<Vec<_>>());
}
