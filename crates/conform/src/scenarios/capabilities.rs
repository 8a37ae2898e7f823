//! config.md: the five capability sets.

use super::{Scenario, s};
use crate::{
    facts::Facts,
    verdict::{Verdict, must, same},
};
use serde_json::json;

const LINUX: &str = "config.md#linux-process";
/// Bits of the kernel.
const CHOWN: u64 = 1 << 0;
const KILL: u64 = 1 << 5;
const NET_BIND: u64 = 1 << 10;

pub(crate) const SCENARIOS: &[Scenario] = &[
    s("capabilities.sets", LINUX, |case| {
        case.config["process"]["capabilities"] = json!({
            "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"],
            "permitted": ["CAP_CHOWN", "CAP_KILL"],
            "effective": ["CAP_CHOWN", "CAP_KILL"],
        });
        sets(
            &case.report()?,
            [CHOWN | KILL | NET_BIND, CHOWN | KILL | NET_BIND, CHOWN | KILL | NET_BIND, 0, 0],
        )
    }),
    s("capabilities.of-a-user", LINUX, |case| {
        case.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
        case.config["process"]["capabilities"] = json!({
            "bounding": ["CAP_CHOWN", "CAP_KILL"],
            "permitted": ["CAP_CHOWN", "CAP_KILL"],
            "effective": ["CAP_CHOWN", "CAP_KILL"],
        });
        // execve takes them from a user who has no ambient ones
        sets(&case.report()?, [CHOWN | KILL, 0, 0, 0, 0])
    }),
    s("capabilities.ambient", LINUX, |case| {
        case.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
        let both = ["CAP_NET_BIND_SERVICE", "CAP_KILL"];
        case.config["process"]["capabilities"] = json!({
            "bounding": both, "permitted": both, "effective": both,
            "inheritable": both, "ambient": ["CAP_NET_BIND_SERVICE"],
        });
        sets(&case.report()?, [NET_BIND | KILL, NET_BIND, NET_BIND, NET_BIND | KILL, NET_BIND])
    }),
    s("capabilities.inheritable", LINUX, |case| {
        case.config["process"]["capabilities"] = json!({
            "bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"], "effective": ["CAP_KILL"], "inheritable": ["CAP_KILL"],
        });
        sets(&case.report()?, [KILL, KILL, KILL, KILL, 0])
    }),
    s("capabilities.empty", LINUX, |case| {
        case.config["process"]["capabilities"] = json!({});
        sets(&case.report()?, [0; 5])
    }),
    s("capabilities.in-force", LINUX, |case| {
        case.config["process"]["capabilities"] = json!({});
        same("answers", case.ask(&["hostname x", "mknod /tmp/null c 1 3"])?, ["EPERM", "EPERM"])
    }),
    s("capabilities.unknown-is-a-warning", LINUX, |case| {
        case.config["process"]["capabilities"] = json!({"bounding": ["CAP_KILL", "CAP_NONSENSE"], "permitted": ["CAP_KILL"], "effective": ["CAP_KILL"]});
        let facts = case.report()?;
        same("bounding", facts.bits("CapBnd"), KILL)?;
        let said = crate::command::text(&case.bundle.join("container.err"))?;
        must(said.contains("CAP_NONSENSE"), || format!("no warning names it: {said:?}"))
    }),
    s("capabilities.not-the-hosts-to-give", LINUX, |case| {
        let host = std::fs::read_to_string("/proc/self/status")?;
        let bounding = host.lines().find_map(|line| line.strip_prefix("CapBnd:\t")).unwrap_or_default();
        let bounding = u64::from_str_radix(bounding, 16).unwrap_or(u64::MAX);
        let missing = [(24, "CAP_SYS_RESOURCE"), (25, "CAP_SYS_TIME"), (16, "CAP_SYS_MODULE")];
        let Some((_, name)) = missing.iter().find(|(bit, _)| bounding & (1 << bit) == 0) else {
            return crate::verdict::skip("this host may give every capability");
        };
        case.config["process"]["capabilities"] = json!({"bounding": ["CAP_KILL", name], "permitted": ["CAP_KILL", name], "effective": ["CAP_KILL", name]});
        same("bounding", case.report()?.bits("CapBnd"), KILL)
    }),
];

/// Bounding, effective, permitted, inheritable, ambient.
fn sets(facts: &Facts, wanted: [u64; 5]) -> Verdict {
    let names = ["CapBnd", "CapEff", "CapPrm", "CapInh", "CapAmb"];
    names.iter().zip(wanted).try_for_each(|(name, wanted)| same(name, facts.bits(name), wanted))
}
