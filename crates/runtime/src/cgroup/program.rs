//! The device list as a program for cgroup v2 (BPF_PROG_TYPE_CGROUP_DEVICE).

use super::devices::List;
use crate::Error;
use dhow_sys::bpf;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use std::path::Path;

/// One eBPF instruction as the kernel lays it out: op, registers, offset, immediate.
fn instruction(op: u8, dst: u8, src: u8, offset: i16, immediate: i32) -> u64 {
    let [o0, o1] = offset.to_le_bytes();
    let [i0, i1, i2, i3] = immediate.to_le_bytes();
    u64::from_le_bytes([op, dst | src << 4, o0, o1, i0, i1, i2, i3])
}

const LDX_W: u8 = 0x61;
const MOV32_REG: u8 = 0xbc;
const AND32: u8 = 0x54;
const RSH32: u8 = 0x74;
const JEQ: u8 = 0x15;
const JNE: u8 = 0x55;
const JNE_REG: u8 = 0x5d;
const MOV64: u8 = 0xb7;
const EXIT: u8 = 0x95;

/// Compiles a list.
///
/// Context: u32 access_type (access << 16 | type; 1 block, 2 char), u32 major, u32 minor.
pub(crate) fn compile(list: &List) -> Vec<u64> {
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
    for exception in &list.exceptions {
        let device = exception.device;
        let kind = if device.kind == 'b' { 1 } else { 2 };
        let wanted: Vec<(u8, u32)> =
            [Some((2, kind)), device.major.map(|n| (4, n)), device.minor.map(|n| (5, n))]
                .into_iter()
                .flatten()
                .collect();
        // An allowing exception must cover all that is asked; a denying one strikes at any of it.
        let mut body = Vec::new();
        if exception.access != 7 {
            body.push(instruction(MOV32_REG, 6, 3, 0, 0));
            body.push(instruction(AND32, 6, 0, 0, exception.access.cast_signed()));
            body.push(if list.allow {
                instruction(JEQ, 6, 0, 2, 0)
            } else {
                instruction(JNE_REG, 6, 3, 2, 0)
            });
        }
        body.extend(exit_with(!list.allow));
        for (index, (register, value)) in wanted.iter().enumerate() {
            let skip = i16::try_from(wanted.len() - index - 1 + body.len()).unwrap_or(i16::MAX);
            words.push(instruction(JNE, *register, 0, skip, value.cast_signed()));
        }
        words.extend(body);
    }
    words.extend(exit_with(list.allow));
    words
}

/// Loads the program and puts it on the folder, in the place of those that are on it: there is no moment without one.
pub(crate) fn attach(dir: &Path, program: &[u64], fresh: bool) -> Result<(), Error> {
    let fail = |e| Error::os("attach device program", dir.display(), e);
    let folder =
        open(dir, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(fail)?;
    let program = bpf::load_cgroup_device(program).map_err(fail)?;
    if fresh {
        return bpf::attach_cgroup_device(&folder, &program, None).map_err(fail);
    }
    let old = bpf::cgroup_devices(&folder).map_err(fail)?;
    if let [only] = old.as_slice() {
        match bpf::attach_cgroup_device(&folder, &program, Some(only)) {
            // Linux before 5.6 cannot replace.
            Err(Errno::INVAL) => {}
            other => return other.map_err(fail),
        }
    }
    // All programs of a folder must agree: the new one first, so that nothing is allowed in between that neither allows.
    bpf::attach_cgroup_device(&folder, &program, None).map_err(fail)?;
    old.iter().try_for_each(|program| bpf::detach_cgroup_device(&folder, program)).map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::super::devices::List;
    use super::*;

    /// Runs the instructions that `compile` uses.
    fn run(program: &[u64], kind: u32, access: u32, major: u32, minor: u32) -> bool {
        let mut registers = [0u64; 8];
        let context = [access << 16 | kind, major, minor];
        let mut at = 0usize;
        loop {
            let [op, regs, o0, o1, i @ ..] = program[at].to_le_bytes();
            let (dst, src) = (usize::from(regs & 15), usize::from(regs >> 4));
            let (offset, immediate) = (i16::from_le_bytes([o0, o1]), i32::from_le_bytes(i));
            let value = u64::from(immediate.cast_unsigned());
            let mut jump = false;
            match op {
                LDX_W => registers[dst] = u64::from(context[usize::try_from(offset).unwrap() / 4]),
                MOV32_REG => registers[dst] = registers[src] & 0xffff_ffff,
                AND32 => registers[dst] &= value,
                RSH32 => registers[dst] >>= value,
                MOV64 => registers[dst] = value,
                JEQ => jump = registers[dst] == value,
                JNE => jump = registers[dst] != value,
                JNE_REG => jump = registers[dst] != registers[src],
                EXIT => return registers[0] != 0,
                other => panic!("instruction {other:#x}"),
            }
            at += 1 + if jump { usize::try_from(offset).unwrap() } else { 0 };
        }
    }

    fn program(json: &str) -> Vec<u64> {
        compile(&List::new(&serde_json::from_str::<Vec<_>>(json).unwrap()).unwrap().unwrap())
    }

    #[test]
    fn says_what_the_list_says() {
        let closed = program(
            r#"[{"allow": false}, {"allow": true, "type": "c", "major": 10, "minor": 200, "access": "r"},
                {"allow": true, "type": "b", "major": 8, "access": "rw"}]"#,
        );
        for (kind, access, major, minor, expected) in [
            (2, 6, 1, 3, true),
            (2, 2, 10, 200, true),
            (2, 6, 10, 200, false),
            (2, 2, 10, 201, false),
            (1, 2, 10, 200, false),
            (1, 6, 8, 7, true),
            (1, 1, 99, 99, true),
            (2, 2, 1, 11, false),
            (2, 6, 136, 5, true),
        ] {
            assert_eq!(run(&closed, kind, access, major, minor), expected, "{kind} {access} {major}:{minor}");
        }
        let open = program(r#"[{"allow": true}, {"allow": false, "type": "b", "major": 8, "access": "w"}]"#);
        assert!(run(&open, 1, 2, 8, 0) && !run(&open, 1, 6, 8, 0) && run(&open, 2, 6, 8, 0));
    }
}
