//! The parent of an additional process, inside the container: what the process leaves behind becomes its child and not PID 1's, which may
//! never collect anything. It holds no privilege and nothing of the host, only a pipe for the exit status, and ends with the last of them.

use super::{Done, Inherited, Named, join, run};
use crate::Error;
use crate::wire::{self, Record};
use dhow_sys::clone::{Cloned, exit_now};
use dhow_sys::exec::{Image, close_except};
use dhow_sys::signals;
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Pid, Signal, WaitOptions, wait};
use rustix::thread::{CapabilitySet, CapabilitySets};

/// Runs as the reaper, whose child is the process: never returns.
pub(crate) fn reap(
    inherited: &Inherited<'_>,
    status: &OwnedFd,
    image: &mut Image,
    clone: impl FnOnce() -> Result<Cloned, Error>,
) -> ! {
    let settled = begin(inherited, image, clone).and_then(|(process, pidfd)| {
        let born = Record::born(process);
        wire::send(inherited.parent.as_fd(), &born, Some(pidfd.as_fd()))
            .named("tell", b"parent")
            .and_then(|()| settle(inherited, status))
            .inspect_err(|_| end(process))?;
        // Closed already, with all others.
        std::mem::forget(pidfd);
        Ok(process)
    });
    match settled {
        Ok(process) => collect(process, status),
        Err(failure) => {
            // If the parent is gone there is nobody to tell.
            let told = wire::send(inherited.parent.as_fd(), &Record::failed(&failure, b""), None);
            exit_now(if told.is_ok() { 1 } else { 2 })
        }
    }
}

/// Makes the process, in the container's cgroup; this one stays outside, and counts for nothing there.
fn begin(
    inherited: &Inherited<'_>,
    image: &mut Image,
    clone: impl FnOnce() -> Result<Cloned, Error>,
) -> Done<'static, (Pid, OwnedFd)> {
    signals::reset(inherited.ignored);
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).named("prctl", b"PDEATHSIG")?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).named("prctl", b"DUMPABLE")?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .named("prctl", b"CHILD_SUBREAPER")?;
    let errno = |error: Error| Errno::from_raw_os_error(error.errno.max(1));
    match clone().map_err(errno).named("clone3", b"process")? {
        Cloned::Child => run(inherited, image),
        Cloned::Parent { pid, pidfd } => Ok((pid, pidfd)),
    }
}

/// Nothing is left to PID 1, not even of a failure.
fn end(process: Pid) {
    rustix::process::kill_process(process, Signal::KILL).unwrap_or_default();
    rustix::process::waitpid(Some(process), WaitOptions::empty()).unwrap_or_default();
}

/// Becomes as harmless as can be: in the container's namespaces, without capabilities and without any descriptor but the pipe.
fn settle(inherited: &Inherited<'_>, status: &OwnedFd) -> Done<'static> {
    // Whoever ends everything in the container with signals that can be heard means the programs.
    signals::block_all().named("block signals", b"")?;
    rustix::thread::set_name(c"dhow-exec").named("prctl", b"NAME")?;
    join(inherited)?;
    // The streams of the process too: they end with it.
    close_except(0, &[status.as_fd()]).named("close_range", b"")?;
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::set_capabilities(None, sets).named("capset", b"")
}

/// Waits for all there are, and says how the process ended.
fn collect(process: Pid, status: &OwnedFd) -> ! {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, ended))) if pid == process => {
                let signal = || ended.terminating_signal().map(|signal| 128 + signal);
                let code = ended.exit_status().or_else(signal).unwrap_or(255);
                // A parent that has gone does not want to know.
                rustix::io::write(status, &code.to_le_bytes()).unwrap_or_default();
            }
            Ok(_) | Err(Errno::INTR) => {}
            // Nobody is left.
            Err(_) => exit_now(0),
        }
    }
}
