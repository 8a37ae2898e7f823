//! HostConfig as `inspect` prints it.

use crate::show::{Json, kind};
use dhow_engine::containers::{Host, MountKind, MountSpec, Restart};
use dhow_wire::{
    record::{Record, filled},
    version::ApiVersion,
};
use serde_json::json;
use std::collections::BTreeMap;

/// `name` is the container's: links are shown as docker keeps them, `/other:/name/alias`.
pub(crate) fn host(host: &Host, name: &str, version: ApiVersion) -> Json {
    let mounts: Vec<_> = host.mounts.iter().filter(|mount| mount.from_mount).map(mount_spec).collect();
    let log = Record::new().put("Type", &host.log.driver).put("Config", &host.log.options);
    let (restart, max) = restart(host.restart);
    let record = Record::new()
        .put("Binds", filled(&host.binds))
        .put("ContainerIDFile", &host.container_id_file)
        .put("LogConfig", log.end())
        .put("NetworkMode", &host.network_mode)
        .put("PortBindings", port_bindings(host))
        .put("RestartPolicy", Record::new().put("Name", restart).put("MaximumRetryCount", max).end())
        .put("AutoRemove", host.auto_remove)
        .put("VolumeDriver", &host.volume_driver)
        .put("VolumesFrom", filled(&host.volumes_from))
        .put("ConsoleSize", [host.console_size.0, host.console_size.1])
        .some("Annotations", filled(&host.annotations))
        .put("CapAdd", filled(&host.cap_add))
        .put("CapDrop", filled(&host.cap_drop))
        .put("CgroupnsMode", &host.cgroupns_mode)
        .put("Dns", &host.dns)
        .put("DnsOptions", &host.dns_options)
        .put("DnsSearch", &host.dns_search)
        .put("ExtraHosts", filled(&host.extra_hosts))
        .put("GroupAdd", filled(&host.group_add))
        .put("IpcMode", &host.ipc_mode)
        .put("Cgroup", "")
        .put("Links", filled(&links(host, name)))
        .put("OomScoreAdj", host.oom_score_adj)
        .put("PidMode", &host.pid_mode)
        .put("Privileged", host.privileged)
        .put("PublishAllPorts", host.publish_all)
        .put("ReadonlyRootfs", host.readonly_rootfs)
        .put("SecurityOpt", filled(&host.security_opt))
        .some("StorageOpt", filled(&host.storage_opt))
        .some("Tmpfs", filled(&host.tmpfs))
        .put("UTSMode", &host.uts_mode)
        .put("UsernsMode", &host.userns_mode)
        .put("ShmSize", if host.shm_size == 0 { 64 << 20 } else { host.shm_size })
        .some("Sysctls", filled(&host.sysctls))
        .put("Runtime", if host.runtime.is_empty() { "runc" } else { &host.runtime })
        .put("Isolation", &host.isolation);
    limits(record, host, version)
        .some("Mounts", filled(&mounts))
        .put("MaskedPaths", host.masked_paths.as_deref().map_or_else(|| MASKED.to_vec(), borrow))
        .put("ReadonlyPaths", host.readonly_paths.as_deref().map_or_else(|| READONLY.to_vec(), borrow))
        .some("Init", host.init)
        .end()
}

fn links(host: &Host, name: &str) -> Vec<String> {
    let one = |link: &String| {
        let (other, alias) = link.split_once(':').unwrap_or((link, link.trim_start_matches('/')));
        format!("/{}:/{name}/{alias}", other.trim_start_matches('/'))
    };
    host.links.iter().map(one).collect()
}

