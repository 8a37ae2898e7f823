//! Spec of a container + facts → the runtime specification, with docker's defaults. Pure.

use super::{Host, Spec, limits, seccomp, user::Identity};
use crate::{Error, Kind, Result};
use dhow_oci::runtime as oci;
use dhow_runtime::CAPABILITIES;
use std::collections::BTreeMap;

/// docker's capabilities.
const CAPS: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

const MASKED: [&str; 13] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
    "/sys/devices/system/cpu/cpu0/thermal_throttle",
];

const READONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

pub(crate) const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the specification depends on beside the container's own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    pub(crate) id: String,
    /// The engine's cgroup, where the container names no other.
    pub(crate) cgroup_parent: String,
    /// Host name inside.
    pub(crate) hostname: String,
    /// The command line.
    pub(crate) args: Vec<String>,
    /// What links tell; the container's own environment goes over it.
    pub(crate) link_env: Vec<String>,
    pub(crate) identity: Identity,
    /// User mounts and the engine's files, parents first.
    pub(crate) mounts: Vec<oci::Mount>,
    /// Namespaces that are joined: kind → path. A kind with an empty path is the host's.
    pub(crate) join: BTreeMap<String, String>,
    pub(crate) cgroup2: bool,
    /// Whether the engine may ask for all its capabilities only: those in its own bounding set.
    pub(crate) bounding: Vec<String>,
    pub(crate) kernel: (u32, u32),
    /// Devices of `--device`, looked up.
    pub(crate) devices: Vec<(oci::Device, String)>,
    /// `--device-cgroup-rule` and limits, looked up.
    pub(crate) resources: oci::Resources,
}

/// The security options, parsed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Security {
    pub(crate) no_new_privileges: bool,
    /// `unconfined` or a profile.
    pub(crate) seccomp: Option<String>,
    pub(crate) apparmor: Option<String>,
    pub(crate) systempaths_unconfined: bool,
}

/// Parses `--security-opt`.
pub(crate) fn security(options: &[String]) -> Result<Security> {
    let mut parsed = Security::default();
    for option in options {
        let (key, value) = option.split_once(['=', ':']).unwrap_or((option, ""));
        match (key, value) {
            ("no-new-privileges", "" | "true") => parsed.no_new_privileges = true,
            ("no-new-privileges", "false") => parsed.no_new_privileges = false,
            ("seccomp", profile) if !profile.is_empty() => parsed.seccomp = Some(profile.to_owned()),
            ("apparmor", profile) if !profile.is_empty() => parsed.apparmor = Some(profile.to_owned()),
            ("systempaths", "unconfined") => parsed.systempaths_unconfined = true,
            ("label", "disable") | ("writable-cgroups", "false") => {}
            _ => {
                let message = format!("invalid --security-opt: \"{option}\"");
                return Err(Error::new(Kind::Invalid, message));
            }
        }
    }
    Ok(parsed)
}

/// docker's list with `--cap-add` and `--cap-drop`.
pub(crate) fn capabilities(host: &Host, bounding: &[String]) -> Result<Vec<String>> {
    let allowed = |cap: &&str| bounding.is_empty() || bounding.iter().any(|b| b == cap);
    let every = || CAPABILITIES.iter().filter(|c| allowed(c)).map(|c| (*c).to_owned()).collect::<Vec<_>>();
    if host.privileged {
        return Ok(every());
    }
    let normal = |field: &str, list: &[String]| -> Result<Vec<String>> {
        list.iter()
            .map(|cap| {
                let upper = cap.to_ascii_uppercase();
                let full =
                    if upper == "ALL" || upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") };
                if full == "ALL" || CAPABILITIES.contains(&full.as_str()) {
                    Ok(full)
                } else {
                    Err(Error::new(Kind::Invalid, format!("invalid {field}: unknown capability: \"{full}\"")))
                }
            })
            .collect()
    };
    let (add, drop) = (normal("CapAdd", &host.cap_add)?, normal("CapDrop", &host.cap_drop)?);
    let all = |list: &[String]| list.iter().any(|c| c == "ALL");
    let mut caps = match (all(&add), all(&drop)) {
        (true, _) => every(),
        (false, true) => Vec::new(),
        (false, false) => CAPS.iter().map(|c| (*c).to_owned()).collect(),
    };
    if !all(&drop) {
        caps.retain(|c| !drop.contains(c));
    }
    for cap in add.into_iter().filter(|c| c != "ALL") {
        if !caps.contains(&cap) {
            caps.push(cap);
        }
    }
    Ok(caps)
}

