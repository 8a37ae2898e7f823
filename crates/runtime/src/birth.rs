//! The clone: where a process is born decides what it is in for ever.

use crate::Error;
use crate::cgroup::apply::Doors;
use crate::child::{self, Inherited};
use crate::plan::Body;
use crate::start::receive;
use crate::wire::Answer;
use dhow_sys::clone::{Cloned, clone3, new};
use dhow_sys::exec::Image;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use rustix::thread::{LinkNameSpaceType, ThreadNameSpaceType};

/// Makes the process, which runs [`child::run`] and never comes back; its pid here, and a descriptor of it. `container` is the first
/// process of a running container, `socket` our end to the child.
pub(crate) fn process(
    inherited: &Inherited<'_>,
    doors: &Doors,
    container: Option<Pid>,
    socket: BorrowedFd<'_>,
    image: &mut Image,
) -> Result<(Pid, OwnedFd), Error> {
    if inherited.go_between() {
        return by_go_between(inherited, socket, doors, image);
    }
    let join = inherited.joins.iter().find(|(flag, _)| *flag == new::PID).map(|(_, fd)| fd.as_fd());
    // What follows the clone is the parent's alone.
    in_pid_namespace(join, inherited.target, || match clone_into(inherited.body, doors, container)? {
        Cloned::Parent { pid, pidfd } => Ok((pid, pidfd)),
        Cloned::Child => child::run(inherited, image),
    })?
}

/// Has a process that cannot come back enter namespaces, and make the container's process as our child.
fn by_go_between(
    inherited: &Inherited<'_>,
    socket: BorrowedFd<'_>,
    doors: &Doors,
    image: &mut Image,
) -> Result<(Pid, OwnedFd), Error> {
    let failed = |e| Error::os("clone3", "go-between", e);
    let pidfd = match clone3(0, None).map_err(failed)? {
        Cloned::Parent { pidfd, .. } => pidfd,
        Cloned::Child => child::go_between(inherited, doors.folder.as_ref().map(AsFd::as_fd), image),
    };
    // It ends by itself, at once.
    rustix::io::retry_on_intr(|| waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED))
        .map_err(failed)?;
    match receive(socket)? {
        Answer::Born(pid, pidfd) => Ok((pid, pidfd)),
        Answer::Failed(error) => Err(error),
        _ => Err(failed(Errno::CHILD).because("it died")),
    }
}

/// Clones, with v2 right into the container's cgroup, or to where its init went.
fn clone_into(body: &Body, doors: &Doors, container: Option<Pid>) -> Result<Cloned, Error> {
    let named = |e| Error::os("clone3", "container", e);
    match (clone3(body.namespaces, doors.folder.as_ref().map(AsFd::as_fd)), container) {
        // Its init made cgroups with controllers of their own below: then only those take processes.
        (Err(e @ (Errno::BUSY | Errno::OPNOTSUPP)), Some(init)) => {
            let folder = Doors::follow(&body.cgroups, init.as_raw_nonzero().get())?;
            let folder = folder.ok_or_else(|| named(e))?;
            clone3(body.namespaces, Some(folder.as_fd())).map_err(named)
        }
        (cloned, _) => cloned.map_err(named),
    }
}

/// Runs `clone` with children going to another pid namespace, and comes back: the child is ours and in there, without a process between.
fn in_pid_namespace<T>(
    join: Option<BorrowedFd<'_>>,
    target: Option<BorrowedFd<'_>>,
    clone: impl FnOnce() -> T,
) -> Result<T, Error> {
    if join.is_none() && target.is_none() {
        return Ok(clone());
    }
    let own = "/proc/self/ns/pid";
    let home =
        open(own, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(|e| Error::os("open", own, e))?;
    match (join, target) {
        (Some(join), _) => {
            rustix::thread::move_into_link_name_space(join, Some(LinkNameSpaceType::ProcessID))
        }
        (None, Some(target)) => {
            rustix::thread::move_into_thread_name_spaces(target, ThreadNameSpaceType::PROCESS_ID)
        }
        (None, None) => Ok(()),
    }
    .map_err(|e| Error::os("setns", "pid namespace", e))?;
    let result = clone();
    rustix::thread::move_into_link_name_space(home.as_fd(), Some(LinkNameSpaceType::ProcessID))
        .map_err(|e| Error::os("setns", "own pid namespace", e))?;
    Ok(result)
}
