//! Limits as files of the unified hierarchy (Documentation/admin-guide/cgroup-v2.rst).

use super::{or_max, write, write_if_there};
use crate::Error;
use crate::step::CgroupWrite;
use dhow_oci::runtime as spec;

/// cpu.shares (2–262144) as cpu.weight (1–10000). runc's curve since 1.3.2: through both ends and through the defaults, 1024 and 100
/// (the straight line before it made 39 of the default).
pub(crate) fn weight(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        _ => {
            // 18 bits at most: exact in a float, and the result is between 1 and 10000.
            let l = f64::from(u32::try_from(shares).unwrap_or(u32::MAX)).log2();
            let exponent = (l * l + 125.0 * l) / 612.0 - 7.0 / 34.0;
            let curve = 10f64.powf(exponent);
            (1..=10_000).find(|n| f64::from(u16::try_from(*n).unwrap_or(u16::MAX)) >= curve).unwrap_or(10_000)
        }
    }
}

/// (file prefix before the dot) the controller that a file belongs to.
pub(crate) fn controller(file: &str) -> &str {
    file.split('.').next().unwrap_or(file)
}

/// Files for everything that is asked for; devices are [`super::devices`]'.
pub(crate) fn limits(resources: &spec::Resources) -> Result<Vec<CgroupWrite>, Error> {
    let mut all = Vec::new();
    if let Some(memory) = &resources.memory {
        all.extend(memory_limits(memory)?);
    }
    if let Some(cpu) = &resources.cpu {
        all.extend(cpu_limits(cpu)?);
    }
    if let Some(pids) = resources.pids.as_ref().filter(|p| p.limit != 0) {
        all.push(write("pids.max", or_max(pids.limit)));
    }
    if let Some(io) = &resources.block_io {
        all.extend(block_io(io));
    }
    for page in &resources.hugepage_limits {
        let size = super::page_size(&page.page_size)?;
        all.push(write(&format!("hugetlb.{size}.max"), page.limit));
        all.push(write_if_there(&[&format!("hugetlb.{size}.rsvd.max")], page.limit));
    }
    for (device, limit) in &resources.rdma {
        all.push(write("rdma.max", super::rdma(device, limit)?));
    }
    if resources.network.as_ref().is_some_and(|n| *n != spec::NetworkLimits::default()) {
        return Err(Error::invalid("linux.resources.network", "cgroup v2 marks no packets"));
    }
    for (file, value) in &resources.unified {
        if file.contains('/') || !file.contains('.') || file.starts_with("cgroup.") {
            return Err(Error::invalid(
                "linux.resources.unified",
                format_args!("{file:?} is no file of a controller"),
            ));
        }
        all.push(write(file, value));
    }
    Ok(all)
}

fn cpu_limits(cpu: &spec::Cpu) -> Result<Vec<CgroupWrite>, Error> {
    let mut all = Vec::new();
    if let Some(idle) = cpu.idle {
        all.push(write("cpu.idle", idle));
    }
    // Of an idle group the weight cannot be set.
    if let Some(shares) = cpu.shares.filter(|&n| n != 0 && cpu.idle != Some(1)) {
        all.push(write("cpu.weight", weight(shares)));
    }
    let quota = cpu.quota.filter(|&n| n != 0).map(or_max);
    match (quota, cpu.period.filter(|&n| n != 0)) {
        (None, None) => {}
        // The period stays as it is.
        (Some(quota), None) => all.push(write("cpu.max", quota)),
        (quota, Some(period)) => {
            all.push(write("cpu.max", format!("{} {period}", quota.as_deref().unwrap_or("max"))));
        }
    }
    if let Some(burst) = cpu.burst {
        all.push(write("cpu.max.burst", burst));
    }
    if cpu.realtime_runtime.is_some_and(|n| n != 0) || cpu.realtime_period.is_some_and(|n| n != 0) {
        return Err(Error::invalid("linux.resources.cpu", "cgroup v2 has no real-time limits"));
    }
    for (file, list) in [("cpuset.cpus", &cpu.cpus), ("cpuset.mems", &cpu.mems)] {
        if let Some(list) = list.as_ref().filter(|t| !t.is_empty()) {
            all.push(write(file, list));
        }
    }
    Ok(all)
}

