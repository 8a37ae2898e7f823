//! config-linux.md: control groups, on v1, hybrid and v2.

use super::{Scenario, s};
use crate::{
    case::Case,
    cgroups::is_v2,
    verdict::{Verdict, must, same, skip},
};
use serde_json::{Value, json};
use std::fs;

const GROUPS: &str = "config-linux.md#control-groups";
const PATH: &str = "config-linux.md#cgroups-path";
const MEMORY: &str = "config-linux.md#memory";
const CPU: &str = "config-linux.md#cpu";
const BLOCK: &str = "config-linux.md#block-io";
const HUGE: &str = "config-linux.md#huge-page-limits";
const NETWORK: &str = "config-linux.md#network";
const PIDS: &str = "config-linux.md#pids";
const RDMA: &str = "config-linux.md#rdma";
const UNIFIED: &str = "config-linux.md#unified";
const RDT: &str = "config-linux.md#intelrdt";
const MIB: i64 = 1 << 20;

pub(crate) const SCENARIOS: &[Scenario] = &[
    s("cgroups.path-absolute", PATH, |case| {
        let pid = case.probe(&["hold"]).running()?;
        let (path, table) =
            (format!("/dhow-conform/{}", case.id), format!("/proc/{}/cgroup", pid.as_raw_nonzero()));
        let table = fs::read_to_string(table)?;
        // the unified hierarchy of a hybrid machine has no controllers: joining it is left to the runtime
        let lines: Vec<&str> = table.lines().filter(|line| is_v2() || !line.starts_with("0::")).collect();
        must(lines.iter().filter(|line| line.ends_with(&path)).count() >= lines.len().min(2), || {
            table.clone()
        })
    }),
    s("cgroups.path-relative", PATH, |case| {
        let path = case.id.clone();
        case.config["linux"]["cgroupsPath"] = json!(path);
        let folders: Vec<_> =
            held(case)?.folders().filter(|folder| folder.ends_with(&path)).cloned().collect();
        must(!folders.is_empty(), || format!("no cgroup ends with {path}"))
    }),
    s("cgroups.path-with-dots", PATH, |case| {
        case.config["linux"]["cgroupsPath"] = json!(format!("/../../dhow-conform/{}", case.id));
        let call = case.probe(&["hold"]).create()?;
        if call.code != Some(0) {
            return call.refused().map(drop);
        }
        let outside =
            case.cgroups()?.folders().find(|folder| folder.to_string_lossy().contains("..")).cloned();
        must(outside.is_none(), || format!("{outside:?}"))
    }),
    s("cgroups.no-path", PATH, |case| {
        if let Some(linux) = case.linux().as_object_mut() {
            linux.remove("cgroupsPath");
        }
        same("exit code", case.probe(&["exit 0"]).run()?.code, 0)
    }),
    s("cgroups.whole-life-inside", GROUPS, |case| {
        let cgroups = held(case)?;
        let pid = case.pid()?.as_raw_nonzero().to_string();
        let inside = fs::read_to_string(cgroups.folder("pids")?.join("cgroup.procs"))?;
        must(inside.lines().any(|line| line == pid), || format!("{pid} is not among {inside:?}"))
    }),
    s("memory.limit", MEMORY, |case| {
        case.config["linux"]["resources"] = json!({"memory": {"limit": 64 * MIB}});
        held(case)?.expect("memory", ["memory.limit_in_bytes", "memory.max"], ["67108864", "67108864"])
    }),
    s("memory.reservation", MEMORY, |case| {
        case.config["linux"]["resources"] = json!({"memory": {"reservation": 32 * MIB}});
        held(case)?.expect("memory", ["memory.soft_limit_in_bytes", "memory.low"], ["33554432", "33554432"])
    }),
    s("memory.swap", MEMORY, |case| {
        case.config["linux"]["resources"] = json!({"memory": {"limit": 64 * MIB, "swap": 96 * MIB}});
        held(case)?.expect(
            "memory",
            ["memory.memsw.limit_in_bytes", "memory.swap.max"],
            ["100663296", "33554432"],
        )
    }),
    s("memory.unlimited", MEMORY, |case| {
        case.config["linux"]["resources"] = json!({"memory": {"limit": -1, "swap": -1}});
        held(case)?.expect("memory", ["memory.limit_in_bytes", "memory.max"], ["9223372036854771712", "max"])
    }),
    s("memory.swap-below-limit", MEMORY, |case| {
        case.config["linux"]["resources"] = json!({"memory": {"limit": 64 * MIB, "swap": 32 * MIB}});
        case.rejected().map(drop)
    }),
    s("memory.swappiness", MEMORY, |case| {
        if is_v2() {
            return skip("cgroup v2 has no swappiness");
        }
        case.config["linux"]["resources"] = json!({"memory": {"swappiness": 13}});
        held(case)?.expect("memory", ["memory.swappiness", ""], ["13", ""])
    }),
    s("memory.swappiness-invalid", MEMORY, |case| {
        case.config["linux"]["resources"] = json!({"memory": {"swappiness": 101}});
        case.rejected().map(drop)
    }),
    s("memory.oom-killer-off", MEMORY, |case| {
        if is_v2() {
            return skip("cgroup v2 always has its OOM killer");
        }
        case.config["linux"]["resources"] = json!({"memory": {"limit": 64 * MIB, "disableOOMKiller": true}});
        let value = held(case)?.value("memory", "memory.oom_control", "")?;
        must(value.lines().any(|line| line == "oom_kill_disable 1"), || value.clone())
    }),
    s("memory.kills", MEMORY, |case| {
        case.config["linux"]["resources"] = json!({"memory": {"limit": 16 * MIB, "swap": 16 * MIB}});
        same("exit code", case.probe(&["alloc 64"]).run()?.code, 137)
    }),
    s("cpu.shares", CPU, |case| {
        case.config["linux"]["resources"] = json!({"cpu": {"shares": 512}});
        // runtimes differ in how they convert to v2: 20 is runc's straight line, 59 its newer curve
        let cgroups = held(case)?;
        let value = cgroups.value("cpu", "cpu.shares", "cpu.weight")?;
        let wanted: &[&str] = if is_v2() { &["20", "59"] } else { &["512"] };
        must(wanted.contains(&value.as_str()), || format!("{value}, not one of {wanted:?}"))
    }),
    s("cpu.quota", CPU, |case| {
        case.config["linux"]["resources"] = json!({"cpu": {"quota": 50_000, "period": 200_000}});
        let cgroups = held(case)?;
        cgroups.expect("cpu", ["cpu.cfs_quota_us", "cpu.max"], ["50000", "50000 200000"])?;
        cgroups.expect("cpu", ["cpu.cfs_period_us", "cpu.max"], ["200000", "50000 200000"])
    }),
    s("cpu.no-quota", CPU, |case| {
        case.config["linux"]["resources"] = json!({"cpu": {"quota": -1, "period": 200_000}});
        held(case)?.expect("cpu", ["cpu.cfs_quota_us", "cpu.max"], ["-1", "max 200000"])
    }),
    s("cpu.quota-invalid", CPU, |case| {
        case.config["linux"]["resources"] = json!({"cpu": {"quota": 1}});
        case.rejected().map(drop)
    }),
    s("cpu.burst", CPU, |case| {
        case.config["linux"]["resources"] =
            json!({"cpu": {"quota": 50_000, "period": 100_000, "burst": 20_000}});
        held(case)?.expect("cpu", ["cpu.cfs_burst_us", "cpu.max.burst"], ["20000", "20000"])
    }),
    s("cpu.idle", CPU, |case| {
        case.config["linux"]["resources"] = json!({"cpu": {"idle": 1}});
        held(case)?.expect("cpu", ["cpu.idle", "cpu.idle"], ["1", "1"])
    }),
    s("cpu.set", CPU, |case| {
        case.config["linux"]["resources"] = json!({"cpu": {"cpus": "0", "mems": "0"}});
        let cgroups = held(case)?;
        cgroups.expect("cpuset", ["cpuset.cpus", "cpuset.cpus"], ["0", "0"])?;
        cgroups.expect("cpuset", ["cpuset.mems", "cpuset.mems"], ["0", "0"])
    }),
    s("cpu.set-is-in-force", CPU, |case| {
        case.config["linux"]["resources"] = json!({"cpu": {"cpus": "0"}});
        same("Cpus_allowed_list", case.report()?.status("Cpus_allowed_list"), "0")
    }),
    s("cpu.set-invalid", CPU, |case| {
        case.config["linux"]["resources"] = json!({"cpu": {"cpus": "4000"}});
        case.rejected().map(drop)
    }),
    s("cpu.real-time", CPU, |case| {
        if is_v2() {
            return skip("cgroup v2 has no real-time budget");
        }
        if fs::metadata("/sys/fs/cgroup/cpu/cpu.rt_runtime_us").is_err() {
            return skip("this kernel has no real-time group scheduling");
        }
        case.config["linux"]["resources"] =
            json!({"cpu": {"realtimePeriod": 1_000_000, "realtimeRuntime": 0}});
        held(case)?.expect("cpu", ["cpu.rt_period_us", ""], ["1000000", ""])
    }),
    s("pids.limit", PIDS, |case| {
        case.config["linux"]["resources"] = json!({"pids": {"limit": 77}});
        held(case)?.expect("pids", ["pids.max", "pids.max"], ["77", "77"])
    }),
    s("pids.unlimited", PIDS, |case| {
        case.config["linux"]["resources"] = json!({"pids": {"limit": -1}});
        held(case)?.expect("pids", ["pids.max", "pids.max"], ["max", "max"])
    }),
    s("pids.in-force", PIDS, |case| {
        case.config["linux"]["resources"] = json!({"pids": {"limit": 8}});
        let made: usize = case.ask(&["threads 20"])?[0].parse().unwrap_or(99);
        must((1..8).contains(&made), || format!("{made} threads under a limit of 8"))
    }),
    s("block.weight", BLOCK, |case| {
        let file = if is_v2() { "io.bfq.weight" } else { "blkio.bfq.weight" };
        with_file(case, "blkio", "io", file, json!({"blockIO": {"weight": 300}}), |text| text.contains("300"))
    }),
    s("block.throttle", BLOCK, |case| {
        let Some((major, minor)) = disk() else { return skip("this machine shows no disk") };
        let entry = json!([{"major": major, "minor": minor, "rate": 1_048_576}]);
        case.config["linux"]["resources"] = json!({"blockIO": {
            "throttleReadBpsDevice": entry, "throttleWriteBpsDevice": entry,
            "throttleReadIOPSDevice": [{"major": major, "minor": minor, "rate": 300}],
            "throttleWriteIOPSDevice": [{"major": major, "minor": minor, "rate": 400}],
        }});
        let cgroups = held(case)?;
        if is_v2() {
            let value = cgroups.value("io", "", "io.max")?;
            return same(
                "io.max",
                value,
                format!("{major}:{minor} rbps=1048576 wbps=1048576 riops=300 wiops=400"),
            );
        }
        for (file, rate) in
            [("read_bps", 1_048_576), ("write_bps", 1_048_576), ("read_iops", 300), ("write_iops", 400)]
        {
            let value = cgroups.value("blkio", &format!("blkio.throttle.{file}_device"), "")?;
            same(file, value, format!("{major}:{minor} {rate}"))?;
        }
        Ok(())
    }),
    s("huge-pages.limit", HUGE, |case| {
        case.config["linux"]["resources"] =
            json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}]});
        if controller("hugetlb") {
            return held(case)?.expect(
                "hugetlb",
                ["hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max"],
                ["4194304", "4194304"],
            );
        }
        // a hybrid machine may have it in the unified hierarchy, and a runtime may look for it there
        let call = case.probe(&["hold"]).create()?;
        if call.code != Some(0) {
            return call.refused().map(drop);
        }
        let set = |folder: &std::path::PathBuf| fs::read_to_string(folder.join("hugetlb.2MB.max")).ok();
        let values: Vec<String> = case.cgroups()?.folders().filter_map(set).collect();
        must(values.iter().any(|value| value.trim() == "4194304"), || format!("not set: {values:?}"))
    }),
    s("huge-pages.reserved", HUGE, |case| {
        if !controller("hugetlb") {
            return skip("this kernel has no hugetlb cgroup");
        }
        case.config["linux"]["resources"] =
            json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}]});
        held(case)?.expect(
            "hugetlb",
            ["hugetlb.2MB.rsvd.limit_in_bytes", "hugetlb.2MB.rsvd.max"],
            ["4194304", "4194304"],
        )
    }),
    s("huge-pages.unknown-size", HUGE, |case| {
        case.config["linux"]["resources"] =
            json!({"hugepageLimits": [{"pageSize": "3MB", "limit": 4 * MIB}]});
        case.rejected().map(drop)
    }),
    s("network.class", NETWORK, |case| {
        case.config["linux"]["resources"] = json!({"network": {"classID": 1_048_577}});
        if is_v2() || !controller("net_cls") {
            return case.rejected().map(drop);
        }
        held(case)?.expect("net_cls", ["net_cls.classid", ""], ["1048577", ""])
    }),
    s("network.priorities", NETWORK, |case| {
        case.config["linux"]["resources"] =
            json!({"network": {"priorities": [{"name": "lo", "priority": 5}]}});
        if is_v2() || !controller("net_prio") {
            return case.rejected().map(drop);
        }
        let value = held(case)?.value("net_prio", "net_prio.ifpriomap", "")?;
        must(value.lines().any(|line| line == "lo 5"), || value.clone())
    }),
    s("rdma.unknown-device", RDMA, |case| {
        case.config["linux"]["resources"] =
            json!({"rdma": {"no_such_device": {"hcaHandles": 3, "hcaObjects": 100}}});
        case.rejected().map(drop)
    }),
    s("unified.values", UNIFIED, |case| {
        if !is_v2() {
            return skip("this machine has cgroup v1");
        }
        case.config["linux"]["resources"] = json!({"unified": {"memory.high": "50331648", "pids.max": "55"}});
        let cgroups = held(case)?;
        cgroups.expect("memory", ["", "memory.high"], ["", "50331648"])?;
        cgroups.expect("pids", ["", "pids.max"], ["", "55"])
    }),
    s("unified.unknown-controller", UNIFIED, |case| {
        if !is_v2() {
            return skip("this machine has cgroup v1");
        }
        case.config["linux"]["resources"] = json!({"unified": {"nonsense.max": "1"}});
        case.rejected().map(drop)
    }),
    s("unified.path-in-a-key", UNIFIED, |case| {
        case.config["linux"]["resources"] = json!({"unified": {"../cgroup.procs": "0"}});
        case.rejected().map(drop)
    }),
    s("unified.on-v1", UNIFIED, |case| {
        if is_v2() {
            return skip("this machine has cgroup v2");
        }
        case.config["linux"]["resources"] = json!({"unified": {"memory.max": "67108864"}});
        case.rejected().map(drop)
    }),
    s("rdt.not-mounted", RDT, |case| {
        if fs::metadata("/sys/fs/resctrl/schemata").is_ok() {
            return skip("this machine has resctrl mounted");
        }
        case.config["linux"]["intelRdt"] = json!({"closID": "guaranteed", "l3CacheSchema": "L3:0=1"});
        case.rejected().map(drop)
    }),
];

