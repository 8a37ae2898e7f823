//! The compiled filter against a reference: an interpreter of the instructions on one side, the profile read rule by rule on the other.

use super::compile::filter;
use super::numbers::{Machine, TABLE, find, number};
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

/// Of the calls in these tests: which arguments are an int.
fn is_int(name: &str, index: u32) -> bool {
    match name {
        "socket" => index < 3,
        "ioctl" => index < 2,
        "openat" => index == 0 || index == 2,
        "personality" => index == 0,
        _ => false,
    }
}

fn holds(name: &str, machine: Machine, arg: &spec::SyscallArg, args: [u64; 6]) -> bool {
    let low = machine == Machine::X86 || is_int(name, arg.index);
    let cut = |value: u64| if low { value & 0xffff_ffff } else { value };
    let (value, operand) = (cut(args[arg.index as usize]), cut(arg.value));
    match arg.op.as_str() {
        "SCMP_CMP_EQ" => value == operand,
        "SCMP_CMP_NE" => value != operand,
        "SCMP_CMP_LT" => value < operand,
        "SCMP_CMP_LE" => value <= operand,
        "SCMP_CMP_GT" => value > operand,
        "SCMP_CMP_GE" => value >= operand,
        "SCMP_CMP_MASKED_EQ" => value & operand == cut(arg.value_two) & operand,
        other => panic!("{other}"),
    }
}

fn verdict(action: &str, errno: Option<u32>) -> u32 {
    match action {
        "SCMP_ACT_ALLOW" => 0x7fff_0000,
        "SCMP_ACT_LOG" => 0x7ffc_0000,
        "SCMP_ACT_TRACE" => 0x7ff0_0000 + errno.unwrap_or(1),
        "SCMP_ACT_NOTIFY" => 0x7fc0_0000,
        "SCMP_ACT_ERRNO" => 0x5_0000 + errno.unwrap_or(1),
        "SCMP_ACT_TRAP" => 0x3_0000,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => 0,
        "SCMP_ACT_KILL_PROCESS" => 0x8000_0000,
        other => panic!("{other}"),
    }
}

/// The verdict of a profile, straight from its rules; without what i386 multiplexes.
fn expected(profile: &spec::Seccomp, machine: Machine, nr: u32, args: [u64; 6]) -> u32 {
    let default = verdict(&profile.default_action, profile.default_errno_ret);
    let mut newest = None;
    let (mut plain, mut conditional) = (None, None);
    for rule in &profile.syscalls {
        let verdict = verdict(&rule.action, rule.errno_ret);
        for name in &rule.names {
            let Some(number) = find(name).and_then(|call| number(call, machine)) else { continue };
            newest = newest.max(Some(number));
            if number != nr || verdict == default {
                continue;
            }
            let holds = |arg: &spec::SyscallArg| holds(name, machine, arg, args);
            let twice =
                rule.args.iter().enumerate().any(|(n, a)| rule.args[..n].iter().any(|b| a.index == b.index));
            if rule.args.is_empty() {
                plain = plain.or(Some(verdict));
            } else if if twice { rule.args.iter().any(holds) } else { rule.args.iter().all(holds) } {
                conditional = conditional.or(Some(verdict));
            }
        }
    }
    let open =
        ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"].contains(&profile.default_action.as_str());
    let newer = newest.is_some_and(|newest| nr > newest) && !open;
    plain.or(conditional).unwrap_or(if newer { 0x5_0026 } else { default })
}

const MACHINES: [(Machine, u32, u32); 3] = [
    (Machine::X86_64, 0xc000_003e, 0),
    (Machine::X86, 0x4000_0003, 0),
    (Machine::X32, 0xc000_003e, 0x4000_0000),
];

fn host() -> Host {
    Host { kernel: (6, 1), ..Host::default() }
}

