//! Docker's profile format: rules that hold only with some capability, architecture or kernel, resolved for one container.

use super::default::RULES;
use crate::Host;
use dhow_oci::runtime as spec;

/// One rule of a profile.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) names: &'static [&'static str],
    pub(super) action: &'static str,
    pub(super) errno: Option<u32>,
    /// (index, value, second value, operator).
    pub(super) args: &'static [(u32, u64, u64, &'static str)],
    pub(super) min_kernel: (u32, u32),
    pub(super) caps: &'static [&'static str],
    pub(super) arches: &'static [&'static str],
    pub(super) without_caps: &'static [&'static str],
    pub(super) without_arches: &'static [&'static str],
}

/// Go's name of the architecture this is built for, as profiles use it.
const ARCH: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };

impl Rule {
    /// All included capabilities must be there, none of the excluded ones; likewise the architecture.
    fn holds(&self, caps: &[String], kernel: (u32, u32)) -> bool {
        let has = |cap: &&str| caps.iter().any(|c| c == cap);
        self.caps.iter().all(has)
            && !self.without_caps.iter().any(has)
            && (self.arches.is_empty() || self.arches.contains(&ARCH))
            && !self.without_arches.contains(&ARCH)
            && kernel >= self.min_kernel
    }
}

/// Docker's default profile for a container with the (bounding) capabilities `caps` on this host.
#[must_use]
pub fn docker_default(caps: &[String], host: &Host) -> spec::Seccomp {
    let syscalls = RULES.iter().filter(|rule| rule.holds(caps, host.kernel())).map(|rule| spec::Syscall {
        names: rule.names.iter().map(|&name| name.to_owned()).collect(),
        action: rule.action.to_owned(),
        errno_ret: rule.errno,
        args: rule
            .args
            .iter()
            .map(|&(index, value, value_two, op)| spec::SyscallArg {
                index,
                value,
                value_two,
                op: op.to_owned(),
            })
            .collect(),
    });
    spec::Seccomp {
        default_action: "SCMP_ACT_ERRNO".to_owned(),
        default_errno_ret: Some(1),
        architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"].map(str::to_owned).to_vec(),
        syscalls: syscalls.collect(),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn words(value: &Value, key: &str) -> Vec<String> {
        let list = value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        list.iter().map(|w| w.as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_table_is_dockers_file() {
        let file: Value = serde_json::from_str(include_str!("default.json")).unwrap();
        assert_eq!(
            (file["defaultAction"].as_str(), file["defaultErrnoRet"].as_u64()),
            (Some("SCMP_ACT_ERRNO"), Some(1))
        );
        let rules = file["syscalls"].as_array().unwrap();
        assert_eq!(rules.len(), RULES.len());
        for (json, rule) in rules.iter().zip(RULES) {
            assert_eq!(words(json, "names"), rule.names);
            assert_eq!(json["action"], rule.action);
            assert_eq!(json.get("errnoRet").and_then(Value::as_u64), rule.errno.map(u64::from));
            let args: Vec<_> = json.get("args").and_then(Value::as_array).cloned().unwrap_or_default();
            assert_eq!(args.len(), rule.args.len());
            for (json, arg) in args.iter().zip(rule.args) {
                let number = |key: &str| json.get(key).and_then(Value::as_u64).unwrap_or(0);
                assert_eq!(
                    (number("index"), number("value"), number("valueTwo")),
                    (u64::from(arg.0), arg.1, arg.2)
                );
                assert_eq!(json["op"], arg.3);
            }
            let (includes, excludes) = (&json["includes"], &json["excludes"]);
            assert_eq!(words(includes, "caps"), rule.caps);
            assert_eq!(words(includes, "arches"), rule.arches);
            assert_eq!(words(excludes, "caps"), rule.without_caps);
            assert_eq!(words(excludes, "arches"), rule.without_arches);
            let kernel = format!("{}.{}", rule.min_kernel.0, rule.min_kernel.1);
            assert_eq!(includes.get("minKernel").and_then(Value::as_str).unwrap_or("0.0"), kernel);
        }
    }

    #[test]
    fn capabilities_open_their_calls() {
        let host = Host { kernel: (6, 1), ..Host::default() };
        let allowed = |caps: &[&str], name: &str| {
            let caps: Vec<String> = caps.iter().map(|&c| c.to_owned()).collect();
            let rules = docker_default(&caps, &host).syscalls;
            rules.iter().any(|r| {
                r.action == "SCMP_ACT_ALLOW" && r.args.is_empty() && r.names.iter().any(|n| n == name)
            })
        };
        assert!(allowed(&[], "read") && !allowed(&[], "mount") && allowed(&["CAP_SYS_ADMIN"], "mount"));
        assert!(!allowed(&[], "s390_runtime_instr") && allowed(&[], "arch_prctl"));
    }
}
