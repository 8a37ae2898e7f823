//! Cgroups for real, on whichever version this machine has.

use crate::fixture::{Box, wait};
use dhow_oci::runtime as spec;
use dhow_runtime::{
    Host, OomWatch, Process, freeze, frozen, processes, remove_cgroups, stats, update, usage,
};
use std::fs;
use std::path::{Path, PathBuf};

/// Name and case.
pub(crate) const CASES: &[(&str, fn())] = &[
    ("root_cgroup_every_limit", every_limit),
    ("root_cgroup_update", updated),
    ("root_cgroup_oom_watch", oom_watch),
    ("root_cgroup_devices_replaced", devices_replaced),
    ("root_cgroup_nested_is_removed", nested_is_removed),
    ("root_cgroup_fork_bomb_is_removed", fork_bomb),
    ("root_cgroup_frozen_is_removed", frozen_is_removed),
    ("root_cgroup_namespace_is_the_containers", own_namespace),
    ("root_cgroup_exec_follows_init", exec_follows_init),
    ("root_cgroup_no_internal_processes", no_internal_processes),
    ("root_cgroup_hybrid", hybrid),
    ("root_cgroup_unified_keys", unified_keys),
    ("root_cgroup_systemd_scope", systemd_scope),
];

/// Says why a case is not run; where the machine was made for it that is a failure.
fn skip(reason: &str, required: &str) {
    assert!(std::env::var_os(required).is_none(), "{required} is set, but {reason}");
    println!("    skipped: {reason}");
}

fn needs_v2(host: &Host) -> bool {
    if !host.cgroup_v2() {
        skip("this machine limits by cgroup v1", "REQUIRE_V2");
    }
    host.cgroup_v2()
}

fn limited(json: &str) -> spec::Resources {
    serde_json::from_str(json).unwrap()
}

/// A box with these limits, and the usual device list.
fn boxed(args: &[&str], json: &str) -> Box {
    let mut b = Box::new(args);
    let devices = std::mem::take(&mut b.linux().resources.as_mut().unwrap().devices);
    b.linux().resources = Some(spec::Resources { devices, ..limited(json) });
    b
}

fn dirs(b: &Box) -> Vec<PathBuf> {
    b.plan().unwrap().cgroup_dirs().to_vec()
}

/// What a file of the container's says, v1's or v2's name.
fn file(dirs: &[PathBuf], v1: &str, v2: &str) -> String {
    let path = dirs.iter().flat_map(|dir| [dir.join(v2), dir.join(v1)]).find(|path| path.is_file());
    let path = path.unwrap_or_else(|| panic!("neither {v1} nor {v2} in {dirs:?}"));
    fs::read_to_string(&path).unwrap().trim().to_owned()
}

fn gone(b: Box, process: Process) {
    remove_cgroups(&dirs(&b)).unwrap();
    assert_eq!(wait(&process), 137);
    drop(process);
    b.done();
}

