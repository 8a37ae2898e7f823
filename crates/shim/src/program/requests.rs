//! What a daemon asks for.

use super::{
    attached::Attached,
    log::Log,
    outside,
    process::{Body, Process, failure},
    shim::Shim,
};
use crate::{Event, LogConfig, Outside, Request, StdioConfig, Target, codec, socket::Message};
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
            Request::Create { plan, netns, stdio, log, outside } => {
                let netns = if netns {
                    Some(fds.first().ok_or_else(|| failure("create", "network namespace", Errno::BADF))?)
                } else {
                    None
                };
                self.create(seq, &plan, netns, (&stdio, log), outside)
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
                self.signal(&target, signal)?;
                Ok(Event::Done { seq })
            }
            Request::Resize { target, rows, cols } => {
                let process = self.find(&target).ok_or(Errno::SRCH);
                let set = process.and_then(|process| process.streams.resize(rows, cols));
                set.map_err(|errno| failure("resize", named(&target), errno))?;
                Ok(Event::Done { seq })
            }
            Request::Runtime { words, input } => {
                let outside = self.outside.as_ref();
                let outside = outside.ok_or_else(|| failure("runtime", "container", Errno::INVAL))?;
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                outside.call(&words, &[], &input)?;
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
        (stdio, log): (&StdioConfig, LogConfig),
        outside: Option<Outside>,
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
        let netns = netns.map(AsFd::as_fd);
        let process = match outside {
            None => {
                let make = |stdio: runtime::Stdio<'_>| {
                    runtime::create(&plan, netns, stdio).map(|it| Body::Ours(Box::new(it)))
                };
                Process::new(Target::Init, stdio, log, make)?
            }
            Some(outside) => {
                // What a failed creation leaves there, the end removes.
                self.cgroups = plan.cgroup_dirs().to_vec();
                let outside = self.outside.insert(outside::Runtime::new(&self.dir, outside, &plan, netns)?);
                let make =
                    |stdio: runtime::Stdio<'_>| outside.create(&stdio).map(|it| Body::Theirs(it, None));
                Process::new(Target::Init, stdio, log, make)?
            }
        };
        self.created = true;
        self.cgroups = plan.cgroup_dirs().to_vec();
        let pid = process.pid();
        self.add(process);
        Ok(Event::Created { seq, pid })
    }

    /// PID 1 of another runtime is signalled by it: what its process is inside only it knows.
    fn signal(&self, target: &Target, signal: i32) -> Result<(), runtime::Error> {
        let refused = |errno| failure("signal", named(target), errno);
        let process = self.find(target).ok_or_else(|| refused(Errno::SRCH))?;
        match &self.outside {
            Some(outside) if *target == Target::Init && process.exit.is_none() => {
                outside.call(&["kill"], &[&signal.to_string()], &[]).or_else(|error| {
                    // It has ended meanwhile; or the runtime is at its end, which must not keep anybody alive.
                    if signal == 9 { process.signal(signal).map_err(refused) } else { Err(error) }
                })
            }
            _ => process.signal(signal).map_err(refused),
        }
    }

    fn go(&mut self, seq: u32) -> Answer {
        let process =
            self.processes.first_mut().filter(|first| first.target == Target::Init && !first.started);
        let process = process.ok_or_else(|| failure("start", "container", Errno::INVAL))?;
        // The container's own counter, before its program can do anything.
        self.oom_kills = runtime::oom_kills(&self.cgroups);
        match process.go(self.outside.as_ref()) {
            Ok(()) => Ok(Event::Started { seq, pid: process.pid() }),
            Err(error) => {
                process.close();
                // Dropped before its program ran: the runtime undoes everything.
                let mut failed = self.processes.remove(0);
                self.orphans.append(&mut failed.streams.clients);
                if self.outside.is_none() {
                    self.cgroups.clear();
                }
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
        let outside = self.outside.as_ref();
        let make = |stdio: runtime::Stdio<'_>| match outside {
            Some(outside) => outside.exec(plan, &stdio).map(|it| Body::Theirs(it, None)),
            None => {
                runtime::exec(&runtime::Plan::decode(plan)?, init, stdio).map(|it| Body::Ours(Box::new(it)))
            }
        };
        let started = Process::new(target.clone(), stdio, None, make).and_then(|mut process| {
            process.go(outside)?;
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
