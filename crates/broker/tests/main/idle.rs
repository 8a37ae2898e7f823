//! What partitions cost that nobody uses.

use crate::support::{Folder, batch};
use dhow_broker::{Durability, Storage, topics::config::Values};

/// Bytes of this process that are in memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

fn count(folder: &str) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

/// Alone in its process: the other tests use memory and files too.
#[test]
#[ignore = "run by `a_thousand_idle_partitions_cost_less_than_a_megabyte`"]
fn measure() {
    let folder = Folder::new();
    let storage = Storage::open(folder.path(), Values::new()).unwrap();
    storage.topics.create("idle", 1000, 1, Values::new()).unwrap();
    storage.close().unwrap();
    drop(storage);
    let (memory, files, threads) = (resident(), count("/proc/self/fd"), count("/proc/self/task"));
    let began = std::time::Instant::now();
    let storage = Storage::open(folder.path(), Values::new()).unwrap();
    let topic = storage.topics.get("idle").unwrap();
    let appended = topic.partitions[7].append(&mut batch(0, (0, 0), 100), Durability::Synced).unwrap();
    appended.ticket.wait().unwrap();
    let took = began.elapsed();
    let grown = resident().saturating_sub(memory);
    assert!(grown < 1024 * 1024, "{grown} bytes");
    assert_eq!(count("/proc/self/task"), threads + 1, "the flusher is the only thread");
    assert!(count("/proc/self/fd") <= files + 3, "journal, lock, and the partition that was used");
    assert!(took < std::time::Duration::from_secs(2), "{took:?} to the first record");
}

#[test]
fn a_thousand_idle_partitions_cost_less_than_a_megabyte() {
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["idle::measure", "--exact", "--ignored"])
        .status()
        .unwrap();
    assert!(status.success());
}
