//! What a container has used.

use super::control::with;
use crate::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// What a container has used, read from its cgroups (v1 or v2). Bytes and nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Nanoseconds of processor in all.
    pub cpu_total: u64,
    /// Of those in the kernel.
    pub cpu_kernel: u64,
    /// Of those in user code.
    pub cpu_user: u64,
    /// Per core (v1 only).
    pub cpu_per_core: Vec<u64>,
    /// Periods, throttled periods, nanoseconds throttled.
    pub cpu_throttling: (u64, u64, u64),
    /// Bytes now.
    pub memory: u64,
    /// Bytes at most (v1, and v2 with memory.peak).
    pub memory_peak: u64,
    /// Limit in bytes; `u64::MAX` where there is none.
    pub memory_limit: u64,
    /// Every line of memory.stat.
    pub memory_stat: Vec<(String, u64)>,
    /// Times the limit was hit.
    pub memory_failures: u64,
    /// OOM kills so far.
    pub oom_kills: u64,
    /// Tasks now.
    pub pids: u64,
    /// Limit; `u64::MAX` where there is none.
    pub pids_limit: u64,
    /// (major, minor, operation, bytes).
    pub io_bytes: Vec<(u64, u64, String, u64)>,
    /// (major, minor, operation, count).
    pub io_ops: Vec<(u64, u64, String, u64)>,
}

/// A file's text; empty if the kernel does not have it.
fn text(dir: &Path, file: &str) -> Result<String, Error> {
    let path = dir.join(file);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && dir.exists() => Ok(String::new()),
        Err(e) => Err(Error::io("read cgroup", path.display(), &e)),
    }
}

/// `max` and v1's page-rounded maximum are no limit.
fn number(text: &str) -> u64 {
    match text.trim() {
        "" => 0,
        "max" => u64::MAX,
        digits => digits.parse().map_or(0, |n| if n >= 0x7fff_ffff_ffff_f000 { u64::MAX } else { n }),
    }
}

fn pairs(text: &str) -> Vec<(String, u64)> {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(key, value)| (key.to_owned(), number(value)))
        .collect()
}

fn value(pairs: &[(String, u64)], key: &str) -> u64 {
    pairs.iter().find(|(k, _)| k == key).map_or(0, |(_, v)| *v)
}

/// Reads [`Usage`].
///
/// # Errors
/// If a file cannot be read.
pub fn usage(dirs: &[PathBuf]) -> Result<Usage, Error> {
    let mut usage = Usage { memory_limit: u64::MAX, pids_limit: u64::MAX, ..Usage::default() };
    if let Some(dir) = with(dirs, "cgroup.controllers") {
        unified(dir, &mut usage)?;
    } else {
        hierarchies(dirs, &mut usage)?;
    }
    if let Some(dir) = with(dirs, "pids.current") {
        usage.pids = number(&text(dir, "pids.current")?);
        usage.pids_limit = number(&text(dir, "pids.max")?);
    }
    Ok(usage)
}

/// How often the kernel killed something of a container for its memory; 0 where nobody counts. Cheaper than [`usage`].
#[must_use]
pub fn oom_kills(dirs: &[PathBuf]) -> u64 {
    // v1: most likely the hierarchy with this name.
    let named = |dir: &&PathBuf| dir.iter().any(|part| part == "memory");
    let likely = dirs.iter().filter(named).chain(dirs.iter().filter(|dir| !named(dir)));
    let paths = likely.flat_map(|dir| ["memory.oom_control", "memory.events"].map(|file| dir.join(file)));
    let mut text = [0; 512];
    for path in paths {
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
        let Ok(file) = rustix::fs::open(&path, flags, rustix::fs::Mode::empty()) else { continue };
        let read = rustix::io::read(&file, &mut text).unwrap_or(0);
        let text = text.get(..read).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
        return value(&pairs(text), "oom_kill");
    }
    0
}

