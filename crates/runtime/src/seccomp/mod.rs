//! System call filters: docker's profile, its compiler, its installation.

mod compile;
mod default;
mod numbers;
mod profile;
mod rules;
#[cfg(test)]
mod tests;

pub use profile::docker_default;

use crate::Error;
use dhow_oci::runtime as spec;
use dhow_sys::seccomp::{Instruction, flag};
use rustix::fd::OwnedFd;
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
    let mut bits = if seccomp.flags.is_empty() { flag::SPEC_ALLOW } else { 0 };
    if notifies(seccomp) {
        bits |= flag::NEW_LISTENER;
    }
    for name in &seccomp.flags {
        bits |= match name.as_str() {
            // One thread: nothing to synchronise.
            "SECCOMP_FILTER_FLAG_TSYNC" => 0,
            "SECCOMP_FILTER_FLAG_LOG" => flag::LOG,
            "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => flag::SPEC_ALLOW,
            // About a listener; the kernel refuses it without one, libseccomp leaves it out.
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" if bits & flag::NEW_LISTENER == 0 => 0,
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => flag::WAIT_KILLABLE_RECV,
            other => {
                let detail = format_args!("{other:?} is not supported");
                return Err(Error::invalid("linux.seccomp.flags", detail));
            }
        };
    }
    Ok(bits)
}

const NOTIFY: &str = "SCMP_ACT_NOTIFY";

fn notifies(seccomp: &spec::Seccomp) -> bool {
    seccomp.default_action == NOTIFY || seccomp.syscalls.iter().any(|rule| rule.action == NOTIFY)
}

/// Who answers the notified calls: the socket. Refuses what would wait for an answer before anybody can give one: behind the filter the
/// child still has to write where the listener is (as runc).
pub(crate) fn listener(seccomp: &spec::Seccomp) -> Result<Option<&str>, Error> {
    let field = "linux.seccomp.listenerPath";
    let path = seccomp.listener_path.as_deref().filter(|path| !path.is_empty());
    if path.is_none() && seccomp.listener_metadata.as_ref().is_some_and(|metadata| !metadata.is_empty()) {
        return Err(Error::invalid(
            "linux.seccomp.listenerMetadata",
            "is for a listenerPath, and there is none",
        ));
    }
    if !notifies(seccomp) {
        return Ok(None);
    }
    if seccomp.default_action == NOTIFY {
        let detail = "SCMP_ACT_NOTIFY cannot be the default: the container could not be started";
        return Err(Error::invalid("linux.seccomp.defaultAction", detail));
    }
    let mut notified = seccomp.syscalls.iter().filter(|rule| rule.action == NOTIFY);
    if notified.any(|rule| rule.names.iter().any(|name| name == "write")) {
        let detail = "SCMP_ACT_NOTIFY cannot be for write: the runtime needs it to hand over the listener";
        return Err(Error::invalid("linux.seccomp.syscalls", detail));
    }
    match path {
        Some(path) if path.starts_with('/') => Ok(Some(path)),
        Some(_) => Err(Error::invalid(field, "must be absolute")),
        None => Err(Error::invalid(field, "is required: a rule says SCMP_ACT_NOTIFY")),
    }
}

/// Installs a compiled filter for the calling thread, without allocation; the listener comes back if the flags ask for one.
pub(crate) fn load(program: &[u64], flags: u32) -> rustix::io::Result<Option<OwnedFd>> {
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
