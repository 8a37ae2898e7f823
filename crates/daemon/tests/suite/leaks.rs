//! Many starts, one after the other, leave nothing: not in the daemon, not in the kernel. `DHOW_STARTS=10000` for the long way.

use super::held::{bridge_of, descriptors, held, wait_held};
use dhow_testkit::{Daemon, is_root};
use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

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

/// Of the whole kernel, where others have some too.
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
    // an emulated processor takes its time
    let usual = if std::env::var_os("DHOW_EMULATED").is_some() { 60 } else { 200 };
    let starts = std::env::var("DHOW_STARTS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    let daemon = Daemon::start();
    let bridge = bridge_of(&daemon);
    // what is made once and kept: threads, pools, caches
    start_many(&daemon, 40 + starts / 10);
    std::thread::sleep(Duration::from_secs(1));
    let (things, before, kernel) = (held(&daemon, &bridge), of_the_daemon(&daemon), of_the_kernel());
    start_many(&daemon, starts);
    wait_held(&daemon, &bridge, &things, "afterwards");
    let (after, kernel_after) = settled(&kernel, starts);
    let after_daemon = of_the_daemon(&daemon);
    #[allow(clippy::print_stdout, reason = "shown with --nocapture")]
    for (name, value) in after_daemon.iter().chain(&kernel_after) {
        let old = before.get(name).or_else(|| kernel.get(name)).copied().unwrap_or_default();
        println!("{name}: {old} → {value} after {starts} starts");
    }
    assert!(after.is_empty(), "of the kernel after {starts} starts: {after:#?}");
    let grown = |name: &str| after_daemon[name].saturating_sub(before[name]);
    assert!(grown("daemon descriptors") <= 4, "{before:?} {after_daemon:?}");
    assert!(grown("daemon threads") <= 8, "{before:?} {after_daemon:?}");
    // less than half a KiB a start: what is kept of one (a name, a record) would be more
    let allowed = 4096 + u64::try_from(starts).unwrap() / 2;
    assert!(grown("daemon KiB") <= allowed, "{before:?} {after_daemon:?}");
    daemon.finish();
}

/// What the kernel has too much of, and all it has, once it has freed namespaces and cgroups in the background. One object for every second start,
/// which is what a leak of any kind of container would leave, is too much anywhere; memory is only judged where nobody else is at work.
fn settled(before: &Figures, starts: usize) -> (Vec<String>, Figures) {
    let alone = ["DHOW_STARTS", "DHOW_EMULATED"].iter().any(|name| std::env::var_os(name).is_some());
    let starts = u64::try_from(starts).unwrap();
    let began = Instant::now();
    loop {
        let now = of_the_kernel();
        let too_much = now.iter().filter_map(|(name, value)| {
            let old = before.get(name).copied().unwrap_or_default();
            let allowed = if name.ends_with("KiB") {
                if !alone {
                    return None;
                }
                16 * 1024 + starts
            } else {
                starts / 2
            };
            (value.saturating_sub(old) >= allowed).then(|| format!("{name}: {old} → {value}"))
        });
        let too_much: Vec<String> = too_much.collect();
        if too_much.is_empty() || began.elapsed() > Duration::from_secs(60) {
            return (too_much, now);
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}
