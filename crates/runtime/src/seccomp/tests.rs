//! The compiled filter against a reference: an interpreter of the instructions on one side, the profile read rule by rule on the other.

use super::compile::{Machine, filter, number};
use super::{docker_default, unpack};
use crate::Host;
use dhow_oci::runtime as spec;
use proptest::prelude::*;

/// Runs classic BPF over `struct seccomp_data`.
fn interpret(program: &[u64], arch: u32, nr: u32, args: [u64; 6]) -> u32 {
    let word = |offset: u32| match offset {
        0 => nr,
        4 => arch,
        _ => {
            let arg = args[(offset as usize - 16) / 8];
            (if offset.is_multiple_of(8) { arg & 0xffff_ffff } else { arg >> 32 }) as u32
        }
    };
    let (mut at, mut a) = (0usize, 0u32);
    loop {
        let i = unpack(program[at]);
        at += 1;
        let mut jump = |taken: bool| at += usize::from(if taken { i.jt } else { i.jf });
        match i.code {
            0x20 => a = word(i.k),
            0x54 => a &= i.k,
            0x05 => at += i.k as usize,
            0x15 => jump(a == i.k),
            0x25 => jump(a > i.k),
            0x35 => jump(a >= i.k),
            0x06 => return i.k,
            other => panic!("instruction {other:#x}"),
        }
    }
}

fn holds(arg: &spec::SyscallArg, args: [u64; 6]) -> bool {
    let value = args[arg.index as usize];
    match arg.op.as_str() {
        "SCMP_CMP_EQ" => value == arg.value,
        "SCMP_CMP_NE" => value != arg.value,
        "SCMP_CMP_LT" => value < arg.value,
        "SCMP_CMP_LE" => value <= arg.value,
        "SCMP_CMP_GT" => value > arg.value,
        "SCMP_CMP_GE" => value >= arg.value,
        "SCMP_CMP_MASKED_EQ" => value & arg.value == arg.value_two,
        other => panic!("{other}"),
    }
}

/// The verdict of an allow/errno profile, straight from its rules.
fn expected(profile: &spec::Seccomp, machine: Machine, nr: u32, args: [u64; 6]) -> u32 {
    let mut newest = 0;
    let (mut plain, mut conditional) = (None, None);
    for rule in &profile.syscalls {
        let verdict = match rule.action.as_str() {
            "SCMP_ACT_ALLOW" => 0x7fff_0000,
            _ => 0x5_0000 | rule.errno_ret.unwrap_or(1),
        };
        for name in &rule.names {
            let Some(number) = number(name, machine) else { continue };
            newest = newest.max(number);
            if number != nr {
                continue;
            }
            if rule.args.is_empty() {
                plain = Some(verdict);
            } else if rule.args.iter().all(|arg| holds(arg, args)) {
                conditional = conditional.or(Some(verdict));
            }
        }
    }
    conditional.or(plain).unwrap_or(if nr > newest { 0x5_0026 } else { 0x5_0001 })
}

const MACHINES: [(Machine, u32, u32); 3] = [
    (Machine::X86_64, 0xc000_003e, 0),
    (Machine::X86, 0x4000_0003, 0),
    (Machine::X32, 0xc000_003e, 0x4000_0000),
];

fn host() -> Host {
    Host { kernel: (6, 1), ..Host::default() }
}

#[test]
fn dockers_profile_on_every_call_of_three_machines() {
    for caps in
        [vec![], vec!["CAP_SYS_ADMIN".to_owned()], vec!["CAP_SYS_PTRACE".to_owned(), "CAP_BPF".to_owned()]]
    {
        let profile = docker_default(&caps, &host());
        let program = filter(&profile).unwrap();
        assert!(program.len() < 1500, "{}", program.len());
        for (machine, arch, bit) in MACHINES {
            for nr in (0..600).map(|n| n | bit) {
                for value in
                    [0, 1, 8, 38, 39, 40, 41, 0x7e02_0000, 0x20000, 0x20008, 0xffff_ffff, u64::MAX, 1 << 32]
                {
                    let args = [value, value, 0, 0, 0, 0];
                    let (got, want) =
                        (interpret(&program, arch, nr, args), expected(&profile, machine, nr, args));
                    assert_eq!(got, want, "{machine:?} {nr:#x} {value:#x} {caps:?}");
                }
            }
        }
    }
}

#[test]
fn foreign_machines_are_killed_and_odd_words_refused() {
    let profile = docker_default(&[], &host());
    let program = filter(&profile).unwrap();
    assert_eq!(interpret(&program, 0xc000_00b7, 0, [0; 6]), 0x8000_0000);
    let with = |change: fn(&mut spec::Seccomp)| {
        let mut profile = profile.clone();
        change(&mut profile);
        filter(&profile)
    };
    assert!(with(|p| p.default_action = "SCMP_ACT_MAYBE".into()).is_err());
    assert!(with(|p| p.architectures.push("VAX".into())).is_err());
    assert!(with(|p| p.syscalls[0].action = "SCMP_ACT_NOTIFY".into()).is_err());
}

proptest! {
    #[test]
    fn conditions_of_all_kinds(
        rules in proptest::collection::vec(
            (0usize..4, 0usize..7, 0u32..6, any::<(u32, u8)>(), any::<u8>(), any::<bool>()), 1..12),
        args in any::<[(u32, u8); 6]>(),
    ) {
        const OPS: [&str; 7] = ["SCMP_CMP_EQ", "SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_GT", "SCMP_CMP_GE", "SCMP_CMP_MASKED_EQ"];
        const NAMES: [&str; 4] = ["read", "openat", "clone", "socket"];
        // Few distinct words, so that both halves meet and miss.
        let wide = |(low, high): (u32, u8)| u64::from(low % 3) | u64::from(high % 3) << 32;
        let mut profile = docker_default(&[], &host());
        profile.syscalls = rules.iter().map(|&(name, op, index, value, second, extra)| spec::Syscall {
            names: vec![NAMES[name].into()],
            action: "SCMP_ACT_ALLOW".into(),
            errno_ret: None,
            args: (0..=u32::from(extra)).map(|more| spec::SyscallArg {
                index: (index + more) % 6, value: wide(value), value_two: u64::from(second % 3), op: OPS[op].into(),
            }).collect(),
        }).collect();
        let program = filter(&profile).unwrap();
        let args = args.map(wide);
        for (machine, arch, bit) in MACHINES {
            for nr in (0..300).map(|n| n | bit) {
                prop_assert_eq!(interpret(&program, arch, nr, args), expected(&profile, machine, nr, args));
            }
        }
    }
}
