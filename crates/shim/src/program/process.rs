//! One process of the container, from its creation until its output has ended.

use super::{
    attached::Attached,
    clock,
    log::Log,
    outside::{Runtime, Started},
    streams::{Ends, Streams},
};
use crate::{Exit, StdioConfig, Target};
use dhow_runtime as runtime;
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    io::Errno,
    process::Pid,
};
use std::time::{Duration, Instant};

/// How long output of an exec's children that outlive it is still forwarded, as docker does.
const EXEC_GRACE: Duration = Duration::from_secs(2);
/// How long the end of the container waits for output that strays hold open after they were killed.
const INIT_GRACE: Duration = Duration::from_millis(100);

/// Who made it.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "a handful in a shim, and never in a list of many")]
pub(super) enum Body {
    Ours(Box<runtime::Process>),
    /// Another runtime. The code is there when it was collected.
    Theirs(Started, Option<i32>),
}

impl Body {
    fn pid(&self) -> Pid {
        match self {
            Self::Ours(process) => process.pid(),
            Self::Theirs(started, _) => started.pid,
        }
    }

    fn pidfd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Ours(process) => process.pidfd(),
            Self::Theirs(started, _) => started.pidfd.as_fd(),
        }
    }

    /// Polled for its end.
    fn ended(&self) -> BorrowedFd<'_> {
        match self {
            Self::Ours(process) => process.ended(),
            Self::Theirs(started, _) => started.pidfd.as_fd(),
        }
    }

    fn console(&mut self) -> Option<OwnedFd> {
        match self {
            Self::Ours(process) => process.console(),
            Self::Theirs(started, _) => started.console.take(),
        }
    }

    fn try_wait(&mut self) -> Option<i32> {
        match self {
            Self::Ours(process) => process.try_wait(),
            Self::Theirs(started, code) => code.or_else(|| runtime::try_wait(started.pidfd.as_fd())),
        }
    }
}

#[derive(Debug)]
pub(super) struct Process {
    pub(super) target: Target,
    body: Body,
    pub(super) streams: Streams,
    /// Its program was executed.
    pub(super) started: bool,
    /// It has ended.
    pub(super) exit: Option<Exit>,
    /// Its output has ended as well.
    pub(super) closed: bool,
    /// When its output is taken for ended.
    pub(super) deadline: Option<Instant>,
}

/// An error of this side, in the runtime's form.
pub(super) fn failure(step: &str, object: impl Into<String>, errno: Errno) -> runtime::Error {
    runtime::Error {
        step: step.to_owned(),
        object: object.into(),
        errno: errno.raw_os_error(),
        detail: String::new(),
    }
}

fn io_failure(step: &'static str, object: &str) -> impl Fn(std::io::Error) -> runtime::Error {
    move |error| failure(step, object, Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

impl Process {
    /// Prepares streams and has `make` create the process on them.
    pub(super) fn new(
        target: Target,
        stdio: &StdioConfig,
        log: Option<Log>,
        make: impl FnOnce(runtime::Stdio<'_>) -> Result<Body, runtime::Error>,
    ) -> Result<Self, runtime::Error> {
        let (mut streams, mut body);
        if stdio.tty {
            streams = Streams::terminal(log);
            body = make(runtime::Stdio::Terminal { size: stdio.size })?;
            let console =
                body.console().ok_or_else(|| failure("open", "the terminal's master", Errno::BADF))?;
            streams.set_console(console).map_err(io_failure("open", "the terminal's master"))?;
        } else {
            let ends;
            (streams, ends) = Streams::pipes(stdio, log).map_err(io_failure("make", "pipes"))?;
            let Ends([stdin, stdout, stderr]) = &ends;
            body = make(runtime::Stdio::Fds([stdin.as_fd(), stdout.as_fd(), stderr.as_fd()]))?;
        }
        Ok(Self { target, body, streams, started: false, exit: None, closed: false, deadline: None })
    }

    pub(super) fn attach(&mut self, mut client: Attached) {
        if self.closed {
            client.close();
        }
        self.streams.clients.push(client);
    }

    pub(super) fn pid(&self) -> i32 {
        self.body.pid().as_raw_pid()
    }

    /// Polled for its end.
    pub(super) fn ended(&self) -> Option<BorrowedFd<'_>> {
        (self.started && self.exit.is_none()).then(|| self.body.ended())
    }

    /// Who collects what it leaves behind, to be waited for.
    pub(super) fn take_reaper(&mut self) -> Option<OwnedFd> {
        match &mut self.body {
            Body::Ours(process) => process.take_reaper(),
            Body::Theirs(..) => None,
        }
    }

    /// Lets its program run. What another runtime executes by `exec` runs already.
    pub(super) fn go(&mut self, outside: Option<&Runtime>) -> Result<(), runtime::Error> {
        match (&mut self.body, outside) {
            (Body::Ours(process), _) => process.go()?,
            (Body::Theirs(..), Some(outside)) if self.target == Target::Init => {
                outside.call(&["start"], &[], &[])?;
            }
            (Body::Theirs(..), _) => {}
        }
        self.started = true;
        Ok(())
    }

    /// Another's child, collected among all that end.
    pub(super) fn collected(&mut self, pid: Pid, exit: i32) {
        if let Body::Theirs(started, code) = &mut self.body
            && started.pid == pid
        {
            *code = Some(exit);
        }
    }

    pub(super) fn signal(&self, signal: i32) -> Result<(), Errno> {
        if self.exit.is_some() {
            return Err(Errno::SRCH);
        }
        dhow_sys::signals::pidfd_send_signal(self.body.pidfd(), signal)?;
        if signal == 9 && self.target != Target::Init {
            // An exec is killed with its children: a probe that timed out must leave none.
            self.kill_group()?;
            if let Body::Ours(process) = &self.body {
                process.kill_all()?;
            }
        }
        Ok(())
    }

    /// It leads a group, whose number is taken as long as anybody is in it. Without a group, it has none.
    fn kill_group(&self) -> Result<(), Errno> {
        match rustix::process::kill_process_group(self.body.pid(), rustix::process::Signal::KILL) {
            Err(Errno::SRCH) => Ok(()),
            other => other,
        }
    }

    /// Takes the exit status, if there is one, and the output that was left.
    pub(super) fn reap(&mut self, oom: impl FnOnce(i32) -> bool, buffer: &mut [u8]) -> bool {
        let Some(code) = self.body.try_wait() else { return false };
        self.exit = Some(Exit { code, oom: oom(code), at: clock::now() });
        self.streams.hurry = true;
        self.streams.drain(buffer);
        let grace = if self.target == Target::Init { INIT_GRACE } else { EXEC_GRACE };
        self.deadline = Some(Instant::now() + grace);
        true
    }

    /// Whether the output is to be closed now: it has ended by itself or must.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        let late = self.deadline.is_some_and(|deadline| deadline <= now);
        self.exit.is_some() && !self.closed && (late || self.streams.is_drained())
    }

    pub(super) fn close(&mut self) {
        self.streams.close();
        (self.closed, self.deadline) = (true, None);
    }
}
