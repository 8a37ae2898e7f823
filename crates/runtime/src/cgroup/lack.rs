//! What a kernel cannot limit, in docker's words.

use crate::Host;
use dhow_oci::runtime as spec;
use std::fmt;
use std::path::{Path, PathBuf};

macro_rules! lacks {
    ($($(#[$doc:meta])* $name:ident: $controller:literal [$($file:literal),*] or $unified:expr => $words:literal),* $(,)?) => {
        /// A limit that this machine may lack. `Display` is docker's warning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the names are those of the limits; the words are below")]
        pub enum Lack { $($(#[$doc])* $name),* }

        /// Name, v1 controller, v1 files of which one is needed, and v2's.
        const TABLE: &[(Lack, &str, &[&str], Option<&[&str]>)] =
            &[$((Lack::$name, $controller, &[$($file),*], $unified)),*];

        impl fmt::Display for Lack {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$name => $words),* })
            }
        }
    };
}

lacks! {
    Memory: "memory" ["memory.limit_in_bytes"] or Some(&["memory.max"])
        => "Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.",
    Swap: "memory" ["memory.memsw.limit_in_bytes"] or Some(&["memory.swap.max"])
        => "Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.",
    Swappiness: "memory" ["memory.swappiness"] or None
        => "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.",
    Reservation: "memory" ["memory.soft_limit_in_bytes"] or Some(&["memory.low"])
        => "Your kernel does not support memory soft limit capabilities or the cgroup is not mounted. Limitation discarded.",
    OomKillDisable: "memory" ["memory.oom_control"] or None
        => "Your kernel does not support OomKillDisable. OomKillDisable discarded.",
    Pids: "pids" ["cgroup.procs"] or Some(&["pids.max"])
        => "Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.",
    Shares: "cpu" ["cpu.shares"] or Some(&["cpu.weight"])
        => "Your kernel does not support CPU shares or the cgroup is not mounted. Shares discarded.",
    Cfs: "cpu" ["cpu.cfs_quota_us"] or Some(&["cpu.max"])
        => "Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.",
    Realtime: "cpu" ["cpu.rt_runtime_us"] or None
        => "Your kernel does not support CPU real-time scheduler",
    Cpuset: "cpuset" ["cpuset.cpus"] or Some(&["cpuset.cpus"])
        => "Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded.",
    Weight: "blkio" ["blkio.weight", "blkio.bfq.weight"] or Some(&["io.weight", "io.bfq.weight"])
        => "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.",
    WeightDevice: "blkio" ["blkio.weight_device", "blkio.bfq.weight_device"] or Some(&["io.weight", "io.bfq.weight"])
        => "Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.",
    ReadBps: "blkio" ["blkio.throttle.read_bps_device"] or Some(&["io.max"])
        => "Your kernel does not support BPS Block I/O read limit or the cgroup is not mounted. Block I/O BPS read limit discarded.",
    WriteBps: "blkio" ["blkio.throttle.write_bps_device"] or Some(&["io.max"])
        => "Your kernel does not support BPS Block I/O write limit or the cgroup is not mounted. Block I/O BPS write limit discarded.",
    ReadIops: "blkio" ["blkio.throttle.read_iops_device"] or Some(&["io.max"])
        => "Your kernel does not support IOPS Block read limit or the cgroup is not mounted. Block I/O IOPS read limit discarded.",
    WriteIops: "blkio" ["blkio.throttle.write_iops_device"] or Some(&["io.max"])
        => "Your kernel does not support IOPS Block write limit or the cgroup is not mounted. Block I/O IOPS write limit discarded.",
}

/// Reads what is missing. v1 shows what it has in its roots, but the weights of bfq only below; v2 shows all of it below.
pub(crate) fn observe(host: &Host) -> Vec<Lack> {
    let below = |mount: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(mount).into_iter().flatten().flatten();
        entries.filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir())).map(|e| e.path()).collect()
    };
    let unified = host.unified.as_deref().map(below).unwrap_or_default();
    let has = |controller: &str, old: &[&str], new: Option<&[&str]>| {
        let hierarchy = host.hierarchies.iter().find(|h| h.controllers.iter().any(|c| c == controller));
        if let Some(hierarchy) = hierarchy {
            let there = |dir: &Path| old.iter().any(|file| dir.join(file).exists());
            return there(&hierarchy.mount) || below(&hierarchy.mount).first().is_some_and(|dir| there(dir));
        }
        let name = if controller == "blkio" { "io" } else { controller };
        let Some(new) = new.filter(|_| host.unified_controllers.iter().any(|c| c == name)) else {
            return false;
        };
        // A folder that has the controller shows which files it has; where none is, the controller's word is taken.
        let probe = unified.iter().find(|dir| match name {
            "io" => dir.join("io.stat").exists(),
            "cpu" => dir.join("cpu.weight").exists() || dir.join("cpu.max").exists(),
            other => dir.join(format!("{other}.events")).exists() || dir.join("cpuset.cpus").exists(),
        });
        probe.is_none_or(|dir| new.iter().any(|file| dir.join(file).exists()))
    };
    TABLE.iter().filter(|(_, controller, old, new)| !has(controller, old, *new)).map(|row| row.0).collect()
}

