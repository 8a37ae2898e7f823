//! config-linux.md: device nodes, and which may be used.

use super::{Scenario, s};
use crate::{
    case::Case,
    verdict::{must, same},
};
use serde_json::{Value, json};
use std::fs;

const DEVICES: &str = "config-linux.md#devices";
const DEFAULTS: &str = "config-linux.md#default-devices";
const ALLOWED: &str = "config-linux.md#allowed-device-list";
const LINKS: &str = "runtime-linux.md#dev-symbolic-links";

pub(crate) const SCENARIOS: &[Scenario] = &[
    s("devices.default", DEFAULTS, |case| {
        let names = ["null", "zero", "full", "random", "urandom", "tty"];
        let actions: Vec<String> = names.iter().map(|name| format!("stat /dev/{name}")).collect();
        let answers = case.ask(&actions.iter().map(String::as_str).collect::<Vec<_>>())?;
        let numbers = ["1:3", "1:5", "1:7", "1:8", "1:9", "5:0"];
        names.iter().zip(answers).zip(numbers).try_for_each(|((name, answer), number)| {
            must(answer.starts_with(&format!("c {number} 666")), || format!("/dev/{name} is {answer}"))
        })
    }),
    s("devices.default-work", DEFAULTS, |case| {
        let answers = case.ask(&[
            "open /dev/null rw",
            "open /dev/zero rw",
            "open /dev/full rw",
            "open /dev/random r",
            "open /dev/urandom r",
            "write /dev/full x",
        ])?;
        same("answers", answers, ["ok", "ok", "ok", "ok", "ok", "ENOSPC"])
    }),
    s("devices.default-of-a-user", DEFAULTS, |case| {
        case.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
        same("answers", case.ask(&["open /dev/null rw", "open /dev/urandom r"])?, ["ok", "ok"])
    }),
    s("devices.ptmx", DEFAULTS, |case| {
        let answers = case.ask(&["open /dev/ptmx rw", "stat /dev/pts/ptmx"])?;
        must(answers[0] == "ok" && answers[1].starts_with("c 5:2"), || format!("{answers:?}"))
    }),
    s("devices.links", LINKS, |case| {
        let answers =
            case.ask(&["link /dev/fd", "link /dev/stdin", "link /dev/stdout", "link /dev/stderr"])?;
        same("links", answers, ["/proc/self/fd", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2"])
    }),
    s("devices.made", DEVICES, |case| {
        case.config["linux"]["devices"] = json!([
            {"path": "/dev/one", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 7, "gid": 8},
            {"path": "/dev/deep/two", "type": "c", "major": 1, "minor": 5, "fileMode": 0o666, "uid": 0, "gid": 0},
            {"path": "/dev/block", "type": "b", "major": 7, "minor": 200, "fileMode": 0o600, "uid": 0, "gid": 0},
            {"path": "/dev/pipe", "type": "p", "fileMode": 0o622, "uid": 0, "gid": 0},
        ]);
        let answers =
            case.ask(&["stat /dev/one", "stat /dev/deep/two", "stat /dev/block", "stat /dev/pipe"])?;
        same("nodes", answers, ["c 1:3 640 7:8", "c 1:5 666 0:0", "b 7:200 600 0:0", "p 0:0 622 0:0"])
    }),
    s("devices.unbuffered", DEVICES, |case| {
        case.config["linux"]["devices"] = json!([{"path": "/dev/one", "type": "u", "major": 1, "minor": 3, "fileMode": 0o666, "uid": 0, "gid": 0}]);
        same("nodes", case.ask(&["stat /dev/one"])?, ["c 1:3 666 0:0"])
    }),
    s("devices.outside-dev", DEVICES, |case| {
        case.config["linux"]["devices"] = json!([{"path": "/opt/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666, "uid": 0, "gid": 0}]);
        same("nodes", case.ask(&["stat /opt/null"])?, ["c 1:3 666 0:0"])
    }),
    s("devices.another-file-is-there", DEVICES, |case| {
        fs::write(case.rootfs().join("etc/null"), "not a device")?;
        case.config["linux"]["devices"] = json!([{"path": "/etc/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666, "uid": 0, "gid": 0}]);
        case.rejected()?;
        same("the file", fs::read_to_string(case.rootfs().join("etc/null"))?.as_str(), "not a device")
    }),
    s("devices.unknown-type", DEVICES, |case| {
        case.config["linux"]["devices"] = json!([{"path": "/dev/x", "type": "z", "major": 1, "minor": 3}]);
        case.rejected().map(drop)
    }),
    s("devices.mode-is-not-masked", DEVICES, |case| {
        case.config["process"]["user"]["umask"] = json!(0o77);
        case.config["linux"]["devices"] =
            json!([{"path": "/dev/one", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666}]);
        let answers = case.ask(&["stat /dev/one", "stat /dev/null"])?;
        must(answers.iter().all(|answer| answer.starts_with("c 1:3 666")), || format!("{answers:?}"))
    }),
    s("device-list.denies", ALLOWED, |case| {
        case.config["linux"]["resources"]["devices"] = json!([{"allow": false, "access": "rwm"}]);
        let answers = case.ask(&[
            "mknod /tmp/loop b 7 0",
            "open /tmp/loop r",
            "mknod /tmp/fuse c 10 229",
            "open /tmp/fuse r",
            "open /dev/null rw",
        ])?;
        must(!usable(&answers[1]) && !usable(&answers[3]), || format!("{answers:?}"))?;
        same("a default device", answers[4].as_str(), "ok")
    }),
    s("device-list.denies-making", ALLOWED, |case| {
        case.config["linux"]["resources"]["devices"] = json!([{"allow": false, "access": "rwm"}]);
        same("answers", case.ask(&["mknod /tmp/loop b 7 0", "mknod /tmp/fuse c 10 229"])?, ["EPERM", "EPERM"])
    }),
    s("device-list.allows", ALLOWED, |case| {
        list(case, &[json!({"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rwm"})]);
        let answers = case.ask(&[
            "mknod /tmp/fuse c 10 229",
            "open /tmp/fuse rw",
            "mknod /tmp/loop b 7 0",
            "open /tmp/loop r",
        ])?;
        must(answers[0] == "ok" && usable(&answers[1]) && !usable(&answers[3]), || format!("{answers:?}"))
    }),
    s("device-list.access", ALLOWED, |case| {
        list(case, &[json!({"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rm"})]);
        let answers = case.ask(&["mknod /tmp/fuse c 10 229", "open /tmp/fuse r", "open /tmp/fuse w"])?;
        must(usable(&answers[1]) && !usable(&answers[2]), || format!("{answers:?}"))
    }),
    s("device-list.in-order", ALLOWED, |case| {
        let fuse =
            |allow: bool| json!({"allow": allow, "type": "c", "major": 10, "minor": 229, "access": "rwm"});
        list(case, &[fuse(true), fuse(false)]);
        let answers = case.ask(&["mknod /tmp/fuse c 10 229", "open /tmp/fuse r"])?;
        must(!usable(&answers[1]), || format!("{answers:?}"))
    }),
    s("device-list.all", ALLOWED, |case| {
        case.config["linux"]["resources"]["devices"] = json!([{"allow": true, "access": "rwm"}]);
        let answers = case.ask(&[
            "mknod /tmp/loop b 7 0",
            "open /tmp/loop r",
            "mknod /tmp/fuse c 10 229",
            "open /tmp/fuse r",
        ])?;
        must(answers[0] == "ok" && usable(&answers[1]) && usable(&answers[3]), || format!("{answers:?}"))
    }),
    s("device-list.any-minor", ALLOWED, |case| {
        list(case, &[json!({"allow": true, "type": "c", "major": 10, "access": "rwm"})]);
        let answers = case.ask(&[
            "mknod /tmp/fuse c 10 229",
            "open /tmp/fuse r",
            "mknod /tmp/loop b 7 0",
            "open /tmp/loop r",
        ])?;
        must(usable(&answers[1]) && !usable(&answers[3]), || format!("{answers:?}"))
    }),
    s("device-list.unknown-access", ALLOWED, |case| {
        case.config["linux"]["resources"]["devices"] =
            json!([{"allow": true, "type": "c", "major": 1, "minor": 3, "access": "xyz"}]);
        case.rejected().map(drop)
    }),
];

/// Nothing but these rules.
fn list(case: &mut Case<'_>, rules: &[Value]) {
    let deny = json!({"allow": false, "access": "rwm"});
    case.config["linux"]["resources"]["devices"] =
        std::iter::once(deny).chain(rules.iter().cloned()).collect();
}

/// The cgroup lets it through: what the driver says then is another matter (there may be none).
fn usable(answer: &str) -> bool {
    answer != "EPERM"
}
