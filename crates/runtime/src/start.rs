//! Apply: from a plan to a process.

use crate::agent::{self, Pids};
use crate::cgroup::apply::{Made, doors};
use crate::child::{self, Inherited};
use crate::door::Apart;
use crate::plan::{Body, Plan};
use crate::wire::{self, Answer};
use crate::{Error, step};
use dhow_sys::clone::{Cloned, clone3, new};
use dhow_sys::exec::Image;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};
use rustix::thread::{LinkNameSpaceType, ThreadNameSpaceType};
use std::path::{Path, PathBuf};

/// The three standard descriptors of the new process; or a terminal.
#[derive(Debug)]
pub enum Stdio<'a> {
    /// stdin, stdout, stderr.
    Fds([BorrowedFd<'a>; 3]),
    /// A terminal is made in the container's devpts; its master comes back in [`Process::console`].
    Terminal {
        /// Rows and columns.
        size: (u16, u16),
    },
}

/// A process that is set up and waits for [`Process::go`] before it installs seccomp and executes its program.
/// Dropped before that, it is killed and everything made is undone.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    pidfd: OwnedFd,
    socket: OwnedFd,
    console: Option<OwnedFd>,
    mount_namespace: Option<OwnedFd>,
    /// Who is sent the listener of its filter, with the pid of the container's first process.
    agent: Option<(step::Listener, Pid)>,
    /// In this order: first the process, then what it was in.
    waiting: bool,
    made: Undo,
}

/// What a failed start takes back.
#[derive(Debug, Default)]
struct Undo {
    cgroups: Option<Made>,
    folders: Vec<PathBuf>,
}

impl Drop for Undo {
    fn drop(&mut self) {
        drop(self.cgroups.take());
        for folder in &self.folders {
            // Undoing after a failure that is already being reported.
            drop(std::fs::remove_dir_all(folder));
        }
    }
}

/// Makes namespaces, cgroups, mounts; returns when the child waits for "go". Must be called in a single-threaded process.
///
/// # Errors
/// The step that failed; nothing made is left.
pub fn create(plan: &Plan, netns: Option<BorrowedFd<'_>>, stdio: Stdio<'_>) -> Result<Process, Error> {
    first(plan, netns, stdio, None)
}

/// As [`create`], for a process that outlives its parent: after [`Process::leave`] it goes on by itself.
///
/// # Errors
/// As [`create`], and what of [`Process::go`] can be known before: a program that is not there.
pub fn create_apart(plan: &Plan, stdio: Stdio<'_>, apart: &Apart<'_>) -> Result<Process, Error> {
    first(plan, None, stdio, Some(apart))
}

fn first(
    plan: &Plan,
    netns: Option<BorrowedFd<'_>>,
    stdio: Stdio<'_>,
    apart: Option<&Apart<'_>>,
) -> Result<Process, Error> {
    let body = &plan.body;
    if body.exec {
        return Err(Error::invalid("plan", "is for an additional process of a container"));
    }
    if body.netns_passed != netns.is_some() {
        return Err(Error::invalid("netns", "the plan and the descriptor passed do not agree"));
    }
    let mut undo = Undo::default();
    if let Some(overlay) = &body.overlay {
        layers(overlay, &mut undo.folders)?;
    }
    undo.cgroups = Some(Made::new(&body.cgroups)?);
    start(body, netns, None, stdio, undo, apart)
}

/// Starts an additional process in the container whose init has `pid`. Same guarantees as [`create`].
///
/// # Errors
/// As [`create`].
pub fn exec(plan: &Plan, pid: Pid, stdio: Stdio<'_>) -> Result<Process, Error> {
    further(plan, pid, stdio, None)
}

/// As [`exec`], for a process that outlives its parent.
///
/// # Errors
/// As [`exec`], and what of [`Process::go`] can be known before.
pub fn exec_apart(plan: &Plan, pid: Pid, stdio: Stdio<'_>, apart: &Apart<'_>) -> Result<Process, Error> {
    further(plan, pid, stdio, Some(apart))
}

fn further(plan: &Plan, pid: Pid, stdio: Stdio<'_>, apart: Option<&Apart<'_>>) -> Result<Process, Error> {
    if !plan.body.exec {
        return Err(Error::invalid("plan", "is for a container's first process"));
    }
    let pidfd = pidfd_open(pid, PidfdFlags::empty())
        .map_err(|e| Error::os("exec in container", pid.as_raw_nonzero(), e))?;
    start(&plan.body, None, Some((pidfd.as_fd(), pid)), stdio, Undo::default(), apart)
}