/// Takes out of `resources` what this machine lacks, and says so.
pub(crate) fn trim(resources: &mut spec::Resources, host: &Host) -> Vec<String> {
    let mut warnings = Vec::new();
    if host.lacks.is_empty() {
        return warnings;
    }
    let mut lost = |lack: Lack, wanted: bool| {
        let lost = wanted && host.lacks(lack);
        if lost {
            warnings.push(lack.to_string());
        }
        lost
    };
    if let Some(memory) = &mut resources.memory {
        trim_memory(memory, &mut lost);
    }
    if let Some(cpu) = &mut resources.cpu {
        if lost(Lack::Shares, cpu.shares.is_some()) {
            cpu.shares = None;
        }
        if lost(Lack::Cfs, cpu.quota.or(cpu.period.map(|_| 1)).is_some()) {
            (cpu.quota, cpu.period, cpu.burst) = (None, None, None);
        }
        if lost(Lack::Cpuset, cpu.cpus.is_some() || cpu.mems.is_some()) {
            (cpu.cpus, cpu.mems) = (None, None);
        }
    }
    if lost(Lack::Pids, resources.pids.as_ref().is_some_and(|p| p.limit > 0)) {
        resources.pids = None;
    }
    if let Some(io) = &mut resources.block_io {
        if lost(Lack::Weight, io.weight.is_some_and(|n| n != 0)) {
            io.weight = None;
        }
        let lists = [
            (Lack::ReadBps, &mut io.throttle_read_bps_device),
            (Lack::WriteBps, &mut io.throttle_write_bps_device),
            (Lack::ReadIops, &mut io.throttle_read_iops_device),
            (Lack::WriteIops, &mut io.throttle_write_iops_device),
        ];
        for (lack, list) in lists {
            if lost(lack, !list.is_empty()) {
                list.clear();
            }
        }
        if lost(Lack::WeightDevice, !io.weight_device.is_empty()) {
            io.weight_device.clear();
        }
    }
    warnings
}

fn trim_memory(memory: &mut spec::Memory, lost: &mut impl FnMut(Lack, bool) -> bool) {
    if lost(Lack::Memory, memory.limit.is_some_and(|n| n > 0)) {
        (memory.limit, memory.swap) = (None, None);
    }
    if lost(Lack::Swap, memory.swap.is_some_and(|n| n > 0)) {
        memory.swap = None;
    }
    if lost(Lack::Swappiness, memory.swappiness.is_some()) {
        memory.swappiness = None;
    }
    if lost(Lack::Reservation, memory.reservation.is_some_and(|n| n > 0)) {
        memory.reservation = None;
    }
    if lost(Lack::OomKillDisable, memory.disable_oom_killer) {
        memory.disable_oom_killer = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_lacks_is_left_out_and_said() {
        let all: spec::Resources = serde_json::from_str(include_str!("every.json")).unwrap();
        let mut host = Host { lacks: vec![Lack::Swap, Lack::WriteIops], ..Host::default() };
        let mut wanted = all.clone();
        let warnings = trim(&mut wanted, &host);
        assert_eq!(warnings.len(), 2);
        assert!(warnings[0].ends_with("Memory limited without swap."), "{warnings:?}");
        assert_eq!(wanted.memory.unwrap().swap, None);
        assert!(wanted.block_io.unwrap().throttle_write_iops_device.is_empty());
        host.lacks.clear();
        let mut wanted = all.clone();
        assert!(trim(&mut wanted, &host).is_empty());
        assert_eq!(wanted, all);
    }
}
