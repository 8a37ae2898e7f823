//! How a container stands, as readers see it.

use super::{MountKind, Spec};
use crate::{events::Time, networks::EndpointConfig};
use dhow_oci::{Digest, Platform};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

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

impl Status {
    /// Whether a process runs or is about to run again.
    #[must_use]
    pub fn is_up(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Restarting)
    }

    /// docker's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
        }
    }
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
