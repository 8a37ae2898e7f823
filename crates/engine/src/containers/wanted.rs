//! What a container is made from: docker's Config and HostConfig, parsed. Also the disk format.

use dhow_oci::image::Healthcheck;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::IpAddr};

/// What a container is made from: docker's Config and HostConfig, parsed. Also the disk format (journal `container/<id>`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Spec {
    /// Name of the image as the user gave it.
    pub image: String,
    /// Host name; empty: the short id.
    pub hostname: String,
    /// Domain name.
    pub domainname: String,
    /// `user[:group]`.
    pub user: String,
    /// Client wants these attached (only shown back).
    pub attach: (bool, bool, bool),
    /// `80/tcp`.
    pub exposed_ports: Vec<String>,
    /// Terminal.
    pub tty: bool,
    /// Keep stdin open.
    pub open_stdin: bool,
    /// Close it after the first client.
    pub stdin_once: bool,
    /// `NAME=value` (a bare `NAME` removes the image's).
    pub env: Vec<String>,
    /// `None`: the image's.
    pub cmd: Option<Vec<String>>,
    /// `None`: the image's; `Some([])` or `[""]`: none.
    pub entrypoint: Option<Vec<String>>,
    /// Paths of anonymous volumes.
    pub volumes: Vec<String>,
    /// Absolute; empty: the image's or `/`.
    pub working_dir: String,
    /// Labels (the image's are merged in at create).
    pub labels: BTreeMap<String, String>,
    /// `SIGTERM`, `15`; empty: the image's or SIGTERM.
    pub stop_signal: String,
    /// Seconds; `None`: 10.
    pub stop_timeout: Option<i64>,
    /// `None`: the image's.
    pub healthcheck: Option<Healthcheck>,
    /// HostConfig.
    pub host: Host,
}

/// docker's HostConfig, parsed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Host {
    /// As the user gave them (`/a:/b:ro`, `vol:/b`): shown back; parsed ones are in `mounts` too.
    pub binds: Vec<String>,
    /// Every mount wanted, from `-v`, `--mount`, in order; tmpfs too.
    pub mounts: Vec<MountSpec>,
    /// `--tmpfs path=options`.
    pub tmpfs: BTreeMap<String, String>,
    /// `--volumes-from name[:ro]`.
    pub volumes_from: Vec<String>,
    /// `default`, `bridge`, `none`, `host`, `container:<id>`, a network's name or id.
    pub network_mode: String,
    /// `80/tcp` → where on the host.
    pub port_bindings: BTreeMap<String, Vec<PortBinding>>,
    /// `-P`.
    pub publish_all: bool,
    /// Restart policy.
    pub restart: Restart,
    /// `--rm`.
    pub auto_remove: bool,
    /// `--privileged`.
    pub privileged: bool,
    /// `--read-only`.
    pub readonly_rootfs: bool,
    /// `--init`.
    pub init: Option<bool>,
    /// `--cap-add`, upper case with or without `CAP_`, or `ALL`.
    pub cap_add: Vec<String>,
    /// Likewise.
    pub cap_drop: Vec<String>,
    /// `no-new-privileges`, `seccomp=unconfined`, `seccomp=<json>`, `apparmor=…`, `systempaths=unconfined`, `label=…`.
    pub security_opt: Vec<String>,
    /// `--dns`.
    pub dns: Vec<IpAddr>,
    /// `--dns-search`.
    pub dns_search: Vec<String>,
    /// `--dns-option`.
    pub dns_options: Vec<String>,
    /// `name:ip` (`host-gateway` allowed).
    pub extra_hosts: Vec<String>,
    /// `name[:alias]`.
    pub links: Vec<String>,
    /// Names or numbers.
    pub group_add: Vec<String>,
    /// `net.x` → value.
    pub sysctls: BTreeMap<String, String>,
    /// Limits.
    pub ulimits: Vec<Ulimit>,
    /// `` `private` `shareable` `host` `container:<id>` `none`.
    pub ipc_mode: String,
    /// `` `host` `container:<id>`.
    pub pid_mode: String,
    /// `` `host`.
    pub uts_mode: String,
    /// `` `host`.
    pub userns_mode: String,
    /// `private` `host`.
    pub cgroupns_mode: String,
    /// Bytes; 0: 64 MiB.
    pub shm_size: i64,
    /// Devices of the host.
    pub devices: Vec<DeviceSpec>,
    /// `c 1:3 rwm`.
    pub device_cgroup_rules: Vec<String>,
    /// Limits of the cgroup.
    pub resources: Resources,
    /// Logging.
    pub log: LogSpec,
    /// `` or a cgroup below which it lives.
    pub cgroup_parent: String,
    /// -1000 … 1000.
    pub oom_score_adj: i32,
    /// Hidden; `None`: docker's list.
    pub masked_paths: Option<Vec<String>>,
    /// Read-only; `None`: docker's list.
    pub readonly_paths: Option<Vec<String>>,
    /// OCI annotations.
    pub annotations: BTreeMap<String, String>,
    /// `runc` or empty.
    pub runtime: String,
    /// Rows, columns.
    pub console_size: (u16, u16),
    /// Only shown back.
    pub container_id_file: String,
    /// Of volumes that are made for this container; only `local` (or empty) can make any.
    pub volume_driver: String,
    /// Empty or `default`: only shown back.
    pub isolation: String,
    /// Only shown back.
    pub storage_opt: BTreeMap<String, String>,
}

