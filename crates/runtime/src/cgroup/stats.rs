//! What `runc events --stats` prints of a container.

use super::control::with;
use super::usage::{number, pairs, text, usage, value};
use crate::Error;
use dhow_oci::stats as shape;
use std::path::{Path, PathBuf};

/// v1's files that runc prints; 0 with v2, which has none of them.
const CPUSET_FLAGS: [&str; 9] = [
    "cpu_exclusive",
    "mem_hardwall",
    "mem_exclusive",
    "memory_migrate",
    "memory_spread_page",
    "memory_spread_slab",
    "memory_pressure",
    "sched_load_balance",
    "sched_relax_domain_level",
];

/// What v1 calls no limit: the largest number of bytes in whole pages.
const V1_UNLIMITED: u64 = 0x7fff_ffff_ffff_f000;

/// Reads everything that runc's shape has a place for; a few files more than [`usage`] reads.
///
/// # Errors
/// If a file cannot be read.
pub fn stats(dirs: &[PathBuf]) -> Result<shape::Stats, Error> {
    let used = usage(dirs)?;
    let mut stats = shape::Stats::default();
    let cpu = &mut stats.cpu.usage;
    (cpu.total, cpu.kernel, cpu.user) = (used.cpu_total, used.cpu_kernel, used.cpu_user);
    cpu.percpu = used.cpu_per_core;
    let throttling = &mut stats.cpu.throttling;
    (throttling.periods, throttling.throttled_periods, throttling.throttled_time) = used.cpu_throttling;
    stats.pids = shape::Pids {
        current: used.pids,
        limit: if used.pids_limit == u64::MAX { 0 } else { used.pids_limit },
    };
    stats.memory.usage = shape::Entry {
        limit: used.memory_limit,
        usage: used.memory,
        max: used.memory_peak,
        failcnt: used.memory_failures,
    };
    // v2's file, else v1's hierarchical one.
    stats.memory.cache = ["file", "total_cache", "cache"]
        .iter()
        .map(|key| value(&used.memory_stat, key))
        .find(|n| *n > 0)
        .unwrap_or(0);
    stats.memory.raw = used.memory_stat.into_iter().collect();
    let [cpu, memory, io] = used.pressure.map(|pressure| pressure.map(psi));
    (stats.cpu.psi, stats.memory.psi, stats.blkio.psi) = (cpu, memory, io);
    let entries = |all: Vec<(u64, u64, String, u64)>| {
        let entry = |(major, minor, op, value)| shape::Blkio { major, minor, op, value };
        all.into_iter().map(entry).collect()
    };
    stats.blkio.io_service_bytes_recursive = entries(used.io_bytes);
    stats.blkio.io_serviced_recursive = entries(used.io_ops);
    swap(dirs, &mut stats)?;
    if let Some(dir) = with(dirs, "cpuacct.usage_all") {
        // `cpu user system`, then a line for each
        for line in text(dir, "cpuacct.usage_all")?.lines().skip(1) {
            let mut words = line.split(' ').skip(1).map(number);
            stats.cpu.usage.percpu_user.extend(words.next());
            stats.cpu.usage.percpu_kernel.extend(words.next());
        }
    }
    if let Some(dir) = with(dirs, "cpuset.cpus") {
        let effective = |new: &str, old: &str| text(dir, if dir.join(new).exists() { new } else { old });
        stats.cpuset.cpus = list(&effective("cpuset.cpus.effective", "cpuset.cpus")?);
        stats.cpuset.mems = list(&effective("cpuset.mems.effective", "cpuset.mems")?);
        for name in CPUSET_FLAGS {
            let value = text(dir, &format!("cpuset.{name}"))?;
            stats.cpuset.flags.insert(name, value.trim().parse().unwrap_or(0));
        }
    }
    huge_pages(dirs, &mut stats)?;
    Ok(stats)
}

