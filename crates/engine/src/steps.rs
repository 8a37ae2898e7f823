//! One command on a snapshot, for the builder: a container without a record.

use crate::{Result, containers::Output};
use dhow_store::Snapshot;
use std::path::PathBuf;
use tokio::sync::mpsc;

/// A mount for one step.
#[derive(Debug, Clone)]
pub struct StepMount {
    /// Host path; `None` for tmpfs.
    pub source: Option<PathBuf>,
    /// Absolute inside; made if absent (and removed again if it stays empty).
    pub target: String,
    /// Read-only.
    pub readonly: bool,
    /// tmpfs bytes.
    pub size: Option<u64>,
}

/// The network of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "docker's words")]
pub enum StepNetwork {
    #[default]
    Default,
    None,
    Host,
}

/// What to run.
#[derive(Debug, Clone)]
pub struct Step {
    /// Root file system; its upper gets the changes.
    pub snapshot: Snapshot,
    /// Command line.
    pub args: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Absolute.
    pub cwd: String,
    /// `user[:group]`.
    pub user: String,
    /// Mounts.
    pub mounts: Vec<StepMount>,
    /// Network.
    pub network: StepNetwork,
    /// `name:ip`.
    pub extra_hosts: Vec<String>,
    /// Host name; empty: `buildkitsandbox`.
    pub hostname: String,
    /// Bytes; 0: 64 MiB.
    pub shm_size: i64,
    /// Limits.
    pub resources: crate::containers::Resources,
    /// `RUN --security=insecure`.
    pub privileged: bool,
}

/// The service.
#[derive(Debug)]
pub struct Steps {/* private */}

impl Steps {
    /// Runs it and returns its exit code once all output was delivered. DNS, hosts, the host's CA bundle (if the daemon has `--host-ca`) are mounted in
    /// and leave no trace in the snapshot. Dropping the future kills it and cleans up.
    pub async fn run(&self, step: Step, output: mpsc::Sender<Output>) -> Result<i32> {
        let _unused = (step, output);
        unimplemented!()
    }
}
