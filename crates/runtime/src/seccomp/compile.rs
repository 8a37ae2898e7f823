//! From a profile to classic BPF: for each architecture a binary search over ranges of call numbers with the same verdict.

use super::numbers::{Machine, X32_BIT};
use super::rules::{ACTION_KILL_PROCESS, Condition, Operator, Verdict, action, invalid, ranges, rules};
use crate::Error;
use dhow_oci::runtime as spec;

const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const JEQ: u16 = 0x15;
const JGT: u16 = 0x25;
const JGE: u16 = 0x35;
const RET: u16 = 0x06;

/// Architectures of the specification that an x86 processor does not run, behind `SCMP_ARCH_`.
const FOREIGN: [&str; 20] = [
    "ARM",
    "AARCH64",
    "MIPS",
    "MIPS64",
    "MIPS64N32",
    "MIPSEL",
    "MIPSEL64",
    "MIPSEL64N32",
    "PPC",
    "PPC64",
    "PPC64LE",
    "S390",
    "S390X",
    "PARISC",
    "PARISC64",
    "RISCV64",
    "LOONGARCH64",
    "M68K",
    "SH",
    "SHEB",
];

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGS: u32 = 16;

const AUDIT_X86_64: u32 = 0xc000_003e;
const AUDIT_X86: u32 = 0x4000_0003;

/// One instruction packed as the kernel lays it out.
fn op(code: u16, jt: u8, jf: u8, k: u32) -> u64 {
    let ([c0, c1], [k0, k1, k2, k3]) = (code.to_le_bytes(), k.to_le_bytes());
    u64::from_le_bytes([c0, c1, jt, jf, k0, k1, k2, k3])
}

/// The whole filter.
pub(super) fn filter(seccomp: &spec::Seccomp) -> Result<Vec<u64>, Error> {
    let default = action(&seccomp.default_action, seccomp.default_errno_ret)?;
    if seccomp.syscalls.iter().any(|rule| rule.names.is_empty()) {
        return Err(invalid("a rule without names"));
    }
    let mut machines = Vec::new();
    for name in &seccomp.architectures {
        machines.push(match name.as_str() {
            "SCMP_ARCH_X86_64" => Machine::X86_64,
            "SCMP_ARCH_X86" => Machine::X86,
            "SCMP_ARCH_X32" => Machine::X32,
            // A profile lists all architectures it knows; those this processor cannot run need no rules.
            other if FOREIGN.iter().any(|name| other.strip_prefix("SCMP_ARCH_") == Some(name)) => continue,
            other => return Err(invalid(format_args!("unknown architecture {other:?}"))),
        });
    }
    // The native one is always there, as in libseccomp: else nothing could be executed.
    machines.push(Machine::X86_64);
    let rules = rules(seccomp)?;
    let tree = |machine| -> Result<Option<Vec<u64>>, Error> {
        if !machines.contains(&machine) {
            return Ok(None);
        }
        Ok(Some(search(&ranges(seccomp, &rules, machine, default))?))
    };
    let foreign = vec![op(RET, 0, 0, ACTION_KILL_PROCESS)];
    let native = tree(Machine::X86_64)?.unwrap_or_else(|| foreign.clone());
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
    let (high_wanted, low_wanted) = halves(condition.second);
    let away =
        |extra: usize| u8::try_from(skip + extra).map_err(|_| invalid("a rule has too many conditions"));
    // What the low words say, once the high words are equal or do not count.
    let low_test = match condition.operator {
        Operator::Equal => vec![load_low, op(JEQ, 0, away(0)?, low_value)],
        Operator::NotEqual => vec![load_low, op(JEQ, away(0)?, 0, low_value)],
        Operator::MaskedEqual => vec![load_low, op(AND, 0, 0, low_value), op(JEQ, 0, away(0)?, low_wanted)],
        Operator::Greater => vec![load_low, op(JGT, 0, away(0)?, low_value)],
        Operator::GreaterOrEqual => vec![load_low, op(JGE, 0, away(0)?, low_value)],
        Operator::Less => vec![load_low, op(JGE, away(0)?, 0, low_value)],
        Operator::LessOrEqual => vec![load_low, op(JGT, away(0)?, 0, low_value)],
    };
    if condition.narrow {
        return Ok(low_test);
    }
    let mut code = match condition.operator {
        Operator::Equal => vec![load_high, op(JEQ, 0, away(2)?, high_value)],
        Operator::NotEqual => vec![load_high, op(JEQ, 0, 2, high_value)],
        Operator::MaskedEqual => {
            vec![load_high, op(AND, 0, 0, high_value), op(JEQ, 0, away(3)?, high_wanted)]
        }
        Operator::Greater | Operator::GreaterOrEqual => {
            vec![load_high, op(JGT, 3, 0, high_value), op(JEQ, 0, away(2)?, high_value)]
        }
        Operator::Less | Operator::LessOrEqual => {
            vec![load_high, op(JGT, away(3)?, 0, high_value), op(JEQ, 0, 2, high_value)]
        }
    };
    code.extend(low_test);
    Ok(code)
}
