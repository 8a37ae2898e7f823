//! What a daemon asks for.

use super::{
    attached::Attached,
    log::Log,
    process::{Process, failure},
    shim::Shim,
};
use crate::{Event, LogConfig, Request, StdioConfig, Target, codec, socket::Message};
use dhow_runtime as runtime;
use rustix::{
    fd::{AsFd, OwnedFd},
    io::Errno,
};

type Answer = Result<Event, runtime::Error>;

fn named(target: &Target) -> String {
    match target {
        Target::Init => "container".to_owned(),
        Target::Exec(id) => format!("exec {id}"),
    }
}

impl Shim {
    /// Does it and says how it went.
    pub(super) fn handle(&mut self, message: Message) -> Event {
        let (seq, request) = match codec::decode_request(&message.bytes) {
            Ok(decoded) => decoded,
            Err(error) => {
                let (step, object, detail) = ("decode".to_owned(), "request".to_owned(), error.to_string());
                return Event::Failed { seq: 0, step, object, errno: 0, detail };
            }
        };
        self.answer(seq, request, message.fds).unwrap_or_else(|error| {
            let runtime::Error { step, object, errno, detail } = error;
            Event::Failed { seq, step, object, errno, detail }
        })
    }

    fn answer(&mut self, seq: u32, request: Request, fds: Vec<OwnedFd>) -> Answer {
        match request {
            Request::Create { plan, netns, stdio, log } => {
                let netns = if netns {
                    Some(fds.first().ok_or_else(|| failure("create", "network namespace", Errno::BADF))?)
                } else {
                    None
                };
                self.create(seq, &plan, netns, &stdio, log)
            }
            Request::Go => self.go(seq),
            Request::Exec { id, plan, stdio } => self.exec(seq, id, &plan, &stdio),
            Request::Attach { target, stdin, stdout, stderr } => {
                let socket = fds.into_iter().next();
                let socket = socket.ok_or_else(|| failure("attach", named(&target), Errno::BADF))?;
                self.attach(target, Attached::new(socket, stdin, stdout, stderr));
                Ok(Event::Done { seq })
            }
            Request::Signal { target, signal } => {
                let process = self.find(&target).ok_or(Errno::SRCH);
                let sent = process.and_then(|process| process.signal(signal));
                sent.map_err(|errno| failure("signal", named(&target), errno))?;
                Ok(Event::Done { seq })
            }
            Request::Resize { target, rows, cols } => {
                let process = self.find(&target).ok_or(Errno::SRCH);
                let set = process.and_then(|process| process.streams.resize(rows, cols));
                set.map_err(|errno| failure("resize", named(&target), errno))?;
                Ok(Event::Done { seq })
            }
            Request::Goodbye => {
                if self.init().is_some_and(|init| init.started && init.exit.is_none()) {
                    return Err(failure("leave", "container", Errno::BUSY));
                }
                self.leaving = true;
                self.release()?;
                Ok(Event::Done { seq })
            }
        }
    }

    fn create(
        &mut self,
        seq: u32,
        plan: &[u8],
        netns: Option<&OwnedFd>,
        stdio: &StdioConfig,
        log: LogConfig,
    ) -> Answer {
        if self.created {
            return Err(failure("create", "container", Errno::EXIST));
        }
        let plan = runtime::Plan::decode(plan)?;
        let path = match &log {
            LogConfig::JsonFile { path, .. } => path.display().to_string(),
            LogConfig::None => String::new(),
        };
        let log = Log::open(log)
            .map_err(|error| failure("open log", path, Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        let make = |stdio: runtime::Stdio<'_>| runtime::create(&plan, netns.map(AsFd::as_fd), stdio);
        let process = Process::new(Target::Init, stdio, log, make)?;
        self.created = true;
        self.cgroups = plan.cgroup_dirs().to_vec();
        let pid = process.pid();
        self.add(process);
        Ok(Event::Created { seq, pid })
    }

    fn go(&mut self, seq: u32) -> Answer {
        let process =
            self.processes.first_mut().filter(|first| first.target == Target::Init && !first.started);
        let process = process.ok_or_else(|| failure("start", "container", Errno::INVAL))?;
        // The container's own counter, before its program can do anything.
        self.oom_kills = runtime::oom_kills(&self.cgroups);
        match process.go() {
            Ok(()) => Ok(Event::Started { seq, pid: process.pid() }),
            Err(error) => {
                process.close();
                // Dropped before its program ran: the runtime undoes everything.
                let mut failed = self.processes.remove(0);
                self.orphans.append(&mut failed.streams.clients);
                self.cgroups.clear();
                Err(error)
            }
        }
    }

    fn exec(&mut self, seq: u32, id: String, plan: &[u8], stdio: &StdioConfig) -> Answer {
        let init = self.init().filter(|init| init.started && init.exit.is_none());
        let Some(init) = init.and_then(|init| rustix::process::Pid::from_raw(init.pid())) else {
            return Err(failure("exec", format!("exec {id}"), Errno::SRCH));
        };
        let target = Target::Exec(id);
        if self.find(&target).is_some() {
            return Err(failure("exec", named(&target), Errno::EXIST));
        }
        let plan = runtime::Plan::decode(plan)?;
        let make = |stdio: runtime::Stdio<'_>| runtime::exec(&plan, init, stdio);
        let started = Process::new(target.clone(), stdio, None, make).and_then(|mut process| {
            process.go()?;
            Ok(process)
        });
        match started {
            Ok(process) => {
                let pid = process.pid();
                self.add(process);
                Ok(Event::Started { seq, pid })
            }
            Err(error) => {
                self.early.retain(|(waits_for, _)| *waits_for != target);
                Err(error)
            }
        }
    }
}
