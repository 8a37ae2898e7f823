//! Turns at processors, disks and memory, and which system a program sees.

use crate::Error;
use crate::step::{IoPriority, MemoryPolicy, Program, Scheduler};
use dhow_oci::runtime as spec;

/// What a process has of its own.
pub(super) fn of_process(process: &spec::Process, exec: bool, program: &mut Program) -> Result<(), Error> {
    program.scheduler = process.scheduler.as_ref().map(scheduler).transpose()?;
    program.io_priority = process.io_priority.as_ref().map(io_priority).transpose()?;
    // The specification has it for additional processes alone.
    if let Some(affinity) = process.exec_cpu_affinity.as_ref().filter(|_| exec) {
        program.affinity = list("process.execCPUAffinity.initial", &affinity.initial)?;
        program.final_affinity = list("process.execCPUAffinity.final", &affinity.last)?;
    }
    Ok(())
}

/// What every process of the container has.
pub(super) fn of_container(linux: &spec::Linux, program: &mut Program) -> Result<(), Error> {
    const DOMAINS: [(&str, u32); 2] = [("LINUX", 0), ("LINUX32", 8)];
    program.memory_policy = linux.memory_policy.as_ref().map(memory).transpose()?;
    let Some(wanted) = &linux.personality else { return Ok(()) };
    program.personality = Some(named("linux.personality.domain", &DOMAINS, &wanted.domain)?);
    if let Some(flag) = wanted.flags.first() {
        return Err(Error::invalid("linux.personality.flags", format_args!("{flag:?}: none is defined")));
    }
    Ok(())
}

/// The number of a word.
fn named(field: &str, names: &[(&str, u32)], word: &str) -> Result<u32, Error> {
    let found = names.iter().find(|(name, _)| *name == word).map(|(_, number)| *number);
    found.ok_or_else(|| Error::invalid(field, format_args!("unknown value {word:?}")))
}

fn scheduler(wanted: &spec::Scheduler) -> Result<Scheduler, Error> {
    const FIELD: &str = "process.scheduler";
    const POLICIES: [(&str, u32); 7] = [
        ("SCHED_OTHER", 0),
        ("SCHED_FIFO", 1),
        ("SCHED_RR", 2),
        ("SCHED_BATCH", 3),
        ("SCHED_ISO", 4),
        ("SCHED_IDLE", 5),
        ("SCHED_DEADLINE", 6),
    ];
    const FLAGS: [(&str, u32); 7] = [
        ("SCHED_FLAG_RESET_ON_FORK", 0x01),
        ("SCHED_FLAG_RECLAIM", 0x02),
        ("SCHED_FLAG_DL_OVERRUN", 0x04),
        ("SCHED_FLAG_KEEP_POLICY", 0x08),
        ("SCHED_FLAG_KEEP_PARAMS", 0x10),
        ("SCHED_FLAG_UTIL_CLAMP_MIN", 0x20),
        ("SCHED_FLAG_UTIL_CLAMP_MAX", 0x40),
    ];
    let policy = named(&format!("{FIELD}.policy"), &POLICIES, &wanted.policy)?;
    let (real_time, deadline) = (matches!(policy, 1 | 2), policy == 6);
    if !(-20..=19).contains(&wanted.nice) {
        return Err(Error::invalid(FIELD, "nice must be between -20 and 19"));
    }
    if wanted.priority != 0 && !real_time {
        return Err(Error::invalid(FIELD, "a priority is for SCHED_FIFO and SCHED_RR"));
    }
    if (wanted.runtime, wanted.deadline, wanted.period) != (0, 0, 0) && !deadline {
        return Err(Error::invalid(FIELD, "runtime, deadline and period are for SCHED_DEADLINE"));
    }
    let mut flags = 0;
    for word in &wanted.flags {
        flags |= u64::from(named(&format!("{FIELD}.flags"), &FLAGS, word)?);
    }
    Ok(Scheduler {
        policy,
        flags,
        nice: wanted.nice,
        priority: u32::try_from(wanted.priority)
            .map_err(|_| Error::invalid(FIELD, "the priority must not be negative"))?,
        runtime: wanted.runtime,
        deadline: wanted.deadline,
        period: wanted.period,
    })
}

fn io_priority(wanted: &spec::IoPriority) -> Result<IoPriority, Error> {
    const FIELD: &str = "process.ioPriority";
    const CLASSES: [(&str, u32); 3] =
        [("IOPRIO_CLASS_RT", 1), ("IOPRIO_CLASS_BE", 2), ("IOPRIO_CLASS_IDLE", 3)];
    let class = named(&format!("{FIELD}.class"), &CLASSES, &wanted.class)?;
    let level = u32::try_from(wanted.priority).ok().filter(|level| *level < 8);
    let level = level.ok_or_else(|| Error::invalid(FIELD, "the priority must be between 0 and 7"))?;
    Ok(IoPriority { class, level })
}

