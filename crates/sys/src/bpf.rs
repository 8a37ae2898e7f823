//! bpf(2), as far as cgroup v2's device filter needs it.
//! <https://man7.org/linux/man-pages/man2/bpf.2.html>
#![allow(unsafe_code, reason = "bpf takes a union of pointers")]

use crate::answer;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::{Errno, Result};

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_DETACH: libc::c_int = 9;
const BPF_PROG_GET_FD_BY_ID: libc::c_int = 13;
const BPF_PROG_QUERY: libc::c_int = 16;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;
const BPF_F_REPLACE: u32 = 4;

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
#[derive(Default)]
struct Attach {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: u32,
}

#[repr(C)]
#[derive(Default)]
struct Query {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_count: u32,
    padding: u32,
}

#[repr(C)]
#[derive(Default)]
struct ById {
    id: u32,
    next: u32,
    open_flags: u32,
}

/// An argument of bpf(2): plain integers in the kernel's layout, all bytes initialised.
trait Attribute {}
impl Attribute for Load {}
impl Attribute for Attach {}
impl Attribute for Query {}
impl Attribute for ById {}

fn call<T: Attribute>(command: libc::c_int, attribute: &mut T) -> Result<libc::c_long> {
    // SAFETY: `T` has the layout of the part of bpf_attr that `command` reads and its size is passed; each caller keeps what the
    // integers point to alive through the call.
    answer(unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attribute), std::mem::size_of::<T>())
    })
}

fn number(fd: BorrowedFd<'_>) -> Result<u32> {
    u32::try_from(fd.as_raw_fd()).map_err(|_| Errno::BADF)
}

fn owned(raw: libc::c_long) -> Result<OwnedFd> {
    let raw = i32::try_from(raw).map_err(|_| Errno::OVERFLOW)?;
    // SAFETY: the kernel has just made this descriptor (close-on-exec, as all of bpf's) and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Loads a device program: instructions of 8 bytes each.
///
/// # Errors
/// `EINVAL` or `EACCES` if the verifier refuses it.
pub fn load_cgroup_device(program: &[u64]) -> Result<OwnedFd> {
    let mut attr = Load {
        prog_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: u32::try_from(program.len()).map_err(|_| Errno::INVAL)?,
        insns: program.as_ptr() as u64,
        license: c"Apache".as_ptr() as u64,
        ..Load::default()
    };
    owned(call(BPF_PROG_LOAD, &mut attr)?)
}

/// Attaches a device program to a cgroup folder, beside those that are there or in the place of `replaced`; it stays until the folder is removed.
///
/// # Errors
/// `EPERM` without CAP_BPF and CAP_NET_ADMIN, `EBADF` if the folder is no cgroup v2, `EINVAL` if the kernel cannot replace (before 5.6).
pub fn attach_cgroup_device(cgroup: impl AsFd, program: impl AsFd, replaced: Option<&OwnedFd>) -> Result<()> {
    let mut attr = Attach {
        target_fd: number(cgroup.as_fd())?,
        attach_bpf_fd: number(program.as_fd())?,
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: BPF_F_ALLOW_MULTI,
        replace_bpf_fd: 0,
    };
    if let Some(replaced) = replaced {
        attr.attach_flags |= BPF_F_REPLACE;
        attr.replace_bpf_fd = number(replaced.as_fd())?;
    }
    call(BPF_PROG_ATTACH, &mut attr).map(drop)
}

/// Takes a device program off a cgroup folder.
///
/// # Errors
/// `ENOENT` if it is not on it.
pub fn detach_cgroup_device(cgroup: impl AsFd, program: impl AsFd) -> Result<()> {
    let mut attr = Attach {
        target_fd: number(cgroup.as_fd())?,
        attach_bpf_fd: number(program.as_fd())?,
        attach_type: BPF_CGROUP_DEVICE,
        ..Attach::default()
    };
    call(BPF_PROG_DETACH, &mut attr).map(drop)
}

/// The device programs of a cgroup folder, not those above it.
///
/// # Errors
/// `EPERM` without CAP_BPF or CAP_SYS_ADMIN, `ENOSPC` if there are more than 64, the kernel's own limit.
pub fn cgroup_devices(cgroup: impl AsFd) -> Result<Vec<OwnedFd>> {
    let mut ids = [0u32; 64];
    let mut attr = Query {
        target_fd: number(cgroup.as_fd())?,
        attach_type: BPF_CGROUP_DEVICE,
        prog_ids: ids.as_mut_ptr() as u64,
        prog_count: 64,
        ..Query::default()
    };
    call(BPF_PROG_QUERY, &mut attr)?;
    let count = usize::try_from(attr.prog_count).unwrap_or(0);
    let mut all = Vec::new();
    for &id in ids.iter().take(count) {
        match call(BPF_PROG_GET_FD_BY_ID, &mut ById { id, ..ById::default() }) {
            Ok(fd) => all.push(owned(fd)?),
            // It went in between.
            Err(Errno::NOENT) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(all)
}
