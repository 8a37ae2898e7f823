//! A broker that nobody uses sleeps.

use crate::{kcat::kcat, served::Served, support::Folder};
use std::time::Duration;

/// How often its threads have been woken, and how many there are.
fn wakes(broker: &Served) -> (u64, usize) {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", broker.pid())).unwrap();
    let counts = tasks.map(|task| {
        let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
        line.trim().parse::<u64>().unwrap()
    });
    let counts: Vec<u64> = counts.collect();
    (counts.iter().sum(), counts.len())
}

#[test]
fn an_idle_broker_is_never_woken() {
    let folder = Folder::new();
    let broker = Served::start(folder.path(), &["--partitions", "20"]);
    let Some(_) = kcat(&broker, &["-P", "-t", "orders", "-X", "acks=all"], "one\ntwo\n") else { return };
    // what was begun for the client ends; threads for blocking work go after ten seconds without
    let settle = Duration::from_secs(12);
    std::thread::sleep(settle);
    let before = wakes(&broker);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(wakes(&broker), before, "{}", broker.log());
    assert!(before.1 <= 8, "{} threads", before.1);
}
