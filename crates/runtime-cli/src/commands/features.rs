//! `features`: what this runtime can do (features.md of the runtime specification). Nothing is claimed: every word of the
//! specification is offered to the planner, and those it takes are printed.

use super::{Command, Context, print};
use crate::arguments::Arguments;
use crate::container::OCI_VERSION;
use crate::failure::Failure;
use dhow_oci::runtime::Spec;
use dhow_runtime::{CAPABILITIES, Host, Options, plan};
use serde_json::{Value, json};

pub(super) const COMMAND: Command = Command {
    name: "features",
    words: (0, 0),
    usage: "",
    help: "print what this runtime can do, as JSON",
    flags: &[],
    near: false,
    run,
};

const HOOKS: &[&str] =
    &["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
const NAMESPACES: &[&str] = &["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"];
const MOUNT_OPTIONS: &[&str] = &[
    "async",
    "atime",
    "bind",
    "defaults",
    "dev",
    "diratime",
    "dirsync",
    "exec",
    "idmap",
    "iversion",
    "lazytime",
    "loud",
    "mand",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "noiversion",
    "nolazytime",
    "nomand",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "nosymfollow",
    "private",
    "ratime",
    "rbind",
    "rdev",
    "rdiratime",
    "relatime",
    "remount",
    "rexec",
    "ridmap",
    "rnoatime",
    "rnodev",
    "rnodiratime",
    "rnoexec",
    "rnorelatime",
    "rnostrictatime",
    "rnosuid",
    "rnosymfollow",
    "ro",
    "rprivate",
    "rrelatime",
    "rro",
    "rrw",
    "rshared",
    "rslave",
    "rstrictatime",
    "rsuid",
    "rsymfollow",
    "runbindable",
    "rw",
    "shared",
    "silent",
    "slave",
    "strictatime",
    "suid",
    "symfollow",
    "sync",
    "tmpcopyup",
    "unbindable",
];
const ACTIONS: &[&str] = &[
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_TRAP",
];
const OPERATORS: &[&str] = &[
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_LE",
    "SCMP_CMP_LT",
    "SCMP_CMP_MASKED_EQ",
    "SCMP_CMP_NE",
];
const FLAGS: &[&str] = &[
    "SECCOMP_FILTER_FLAG_TSYNC",
    "SECCOMP_FILTER_FLAG_LOG",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
];
/// Those that the seccomp compiler has tables for; it passes over what it does not know.
const ARCHITECTURES: &[&str] = &["SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64"];

fn run(_context: &Context, _arguments: &Arguments) -> Result<u8, Failure> {
    let features = features(&Host::observe()?);
    let text = serde_json::to_string_pretty(&features).map_err(|e| Failure::new(format!("encode: {e}")))?;
    print(&(text + "\n"))?;
    Ok(0)
}

fn features(host: &Host) -> Value {
    let knows = |change: &dyn Fn(&mut Value)| accepted(host, change);
    let those = |words: &[&'static str], change: &dyn Fn(&mut Value, &str)| -> Vec<&'static str> {
        words.iter().copied().filter(|word| knows(&|spec: &mut Value| change(spec, word))).collect()
    };
    let seccomp = |spec: &mut Value, action: &str| {
        spec["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x", "syscalls": [{"names": ["getcwd"], "action": action}]});
    };
    json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": OCI_VERSION,
        "hooks": those(HOOKS, &|spec, kind| spec["hooks"] = json!({ kind: [{"path": "/x"}] })),
        "mountOptions": those(MOUNT_OPTIONS, &|spec, word| {
            spec["mounts"] = if word == "tmpcopyup" {
                json!([{"destination": "/x", "type": "tmpfs", "source": "tmpfs", "options": [word]}])
            } else {
                json!([{"destination": "/x", "type": "bind", "source": "/x", "options": ["bind", word]}])
            };
            if word.ends_with("idmap") {
                let map = json!([{"containerID": 0, "hostID": 1000, "size": 1}]);
                spec["mounts"][0]["uidMappings"] = map.clone();
                spec["mounts"][0]["gidMappings"] = map;
            }
        }),
        "linux": {
            "namespaces": those(NAMESPACES, &|spec, kind| {
                spec["linux"]["namespaces"] = json!([{"type": "mount"}]);
                if kind != "mount" {
                    spec["linux"]["namespaces"] = json!([{"type": "mount"}, {"type": kind}]);
                }
                if kind == "user" {
                    let map = json!([{"containerID": 0, "hostID": 1000, "size": 1}]);
                    spec["linux"]["uidMappings"] = map.clone();
                    spec["linux"]["gidMappings"] = map;
                }
            }),
            "capabilities": CAPABILITIES.to_vec(),
            "cgroup": {
                "v1": true,
                "v2": true,
                "systemd": knows(&|spec| spec["linux"]["cgroupsPath"] = json!("system.slice:dhow:x")),
                "systemdUser": false,
                "rdma": knows(&|spec| spec["linux"]["resources"] = json!({"rdma": {"x": {"hcaHandles": 1}}})),
            },
            "seccomp": {
                "enabled": true,
                "actions": those(ACTIONS, &|spec, word| seccomp(spec, word)),
                "operators": those(OPERATORS, &|spec, word| {
                    seccomp(spec, "SCMP_ACT_ERRNO");
                    spec["linux"]["seccomp"]["syscalls"][0]["args"] = json!([{"index": 0, "value": 1, "op": word}]);
                }),
                "archs": ARCHITECTURES,
                "knownFlags": FLAGS,
                "supportedFlags": those(FLAGS, &|spec, word| {
                    seccomp(spec, "SCMP_ACT_ERRNO");
                    spec["linux"]["seccomp"]["flags"] = json!([word]);
                }),
            },
            "apparmor": { "enabled": true },
            "selinux": { "enabled": knows(&|spec| spec["process"]["selinuxLabel"] = json!("a:b:c:d")) },
            "intelRdt": { "enabled": false },
            "mountExtensions": { "idmap": { "enabled": knows(&|spec| {
                let map = json!([{"containerID": 0, "hostID": 1000, "size": 1}]);
                spec["mounts"] = json!([{"destination": "/x", "type": "bind", "source": "/x", "options": ["bind"], "uidMappings": map, "gidMappings": map}]);
            }) } },
        },
        "annotations": { "dhow.runtime.version": env!("CARGO_PKG_VERSION") },
        "potentiallyUnsafeConfigAnnotations": [],
    })
}

