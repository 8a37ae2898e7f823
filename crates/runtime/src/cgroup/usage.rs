//! What a container has used.

use super::control::with;
use crate::Error;
use rustix::io::Errno;
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
    /// v2: lines of memory.events, as `high` and `max`: how often these limits were hit.
    pub memory_events: Vec<(String, u64)>,
    /// Forks that the limit of tasks refused.
    pub pids_refused: u64,
    /// Who waited: for the processor, for memory, for disks. v2, where the kernel has PSI.
    pub pressure: [Option<Pressure>; 3],
}

/// Pressure stall information: shares of time in hundredths of a percent, over 10, 60 and 300 s, and µs in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pressure {
    /// Some task waited.
    pub some: ([u32; 3], u64),
    /// All tasks waited.
    pub full: ([u32; 3], u64),
}

/// Files of [`Usage::pressure`].
pub(super) const PRESSURE: [&str; 3] = ["cpu.pressure", "memory.pressure", "io.pressure"];

/// Reads a pressure file; `None` where there is none, or PSI is off (EOPNOTSUPP).
fn pressure(dir: &Path, file: &str) -> Result<Option<Pressure>, Error> {
    match fs::read_to_string(dir.join(file)) {
        Ok(text) => Ok(Some(parse_pressure(&text))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) if e.raw_os_error() == Some(Errno::OPNOTSUPP.raw_os_error()) => Ok(None),
        Err(e) => Err(Error::io("read cgroup", dir.join(file).display(), &e)),
    }
}

/// `some avg10=0.12 avg60=0.00 avg300=0.00 total=1234` and the same of `full`.
fn parse_pressure(text: &str) -> Pressure {
    let line = |name: &str| {
        let words = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        let field = |key: &str| {
            let mut fields = words.split(' ').filter_map(|word| word.split_once('='));
            fields.find(|(k, _)| *k == key).map_or("", |(_, v)| v)
        };
        // two decimals, always
        let share = |key| field(key).replace('.', "").parse().unwrap_or(0);
        ([share("avg10"), share("avg60"), share("avg300")], number(field("total")))
    };
    Pressure { some: line("some "), full: line("full ") }
}

/// Bytes in use now.
pub(super) fn memory_now(dirs: &[PathBuf]) -> Result<u64, Error> {
    for file in ["memory.current", "memory.usage_in_bytes"] {
        if let Some(dir) = with(dirs, file) {
            return Ok(number(&text(dir, file)?));
        }
    }
    Ok(0)
}

/// A file's text; empty if the kernel does not have it.
pub(super) fn text(dir: &Path, file: &str) -> Result<String, Error> {
    let path = dir.join(file);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && dir.exists() => Ok(String::new()),
        Err(e) => Err(Error::io("read cgroup", path.display(), &e)),
    }
}

/// `max` and v1's page-rounded maximum are no limit.
pub(super) fn number(text: &str) -> u64 {
    match text.trim() {
        "" => 0,
        "max" => u64::MAX,
        digits => digits.parse().map_or(0, |n| if n >= 0x7fff_ffff_ffff_f000 { u64::MAX } else { n }),
    }
}

pub(super) fn pairs(text: &str) -> Vec<(String, u64)> {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(key, value)| (key.to_owned(), number(value)))
        .collect()
}

pub(super) fn value(pairs: &[(String, u64)], key: &str) -> u64 {
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
    }
    if dirs.len() > 1 {
        hierarchies(dirs, &mut usage)?;
    }
    if let Some(dir) = with(dirs, "pids.current") {
        usage.pids = number(&text(dir, "pids.current")?);
        usage.pids_limit = number(&text(dir, "pids.max")?);
        usage.pids_refused = value(&pairs(&text(dir, "pids.events")?), "max");
    }
    Ok(usage)
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
    usage.memory_events = events;
    for (slot, file) in usage.pressure.iter_mut().zip(PRESSURE) {
        *slot = pressure(dir, file)?;
    }
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
        let pressure = parse_pressure(
            "some avg10=1.25 avg60=0.00 avg300=12.34 total=987\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=5\n",
        );
        assert_eq!((pressure.some, pressure.full.1), (([125, 0, 1234], 987), 5));
        assert_eq!(value(&pairs("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"), "oom_kill"), 3);
    }
}
