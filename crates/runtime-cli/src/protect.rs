//! Running from a file that nobody can write to, before anything of ours is near a container.
//!
//! A process in a container may get hold of the program that joins it, by `/proc/PID/exe` or by being it (`#!/proc/self/exe`), and write to it
//! once nobody runs it: the next container's runtime is then the attacker's (CVE-2019-5736). So the program executes itself
//! again from a read-only mount of its own file that is attached nowhere: what holds the file by that mount cannot write, and the mount,
//! being in no namespace once its descriptor is closed, cannot be changed. That costs one execve and no copy. Where a mount cannot be
//! had it is a sealed copy in memory.

use crate::failure::Failure;
use dhow_sys::mount::{Change, attr, mount_setattr};
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, SealFlags, StatVfsMountFlags};
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::Command;

const PROGRAM: &str = "/proc/self/exe";
/// In the environment of the second run: its own pid, so that it means nothing to a child that inherits it (a hook may).
const MARK: &str = "DHOW_RUNTIME_PROTECTED";

/// Returns once the program runs protected.
pub(crate) fn ensure() -> Result<(), Failure> {
    let failed = |e: Errno| Failure::new(format!("protect the runtime's program: {e}"));
    let pid = std::process::id().to_string();
    if std::env::var_os(MARK).is_some_and(|mark| mark == *pid) {
        // The name of a descriptor says nothing in lists of processes.
        rustix::thread::set_name(c"dhow-runtime").map_err(failed)?;
        return if protected().map_err(failed)? {
            Ok(())
        } else {
            Err(Failure::new(format!("{MARK} is set, but the program can be written to")))
        };
    }
    let file = mounted().or_else(|_| copied()).map_err(failed)?;
    let mut words = std::env::args_os();
    let name = words.next().unwrap_or_else(|| "dhow-runtime".into());
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let error = Command::new(path).arg0(name).args(words).env(MARK, pid).exec();
    Err(Failure::new(format!("run the protected program: {error}")))
}

/// Whether the file of this process can be written to by nobody who has it from us.
fn protected() -> rustix::io::Result<bool> {
    if rustix::fs::statvfs(PROGRAM)?.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Ok(true);
    }
    let file = rustix::fs::open(PROGRAM, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    match rustix::fs::fcntl_get_seals(&file) {
        Err(Errno::INVAL) => Ok(false),
        seals => Ok(seals?.contains(SealFlags::WRITE)),
    }
}

fn mounted() -> rustix::io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = open_tree(CWD, PROGRAM, flags)?;
    mount_setattr(tree.as_fd(), false, Change { set: attr::RDONLY, ..Change::default() })?;
    Ok(tree)
}

fn copied() -> rustix::io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let copy = match rustix::fs::memfd_create("dhow-runtime", flags | MemfdFlags::EXEC) {
        // Before Linux 6.3 every memfd is executable and the flag unknown.
        Err(Errno::INVAL) => rustix::fs::memfd_create("dhow-runtime", flags)?,
        other => other?,
    };
    let mut copy = File::from(copy);
    let source = File::open(PROGRAM).and_then(|mut source| std::io::copy(&mut source, &mut copy));
    source.map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&copy, seals)?;
    Ok(copy.into())
}