fn every_limit() {
    let b = boxed(
        &["probe", "hold"],
        r#"{"memory": {"limit": 67108864, "swap": 134217728, "reservation": 33554432},
            "cpu": {"shares": 2048, "quota": 50000, "period": 100000, "burst": 1000, "cpus": "0", "mems": "0"},
            "pids": {"limit": 50}, "hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}]}"#,
    );
    let (process, _read) = b.start().unwrap();
    let (dirs, v2) = (dirs(&b), b.host.cgroup_v2());
    let of = |old: &str, new: &str| if v2 { new.to_owned() } else { old.to_owned() };
    for (v1_file, v2_file, expected) in [
        ("memory.limit_in_bytes", "memory.max", "67108864".to_owned()),
        ("memory.soft_limit_in_bytes", "memory.low", "33554432".to_owned()),
        ("cpu.shares", "cpu.weight", of("2048", "174")),
        ("cpu.cfs_quota_us", "cpu.max", of("50000", "50000 100000")),
        ("cpu.cfs_burst_us", "cpu.max.burst", "1000".to_owned()),
        ("cpuset.cpus", "cpuset.cpus", "0".to_owned()),
        ("cpuset.mems", "cpuset.mems", "0".to_owned()),
        ("pids.max", "pids.max", "50".to_owned()),
        ("hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max", "4194304".to_owned()),
    ] {
        assert_eq!(file(&dirs, v1_file, v2_file), expected, "{v2_file}");
    }
    let all = stats(&dirs).unwrap();
    assert_eq!(
        (all.pids.limit, all.memory.usage.limit, all.cpuset.cpus.as_slice()),
        (50, 64 << 20, &[0][..])
    );
    assert!(
        all.memory.raw.len() > 10 && all.cpu.usage.total > 0 && all.hugetlb.contains_key("2MB"),
        "{all:?}"
    );
    if v2 {
        assert_eq!(file(&dirs, "", "memory.swap.max"), "67108864");
        assert!(
            usage(&dirs).unwrap().pressure.iter().all(Option::is_some)
                || !Path::new("/proc/pressure").exists()
        );
    }
    gone(b, process);
}

