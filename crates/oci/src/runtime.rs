//! The OCI runtime specification's configuration (config.md, config-linux.md 1.3), as far as Linux has it.
//! Field names are the specification's in snake case. What is absent or null in JSON is `None` or empty here; unknown fields are ignored.

use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

macro_rules! object {
    ($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident : $kind:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
        #[serde(rename_all = "camelCase", default)]
        pub struct $name { $($(#[$fdoc])* #[serde(deserialize_with = "nullable")] pub $field: $kind),* }
    };
}

/// A null is what an absent field is: Go's writers produce it for empty lists.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

object!(/// The whole `config.json`.
Spec {
    /// `1.2.0`.
    oci_version: String,
    /// What runs.
    process: Option<Process>,
    /// The root file system.
    root: Option<Root>,
    /// UTS host name.
    hostname: Option<String>,
    /// UTS domain name.
    domainname: Option<String>,
    /// In order.
    mounts: Vec<Mount>,
    /// Commands at points of the life cycle.
    hooks: Option<Hooks>,
    /// Free.
    annotations: BTreeMap<String, String>,
    /// All that is Linux's.
    linux: Option<Linux>,
});
object!(/// The process to run.
Process {
    /// Whether it has a terminal.
    terminal: bool,
    /// Of the terminal.
    console_size: Option<ConsoleSize>,
    /// Who it is.
    user: User,
    /// The command line.
    args: Vec<String>,
    /// `NAME=value`.
    env: Vec<String>,
    /// Absolute.
    cwd: String,
    /// Sets of names like `CAP_CHOWN`.
    capabilities: Option<Capabilities>,
    /// Resource limits.
    rlimits: Vec<Rlimit>,
    /// `PR_SET_NO_NEW_PRIVS`.
    no_new_privileges: bool,
    /// AppArmor profile.
    apparmor_profile: Option<String>,
    /// -1000 to 1000.
    oom_score_adj: Option<i32>,
    /// SELinux label.
    selinux_label: Option<String>,
    /// At the disks.
    io_priority: Option<IoPriority>,
    /// At the processors.
    scheduler: Option<Scheduler>,
    /// Processors of an additional process.
    #[serde(rename = "execCPUAffinity")]
    exec_cpu_affinity: Option<CpuAffinity>,
});
object!(/// Turn at the disks.
IoPriority { /** `IOPRIO_CLASS_RT`, `_BE`, `_IDLE` */ class: String, /** 0 to 7 */ priority: i64 });
object!(/// Turn at the processors.
Scheduler {
    /// `SCHED_OTHER`, …
    policy: String,
    /// -20 to 19.
    nice: i32,
    /// 1 to 99, for FIFO and RR.
    priority: i32,
    /// `SCHED_FLAG_…`.
    flags: Vec<String>,
    /// Nanoseconds, for DEADLINE.
    runtime: u64,
    /// Nanoseconds, for DEADLINE.
    deadline: u64,
    /// Nanoseconds, for DEADLINE.
    period: u64,
});
object!(/// Processors as in `0-3,7`.
CpuAffinity { /** before the process is in its cgroup */ initial: String, #[serde(rename = "final")] /** afterwards */ last: String });
object!(/// Characters of a terminal.
ConsoleSize { /** rows */ height: u16, /** columns */ width: u16 });
object!(/// Numbers of a user.
User { /** user */ uid: u32, /** group */ gid: u32, /** octal bits */ umask: Option<u32>, /** more groups */ additional_gids: Vec<u32> });
object!(/// The five capability sets.
Capabilities { /** B */ bounding: Vec<String>, /** E */ effective: Vec<String>, /** I */ inheritable: Vec<String>, /** P */ permitted: Vec<String>, /** A */ ambient: Vec<String> });
object!(/// One limit.
Rlimit { /** `RLIMIT_NOFILE` */ #[serde(rename = "type")] kind: String, /** ceiling */ hard: u64, /** in force */ soft: u64 });
object!(/// Where the root file system is.
Root { /** folder */ path: String, /** remounted read-only at the end */ readonly: bool });
object!(/// One mount inside the container.
Mount {
    /// Inside.
    destination: String,
    /// `bind` is in the options; `proc`, `tmpfs`, …
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Outside, or the file system's word.
    source: Option<String>,
    /// As in fstab, and `rbind`, `rprivate`, `tmpcopyup`, …
    options: Vec<String>,
    /// Id maps of an id-mapped mount.
    uid_mappings: Vec<IdMapping>,
    /// Likewise.
    gid_mappings: Vec<IdMapping>,
});
object!(/// Commands run around the life of a container.
Hooks {
    /// Deprecated by the specification, still run.
    prestart: Vec<Hook>,
    /// In the runtime's namespaces.
    create_runtime: Vec<Hook>,
    /// In the container's, before `pivot_root`.
    create_container: Vec<Hook>,
    /// In the container's, before exec.
    start_container: Vec<Hook>,
    /// After exec.
    poststart: Vec<Hook>,
    /// After the end.
    poststop: Vec<Hook>,
});
object!(/// One command.
Hook { /** program */ path: String, /** argv */ args: Vec<String>, /** environment */ env: Vec<String>, /** seconds */ timeout: Option<i32> });
object!(/// What only Linux has.
Linux {
    /// User ids in the container and outside.
    uid_mappings: Vec<IdMapping>,
    /// Group ids likewise.
    gid_mappings: Vec<IdMapping>,
    /// `net.…` → value.
    sysctl: BTreeMap<String, String>,
    /// Limits.
    resources: Option<Resources>,
    /// Below each hierarchy's root.
    cgroups_path: Option<String>,
    /// New or joined.
    namespaces: Vec<Namespace>,
    /// Nodes to make.
    devices: Vec<Device>,
    /// System call filter.
    seccomp: Option<Seccomp>,
    /// `private`, `shared`, `slave`, `unbindable`.
    rootfs_propagation: Option<String>,
    /// Hidden.
    masked_paths: Vec<String>,
    /// Read-only.
    readonly_paths: Vec<String>,
    /// SELinux.
    mount_label: Option<String>,
    /// `monotonic` and `boottime`.
    time_offsets: BTreeMap<String, TimeOffset>,
    /// Which system programs see.
    personality: Option<Personality>,
    /// Cache and memory bandwidth.
    intel_rdt: Option<IntelRdt>,
    /// Interfaces of the host that move into the container, by name.
    net_devices: BTreeMap<String, NetDevice>,
    /// Memory nodes.
    memory_policy: Option<MemoryPolicy>,
});
object!(/// How far a clock is from the host's.
TimeOffset { /** seconds */ secs: i64, /** and nanoseconds */ nanosecs: u32 });
object!(/// Execution domain.
Personality { /** `LINUX` or `LINUX32` */ domain: String, /** none so far */ flags: Vec<String> });
object!(/// Intel's resource director; only that it is asked for.
IntelRdt { #[serde(rename = "closID")] /** class */ clos_id: Option<String> });
object!(/// An interface's new name.
NetDevice { /** the old one if absent */ name: Option<String> });
object!(/// NUMA policy.
MemoryPolicy { /** `MPOL_…` */ mode: String, /** list */ nodes: String, /** `MPOL_F_…` */ flags: Vec<String> });
object!(/// One range of ids.
IdMapping { #[serde(rename = "containerID")] /** inside */ container_id: u32, #[serde(rename = "hostID")] /** outside */ host_id: u32, /** how many */ size: u32 });
object!(/// One namespace.
Namespace { #[serde(rename = "type")] /** `pid network mount ipc uts user cgroup time` */ kind: String, /** joined instead of made */ path: Option<String> });
object!(/// One device node.
Device { #[serde(rename = "type")] /** `c b u p` */ kind: String, /** inside */ path: String, /** number */ major: i64, /** number */ minor: i64, /** bits */ file_mode: Option<u32>, /** owner */ uid: Option<u32>, /** group */ gid: Option<u32> });
object!(/// Limits of a container.
Resources {
    /// Rules, last match wins.
    devices: Vec<DeviceRule>,
    /// Memory.
    memory: Option<Memory>,
    /// Processor.
    cpu: Option<Cpu>,
    /// Tasks.
    pids: Option<Pids>,
    /// Block devices.
    #[serde(rename = "blockIO")]
    block_io: Option<BlockIo>,
    /// Huge pages.
    hugepage_limits: Vec<HugepageLimit>,
    /// Marks of packets, v1 only.
    network: Option<NetworkLimits>,
    /// Handles and objects by device.
    rdma: BTreeMap<String, Rdma>,
    /// v2 files by name.
    unified: BTreeMap<String, String>,
});
object!(/// One rule of the device list.
DeviceRule { /** allowed or not */ allow: bool, #[serde(rename = "type")] /** `a c b` */ kind: Option<String>, /** any if absent */ major: Option<i64>, /** likewise */ minor: Option<i64>, /** `rwm` */ access: Option<String> });
object!(/// Memory, in bytes; -1 is no limit.
Memory { /** hard */ limit: Option<i64>, /** soft */ reservation: Option<i64>, /** memory and swap */ swap: Option<i64>, /** 0 to 100 */ swappiness: Option<u64>, #[serde(rename = "disableOOMKiller")] /** v1 */ disable_oom_killer: bool, /** refuse a limit below what is in use */ check_before_update: bool });
object!(/// Processor.
Cpu { /** relative */ shares: Option<u64>, /** µs a period */ quota: Option<i64>, /** µs */ period: Option<u64>, /** µs */ realtime_runtime: Option<i64>, /** µs */ realtime_period: Option<u64>, /** list */ cpus: Option<String>, /** list */ mems: Option<String>, /** µs saved up at most */ burst: Option<u64>, /** 1: SCHED_IDLE for all */ idle: Option<i64> });
object!(/// Tasks.
Pids { /** 0 or less: none */ limit: i64 });
object!(/// Block devices.
BlockIo { /** 10 to 1000 */ weight: Option<u16>, /** likewise, against its children, v1 */ leaf_weight: Option<u16>, /** per device */ weight_device: Vec<WeightDevice>, /** bytes/s */ throttle_read_bps_device: Vec<ThrottleDevice>, /** bytes/s */ throttle_write_bps_device: Vec<ThrottleDevice>, #[serde(rename = "throttleReadIOPSDevice")] /** per s */ throttle_read_iops_device: Vec<ThrottleDevice>, #[serde(rename = "throttleWriteIOPSDevice")] /** per s */ throttle_write_iops_device: Vec<ThrottleDevice> });
object!(/// A weight of one device.
WeightDevice { /** number */ major: i64, /** number */ minor: i64, /** 10 to 1000 */ weight: Option<u16>, /** v1 */ leaf_weight: Option<u16> });
object!(/// A rate of one device.
ThrottleDevice { /** number */ major: i64, /** number */ minor: i64, /** per second */ rate: u64 });
object!(/// Huge pages of one size.
HugepageLimit { /** `2MB` */ page_size: String, /** bytes */ limit: u64 });
object!(/// Marks of packets.
NetworkLimits { #[serde(rename = "classID")] /** of net_cls */ class_id: Option<u32>, /** of net_prio */ priorities: Vec<Priority> });
object!(/// Priority on one interface.
Priority { /** interface */ name: String, /** number */ priority: u32 });
object!(/// Limits of one RDMA device.
Rdma { /** open handles */ hca_handles: Option<u32>, /** objects */ hca_objects: Option<u32> });
object!(/// A system call filter.
Seccomp { /** `SCMP_ACT_…` */ default_action: String, /** errno of the default */ default_errno_ret: Option<u32>, /** `SCMP_ARCH_…` */ architectures: Vec<String>, /** `SECCOMP_FILTER_FLAG_…` */ flags: Vec<String>, /** socket of who answers `SCMP_ACT_NOTIFY` */ listener_path: Option<String>, /** said to it */ listener_metadata: Option<String>, /** rules */ syscalls: Vec<Syscall> });
object!(/// Rules with one verdict.
Syscall { /** of calls */ names: Vec<String>, /** verdict */ action: String, /** errno */ errno_ret: Option<u32>, /** all must hold */ args: Vec<SyscallArg> });
object!(/// One comparison of an argument.
SyscallArg { /** 0 to 5 */ index: u32, /** operand */ value: u64, /** mask's operand */ value_two: u64, /** `SCMP_CMP_…` */ op: String });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_are_absent_and_unknown_fields_are_ignored() {
        let text = r#"{"ociVersion":"1.3.0","mounts":null,"hooks":null,"future":{"a":1},
            "process":{"args":["a"],"commandLine":"x","env":null,"execCPUAffinity":{"final":"1"},"ioPriority":{"class":"IOPRIO_CLASS_BE","priority":3}},
            "linux":{"timeOffsets":{"boottime":{"secs":-5}},"intelRdt":{"closID":"x","new":true},"netDevices":{"eth7":{"name":"in"}}}}"#;
        let spec: Spec = serde_json::from_str(text).unwrap();
        let (process, linux) = (spec.process.unwrap(), spec.linux.unwrap());
        assert!(spec.mounts.is_empty() && process.env.is_empty());
        assert_eq!(process.exec_cpu_affinity.unwrap().last, "1");
        assert_eq!(process.io_priority.unwrap().priority, 3);
        assert_eq!(linux.time_offsets["boottime"], TimeOffset { secs: -5, nanosecs: 0 });
        assert_eq!(linux.intel_rdt.unwrap().clos_id.as_deref(), Some("x"));
        assert_eq!(linux.net_devices["eth7"].name.as_deref(), Some("in"));
    }
}
