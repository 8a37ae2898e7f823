//! The parts of a service.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::units::Nanoseconds;

/// What to wait for before a dependent starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, PartialOrd, Ord)]
pub enum Condition {
    /// It has been started.
    #[serde(rename = "service_started")]
    Started,
    /// Its health check passes.
    #[serde(rename = "service_healthy")]
    Healthy,
    /// It has ended with code 0.
    #[serde(rename = "service_completed_successfully")]
    Completed,
}

impl Condition {
    /// As the compose file spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "service_started",
            Self::Healthy => "service_healthy",
            Self::Completed => "service_completed_successfully",
        }
    }
}

/// One `depends_on`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dependency {
    /// What to wait for.
    pub condition: Condition,
    /// Restart with it.
    pub restart: bool,
    /// Without it, refuse rather than warn.
    pub required: bool,
}

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Port {
    /// `ingress` or `host`, which mean the same here.
    pub mode: String,
    /// Address of the host.
    pub host_ip: Option<String>,
    /// The container's port.
    pub target: u16,
    /// The host's port, a range, or none for any.
    pub published: Option<String>,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// A name for people.
    pub name: Option<String>,
    /// What is spoken on it, for people.
    pub app_protocol: Option<String>,
}

/// The kind of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MountKind {
    /// A folder or file of the host.
    Bind,
    /// A volume.
    Volume,
    /// Memory.
    Tmpfs,
    /// Another image's files.
    Image,
}

/// A mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: MountKind,
    /// Host path, key of a volume, image; none for an anonymous volume.
    pub source: Option<String>,
    /// Path in the container.
    pub target: String,
    /// Not to be written.
    pub read_only: bool,
    /// A hint for other systems.
    pub consistency: Option<String>,
    /// Bind: make the host path if it is missing.
    pub create_host_path: bool,
    /// Bind: `rprivate` and so on.
    pub propagation: Option<String>,
    /// Bind: `z` or `Z`.
    pub selinux: Option<String>,
    /// Bind: whether mounts below come along.
    pub recursive: Option<String>,
    /// Volume: do not fill it from the image.
    pub nocopy: bool,
    /// Volume or image: only this folder of it.
    pub subpath: Option<String>,
    /// Tmpfs: bytes.
    pub size: Option<i64>,
    /// Tmpfs: mode.
    pub mode: Option<u32>,
    /// Labels of an anonymous volume.
    pub labels: BTreeMap<String, String>,
}

/// A service's place in a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Attachment {
    /// Further names.
    pub aliases: Vec<String>,
    /// A fixed address.
    pub ipv4_address: Option<String>,
    /// A fixed address.
    pub ipv6_address: Option<String>,
    /// Link-local addresses.
    pub link_local_ips: Vec<String>,
    /// MAC address.
    pub mac_address: Option<String>,
    /// Driver options.
    pub driver_opts: BTreeMap<String, String>,
    /// The first is the container's main network.
    pub priority: i64,
    /// Which one gives the default route.
    pub gw_priority: Option<i64>,
}

/// A secret or config as a service uses it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileMount {
    /// Its key.
    pub source: String,
    /// Where it is mounted, absolute.
    pub target: String,
    /// Owner.
    pub uid: Option<String>,
    /// Group.
    pub gid: Option<String>,
    /// Mode.
    pub mode: Option<u32>,
}

/// A health check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Healthcheck {
    /// `["CMD", …]`, `["CMD-SHELL", …]` or `["NONE"]`.
    pub test: Option<Vec<String>>,
    /// Between probes.
    pub interval: Option<Nanoseconds>,
    /// Of one probe.
    pub timeout: Option<Nanoseconds>,
    /// Failures until unhealthy.
    pub retries: Option<i64>,
    /// Failures in it do not count.
    pub start_period: Option<Nanoseconds>,
    /// Between probes during the start period.
    pub start_interval: Option<Nanoseconds>,
    /// Switched off.
    pub disable: bool,
}

impl Healthcheck {
    /// Whether the service has turned the check off.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.disable
            || self.test.as_deref().is_some_and(|test| test.first().is_some_and(|word| word == "NONE"))
    }
}

