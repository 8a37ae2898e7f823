//! Many starts, one after the other, leave nothing: not in the daemon, not in the kernel. `DHOW_STARTS=10000` for the long way.

use super::held::{bridge_of, descriptors, held, wait_held};
use dhow_testkit::{Daemon, is_root};
use std::{collections::BTreeMap, fs, time::Duration};

/// Figures that must stay flat, by name.
type Figures = BTreeMap<String, u64>;

/// Of the daemon: memory in KiB, descriptors, threads.
fn of_the_daemon(daemon: &Daemon) -> Figures {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let field = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    let descriptors = u64::try_from(descriptors(daemon)).unwrap();
    [
        ("daemon KiB", field("RssAnon:")),
        ("daemon threads", field("Threads:")),
        ("daemon descriptors", descriptors),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// Of the whole kernel: only a machine that does nothing else can be held to them.
fn of_the_kernel() -> Figures {
    let mut figures = Figures::new();
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    for line in read("/proc/cgroups").lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        let (name, number) = (words.next().unwrap(), words.nth(1).unwrap());
        figures.insert(format!("cgroups of {name}"), number.parse().unwrap());
    }
    for line in read("/proc/meminfo").lines() {
        let mut words = line.split_whitespace();
        let (name, number) = (words.next().unwrap(), words.next().unwrap());
        if ["Percpu:", "SUnreclaim:", "KernelStack:", "PageTables:"].contains(&name) {
            figures.insert(format!("{name} KiB"), number.parse().unwrap());
        }
    }
    for line in read("/proc/slabinfo").lines() {
        let mut words = line.split_whitespace();
        let (name, number) = (words.next().unwrap(), words.next().unwrap());
        if ["net_namespace", "mnt_cache", "pid_namespace", "pid_2"].contains(&name) {
            figures.insert(format!("{name} objects"), number.parse().unwrap());
        }
    }
    let mounts = read("/proc/self/mountinfo").lines().count();
    figures.insert("mounts".to_owned(), u64::try_from(mounts).unwrap());
    figures
}

/// Runs so many containers, four at a time.
fn start_many(daemon: &Daemon, starts: usize) {
    std::thread::scope(|scope| {
        for worker in 0..4 {
            scope.spawn(move || {
                for number in (worker..starts).step_by(4) {
                    let network = if number % 2 == 0 { "none" } else { "bridge" };
                    daemon.dhow(&["run", "--rm", "--network", network, "busybox", "true"]).ok();
                }
            });
        }
    });
}

#[test]
fn root_starts_leave_nothing() {
    if !is_root() {
        return;
    }
    let starts = std::env::var("DHOW_STARTS").ok().and_then(|text| text.parse().ok()).unwrap_or(200);
    let daemon = Daemon::start();
    let bridge = bridge_of(&daemon);
    // what is made once and kept: threads, pools, caches
    start_many(&daemon, 40 + starts / 10);
    std::thread::sleep(Duration::from_secs(1));
    let (things, before, kernel) = (held(&daemon, &bridge), of_the_daemon(&daemon), of_the_kernel());
    start_many(&daemon, starts);
    wait_held(&daemon, &bridge, &things, "afterwards");
    // the kernel frees namespaces and cgroups in the background
    std::thread::sleep(Duration::from_secs(3));
    let (after, kernel_after) = (of_the_daemon(&daemon), of_the_kernel());
    #[allow(clippy::print_stdout, reason = "shown with --nocapture")]
    for (name, value) in after.iter().chain(&kernel_after) {
        let old = before.get(name).or_else(|| kernel.get(name)).copied().unwrap_or_default();
        println!("{name}: {old} → {value} after {starts} starts");
    }
    let grown = |name: &str| after[name].saturating_sub(before[name]);
    assert!(grown("daemon descriptors") <= 4, "{before:?} {after:?}");
    assert!(grown("daemon threads") <= 8, "{before:?} {after:?}");
    // less than half a KiB a start: what is kept of one (a name, a record) would be more
    let allowed = 4096 + u64::try_from(starts).unwrap() / 2;
    assert!(grown("daemon KiB") <= allowed, "{before:?} {after:?}");
    daemon.finish();
}