fn unified(dir: &Path, usage: &mut Usage) -> Result<(), Error> {
    let cpu = pairs(&text(dir, "cpu.stat")?);
    let nanoseconds = |key| value(&cpu, key).saturating_mul(1000);
    usage.cpu_total = nanoseconds("usage_usec");
    usage.cpu_kernel = nanoseconds("system_usec");
    usage.cpu_user = nanoseconds("user_usec");
    usage.cpu_throttling =
        (value(&cpu, "nr_periods"), value(&cpu, "nr_throttled"), nanoseconds("throttled_usec"));
    usage.memory = number(&text(dir, "memory.current")?);
    usage.memory_peak = number(&text(dir, "memory.peak")?);
    let limit = text(dir, "memory.max")?;
    usage.memory_limit = if limit.is_empty() { u64::MAX } else { number(&limit) };
    usage.memory_stat = pairs(&text(dir, "memory.stat")?);
    let events = pairs(&text(dir, "memory.events")?);
    usage.memory_failures = value(&events, "max");
    usage.oom_kills = value(&events, "oom_kill");
    for line in text(dir, "io.stat")?.lines() {
        let mut words = line.split(' ');
        let Some((major, minor)) = words.next().and_then(|d| d.split_once(':')) else { continue };
        let (major, minor) = (number(major), number(minor));
        for (key, count) in words.filter_map(|word| word.split_once('=')) {
            let entry = |name: &str| (major, minor, name.to_owned(), number(count));
            match key {
                "rbytes" => usage.io_bytes.push(entry("Read")),
                "wbytes" => usage.io_bytes.push(entry("Write")),
                "rios" => usage.io_ops.push(entry("Read")),
                "wios" => usage.io_ops.push(entry("Write")),
                _ => {}
            }
        }
    }
    Ok(())
}

fn hierarchies(dirs: &[PathBuf], usage: &mut Usage) -> Result<(), Error> {
    if let Some(dir) = with(dirs, "cpuacct.usage") {
        usage.cpu_total = number(&text(dir, "cpuacct.usage")?);
        usage.cpu_kernel = number(&text(dir, "cpuacct.usage_sys")?);
        usage.cpu_user = number(&text(dir, "cpuacct.usage_user")?);
        usage.cpu_per_core = text(dir, "cpuacct.usage_percpu")?.split_whitespace().map(number).collect();
    }
    if let Some(dir) = with(dirs, "cpu.stat") {
        let cpu = pairs(&text(dir, "cpu.stat")?);
        usage.cpu_throttling =
            (value(&cpu, "nr_periods"), value(&cpu, "nr_throttled"), value(&cpu, "throttled_time"));
    }
    if let Some(dir) = with(dirs, "memory.usage_in_bytes") {
        usage.memory = number(&text(dir, "memory.usage_in_bytes")?);
        usage.memory_peak = number(&text(dir, "memory.max_usage_in_bytes")?);
        usage.memory_limit = number(&text(dir, "memory.limit_in_bytes")?);
        usage.memory_failures = number(&text(dir, "memory.failcnt")?);
        usage.memory_stat = pairs(&text(dir, "memory.stat")?);
        usage.oom_kills = value(&pairs(&text(dir, "memory.oom_control")?), "oom_kill");
    }
    if let Some(dir) = with(dirs, "blkio.throttle.io_service_bytes_recursive") {
        usage.io_bytes = device_lines(&text(dir, "blkio.throttle.io_service_bytes_recursive")?);
        usage.io_ops = device_lines(&text(dir, "blkio.throttle.io_serviced_recursive")?);
    }
    Ok(())
}

/// `8:0 Read 4096` lines.
fn device_lines(text: &str) -> Vec<(u64, u64, String, u64)> {
    let line = |line: &str| {
        let mut words = line.split(' ');
        let (major, minor) = words.next()?.split_once(':')?;
        Some((number(major), number(minor), words.next()?.to_owned(), number(words.next()?)))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_kernels_write() {
        assert_eq!(device_lines("8:0 Read 4096\n8:0 Total 4096\nTotal 8192\n").len(), 2);
        assert_eq!(number("9223372036854771712\n"), u64::MAX);
        assert_eq!(number("max\n"), u64::MAX);
        assert_eq!(value(&pairs("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"), "oom_kill"), 3);
    }
}