/// Log driver and options.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Logging {
    /// The driver.
    pub driver: Option<String>,
    /// Its options.
    pub options: BTreeMap<String, String>,
}

/// `deploy`, as far as one machine heeds it.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct Deploy {
    /// How many.
    pub replicas: Option<u32>,
    /// Labels of the service (swarm).
    pub labels: BTreeMap<String, String>,
    /// Limits and reservations.
    pub resources: Resources,
    /// When to restart.
    pub restart_policy: Option<RestartRule>,
}

/// `deploy.resources`.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct Resources {
    /// At most.
    pub limits: Limits,
    /// At least.
    pub reservations: Limits,
}

/// An amount of each resource.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct Limits {
    /// CPUs.
    pub cpus: Option<f64>,
    /// Bytes.
    pub memory: Option<i64>,
    /// Processes.
    pub pids: Option<i64>,
    /// Devices such as GPUs.
    pub devices: Vec<DeviceRequest>,
}

/// `deploy.restart_policy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RestartRule {
    /// `none`, `on-failure` or `any`.
    pub condition: String,
    /// At most so often.
    pub max_attempts: Option<i64>,
}

/// A request for devices by capability.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct DeviceRequest {
    /// What they must do.
    pub capabilities: Vec<String>,
    /// Who hands them out.
    pub driver: Option<String>,
    /// How many; -1 is all.
    pub count: Option<i64>,
    /// Which.
    pub device_ids: Vec<String>,
    /// Driver options.
    pub options: BTreeMap<String, String>,
}

/// A device node of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Device {
    /// On the host.
    pub source: String,
    /// In the container.
    pub target: String,
    /// Out of `rwm`.
    pub permissions: String,
}

/// A resource limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ulimit {
    /// Soft.
    pub soft: i64,
    /// Hard.
    pub hard: i64,
}

/// Block I/O limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Blkio {
    /// Share of all devices.
    pub weight: Option<u16>,
    /// Share by device.
    pub weight_device: Vec<BlkioWeight>,
    /// Bytes a second.
    pub device_read_bps: Vec<BlkioRate>,
    /// Bytes a second.
    pub device_write_bps: Vec<BlkioRate>,
    /// Operations a second.
    pub device_read_iops: Vec<BlkioRate>,
    /// Operations a second.
    pub device_write_iops: Vec<BlkioRate>,
}

/// A rate on a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlkioRate {
    /// The device.
    pub path: String,
    /// The rate.
    pub rate: i64,
}

/// A share of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlkioWeight {
    /// The device.
    pub path: String,
    /// The share.
    pub weight: u16,
}

/// One `env_file`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EnvFile {
    /// The file, absolute.
    pub path: String,
    /// Refuse when it is missing.
    pub required: bool,
    /// `raw`: no quotes, no variables.
    pub raw: bool,
}

/// How to build the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Build {
    /// Folder (absolute) or address of a repository.
    pub context: String,
    /// Dockerfile, relative to the context.
    pub dockerfile: Option<String>,
    /// The Dockerfile itself.
    pub dockerfile_inline: Option<String>,
    /// Build arguments.
    pub args: BTreeMap<String, Option<String>>,
    /// The stage to stop at.
    pub target: Option<String>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// Images to take cached layers from.
    pub cache_from: Vec<String>,
    /// Network of the steps.
    pub network: Option<String>,
    /// Size of `/dev/shm`.
    pub shm_size: Option<i64>,
    /// Platforms to build for.
    pub platforms: Vec<String>,
    /// Further names for the image.
    pub tags: Vec<String>,
    /// Extra lines of `/etc/hosts`.
    pub extra_hosts: BTreeMap<String, Vec<String>>,
    /// Always without cache.
    pub no_cache: bool,
    /// Always ask for newer base images.
    pub pull: bool,
    /// Resource limits of the steps.
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Isolation of the steps.
    pub isolation: Option<String>,
    /// Secrets for the steps.
    pub secrets: Vec<BuildSecret>,
}

/// A secret that build steps may mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BuildSecret {
    /// Its key in the project.
    pub source: String,
    /// Its id in the Dockerfile.
    pub id: String,
}
