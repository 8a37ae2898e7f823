//! New processes: clone3(2), and leaving them.
//! <https://man7.org/linux/man-pages/man2/clone3.2.html>
#![allow(unsafe_code, reason = "clone3 is not in rustix")]

use crate::answer;
use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::{Errno, Result};
use rustix::process::Pid;
use std::mem::size_of;

/// New namespaces of the child, and nothing else (`CLONE_NEW*`).
pub mod new {
    /// Mounts.
    pub const MOUNT: u64 = 0x0002_0000;
    /// Monotonic and boot clocks. Its offsets can be written only before the first process is in it.
    pub const TIME: u64 = 0x80;
    /// Cgroup root.
    pub const CGROUP: u64 = 0x0200_0000;
    /// Host name.
    pub const UTS: u64 = 0x0400_0000;
    /// System V IPC and message queues.
    pub const IPC: u64 = 0x0800_0000;
    /// Users.
    pub const USER: u64 = 0x1000_0000;
    /// Process ids.
    pub const PID: u64 = 0x2000_0000;
    /// Network.
    pub const NET: u64 = 0x4000_0000;
    /// All of them.
    pub const ALL: u64 = MOUNT | TIME | CGROUP | UTS | IPC | USER | PID | NET;
}

/// Which side of the clone this is.
#[derive(Debug)]
pub enum Cloned {
    /// The new process: it has the parent's memory (copy on write) and descriptors.
    Child,
    /// The caller.
    Parent {
        /// Of the child, in the caller's pid namespace.
        pid: Pid,
        /// Readable when the child has ended.
        pidfd: OwnedFd,
    },
}

/// Whether the caller is the only thread of its process: unsharing the thread group is refused to any other, and changes nothing for it.
///
/// # Errors
/// If neither the kernel nor `/proc/self/task` says.
pub fn single_threaded() -> std::io::Result<bool> {
    // SAFETY: unshare takes a number; CLONE_THREAD alone has no effect but the answer.
    match answer(libc::c_long::from(unsafe { libc::unshare(libc::CLONE_THREAD) })) {
        Ok(_) => Ok(true),
        Err(Errno::INVAL) => Ok(false),
        // A seccomp filter that lets nobody unshare.
        Err(_) => Ok(std::fs::read_dir("/proc/self/task")?.take(2).count() == 1),
    }
}

/// `clone3(2)` as a fork into new namespaces, and into `cgroup` (a v2 folder) if given. Only the bits of [`new`] are let through, so the child has
/// its own copy of memory and descriptors. The caller's signal handlers are gone in it; what it ignores stays ignored.
///
/// # Errors
/// `EDEADLK` if the process has more than one thread: another thread may hold a lock (the allocator's) that nobody would release in
/// the child. Else what clone3 says.
pub fn clone3(namespaces: u64, cgroup: Option<BorrowedFd<'_>>) -> Result<Cloned> {
    if !single_threaded().map_err(|_| Errno::DEADLK)? {
        return Err(Errno::DEADLK);
    }
    clone(namespaces & new::ALL, cgroup)
}

/// [`clone3`] for a child of [`clone3`], which is single-threaded by its birth and must not allocate: no look into /proc.
/// With `sibling` the new process is a child of the caller's parent.
///
/// # Errors
/// What clone3 says.
pub fn clone3_again(namespaces: u64, cgroup: Option<BorrowedFd<'_>>, sibling: bool) -> Result<Cloned> {
    const CLONE_PARENT: u64 = 0x8000;
    clone(namespaces & new::ALL | if sibling { CLONE_PARENT } else { 0 }, cgroup)
}

/// `flags`: bits of [`new`] and CLONE_PARENT.
fn clone(flags: u64, cgroup: Option<BorrowedFd<'_>>) -> Result<Cloned> {
    const CLONE_PIDFD: u64 = 0x1000;
    const CLONE_PARENT: u64 = 0x8000;
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
    let mut pidfd: libc::c_int = -1;
    // SAFETY: clone_args is a struct of integers; all zeros is its documented neutral value.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags | CLONE_PIDFD | CLONE_CLEAR_SIGHAND;
    args.pidfd = (&raw mut pidfd) as u64;
    // A sibling has its maker's.
    args.exit_signal = if flags & CLONE_PARENT == 0 { libc::SIGCHLD as u64 } else { 0 };
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::try_from(cgroup.as_raw_fd()).map_err(|_| Errno::BADF)?;
    }
    // SAFETY: no CLONE_VM and no stack: the child continues here on a copy of this stack, like fork. The process has one thread (or is a
    // child of such a clone that the callers promise to keep so), so no lock is held by a thread that does not exist in the child. `pidfd` outlives the call.
    let raw = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) };
    match answer(raw)? {
        0 => Ok(Cloned::Child),
        pid => {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::OVERFLOW)?;
            // SAFETY: the kernel stored a fresh descriptor (close-on-exec) that nothing else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Cloned::Parent { pid, pidfd })
        }
    }
}

/// Ends the process at once: no destructors, no `atexit`. What a child of [`clone3`] ends with.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit has no preconditions.
    unsafe { libc::_exit(code) }
}
