//! The clone: where a process is born decides what it is in for ever.

use crate::Error;
use crate::cgroup::apply::Doors;
use crate::child::{self, Inherited};
use crate::plan::Body;
use crate::start::receive;
use crate::wire::{self, Answer};
use dhow_sys::clone::{Cloned, clone3, new};
use dhow_sys::exec::Image;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use rustix::thread::{LinkNameSpaceType, ThreadNameSpaceType};

/// The process, and who stands between.
#[derive(Debug)]
pub(crate) struct Born {
    pub(crate) pid: Pid,
    pub(crate) pidfd: OwnedFd,
    pub(crate) reaper: Option<(Pid, OwnedFd)>,
}

/// Makes the process, which runs [`child::run`] and never comes back; its pid here, and a descriptor of it. `container` is the first
/// process of a running container, `socket` our end to the child.
pub(crate) fn process(
    inherited: &Inherited<'_>,
    doors: &Doors,
    container: Option<Pid>,
    socket: BorrowedFd<'_>,
    status: Option<&OwnedFd>,
    image: &mut Image,
) -> Result<Born, Error> {
    if let Some(status) = status {
        return by_reaper(inherited, doors, container, socket, status, image);
    }
    let alone = |(pid, pidfd)| Born { pid, pidfd, reaper: None };
    if inherited.go_between() {
        return by_go_between(inherited, socket, doors, image).map(alone);
    }
    let join = inherited.joins.iter().find(|(flag, _)| *flag == new::PID).map(|(_, fd)| fd.as_fd());
    // What follows the clone is the parent's alone.
    in_pid_namespace(join, inherited.target, || match clone_into(inherited.body, doors, container)? {
        Cloned::Parent { pid, pidfd } => Ok((pid, pidfd)),
        Cloned::Child => child::run(inherited, image),
    })?
    .map(alone)
}

/// Has a process in the container make the process, and stay to collect what that leaves behind; `status` is its end of a pipe.
fn by_reaper(
    inherited: &Inherited<'_>,
    doors: &Doors,
    container: Option<Pid>,
    socket: BorrowedFd<'_>,
    status: &OwnedFd,
    image: &mut Image,
) -> Result<Born, Error> {
    let failed = |e| Error::os("clone3", "reaper", e);
    let reaper = in_pid_namespace(None, inherited.target, || match clone3(0, None).map_err(failed)? {
        Cloned::Parent { pid, pidfd } => Ok((pid, pidfd)),
        Cloned::Child => {
            child::reap(inherited, status, image, || clone_into(inherited.body, doors, container))
        }
    })??;
    let died = || failed(Errno::CHILD).because("it died");
    let born = match says(socket, reaper.1.as_fd()) {
        Ok(true) => receive(socket).and_then(|answer| match answer {
            // The number is one in the container.
            Answer::Born(_, pidfd) => pid_of(pidfd.as_fd()).map(|pid| (pid, pidfd)),
            Answer::Failed(error) => Err(error),
            _ => Err(died()),
        }),
        Ok(false) => Err(died()),
        Err(e) => Err(Error::os("wait for", "reaper", e)),
    };
    let born = born.and_then(|born| match wire::go(socket) {
        Ok(()) => Ok(born),
        Err(e) => Err(Error::os("tell", "the child", e)),
    });
    let (pid, pidfd) = born.inspect_err(|_| {
        // What it made waits for a word that does not come, and ends with the socket; nobody is left to collect the reaper but here.
        rustix::net::shutdown(socket, rustix::net::Shutdown::Both).unwrap_or_default();
        let ended =
            rustix::io::retry_on_intr(|| waitid(WaitId::PidFd(reaper.1.as_fd()), WaitIdOptions::EXITED));
        ended.unwrap_or_default();
    })?;
    Ok(Born { pid, pidfd, reaper: Some(reaper) })
}

/// Waits until a word is there, or whoever should say it has ended without one: the container's end takes it along. The socket alone would not
/// tell, as its other end is still ours too.
fn says(socket: BorrowedFd<'_>, pidfd: BorrowedFd<'_>) -> rustix::io::Result<bool> {
    let mut fds =
        [PollFd::from_borrowed_fd(socket, PollFlags::IN), PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
    rustix::io::retry_on_intr(|| poll(&mut fds, None))?;
    let [word, _] = &fds;
    Ok(word.revents().contains(PollFlags::IN))
}

/// The number behind a descriptor, in our pid namespace.
fn pid_of(pidfd: BorrowedFd<'_>) -> Result<Pid, Error> {
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
    let text = std::fs::read_to_string(&path).map_err(|e| Error::io("read", &path, &e))?;
    let number = text.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
    number.and_then(Pid::from_raw).ok_or_else(|| Error::os("read", &path, Errno::SRCH))
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
    // It ends by itself, at once, and its code says which message it sent. The container's process may have been faster with one of its own.
    let ended = rustix::io::retry_on_intr(|| waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED))
        .map_err(failed)?;
    let code = ended.and_then(|status| status.exit_status());
    let mut failure = None;
    while code == Some(child::BORN) {
        match receive(socket)? {
            Answer::Born(pid, pidfd) => {
                if let Some(error) = failure {
                    rustix::io::retry_on_intr(|| waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED))
                        .map_err(failed)?;
                    return Err(error);
                }
                wire::go(socket).map_err(failed)?;
                return Ok((pid, pidfd));
            }
            Answer::Failed(error) => failure = Some(error),
            _ => return Err(failed(Errno::PROTO)),
        }
    }
    match code {
        Some(child::UNBORN) => match receive(socket)? {
            Answer::Failed(error) => Err(error),
            _ => Err(failed(Errno::PROTO)),
        },
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

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{PidfdFlags, pidfd_open};

    /// A process that has ended, as the reaper does that dies with its container; nobody has waited for it yet.
    fn ended() -> (std::process::Child, OwnedFd) {
        let mut child = std::process::Command::new("/proc/self/exe");
        let child = child.arg("--list").stdout(std::process::Stdio::null()).spawn().unwrap();
        let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
        rustix::io::retry_on_intr(|| poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], None)).unwrap();
        (child, pidfd)
    }

    #[test]
    fn who_has_ended_says_nothing_any_more() {
        let (ours, theirs) = wire::pair().unwrap();
        let (mut child, pidfd) = ended();
        // With our own copy of its end open there is no end of file: this waited for ever.
        assert!(!says(ours.as_fd(), pidfd.as_fd()).unwrap());
        // Its last word counts all the same.
        wire::send(theirs.as_fd(), &wire::Record::ready(), None).unwrap();
        assert!(says(ours.as_fd(), pidfd.as_fd()).unwrap());
        child.wait().unwrap();
    }
}