/// The environment: docker's own, then the container's over it, then `HOME`.
pub(crate) fn environment(env: &[String], hostname: &str, tty: bool, home: &str) -> Vec<String> {
    let mut all = vec![PATH.to_owned(), format!("HOSTNAME={hostname}")];
    if tty {
        all.push("TERM=xterm".to_owned());
    }
    let key = |entry: &str| entry.split_once('=').map_or(entry.to_owned(), |(key, _)| key.to_owned());
    for entry in env {
        let name = key(entry);
        all.retain(|old| key(old) != name);
        if entry.contains('=') {
            all.push(entry.clone());
        }
    }
    if !all.iter().any(|entry| entry.starts_with("HOME=")) {
        all.push(format!("HOME={home}"));
    }
    all
}

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> oci::Mount {
    oci::Mount {
        destination: destination.to_owned(),
        kind: Some(kind.to_owned()),
        source: Some(source.to_owned()),
        options: options.iter().map(|o| (*o).to_owned()).collect(),
        ..oci::Mount::default()
    }
}

/// docker's mounts, less those that the user replaces, then the user's.
fn mounts(spec: &Spec, facts: &Facts) -> Vec<oci::Mount> {
    let access = if spec.host.privileged { "rw" } else { "ro" };
    let size = if spec.host.shm_size > 0 { spec.host.shm_size } else { 64 << 20 };
    let size = format!("size={size}");
    let mut all = vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", access]),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", &[access, "nosuid", "noexec", "nodev"]),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", &size]),
    ];
    if spec.host.ipc_mode == "host" {
        // A new mqueue file system shows the queues of the namespace, whether the host has one mounted or not.
        all.retain(|m| m.destination != "/dev/shm");
        all.push(mount("/dev/shm", "bind", "/dev/shm", &["rbind", "nosuid", "noexec", "nodev"]));
    } else if spec.host.ipc_mode == "none" {
        all.retain(|m| m.destination != "/dev/shm");
    }
    all.retain(|m| !facts.mounts.iter().any(|user| user.destination == m.destination));
    all.extend(facts.mounts.iter().cloned());
    all
}

fn namespaces(spec: &Spec, facts: &Facts) -> Vec<oci::Namespace> {
    let mut all = Vec::new();
    let mut add = |kind: &str| match facts.join.get(kind).map(String::as_str) {
        Some("") => {}
        Some(path) => all.push(oci::Namespace { kind: kind.to_owned(), path: Some(path.to_owned()) }),
        None => all.push(oci::Namespace { kind: kind.to_owned(), path: None }),
    };
    for kind in ["mount", "network", "uts", "pid", "ipc"] {
        add(kind);
    }
    // docker: private on the unified hierarchy, the host's on version 1
    let private = match spec.host.cgroupns_mode.as_str() {
        "private" => true,
        "host" => false,
        _ => facts.cgroup2 && !spec.host.privileged,
    };
    if private {
        add("cgroup");
    }
    all
}

fn device_rules(spec: &Spec, facts: &Facts) -> Vec<oci::DeviceRule> {
    let rule = |allow, kind: &str, major, minor, access: &str| oci::DeviceRule {
        allow,
        kind: Some(kind.to_owned()),
        major,
        minor,
        access: Some(access.to_owned()),
    };
    if spec.host.privileged {
        return vec![rule(true, "a", None, None, "rwm")];
    }
    let mut rules = vec![
        rule(false, "a", None, None, "rwm"),
        rule(true, "c", None, None, "m"),
        rule(true, "b", None, None, "m"),
    ];
    for (major, minor) in [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2)] {
        rules.push(rule(true, "c", Some(major), Some(minor), "rwm"));
    }
    rules.push(rule(true, "c", Some(136), None, "rwm"));
    for (device, permissions) in &facts.devices {
        rules.push(rule(true, &device.kind, Some(device.major), Some(device.minor), permissions));
    }
    rules
}