/// Starts a container that stays, and finds its cgroups.
fn held(case: &mut Case<'_>) -> Verdict<crate::cgroups::Cgroups> {
    case.probe(&["hold"]).running()?;
    case.cgroups()
}

/// Whether a controller is mounted here.
fn controller(name: &str) -> bool {
    let mine = crate::cgroups::Cgroups::of(rustix::process::getpid());
    mine.is_ok_and(|mine| mine.folder(name).is_ok())
}

/// A value whose file this kernel may not have.
fn with_file(
    case: &mut Case<'_>,
    v1: &str,
    v2: &str,
    file: &str,
    resources: Value,
    holds: fn(&str) -> bool,
) -> Verdict {
    case.config["linux"]["resources"] = Value::Null;
    let folder = held(case)?.folder(if is_v2() { v2 } else { v1 })?.join(file);
    let there = folder.exists();
    case.end()?;
    if !there {
        return skip(format!("this kernel has no {file}"));
    }
    case.config["linux"]["resources"] = resources;
    held(case)?;
    let text = fs::read_to_string(&folder)?;
    must(holds(&text), || format!("{file}: {text:?}"))
}

/// A whole disk of this machine.
fn disk() -> Option<(u32, u32)> {
    let entries = fs::read_dir("/sys/block").ok()?;
    let names = entries.filter_map(Result::ok).map(|entry| entry.path());
    let disk = names.filter(|path| {
        let size = fs::read_to_string(path.join("size")).unwrap_or_default();
        size.trim() != "0" && !path.to_string_lossy().contains("loop")
    });
    let number = disk.filter_map(|path| fs::read_to_string(path.join("dev")).ok()).next()?;
    let (major, minor) = number.trim().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
