//! Facts about this engine and machine, and totals of what lies on disk.

use crate::{Result, containers};
use dhow_store::{Image, Volume};
use std::sync::Arc;

/// `GET /info`, less what is constant or in [`crate::Config`].
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "docker's words")]
pub struct Info {
    /// Stable over restarts.
    pub id: String,
    pub containers: (usize, usize, usize, usize),
    pub images: usize,
    pub ncpu: usize,
    pub mem_total: u64,
    pub kernel_version: String,
    pub operating_system: String,
    pub os_version: String,
    pub architecture: String,
    pub name: String,
    /// 1 or 2.
    pub cgroup_version: u8,
    pub security_options: Vec<String>,
    pub warnings: Vec<String>,
    pub memory_limit: bool,
    pub swap_limit: bool,
    pub pids_limit: bool,
    pub cpu_cfs: bool,
    pub cpu_shares: bool,
    pub cpuset: bool,
    pub oom_kill_disable: bool,
    pub ipv4_forwarding: bool,
    pub fds: usize,
    pub goroutines: usize,
    pub event_listeners: usize,
    /// File system of the data root.
    pub backing_fs: String,
}

/// `GET /system/df`.
#[derive(Debug, Clone, Default)]
pub struct DiskUsage {
    /// Bytes of all layers.
    pub layers_size: u64,
    /// With shared size and number of containers.
    pub images: Vec<(Arc<Image>, u64, i64)>,
    /// With bytes of the writable layer and of all.
    pub containers: Vec<(Arc<containers::View>, u64, u64)>,
    /// With references and bytes.
    pub volumes: Vec<(Arc<Volume>, i64, u64)>,
    /// Bytes of the build cache folder.
    pub build_cache: u64,
}

/// The service.
#[derive(Debug)]
pub struct System {/* private */}

impl System {
    /// Facts.
    pub async fn info(&self) -> Result<Info> {
        unimplemented!()
    }
    /// Totals.
    pub async fn disk_usage(&self) -> Result<DiskUsage> {
        unimplemented!()
    }
}