/// memory+swap, which the specification and v1 limit, as swap alone. `None`: unset; negative: no limit. runc's rules.
pub(crate) fn swap_alone(memory: &spec::Memory) -> Result<Option<i64>, Error> {
    let invalid = |detail: &str| Error::invalid("linux.resources.memory.swap", detail);
    match (memory.limit.unwrap_or(0), memory.swap.unwrap_or(0)) {
        (-1, 0) | (_, -1) => Ok(Some(-1)),
        (_, 0) => Ok(None),
        (0 | -1, _) => Err(invalid("unable to set swap limit without memory limit")),
        (limit, swap) if limit > 0 && swap >= limit => Ok(Some(swap - limit)),
        _ => Err(invalid("memory+swap limit should be >= memory limit")),
    }
}

fn memory_limits(memory: &spec::Memory) -> Result<Vec<CgroupWrite>, Error> {
    let mut all = Vec::new();
    // There is none here; nonsense is refused all the same.
    super::v1::swappiness(memory)?;
    if let Some(swap) = swap_alone(memory)? {
        let value = if swap < 0 { "max".to_owned() } else { swap.to_string() };
        // A kernel without swap limits none: `max` and 0 need no file there.
        let needed = !matches!(value.as_str(), "max" | "0");
        let file = "memory.swap.max";
        all.push(if needed { write(file, value) } else { write_if_there(&[file], value) });
    }
    if let Some(limit) = memory.limit.filter(|&n| n != 0) {
        all.push(write("memory.max", or_max(limit)));
    }
    if let Some(reservation) = memory.reservation.filter(|&n| n != 0) {
        all.push(write("memory.low", or_max(reservation)));
    }
    Ok(all)
}

/// blkio's 10–1000 as io.weight's 1–10000, as runc.
fn scaled(weight: u16) -> u64 {
    1 + (u64::from(weight.clamp(10, 1000)) - 10) * 9999 / 990
}

fn block_io(io: &spec::BlockIo) -> Vec<CgroupWrite> {
    let mut all = Vec::new();
    // Whichever of the two schedulers a device has: both are told.
    if let Some(weight) = io.weight.filter(|&n| n != 0) {
        all.push(write_if_there(&["io.bfq.weight"], weight));
        all.push(write_if_there(&["io.weight"], format!("default {}", scaled(weight))));
    }
    for device in &io.weight_device {
        if let Some(weight) = device.weight.filter(|&n| n != 0) {
            let number = format!("{}:{}", device.major, device.minor);
            all.push(write_if_there(&["io.bfq.weight"], format!("{number} {weight}")));
            all.push(write_if_there(&["io.weight"], format!("{number} {}", scaled(weight))));
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
        // The table of runc's own test.
        for (shares, expected) in
            [(1, 1), (2, 1), (1024, 100), (262_144, 10_000), (300_000, 10_000), (512, 59)]
        {
            assert_eq!(weight(shares), expected, "{shares}");
        }
        assert_eq!((scaled(10), scaled(500), scaled(1000)), (1, 4950, 10_000));
        let swap = |limit, swap| swap_alone(&spec::Memory { limit, swap, ..Default::default() });
        assert_eq!(swap(Some(100), Some(150)).unwrap(), Some(50));
        assert_eq!(swap(Some(100), Some(100)).unwrap(), Some(0));
        assert_eq!(swap(Some(-1), None).unwrap(), Some(-1));
        assert_eq!(swap(Some(100), None).unwrap(), None);
        assert!(swap(None, Some(100)).is_err() && swap(Some(100), Some(50)).is_err());
    }

    #[test]
    fn every_limit_has_its_file() {
        let mut resources: spec::Resources = serde_json::from_str(include_str!("every.json")).unwrap();
        resources.network = None;
        let cpu = resources.cpu.as_mut().unwrap();
        (cpu.realtime_period, cpu.realtime_runtime) = (None, None);
        resources.unified.insert("memory.high".into(), "99".into());
        let lines: Vec<String> = limits(&resources)
            .unwrap()
            .into_iter()
            .map(|write| format!("{}={}", write.files.join("|"), write.value))
            .collect();
        assert_eq!(lines.join("\n") + "\n", include_str!("every.v2"));
    }

    #[test]
    fn refuses_what_v2_has_not() {
        for text in [
            r#"{"unified": {"../x.y": "1"}}"#,
            r#"{"unified": {"cgroup.procs": "1"}}"#,
            r#"{"unified": {"tasks": "1"}}"#,
            r#"{"cpu": {"realtimeRuntime": 1}}"#,
            r#"{"network": {"classID": 1}}"#,
            r#"{"memory": {"swappiness": 101}}"#,
        ] {
            assert!(limits(&serde_json::from_str(text).unwrap()).is_err(), "{text}");
        }
    }
}
