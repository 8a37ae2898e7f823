//! Apply: from a plan to a process.

use crate::agent::{self, Pids};
use crate::cgroup::apply::{Doors, Made};
use crate::child::{self, HookImages, Inherited};
use crate::door::Apart;
use crate::hooks::outside;
use crate::plan::{Body, Plan};
use crate::wire::{self, Answer};
use crate::{Error, birth, interfaces, step, trees, userns};
use dhow_sys::exec::{Image, close_all};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Gid, Mode, OFlags, Uid, open};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};
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
    /// Its parent, if that is not the caller.
    reaper: Option<Reaper>,
    socket: OwnedFd,
    console: Option<OwnedFd>,
    mount_namespace: Option<OwnedFd>,
    /// Who is sent the listener of its filter, with the pid of the container's first process.
    agent: Option<Box<(step::Listener, Pid)>>,
    /// In this order: first the process, then what it was in.
    waiting: bool,
    made: Undo,
}

/// The process between an additional process and the caller.
#[derive(Debug)]
struct Reaper {
    pid: Pid,
    /// Until somebody else waits for it.
    pidfd: Option<OwnedFd>,
    /// Four bytes, then the end.
    status: OwnedFd,
    /// It was killed: nobody will ever say how the process ended.
    gone: bool,
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
    start(body, netns, None, None, stdio, undo, apart)
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
    start(&plan.body, None, Some(pidfd.as_fd()), Some(pid), stdio, Undo::default(), apart)
}

/// The three descriptors, or the size of a terminal.
struct Streams<'a> {
    fds: Option<[BorrowedFd<'a>; 3]>,
    size: (u16, u16),
}

fn streams<'a>(body: &Body, stdio: Stdio<'a>) -> Result<Streams<'a>, Error> {
    let (streams, size) = match stdio {
        Stdio::Fds(streams) => (Some(streams), (0, 0)),
        Stdio::Terminal { size: (0, 0) } => (None, (body.program.rows, body.program.columns)),
        Stdio::Terminal { size } => (None, size),
    };
    if body.program.terminal != streams.is_none() {
        return Err(Error::invalid("stdio", "the plan and the streams passed do not agree about a terminal"));
    }
    if let (Some(streams), Some(owner)) = (&streams, body.stdio_owner) {
        own_pipes(streams, owner)?;
    }
    Ok(Streams { fds: streams, size })
}

fn start(
    body: &Body,
    netns: Option<BorrowedFd<'_>>,
    target: Option<BorrowedFd<'_>>,
    container: Option<Pid>,
    stdio: Stdio<'_>,
    undo: Undo,
    apart: Option<&Apart<'_>>,
) -> Result<Process, Error> {
    let mut image = Image::new(&body.program.args, &body.program.env);
    let groups: Vec<Gid> = body.program.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    let doors = Doors::open(&body.cgroups)?;
    let joins = joins(&body.joins)?;
    let trees = trees::make(body)?;
    let hooks = body.hooks.as_ref().map(|hooks| hook_images(hooks, body)).transpose()?;
    let Streams { fds: streams, size } = streams(body, stdio)?;
    let copies = match streams {
        Some([stdin, stdout, stderr]) => [high(stdin)?, high(stdout)?, high(stderr)?],
        None => [None, None, None],
    };
    let streams = streams.map(|[stdin, stdout, stderr]| {
        let [a, b, c] = &copies;
        [
            a.as_ref().map_or(stdin, AsFd::as_fd),
            b.as_ref().map_or(stdout, AsFd::as_fd),
            c.as_ref().map_or(stderr, AsFd::as_fd),
        ]
    });
    let (parent, child) = wire::pair().map_err(|e| Error::os("socketpair", "for the child", e))?;
    let mut keep: Vec<BorrowedFd<'_>> =
        joins.iter().map(|(_, fd)| fd).chain(&trees).map(AsFd::as_fd).collect();
    keep.extend(
        [Some(child.as_fd()), netns, target, apart.and_then(|apart| apart.door)].into_iter().flatten(),
    );
    keep.extend(hooks.as_ref().map(|hooks| hooks.output.as_fd()));
    keep.sort_unstable_by_key(AsRawFd::as_raw_fd);
    // Who goes apart has nobody to stay for.
    let status = if container.is_some() && apart.is_none() { Some(status_pipe()?) } else { None };
    let inherited = Inherited {
        body,
        parent: &child,
        tasks: &doors.tasks,
        joins: &joins,
        netns,
        target,
        stdio: streams,
        ignored: dhow_sys::signals::ignored(),
        size,
        groups: &groups,
        trees: &trees,
        hooks: hooks.as_ref(),
        keep: &keep,
        joined: false,
        reaped: status.is_some(),
        apart,
    };
    child::keep_private().map_err(|e| Error::os("prctl", "DUMPABLE", e))?;
    let (status, end) = status.unzip();
    let birth::Born { pid, pidfd, reaper } =
        birth::process(&inherited, &doors, container, parent.as_fd(), end.as_ref(), &mut image)?;
    let reaper = reaper.zip(status).map(|((pid, pidfd), status)| Reaper {
        pid,
        pidfd: Some(pidfd),
        status,
        gone: false,
    });
    let Doors { tasks, folder } = doors;
    let held = tasks.into_iter().chain(folder).chain(joins.into_iter().map(|(_, fd)| fd));
    close_all(held.chain(trees).chain(hooks.map(|hooks| hooks.output)).chain([child]).chain(end).collect());
    let mut process = Process {
        pid,
        pidfd,
        reaper,
        socket: parent,
        console: None,
        mount_namespace: None,
        agent: body.program.listener.clone().map(|agent| Box::new((agent, container.unwrap_or(pid)))),
        waiting: true,
        made: undo,
    };
    process.accompany(body)?;
    if let Some(cgroups) = &mut process.made.cgroups {
        cgroups.entered();
    }
    let path = format!("/proc/{}/ns/mnt", process.pid.as_raw_nonzero());
    process.mount_namespace = Some(
        open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|e| Error::os("open", &path, e))?,
    );
    Ok(process)
}