/// `--memory`, `--cpus`, …; 0 (or `None`) is no limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[allow(missing_docs, reason = "docker's names; bytes, microseconds, counts")]
pub struct Resources {
    pub memory: i64,
    pub memory_swap: i64,
    pub memory_reservation: i64,
    pub memory_swappiness: Option<i64>,
    pub oom_kill_disable: Option<bool>,
    pub nano_cpus: i64,
    pub cpu_shares: i64,
    pub cpu_period: i64,
    pub cpu_quota: i64,
    pub cpu_realtime_period: i64,
    pub cpu_realtime_runtime: i64,
    pub cpuset_cpus: String,
    pub cpuset_mems: String,
    pub pids_limit: Option<i64>,
    pub blkio_weight: u16,
    /// (device path, rate): read bps, write bps, read iops, write iops.
    pub blkio_throttle: [Vec<(String, u64)>; 4],
    /// (device path, weight).
    pub blkio_weight_device: Vec<(String, u16)>,
}

/// A mount as wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MountSpec {
    /// What.
    pub kind: MountKind,
    /// Host path, volume name (empty: anonymous) or image.
    pub source: String,
    /// Absolute inside.
    pub target: String,
    /// `ro`.
    pub readonly: bool,
    /// `-v` makes a missing host folder, `--mount` refuses.
    pub create_source: bool,
    /// `rprivate`, `rshared`, …; empty: rprivate.
    pub propagation: String,
    /// Do not copy the image's content into an empty volume.
    pub no_copy: bool,
    /// A folder of the volume.
    pub subpath: String,
    /// Labels of a volume that is made.
    pub labels: BTreeMap<String, String>,
    /// Options of its driver.
    pub driver_options: BTreeMap<String, String>,
    /// tmpfs: bytes.
    pub tmpfs_size: Option<i64>,
    /// tmpfs: bits.
    pub tmpfs_mode: Option<u32>,
    /// Given with `--mount` (shown under HostConfig.Mounts) rather than `-v`.
    pub from_mount: bool,
    /// As given after the second colon of `-v` (`ro,z`), shown as Mode.
    pub mode: String,
}

/// Kinds of mounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "docker's words")]
pub enum MountKind {
    Bind,
    Volume,
    Tmpfs,
    Image,
}

/// One `-p`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortBinding {
    /// Empty: all addresses.
    pub host_ip: String,
    /// Empty or 0: any; `8000-8010`: a range.
    pub host_port: String,
}

/// `--restart`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[allow(missing_docs, reason = "docker's words")]
pub enum Restart {
    #[default]
    No,
    Always,
    UnlessStopped,
    OnFailure {
        /// 0: no limit.
        max: i64,
    },
}

/// `--ulimit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// `nofile`.
    pub name: String,
    /// -1: unlimited.
    pub soft: i64,
    /// Likewise.
    pub hard: i64,
}

/// `--device`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceSpec {
    /// Outside.
    pub host: String,
    /// Inside.
    pub container: String,
    /// `rwm`.
    pub permissions: String,
}

/// Logging: driver and options.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct LogSpec {
    /// `json-file`, `syslog`, …; empty: the daemon's.
    pub driver: String,
    /// `max-size`, `max-file`, …
    pub options: BTreeMap<String, String>,
}
