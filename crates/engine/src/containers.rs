//! Containers: what they are made from, how they stand, what can be asked of them.

use crate::{Result, events::Time, filters::Filters, networks::EndpointConfig};
use bytes::Bytes;
use dhow_oci::{Digest, Platform, image::Healthcheck};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, sync::Arc};
use tokio::sync::mpsc;

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

/// A mount as it stands, for `inspect`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MountPoint {
    /// What.
    pub kind: MountKind,
    /// Volume name.
    pub name: String,
    /// Host path.
    pub source: PathBuf,
    /// Inside.
    pub target: String,
    /// `local` for volumes.
    pub driver: String,
    /// As given.
    pub mode: String,
    /// Writable.
    pub rw: bool,
    /// Propagation.
    pub propagation: String,
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
    /// `json-file`, `local`, `none`; empty: the daemon's.
    pub driver: String,
    /// `max-size`, `max-file`, …
    pub options: BTreeMap<String, String>,
}

/// How a container stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "docker's words")]
pub enum Status {
    Created,
    Running,
    Paused,
    Restarting,
    Removing,
    Exited,
    Dead,
}

/// Health of a container with a probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// `starting`, `healthy`, `unhealthy`.
    pub status: String,
    /// In a row.
    pub failing_streak: i64,
    /// The last five.
    pub log: Vec<Probe>,
}

/// One run of a probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// Began.
    pub start: Time,
    /// Ended.
    pub end: Time,
    /// Its exit code; -1 on time-out.
    pub exit_code: i32,
    /// At most 4 KiB.
    pub output: String,
}

/// Everything about a container, published after each change; readers never wait.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Without a slash.
    pub name: String,
    /// When.
    pub created: Time,
    /// What it was made from, image defaults merged in.
    pub spec: Arc<Spec>,
    /// Its image.
    pub image: Digest,
    /// Program.
    pub path: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// State.
    pub status: Status,
    /// Host pid; 0 when not running.
    pub pid: i32,
    /// Last exit code.
    pub exit_code: i32,
    /// Why the last start failed.
    pub error: String,
    /// The kernel killed it for memory.
    pub oom_killed: bool,
    /// Zero time when never.
    pub started: Time,
    /// Zero time when never.
    pub finished: Time,
    /// Health, with a probe.
    pub health: Option<Health>,
    /// Automatic restarts so far.
    pub restart_count: u32,
    /// Mounts.
    pub mounts: Vec<MountPoint>,
    /// By network name: configuration and, when running, the endpoint.
    pub networks: BTreeMap<String, EndpointView>,
    /// Published ports, when running.
    pub ports: Vec<dhow_net::Published>,
    /// Path of `/proc/PID/ns/net`, when running.
    pub sandbox_key: String,
    /// `containers/<id>/…` paths: log, hosts, hostname, resolv.conf.
    pub dir: PathBuf,
    /// Log file; empty when the driver keeps none.
    pub log_path: PathBuf,
    /// Running execs.
    pub exec_ids: Vec<String>,
    /// Its platform.
    pub platform: Platform,
}

/// A container's end on one network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndpointView {
    /// As wanted.
    pub config: EndpointConfig,
    /// Id of the network.
    pub network_id: String,
    /// As it stands, when running.
    pub endpoint: Option<dhow_net::Endpoint>,
    /// Names in the DNS.
    pub dns_names: Vec<String>,
}

/// `POST /containers/create`.
#[derive(Debug, Clone, Default)]
pub struct Create {
    /// `None`: one is made up (docker's adjective_surname).
    pub name: Option<String>,
    /// Which variant of the image.
    pub platform: Option<Platform>,
    /// What.
    pub spec: Spec,
    /// By network name or id.
    pub networks: BTreeMap<String, EndpointConfig>,
}

/// Which containers a list shows.
#[derive(Debug, Clone, Default)]
pub struct List {
    /// Stopped ones too.
    pub all: bool,
    /// The last n created (any state).
    pub limit: Option<usize>,
    /// `status name id label ancestor exited health network volume before since publish expose is-task`.
    pub filters: Filters,
}

