//! Limits of a container: docker's numbers → the runtime specification's, and what docker refuses. Pure.

use super::{Resources, Ulimit};
use crate::{Error, Kind, Result};
use dhow_oci::runtime as oci;
use dhow_runtime::Lack;

const SMALLEST_MEMORY: i64 = 6 << 20;

fn invalid(message: impl Into<String>) -> Error {
    Error::new(Kind::Invalid, message)
}

/// What this machine has for limits.
pub(crate) struct Machine<'a> {
    pub(crate) cores: usize,
    pub(crate) lacks: &'a dyn Fn(Lack) -> bool,
}

impl Machine<'_> {
    /// Whether that is asked for and lacking, which is said.
    fn gives_up(&self, lack: Lack, asked: bool, warnings: &mut Vec<String>) -> bool {
        let lost = asked && (self.lacks)(lack);
        if lost {
            warnings.push(lack.to_string());
        }
        lost
    }
}

/// [`check`] on this machine.
pub(crate) fn check_here(wanted: &mut Resources, host: &dhow_runtime::Host) -> Result<Vec<String>> {
    let cores = crate::system::cores();
    check(wanted, &Machine { cores, lacks: &|lack| host.lacks(lack) })
}

/// Refuses what docker refuses, and gives up what the kernel lacks, in docker's words and order; fills in what it fills in. Returns warnings.
pub(crate) fn check(wanted: &mut Resources, machine: &Machine<'_>) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    check_memory(wanted, machine, &mut warnings)?;
    if wanted.pids_limit.is_some() && (machine.lacks)(Lack::Pids) {
        if wanted.pids_limit.is_some_and(|n| n > 0) {
            warnings.push(Lack::Pids.to_string());
        }
        wanted.pids_limit = None;
    }
    check_cpu(wanted, machine, &mut warnings)?;
    check_io(wanted, machine, &mut warnings)?;
    Ok(warnings)
}

fn check_memory(w: &mut Resources, machine: &Machine<'_>, warnings: &mut Vec<String>) -> Result<()> {
    let mut lost = |lack, asked| machine.gives_up(lack, asked, warnings);
    if w.memory > 0 && w.memory < SMALLEST_MEMORY {
        return Err(invalid("Minimum memory limit allowed is 6MB"));
    }
    if w.memory < 0 || w.memory_reservation < 0 {
        return Err(invalid("invalid memory: must be greater than or equal to 0"));
    }
    if lost(Lack::Memory, w.memory > 0) {
        (w.memory, w.memory_swap) = (0, -1);
    }
    if lost(Lack::Swap, w.memory > 0 && w.memory_swap != -1) {
        w.memory_swap = -1;
    }
    if w.memory > 0 && w.memory_swap > 0 && w.memory_swap < w.memory {
        return Err(invalid("Minimum memoryswap limit should be larger than memory limit, see usage"));
    }
    if w.memory == 0 && w.memory_swap > 0 {
        return Err(invalid("You should always set the Memory limit when using Memoryswap limit, see usage"));
    }
    // docker's word for "as the host has it"
    if w.memory_swappiness == Some(-1) {
        w.memory_swappiness = None;
    }
    if lost(Lack::Swappiness, w.memory_swappiness.is_some()) {
        w.memory_swappiness = None;
    }
    if let Some(swappiness) = w.memory_swappiness.filter(|n| !(0..=100).contains(n)) {
        return Err(invalid(format!("Invalid value: {swappiness}, valid memory swappiness range is 0-100")));
    }
    if lost(Lack::Reservation, w.memory_reservation > 0) {
        w.memory_reservation = 0;
    }
    if w.memory_reservation > 0 && w.memory_reservation < SMALLEST_MEMORY {
        return Err(invalid("Minimum memory reservation allowed is 6MB"));
    }
    if w.memory > 0 && w.memory_reservation > 0 && w.memory < w.memory_reservation {
        return Err(invalid("Minimum memory limit can not be less than memory reservation limit, see usage"));
    }
    if lost(Lack::OomKillDisable, w.oom_kill_disable == Some(true)) {
        w.oom_kill_disable = None;
    }
    if w.oom_kill_disable == Some(true) && w.memory == 0 {
        warnings.push("OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.".to_owned());
    }
    // docker gives as much swap again where only memory is limited
    if w.memory > 0 && w.memory_swap == 0 {
        w.memory_swap = w.memory.saturating_mul(2);
    }
    Ok(())
}

