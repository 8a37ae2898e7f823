//! System call filters.

use crate::Error;
use dhow_oci::runtime as spec;
use dhow_sys::seccomp::Instruction;
use std::sync::Arc;

pub(crate) fn compile(filter: &spec::Seccomp) -> Result<Arc<[u64]>, Error> {
    let _unused = filter;
    Err(Error::invalid("linux.seccomp", "is not supported yet"))
}

pub(crate) fn flags(filter: &spec::Seccomp) -> Result<u32, Error> {
    let _unused = filter;
    Ok(0)
}

pub(crate) fn load(program: &[u64], flags: u32) -> rustix::io::Result<()> {
    let mut instructions = [Instruction { code: 0, jt: 0, jf: 0, k: 0 }; 4096];
    let place = instructions.get_mut(..program.len()).ok_or(rustix::io::Errno::INVAL)?;
    for (instruction, word) in place.iter_mut().zip(program) {
        *instruction = unpack(*word);
    }
    dhow_sys::seccomp::load(place, flags)
}

/// The kernel's layout in one number.
pub(crate) fn unpack(word: u64) -> Instruction {
    let [c0, c1, jt, jf, k0, k1, k2, k3] = word.to_le_bytes();
    Instruction { code: u16::from_le_bytes([c0, c1]), jt, jf, k: u32::from_le_bytes([k0, k1, k2, k3]) }
}