fn memory(wanted: &spec::MemoryPolicy) -> Result<MemoryPolicy, Error> {
    const FIELD: &str = "linux.memoryPolicy";
    const MODES: [(&str, u32); 7] = [
        ("MPOL_DEFAULT", 0),
        ("MPOL_PREFERRED", 1),
        ("MPOL_BIND", 2),
        ("MPOL_INTERLEAVE", 3),
        ("MPOL_LOCAL", 4),
        ("MPOL_PREFERRED_MANY", 5),
        ("MPOL_WEIGHTED_INTERLEAVE", 6),
    ];
    const FLAGS: [(&str, u32); 3] = [
        ("MPOL_F_NUMA_BALANCING", 1 << 13),
        ("MPOL_F_RELATIVE_NODES", 1 << 14),
        ("MPOL_F_STATIC_NODES", 1 << 15),
    ];
    let mut mode = named(&format!("{FIELD}.mode"), &MODES, &wanted.mode)?;
    for word in &wanted.flags {
        mode |= named(&format!("{FIELD}.flags"), &FLAGS, word)?;
    }
    Ok(MemoryPolicy { mode, nodes: list(&format!("{FIELD}.nodes"), &wanted.nodes)? })
}

/// `0-3,7` as bits.
fn list(field: &str, text: &str) -> Result<Vec<u64>, Error> {
    // More processors or nodes than any kernel is built for.
    const MOST: usize = 8192;
    let mut bits = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<usize>().ok().filter(|number| *number < MOST);
        let (Some(first), Some(last)) = (number(first), number(last)) else {
            return Err(Error::invalid(field, format_args!("{part:?} is no range")));
        };
        if first > last {
            return Err(Error::invalid(field, format_args!("{part:?} is no range")));
        }
        bits.resize(bits.len().max(last / 64 + 1), 0u64);
        for at in first..=last {
            if let Some(word) = bits.get_mut(at / 64) {
                *word |= 1 << (at % 64);
            }
        }
    }
    Ok(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_bits() {
        assert_eq!(list("x", "0-2, 5,64").unwrap(), [0b10_0111, 1]);
        assert!(list("x", "").unwrap().is_empty());
        for wrong in ["a", "3-1", "1-", "9000"] {
            assert!(list("x", wrong).unwrap_err().to_string().contains("is no range"), "{wrong}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let with = |policy: &str| spec::Scheduler { policy: policy.to_owned(), ..Default::default() };
        assert_eq!(scheduler(&with("SCHED_BATCH")).unwrap().policy, 3);
        assert!(scheduler(&with("")).is_err());
        assert!(scheduler(&spec::Scheduler { priority: 5, ..with("SCHED_OTHER") }).is_err());
        assert_eq!(scheduler(&spec::Scheduler { priority: 5, ..with("SCHED_RR") }).unwrap().priority, 5);
        assert!(scheduler(&spec::Scheduler { period: 5, ..with("SCHED_RR") }).is_err());
        assert!(scheduler(&spec::Scheduler { nice: 20, ..with("SCHED_OTHER") }).is_err());
        let flags = vec!["SCHED_FLAG_RESET_ON_FORK".to_owned(), "SCHED_FLAG_RECLAIM".to_owned()];
        assert_eq!(scheduler(&spec::Scheduler { flags, ..with("SCHED_DEADLINE") }).unwrap().flags, 3);
        let io = |class: &str, priority| spec::IoPriority { class: class.to_owned(), priority };
        assert_eq!(io_priority(&io("IOPRIO_CLASS_BE", 7)).unwrap(), IoPriority { class: 2, level: 7 });
        assert!(io_priority(&io("IOPRIO_CLASS_BE", 8)).is_err());
        assert!(io_priority(&io("BE", 0)).is_err());
        let flags = vec!["MPOL_F_STATIC_NODES".to_owned()];
        let policy = spec::MemoryPolicy { mode: "MPOL_BIND".to_owned(), nodes: "0".to_owned(), flags };
        assert_eq!(memory(&policy).unwrap(), MemoryPolicy { mode: 0x8002, nodes: vec![1] });
        let wanted = Some(spec::Personality { domain: "LINUX32".to_owned(), flags: Vec::new() });
        let mut linux = spec::Linux { personality: wanted, ..Default::default() };
        let mut program = Program::default();
        of_container(&linux, &mut program).unwrap();
        assert_eq!(program.personality, Some(8));
        let flags = vec!["X".to_owned()];
        linux.personality = Some(spec::Personality { domain: "LINUX32".to_owned(), flags });
        assert!(of_container(&linux, &mut program).is_err());
    }
}
