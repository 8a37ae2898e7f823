//! Limits as files of the unified hierarchy (Documentation/admin-guide/cgroup-v2.rst).

use super::{write, write_if_there};
use crate::Error;
use crate::step::CgroupWrite;
use dhow_oci::runtime as spec;

/// A number, or `max` for what is not positive.
pub(crate) fn or_max(number: i64) -> String {
    if number > 0 { number.to_string() } else { "max".to_owned() }
}

/// runc's conversion of cpu.shares (2–262144) to cpu.weight (1–10000).
fn weight(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

/// Files for everything that is asked for.
pub(crate) fn limits(resources: &spec::Resources) -> Result<Vec<CgroupWrite>, Error> {
    let mut all = Vec::new();
    if let Some(memory) = &resources.memory {
        all.extend(memory_limits(memory)?);
    }
    if let Some(cpu) = &resources.cpu {
        if let Some(shares) = cpu.shares.filter(|&n| n != 0) {
            all.push(write("cpu.weight", weight(shares)));
        }
        let (quota, period) = (cpu.quota.filter(|&n| n != 0), cpu.period.filter(|&n| n != 0));
        if quota.is_some() || period.is_some() {
            let quota = quota.map_or("max".to_owned(), or_max);
            all.push(write("cpu.max", format!("{quota} {}", period.unwrap_or(100_000))));
        }
        if cpu.realtime_runtime.is_some_and(|n| n != 0) || cpu.realtime_period.is_some_and(|n| n != 0) {
            return Err(Error::invalid("linux.resources.cpu", "cgroup v2 has no real-time limits"));
        }
        if let Some(cpus) = cpu.cpus.as_ref().filter(|t| !t.is_empty()) {
            all.push(write("cpuset.cpus", cpus));
        }
        if let Some(mems) = cpu.mems.as_ref().filter(|t| !t.is_empty()) {
            all.push(write("cpuset.mems", mems));
        }
    }
    if let Some(pids) = resources.pids.as_ref().filter(|p| p.limit != 0) {
        all.push(write("pids.max", or_max(pids.limit)));
    }
    if let Some(io) = &resources.block_io {
        all.extend(block_io(io));
    }
    for (file, value) in &resources.unified {
        if file.contains('/') || !file.contains('.') {
            return Err(Error::invalid(
                "linux.resources.unified",
                format_args!("{file:?} is no cgroup file"),
            ));
        }
        all.push(write(file, value));
    }
    Ok(all)
}

fn memory_limits(memory: &spec::Memory) -> Result<Vec<CgroupWrite>, Error> {
    let mut all = Vec::new();
    let limit = memory.limit.filter(|&n| n != 0);
    if let Some(limit) = limit {
        all.push(write("memory.max", or_max(limit)));
    }
    if let Some(swap) = memory.swap.filter(|&n| n != 0) {
        let value = match limit {
            _ if swap < 0 => "max".to_owned(),
            Some(limit) if limit > 0 && swap >= limit => (swap - limit).to_string(),
            _ => {
                let detail = "memory+swap needs a memory limit that is not above it";
                return Err(Error::invalid("linux.resources.memory.swap", detail));
            }
        };
        all.push(write_if_there(&["memory.swap.max"], value));
    }
    if let Some(reservation) = memory.reservation.filter(|&n| n != 0) {
        all.push(write("memory.low", or_max(reservation)));
    }
    Ok(all)
}

fn block_io(io: &spec::BlockIo) -> Vec<CgroupWrite> {
    let mut all = Vec::new();
    if let Some(weight) = io.weight.filter(|&n| n != 0) {
        all.push(write_if_there(&["io.bfq.weight"], weight));
        let scaled = 1 + (u64::from(weight.clamp(10, 1000)) - 10) * 9999 / 990;
        all.push(write_if_there(&["io.weight"], format!("default {scaled}")));
    }
    for device in &io.weight_device {
        if let Some(weight) = device.weight {
            let value = format!("{}:{} {weight}", device.major, device.minor);
            all.push(write_if_there(&["io.bfq.weight"], value));
        }
    }
    for (key, devices) in [
        ("rbps", &io.throttle_read_bps_device),
        ("wbps", &io.throttle_write_bps_device),
        ("riops", &io.throttle_read_iops_device),
        ("wiops", &io.throttle_write_iops_device),
    ] {
        for device in devices {
            let rate = if device.rate == 0 { "max".to_owned() } else { device.rate.to_string() };
            all.push(write("io.max", format!("{}:{} {key}={rate}", device.major, device.minor)));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn converts_as_runc_does() {
        assert_eq!((weight(2), weight(1024), weight(262_144), weight(1)), (1, 39, 10_000, 1));
        let memory = spec::Memory { limit: Some(100), swap: Some(150), ..Default::default() };
        let resources = spec::Resources { memory: Some(memory), ..Default::default() };
        let values: Vec<_> =
            limits(&resources).unwrap().into_iter().map(|w| (w.files[0].clone(), w.value)).collect();
        assert_eq!(values, [("memory.max".into(), "100".into()), ("memory.swap.max".into(), "50".into())]);
    }

    #[test]
    fn refuses_files_outside_the_cgroup() {
        let mut resources = spec::Resources::default();
        resources.unified.insert("../x.y".into(), "1".into());
        assert!(limits(&resources).is_err());
    }
}