/// `c 1:3 rwm`.
pub(crate) fn device_rule(text: &str) -> Result<oci::DeviceRule> {
    let parse = || {
        let mut words = text.split_whitespace();
        let (kind, numbers, access) = (words.next()?, words.next()?, words.next()?);
        let (major, minor) = numbers.split_once(':')?;
        let number = |n: &str| if n == "*" { Some(None) } else { n.parse::<i64>().ok().map(Some) };
        let known = matches!(kind, "a" | "b" | "c")
            && access.bytes().all(|b| b"rwm".contains(&b))
            && access.len() <= 3;
        (known && words.next().is_none()).then_some(oci::DeviceRule {
            allow: true,
            kind: Some(kind.to_owned()),
            major: number(major)?,
            minor: number(minor)?,
            access: Some(access.to_owned()),
        })
    };
    parse().ok_or_else(|| Error::new(Kind::Invalid, format!("invalid device cgroup rule format: '{text}'")))
}

/// The filter, unless unconfined.
fn filter(
    security: &Security,
    privileged: bool,
    caps: &[String],
    facts: &Facts,
) -> Result<Option<oci::Seccomp>> {
    let arch = dhow_oci::Platform::host().architecture;
    let against = seccomp::Against { caps, arch: &arch, kernel: facts.kernel };
    match security.seccomp.as_deref() {
        Some("unconfined") => Ok(None),
        None if privileged => Ok(None),
        None | Some("builtin") => seccomp::default(&against).map(Some),
        Some(profile) => seccomp::custom(profile, &against).map(Some),
    }
}

/// Capability sets as docker sets them: a user other than root has a bounding set only.
pub(crate) fn capability_sets(caps: &[String], uid: u32) -> oci::Capabilities {
    let effective = if uid == 0 { caps.to_vec() } else { Vec::new() };
    oci::Capabilities {
        bounding: caps.to_vec(),
        permitted: effective.clone(),
        effective,
        ..oci::Capabilities::default()
    }
}

fn process(spec: &Spec, facts: &Facts, security: &Security, caps: &[String]) -> Result<oci::Process> {
    let (height, width) = spec.host.console_size;
    Ok(oci::Process {
        terminal: spec.tty,
        console_size: (spec.tty && height > 0).then_some(oci::ConsoleSize { height, width }),
        user: oci::User {
            uid: facts.identity.uid,
            gid: facts.identity.gid,
            umask: None,
            additional_gids: facts.identity.more.clone(),
        },
        args: facts.args.clone(),
        env: environment(
            &[&facts.link_env[..], &spec.env].concat(),
            &facts.hostname,
            spec.tty,
            &facts.identity.home,
        ),
        cwd: if spec.working_dir.is_empty() { "/".to_owned() } else { spec.working_dir.clone() },
        capabilities: Some(capability_sets(caps, facts.identity.uid)),
        rlimits: limits::rlimits(&spec.host.ulimits)?,
        no_new_privileges: security.no_new_privileges,
        apparmor_profile: security.apparmor.clone().filter(|p| p != "unconfined"),
        oom_score_adj: Some(spec.host.oom_score_adj),
        ..oci::Process::default()
    })
}

/// Sysctls that belong to the network namespace, and the others.
pub(crate) fn sysctls(
    spec: &Spec,
    own_network: bool,
) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let (mut net, mut rest) = (BTreeMap::new(), BTreeMap::new());
    if own_network {
        net.insert("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned());
        net.insert("net.ipv4.ping_group_range".to_owned(), "0 2147483647".to_owned());
    }
    for (key, value) in &spec.host.sysctls {
        let list = if key.starts_with("net.") { &mut net } else { &mut rest };
        list.insert(key.clone(), value.clone());
    }
    (net, rest)
}

