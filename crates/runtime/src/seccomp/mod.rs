//! System call filters: docker's profile, its compiler, its installation.

mod compile;
mod default;
mod numbers;
mod profile;
#[cfg(test)]
mod tests;

pub use profile::docker_default;

use crate::Error;
use dhow_oci::runtime as spec;
use dhow_sys::seccomp::{Instruction, flag};
use std::sync::{Arc, Mutex, PoisonError};

/// Profiles of containers are few and the same again and again.
static CACHE: Mutex<Vec<(spec::Seccomp, Arc<[u64]>)>> = Mutex::new(Vec::new());
const CACHED: usize = 16;

/// The filter of a profile, 8 bytes an instruction; kept for the next container with an equal profile.
pub(crate) fn compile(seccomp: &spec::Seccomp) -> Result<Arc<[u64]>, Error> {
    let lock = || CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, program)) = lock().iter().find(|(known, _)| known == seccomp) {
        return Ok(Arc::clone(program));
    }
    let program: Arc<[u64]> = compile::filter(seccomp)?.into();
    let mut cache = lock();
    cache.truncate(CACHED - 1);
    cache.insert(0, (seccomp.clone(), Arc::clone(&program)));
    Ok(program)
}

/// SECCOMP_FILTER_FLAG_* bits; none named: no speculation mitigation, as runc.
pub(crate) fn flags(seccomp: &spec::Seccomp) -> Result<u32, Error> {
    if seccomp.flags.is_empty() {
        return Ok(flag::SPEC_ALLOW);
    }
    seccomp.flags.iter().try_fold(0, |bits, name| {
        Ok(bits
            | match name.as_str() {
                // One thread: nothing to synchronise.
                "SECCOMP_FILTER_FLAG_TSYNC" => 0,
                "SECCOMP_FILTER_FLAG_LOG" => flag::LOG,
                "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => flag::SPEC_ALLOW,
                other => {
                    return Err(Error::invalid(
                        "linux.seccomp.flags",
                        format_args!("{other:?} is not supported"),
                    ));
                }
            })
    })
}

/// Installs a compiled filter for the calling thread, without allocation.
pub(crate) fn load(program: &[u64], flags: u32) -> rustix::io::Result<()> {
    let mut instructions = [Instruction { code: 0, jt: 0, jf: 0, k: 0 }; 4096];
    let place = instructions.get_mut(..program.len()).ok_or(rustix::io::Errno::INVAL)?;
    for (instruction, word) in place.iter_mut().zip(program) {
        *instruction = unpack(*word);
    }
    dhow_sys::seccomp::load(place, flags)
}

fn unpack(word: u64) -> Instruction {
    let [c0, c1, jt, jf, k0, k1, k2, k3] = word.to_le_bytes();
    Instruction { code: u16::from_le_bytes([c0, c1]), jt, jf, k: u32::from_le_bytes([k0, k1, k2, k3]) }
}
