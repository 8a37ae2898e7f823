//! The OCI runtime specification's configuration (config.md, config-linux.md 1.2), as far as Linux has it.
//! Field names are the specification's in snake case. What is absent in JSON is `None` or empty here.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

macro_rules! object {
    ($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident : $kind:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
        #[serde(rename_all = "camelCase", default)]
        pub struct $name { $($(#[$fdoc])* pub $field: $kind),* }
    };
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
});
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
});
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