/// The whole specification.
pub(crate) fn build(spec: &Spec, facts: &Facts) -> Result<oci::Spec> {
    let security = security(&spec.host.security_opt)?;
    let caps = capabilities(&spec.host, &facts.bounding)?;
    let open = spec.host.privileged || security.systempaths_unconfined;
    let paths = |given: &Option<Vec<String>>, list: &[&str]| match given {
        Some(given) => given.clone(),
        None if open => Vec::new(),
        None => list.iter().map(|p| (*p).to_owned()).collect(),
    };
    let mut resources = facts.resources.clone();
    let mut rules = device_rules(spec, facts);
    rules.append(&mut resources.devices);
    resources.devices = rules;
    let parent = &spec.host.cgroup_parent;
    let parent = if parent.is_empty() { &facts.cgroup_parent } else { parent };
    let own_uts = !facts.join.contains_key("uts");
    Ok(oci::Spec {
        oci_version: "1.2.0".to_owned(),
        process: Some(process(spec, facts, &security, &caps)?),
        root: Some(oci::Root { path: "rootfs".to_owned(), readonly: spec.host.readonly_rootfs }),
        hostname: own_uts.then(|| facts.hostname.clone()),
        domainname: Some(spec.domainname.clone()).filter(|d| own_uts && !d.is_empty()),
        mounts: mounts(spec, facts),
        hooks: None,
        annotations: spec.host.annotations.clone(),
        linux: Some(oci::Linux {
            sysctl: sysctls(spec, false).1,
            resources: Some(resources),
            cgroups_path: Some(format!("/{}/{}", parent.trim_matches('/'), facts.id)),
            namespaces: namespaces(spec, facts),
            devices: facts.devices.iter().map(|(device, _)| device.clone()).collect(),
            seccomp: filter(&security, spec.host.privileged, &caps, facts)?,
            masked_paths: paths(&spec.host.masked_paths, &MASKED),
            readonly_paths: paths(&spec.host.readonly_paths, &READONLY),
            ..oci::Linux::default()
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(caps: &[&str], drop: &[&str]) -> std::result::Result<Vec<String>, String> {
        let list = |l: &[&str]| l.iter().map(|s| (*s).to_owned()).collect();
        let host = Host { cap_add: list(caps), cap_drop: list(drop), ..Host::default() };
        capabilities(&host, &[]).map_err(|e| e.message)
    }

    #[test]
    fn capabilities_as_docker_has_them() {
        assert_eq!(with(&[], &[]).unwrap().len(), 14);
        assert!(!with(&[], &["MKNOD"]).unwrap().contains(&"CAP_MKNOD".to_owned()));
        assert_eq!(with(&["net_admin"], &["ALL"]).unwrap(), ["CAP_NET_ADMIN"]);
        assert_eq!(with(&["ALL"], &["CAP_SYS_ADMIN"]).unwrap().len(), 40);
        assert_eq!(with(&["FOO"], &[]).unwrap_err(), "invalid CapAdd: unknown capability: \"CAP_FOO\"");
    }

    #[test]
    fn environment_order_and_overrides() {
        let env = environment(&["PATH=/x".into(), "A=1".into(), "HOSTNAME".into()], "h", true, "/root");
        assert_eq!(env, ["TERM=xterm", "PATH=/x", "A=1", "HOME=/root"]);
    }

    #[test]
    fn the_whole_thing() {
        let facts = Facts {
            id: "abc".into(),
            cgroup_parent: "dhow".into(),
            hostname: "h".into(),
            args: vec!["sh".into()],
            kernel: (6, 1),
            ..Facts::default()
        };
        let spec = build(&Spec::default(), &facts).unwrap();
        let linux = spec.linux.unwrap();
        assert_eq!(linux.cgroups_path.as_deref(), Some("/dhow/abc"));
        assert!(linux.seccomp.is_some() && linux.masked_paths.contains(&"/proc/kcore".to_owned()));
        let open = Spec { host: Host { privileged: true, ..Host::default() }, ..Spec::default() };
        let linux = build(&open, &facts).unwrap().linux.unwrap();
        assert!(linux.seccomp.is_none() && linux.masked_paths.is_empty());
    }

    #[test]
    fn options_that_are_refused() {
        assert!(security(&["nonsense".into()]).is_err());
        assert!(
            security(&["no-new-privileges:true".into(), "seccomp=unconfined".into()])
                .unwrap()
                .no_new_privileges
        );
        assert!(
            device_rule("c 1:3 rwm").is_ok()
                && device_rule("c 1:* r").is_ok()
                && device_rule("x 1:3 rwm").is_err()
        );
    }
}