/// On each machine: all numbers that any call has, and some beyond.
fn numbers() -> impl Iterator<Item = u32> {
    let last = TABLE.iter().map(|&(_, a, b, c)| a.max(b).max(c)).max().unwrap();
    0..u32::try_from(last).unwrap() + 40
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
            for nr in numbers().map(|n| n | bit) {
                for value in [
                    0,
                    1,
                    8,
                    38,
                    39,
                    40,
                    41,
                    0x7e02_0000,
                    0x20000,
                    0x20008,
                    0xffff_ffff,
                    u64::MAX,
                    1 << 32,
                    40 | 1 << 32,
                ] {
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
    assert!(with(|p| p.syscalls[1].action = "SCMP_ACT_MAYBE".into()).is_err());
    // Inert: no such processor here. The native machine is there whatever is listed.
    let other = with(|p| p.architectures = vec!["SCMP_ARCH_AARCH64".into()]).unwrap();
    assert_eq!(interpret(&other, 0xc000_003e, 0, [0; 6]), 0x7fff_0000);
    assert_eq!(interpret(&other, 0x4000_0003, 3, [0; 6]), 0x8000_0000);
    assert_eq!(interpret(&other, 0xc000_003e, 0x4000_0000, [0; 6]), 0x8000_0000);
}

fn rule(names: &[&str], action: &str, errno: Option<u32>, args: &[(u32, &str, u64, u64)]) -> spec::Syscall {
    let arg = |&(index, op, value, value_two): &(u32, &str, u64, u64)| spec::SyscallArg {
        index,
        value,
        value_two,
        op: format!("SCMP_CMP_{op}"),
    };
    spec::Syscall {
        names: names.iter().map(|&name| name.to_owned()).collect(),
        action: format!("SCMP_ACT_{action}"),
        errno_ret: errno,
        args: args.iter().map(arg).collect(),
    }
}

fn profile(default: &str, errno: Option<u32>, syscalls: Vec<spec::Syscall>) -> spec::Seccomp {
    spec::Seccomp {
        default_action: format!("SCMP_ACT_{default}"),
        default_errno_ret: errno,
        architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"].map(str::to_owned).to_vec(),
        syscalls,
        ..Default::default()
    }
}

/// Calls on the native machine and on i386, and the verdicts libseccomp 2.5.4 gives for them.
#[test]
fn rules_that_contradict_are_read_as_libseccomp_does() {
    let verdicts = |rules: Vec<spec::Syscall>, calls: &[u64]| {
        let program = filter(&profile("ERRNO", Some(1), rules)).unwrap();
        let run =
            |&a: &u64| interpret(&program, 0xc000_003e, 0, [a & 0xff, a >> 8 & 0xff, 0, 0, 0, 0]) & 0xffff;
        calls.iter().map(run).collect::<Vec<_>>()
    };
    let (five, six) = (rule(&["read"], "ERRNO", Some(5), &[]), rule(&["read"], "ERRNO", Some(6), &[]));
    let six_if = rule(&["read"], "ERRNO", Some(6), &[(0, "EQ", 1, 0)]);
    assert_eq!(verdicts(vec![five.clone(), six_if.clone()], &[1, 2]), [5, 5]);
    assert_eq!(verdicts(vec![six_if, five.clone()], &[1, 2]), [5, 5]);
    assert_eq!(verdicts(vec![five, six], &[1]), [5]);
    let masked = rule(&["read"], "ERRNO", Some(5), &[(0, "MASKED_EQ", 0xf0, 0x1f)]);
    assert_eq!(verdicts(vec![masked], &[0x10, 0x1f, 0x2f]), [5, 5, 1]);
    // Twice the same argument: either, as runc; two arguments: both.
    let either = rule(&["read"], "ERRNO", Some(5), &[(0, "EQ", 2, 0), (0, "EQ", 4, 0)]);
    assert_eq!(verdicts(vec![either], &[1, 2, 4]), [1, 5, 5]);
    let both = rule(&["read"], "ERRNO", Some(5), &[(0, "EQ", 2, 0), (1, "EQ", 4, 0)]);
    assert_eq!(verdicts(vec![both], &[2, 0x400, 0x402]), [1, 1, 5]);
}

/// A rule for `socket` that i386 could walk around through `socketcall` is none; nor one for `shmget` by `ipc` with a version.
#[test]
fn what_i386_multiplexes_is_filtered_too() {
    const I386: u32 = 0x4000_0003;
    let run =
        |profile: &spec::Seccomp, nr, a| interpret(&filter(profile).unwrap(), I386, nr, [a, 0, 0, 0, 0, 0]);
    let refuses = rule(&["socket", "accept", "shmget"], "ERRNO", Some(5), &[]);
    let open = profile("ALLOW", None, vec![refuses.clone()]);
    for (nr, a, want) in [
        (359, 1, 0x5_0005),
        (102, 1, 0x5_0005),
        (102, 1 << 32 | 1, 0x5_0005),
        (102, 5, 0x5_0005),
        (102, 2, 0x7fff_0000),
        (395, 0, 0x5_0005),
        (117, 23, 0x5_0005),
        (117, 1 << 16 | 23, 0x5_0005),
        (117, 24, 0x7fff_0000),
    ] {
        assert_eq!(run(&open, nr, a), want, "{nr} {a:#x}");
    }
    // Who allows `socketcall` itself has said so; what cannot be looked at is not allowed for it.
    let allowed = profile("ALLOW", None, vec![refuses, rule(&["socketcall"], "LOG", None, &[])]);
    assert_eq!(run(&allowed, 102, 1), 0x7ffc_0000);
    let some = |default: &str, action: &str| {
        profile(default, None, vec![rule(&["socket"], action, None, &[(0, "EQ", 2, 0)])])
    };
    assert_eq!(run(&some("ERRNO", "ALLOW"), 102, 1), 0x5_0001);
    assert_eq!(run(&some("ALLOW", "ERRNO"), 102, 1), 0x5_0001);
}

/// The kernel does not look at the upper half of an int; a rule that does can be walked past (CVE-2019-10063). With 64-bit comparisons the
/// first and the last of these are allowed.
#[test]
fn an_int_has_no_upper_half() {
    let docker = filter(&docker_default(&[], &host())).unwrap();
    let vsock = |family: u64| interpret(&docker, 0xc000_003e, 41, [family, 1, 0, 0, 0, 0]);
    assert_eq!((vsock(40), vsock(1 << 32 | 40), vsock(1 << 32 | 2)), (0x5_0001, 0x5_0001, 0x7fff_0000));
    let rule = rule(&["ioctl"], "ERRNO", None, &[(1, "EQ", 0x5412, 0)]);
    let program = filter(&profile("ALLOW", None, vec![rule])).unwrap();
    assert_eq!(interpret(&program, 0xc000_003e, 16, [0, 1 << 32 | 0x5412, 0, 0, 0, 0]), 0x5_0001);
}

#[test]
fn what_cannot_be_done_is_refused() {
    let rule = |names: &[&str], errno| self::rule(names, "KILL", errno, &[]);
    assert!(filter(&profile("ALLOW", None, vec![rule(&["read"], None)])).is_ok());
    assert!(filter(&profile("ALLOW", None, vec![rule(&["read"], Some(5))])).is_err());
    assert!(filter(&profile("ALLOW", Some(5), vec![])).is_err());
    assert!(filter(&profile("ALLOW", None, vec![rule(&[], None)])).is_err());
    let foreign =
        |name: &str| spec::Seccomp { architectures: vec![name.to_owned()], ..profile("ALLOW", None, vec![]) };
    assert!(filter(&foreign("SCMP_ARCH_S390X")).is_ok());
    assert!(filter(&foreign("SCMP_ARCH_NONSENSE")).is_err());
}

const OPS: [&str; 7] = ["EQ", "NE", "LT", "LE", "GT", "GE", "MASKED_EQ"];
/// With and without ints; none that i386 has twice, but `socket`, whose direct call is meant.
const NAMES: [&str; 6] = ["read", "openat", "clone", "socket", "ioctl", "no_such_call"];
const ACTIONS: [&str; 9] =
    ["ALLOW", "ERRNO", "KILL", "KILL_THREAD", "KILL_PROCESS", "TRAP", "TRACE", "LOG", "NOTIFY"];

/// Few distinct words, so that both halves meet and miss.
fn wide((low, high): (u32, u8)) -> u64 {
    u64::from(low % 3) | u64::from(high % 3) << 32
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn profiles_of_all_kinds(
        default in (0usize..9, any::<Option<u16>>()),
        rules in proptest::collection::vec(
            (proptest::collection::vec(0usize..6, 1..3), (0usize..9, any::<Option<u16>>()),
             proptest::collection::vec((0u32..6, 0usize..7, any::<(u32, u8)>(), any::<(u32, u8)>()), 0..4)), 0..12),
        samples in proptest::collection::vec(any::<[(u32, u8); 6]>(), 2),
    ) {
        // only these return a number; with others it is refused
        let number = |action: usize, errno: Option<u16>| errno.filter(|_| [1, 6].contains(&action)).map(u32::from);
        let syscalls = rules.iter().map(|(names, (action, errno), args)| {
            let names: Vec<_> = names.iter().map(|&n| NAMES[n]).collect();
            let args: Vec<_> = args.iter().map(|&(i, op, a, b)| (i, OPS[op], wide(a), wide(b))).collect();
            rule(&names, ACTIONS[*action], number(*action, *errno), &args)
        }).collect();
        let profile = profile(ACTIONS[default.0], number(default.0, default.1), syscalls);
        let program = filter(&profile).unwrap();
        for (machine, arch, bit) in MACHINES {
            for nr in numbers().filter(|&nr| machine != Machine::X86 || nr != 102).map(|n| n | bit) {
                for sample in &samples {
                    let args = sample.map(wide);
                    // The registers of i386 have 32 bits.
                    let args = if machine == Machine::X86 { args.map(|a| a & 0xffff_ffff) } else { args };
                    prop_assert_eq!(interpret(&program, arch, nr, args), expected(&profile, machine, nr, args));
                }
            }
        }
    }
}
