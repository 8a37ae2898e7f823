//! Limits as files of the v1 hierarchies (Documentation/admin-guide/cgroup-v1).

use super::{write, write_if_there};
use crate::Error;
use crate::step::CgroupWrite;
use dhow_oci::runtime as spec;

/// What goes to which controller.
pub(super) type Writes = Vec<(&'static str, CgroupWrite)>;

fn set<T: Default + PartialEq + Copy>(value: Option<T>) -> Option<T> {
    value.filter(|n| *n != T::default())
}

/// (controller, file) for everything that is asked for, in an order that works on a fresh cgroup. Devices are [`super::devices`]'.
pub(crate) fn limits(resources: &spec::Resources) -> Result<Writes, Error> {
    let mut all = Vec::new();
    if let Some(memory) = &resources.memory {
        memory_limits(memory, &mut all)?;
    }
    if let Some(cpu) = &resources.cpu {
        cpu_limits(cpu, &mut all);
    }
    if let Some(pids) = resources.pids.as_ref().filter(|p| p.limit != 0) {
        all.push(("pids", write("pids.max", super::or_max(pids.limit))));
    }
    if let Some(io) = &resources.block_io {
        block_io(io, &mut all);
    }
    for page in &resources.hugepage_limits {
        let size = super::page_size(&page.page_size)?;
        all.push(("hugetlb", write(&format!("hugetlb.{size}.limit_in_bytes"), page.limit)));
        let reserved = format!("hugetlb.{size}.rsvd.limit_in_bytes");
        all.push(("hugetlb", write_if_there(&[&reserved], page.limit)));
    }
    if let Some(network) = &resources.network {
        if let Some(class) = set(network.class_id) {
            all.push(("net_cls", write("net_cls.classid", class)));
        }
        for item in &network.priorities {
            all.push(("net_prio", write("net_prio.ifpriomap", format!("{} {}", item.name, item.priority))));
        }
    }
    for (device, limit) in &resources.rdma {
        all.push(("rdma", write("rdma.max", super::rdma(device, limit)?)));
    }
    Ok(all)
}

fn memory_limits(memory: &spec::Memory, all: &mut Writes) -> Result<(), Error> {
    let mut add = |write| all.push(("memory", write));
    let limit = set(memory.limit);
    if let Some(limit) = limit {
        add(write("memory.limit_in_bytes", limit));
    }
    // No limit at all is no limit of swap either, as a lower one would still bind.
    if let Some(swap) = set(memory.swap).or(limit.filter(|n| *n == -1)) {
        add(write_if_there(&["memory.memsw.limit_in_bytes"], swap));
    }
    if let Some(soft) = set(memory.reservation) {
        add(write("memory.soft_limit_in_bytes", soft));
    }
    if let Some(n) = swappiness(memory)? {
        add(write_if_there(&["memory.swappiness"], n));
    }
    if memory.disable_oom_killer {
        add(write("memory.oom_control", 1));
    }
    Ok(())
}

fn cpu_limits(cpu: &spec::Cpu, all: &mut Writes) {
    let mut number = |file: &str, value: Option<String>| {
        if let Some(value) = value {
            all.push(("cpu", write(file, value)));
        }
    };
    let text = |n: Option<u64>| n.map(|n| n.to_string());
    let signed = |n: Option<i64>| n.map(|n| n.to_string());
    // Of an idle group shares cannot be set, but of one that has ceased to be.
    number("cpu.idle", signed(cpu.idle));
    number("cpu.shares", text(set(cpu.shares)));
    number("cpu.cfs_period_us", text(set(cpu.period)));
    number("cpu.cfs_quota_us", signed(set(cpu.quota)));
    number("cpu.cfs_burst_us", text(cpu.burst));
    number("cpu.rt_period_us", text(set(cpu.realtime_period)));
    number("cpu.rt_runtime_us", signed(set(cpu.realtime_runtime)));
    for (file, list) in [("cpuset.cpus", &cpu.cpus), ("cpuset.mems", &cpu.mems)] {
        if let Some(list) = list.as_ref().filter(|t| !t.is_empty()) {
            all.push(("cpuset", write(file, list)));
        }
    }
}

fn block_io(io: &spec::BlockIo, all: &mut Writes) {
    let mut add = |write| all.push(("blkio", write));
    if let Some(weight) = set(io.weight) {
        add(write_if_there(&["blkio.weight", "blkio.bfq.weight"], weight));
    }
    if let Some(weight) = set(io.leaf_weight) {
        add(write_if_there(&["blkio.leaf_weight"], weight));
    }
    for device in &io.weight_device {
        let value = |weight: u16| format!("{}:{} {weight}", device.major, device.minor);
        if let Some(weight) = set(device.weight) {
            add(write_if_there(&["blkio.weight_device", "blkio.bfq.weight_device"], value(weight)));
        }
        if let Some(weight) = set(device.leaf_weight) {
            add(write_if_there(&["blkio.leaf_weight_device"], value(weight)));
        }
    }
    for (file, devices) in [
        ("blkio.throttle.read_bps_device", &io.throttle_read_bps_device),
        ("blkio.throttle.write_bps_device", &io.throttle_write_bps_device),
        ("blkio.throttle.read_iops_device", &io.throttle_read_iops_device),
        ("blkio.throttle.write_iops_device", &io.throttle_write_iops_device),
    ] {
        for device in devices {
            add(write(file, format!("{}:{} {}", device.major, device.minor, device.rate)));
        }
    }
}

/// As it is to be, if it is: in the specification's range, also where the hierarchy has none.
pub(crate) fn swappiness(memory: &spec::Memory) -> Result<Option<u64>, Error> {
    match memory.swappiness {
        // docker's and runc's word for "as the host has it"
        None | Some(u64::MAX) => Ok(None),
        Some(n @ 0..=100) => Ok(Some(n)),
        Some(n) => {
            let detail = format_args!("{n} is not between 0 and 100");
            Err(Error::invalid("linux.resources.memory.swappiness", detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_has_its_file() {
        let resources: spec::Resources = serde_json::from_str(include_str!("every.json")).unwrap();
        let lines: Vec<String> = limits(&resources)
            .unwrap()
            .into_iter()
            .map(|(controller, write)| format!("{controller}: {}={}", write.files.join("|"), write.value))
            .collect();
        assert_eq!(lines.join("\n") + "\n", include_str!("every.v1"));
    }

    #[test]
    fn no_limit_of_memory_frees_swap() {
        let memory = spec::Memory { limit: Some(-1), ..Default::default() };
        let resources = spec::Resources { memory: Some(memory), ..Default::default() };
        let all = limits(&resources).unwrap();
        assert_eq!(
            (all[1].1.files[0].as_str(), all[1].1.value.as_str()),
            ("memory.memsw.limit_in_bytes", "-1")
        );
    }
}
