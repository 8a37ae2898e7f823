//! System call filters: docker's profile format (conditions by capability, architecture, kernel) → the runtime specification's.

use crate::{Error, Kind, Result};
use dhow_oci::runtime as oci;
use serde::Deserialize;
use std::sync::LazyLock;

/// docker's default profile, unchanged.
const DEFAULT: &str = include_str!("seccomp-default.json");

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Profile {
    default_action: String,
    default_errno_ret: Option<u32>,
    architectures: Vec<String>,
    arch_map: Vec<ArchMap>,
    flags: Vec<String>,
    syscalls: Vec<Rule>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ArchMap {
    architecture: String,
    sub_architectures: Vec<String>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Rule {
    name: String,
    names: Vec<String>,
    action: String,
    errno_ret: Option<u32>,
    args: Option<Vec<oci::SyscallArg>>,
    includes: Option<Condition>,
    excludes: Option<Condition>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Condition {
    caps: Vec<String>,
    arches: Vec<String>,
    min_kernel: String,
}

/// What a profile's conditions are held against.
#[derive(Debug)]
pub(crate) struct Against<'a> {
    /// Capabilities in the bounding set.
    pub(crate) caps: &'a [String],
    /// Go's name of the processor.
    pub(crate) arch: &'a str,
    /// Major, minor.
    pub(crate) kernel: (u32, u32),
}

static PARSED: LazyLock<std::result::Result<Profile, String>> =
    LazyLock::new(|| parse(DEFAULT).map_err(|e| e.to_string()));

/// Go writes `null` where it means nothing.
fn parse(text: &str) -> serde_json::Result<Profile> {
    fn strip(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Object(map) => {
                map.retain(|_, v| !v.is_null());
                map.values_mut().for_each(strip);
            }
            serde_json::Value::Array(list) => list.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut value = serde_json::from_str(text)?;
    strip(&mut value);
    serde_json::from_value(value)
}

/// docker's default profile for these capabilities.
pub(crate) fn default(against: &Against<'_>) -> Result<oci::Seccomp> {
    let profile = PARSED.as_ref().map_err(|e| {
        Error::new(Kind::Internal, format!("the built-in seccomp profile does not parse: {e}"))
    })?;
    Ok(resolve(profile, against))
}

/// A user's profile.
pub(crate) fn custom(text: &str, against: &Against<'_>) -> Result<oci::Seccomp> {
    let profile = parse(text)
        .map_err(|e| Error::new(Kind::Invalid, format!("Decoding seccomp profile failed: {e}")))?;
    Ok(resolve(&profile, against))
}

fn resolve(profile: &Profile, against: &Against<'_>) -> oci::Seccomp {
    let native = match against.arch {
        "amd64" => "SCMP_ARCH_X86_64",
        "arm64" => "SCMP_ARCH_AARCH64",
        _ => "",
    };
    let mut architectures = profile.architectures.clone();
    for map in profile.arch_map.iter().filter(|m| m.architecture == native) {
        architectures.push(map.architecture.clone());
        architectures.extend(map.sub_architectures.iter().cloned());
    }
    let syscalls = profile.syscalls.iter().filter(|rule| applies(rule, against)).map(|rule| {
        let mut names = rule.names.clone();
        if !rule.name.is_empty() {
            names.push(rule.name.clone());
        }
        oci::Syscall {
            names,
            action: rule.action.clone(),
            errno_ret: rule.errno_ret,
            args: rule.args.clone().unwrap_or_default(),
        }
    });
    oci::Seccomp {
        default_action: profile.default_action.clone(),
        default_errno_ret: profile.default_errno_ret,
        architectures,
        flags: profile.flags.clone(),
        syscalls: syscalls.collect(),
        ..oci::Seccomp::default()
    }
}

fn applies(rule: &Rule, against: &Against<'_>) -> bool {
    let has_cap = |cap: &String| against.caps.contains(cap);
    let is_arch = |arch: &String| arch == against.arch;
    let included = rule.includes.as_ref().is_none_or(|c| {
        (c.arches.is_empty() || c.arches.iter().any(is_arch))
            && c.caps.iter().all(has_cap)
            && (c.min_kernel.is_empty() || at_least(against.kernel, &c.min_kernel))
    });
    let excluded = rule.excludes.as_ref().is_some_and(|c| {
        c.arches.iter().any(is_arch)
            || c.caps.iter().any(has_cap)
            || (!c.min_kernel.is_empty() && at_least(against.kernel, &c.min_kernel))
    });
    included && !excluded
}

fn at_least(kernel: (u32, u32), wanted: &str) -> bool {
    let mut parts = wanted.split('.').map(|p| p.parse::<u32>().unwrap_or(0));
    kernel >= (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// Major and minor of a kernel release.
pub(crate) fn kernel_version(release: &str) -> (u32, u32) {
    let mut parts = release.split(|c: char| !c.is_ascii_digit()).map(|p| p.parse::<u32>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(filter: &oci::Seccomp, name: &str) -> bool {
        filter
            .syscalls
            .iter()
            .any(|s| s.action == "SCMP_ACT_ALLOW" && s.args.is_empty() && s.names.iter().any(|n| n == name))
    }

    #[test]
    fn conditions_follow_capabilities_and_kernel() {
        let none = Against { caps: &[], arch: "amd64", kernel: (6, 18) };
        let plain = default(&none).unwrap();
        assert_eq!(plain.default_action, "SCMP_ACT_ERRNO");
        assert!(plain.architectures.contains(&"SCMP_ARCH_X86".to_owned()));
        assert!(allows(&plain, "read") && allows(&plain, "ptrace") && !allows(&plain, "mount"));
        let caps = ["CAP_SYS_ADMIN".to_owned()];
        let admin = default(&Against { caps: &caps, ..none }).unwrap();
        assert!(allows(&admin, "mount"));
        let old = default(&Against { caps: &[], arch: "amd64", kernel: (4, 4) }).unwrap();
        assert!(!allows(&old, "ptrace"));
        assert!(custom("{", &Against { caps: &[], arch: "amd64", kernel: (6, 1) }).is_err());
        assert_eq!(kernel_version("6.18.44-fc"), (6, 18));
    }
}
