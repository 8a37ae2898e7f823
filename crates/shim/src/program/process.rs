//! One process of the container, from its creation until its output has ended.

use super::{
    attached::Attached,
    clock,
    log::Log,
    streams::{Ends, Streams},
};
use crate::{Exit, StdioConfig, Target};
use dhow_runtime as runtime;
use rustix::{
    fd::AsFd,
    io::Errno,
    process::{WaitId, WaitIdOptions},
};
use std::time::{Duration, Instant};

/// How long output of an exec's children that outlive it is still forwarded, as docker does.
const EXEC_GRACE: Duration = Duration::from_secs(2);
/// How long the end of the container waits for output that strays hold open after they were killed.
const INIT_GRACE: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Process {
    pub(super) target: Target,
    process: runtime::Process,
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
        make: impl FnOnce(runtime::Stdio<'_>) -> Result<runtime::Process, runtime::Error>,
    ) -> Result<Self, runtime::Error> {
        let (mut streams, mut process);
        if stdio.tty {
            streams = Streams::terminal(log);
            process = make(runtime::Stdio::Terminal { size: stdio.size })?;
            let console =
                process.console().ok_or_else(|| failure("open", "the terminal's master", Errno::BADF))?;
            streams.set_console(console).map_err(io_failure("open", "the terminal's master"))?;
        } else {
            let ends;
            (streams, ends) = Streams::pipes(stdio, log).map_err(io_failure("make", "pipes"))?;
            let Ends([stdin, stdout, stderr]) = &ends;
            process = make(runtime::Stdio::Fds([stdin.as_fd(), stdout.as_fd(), stderr.as_fd()]))?;
        }
        Ok(Self { target, process, streams, started: false, exit: None, closed: false, deadline: None })
    }

    pub(super) fn attach(&mut self, mut client: Attached) {
        if self.closed {
            client.close();
        }
        self.streams.clients.push(client);
    }

    pub(super) fn pid(&self) -> i32 {
        self.process.pid().as_raw_pid()
    }

    /// Polled for its end.
    pub(super) fn pidfd(&self) -> Option<rustix::fd::BorrowedFd<'_>> {
        (self.started && self.exit.is_none()).then(|| self.process.pidfd())
    }

    pub(super) fn go(&mut self) -> Result<(), runtime::Error> {
        self.process.go()?;
        self.started = true;
        Ok(())
    }

    pub(super) fn signal(&self, signal: i32) -> Result<(), Errno> {
        if self.exit.is_some() {
            return Err(Errno::SRCH);
        }
        dhow_sys::signals::pidfd_send_signal(self.process.pidfd(), signal)?;
        if signal == 9 && self.target != Target::Init {
            // An exec is killed with its children (a probe that timed out must leave none): it leads its own group, whose number
            // is taken as long as it was not waited for. Without a group, it has none.
            rustix::process::kill_process_group(self.process.pid(), rustix::process::Signal::KILL).or_else(
                |errno| {
                    if errno == Errno::SRCH { Ok(()) } else { Err(errno) }
                },
            )?;
        }
        Ok(())
    }

    /// Takes the exit status, if there is one, and the output that was left.
    pub(super) fn reap(&mut self, oom: impl FnOnce(i32) -> bool, buffer: &mut [u8]) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let code = match rustix::process::waitid(WaitId::PidFd(self.process.pidfd()), options) {
            Ok(Some(status)) => status
                .exit_status()
                .or_else(|| status.terminating_signal().map(|signal| 128 + signal))
                .unwrap_or(255),
            Ok(None) | Err(Errno::INTR) => return false,
            // Somebody else took it: it has ended all the same.
            Err(_) => 255,
        };
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
