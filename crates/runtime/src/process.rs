//! A process that was made: what the parent does for it until it runs, and how it ends.

use crate::agent::{self, Pids};
use crate::cgroup::apply::Made;
use crate::child;
use crate::hooks::outside;
use crate::plan::Body;
use crate::start::receive;
use crate::wire::{self, Answer};
use crate::{Error, interfaces, step, userns};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};
use std::path::PathBuf;

/// A process that is set up and waits for [`Process::go`] before it installs seccomp and executes its program.
/// Dropped before that, it is killed and everything made is undone.
#[derive(Debug)]
pub struct Process {
    pub(crate) pid: Pid,
    pub(crate) pidfd: OwnedFd,
    /// Its parent, if that is not the caller.
    pub(crate) reaper: Option<Reaper>,
    pub(crate) socket: OwnedFd,
    pub(crate) console: Option<OwnedFd>,
    pub(crate) mount_namespace: Option<OwnedFd>,
    /// Who is sent the listener of its filter, with the pid of the container's first process.
    pub(crate) agent: Option<(step::Listener, Pid)>,
    /// In this order: first the process, then what it was in.
    pub(crate) waiting: bool,
    pub(crate) made: Undo,
}

/// The process between an additional process and the caller.
#[derive(Debug)]
pub(crate) struct Reaper {
    pub(crate) pid: Pid,
    /// Until somebody else waits for it.
    pub(crate) pidfd: Option<OwnedFd>,
    /// Four bytes, then the end.
    pub(crate) status: OwnedFd,
    /// It was killed: nobody will ever say how the process ended.
    pub(crate) gone: bool,
}

/// What a failed start takes back.
#[derive(Debug, Default)]
pub(crate) struct Undo {
    pub(crate) cgroups: Option<Made>,
    pub(crate) folders: Vec<PathBuf>,
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
    pub(crate) fn accompany(&mut self, body: &Body) -> Result<(), Error> {
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
        if let (Ok(Answer::Listener(number)), Some((agent, container))) = (&result, &self.agent) {
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
