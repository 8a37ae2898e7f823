//! config-linux.md: namespaces, new, joined and inherited; id maps and clocks.

use super::{Scenario, s};
use crate::{
    facts::Facts,
    verdict::{must, same},
};
use serde_json::json;
use std::fs;

const NAMESPACES: &str = "config-linux.md#namespaces";
const USER: &str = "config-linux.md#user-namespace-mappings";
const TIME: &str = "config-linux.md#offset-for-time-namespace";
const SYSCTL: &str = "config-linux.md#sysctl";

/// The specification's word and the kernel's.
const KINDS: &[(&str, &str)] = &[
    ("pid", "pid"),
    ("network", "net"),
    ("ipc", "ipc"),
    ("uts", "uts"),
    ("mount", "mnt"),
    ("cgroup", "cgroup"),
];

pub(crate) const SCENARIOS: &[Scenario] = &[
    s("namespaces.new", NAMESPACES, |case| {
        case.new_namespace("cgroup");
        let facts = case.report()?;
        KINDS.iter().try_for_each(|(_, file)| {
            must(seen(&facts, file) != host(file), || format!("{file} is the runtime's: {}", host(file)))
        })
    }),
    s("namespaces.inherited", NAMESPACES, |case| {
        for kind in ["network", "ipc", "uts", "pid"] {
            case.namespace(kind, None);
        }
        // a new sysfs and proc need namespaces of their own: bind the host's
        for point in ["/sys", "/proc"] {
            case.unmount(point);
            case.mount(point, "bind", point, &["rbind"]);
        }
        let facts = case.report()?;
        ["net", "ipc", "uts", "pid", "cgroup", "user"]
            .iter()
            .try_for_each(|file| same(file, seen(&facts, file), host(file)))
    }),
    s("namespaces.inherited-mounts", NAMESPACES, |case| {
        case.namespace("mount", None);
        case.config["mounts"] = json!([{"destination": "/proc", "type": "proc", "source": "proc"}]);
        let ended = case.probe(&["exit 4"]).run();
        // what it mounted in the suite's own namespace is no fault of it
        let table = crate::mounts::parse(&fs::read_to_string("/proc/self/mountinfo")?);
        for mount in table
            .iter()
            .rev()
            .filter(|mount| case.rootfs().to_str().is_some_and(|root| mount.point.starts_with(root)))
        {
            rustix::mount::unmount(mount.point.as_str(), rustix::mount::UnmountFlags::DETACH)?;
        }
        same("exit code", ended?.code, 4)
    }),
    s("namespaces.joined", NAMESPACES, |case| {
        let mut first = case.beside()?;
        let joined = (|| {
            let pid = first.probe(&["hold"]).running()?.as_raw_nonzero();
            for (kind, file) in [("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("pid", "pid")] {
                case.namespace(kind, Some(&format!("/proc/{pid}/ns/{file}")));
            }
            let facts = case.report()?;
            for file in ["net", "ipc", "uts", "pid"] {
                let theirs = fs::read_link(format!("/proc/{pid}/ns/{file}"))?;
                same(file, seen(&facts, file), theirs.display().to_string())?;
            }
            must(facts.get("pid") != 1, || "pid 1 of a joined pid namespace".to_owned())
        })();
        case.end()?;
        first.end()?;
        joined
    }),
    s("namespaces.joined-by-a-bound-file", NAMESPACES, |case| {
        let file = case.bundle.join("netns");
        fs::write(&file, "")?;
        let made = dhow_sys::netns::create(|| {
            rustix::mount::mount_bind("/proc/thread-self/ns/net", &file).map_err(Into::into)
        })?;
        let wanted = fs::read_link(format!("/proc/self/fd/{}", rustix::fd::AsRawFd::as_raw_fd(&made.0)))?;
        case.namespace("network", Some(&file.to_string_lossy()));
        let facts = case.report();
        let there = fs::metadata(&file);
        rustix::mount::unmount(&file, rustix::mount::UnmountFlags::DETACH)?;
        same("network namespace", seen(&facts?, "net"), wanted.display().to_string())?;
        Ok(there.map(drop)?)
    }),
    s("namespaces.path-of-another-type", NAMESPACES, |case| {
        case.namespace("network", Some("/proc/self/ns/ipc"));
        case.rejected().map(drop)
    }),
    s("namespaces.path-is-no-namespace", NAMESPACES, |case| {
        case.namespace("network", Some("/etc/passwd"));
        case.rejected().map(drop)
    }),
    s("namespaces.path-is-missing", NAMESPACES, |case| {
        case.namespace("ipc", Some("/no/such/namespace"));
        case.rejected().map(drop)
    }),
    s("namespaces.path-is-relative", NAMESPACES, |case| {
        case.namespace("ipc", Some("proc/self/ns/ipc"));
        case.rejected().map(drop)
    }),
    s("namespaces.duplicate", NAMESPACES, |case| {
        crate::case::push(&mut case.config["linux"]["namespaces"], json!({"type": "ipc"}));
        case.rejected().map(drop)
    }),
    s("namespaces.unknown", NAMESPACES, |case| {
        crate::case::push(&mut case.config["linux"]["namespaces"], json!({"type": "nonsense"}));
        case.rejected().map(drop)
    }),
    s("namespaces.pid-sees-only-itself", NAMESPACES, |case| {
        same("processes", case.ask(&["processes"])?, ["1"])
    }),
    s("namespaces.cgroup-root", NAMESPACES, |case| {
        case.new_namespace("cgroup");
        let facts = case.report()?;
        let inside = facts.text("cgroup").lines().all(|line| line.ends_with(":/"));
        must(inside, || format!("/proc/self/cgroup: {}", facts.text("cgroup")))
    }),
    s("user-namespace.maps", USER, |case| {
        case.user_namespace()?;
        let facts = case.report()?;
        must(seen(&facts, "user") != host("user"), || "no user namespace of its own".to_owned())?;
        for name in ["uid_map", "gid_map"] {
            let map: Vec<&str> = facts.text(name).split_whitespace().collect();
            same(name, map, ["0", "100000", "65536"])?;
        }
        same("uid inside", facts.get("uid"), &json!(0))
    }),
    s("user-namespace.two-ranges", USER, |case| {
        case.user_namespace()?;
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 10}, {"containerID": 10, "hostID": 200_000, "size": 5}]);
        case.config["linux"]["uidMappings"] = map.clone();
        case.config["linux"]["gidMappings"] = map;
        let facts = case.report()?;
        let map: Vec<&str> = facts.text("uid_map").split_whitespace().collect();
        same("uid_map", map, ["0", "100000", "10", "10", "200000", "5"])
    }),
    s("user-namespace.seen-from-outside", USER, |case| {
        case.user_namespace()?;
        case.config["process"]["user"] = json!({"uid": 1000, "gid": 1000, "additionalGids": [5]});
        let pid = case.probe(&["hold"]).running()?.as_raw_nonzero();
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        same("uid", line("Uid:"), Some("101000\t101000\t101000\t101000"))?;
        same("groups", line("Groups:"), Some("100005"))
    }),
    s("user-namespace.keeps-owners", USER, |case| {
        case.user_namespace()?;
        let source = super::mounts::folder(case, "data")?;
        case.mount("/data", "bind", &source.to_string_lossy(), &["bind"]);
        same("owner inside", case.ask(&["stat /data/name"])?, ["f 0:0 644 65534:65534"])?;
        let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(source.join("name"))?);
        same("owner outside", owner, 0)
    }),
    s("user-namespace.without-maps", USER, |case| {
        case.new_namespace("user");
        case.rejected().map(drop)
    }),
    s("user-namespace.devices", USER, |case| {
        case.user_namespace()?;
        let answers = case.ask(&["open /dev/null rw", "open /dev/zero r", "open /dev/tty r"])?;
        same("answers", answers, ["ok", "ok", "ENXIO"])
    }),
    s("user-namespace.joined", USER, |case| {
        let mut first = case.beside()?;
        let joined = (|| {
            first.user_namespace()?;
            case.user_namespace()?;
            let pid = first.probe(&["hold"]).running()?.as_raw_nonzero();
            case.namespace("user", Some(&format!("/proc/{pid}/ns/user")));
            for map in ["uidMappings", "gidMappings"] {
                if let Some(linux) = case.linux().as_object_mut() {
                    linux.remove(map);
                }
            }
            let facts = case.report()?;
            let theirs = fs::read_link(format!("/proc/{pid}/ns/user"))?;
            same("user namespace", seen(&facts, "user"), theirs.display().to_string())
        })();
        case.end()?;
        first.end()?;
        joined
    }),
    s("time-namespace.offsets", TIME, |case| {
        case.new_namespace("time");
        case.config["linux"]["timeOffsets"] =
            json!({"monotonic": {"secs": 172_800, "nanosecs": 0}, "boottime": {"secs": 604_800}});
        let answers = case.ask(&["clock monotonic", "clock boottime"])?;
        let seconds: Vec<i64> = answers.iter().filter_map(|answer| answer.parse().ok()).collect();
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime).tv_sec;
        let ahead = |index: usize| seconds.get(index).map_or(0, |seconds| seconds - now);
        must((172_000..173_000).contains(&ahead(0)), || format!("monotonic is {} s ahead", ahead(0)))?;
        must((604_000..606_000).contains(&ahead(1)), || format!("boottime is {} s ahead", ahead(1)))
    }),
    s("time-namespace.new", TIME, |case| {
        case.new_namespace("time");
        let facts = case.report()?;
        must(seen(&facts, "time") != host("time"), || "no time namespace of its own".to_owned())
    }),
    s("time-namespace.offsets-without-namespace", TIME, |case| {
        case.config["linux"]["timeOffsets"] = json!({"boottime": {"secs": 10}});
        case.rejected().map(drop)
    }),
    s("sysctl.network", SYSCTL, |case| {
        case.config["linux"]["sysctl"] =
            json!({"net.ipv4.ip_forward": "1", "net.ipv4.ip_unprivileged_port_start": "77"});
        let answers = case.ask(&[
            "read /proc/sys/net/ipv4/ip_forward",
            "read /proc/sys/net/ipv4/ip_unprivileged_port_start",
        ])?;
        same("values", answers, ["1", "77"])
    }),
    s("sysctl.ipc", SYSCTL, |case| {
        case.config["linux"]["sysctl"] =
            json!({"kernel.shmmni": "1234", "fs.mqueue.msg_max": "17", "kernel.sem": "100 200 30 40"});
        let answers = case.ask(&[
            "read /proc/sys/kernel/shmmni",
            "read /proc/sys/fs/mqueue/msg_max",
            "read /proc/sys/kernel/sem",
        ])?;
        same("values", answers, ["1234", "17", "100\\t200\\t30\\t40"])
    }),
    s("sysctl.domain-name", SYSCTL, |case| {
        case.config["linux"]["sysctl"] = json!({"kernel.domainname": "by.sysctl"});
        same("value", case.ask(&["read /proc/sys/kernel/domainname"])?, ["by.sysctl"])
    }),
    // the host's own values, so that nothing changes if a runtime does write them
    s("sysctl.of-the-host", SYSCTL, |case| {
        let value = fs::read_to_string("/proc/sys/kernel/panic")?;
        case.config["linux"]["sysctl"] = json!({"kernel.panic": value.trim()});
        case.rejected().map(drop)
    }),
    s("sysctl.without-the-namespace", SYSCTL, |case| {
        case.namespace("ipc", None);
        let value = fs::read_to_string("/proc/sys/kernel/shmmni")?;
        case.config["linux"]["sysctl"] = json!({"kernel.shmmni": value.trim()});
        case.rejected().map(drop)
    }),
    s("sysctl.unknown", SYSCTL, |case| {
        case.config["linux"]["sysctl"] = json!({"net.no.such.key": "1"});
        case.rejected().map(drop)
    }),
    s("sysctl.invalid-value", SYSCTL, |case| {
        case.config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "nonsense"});
        case.rejected().map(drop)
    }),
];

fn host(file: &str) -> String {
    fs::read_link(format!("/proc/self/ns/{file}")).map(|link| link.display().to_string()).unwrap_or_default()
}

fn seen(facts: &Facts, file: &str) -> String {
    facts.get("namespaces")[file].as_str().unwrap_or_default().to_owned()
}