/// `docker logs`.
#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    /// Stay.
    pub follow: bool,
    /// Which.
    pub stdout: bool,
    /// Which.
    pub stderr: bool,
    /// Nanoseconds since the epoch.
    pub since: Option<i64>,
    /// Likewise.
    pub until: Option<i64>,
    /// Put the time before each line.
    pub timestamps: bool,
    /// Last n lines.
    pub tail: Option<u64>,
    /// Put `attrs` before each line.
    pub details: bool,
}

/// One piece of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// 1 stdout, 2 stderr.
    pub stream: u8,
    /// Bytes.
    pub data: Bytes,
}

/// A live connection to a process: a stream that already speaks docker's attach format (frames, or raw for a terminal). `api` copies
/// it to and from the client; shutting down its write half closes stdin.
pub type Duplex = tokio::net::UnixStream;

/// `docker attach`.
#[derive(Debug, Clone, Copy, Default)]
#[allow(missing_docs, reason = "docker's words")]
pub struct Attach {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    /// Follow live output.
    pub stream: bool,
    /// What was logged before comes first.
    pub logs: bool,
}

/// When `wait` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "docker's words")]
pub enum WaitCondition {
    #[default]
    NotRunning,
    NextExit,
    Removed,
}

/// `docker top`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Top {
    /// Columns.
    pub titles: Vec<String>,
    /// Rows.
    pub processes: Vec<Vec<String>>,
}

/// One sample of `docker stats`.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// When.
    pub read: Time,
    /// From the cgroups.
    pub usage: dhow_runtime::Usage,
    /// Nanoseconds of processor of the whole machine.
    pub system_cpu: u64,
    /// Cores.
    pub online_cpus: u32,
    /// By link.
    pub networks: BTreeMap<String, dhow_net::Counters>,
}

/// What `docker cp` is told about a path (`X-Docker-Container-Path-Stat`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathStat {
    /// Last component.
    pub name: String,
    /// Bytes.
    pub size: i64,
    /// `st_mode`.
    pub mode: u32,
    /// Seconds, nanoseconds.
    pub mtime: (i64, u32),
    /// Target of a link.
    pub link_target: String,
}

/// `docker rm`.
#[derive(Debug, Clone, Copy, Default)]
#[allow(missing_docs, reason = "docker's words")]
pub struct Remove {
    pub force: bool,
    pub volumes: bool,
}

/// `docker commit`.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// Name of the new image.
    pub name: Option<dhow_oci::Reference>,
    /// Author.
    pub author: String,
    /// Comment.
    pub comment: String,
    /// Dockerfile instructions.
    pub changes: Vec<String>,
    /// Pause first.
    pub pause: bool,
    /// Configuration that replaces the container's.
    pub config: Option<dhow_oci::image::ContainerConfig>,
}

/// What a prune removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Ids or names.
    pub deleted: Vec<String>,
    /// Bytes.
    pub space: u64,
}

/// The service. `name` everywhere: a container's name, id, or unique prefix of an id.
#[derive(Debug)]
pub struct Containers {/* private */}

