//! What a profile says about each call of a machine. Profiles are written for libseccomp, so its reading of the rules is ours:
//!
//! * a rule whose verdict is the default's says nothing;
//! * a rule without conditions settles its calls, wherever it stands; the first of several holds;
//! * else the first rule holds all of whose conditions hold; one that asks twice about one argument is a rule for each question (as runc);
//! * on i386 arguments and operands have 32 bits, and `socket` also means `socketcall(SYS_SOCKET)`.
//!
//! In one thing the kernel is asked and not libseccomp: of an argument that is an `int` only the low half is compared, since the kernel looks
//! at no more. Else `ioctl(fd, TIOCSTI | 1 << 32)` walks past a rule against TIOCSTI (CVE-2019-10063, CVE-2019-7303).

use super::numbers::{Call, Machine, X32_BIT, find, number};
use crate::Error;
use dhow_oci::runtime as spec;
use std::collections::BTreeMap;

pub(super) const ACTION_ERRNO: u32 = 0x0005_0000;
pub(super) const ACTION_KILL_PROCESS: u32 = 0x8000_0000;
const ENOSYS: u32 = 38;

/// What happens to a call: rules with conditions in order, then the verdict of the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) conditional: Vec<(Vec<Condition>, u32)>,
    pub(super) otherwise: u32,
    /// A rule without conditions was there.
    settled: bool,
}

impl Verdict {
    fn plain(otherwise: u32) -> Self {
        Self { conditional: Vec::new(), otherwise, settled: false }
    }

    fn settle(&mut self, verdict: u32) {
        if !self.settled {
            *self = Self { settled: true, ..Self::plain(verdict) };
        }
    }

    fn add(&mut self, conditions: Vec<Condition>, verdict: u32) {
        if !self.settled {
            self.conditional.push((conditions, verdict));
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) index: u32,
    pub(super) operator: Operator,
    pub(super) value: u64,
    pub(super) second: u64,
    /// Only the low half of the argument counts.
    pub(super) narrow: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    MaskedEqual,
}

pub(super) fn invalid(detail: impl std::fmt::Display) -> Error {
    Error::invalid("linux.seccomp", detail)
}

/// SECCOMP_RET_* of an action's name.
pub(super) fn action(name: &str, errno: Option<u32>) -> Result<u32, Error> {
    if errno.is_some() && !matches!(name, "SCMP_ACT_ERRNO" | "SCMP_ACT_TRACE") {
        return Err(invalid(format_args!("{name:?} returns no error number")));
    }
    Ok(match name {
        "SCMP_ACT_ALLOW" => 0x7fff_0000,
        "SCMP_ACT_LOG" => 0x7ffc_0000,
        "SCMP_ACT_TRACE" => 0x7ff0_0000 | errno.unwrap_or(1) & 0xffff,
        "SCMP_ACT_NOTIFY" => 0x7fc0_0000,
        "SCMP_ACT_ERRNO" => ACTION_ERRNO | errno.unwrap_or(1) & 0xffff,
        "SCMP_ACT_TRAP" => 0x0003_0000,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => 0,
        "SCMP_ACT_KILL_PROCESS" => ACTION_KILL_PROCESS,
        other => return Err(invalid(format_args!("unknown action {other:?}"))),
    })
}

/// Whether `verdict` forbids as much as `other` or more: the kernel's order of precedence.
fn as_strict(verdict: u32, other: u32) -> bool {
    let rank = |verdict: u32| (verdict & 0xffff_0000).cast_signed();
    rank(verdict) <= rank(other)
}

fn condition(arg: &spec::SyscallArg) -> Result<Condition, Error> {
    let operator = match arg.op.as_str() {
        "SCMP_CMP_EQ" => Operator::Equal,
        "SCMP_CMP_NE" => Operator::NotEqual,
        "SCMP_CMP_LT" => Operator::Less,
        "SCMP_CMP_LE" => Operator::LessOrEqual,
        "SCMP_CMP_GT" => Operator::Greater,
        "SCMP_CMP_GE" => Operator::GreaterOrEqual,
        "SCMP_CMP_MASKED_EQ" => Operator::MaskedEqual,
        other => return Err(invalid(format_args!("unknown comparison {other:?}"))),
    };
    if arg.index > 5 {
        return Err(invalid(format_args!("argument {} does not exist", arg.index)));
    }
    Ok(Condition { index: arg.index, operator, value: arg.value, second: arg.value_two, narrow: false })
}

/// The conditions of a rule, as rules: all of one list must hold.
fn conditions(args: &[spec::SyscallArg]) -> Result<Vec<Vec<Condition>>, Error> {
    let all = args.iter().map(condition).collect::<Result<Vec<_>, _>>()?;
    let twice = (0..6).any(|index| all.iter().filter(|condition| condition.index == index).count() > 1);
    Ok(if twice { all.into_iter().map(|one| vec![one]).collect() } else { vec![all] })
}

/// What a call's arguments are on a machine: which are an `int`, whose upper half the kernel does not look at.
fn fitted(mut condition: Condition, name: &str, machine: Machine) -> Condition {
    let ints = INTS.binary_search_by_key(&name, |entry| entry.0).ok().and_then(|at| INTS.get(at));
    condition.narrow =
        machine == Machine::X86 || ints.is_some_and(|(_, mask)| mask >> condition.index & 1 == 1);
    if condition.narrow {
        condition.value &= u64::from(u32::MAX);
        condition.second &= u64::from(u32::MAX);
    }
    if condition.operator == Operator::MaskedEqual {
        // libseccomp: bits outside the mask are not asked for.
        condition.second &= condition.value;
    }
    condition
}

/// A rule of a profile, read once for all machines.
#[derive(Debug)]
pub(super) struct Rule<'a> {
    verdict: u32,
    /// All conditions of one list must hold.
    alternatives: Vec<Vec<Condition>>,
    names: Vec<(&'a str, Option<&'static Call>)>,
}