/// By which a reaper says how its process ended.
fn status_pipe() -> Result<(OwnedFd, OwnedFd), Error> {
    let flags = rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK;
    rustix::pipe::pipe_with(flags).map_err(|e| Error::os("pipe", "for an exit status", e))
}

/// The command lines of the child's hooks. Without an environment of its own a hook has the program's.
fn hook_images(hooks: &step::Hooks, body: &Body) -> Result<HookImages, Error> {
    let images = |list: &[step::Hook]| {
        let env =
            |hook: &step::Hook| if hook.env.is_empty() { body.program.env.clone() } else { hook.env.clone() };
        list.iter().map(|hook| Image::new(&hook.args, &env(hook))).collect()
    };
    Ok(HookImages {
        container: images(&hooks.create_container),
        start: images(&hooks.start_container),
        output: crate::hooks::memory().map_err(|e| Error::os("memfd_create", "for hooks", e))?,
    })
}

pub(crate) fn receive(socket: BorrowedFd<'_>) -> Result<Answer, Error> {
    wire::receive(socket).map_err(|e| Error::os("receive", "from the child", e))
}

/// A copy above the standard descriptors of what is not there already, so that putting one in place does not cover another.
fn high(fd: BorrowedFd<'_>) -> Result<Option<OwnedFd>, Error> {
    if fd.as_raw_fd() > 2 {
        return Ok(None);
    }
    rustix::io::fcntl_dupfd_cloexec(fd, 3)
        .map(Some)
        .map_err(|e| Error::os("dup", format_args!("stdio {}", fd.as_raw_fd()), e))
}

/// Gives pipes to the program's user as the host counts, so that it can open /dev/stdout again: the owner that they have is nobody in
/// its user namespace, who cannot be changed from there.
fn own_pipes(streams: &[BorrowedFd<'_>; 3], owner: u32) -> Result<(), Error> {
    for stream in streams {
        let failed = |e| Error::os("chown", "stdio", e);
        let stat = rustix::fs::fstat(stream).map_err(failed)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Fifo && stat.st_uid != owner {
            rustix::fs::fchown(stream, Some(Uid::from_raw(owner)), None).map_err(failed)?;
        }
    }
    Ok(())
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
pub(crate) fn layers(overlay: &step::Overlay, made: &mut Vec<PathBuf>) -> Result<(), Error> {
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

/// Takes the exit status of a child, 128 + n for signal n, if it has ended; 255 if somebody else took it.
#[must_use]
pub fn try_wait(pidfd: BorrowedFd<'_>) -> Option<i32> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    match waitid(WaitId::PidFd(pidfd), options) {
        Ok(Some(status)) => {
            let signal = || status.terminating_signal().map(|signal| 128 + signal);
            Some(status.exit_status().or_else(signal).unwrap_or(255))
        }
        Ok(None) | Err(Errno::INTR) => None,
        Err(_) => Some(255),
    }
}

/// Kills; one that has ended is dead enough.
fn kill(pidfd: BorrowedFd<'_>) -> rustix::io::Result<()> {
    match pidfd_send_signal(pidfd, Signal::KILL) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(e) => Err(e),
    }
}

/// A process in an uninterruptible sleep does not end; who comes after it must not wait for it.
fn await_end(pidfd: &OwnedFd) {
    let limit = Timespec { tv_sec: 1, tv_nsec: 0 };
    poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&limit)).unwrap_or_default();
}