/// docker's Resources, which are part of HostConfig.
fn limits(record: Record, host: &Host, version: ApiVersion) -> Record {
    let limits = &host.resources;
    let [read_bps, write_bps, read_iops, write_iops] = &limits.blkio_throttle;
    let throttle = |list: &[(String, u64)]| {
        list.iter().map(|(path, rate)| json!({ "Path": path, "Rate": rate })).collect::<Vec<_>>()
    };
    let weights: Vec<_> = limits
        .blkio_weight_device
        .iter()
        .map(|(path, weight)| json!({ "Path": path, "Weight": weight }))
        .collect();
    let ulimit = |limit: &dhow_engine::containers::Ulimit| {
        Record::new().put("Name", &limit.name).put("Hard", limit.hard).put("Soft", limit.soft).end()
    };
    let device = |device: &dhow_engine::containers::DeviceSpec| {
        Record::new()
            .put("PathOnHost", &device.host)
            .put("PathInContainer", &device.container)
            .put("CgroupPermissions", &device.permissions)
            .end()
    };
    record
        .put("CpuShares", limits.cpu_shares)
        .put("Memory", limits.memory)
        .put("NanoCpus", limits.nano_cpus)
        .put("CgroupParent", &host.cgroup_parent)
        .put("BlkioWeight", limits.blkio_weight)
        .put("BlkioWeightDevice", weights)
        .put("BlkioDeviceReadBps", throttle(read_bps))
        .put("BlkioDeviceWriteBps", throttle(write_bps))
        .put("BlkioDeviceReadIOps", throttle(read_iops))
        .put("BlkioDeviceWriteIOps", throttle(write_iops))
        .put("CpuPeriod", limits.cpu_period)
        .put("CpuQuota", limits.cpu_quota)
        .put("CpuRealtimePeriod", limits.cpu_realtime_period)
        .put("CpuRealtimeRuntime", limits.cpu_realtime_runtime)
        .put("CpusetCpus", &limits.cpuset_cpus)
        .put("CpusetMems", &limits.cpuset_mems)
        .put("Devices", host.devices.iter().map(device).collect::<Vec<_>>())
        .put("DeviceCgroupRules", filled(&host.device_cgroup_rules))
        .put("DeviceRequests", None::<()>)
        // Gone from the kernel, and since 1.42 from the API.
        .when(!version.since(42), "KernelMemory", 0)
        .when(!version.since(42), "KernelMemoryTCP", 0)
        .put("MemoryReservation", limits.memory_reservation)
        .put("MemorySwap", limits.memory_swap)
        .put("MemorySwappiness", limits.memory_swappiness)
        .put("OomKillDisable", limits.oom_kill_disable)
        .put("PidsLimit", limits.pids_limit)
        .put("Ulimits", host.ulimits.iter().map(ulimit).collect::<Vec<_>>())
        .put("CpuCount", 0)
        .put("CpuPercent", 0)
        .put("IOMaximumIOps", 0)
        .put("IOMaximumBandwidth", 0)
}

fn borrow(list: &[String]) -> Vec<&str> {
    list.iter().map(String::as_str).collect()
}

/// docker's default lists: what a container without its own shows.
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
const READONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

pub(crate) fn restart(policy: Restart) -> (&'static str, i64) {
    match policy {
        Restart::No => ("no", 0),
        Restart::Always => ("always", 0),
        Restart::UnlessStopped => ("unless-stopped", 0),
        Restart::OnFailure { max } => ("on-failure", max),
    }
}

fn port_bindings(host: &Host) -> BTreeMap<&str, Vec<Json>> {
    let one = |binding: &dhow_engine::containers::PortBinding| {
        Record::new().put("HostIp", &binding.host_ip).put("HostPort", &binding.host_port).end()
    };
    host.port_bindings.iter().map(|(port, list)| (port.as_str(), list.iter().map(one).collect())).collect()
}

fn mount_spec(mount: &MountSpec) -> Json {
    let bind = mount.kind == MountKind::Bind && (!mount.propagation.is_empty() || mount.create_source);
    let volume = mount.kind == MountKind::Volume
        && (mount.no_copy
            || !mount.subpath.is_empty()
            || !mount.labels.is_empty()
            || !mount.driver_options.is_empty());
    let tmpfs = mount.tmpfs_size.is_some() || mount.tmpfs_mode.is_some();
    let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let bind = bind.then(|| {
        Record::new()
            .some("Propagation", text(&mount.propagation))
            .some("CreateMountpoint", mount.create_source.then_some(true))
            .end()
    });
    let volume = volume.then(|| {
        let driver = (!mount.driver_options.is_empty()).then(|| json!({ "Options": mount.driver_options }));
        Record::new()
            .some("NoCopy", mount.no_copy.then_some(true))
            .some("Labels", filled(&mount.labels))
            .some("Subpath", text(&mount.subpath))
            .some("DriverConfig", driver)
            .end()
    });
    let tmpfs =
        tmpfs.then(|| Record::new().some("SizeBytes", mount.tmpfs_size).some("Mode", mount.tmpfs_mode).end());
    Record::new()
        .put("Type", kind(mount.kind))
        .some("Source", text(&mount.source))
        .put("Target", &mount.target)
        .some("ReadOnly", (mount.readonly && mount.kind != MountKind::Image).then_some(true))
        .some("BindOptions", bind)
        .some("VolumeOptions", volume)
        .some("TmpfsOptions", tmpfs)
        .end()
}