fn updated() {
    let b = boxed(
        &["probe", "hold"],
        r#"{"memory": {"limit": 67108864, "swap": 67108864}, "cpu": {"quota": 50000, "period": 100000}}"#,
    );
    let (process, _read) = b.start().unwrap();
    let (dirs, v2) = (dirs(&b), b.host.cgroup_v2());
    let change = |json: &str| update(&dirs, &limited(json), &b.host);
    // Up and down: each order of memory and swap is refused by v1 in one of them.
    for bytes in [268_435_456u64, 33_554_432] {
        change(&format!(r#"{{"memory": {{"limit": {bytes}, "swap": {bytes}}}}}"#)).unwrap();
        assert_eq!(file(&dirs, "memory.limit_in_bytes", "memory.max"), bytes.to_string());
    }
    change(r#"{"memory": {"swap": 67108864}}"#).unwrap();
    // One of two in a line: the other stays.
    change(r#"{"cpu": {"period": 50000}}"#).unwrap();
    change(r#"{"cpu": {"quota": 20000}}"#).unwrap();
    if v2 {
        assert_eq!(file(&dirs, "", "cpu.max"), "20000 50000");
        assert_eq!(file(&dirs, "", "memory.swap.max"), "33554432");
    } else {
        assert_eq!(file(&dirs, "cpu.cfs_quota_us", ""), "20000");
        assert_eq!(file(&dirs, "cpu.cfs_period_us", ""), "50000");
        assert_eq!(file(&dirs, "memory.memsw.limit_in_bytes", ""), "67108864");
    }
    // A controller that the start did not need (v2 switches it on now).
    change(r#"{"cpu": {"cpus": "0"}, "pids": {"limit": 7}}"#).unwrap();
    assert_eq!(file(&dirs, "cpuset.cpus", "cpuset.cpus"), "0");
    assert_eq!(file(&dirs, "pids.max", "pids.max"), "7");
    change(r#"{"pids": {"limit": -1}, "cpu": {"quota": -1}, "memory": {"limit": -1}}"#).unwrap();
    assert_eq!(file(&dirs, "pids.max", "pids.max"), "max");
    assert_eq!(usage(&dirs).unwrap().memory_limit, u64::MAX);
    // A limit below what is in use is refused beforehand, if asked.
    let error = change(r#"{"memory": {"limit": 4096, "checkBeforeUpdate": true}}"#).unwrap_err();
    assert!(error.detail.starts_with("unable to set memory limit to 4096 (current usage: "), "{error}");
    assert_eq!(usage(&dirs).unwrap().memory_limit, u64::MAX);
    gone(b, process);
}

fn oom_watch() {
    let b =
        boxed(&["probe", "parent-of-eater", "200"], r#"{"memory": {"limit": 67108864, "swap": 67108864}}"#);
    let mut process = b.create().unwrap();
    let dirs = dirs(&b);
    let mut watch = OomWatch::new(&dirs).unwrap().unwrap();
    process.go().unwrap();
    // Only a child is killed for it: the container goes on.
    let limit = rustix::event::Timespec { tv_sec: 60, tv_nsec: 0 };
    assert_eq!(watch.wait(Some(limit)).unwrap(), Some(1));
    assert_eq!(processes(&dirs).unwrap().first(), Some(&process.pid().as_raw_nonzero().get()));
    remove_cgroups(&dirs).unwrap();
    assert_eq!(watch.wait(Some(limit)).unwrap(), None);
    gone(b, process);
}

/// Whether the device list lets the container open a node of this number.
fn opens(b: &Box, process: &Process, name: &str, major: &str, minor: &str) -> bool {
    let args = ["probe", "device", name, major, minor].map(str::to_owned).to_vec();
    let out = b.exec(process, |p| p.args = args).unwrap().out;
    // Behind an allowed number there may still be no device.
    let errno = out.trim();
    assert!(["opened", "1", "6", "19"].contains(&errno), "{out}");
    errno != "1"
}

fn devices_replaced() {
    let b = Box::new(&["probe", "hold"]);
    let (process, _read) = b.start().unwrap();
    let dirs = dirs(&b);
    let mut nodes = (0..).map(|n| format!("/tmp/{n}"));
    let mut both = || {
        [("10", "200"), ("1", "3")]
            .map(|(major, minor)| opens(&b, &process, &nodes.next().unwrap(), major, minor))
    };
    assert_eq!(both(), [false, true]);
    let wider = r#"{"devices": [{"allow": false}, {"allow": true, "type": "c", "major": 10, "minor": 200}]}"#;
    update(&dirs, &limited(wider), &b.host).unwrap();
    assert_eq!(both(), [true, true]);
    update(&dirs, &limited(r#"{"devices": [{"allow": true}]}"#), &b.host).unwrap();
    assert_eq!(both(), [true, true]);
    update(&dirs, &limited(r#"{"devices": [{"allow": false}]}"#), &b.host).unwrap();
    assert_eq!(both(), [false, true]);
    if b.host.cgroup_v2() {
        // Replaced, not piled up.
        let folder = fs::File::open(&dirs[0]).unwrap();
        assert_eq!(dhow_sys::bpf::cgroup_devices(&folder).unwrap().len(), 1);
    }
    gone(b, process);
}

fn nested_is_removed() {
    let b = Box::new(&["probe", "hold"]);
    let (process, _read) = b.start().unwrap();
    let dirs = dirs(&b);
    let pid = process.pid().as_raw_nonzero().to_string();
    // What a container with a writable /sys/fs/cgroup makes of it.
    for dir in &dirs {
        fs::create_dir_all(dir.join("a/b")).unwrap();
        fs::create_dir(dir.join("c")).unwrap();
        for file in ["cpuset.cpus", "cpuset.mems"] {
            for below in ["a", "a/b"].map(|name| dir.join(name).join(file)).iter().filter(|p| p.exists()) {
                fs::write(below, fs::read_to_string(dir.join(file)).unwrap().trim()).unwrap();
            }
        }
        fs::write(dir.join("a/b/cgroup.procs"), &pid).unwrap();
    }
    assert_eq!(processes(&dirs).unwrap().len(), 1);
    gone(b, process);
}

fn fork_bomb() {
    let b = boxed(&["probe", "bomb"], r#"{"pids": {"limit": 40}}"#);
    let (process, _read) = b.start().unwrap();
    let dirs = dirs(&b);
    while usage(&dirs).unwrap().pids_refused == 0 {
        std::thread::yield_now();
    }
    gone(b, process);
}

fn frozen_is_removed() {
    let b = Box::new(&["probe", "hold"]);
    let (process, _read) = b.start().unwrap();
    let dirs = dirs(&b);
    freeze(&dirs, true).unwrap();
    assert!(frozen(&dirs).unwrap());
    gone(b, process);
}

fn own_namespace() {
    let mut b = Box::new(&["probe", "cat", "/proc/self/cgroup"]);
    let mine = |out: &str| {
        let lines: Vec<&str> = out.lines().collect();
        // A v1 machine shows every hierarchy; those the container is not in (a unified one without controllers) are where the caller is.
        let own = lines.iter().filter(|line| line.ends_with(":/")).count();
        (own, lines.len())
    };
    let (own, all) = mine(&b.run().unwrap().out);
    assert!(own >= dirs(&b).len() && own <= all, "{own} of {all}");
    b.process().args = vec!["probe".into(), "hold".into()];
    let (process, _read) = b.start().unwrap();
    let args = ["probe", "cat", "/proc/self/cgroup"].map(str::to_owned).to_vec();
    let out = b.exec(&process, |p| p.args = args).unwrap().out;
    assert_eq!(mine(&out), (own, all), "{out}");
    assert!(!out.contains(&b.name), "{out}");
    gone(b, process);
}

fn exec_follows_init() {
    let b = Box::new(&["probe", "hold"]);
    if !needs_v2(&b.host) {
        return b.done();
    }
    let (process, _read) = b.start().unwrap();
    let dir = &dirs(&b)[0];
    // As systemd does in a container: its processes go below, so that the controllers can be handed on.
    fs::create_dir(dir.join("init.scope")).unwrap();
    fs::write(dir.join("init.scope/cgroup.procs"), process.pid().as_raw_nonzero().to_string()).unwrap();
    fs::write(dir.join("cgroup.subtree_control"), "+memory +pids").unwrap();
    let args = ["probe", "cat", "/proc/self/cgroup"].map(str::to_owned).to_vec();
    assert_eq!(b.exec(&process, |p| p.args = args).unwrap().out, "0::/init.scope\n");
    gone(b, process);
}

fn no_internal_processes() {
    let mut b = boxed(&["probe", "exit", "0"], r#"{"memory": {"limit": 67108864}}"#);
    if !needs_v2(&b.host) {
        return b.done();
    }
    // A parent with a process of its own, and without controllers for its children.
    let parent = PathBuf::from("/sys/fs/cgroup").join(format!("{}-parent", b.name));
    fs::create_dir(&parent).unwrap();
    let mut inside = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    fs::write(parent.join("cgroup.procs"), inside.id().to_string()).unwrap();
    b.linux().cgroups_path = Some(format!("/{}-parent/x", b.name));
    let error = b.run().err().unwrap();
    assert!(error.detail.contains("processes of its own"), "{error}");
    // Without limits it is only not counted.
    b.linux().resources = None;
    assert_eq!(b.run().unwrap().code, 0);
    inside.kill().unwrap();
    inside.wait().unwrap();
    b.done();
    assert!(!parent.exists());
}

fn hybrid() {
    let mut b = boxed(&["probe", "hold"], r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}]}"#);
    let plan = b.plan().unwrap();
    let dirs = plan.cgroup_dirs();
    let last = dirs.last().unwrap();
    if b.host.cgroup_v2() || !plan.to_string().contains("hugetlb.2MB.max") {
        println!("    skipped: no controller is v2's here while others are v1's");
        return b.done();
    }
    let (process, _read) = b.start().unwrap();
    assert_eq!(fs::read_to_string(last.join("hugetlb.2MB.max")).unwrap(), "4194304\n");
    let pid = process.pid().as_raw_nonzero().to_string() + "\n";
    for dir in dirs {
        assert_eq!(fs::read_to_string(dir.join("cgroup.procs")).unwrap(), pid, "{}", dir.display());
    }
    update(dirs, &limited(r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 2097152}]}"#), &b.host)
        .unwrap();
    assert_eq!(fs::read_to_string(last.join("hugetlb.2MB.max")).unwrap(), "2097152\n");
    remove_cgroups(dirs).unwrap();
    assert_eq!(wait(&process), 137);
    drop(process);
    // The box does not know of this parent once nothing is limited there; a test beside may still be in it.
    drop(fs::remove_dir(last.parent().unwrap()));
    b.linux().resources = None;
    assert!(!b.plan().unwrap().to_string().contains("unified"), "joined for nothing");
    b.done();
}

fn unified_keys() {
    let b = boxed(&["probe", "hold"], r#"{"unified": {"memory.high": "50331648", "pids.max": "9"}}"#);
    if !b.host.cgroup_v2() {
        let error = b.plan().unwrap_err();
        assert!(error.detail.ends_with("cannot use unified on cgroup v1"), "{error}");
        return fs::remove_dir_all(&b.dir).unwrap();
    }
    let (process, _read) = b.start().unwrap();
    assert_eq!(file(&dirs(&b), "", "memory.high"), "50331648");
    assert_eq!(usage(&dirs(&b)).unwrap().pids_limit, 9);
    gone(b, process);
}

/// One property, as systemd says it.
fn shown(unit: &str, property: &str) -> String {
    let output =
        std::process::Command::new("systemctl").args(["show", unit, "-p", property, "--value"]).output();
    String::from_utf8(output.unwrap().stdout).unwrap().trim().to_owned()
}

fn systemd_scope() {
    let mut b = boxed(
        &["probe", "hold"],
        r#"{"memory": {"limit": 67108864}, "cpu": {"shares": 1024, "quota": 50000}, "pids": {"limit": 50}}"#,
    );
    b.host = match Host::observe().unwrap().with_systemd() {
        Ok(host) => host,
        Err(error) => {
            assert!(error.detail.contains("systemd is not the init"), "{error}");
            skip("systemd is not the first process", "REQUIRE_SYSTEMD");
            return b.done();
        }
    };
    let unit = format!("dhow-{}.scope", b.name);
    b.linux().cgroups_path = Some(format!("dhow-test.slice:dhow:{}", b.name));
    // Twice: the name is free again at once.
    for round in 0..2 {
        let (process, _read) = b.start().unwrap();
        let dirs = dirs(&b);
        assert!(
            dirs.iter().all(|dir| dir.ends_with(Path::new("dhow.slice/dhow-test.slice").join(&unit))),
            "{dirs:?}"
        );
        let memory = if b.host.cgroup_v2() { "MemoryMax" } else { "MemoryLimit" };
        assert_eq!(shown(&unit, "ActiveState"), "active");
        assert_eq!((shown(&unit, memory).as_str(), shown(&unit, "TasksMax").as_str()), ("67108864", "50"));
        assert_eq!(file(&dirs, "memory.limit_in_bytes", "memory.max"), "67108864");
        assert_eq!(processes(&dirs).unwrap(), [process.pid().as_raw_nonzero().get()]);
        update(&dirs, &limited(r#"{"memory": {"limit": 134217728}, "pids": {"limit": 60}}"#), &b.host)
            .unwrap();
        // What systemd does not know it undoes here.
        assert!(std::process::Command::new("systemctl").arg("daemon-reload").status().unwrap().success());
        assert_eq!(file(&dirs, "memory.limit_in_bytes", "memory.max"), "134217728");
        assert_eq!(file(&dirs, "pids.max", "pids.max"), "60");
        assert!(!opens(&b, &process, &format!("/tmp/{round}"), "10", "200"));
        remove_cgroups(&dirs).unwrap();
        assert_eq!(wait(&process), 137);
    }
    b.linux().cgroups_path = Some("/not/a/unit".to_owned());
    assert!(b.plan().unwrap_err().detail.contains("slice:prefix:name"));
    fs::remove_dir_all(&b.dir).unwrap();
}