fn check_cpu(w: &mut Resources, machine: &Machine<'_>, warnings: &mut Vec<String>) -> Result<()> {
    let mut lost = |lack, asked| machine.gives_up(lack, asked, warnings);
    if w.nano_cpus > 0 && w.cpu_period > 0 {
        return Err(invalid("Conflicting options: Nano CPUs and CPU Period cannot both be set"));
    }
    if w.nano_cpus > 0 && w.cpu_quota > 0 {
        return Err(invalid("Conflicting options: Nano CPUs and CPU Quota cannot both be set"));
    }
    if w.nano_cpus > 0 && (machine.lacks)(Lack::Cfs) {
        return Err(invalid(
            "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted",
        ));
    }
    let cores = machine.cores;
    if w.nano_cpus < 0 || w.nano_cpus > i64::try_from(cores).unwrap_or(i64::MAX).saturating_mul(1_000_000_000)
    {
        return Err(invalid(format!(
            "range of CPUs is from 0.01 to {cores}.00, as there are only {cores} CPUs available"
        )));
    }
    if lost(Lack::Shares, w.cpu_shares > 0) {
        w.cpu_shares = 0;
    }
    if lost(Lack::Cfs, w.cpu_period != 0 || w.cpu_quota != 0) {
        (w.cpu_period, w.cpu_quota) = (0, 0);
    }
    if w.cpu_period != 0 && !(1000..=1_000_000).contains(&w.cpu_period) {
        return Err(invalid(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        ));
    }
    if w.cpu_quota > 0 && w.cpu_quota < 1000 {
        return Err(invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)"));
    }
    if (w.cpu_realtime_period != 0 || w.cpu_realtime_runtime != 0) && (machine.lacks)(Lack::Realtime) {
        return Err(invalid(Lack::Realtime.to_string()));
    }
    if w.cpu_realtime_period != 0 && w.cpu_realtime_runtime > w.cpu_realtime_period {
        return Err(invalid("cpu real-time runtime cannot be higher than cpu real-time period"));
    }
    if lost(Lack::Cpuset, !w.cpuset_cpus.is_empty() || !w.cpuset_mems.is_empty()) {
        w.cpuset_cpus.clear();
        w.cpuset_mems.clear();
    }
    Ok(())
}

fn check_io(w: &mut Resources, machine: &Machine<'_>, warnings: &mut Vec<String>) -> Result<()> {
    let mut lost = |lack, asked| machine.gives_up(lack, asked, warnings);
    if lost(Lack::Weight, w.blkio_weight > 0) {
        w.blkio_weight = 0;
    }
    if w.blkio_weight != 0 && !(10..=1000).contains(&w.blkio_weight) {
        return Err(invalid("Range of blkio weight is from 10 to 1000"));
    }
    if lost(Lack::WeightDevice, !w.blkio_weight_device.is_empty()) {
        w.blkio_weight_device.clear();
    }
    let lacks = [Lack::ReadBps, Lack::WriteBps, Lack::ReadIops, Lack::WriteIops];
    for (list, lack) in w.blkio_throttle.iter_mut().zip(lacks) {
        if lost(lack, !list.is_empty()) {
            list.clear();
        }
    }
    Ok(())
}

/// The cgroup limits. `device` looks up a block device's number.
pub(crate) fn resources(
    wanted: &Resources,
    device: &dyn Fn(&str) -> Result<(i64, i64)>,
) -> Result<oci::Resources> {
    let some = |n: i64| (n != 0).then_some(n);
    let unsigned = |n: i64| u64::try_from(n).ok().filter(|n| *n > 0);
    let memory = oci::Memory {
        limit: some(wanted.memory),
        reservation: some(wanted.memory_reservation),
        swap: some(wanted.memory_swap),
        swappiness: wanted.memory_swappiness.and_then(|n| u64::try_from(n).ok()),
        disable_oom_killer: wanted.oom_kill_disable.unwrap_or(false),
        ..oci::Memory::default()
    };
    let mut cpu = oci::Cpu {
        shares: unsigned(wanted.cpu_shares),
        quota: some(wanted.cpu_quota),
        period: unsigned(wanted.cpu_period),
        realtime_runtime: some(wanted.cpu_realtime_runtime),
        realtime_period: unsigned(wanted.cpu_realtime_period),
        cpus: Some(wanted.cpuset_cpus.clone()).filter(|s| !s.is_empty()),
        mems: Some(wanted.cpuset_mems.clone()).filter(|s| !s.is_empty()),
        ..oci::Cpu::default()
    };
    if wanted.nano_cpus > 0 {
        cpu.period = Some(100_000);
        cpu.quota = Some((wanted.nano_cpus / 10_000).max(1000));
    }
    let throttle = |list: &[(String, u64)]| {
        list.iter()
            .map(|(path, rate)| {
                device(path).map(|(major, minor)| oci::ThrottleDevice { major, minor, rate: *rate })
            })
            .collect::<Result<Vec<_>>>()
    };
    let weight = |(path, weight): &(String, u16)| {
        device(path).map(|(major, minor)| oci::WeightDevice {
            major,
            minor,
            weight: Some(*weight),
            leaf_weight: None,
        })
    };
    let [read_bps, write_bps, read_iops, write_iops] = &wanted.blkio_throttle;
    let block_io = oci::BlockIo {
        weight: (wanted.blkio_weight > 0).then_some(wanted.blkio_weight),
        weight_device: wanted.blkio_weight_device.iter().map(weight).collect::<Result<_>>()?,
        throttle_read_bps_device: throttle(read_bps)?,
        throttle_write_bps_device: throttle(write_bps)?,
        throttle_read_iops_device: throttle(read_iops)?,
        throttle_write_iops_device: throttle(write_iops)?,
        ..oci::BlockIo::default()
    };
    Ok(oci::Resources {
        memory: (memory != oci::Memory::default()).then_some(memory),
        cpu: (cpu != oci::Cpu::default()).then_some(cpu),
        pids: wanted.pids_limit.filter(|n| *n != 0).map(|limit| oci::Pids { limit }),
        block_io: (block_io != oci::BlockIo::default()).then_some(block_io),
        ..oci::Resources::default()
    })
}

