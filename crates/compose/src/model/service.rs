//! A service.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::resources::{
    Attachment, Blkio, Build, Dependency, Deploy, Device, DeviceRequest, EnvFile, FileMount, Healthcheck,
    Logging, Mount, Port, Ulimit,
};
use crate::units::Nanoseconds;

/// When to pull an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PullPolicy {
    /// Each time.
    Always,
    /// Never: it must be there.
    Never,
    /// When it is not there.
    Missing,
    /// Build it each time.
    Build,
}

/// A service. Fields are named as in the compose file.
#[allow(
    missing_docs,
    reason = "each field is the compose key of that name, described by the Compose specification"
)]
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct Service {
    #[serde(skip)]
    pub name: String,
    pub annotations: BTreeMap<String, String>,
    pub attach: Option<bool>,
    pub blkio_config: Option<Blkio>,
    pub build: Option<Build>,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    pub cgroup: Option<String>,
    pub cgroup_parent: Option<String>,
    pub command: Option<Vec<String>>,
    pub configs: Vec<FileMount>,
    pub container_name: Option<String>,
    pub cpu_period: Option<i64>,
    pub cpu_quota: Option<i64>,
    pub cpu_rt_period: Option<i64>,
    pub cpu_rt_runtime: Option<i64>,
    pub cpu_shares: Option<i64>,
    pub cpus: Option<f64>,
    pub cpuset: Option<String>,
    pub depends_on: BTreeMap<String, Dependency>,
    pub deploy: Option<Deploy>,
    pub device_cgroup_rules: Vec<String>,
    pub devices: Vec<Device>,
    pub dns: Vec<String>,
    pub dns_opt: Vec<String>,
    pub dns_search: Vec<String>,
    pub domainname: Option<String>,
    pub entrypoint: Option<Vec<String>>,
    pub env_file: Vec<EnvFile>,
    pub environment: BTreeMap<String, Option<String>>,
    pub expose: Vec<String>,
    pub external_links: Vec<String>,
    pub extra_hosts: BTreeMap<String, Vec<String>>,
    pub gpus: Vec<DeviceRequest>,
    pub group_add: Vec<String>,
    pub healthcheck: Option<Healthcheck>,
    pub hostname: Option<String>,
    pub image: Option<String>,
    pub init: Option<bool>,
    pub ipc: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub links: Vec<String>,
    pub logging: Option<Logging>,
    pub mac_address: Option<String>,
    pub mem_limit: Option<i64>,
    pub mem_reservation: Option<i64>,
    pub mem_swappiness: Option<i64>,
    pub memswap_limit: Option<i64>,
    pub network_mode: Option<String>,
    pub networks: BTreeMap<String, Attachment>,
    pub oom_kill_disable: Option<bool>,
    pub oom_score_adj: Option<i64>,
    pub pid: Option<String>,
    pub pids_limit: Option<i64>,
    pub platform: Option<String>,
    pub ports: Vec<Port>,
    pub privileged: Option<bool>,
    pub profiles: Vec<String>,
    pub pull_policy: Option<PullPolicy>,
    pub read_only: Option<bool>,
    pub restart: Option<String>,
    pub runtime: Option<String>,
    pub scale: Option<u32>,
    pub secrets: Vec<FileMount>,
    pub security_opt: Vec<String>,
    pub shm_size: Option<i64>,
    pub stdin_open: Option<bool>,
    pub stop_grace_period: Option<Nanoseconds>,
    pub stop_signal: Option<String>,
    pub storage_opt: BTreeMap<String, String>,
    pub sysctls: BTreeMap<String, String>,
    pub tmpfs: Vec<String>,
    pub tty: Option<bool>,
    pub ulimits: BTreeMap<String, Ulimit>,
    pub user: Option<String>,
    pub userns_mode: Option<String>,
    pub uts: Option<String>,
    pub volumes: Vec<Mount>,
    pub volumes_from: Vec<String>,
    pub working_dir: Option<String>,
}

impl Service {
    /// How many containers it wants.
    #[must_use]
    pub fn replicas(&self) -> u32 {
        self.scale.or_else(|| self.deploy.as_ref().and_then(|deploy| deploy.replicas)).unwrap_or(1)
    }

    /// The image it runs: its own, or the one that is built for it.
    #[must_use]
    pub fn image_name(&self, project: &str) -> String {
        self.image.clone().unwrap_or_else(|| format!("{project}-{}", self.name))
    }

    /// The name of its n-th container.
    #[must_use]
    pub fn container_name(&self, project: &str, number: u32) -> String {
        self.container_name.clone().unwrap_or_else(|| format!("{project}-{}-{number}", self.name))
    }

    /// The service whose namespace a mode of `service:x` shares.
    #[must_use]
    pub fn shared(mode: Option<&String>) -> Option<&str> {
        mode.and_then(|mode| mode.strip_prefix("service:"))
    }

    /// Services whose namespaces or volumes it shares: it must be made anew when they are.
    #[must_use]
    pub fn shared_dependencies(&self) -> BTreeSet<String> {
        let modes = [&self.network_mode, &self.ipc, &self.pid]
            .into_iter()
            .filter_map(|mode| Self::shared(mode.as_ref()))
            .map(str::to_owned);
        let volumes = self
            .volumes_from
            .iter()
            .filter(|from| !from.starts_with("container:"))
            .map(|from| name_part(from));
        modes.chain(volumes).collect()
    }

    /// Services whose containers must exist before this one's are made.
    #[must_use]
    pub fn creation_dependencies(&self) -> BTreeSet<String> {
        self.shared_dependencies().into_iter().chain(self.links.iter().map(|link| name_part(link))).collect()
    }

    /// All services it needs.
    #[must_use]
    pub fn dependencies(&self) -> BTreeSet<String> {
        self.depends_on.keys().cloned().chain(self.creation_dependencies()).collect()
    }

    /// Its networks, the main one first.
    #[must_use]
    pub fn networks_by_priority(&self) -> Vec<(&String, &Attachment)> {
        let mut networks: Vec<_> = self.networks.iter().collect();
        networks.sort_by_key(|(name, attachment)| (-attachment.priority, (*name).clone()));
        networks
    }
}

fn name_part(text: &str) -> String {
    text.split(':').next().unwrap_or_default().to_owned()
}
