//! One sample of what a container uses. Blocking: read on a thread of its own.

use super::{Live, Sample};
use crate::{Result, error::io, events::Time, shared::Shared};
use rustix::fd::AsFd;
use std::collections::BTreeMap;

/// See the module.
pub(super) fn sample(shared: &Shared, live: &Live, own_network: bool) -> Result<Sample> {
    let usage = dhow_runtime::usage(&live.cgroups)?;
    let networks = match &live.netns {
        Some(netns) if own_network => {
            let mut all = shared.net.counters(netns.as_fd())?;
            all.remove("lo");
            all
        }
        _ => BTreeMap::new(),
    };
    let stat = std::fs::read_to_string("/proc/stat").map_err(|e| io("read", "/proc/stat", e))?;
    let (system_cpu, online_cpus) = machine(&stat);
    Ok(Sample { read: Time::now(), usage, system_cpu, online_cpus, networks })
}

/// Nanoseconds of all processors (user to steal, as docker counts), and how many there are.
fn machine(stat: &str) -> (u64, u32) {
    let total = stat.lines().find(|l| l.starts_with("cpu ")).map_or(0, |line| {
        line.split_whitespace().skip(1).take(7).filter_map(|n| n.parse::<u64>().ok()).sum::<u64>()
    });
    let cores = stat.lines().filter(|l| l.starts_with("cpu") && !l.starts_with("cpu ")).count();
    (total.saturating_mul(10_000_000), u32::try_from(cores).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_proc_stat() {
        let text = "cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 2 3\ncpu1 1 2 3\nintr 5\n";
        assert_eq!(machine(text), (28 * 10_000_000, 2));
    }
}