fn psi(pressure: super::usage::Pressure) -> shape::Psi {
    let line = |(shares, total): ([u32; 3], u64)| {
        let [avg10, avg60, avg300] = shares.map(|n| f64::from(n) / 100.0);
        shape::PsiLine { avg10, avg60, avg300, total }
    };
    shape::Psi { some: line(pressure.some), full: line(pressure.full) }
}

/// Swap and the kernel's own.
fn swap(dirs: &[PathBuf], stats: &mut shape::Stats) -> Result<(), Error> {
    if let Some(dir) = with(dirs, "memory.current") {
        let (usage, limit) = (number(&text(dir, "memory.swap.current")?), text(dir, "memory.swap.max")?);
        let sum = |limit: &str| match number(limit) {
            u64::MAX => u64::MAX,
            swap => swap.saturating_add(stats.memory.usage.limit),
        };
        // runc: memory and swap together, as v1 counts them.
        stats.memory.swap = shape::Entry {
            limit: if limit.is_empty() { 0 } else { sum(&limit) },
            usage: usage.saturating_add(stats.memory.usage.usage),
            ..shape::Entry::default()
        };
    } else if let Some(dir) = with(dirs, "memory.usage_in_bytes") {
        let entry = |name: &str| -> Result<shape::Entry, Error> {
            let file = |what: &str| text(dir, &format!("memory.{name}{what}")).map(|text| number(&text));
            Ok(shape::Entry {
                limit: file("limit_in_bytes")?.min(V1_UNLIMITED),
                usage: file("usage_in_bytes")?,
                max: file("max_usage_in_bytes")?,
                failcnt: file("failcnt")?,
            })
        };
        stats.memory.usage.limit = stats.memory.usage.limit.min(V1_UNLIMITED);
        stats.memory.raw.values_mut().for_each(|value| *value = (*value).min(V1_UNLIMITED));
        stats.memory.swap = entry("memsw.")?;
        stats.memory.kernel = entry("kmem.")?;
        stats.memory.kernel_tcp = entry("kmem.tcp.")?;
    }
    Ok(())
}

/// Of each size that this machine has.
fn huge_pages(dirs: &[PathBuf], stats: &mut shape::Stats) -> Result<(), Error> {
    for size in sizes() {
        let name = |what: &str| format!("hugetlb.{size}.{what}");
        let read = |dir: &Path, what: &str| text(dir, &name(what)).map(|text| number(&text));
        if let Some(dir) = with(dirs, &name("current")) {
            let failcnt = value(&pairs(&text(dir, &name("events"))?), "max");
            let usage = shape::Huge { usage: read(dir, "current")?, max: 0, failcnt };
            stats.hugetlb.insert(size.clone(), usage);
        } else if let Some(dir) = with(dirs, &name("usage_in_bytes")) {
            let (usage, max) = (read(dir, "usage_in_bytes")?, read(dir, "max_usage_in_bytes")?);
            stats.hugetlb.insert(size.clone(), shape::Huge { usage, max, failcnt: read(dir, "failcnt")? });
        }
    }
    Ok(())
}

/// `2MB` of `hugepages-2048kB`; none on a kernel without huge pages.
fn sizes() -> Vec<String> {
    let entries = std::fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten().flatten();
    let name = |entry: std::fs::DirEntry| {
        let name = entry.file_name();
        let kib: u64 = name.to_str()?.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
        Some(match kib {
            kib if kib >= 1 << 20 => format!("{}GB", kib >> 20),
            kib if kib >= 1 << 10 => format!("{}MB", kib >> 10),
            kib => format!("{kib}KB"),
        })
    };
    entries.filter_map(name).collect()
}

/// `0-2,7` as numbers.
fn list(text: &str) -> Vec<u16> {
    let range = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    text.trim().split(',').filter_map(range).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_spelled_out() {
        assert_eq!(list("0-2,7\n"), [0, 1, 2, 7]);
        assert!(list("\n").is_empty());
    }
}
