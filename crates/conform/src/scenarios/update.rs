//! runc's `update`, `pause`, `resume`, `ps` and `events`, which engines use: limits of a running container.

use super::{Scenario, s};
use crate::{
    command::finish,
    verdict::{Verdict, must, same},
};
use serde_json::{Value, json};
use std::{fs, process::Stdio};

const UPDATE: &str = "runc(8): update";
const PAUSE: &str = "runc(8): pause, resume";
const EVENTS: &str = "runc(8): events";

pub(crate) const SCENARIOS: &[Scenario] = &[
    s("update.memory", UPDATE, |case| {
        case.config["linux"]["resources"] = json!({"memory": {"limit": 67_108_864}});
        case.probe(&["hold"]).running()?;
        case.call(&["update", "--memory", "134217728", "--memory-swap", "134217728", &case.id])?.ok()?;
        case.cgroups()?.expect("memory", ["memory.limit_in_bytes", "memory.max"], ["134217728", "134217728"])
    }),
    s("update.pids", UPDATE, |case| {
        case.probe(&["hold"]).running()?;
        case.call(&["update", "--pids-limit", "33", &case.id])?.ok()?;
        case.cgroups()?.expect("pids", ["pids.max", "pids.max"], ["33", "33"])
    }),
    s("update.cpu", UPDATE, |case| {
        case.probe(&["hold"]).running()?;
        case.call(&[
            "update",
            "--cpu-quota",
            "30000",
            "--cpu-period",
            "60000",
            "--cpu-share",
            "200",
            &case.id,
        ])?
        .ok()?;
        let cgroups = case.cgroups()?;
        cgroups.expect("cpu", ["cpu.cfs_quota_us", "cpu.max"], ["30000", "30000 60000"])?;
        let shares = cgroups.value("cpu", "cpu.shares", "cpu.weight")?;
        must(shares != "1024" && shares != "100", || format!("shares are still {shares}"))
    }),
    s("update.cpuset", UPDATE, |case| {
        case.probe(&["hold"]).running()?;
        case.call(&["update", "--cpuset-cpus", "0", &case.id])?.ok()?;
        case.cgroups()?.expect("cpuset", ["cpuset.cpus", "cpuset.cpus"], ["0", "0"])
    }),
    s("update.by-json", UPDATE, |case| {
        case.probe(&["hold"]).running()?;
        let file = case.bundle.join("resources.json");
        fs::write(&file, json!({"memory": {"limit": 100_663_296}, "pids": {"limit": 44}}).to_string())?;
        case.call(&["update", "--resources", &file.to_string_lossy(), &case.id])?.ok()?;
        let cgroups = case.cgroups()?;
        cgroups.expect("pids", ["pids.max", "pids.max"], ["44", "44"])?;
        cgroups.expect("memory", ["memory.limit_in_bytes", "memory.max"], ["100663296", "100663296"])
    }),
    s("update.by-stdin", UPDATE, |case| {
        case.probe(&["hold"]).running()?;
        let file = case.bundle.join("resources.json");
        fs::write(&file, json!({"pids": {"limit": 45}}).to_string())?;
        let mut command = case.runtime.command(&["update", "--resources", "-", &case.id]);
        finish(command.stdin(Stdio::from(fs::File::open(file)?)), &case.bundle.join("call"))?.ok()?;
        case.cgroups()?.expect("pids", ["pids.max", "pids.max"], ["45", "45"])
    }),
    s("update.keeps-the-rest", UPDATE, |case| {
        case.config["linux"]["resources"] = json!({"pids": {"limit": 77}, "memory": {"limit": 67_108_864}});
        case.probe(&["hold"]).running()?;
        case.call(&["update", "--cpu-share", "300", &case.id])?.ok()?;
        let cgroups = case.cgroups()?;
        cgroups.expect("pids", ["pids.max", "pids.max"], ["77", "77"])?;
        cgroups.expect("memory", ["memory.limit_in_bytes", "memory.max"], ["67108864", "67108864"])
    }),
    s("update.keeps-devices", UPDATE, |case| {
        let make = |kind: &str| json!({"allow": true, "type": kind, "access": "m"});
        case.config["linux"]["resources"]["devices"] =
            json!([{"allow": false, "access": "rwm"}, make("c"), make("b")]);
        case.probe(&["signal", "open /dev/null rw", "mknod /tmp/fuse c 10 229", "open /tmp/fuse r"]);
        let pid = case.running()?;
        super::lifecycle::wait_for(&case.rootfs().join("tmp/ready"))?;
        case.call(&["update", "--pids-limit", "33", &case.id])?.ok()?;
        case.kill("HUP")?.ok()?;
        case.wait(pid)?;
        let out = case.output()?;
        same("answers", out.lines().collect::<Vec<_>>(), ["1", "ok", "ok", "EPERM"])
    }),
    s("update.nothing", UPDATE, |case| {
        case.call(&["update", "--pids-limit", "3", "no-such-container"])?.refused().map(drop)
    }),
    s("update.impossible", UPDATE, |case| {
        case.probe(&["hold"]).running()?;
        case.call(&["update", "--cpu-quota", "1", &case.id])?.refused().map(drop)
    }),
    s("pause.status", PAUSE, |case| {
        case.probe(&["hold"]).running()?;
        case.on(&["pause"])?.ok()?;
        same("paused", case.status()?.as_str(), "paused")?;
        case.on(&["resume"])?.ok()?;
        same("resumed", case.status()?.as_str(), "running")
    }),
    s("pause.stops-the-processes", PAUSE, |case| {
        case.probe(&["hold"]).running()?;
        case.on(&["pause"])?.ok()?;
        let cgroups = case.cgroups()?;
        let state = cgroups
            .value("freezer", "freezer.state", "cgroup.freeze")
            .or_else(|_| cgroups.value("", "", "cgroup.freeze"))?;
        must(matches!(state.as_str(), "FROZEN" | "1"), || state.clone())?;
        case.on(&["resume"])?.ok().map(drop)
    }),
    s("pause.exec-is-refused", PAUSE, |case| {
        case.probe(&["hold"]).running()?;
        case.on(&["pause"])?.ok()?;
        let refused = case.call(&["exec", &case.id, "/probe", "exit 0"])?.refused();
        case.on(&["resume"])?.ok()?;
        refused.map(drop)
    }),
    s("pause.kill-works", PAUSE, |case| {
        let pid = case.probe(&["hold"]).running()?;
        case.on(&["pause"])?.ok()?;
        case.kill("KILL")?.ok()?;
        case.on(&["resume"])?;
        same("exit code", case.wait(pid)?, 137)
    }),
    s("pause.force-delete", PAUSE, |case| {
        let pid = case.probe(&["hold"]).running()?;
        case.on(&["pause"])?.ok()?;
        case.on(&["delete", "--force"])?.ok()?;
        same("exit code", case.wait(pid)?, 137)
    }),
    s("pause.stopped", PAUSE, |case| {
        let pid = case.probe(&["exit 0"]).running()?;
        case.wait(pid)?;
        case.on(&["pause"])?.refused()?;
        case.on(&["resume"])?.refused().map(drop)
    }),
    s("pause.resume-of-a-running-one", PAUSE, |case| {
        case.probe(&["hold"]).running()?;
        case.on(&["resume"])?.refused()?;
        same("status", case.status()?.as_str(), "running")
    }),
    s("events.stats", EVENTS, |case| {
        case.config["linux"]["resources"] = json!({"memory": {"limit": 67_108_864}, "pids": {"limit": 77}});
        case.probe(&["hold"]).running()?;
        let out = case.on(&["events", "--stats"])?.ok()?.out;
        let event: Value = serde_json::from_str(&out).unwrap_or_default();
        same("type", &event["type"], &json!("stats"))?;
        same("id", &event["id"], &json!(case.id))?;
        same("pids limit", &event["data"]["pids"]["limit"], &json!(77))?;
        same("pids", &event["data"]["pids"]["current"], &json!(1))?;
        same("memory limit", &event["data"]["memory"]["usage"]["limit"], &json!(67_108_864))?;
        positive(&event["data"]["memory"]["usage"]["usage"])?;
        positive(&event["data"]["cpu"]["usage"]["total"])
    }),
];

fn positive(value: &Value) -> Verdict {
    must(value.as_u64().is_some_and(|value| value > 0), || format!("{value} is not more than 0"))
}