/// Whether the planner takes a small specification with this change.
fn accepted(host: &Host, change: &dyn Fn(&mut Value)) -> bool {
    let mut value = json!({
        "ociVersion": OCI_VERSION,
        "process": {"args": ["/x"], "cwd": "/"},
        "root": {"path": "/x"},
        "linux": {"namespaces": [{"type": "mount"}], "cgroupsPath": "/x"},
    });
    change(&mut value);
    let options = Options::default();
    serde_json::from_value::<Spec>(value).is_ok_and(|spec| plan(&spec, &options, host).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_planner_takes_is_claimed() {
        let features = features(&Host::default());
        let words = |value: &Value| -> Vec<String> { serde_json::from_value(value.clone()).unwrap() };
        let options = words(&features["mountOptions"]);
        assert!(options.contains(&"rro".to_owned()), "{options:?}");
        assert_eq!(features["linux"]["selinux"]["enabled"], json!(false));
        assert!(words(&features["linux"]["namespaces"]).contains(&"pid".to_owned()));
        assert!(words(&features["linux"]["seccomp"]["actions"]).contains(&"SCMP_ACT_LOG".to_owned()));
        assert!(!accepted(&Host::default(), &|spec| spec["linux"]["namespaces"] = json!([{"type": "no"}])));
    }
}
