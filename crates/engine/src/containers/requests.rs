//! What can be asked of containers, and the answers.

use super::Spec;
use crate::{events::Time, filters::Filters, networks::EndpointConfig};
use bytes::Bytes;
use dhow_oci::Platform;
use std::collections::BTreeMap;

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
