//! From a profile to classic BPF: for each architecture a binary search over ranges of call numbers with the same verdict.

use super::numbers::TABLE;
use crate::Error;
use dhow_oci::runtime as spec;

const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const JEQ: u16 = 0x15;
const JGT: u16 = 0x25;
const JGE: u16 = 0x35;
const RET: u16 = 0x06;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGS: u32 = 16;

const AUDIT_X86_64: u32 = 0xc000_003e;
const AUDIT_X86: u32 = 0x4000_0003;
const X32_BIT: u32 = 0x4000_0000;

const ACTION_ERRNO: u32 = 0x0005_0000;
const ACTION_KILL_PROCESS: u32 = 0x8000_0000;
const ENOSYS: u32 = 38;

/// One instruction packed as the kernel lays it out.
fn op(code: u16, jt: u8, jf: u8, k: u32) -> u64 {
    let ([c0, c1], [k0, k1, k2, k3]) = (code.to_le_bytes(), k.to_le_bytes());
    u64::from_le_bytes([c0, c1, jt, jf, k0, k1, k2, k3])
}

/// What happens to a call: rules with conditions in order, then the verdict of the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Verdict {
    conditional: Vec<(Vec<Condition>, u32)>,
    otherwise: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Condition {
    index: u32,
    operator: Operator,
    value: u64,
    second: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    MaskedEqual,
}

fn invalid(detail: impl std::fmt::Display) -> Error {
    Error::invalid("linux.seccomp", detail)
}

/// SECCOMP_RET_* of an action's name.
fn action(name: &str, errno: Option<u32>) -> Result<u32, Error> {
    Ok(match name {
        "SCMP_ACT_ALLOW" => 0x7fff_0000,
        "SCMP_ACT_LOG" => 0x7ffc_0000,
        "SCMP_ACT_TRACE" => 0x7ff0_0000 | errno.unwrap_or(1) & 0xffff,
        "SCMP_ACT_ERRNO" => ACTION_ERRNO | errno.unwrap_or(1) & 0xffff,
        "SCMP_ACT_TRAP" => 0x0003_0000,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => 0,
        "SCMP_ACT_KILL_PROCESS" => ACTION_KILL_PROCESS,
        "SCMP_ACT_NOTIFY" => return Err(invalid("SCMP_ACT_NOTIFY is not supported yet")),
        other => return Err(invalid(format_args!("unknown action {other:?}"))),
    })
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
    Ok(Condition { index: arg.index, operator, value: arg.value, second: arg.value_two })
}

/// An architecture of the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Machine {
    X86_64,
    X86,
    X32,
}

/// The whole filter.
pub(super) fn filter(seccomp: &spec::Seccomp) -> Result<Vec<u64>, Error> {
    let default = action(&seccomp.default_action, seccomp.default_errno_ret)?;
    let mut machines = Vec::new();
    for name in &seccomp.architectures {
        machines.push(match name.as_str() {
            "SCMP_ARCH_X86_64" => Machine::X86_64,
            "SCMP_ARCH_X86" => Machine::X86,
            "SCMP_ARCH_X32" => Machine::X32,
            // A profile lists all architectures it knows; those this processor cannot run need no rules.
            other if other.starts_with("SCMP_ARCH_") => continue,
            other => return Err(invalid(format_args!("unknown architecture {other:?}"))),
        });
    }
    if machines.is_empty() {
        machines.push(Machine::X86_64);
    }
    let tree = |machine| -> Result<Option<Vec<u64>>, Error> {
        if !machines.contains(&machine) {
            return Ok(None);
        }
        Ok(Some(search(&ranges(seccomp, machine, default)?)?))
    };
    let foreign = vec![op(RET, 0, 0, ACTION_KILL_PROCESS)];
    let native = tree(Machine::X86_64)?.unwrap_or_else(|| foreign.clone());
    // Calls with the x32 bit where x32 is not wanted: docker's answer for an unknown call.
    let x32 = tree(Machine::X32)?.unwrap_or_else(|| foreign.clone());
    let x86 = tree(Machine::X86)?.unwrap_or_else(|| foreign.clone());
    let mut amd64 = vec![op(LOAD, 0, 0, NUMBER)];
    amd64.extend(branch(JGE, X32_BIT, x32, native)?);
    let mut i386 = vec![op(LOAD, 0, 0, NUMBER)];
    i386.extend(x86);
    let mut program = vec![op(LOAD, 0, 0, ARCH)];
    program.extend(branch(JEQ, AUDIT_X86_64, amd64, branch(JEQ, AUDIT_X86, i386, foreign)?)?);
    if program.len() > 4096 {
        return Err(invalid(format_args!(
            "the profile needs {} instructions; the kernel takes 4096",
            program.len()
        )));
    }
    Ok(program)
}

/// `if A <code> k { then } else { otherwise }`; both end by themselves.
fn branch(code: u16, k: u32, then: Vec<u64>, otherwise: Vec<u64>) -> Result<Vec<u64>, Error> {
    let mut out = Vec::with_capacity(then.len() + otherwise.len() + 2);
    if let Ok(skip) = u8::try_from(otherwise.len()) {
        out.push(op(code, skip, 0, k));
    } else {
        let skip = u32::try_from(otherwise.len()).map_err(|_| invalid("the profile is too large"))?;
        out.push(op(code, 0, 1, k));
        out.push(op(JUMP, 0, 0, skip));
    }
    out.extend(otherwise);
    out.extend(then);
    Ok(out)
}

