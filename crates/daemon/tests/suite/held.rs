//! What an engine holds on the machine: taken before and after, the difference is a leak.

use dhow_testkit::Daemon;
use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

fn entries(folder: &Path) -> BTreeSet<String> {
    let list = fs::read_dir(folder).into_iter().flatten().flatten();
    list.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// What the engine holds on the machine right now, but for what differs between two equal engines.
pub(super) fn held(daemon: &Daemon, bridge: &str) -> BTreeSet<String> {
    let mut held = BTreeSet::new();
    let mut note = |what: &str, names: &BTreeSet<String>| {
        held.extend(names.iter().map(|name| format!("{what} {name}")));
    };
    note("shim", &entries(&daemon.folder().join("run/shims")));
    note("writable layer", &entries(&daemon.folder().join("data/containers")));
    note("half-made", &entries(&daemon.folder().join("data/tmp")));
    note("volume", &entries(&daemon.folder().join("data/volumes")));
    note("port", &entries(&Path::new("/sys/class/net").join(bridge).join("brif")));
    // v1 has folders for hierarchies, v2 is one: the root itself
    for hierarchy in entries(Path::new("/sys/fs/cgroup")).into_iter().chain([String::new()]) {
        let parent = Path::new("/sys/fs/cgroup").join(&hierarchy).join(bridge);
        let groups = fs::read_dir(parent).into_iter().flatten().flatten();
        let groups = groups.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        note("cgroup", &groups.map(|e| e.path().to_string_lossy().into_owned()).collect());
    }
    let folder = daemon.folder().to_string_lossy().into_owned();
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    note("mount", &mounts.lines().filter(|line| line.contains(&folder)).map(str::to_owned).collect());
    let table = Command::new("nft").args(["list", "table", "inet", bridge]).output().unwrap();
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    note("nft", &table.lines().filter(|line| line.contains(". 80 }")).map(str::to_owned).collect());
    let mut shims = BTreeSet::new();
    for process in entries(Path::new("/proc")) {
        let command = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&command).contains(&format!("{folder}/run/shims/")) {
            shims.insert(process);
        }
    }
    note("process", &shims);
    held
}

#[track_caller]
pub(super) fn wait_held(daemon: &Daemon, bridge: &str, wanted: &BTreeSet<String>, when: &str) {
    let began = Instant::now();
    loop {
        let now = held(daemon, bridge);
        if now == *wanted {
            return;
        }
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{when}: too much {:#?}\ntoo little {:#?}",
            now.difference(wanted).collect::<Vec<_>>(),
            wanted.difference(&now).collect::<Vec<_>>()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub(super) fn descriptors(daemon: &Daemon) -> usize {
    entries(Path::new(&format!("/proc/{}/fd", daemon.pid()))).len()
}

pub(super) fn no_more_descriptors(daemon: &Daemon, before: usize) {
    let began = Instant::now();
    while descriptors(daemon) > before && began.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(50));
    }
    let now = descriptors(daemon);
    assert!(now <= before, "{now} descriptors, {before} before");
}

/// The default bridge's link, which is also the name of the instance's table and cgroup.
pub(super) fn bridge_of(daemon: &Daemon) -> String {
    let format = "{{index .Options \"com.docker.network.bridge.name\"}}";
    daemon.dhow(&["network", "inspect", "-f", format, "bridge"]).ok().to_owned()
}