impl Containers {
    /// Makes a container; pulls nothing (404 `No such image: x` if absent). Returns its id and warnings.
    pub async fn create(&self, create: Create) -> Result<(String, Vec<String>)> {
        let _unused = create;
        unimplemented!()
    }
    /// One container.
    pub fn view(&self, name: &str) -> Result<Arc<View>> {
        let _unused = name;
        unimplemented!()
    }
    /// Newest first.
    pub fn list(&self, list: &List) -> Result<Vec<Arc<View>>> {
        let _unused = list;
        unimplemented!()
    }
    /// Bytes: (writable layer, all layers).
    pub async fn size(&self, name: &str) -> Result<(u64, u64)> {
        let _unused = name;
        unimplemented!()
    }
    /// `NotModified` when it runs already.
    pub async fn start(&self, name: &str) -> Result<()> {
        let _unused = name;
        unimplemented!()
    }
    /// Signal, wait, SIGKILL. `NotModified` when it does not run. `timeout` in seconds, -1 forever.
    pub async fn stop(&self, name: &str, signal: Option<&str>, timeout: Option<i64>) -> Result<()> {
        let _unused = (name, signal, timeout);
        unimplemented!()
    }
    /// Stop and start.
    pub async fn restart(&self, name: &str, signal: Option<&str>, timeout: Option<i64>) -> Result<()> {
        let _unused = (name, signal, timeout);
        unimplemented!()
    }
    /// Signal by name or number; empty: KILL.
    pub async fn kill(&self, name: &str, signal: &str) -> Result<()> {
        let _unused = (name, signal);
        unimplemented!()
    }
    /// Freeze.
    pub async fn pause(&self, name: &str) -> Result<()> {
        let _unused = name;
        unimplemented!()
    }
    /// Thaw.
    pub async fn unpause(&self, name: &str) -> Result<()> {
        let _unused = name;
        unimplemented!()
    }
    /// New name.
    pub async fn rename(&self, name: &str, new: &str) -> Result<()> {
        let _unused = (name, new);
        unimplemented!()
    }
    /// New limits, new restart policy. Returns warnings.
    pub async fn update(&self, name: &str, resources: Option<Resources>, restart: Option<Restart>) -> Result<Vec<String>> {
        let _unused = (name, resources, restart);
        unimplemented!()
    }
    /// Removes it, its writable layer, and with `volumes` its anonymous volumes.
    pub async fn remove(&self, name: &str, remove: Remove) -> Result<()> {
        let _unused = (name, remove);
        unimplemented!()
    }
    /// Exit code (and an error text) when the condition is met. The container is looked up, and the waiting registered, before this returns; await
    /// the inner future for the answer.
    pub async fn wait(&self, name: &str, condition: WaitCondition) -> Result<tokio::sync::oneshot::Receiver<(i32, String)>> {
        let _unused = (name, condition);
        unimplemented!()
    }
    /// Output from the log file. The channel ends with the log, or with the container when following.
    pub async fn logs(&self, name: &str, query: LogQuery) -> Result<mpsc::Receiver<Result<Output>>> {
        let _unused = (name, query);
        unimplemented!()
    }
    /// Attaches, also before the start.
    pub async fn attach(&self, name: &str, attach: Attach) -> Result<Duplex> {
        let _unused = (name, attach);
        unimplemented!()
    }
    /// Terminal size.
    pub async fn resize(&self, name: &str, rows: u16, cols: u16) -> Result<()> {
        let _unused = (name, rows, cols);
        unimplemented!()
    }
    /// `ps` in the container; arguments as ps takes them (default `-ef`).
    pub async fn top(&self, name: &str, args: &str) -> Result<Top> {
        let _unused = (name, args);
        unimplemented!()
    }
    /// One sample now.
    pub async fn sample(&self, name: &str) -> Result<Sample> {
        let _unused = name;
        unimplemented!()
    }
    /// `docker diff`.
    pub async fn changes(&self, name: &str) -> Result<Vec<dhow_store::Change>> {
        let _unused = name;
        unimplemented!()
    }
    /// What is at a path.
    pub async fn stat_path(&self, name: &str, path: &str) -> Result<PathStat> {
        let _unused = (name, path);
        unimplemented!()
    }
    /// A path as a tar stream, docker's naming rules; and its stat.
    pub async fn get_archive(&self, name: &str, path: &str) -> Result<(PathStat, mpsc::Receiver<Result<Bytes>>)> {
        let _unused = (name, path);
        unimplemented!()
    }
    /// Unpacks a tar (plain, gzip, zstd, in our process) into a folder of the container.
    pub async fn put_archive(&self, name: &str, path: &str, no_overwrite_dir_non_dir: bool, tar: mpsc::Receiver<Result<Bytes>>) -> Result<()> {
        let _unused = (name, path, no_overwrite_dir_non_dir, tar);
        unimplemented!()
    }
    /// The whole root file system as a tar stream.
    pub async fn export(&self, name: &str) -> Result<mpsc::Receiver<Result<Bytes>>> {
        let _unused = name;
        unimplemented!()
    }
    /// A new image from a container.
    pub async fn commit(&self, name: &str, commit: Commit) -> Result<Digest> {
        let _unused = (name, commit);
        unimplemented!()
    }
    /// Removes stopped containers (`until`, `label`).
    pub async fn prune(&self, filters: &Filters) -> Result<Pruned> {
        let _unused = filters;
        unimplemented!()
    }
}