/// Ranges of call numbers with one verdict: (first number, verdict), sorted, from 0.
fn ranges(seccomp: &spec::Seccomp, machine: Machine, default: u32) -> Result<Vec<(u32, Verdict)>, Error> {
    let mut calls: Vec<(u32, Verdict)> = Vec::new();
    let plain = |otherwise| Verdict { conditional: Vec::new(), otherwise };
    for rule in &seccomp.syscalls {
        let verdict = action(&rule.action, rule.errno_ret)?;
        let conditions = rule.args.iter().map(condition).collect::<Result<Vec<_>, _>>()?;
        for number in rule.names.iter().filter_map(|name| number(name, machine)) {
            let place = calls.iter().position(|(n, _)| *n == number).unwrap_or_else(|| {
                calls.push((number, plain(default)));
                calls.len() - 1
            });
            let Some((_, call)) = calls.get_mut(place) else { continue };
            if conditions.is_empty() {
                call.otherwise = verdict;
                call.conditional.retain(|(_, v)| *v != verdict);
            } else if call.otherwise != verdict {
                call.conditional.push((conditions.clone(), verdict));
            }
        }
    }
    calls.sort_by_key(|(number, _)| *number);
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
    Ok(ranges)
}

pub(super) fn number(name: &str, machine: Machine) -> Option<u32> {
    let index = TABLE.binary_search_by_key(&name, |entry| entry.0).ok()?;
    let &(_, x86_64, x86, x32) = TABLE.get(index)?;
    match machine {
        Machine::X86_64 => u32::try_from(x86_64).ok(),
        Machine::X86 => u32::try_from(x86).ok(),
        Machine::X32 => u32::try_from(x32).ok().map(|n| n | X32_BIT),
    }
}

/// Binary search over the ranges; the accumulator holds the call's number.
fn search(ranges: &[(u32, Verdict)]) -> Result<Vec<u64>, Error> {
    match ranges {
        [] => Ok(Vec::new()),
        [(_, verdict)] => leaf(verdict),
        _ => {
            let (low, high) = ranges.split_at(ranges.len() / 2);
            let first = high.first().map_or(0, |(first, _)| *first);
            branch(JGE, first, search(high)?, search(low)?)
        }
    }
}

/// The rules of one call, in order.
fn leaf(verdict: &Verdict) -> Result<Vec<u64>, Error> {
    let mut out = Vec::new();
    for (conditions, action) in &verdict.conditional {
        // Last first: a condition skips all that follows it in the rule.
        let mut rest = vec![op(RET, 0, 0, *action)];
        for condition in conditions.iter().rev() {
            let mut code = test(*condition, rest.len())?;
            code.append(&mut rest);
            rest = code;
        }
        out.append(&mut rest);
    }
    out.push(op(RET, 0, 0, verdict.otherwise));
    Ok(out)
}

/// Falls through if the condition holds, else jumps over `skip` further instructions. Arguments are two 32-bit words, low first.
fn test(condition: Condition, skip: usize) -> Result<Vec<u64>, Error> {
    let low = ARGS + 8 * condition.index;
    let (load_low, load_high) = (op(LOAD, 0, 0, low), op(LOAD, 0, 0, low + 4));
    let halves = |value: u64| {
        let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
        (u32::from_le_bytes([e, f, g, h]), u32::from_le_bytes([a, b, c, d]))
    };
    let (high_value, low_value) = halves(condition.value);
    let away =
        |extra: usize| u8::try_from(skip + extra).map_err(|_| invalid("a rule has too many conditions"));
    Ok(match condition.operator {
        Operator::Equal => {
            vec![load_high, op(JEQ, 0, away(2)?, high_value), load_low, op(JEQ, 0, away(0)?, low_value)]
        }
        Operator::NotEqual => {
            vec![load_high, op(JEQ, 0, 2, high_value), load_low, op(JEQ, away(0)?, 0, low_value)]
        }
        Operator::MaskedEqual => {
            let (high_wanted, low_wanted) = halves(condition.second);
            vec![
                load_high,
                op(AND, 0, 0, high_value),
                op(JEQ, 0, away(3)?, high_wanted),
                load_low,
                op(AND, 0, 0, low_value),
                op(JEQ, 0, away(0)?, low_wanted),
            ]
        }
        Operator::Greater | Operator::GreaterOrEqual => {
            let last = if condition.operator == Operator::Greater { JGT } else { JGE };
            vec![
                load_high,
                op(JGT, 3, 0, high_value),
                op(JEQ, 0, away(2)?, high_value),
                load_low,
                op(last, 0, away(0)?, low_value),
            ]
        }
        Operator::Less | Operator::LessOrEqual => {
            let last = if condition.operator == Operator::Less { JGE } else { JGT };
            vec![
                load_high,
                op(JGT, away(3)?, 0, high_value),
                op(JEQ, 0, 2, high_value),
                load_low,
                op(last, away(0)?, 0, low_value),
            ]
        }
    })
}