fn start(
    body: &Body,
    netns: Option<BorrowedFd<'_>>,
    container: Option<(BorrowedFd<'_>, Pid)>,
    stdio: Stdio<'_>,
    undo: Undo,
    apart: Option<&Apart<'_>>,
) -> Result<Process, Error> {
    let mut image = Image::new(&body.program.args, &body.program.env);
    let (target, container) = container.unzip();
    let tasks = doors(&body.cgroups)?;
    let joins = joins(&body.joins)?;
    let (streams, size) = match stdio {
        Stdio::Fds(streams) => (Some(high(streams)?), (0, 0)),
        Stdio::Terminal { size } => (None, size),
    };
    if body.program.terminal != streams.is_none() {
        return Err(Error::invalid("stdio", "the plan and the streams passed do not agree about a terminal"));
    }
    let streams = streams.as_ref().map(|[a, b, c]| [a.as_fd(), b.as_fd(), c.as_fd()]);
    let (parent, child) = wire::pair().map_err(|e| Error::os("socketpair", "for the child", e))?;
    let cgroup = tasks.first().filter(|_| body.cgroups.v2).map(AsFd::as_fd);
    let pid_join = joins.iter().find(|(flag, _)| *flag == new::PID).map(|(_, fd)| fd.as_fd());
    child::keep_private().map_err(|e| Error::os("prctl", "DUMPABLE", e))?;
    // The child never comes back from here: what follows the clone is the parent's alone.
    let cloned = in_pid_namespace(pid_join, target, || match clone3(body.namespaces, cgroup)? {
        Cloned::Parent { pid, pidfd } => Ok((pid, pidfd)),
        Cloned::Child => child::run(
            &Inherited {
                body,
                parent: &child,
                tasks: if body.cgroups.v2 { &[] } else { &tasks },
                joins: &joins,
                netns,
                target,
                stdio: streams,
                size,
                apart,
            },
            &mut image,
        ),
    })?;
    let (pid, pidfd) = cloned.map_err(|e: Errno| Error::os("clone3", "container", e))?;
    drop(child);
    let mut process = Process {
        pid,
        pidfd,
        socket: parent,
        console: None,
        mount_namespace: None,
        agent: body.program.listener.clone().map(|agent| (agent, container.unwrap_or(pid))),
        waiting: true,
        made: undo,
    };
    let mut answer = process.answer("receive", "from the child")?;
    if let Answer::Listener(number) = answer {
        process.notify_agent(number)?;
        answer = process.answer("receive", "from the child")?;
    }
    match answer {
        Answer::Ready(console) => process.console = console,
        Answer::Failed(error) => return Err(error),
        Answer::Listener(_) => return Err(Error::os("set up", "container", Errno::PROTO)),
        Answer::Closed => {
            return Err(Error::os("set up", "container", Errno::CHILD).because("the child died"));
        }
    }
    let path = format!("/proc/{}/ns/mnt", process.pid.as_raw_nonzero());
    process.mount_namespace = Some(
        open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|e| Error::os("open", &path, e))?,
    );
    Ok(process)
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

/// Copies above the standard descriptors, so that putting one in place does not cover another.
fn high(streams: [BorrowedFd<'_>; 3]) -> Result<[OwnedFd; 3], Error> {
    let copy = |fd: BorrowedFd<'_>| {
        rustix::io::fcntl_dupfd_cloexec(fd, 3)
            .map_err(|e| Error::os("dup", format_args!("stdio {}", fd.as_raw_fd()), e))
    };
    let [stdin, stdout, stderr] = streams;
    Ok([copy(stdin)?, copy(stdout)?, copy(stderr)?])
}

fn joins(joins: &[step::Join]) -> Result<Vec<(u64, OwnedFd)>, Error> {
    let open = |join: &step::Join| {
        let fd = open(join.path.as_c_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|e| Error::os("open namespace", join.path.to_string_lossy(), e))?;
        Ok((join.flag, fd))
    };
    joins.iter().map(open).collect()
}

/// Makes the writable layer's folders with the owner and mode of the image's root.
fn layers(overlay: &step::Overlay, made: &mut Vec<PathBuf>) -> Result<(), Error> {
    let stat = overlay.top.as_ref().map(rustix::fs::stat).transpose();
    let stat = stat
        .map_err(|e| Error::os("stat layer", overlay.top.as_deref().unwrap_or(Path::new("")).display(), e))?;
    if overlay.volatile {
        // The mark of an earlier volatile mount: the kernel refuses another one, as a power cut may have been between. Nobody counts on
        // this content outliving one.
        let mark = overlay.work.join("work/incompat/volatile");
        match std::fs::remove_dir_all(&mark) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove", mark.display(), &e));
            }
            _ => {}
        }
    }
    for (path, is_upper) in [(&overlay.upper, true), (&overlay.work, false)] {
        match rustix::fs::mkdir(path, Mode::from_raw_mode(0o700)) {
            Ok(()) => made.push(path.clone()),
            Err(Errno::EXIST) => continue,
            Err(e) => return Err(Error::os("mkdir", path.display(), e)),
        }
        if let (true, Some(stat)) = (is_upper, &stat) {
            let (uid, gid) = (rustix::fs::Uid::from_raw(stat.st_uid), rustix::fs::Gid::from_raw(stat.st_gid));
            rustix::fs::chown(path, Some(uid), Some(gid))
                .map_err(|e| Error::os("chown", path.display(), e))?;
            rustix::fs::chmod(path, Mode::from_raw_mode(stat.st_mode & 0o7777))
                .map_err(|e| Error::os("chmod", path.display(), e))?;
        }
    }
    Ok(())
}

