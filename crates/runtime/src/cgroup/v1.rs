//! Limits as files of the v1 hierarchies.

use super::{devices, write, write_if_there};
use crate::Error;
use crate::step::CgroupWrite;
use dhow_oci::runtime as spec;

/// (controller, file) for everything that is asked for, in an order that works on a fresh cgroup.
pub(crate) fn limits(resources: &spec::Resources) -> Result<Vec<(String, CgroupWrite)>, Error> {
    if let Some(file) = resources.unified.keys().next() {
        return Err(Error::invalid(
            "linux.resources.unified",
            format_args!("{file}: this host has cgroup v1"),
        ));
    }
    let mut all = Vec::new();
    let mut add = |controller: &str, write| all.push((controller.to_owned(), write));
    if let Some(memory) = &resources.memory {
        if let Some(limit) = memory.limit.filter(|&n| n != 0) {
            add("memory", write("memory.limit_in_bytes", limit));
        }
        if let Some(swap) = memory.swap.filter(|&n| n != 0) {
            add("memory", write_if_there(&["memory.memsw.limit_in_bytes"], swap));
        }
        if let Some(soft) = memory.reservation.filter(|&n| n != 0) {
            add("memory", write("memory.soft_limit_in_bytes", soft));
        }
        if let Some(swappiness) = memory.swappiness.filter(|&n| n <= 100) {
            add("memory", write_if_there(&["memory.swappiness"], swappiness));
        }
        if memory.disable_oom_killer {
            add("memory", write("memory.oom_control", 1));
        }
    }
    if let Some(cpu) = &resources.cpu {
        if let Some(shares) = cpu.shares.filter(|&n| n != 0) {
            add("cpu", write("cpu.shares", shares));
        }
        if let Some(period) = cpu.period.filter(|&n| n != 0) {
            add("cpu", write("cpu.cfs_period_us", period));
        }
        if let Some(quota) = cpu.quota.filter(|&n| n != 0) {
            add("cpu", write("cpu.cfs_quota_us", quota));
        }
        if let Some(period) = cpu.realtime_period.filter(|&n| n != 0) {
            add("cpu", write("cpu.rt_period_us", period));
        }
        if let Some(runtime) = cpu.realtime_runtime.filter(|&n| n != 0) {
            add("cpu", write("cpu.rt_runtime_us", runtime));
        }
        if let Some(cpus) = cpu.cpus.as_ref().filter(|t| !t.is_empty()) {
            add("cpuset", write("cpuset.cpus", cpus));
        }
        if let Some(mems) = cpu.mems.as_ref().filter(|t| !t.is_empty()) {
            add("cpuset", write("cpuset.mems", mems));
        }
    }
    if let Some(pids) = resources.pids.as_ref().filter(|p| p.limit != 0) {
        add("pids", write("pids.max", super::v2::or_max(pids.limit)));
    }
    if let Some(io) = &resources.block_io {
        block_io(io, &mut add);
    }
    for rule in devices::rules(resources)? {
        let file = if rule.allow { "devices.allow" } else { "devices.deny" };
        add("devices", write(file, rule));
    }
    Ok(all)
}

fn block_io(io: &spec::BlockIo, add: &mut impl FnMut(&str, CgroupWrite)) {
    if let Some(weight) = io.weight.filter(|&n| n != 0) {
        add("blkio", write_if_there(&["blkio.weight", "blkio.bfq.weight"], weight));
    }
    for device in &io.weight_device {
        if let Some(weight) = device.weight {
            let value = format!("{}:{} {weight}", device.major, device.minor);
            add("blkio", write_if_there(&["blkio.weight_device", "blkio.bfq.weight_device"], value));
        }
    }
    for (file, devices) in [
        ("blkio.throttle.read_bps_device", &io.throttle_read_bps_device),
        ("blkio.throttle.write_bps_device", &io.throttle_write_bps_device),
        ("blkio.throttle.read_iops_device", &io.throttle_read_iops_device),
        ("blkio.throttle.write_iops_device", &io.throttle_write_iops_device),
    ] {
        for device in devices {
            add("blkio", write(file, format!("{}:{} {}", device.major, device.minor, device.rate)));
        }
    }
}