/// Reads the rules of a profile, in order.
pub(super) fn rules<'a>(seccomp: &'a spec::Seccomp) -> Result<Vec<Rule<'a>>, Error> {
    let read = |rule: &'a spec::Syscall| {
        Ok(Rule {
            verdict: action(&rule.action, rule.errno_ret)?,
            alternatives: conditions(&rule.args)?,
            names: rule.names.iter().map(|name| (name.as_str(), find(name))).collect(),
        })
    };
    seccomp.syscalls.iter().map(read).collect()
}

/// Ranges of call numbers with one verdict: (first number, verdict), sorted, from 0.
pub(super) fn ranges(
    seccomp: &spec::Seccomp,
    rules: &[Rule<'_>],
    machine: Machine,
    default: u32,
) -> Vec<(u32, Verdict)> {
    let mut calls = Calls::new();
    for Rule { verdict, alternatives, names } in rules {
        for &(name, known) in names {
            if let Some(number) = known.and_then(|call| number(call, machine)) {
                let call = calls.entry(number).or_insert_with(|| Verdict::plain(default));
                for conditions in alternatives.iter().filter(|_| *verdict != default) {
                    let fit = conditions.iter().map(|&condition| fitted(condition, name, machine));
                    match conditions.as_slice() {
                        [] => call.settle(*verdict),
                        _ => call.add(fit.collect(), *verdict),
                    }
                }
            }
            if machine == Machine::X86 && *verdict != default {
                let whole = alternatives.iter().any(Vec::is_empty);
                multiplexed(&mut calls, name, whole, *verdict, default);
            }
        }
    }
    // Has done its work, and would make equal verdicts unequal.
    calls.values_mut().for_each(|verdict| verdict.settled = false);
    spread(seccomp, machine, default, calls)
}

/// By number.
type Calls = BTreeMap<u32, Verdict>;

/// i386 has its sockets and System V IPC twice: as calls of their own, and behind `socketcall` and `ipc`, whose further arguments are in memory,
/// where no filter looks. A rule with conditions holds there for the whole call if it forbids, and not at all if it allows.
fn multiplexed(calls: &mut Calls, name: &str, whole: bool, verdict: u32, default: u32) {
    let (door, mask, list): (_, _, &[(&str, u64)]) = if SOCKETCALL.iter().any(|(known, _)| *known == name) {
        ("socketcall", u64::from(u32::MAX), &SOCKETCALL)
    } else {
        // The upper half of ipc's first argument is a version.
        ("ipc", 0xffff, &IPC)
    };
    let (Some(&(_, which)), Some(number)) = (
        list.iter().find(|(known, _)| *known == name),
        find(door).and_then(|door| number(door, Machine::X86)),
    ) else {
        return;
    };
    if whole || as_strict(verdict, default) {
        let operator = Operator::MaskedEqual;
        let condition = Condition { index: 0, operator, value: mask, second: which, narrow: true };
        calls.entry(number).or_insert_with(|| Verdict::plain(default)).add(vec![condition], verdict);
    }
}

/// Fills the gaps between the calls that are named.
fn spread(seccomp: &spec::Seccomp, machine: Machine, default: u32, calls: Calls) -> Vec<(u32, Verdict)> {
    let plain = Verdict::plain;
    let base = if machine == Machine::X32 { X32_BIT } else { 0 };
    let mut ranges: Vec<(u32, Verdict)> = vec![(0, plain(default))];
    let mut next = base;
    let mut add = |first: u32, verdict: Verdict| {
        if ranges.last().is_none_or(|(_, last)| *last != verdict) {
            ranges.push((first, verdict));
        }
    };
    for (number, verdict) in calls {
        if number > next {
            add(next, plain(default));
        }
        add(number, verdict);
        next = number + 1;
    }
    // Calls newer than the profile: ENOSYS lets libraries fall back; EPERM would break them (as runc does).
    let refuses =
        !matches!(seccomp.default_action.as_str(), "SCMP_ACT_ALLOW" | "SCMP_ACT_LOG" | "SCMP_ACT_TRACE");
    add(next, plain(if refuses && next > base { ACTION_ERRNO | ENOSYS } else { default }));
    if let [(0, _), (0, _), ..] = ranges.as_slice() {
        ranges.remove(0);
    }
    ranges
}

/// linux/net.h.
const SOCKETCALL: [(&str, u64); 20] = [
    ("socket", 1),
    ("bind", 2),
    ("connect", 3),
    ("listen", 4),
    ("accept", 5),
    ("getsockname", 6),
    ("getpeername", 7),
    ("socketpair", 8),
    ("send", 9),
    ("recv", 10),
    ("sendto", 11),
    ("recvfrom", 12),
    ("shutdown", 13),
    ("setsockopt", 14),
    ("getsockopt", 15),
    ("sendmsg", 16),
    ("recvmsg", 17),
    ("accept4", 18),
    ("recvmmsg", 19),
    ("sendmmsg", 20),
];

/// linux/ipc.h.
const IPC: [(&str, u64); 12] = [
    ("semop", 1),
    ("semget", 2),
    ("semctl", 3),
    ("semtimedop", 4),
    ("msgsnd", 11),
    ("msgrcv", 12),
    ("msgget", 13),
    ("msgctl", 14),
    ("shmat", 21),
    ("shmdt", 22),
    ("shmget", 23),
    ("shmctl", 24),
];

/// Calls with arguments of the kernel's types int, unsigned int, pid_t, clockid_t: the ones that profiles ask about. Bit n: argument n.
/// From `SYSCALL_DEFINE`. Sorted by name.
const INTS: [(&str, u8); 46] = [
    ("accept4", 0b1001),
    ("bpf", 0b101),
    ("clock_adjtime", 0b1),
    ("clock_settime", 0b1),
    ("close_range", 0b111),
    ("dup3", 0b111),
    ("epoll_create1", 0b1),
    ("eventfd2", 0b11),
    ("fanotify_init", 0b11),
    ("fcntl", 0b11),
    ("getsockopt", 0b111),
    ("inotify_init1", 0b1),
    ("io_uring_register", 0b1011),
    ("io_uring_setup", 0b1),
    ("ioctl", 0b11),
    ("ioprio_set", 0b111),
    ("kcmp", 0b111),
    ("keyctl", 0b1),
    ("kill", 0b11),
    ("madvise", 0b100),
    ("membarrier", 0b111),
    ("memfd_create", 0b10),
    ("mlockall", 0b1),
    ("move_mount", 0b10101),
    ("open", 0b10),
    ("open_tree", 0b101),
    ("openat", 0b101),
    ("perf_event_open", 0b1110),
    ("personality", 0b1),
    ("pidfd_getfd", 0b111),
    ("pidfd_open", 0b11),
    ("pipe2", 0b10),
    ("prctl", 0b1),
    ("prlimit64", 0b11),
    ("quotactl", 0b1),
    ("reboot", 0b111),
    ("sched_setscheduler", 0b11),
    ("seccomp", 0b11),
    ("setns", 0b11),
    ("setsockopt", 0b10111),
    ("socket", 0b111),
    ("socketpair", 0b111),
    ("syslog", 0b101),
    ("tgkill", 0b111),
    ("umount2", 0b10),
    ("userfaultfd", 0b1),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_ints_can_be_searched() {
        assert!(INTS.is_sorted_by_key(|(name, _)| *name));
        for (name, _) in INTS {
            assert!(find(name).and_then(|call| number(call, Machine::X86_64)).is_some(), "{name}");
        }
    }
}
