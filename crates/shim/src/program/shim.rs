//! The shim's state, and what follows from it: who is told, when it is over.

use super::{attached::Attached, connection::Connection, outside, process::Process};
use crate::{Event, Exit, Target, exit::write_exit};
use dhow_runtime as runtime;
use rustix::{fd::OwnedFd, io::Errno};
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

/// How long a new shim waits for its daemon.
const FIRST_CONNECTION: Duration = Duration::from_secs(10);
/// What a shim reads with until there is more, and then.
pub(super) const SMALL: usize = 4096;
pub(super) const LARGE: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Shim {
    pub(super) dir: PathBuf,
    pub(super) listener: OwnedFd,
    pub(super) connections: Vec<Connection>,
    /// PID 1 first.
    pub(super) processes: Vec<Process>,
    /// Children that collect what execs leave behind, maybe long after those.
    pub(super) reapers: Vec<OwnedFd>,
    /// Clients of processes that are not there yet.
    pub(super) early: Vec<(Target, Attached)>,
    /// Clients that only wait for the rest of their output.
    pub(super) orphans: Vec<Attached>,
    pub(super) created: bool,
    pub(super) cgroups: Vec<PathBuf>,
    /// Another runtime, whose container it is.
    pub(super) outside: Option<outside::Runtime>,
    /// In the container's cgroup before its program ran.
    pub(super) oom_kills: u64,
    /// How PID 1 ended, once everybody may know.
    pub(super) exit: Option<Exit>,
    pub(super) leaving: bool,
    /// To read with: none when idle, larger under load.
    pub(super) buffer: Vec<u8>,
    /// Until then nobody needs to be connected.
    alone_until: Option<Instant>,
}

impl Shim {
    pub(super) fn new(dir: PathBuf, listener: OwnedFd) -> Self {
        Self {
            dir,
            listener,
            connections: Vec::new(),
            processes: Vec::new(),
            reapers: Vec::new(),
            early: Vec::new(),
            orphans: Vec::new(),
            created: false,
            cgroups: Vec::new(),
            outside: None,
            oom_kills: 0,
            exit: None,
            leaving: false,
            buffer: Vec::new(),
            alone_until: Some(Instant::now() + FIRST_CONNECTION),
        }
    }

    pub(super) fn init(&self) -> Option<&Process> {
        self.find(&Target::Init)
    }

    pub(super) fn find(&self, target: &Target) -> Option<&Process> {
        self.processes.iter().find(|process| process.target == *target)
    }

    /// Takes a new process, and its clients that came before it.
    pub(super) fn add(&mut self, mut process: Process) {
        let (ours, others) =
            std::mem::take(&mut self.early).into_iter().partition(|(t, _)| *t == process.target);
        self.early = others;
        let ours: Vec<(Target, Attached)> = ours;
        for (_, client) in ours {
            process.attach(client);
        }
        self.reapers.extend(process.take_reaper());
        self.processes.push(process);
    }

    /// Takes the status of reapers that have ended. Who looks at several at once finds the others gone, too.
    pub(super) fn dismiss_reapers(&mut self) {
        self.reapers.retain(|reaper| dhow_runtime::try_wait(rustix::fd::AsFd::as_fd(reaper)).is_none());
    }

    pub(super) fn attach(&mut self, target: Target, mut client: Attached) {
        let process = self.processes.iter_mut().find(|process| process.target == target);
        match process {
            Some(process) => process.attach(client),
            None if self.created && target == Target::Init => {
                client.close();
                self.orphans.push(client);
            }
            None => self.early.push((target, client)),
        }
    }

    /// Tells every daemon.
    fn announce(&mut self, event: &Event) {
        for connection in &mut self.connections {
            connection.send(event);
        }
    }

    pub(super) fn accept(&mut self) {
        let flags = rustix::net::SocketFlags::CLOEXEC | rustix::net::SocketFlags::NONBLOCK;
        // A connection that was given up before it was taken is nobody's loss.
        while let Ok(socket) = rustix::net::accept_with(&self.listener, flags) {
            let mut connection = Connection::new(socket);
            connection.send(&self.hello());
            self.connections.push(connection);
            self.alone_until = None;
        }
    }

    fn hello(&self) -> Event {
        let init = self.init();
        let running = |process: &&Process| process.started && process.exit.is_none();
        let execs = self.processes.iter().filter(running).filter_map(|process| match &process.target {
            Target::Init => None,
            Target::Exec(id) => Some((id.clone(), process.pid())),
        });
        Event::Hello {
            pid: init.map(Process::pid),
            running: init.is_some_and(|init| init.started && self.exit.is_none()),
            exit: self.exit,
            execs: execs.collect(),
        }
    }

