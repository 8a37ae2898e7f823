//! The device list: v1 lines, or the v2 program (BPF_PROG_TYPE_CGROUP_DEVICE).

use crate::Error;
use dhow_oci::runtime as spec;
use std::fmt;

/// One rule. `None` is any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) allow: bool,
    /// `a`, `b`, `c`.
    pub(crate) kind: char,
    pub(crate) major: Option<u32>,
    pub(crate) minor: Option<u32>,
    /// 1 mknod, 2 read, 4 write: the kernel's BPF_DEVCG_ACC bits.
    pub(crate) access: u32,
}

/// Every container may make nodes, and use these (runc's list).
const ALWAYS: [(char, Option<u32>, Option<u32>, u32); 10] = [
    ('c', None, None, 1),
    ('b', None, None, 1),
    ('c', Some(1), Some(3), 7),
    ('c', Some(1), Some(8), 7),
    ('c', Some(1), Some(7), 7),
    ('c', Some(5), Some(0), 7),
    ('c', Some(1), Some(5), 7),
    ('c', Some(1), Some(9), 7),
    ('c', Some(136), None, 7),
    ('c', Some(5), Some(2), 7),
];

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |n: Option<u32>| n.map_or("*".to_owned(), |n| n.to_string());
        write!(f, "{} {}:{} ", self.kind, number(self.major), number(self.minor))?;
        for (bit, letter) in [(2, 'r'), (4, 'w'), (1, 'm')] {
            if self.access & bit != 0 {
                write!(f, "{letter}")?;
            }
        }
        Ok(())
    }
}

/// The rules asked for, and behind them those every container has. None are asked for: none are made, nothing is restricted.
pub(crate) fn rules(resources: &spec::Resources) -> Result<Vec<Rule>, Error> {
    let mut rules = resources.devices.iter().map(rule).collect::<Result<Vec<_>, _>>()?;
    let denies = rules.iter().any(|r| !r.allow);
    if denies {
        rules.extend(ALWAYS.iter().map(|&(kind, major, minor, access)| Rule {
            allow: true,
            kind,
            major,
            minor,
            access,
        }));
    }
    Ok(rules)
}

fn rule(rule: &spec::DeviceRule) -> Result<Rule, Error> {
    let invalid = |detail: String| Error::invalid("linux.resources.devices", detail);
    let kind = match rule.kind.as_deref().unwrap_or("a") {
        "a" | "" => 'a',
        "c" | "u" => 'c',
        "b" => 'b',
        other => return Err(invalid(format!("unknown type {other:?}"))),
    };
    let number = |n: Option<i64>| match n {
        None | Some(-1) => Ok(None),
        Some(n) => u32::try_from(n).map(Some).map_err(|_| invalid(format!("invalid device number {n}"))),
    };
    let access = rule.access.as_deref().filter(|a| !a.is_empty()).unwrap_or("rwm");
    let access = access.chars().try_fold(0, |bits, letter| match letter {
        'm' => Ok(bits | 1),
        'r' => Ok(bits | 2),
        'w' => Ok(bits | 4),
        other => Err(invalid(format!("unknown access {other:?}"))),
    })?;
    Ok(Rule { allow: rule.allow, kind, major: number(rule.major)?, minor: number(rule.minor)?, access })
}

/// One eBPF instruction as the kernel lays it out: op, registers, offset, immediate.
fn instruction(op: u8, dst: u8, src: u8, offset: i16, immediate: i32) -> u64 {
    let [o0, o1] = offset.to_le_bytes();
    let [i0, i1, i2, i3] = immediate.to_le_bytes();
    u64::from_le_bytes([op, dst | src << 4, o0, o1, i0, i1, i2, i3])
}

/// Compiles rules for the kernel: later rules win, so they are asked first. No rules, no program.
///
/// Context: u32 access_type (access << 16 | type; 1 block, 2 char), u32 major, u32 minor.
pub(crate) fn program(rules: &[Rule]) -> Vec<u64> {
    const LDX_W: u8 = 0x61;
    const MOV32_REG: u8 = 0xbc;
    const AND32: u8 = 0x54;
    const RSH32: u8 = 0x74;
    const JEQ: u8 = 0x15;
    const JNE: u8 = 0x55;
    const JNE_REG: u8 = 0x5d;
    const MOV64: u8 = 0xb7;
    const EXIT: u8 = 0x95;
    if rules.is_empty() {
        return Vec::new();
    }
    let exit_with =
        |verdict: bool| [instruction(MOV64, 0, 0, 0, i32::from(verdict)), instruction(EXIT, 0, 0, 0, 0)];
    // r2 type, r3 access, r4 major, r5 minor
    let mut words = vec![
        instruction(LDX_W, 2, 1, 0, 0),
        instruction(MOV32_REG, 3, 2, 0, 0),
        instruction(AND32, 2, 0, 0, 0xffff),
        instruction(RSH32, 3, 0, 0, 16),
        instruction(LDX_W, 4, 1, 4, 0),
        instruction(LDX_W, 5, 1, 8, 0),
    ];
    for rule in rules.iter().rev() {
        let mut conditions: Vec<Box<dyn Fn(i16) -> u64>> = Vec::new();
        let mut compare = |register: u8, value: u32| {
            let value = value.cast_signed();
            conditions.push(Box::new(move |skip| instruction(JNE, register, 0, skip, value)));
        };
        match rule.kind {
            'b' => compare(2, 1),
            'c' => compare(2, 2),
            _ => {}
        }
        rule.major.into_iter().for_each(|major| compare(4, major));
        rule.minor.into_iter().for_each(|minor| compare(5, minor));
        // An allowing rule must cover all that is asked; a denying one strikes at any of it.
        let mut body = Vec::new();
        if rule.access != 7 {
            body.push(instruction(MOV32_REG, 6, 3, 0, 0));
            body.push(instruction(AND32, 6, 0, 0, rule.access.cast_signed()));
            body.push(if rule.allow {
                instruction(JNE_REG, 6, 3, 2, 0)
            } else {
                instruction(JEQ, 6, 0, 2, 0)
            });
        }
        body.extend(exit_with(rule.allow));
        let count = conditions.len();
        for (index, condition) in conditions.iter().enumerate() {
            let skip = count - index - 1 + body.len();
            words.push(condition(i16::try_from(skip).unwrap_or(i16::MAX)));
        }
        words.extend(body);
        if count == 0 && rule.access == 7 {
            // It answers for everything; the verifier refuses instructions that are never reached.
            return words;
        }
    }
    words.extend(exit_with(false));
    words
}

/// v2: loads the program and attaches it to the folder.
pub(crate) fn attach(dir: &std::path::Path, program: &[u64]) -> Result<(), Error> {
    use rustix::fs::{Mode, OFlags, open};
    let fail = |e| Error::os("attach device program", dir.display(), e);
    let folder =
        open(dir, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(fail)?;
    let program = dhow_sys::bpf::load_cgroup_device(program).map_err(fail)?;
    dhow_sys::bpf::attach_cgroup_device(&folder, &program).map_err(fail)
}
