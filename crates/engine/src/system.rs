//! Facts about this engine and machine, and totals of what lies on disk.

use crate::{
    Result, blocking,
    containers::{self, Status},
    shared::Shared,
};
use dhow_oci::Digest;
use dhow_runtime::Lack;
use dhow_store::{Image, Volume};
use std::{
    collections::HashMap,
    fs,
    path::Path,
    sync::{Arc, OnceLock},
};

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
pub struct System {
    shared: Arc<Shared>,
}

impl System {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Facts.
    pub async fn info(&self) -> Result<Info> {
        let shared = self.shared.clone();
        blocking::run(move || Ok(info(&shared))).await
    }

    /// Totals.
    pub async fn disk_usage(&self) -> Result<DiskUsage> {
        let shared = self.shared.clone();
        blocking::run(move || disk_usage(&shared)).await
    }
}

fn info(shared: &Shared) -> Info {
    let views = shared.containers.views();
    let count = |wanted: &dyn Fn(Status) -> bool| views.iter().filter(|v| wanted(v.status)).count();
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let uname = rustix::system::uname();
    let release = read("/etc/os-release");
    let field = |key: &str| {
        release
            .lines()
            .find_map(|l| l.strip_prefix(key))
            .map(|v| v.trim_matches('"').to_owned())
            .unwrap_or_default()
    };
    let memory = read("/proc/meminfo");
    let mem_total = memory
        .lines()
        .find_map(|l| l.strip_prefix("MemTotal:"))
        .and_then(|v| v.trim().trim_end_matches(" kB").parse::<u64>().ok())
        .map_or(0, |kib| kib * 1024);
    let has = |lack| !shared.host.lacks(lack);
    let forwarding = read("/proc/sys/net/ipv4/ip_forward").trim() == "1";
    let mut warnings = Vec::new();
    for (there, text) in [
        (has(Lack::Memory), "WARNING: No memory limit support"),
        (has(Lack::Swap), "WARNING: No swap limit support"),
        (has(Lack::OomKillDisable) || shared.cgroup2, "WARNING: No oom kill disable support"),
        (has(Lack::Pids), "WARNING: No pids limit support"),
        (has(Lack::Cfs), "WARNING: No cpu cfs quota support"),
        (has(Lack::Cfs), "WARNING: No cpu cfs period support"),
        (has(Lack::Shares), "WARNING: No cpu shares support"),
        (has(Lack::Cpuset), "WARNING: No cpuset support"),
        (has(Lack::ReadBps), "WARNING: No blkio throttle.read_bps_device support"),
        (has(Lack::WriteBps), "WARNING: No blkio throttle.write_bps_device support"),
        (has(Lack::ReadIops), "WARNING: No blkio throttle.read_iops_device support"),
        (has(Lack::WriteIops), "WARNING: No blkio throttle.write_iops_device support"),
        (forwarding, "WARNING: IPv4 forwarding is disabled"),
    ] {
        if !there {
            warnings.push(text.to_owned());
        }
    }
    Info {
        id: shared.id.clone(),
        containers: (
            views.len(),
            count(&|s| matches!(s, Status::Running | Status::Restarting)),
            count(&|s| s == Status::Paused),
            count(&|s| !s.is_up()),
        ),
        images: shared.store.images().len(),
        ncpu: cores(),
        mem_total,
        kernel_version: uname.release().to_string_lossy().into_owned(),
        operating_system: field("PRETTY_NAME="),
        os_version: field("VERSION_ID="),
        architecture: uname.machine().to_string_lossy().into_owned(),
        name: uname.nodename().to_string_lossy().into_owned(),
        cgroup_version: if shared.cgroup2 { 2 } else { 1 },
        security_options: vec!["name=seccomp,profile=builtin".to_owned()],
        warnings,
        memory_limit: has(Lack::Memory),
        swap_limit: has(Lack::Swap),
        pids_limit: has(Lack::Pids),
        cpu_cfs: has(Lack::Cfs),
        cpu_shares: has(Lack::Shares),
        cpuset: has(Lack::Cpuset),
        oom_kill_disable: has(Lack::OomKillDisable),
        ipv4_forwarding: forwarding,
        fds: fs::read_dir("/proc/self/fd").map_or(0, Iterator::count),
        goroutines: tokio::runtime::Handle::try_current().map_or(0, |h| h.metrics().num_alive_tasks()),
        event_listeners: shared.events.listeners(),
        backing_fs: backing(shared.store.root()),
    }
}

/// The name of the file system below a path.
fn backing(path: &Path) -> String {
    let Ok(stat) = rustix::fs::statfs(path) else { return "unknown".to_owned() };
    match stat.f_type & 0xffff_ffff {
        0xef53 => "extfs",
        0x5846_5342 => "xfs",
        0x9123_683e => "btrfs",
        0x0102_1994 => "tmpfs",
        0x794c_7630 => "overlayfs",
        0x2fc1_2fc1 => "zfs",
        0xf2f5_2010 => "f2fs",
        _ => "unknown",
    }
    .to_owned()
}

/// Processors that this process may use. Asked for once: std reads the cgroup's quota for it, file by file.
pub(crate) fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
}

fn disk_usage(shared: &Shared) -> Result<DiskUsage> {
    let usage = shared.store.usage()?;
    let views = shared.containers.views();
    let images = shared.store.images();
    let mut shares: HashMap<&Digest, usize> = HashMap::new();
    for layer in images.iter().flat_map(|image| &image.config.rootfs.diff_ids) {
        *shares.entry(layer).or_default() += 1;
    }
    let shared_size = |image: &Image| -> u64 {
        let layers = image.config.rootfs.diff_ids.iter().zip(&image.manifest.layers);
        layers
            .filter(|(diff_id, _)| shares.get(diff_id).is_some_and(|n| *n > 1))
            .map(|(_, blob)| shared.store.layer_of_blob(&blob.digest).map_or(blob.size, |layer| layer.size))
            .sum()
    };
    let users = |image: &Image| {
        i64::try_from(views.iter().filter(|v| v.image == image.id).count()).unwrap_or(i64::MAX)
    };
    let mut containers = Vec::new();
    for view in &views {
        let diff_ids = shared.containers.diff_ids(&view.id)?;
        let upper = shared.store.snapshot(&view.id, &diff_ids)?.size()?;
        let below = images.iter().find(|i| i.id == view.image).map_or(0, |i| i.size);
        containers.push((view.clone(), upper, upper + below));
    }
    let volumes = shared.store.volumes().into_iter().map(|volume| {
        let users = i64::try_from(shared.volumes.of(&volume.name).len()).unwrap_or(i64::MAX);
        let bytes = crate::volumes::size(&volume.mountpoint);
        (volume, users, bytes)
    });
    Ok(DiskUsage {
        layers_size: usage.layers,
        volumes: volumes.collect(),
        images: images.iter().map(|image| (image.clone(), shared_size(image), users(image))).collect(),
        containers,
        build_cache: usage.build,
    })
}