    /// A process may have ended.
    pub(super) fn reap(&mut self, index: usize) {
        let Self { processes, cgroups, oom_kills, buffer, .. } = self;
        let Some(process) = processes.get_mut(index) else { return };
        let is_init = process.target == Target::Init;
        let struck = || runtime::oom_kills(cgroups) > *oom_kills;
        let oom = |code: i32| (is_init || code == 137) && struck();
        if !process.reap(oom, buffer) {
            return;
        }
        if is_init {
            if !process.streams.is_drained() {
                self.kill_strays();
            }
        } else if let Some(exit) = process.exit {
            let event = Event::Exited { target: process.target.clone(), exit };
            self.announce(&event);
        }
    }

    /// Children of another runtime have ended.
    pub(super) fn collect(&mut self) {
        if let Some(outside) = &self.outside {
            outside.heard();
        }
        for (pid, code) in outside::ended() {
            for process in &mut self.processes {
                process.collected(pid, code);
            }
        }
    }

    /// PID 1 has ended and something else, that is not in its pid namespace, still holds its output open.
    fn kill_strays(&self) {
        for pid in runtime::processes(&self.cgroups).unwrap_or_default() {
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                // It may have gone by itself; who stays is not waited for longer than a moment.
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
            }
        }
    }

    /// Everything that is due: output that has ended, clients that are done. The next moment to look.
    #[inline(never)]
    pub(super) fn settle(&mut self) -> Option<Instant> {
        let now = Instant::now();
        self.connections.retain(|connection| !connection.gone);
        let connected = !self.connections.is_empty();
        let mut next = self.alone_until;
        let mut ended = None;
        for process in &mut self.processes {
            if process.is_over(now) {
                process.close();
                if process.target == Target::Init {
                    ended = process.exit;
                }
            }
            let deadline = process.streams.sweep(now, connected);
            next = [next, deadline, process.deadline].into_iter().flatten().min();
        }
        if let Some(exit) = ended {
            self.end(exit);
        }
        self.processes.retain(|process| {
            let is_init = process.target == Target::Init;
            is_init || !process.closed || !process.streams.clients.is_empty()
        });
        for client in &mut self.orphans {
            if client.deadline().is_some_and(|deadline| deadline <= now) {
                client.leave();
            }
        }
        self.orphans.retain(|client| !client.is_done());
        self.early.retain(|(_, client)| !client.is_done());
        self.orphans.iter().filter_map(Attached::deadline).chain(next).min()
    }

    /// The container has ended and its output is in the log.
    fn end(&mut self, exit: Exit) {
        // Where it cannot be written a daemon that is connected still hears it, and one that is not takes the container for killed.
        write_exit(&self.dir, &exit).ok();
        self.exit = Some(exit);
        self.announce(&Event::Exited { target: Target::Init, exit });
    }

    /// Lets go of mounts and cgroups.
    pub(super) fn release(&mut self) -> Result<(), runtime::Error> {
        for mut process in std::mem::take(&mut self.processes) {
            if !process.closed {
                process.close();
            }
            self.orphans.append(&mut process.streams.clients);
        }
        if let Some(outside) = self.outside.take() {
            // What it leaves is killed and removed with the cgroups, its state with the folder.
            outside.call(&["delete", "--force"], &[], &[]).ok();
        }
        let cgroups = std::mem::take(&mut self.cgroups);
        match runtime::remove_cgroups(&cgroups) {
            Ok(()) => Ok(()),
            Err(errors) => Err(errors
                .into_iter()
                .next()
                .unwrap_or_else(|| super::process::failure("remove cgroup", String::new(), Errno::IO))),
        }
    }

    /// Whether nothing is left to do; then nothing of the container is held any more.
    #[inline(never)]
    pub(super) fn is_finished(&mut self) -> bool {
        let now = Instant::now();
        let alone = self.connections.is_empty() && self.alone_until.is_none_or(|until| until <= now);
        let idle = self.init().is_none_or(|init| !init.started || self.exit.is_some());
        if !(self.leaving || alone && idle) {
            return false;
        }
        if !self.processes.is_empty() {
            // Nobody is there to be told; the next daemon looks at what is left of a container anyway.
            self.release().ok();
        }
        self.orphans.is_empty()
    }
}