impl Process {
    /// In the caller's pid namespace.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Pollable: readable when the process has ended.
    #[must_use]
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// The terminal's master, once.
    pub fn console(&mut self) -> Option<OwnedFd> {
        self.console.take()
    }

    /// Lets it go on: seccomp, execve. Returns when the program runs (the CLOEXEC pipe closed).
    ///
    /// # Errors
    /// `step: "exec"`, the program, ENOENT / EACCES / …: docker's exit codes 127 and 126 come from these. The process is gone and
    /// everything made is undone.
    pub fn go(&mut self) -> Result<(), Error> {
        if !self.waiting {
            return Err(Error::invalid("process", "was already started"));
        }
        let mut result = self.say_go();
        if let Ok(Answer::Listener(number)) = result {
            result =
                self.notify_agent(number).and_then(|()| self.answer("exec", "the child does not answer"));
        }
        match result {
            Ok(Answer::Closed) => {
                self.keep();
                Ok(())
            }
            Ok(Answer::Failed(error)) | Err(error) => {
                self.undo();
                Err(error)
            }
            Ok(Answer::Ready(_) | Answer::Listener(_)) => {
                self.undo();
                Err(Error::os("exec", "the child answers out of turn", Errno::PROTO))
            }
        }
    }

    /// Leaves it waiting behind its door: nothing is undone any more.
    pub fn leave(mut self) {
        self.keep();
    }

    fn keep(&mut self) {
        self.waiting = false;
        if let Some(cgroups) = &mut self.made.cgroups {
            cgroups.keep();
        }
        self.made.folders.clear();
    }

    fn say_go(&self) -> Result<Answer, Error> {
        const UNHEARD: &str = "the child does not answer";
        wire::go(self.socket.as_fd()).map_err(|e| Error::os("exec", UNHEARD, e))?;
        self.answer("exec", UNHEARD)
    }

    fn answer(&self, step: &str, object: &str) -> Result<Answer, Error> {
        wire::receive(self.socket.as_fd()).map_err(|e| Error::os(step, object, e))
    }

    /// Sends the agent the child's listener, and lets the child go on.
    fn notify_agent(&self, number: RawFd) -> Result<(), Error> {
        let Some((agent, container)) = &self.agent else {
            return Err(Error::os("exec", "the child answers out of turn", Errno::PROTO));
        };
        let pids = Pids { own: self.pid, container: *container };
        agent::send(agent, self.pidfd.as_fd(), number, pids)?;
        wire::go(self.socket.as_fd()).map_err(|e| Error::os("exec", "the child does not answer", e))
    }

    /// The container's mount namespace: held, so that its overlay is unmounted only when this is dropped.
    pub fn take_mount_namespace(&mut self) -> Option<OwnedFd> {
        self.mount_namespace.take()
    }

    fn undo(&mut self) {
        if !self.waiting {
            return;
        }
        self.waiting = false;
        // It may have ended by itself; then the signal has nobody to go to, and the wait collects it.
        pidfd_send_signal(&self.pidfd, Signal::KILL).unwrap_or_default();
        let reaped =
            rustix::io::retry_on_intr(|| waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED));
        reaped.unwrap_or_default();
        self.mount_namespace = None;
        drop(std::mem::take(&mut self.made));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.undo();
    }
}