/// `--ulimit`.
pub(crate) fn rlimits(wanted: &[Ulimit]) -> Result<Vec<oci::Rlimit>> {
    const NAMES: [&str; 15] = [
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ];
    wanted
        .iter()
        .map(|limit| {
            if !NAMES.contains(&limit.name.as_str()) {
                return Err(invalid(format!("invalid ulimit type: {}", limit.name)));
            }
            if limit.hard >= 0 && (limit.soft > limit.hard || limit.soft < 0) {
                return Err(invalid(format!(
                    "ulimit soft limit must be less than or equal to hard limit: {} > {}",
                    limit.soft, limit.hard
                )));
            }
            let number = |n: i64| u64::try_from(n).unwrap_or(u64::MAX);
            Ok(oci::Rlimit {
                kind: format!("RLIMIT_{}", limit.name.to_ascii_uppercase()),
                hard: number(limit.hard),
                soft: number(limit.soft),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_in_dockers_words() {
        let machine = Machine { cores: 2, lacks: &|_| false };
        let refused = |r: Resources| check(&mut r.clone(), &machine).unwrap_err().message;
        let base = Resources::default();
        assert_eq!(
            refused(Resources { memory: 1 << 20, ..base.clone() }),
            "Minimum memory limit allowed is 6MB"
        );
        assert!(
            refused(Resources { memory_swap: 8 << 20, ..base.clone() }).starts_with("You should always set")
        );
        assert!(refused(Resources { nano_cpus: 3_000_000_000, ..base.clone() }).contains("only 2 CPUs"));
        assert!(refused(Resources { nano_cpus: 1, cpu_quota: 5000, ..base.clone() }).contains("Nano CPUs"));
        let mut good = Resources { memory: 8 << 20, nano_cpus: 500_000_000, ..base };
        check(&mut good, &machine).unwrap();
        assert_eq!(good.memory_swap, 16 << 20);
        let made = resources(&good, &|_| Ok((8, 0))).unwrap();
        assert_eq!(made.cpu.unwrap().quota, Some(50_000));
        assert_eq!(made.memory.unwrap().limit, Some(8 << 20));
        assert!(rlimits(&[Ulimit { name: "nofiles".into(), soft: 1, hard: 1 }]).is_err());
    }

    #[test]
    fn gives_up_what_the_kernel_lacks_in_dockers_words() {
        let machine = Machine { cores: 2, lacks: &|lack| lack != Lack::Memory && lack != Lack::Cfs };
        let mut wanted = Resources {
            memory: 64 << 20,
            memory_swappiness: Some(10),
            oom_kill_disable: Some(true),
            pids_limit: Some(5),
            cpu_shares: 512,
            cpu_quota: 50_000,
            cpuset_cpus: "0".into(),
            blkio_weight: 500,
            blkio_throttle: [vec![("/dev/sda".into(), 1)], vec![], vec![], vec![]],
            ..Resources::default()
        };
        let warnings = check(&mut wanted, &machine).unwrap();
        assert_eq!(
            warnings[0],
            "Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap."
        );
        assert_eq!(warnings.len(), 8);
        let left = Resources { memory: 64 << 20, memory_swap: -1, cpu_quota: 50_000, ..Resources::default() };
        assert_eq!(wanted, left);
    }
}
