//! bpf(2), as far as cgroup v2's device filter needs it.
//! <https://man7.org/linux/man-pages/man2/bpf.2.html>
#![allow(unsafe_code, reason = "bpf takes a union of pointers")]

use crate::answer;
use rustix::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use rustix::io::{Errno, Result};

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;

#[repr(C)]
#[derive(Default)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
}

#[repr(C)]
struct Attach {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
}

/// Loads a device program: instructions of 8 bytes each.
///
/// # Errors
/// `EINVAL` or `EACCES` if the verifier refuses it.
pub fn load_cgroup_device(program: &[u64]) -> Result<OwnedFd> {
    let attr = Load {
        prog_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: u32::try_from(program.len()).map_err(|_| Errno::INVAL)?,
        insns: program.as_ptr() as u64,
        license: c"Apache".as_ptr() as u64,
        ..Load::default()
    };
    // SAFETY: `attr` has the layout of bpf_attr for PROG_LOAD, its size is passed, and all it points to lives through the call; the new
    // descriptor (close-on-exec by definition) is nobody else's.
    unsafe {
        let fd = answer(libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &raw const attr, size_of::<Load>()))?;
        Ok(OwnedFd::from_raw_fd(i32::try_from(fd).map_err(|_| Errno::OVERFLOW)?))
    }
}

/// Attaches a device program to a cgroup folder; it stays until the folder is removed.
///
/// # Errors
/// `EPERM` without CAP_BPF and CAP_NET_ADMIN, `EBADF` if the folder is no cgroup v2.
pub fn attach_cgroup_device(cgroup: impl AsFd, program: impl AsFd) -> Result<()> {
    let number = |fd: i32| u32::try_from(fd).map_err(|_| Errno::BADF);
    let attr = Attach {
        target_fd: number(cgroup.as_fd().as_raw_fd())?,
        attach_bpf_fd: number(program.as_fd().as_raw_fd())?,
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: BPF_F_ALLOW_MULTI,
    };
    // SAFETY: `attr` has the layout of bpf_attr for PROG_ATTACH and its size is passed.
    answer(unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_ATTACH, &raw const attr, size_of::<Attach>()) })
        .map(drop)
}
