//! The only room with `unsafe`: what rustix lacks, one file per kernel subject, named after the system call, with its man page.
//! Descriptors are owned or borrowed, never integers. No policy, no logging.

// Process side (runtime's author): clone3, prctl, capabilities, seccomp, sched/rlimit, pty, …
pub mod bpf;
pub mod clone;
pub mod exec;
pub mod inherited;
pub mod ioprio;
pub mod keyring;
pub mod mount;
pub mod namespaces;
pub mod personality;
pub mod scheduling;
pub mod seccomp;
pub mod signals;
// Network side (net's author):
pub mod netlink;
pub mod netns;
// The shim's author:
pub mod memory;
pub mod sigaction;

/// The kernel's word for a failed call that returned `-1`.
fn errno() -> rustix::io::Errno {
    let raw = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
    rustix::io::Errno::from_raw_os_error(raw)
}

/// A raw system call's answer as a result.
fn answer(raw: libc::c_long) -> rustix::io::Result<libc::c_long> {
    if raw == -1 { Err(errno()) } else { Ok(raw) }
}
