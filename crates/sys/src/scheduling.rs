//! How the kernel treats a process among others: sched_setattr(2), sched_setaffinity(2), set_mempolicy(2).
//! <https://man7.org/linux/man-pages/man2/sched_setattr.2.html>
#![allow(unsafe_code, reason = "rustix lacks these calls, or has them for fewer processors")]

use crate::answer;
use rustix::io::Result;
use rustix::process::Pid;

/// The kernel's `struct sched_attr` without its size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `SCHED_*`.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// -20 to 19, for the policies that share time.
    pub nice: i32,
    /// 1 to 99, for FIFO and RR.
    pub priority: u32,
    /// Nanoseconds, for DEADLINE.
    pub runtime: u64,
    /// Nanoseconds, for DEADLINE.
    pub deadline: u64,
    /// Nanoseconds, for DEADLINE.
    pub period: u64,
}

#[repr(C)]
struct SchedAttr {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

fn number(pid: Option<Pid>) -> libc::pid_t {
    Pid::as_raw(pid)
}

/// Gives a process (none: the caller) a scheduling policy.
///
/// # Errors
/// `EPERM` without CAP_SYS_NICE in the initial user namespace, `EINVAL` for what does not go together, `EBUSY` if a deadline cannot be met.
pub fn set_scheduler(pid: Option<Pid>, attributes: &Attributes) -> Result<()> {
    let Attributes { policy, flags, nice, priority, runtime, deadline, period } = *attributes;
    let size = u32::try_from(size_of::<SchedAttr>()).unwrap_or(0);
    let attr = SchedAttr { size, policy, flags, nice, priority, runtime, deadline, period };
    // SAFETY: `attr` is the kernel's first layout with its size, and outlives the call.
    answer(unsafe { libc::syscall(libc::SYS_sched_setattr, number(pid), &raw const attr, 0) }).map(|_| ())
}

/// Lets a process (none: the caller) run only on the processors whose bits are set.
///
/// # Errors
/// `EINVAL` if none of them is there and allowed.
pub fn set_affinity(pid: Option<Pid>, mask: &[u64]) -> Result<()> {
    // SAFETY: the kernel reads as many bytes as it is told, which are those of the slice.
    answer(unsafe {
        libc::syscall(libc::SYS_sched_setaffinity, number(pid), size_of_val(mask), mask.as_ptr())
    })
    .map(|_| ())
}

/// From which memory nodes the caller's pages come: `MPOL_*` with its flags, and the bits of the nodes. Execve keeps it.
/// <https://man7.org/linux/man-pages/man2/set_mempolicy.2.html>
///
/// # Errors
/// `EINVAL` if mode and nodes do not go together or no such node is there, `ENOSYS` without NUMA in the kernel.
pub fn set_memory_policy(mode: u32, nodes: &[u64]) -> Result<()> {
    // The kernel takes one off.
    let bits = if nodes.is_empty() { 0 } else { nodes.len() * 64 + 1 };
    // SAFETY: the kernel reads no more bits than the slice has; with none it does not look at the pointer.
    answer(unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, nodes.as_ptr(), bits) }).map(|_| ())
}