impl Process {
    /// Does for the child what only the parent may, until it waits for "go".
    fn accompany(&mut self, body: &Body) -> Result<(), Error> {
        let socket = self.socket.as_fd();
        let go_on = || wire::go(socket).map_err(|e| Error::os("tell", "the child", e));
        if let Some(maps) = &body.user {
            userns::write_maps(self.pid, maps)?;
            go_on()?;
        }
        let console = loop {
            match receive(socket)? {
                Answer::Ready(console) => break console,
                Answer::Hooks => {
                    interfaces::move_all(&body.interfaces, self.pid)?;
                    if let Some(hooks) = &body.hooks {
                        outside("prestart", &hooks.prestart, self.pid, &hooks.state)?;
                        outside("createRuntime", &hooks.create_runtime, self.pid, &hooks.state)?;
                    }
                    go_on()?;
                }
                Answer::Failed(error) => return Err(error),
                Answer::Listener(_) => return Err(Error::os("set up", "container", Errno::PROTO)),
                Answer::Closed | Answer::Born(..) => {
                    return Err(Error::os("set up", "container", Errno::CHILD).because("the child died"));
                }
            }
        };
        if body.in_userns {
            if let Some(value) = &body.program.oom_score_adj {
                let path = format!("/proc/{}/oom_score_adj", self.pid.as_raw_nonzero());
                std::fs::write(&path, value.as_bytes()).map_err(|e| Error::io("write", &path, &e))?;
            }
            child::privileged(&body.program, Some(self.pid)).map_err(|failure| failure.into_error())?;
        }
        self.console = console;
        Ok(())
    }

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

    /// Pollable: readable when [`Process::try_wait`] has something to say.
    #[must_use]
    pub fn ended(&self) -> BorrowedFd<'_> {
        let reaper = self.reaper.as_ref().filter(|reaper| !reaper.gone);
        reaper.map_or(self.pidfd.as_fd(), |reaper| reaper.status.as_fd())
    }

    /// Takes its exit status, 128 + n for signal n, if it has ended; 255 if somebody else took it, 137 if its reaper was killed before it.
    pub fn try_wait(&mut self) -> Option<i32> {
        let Some(reaper) = &mut self.reaper else { return try_wait(self.pidfd.as_fd()) };
        let mut code = [0; 4];
        match rustix::io::read(&reaper.status, &mut code) {
            Ok(4) => return Some(i32::from_le_bytes(code)),
            Err(Errno::AGAIN | Errno::INTR) => return None,
            Ok(_) | Err(_) => reaper.gone = true,
        }
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let ended = poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], Some(&now));
        ended.is_ok_and(|count| count > 0).then_some(137)
    }

    /// The child of the caller that collects what an additional process leaves behind, once: it is to be waited for, and ends
    /// when nothing is left, maybe long after the process.
    pub fn take_reaper(&mut self) -> Option<OwnedFd> {
        self.reaper.as_mut()?.pidfd.take()
    }

    /// Kills an additional process and all that it started, also what has left its process group. Only before it was seen to have ended.
    ///
    /// # Errors
    /// What the kernel says but that there is nobody any more.
    pub fn kill_all(&self) -> rustix::io::Result<()> {
        kill(self.pidfd.as_fd())?;
        let Some(reaper) = &self.reaper else { return Ok(()) };
        let pid = reaper.pid.as_raw_nonzero();
        let children = format!("/proc/{pid}/task/{pid}/children");
        // What dies leaves its children to the reaper: the next round sees them. What forks faster than this loses against its pids limit.
        for _ in 0..64 {
            let Ok(text) = std::fs::read_to_string(&children) else { return Ok(()) };
            let pids: Vec<Pid> =
                text.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect();
            if pids.is_empty() {
                return Ok(());
            }
            for pid in pids {
                let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
                kill(pidfd.as_fd())?;
                await_end(&pidfd);
            }
        }
        Ok(())
    }

    /// The process itself, or its reaper, that ends with it.
    fn wait_for_child(&self) {
        let child = self.reaper.as_ref().and_then(|reaper| reaper.pidfd.as_ref()).unwrap_or(&self.pidfd);
        let reaped =
            rustix::io::retry_on_intr(|| waitid(WaitId::PidFd(child.as_fd()), WaitIdOptions::EXITED));
        reaped.unwrap_or_default();
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
        if let (Ok(Answer::Listener(number)), Some(agent)) = (&result, &self.agent) {
            let (agent, container) = agent.as_ref();
            let pids = Pids { own: self.pid, container: *container };
            result = agent::send(agent, self.pidfd.as_fd(), *number, pids).and_then(|()| self.say_go());
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
            Ok(Answer::Ready(_) | Answer::Listener(_) | Answer::Hooks | Answer::Born(..)) => {
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
        wire::go(self.socket.as_fd())
            .and_then(|()| wire::receive(self.socket.as_fd()))
            .map_err(|e| Error::os("exec", "the child does not answer", e))
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
        kill(self.pidfd.as_fd()).unwrap_or_default();
        self.wait_for_child();
        self.mount_namespace = None;
        drop(std::mem::take(&mut self.made));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.undo();
    }
}
