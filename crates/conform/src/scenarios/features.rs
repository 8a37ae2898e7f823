//! features.md: what the runtime says that it can do, and whether it can.

use super::{Scenario, s};
use crate::{
    case::Case,
    verdict::{Verdict, failed, must, same},
};
use serde_json::{Value, json};

const VERSION: &str = "features.md#specification-version";
const HOOKS: &str = "features.md#hooks";
const MOUNTS: &str = "features.md#mount-options";
const LINUX: &str = "features-linux.md";

pub(crate) const SCENARIOS: &[Scenario] = &[
    s("features.versions", VERSION, |case| {
        let features = features(case)?;
        for name in ["ociVersionMin", "ociVersionMax"] {
            let version = features[name].as_str().unwrap_or_default().to_owned();
            must(version.split('.').count() >= 3, || format!("{name}: {version:?}"))?;
            case.config["ociVersion"] = json!(version);
            same("exit code", case.probe(&["exit 0"]).run()?.code, 0)?;
        }
        Ok(())
    }),
    s("features.hooks", HOOKS, |case| {
        let mut names = words(&features(case)?["hooks"]);
        names.sort();
        let all = ["createContainer", "createRuntime", "poststart", "poststop", "prestart", "startContainer"];
        same("hooks", names, all)
    }),
    s("features.mount-options-are-known", MOUNTS, |case| {
        let options = words(&features(case)?["mountOptions"]);
        must(options.len() > 40, || format!("only {} options", options.len()))?;
        let source = super::mounts::folder(case, "data")?;
        // these have scenarios of their own, or are the kernel's to refuse
        let apart =
            ["idmap", "ridmap", "remount", "tmpcopyup", "mand", "nomand", "acl", "noacl", "bind", "rbind"];
        for option in options.iter().filter(|option| !apart.contains(&option.as_str())) {
            case.mount("/data", "bind", &source.to_string_lossy(), &["bind", option]);
            case.probe(&["exit 0"]).create()?.ok().or_else(|stop| failed(format!("{option}: {stop}")))?;
            case.on(&["delete", "--force"])?.ok()?;
            case.unmount("/data");
        }
        Ok(())
    }),
    s("features.the-specifications-mount-options", MOUNTS, |case| {
        let have = words(&features(case)?["mountOptions"]);
        let must_have = [
            "async",
            "atime",
            "bind",
            "defaults",
            "dev",
            "diratime",
            "dirsync",
            "exec",
            "iversion",
            "lazytime",
            "loud",
            "noatime",
            "nodev",
            "nodiratime",
            "noexec",
            "noiversion",
            "nolazytime",
            "norelatime",
            "nostrictatime",
            "nosuid",
            "private",
            "rbind",
            "relatime",
            "remount",
            "ro",
            "rprivate",
            "rshared",
            "rslave",
            "runbindable",
            "rw",
            "shared",
            "silent",
            "slave",
            "strictatime",
            "suid",
            "sync",
            "unbindable",
        ];
        let missing: Vec<&str> =
            must_have.into_iter().filter(|word| !have.iter().any(|have| have == word)).collect();
        must(missing.is_empty(), || format!("missing: {missing:?}"))
    }),
    s("features.namespaces", LINUX, |case| {
        let have = words(&features(case)?["linux"]["namespaces"]);
        for kind in ["cgroup", "ipc", "mount", "network", "pid", "user", "uts"] {
            must(have.iter().any(|have| have == kind), || format!("no {kind} in {have:?}"))?;
        }
        Ok(())
    }),
    s("features.time-namespace", LINUX, |case| {
        let have = words(&features(case)?["linux"]["namespaces"]);
        must(have.iter().any(|have| have == "time"), || format!("{have:?}"))
    }),
    s("features.capabilities-are-known", LINUX, |case| {
        let have = words(&features(case)?["linux"]["capabilities"]);
        must(have.len() > 35, || format!("only {} capabilities", have.len()))?;
        case.config["process"]["capabilities"] = json!({"bounding": have});
        same("exit code", case.probe(&["exit 0"]).run()?.code, 0)
    }),
    s("features.seccomp-actions-are-known", LINUX, |case| {
        let seccomp = features(case)?["linux"]["seccomp"].take();
        must(seccomp["enabled"] == true, || format!("{seccomp}"))?;
        for action in words(&seccomp["actions"]).iter().filter(|action| *action != "SCMP_ACT_NOTIFY") {
            accepted(case, json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["chroot"], "action": action}]}))
                .or_else(|stop| if action == "SCMP_ACT_ALLOW" { Ok(()) } else { failed(format!("{action}: {stop}")) })?;
        }
        Ok(())
    }),
    s("features.seccomp-operators-are-known", LINUX, |case| {
        for op in words(&features(case)?["linux"]["seccomp"]["operators"]) {
            let args = json!([{"index": 0, "value": 99, "valueTwo": 99, "op": op}]);
            accepted(case, json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["chroot"], "action": "SCMP_ACT_ERRNO", "args": args}]}))
                .or_else(|stop| failed(format!("{op}: {stop}")))?;
        }
        Ok(())
    }),
    s("features.seccomp-architectures-are-known", LINUX, |case| {
        let native = if cfg!(target_arch = "x86_64") { "SCMP_ARCH_X86_64" } else { "SCMP_ARCH_AARCH64" };
        let archs = words(&features(case)?["linux"]["seccomp"]["archs"]);
        must(archs.iter().any(|arch| arch == native), || format!("no {native} in {archs:?}"))?;
        // libseccomp refuses to mix byte orders: those of this machine's family
        for arch in archs.iter().filter(|arch| arch.starts_with("SCMP_ARCH_X") || *arch == native) {
            let both = if arch == native { vec![native] } else { vec![native, arch.as_str()] };
            accepted(
                case,
                json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": both,
                "syscalls": [{"names": ["chroot"], "action": "SCMP_ACT_ERRNO"}]}),
            )
            .or_else(|stop| failed(format!("{arch}: {stop}")))?;
        }
        Ok(())
    }),
    s("features.cgroup", LINUX, |case| {
        let cgroup = features(case)?["linux"]["cgroup"].take();
        must(cgroup["v1"] == true && cgroup["v2"] == true, || format!("{cgroup}"))
    }),
];

fn features(case: &Case<'_>) -> Verdict<Value> {
    let out = case.call(&["features"])?.ok()?.out;
    serde_json::from_str(&out).or_else(|error| failed(format!("features is not JSON: {error}")))
}

fn words(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|word| Some(word.as_str()?.to_owned())).collect()
}

/// A filter with which a container can be made.
fn accepted(case: &mut Case<'_>, seccomp: Value) -> Verdict {
    case.config["linux"]["seccomp"] = seccomp;
    case.probe(&["exit 0"]).create()?.ok()?;
    case.on(&["delete", "--force"])?.ok().map(drop)
}
