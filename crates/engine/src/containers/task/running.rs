//! What a running container does with a command, and with what its shim says.

use super::{Answer, Command, State, idle, keeper::Keeper, network, oom, prepare, reply};
use crate::{
    Error, Kind, Result, blocking,
    containers::{
        Probe, Remove, Resources, Status,
        book::{Live, not_running},
        health,
        record::Wanted,
        signals,
    },
    error::io,
    link::{Notice, Notices, Streams},
    networks::{self, EndpointConfig},
};
use dhow_shim::{Exit, Request, Target};
use rustix::fd::AsFd;
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, task::AbortHandle, time::Instant};

const KILL: i32 = 9;
const DEFAULT_TIMEOUT: i64 = 10;

/// See [`super::State`].
#[derive(Debug)]
pub(crate) struct Running {
    pub(super) live: Arc<Live>,
    pub(super) notices: Notices,
    pub(super) stopped: watch::Sender<bool>,
    pub(super) since: Instant,
    /// The delay before this run, if a policy started it.
    pub(super) delay: Option<Duration>,
    pub(super) probing: Option<Probing>,
    /// Ends with the run.
    pub(super) oom: Option<Probing>,
    /// Whether an `oom` event was sent in this run.
    pub(super) struck: bool,
    pub(super) stopping: Option<Stopping>,
    /// Networks that it was on, by name and id, for the events of its end.
    pub(super) left: Vec<(String, String)>,
}

/// Ends the probes with the run.
#[derive(Debug)]
pub(crate) struct Probing(pub(crate) AbortHandle);

impl Drop for Probing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// It was asked to end.
#[derive(Debug, Default)]
pub(super) struct Stopping {
    /// `stop`, `restart`, `kill`, `rm -f`: no policy starts it again.
    pub(super) by_user: bool,
    pub(super) kill_at: Option<Instant>,
    pub(super) answers: Vec<Answer<()>>,
    /// Start it again, then answer these.
    pub(super) then: Vec<Answer<()>>,
    pub(super) remove: Option<(Remove, Answer<()>)>,
}

impl Running {
    pub(crate) fn new(
        live: Arc<Live>,
        notices: Notices,
        stopped: watch::Sender<bool>,
        since: Instant,
        delay: Option<Duration>,
        probing: Option<Probing>,
        oom: Option<Probing>,
    ) -> Self {
        let (stopping, left) = (None, Vec::new());
        Self { live, notices, stopped, since, delay, probing, oom, struck: false, stopping, left }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.stopping.as_ref().and_then(|s| s.kill_at)
    }

    pub(super) async fn notice(mut self: Box<Self>, keeper: &mut Keeper, notice: Notice) -> State {
        match notice {
            Notice::Exited(exit) => self.ended(keeper, exit).await,
            Notice::Gone => {
                // The shim itself was killed: what it wrote before is the truth, else nobody knows.
                let dir = keeper.shared.shim_dir(keeper.id());
                let exit = dhow_shim::read_exit(&dir).unwrap_or(Exit { code: 137, oom: false, at: 0 });
                self.ended(keeper, exit).await
            }
            Notice::ExecExited(id, exit) => {
                keeper.shared.execs.exited(&id, exit.code);
                State::Running(self)
            }
            Notice::Hello { exit: Some(exit), .. } => self.ended(keeper, exit).await,
            Notice::Hello { .. } => {
                self.left.clear();
                State::Running(self)
            }
        }
    }

    /// The time to stop is over.
    pub(super) async fn overdue(mut self: Box<Self>, keeper: &mut Keeper) -> State {
        if let Some(stopping) = &mut self.stopping {
            stopping.kill_at = None;
        }
        self.signal(keeper, KILL).await;
        State::Running(self)
    }

    /// Signals PID 1; a frozen one is thawed where it must die. Failures are logged: the exit is what counts.
    async fn signal(&self, keeper: &mut Keeper, signal: i32) {
        keeper.event("kill", [("signal", &signal.to_string())]);
        if let Err(refusal) = self.live.link.signal(Target::Init, signal).await {
            tracing::debug!(id = keeper.id(), ?refusal, "a signal did not arrive");
        }
        if signal == KILL
            && keeper.standing.status == Status::Paused
            && let Err(failure) = self.freeze(false).await
        {
            tracing::warn!(id = keeper.id(), %failure, "a paused container that was killed stays frozen");
        }
    }

    async fn freeze(&self, frozen: bool) -> Result<()> {
        if self.live.outside {
            return self.runtime(&[if frozen { "pause" } else { "resume" }], Vec::new()).await;
        }
        let cgroups = self.live.cgroups.clone();
        blocking::run(move || dhow_runtime::freeze(&cgroups, frozen).map_err(Into::into)).await
    }

    /// Has another runtime do what only it knows how to.
    async fn runtime(&self, words: &[&str], input: Vec<u8>) -> Result<()> {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        self.live.link.call(&Request::Runtime { words, input }, &[]).await?;
        Ok(())
    }

    pub(super) async fn command(mut self: Box<Self>, keeper: &mut Keeper, command: Command) -> State {
        match command {
            Command::Start(answer) => {
                let error = if keeper.standing.status == Status::Paused {
                    Error::new(Kind::Conflict, "cannot start a paused container, try unpause instead")
                } else {
                    Error::new(Kind::NotModified, "container is already running")
                };
                reply(answer, Err(error));
            }
            Command::Stop { signal, timeout, answer } => {
                // remembered before the signal: a crash in between must not bring it up again
                keeper.standing.stopped_by_user = true;
                keeper.save_state();
                self.stop(keeper, signal, timeout).await;
                self.stopping.get_or_insert_default().answers.push(answer);
            }
            Command::Restart { signal, timeout, answer } => {
                self.stop(keeper, signal, timeout).await;
                self.stopping.get_or_insert_default().then.push(answer);
            }
            Command::Kill { signal, answer } => {
                let killed = self.kill(keeper, signal).await;
                reply(answer, killed);
            }
            Command::Remove { remove, answer } => self.remove(keeper, remove, answer).await,
            Command::Pause(answer) => {
                let paused = self.pause(keeper).await;
                reply(answer, paused);
            }
            Command::Unpause(answer) => {
                let thawed = self.unpause(keeper).await;
                reply(answer, thawed);
            }
            Command::Rename { new, answer } => {
                let renamed = self.rename(keeper, &new).await;
                reply(answer, renamed);
            }
            Command::Unlink { alias, answer } => {
                let unlinked = idle::unlink(keeper, &alias).await;
                reply(answer, unlinked);
            }
            Command::Update { resources, restart, answer } => {
                let updated = self.update(keeper, resources.as_deref(), restart).await;
                reply(answer, updated);
            }
            Command::Attach { end, wanted, answer } => {
                let stdin = wanted.stdin && keeper.record.spec.open_stdin;
                let streams = Streams { stdin, stdout: wanted.stdout, stderr: wanted.stderr };
                let attached = self.live.link.attach(Target::Init, end, streams).await;
                reply(answer, attached.map_err(Into::into));
            }
            Command::Connect { network, config, answer } => {
                let connected = self.connect(keeper, &network, *config).await;
                reply(answer, connected);
            }
            Command::Disconnect { network, answer } => {
                let disconnected = self.disconnect(keeper, &network).await;
                reply(answer, disconnected);
            }
            Command::Probed { run, probe } => self.probed(keeper, run, *probe),
            Command::OutOfMemory { run } if run == keeper.runs => {
                self.struck = true;
                keeper.event("oom", []);
            }
            Command::OutOfMemory { .. } => {}
        }
        State::Running(self)
    }

    /// Signals, and sets the time after which it is killed.
    async fn stop(&mut self, keeper: &mut Keeper, signal: Option<i32>, timeout: Option<i64>) {
        let spec = keeper.record.spec.clone();
        let own = if spec.stop_signal.is_empty() { Ok(15) } else { signals::parse(&spec.stop_signal) };
        let signal = signal.or(own.ok()).unwrap_or(15);
        let seconds = timeout.or(spec.stop_timeout).unwrap_or(DEFAULT_TIMEOUT);
        self.stopping.get_or_insert_default().by_user = true;
        self.signal(keeper, signal).await;
        // from when the signal arrived: its shim may have had to be woken first
        let kill_at = u64::try_from(seconds).ok().map(|s| Instant::now() + Duration::from_secs(s));
        let stopping = self.stopping.get_or_insert_default();
        // several stops: the earliest end wins
        stopping.kill_at = match (stopping.kill_at, kill_at) {
            (Some(old), Some(new)) => Some(old.min(new)),
            (old, new) => new.or(old),
        };
    }

    async fn kill(&mut self, keeper: &mut Keeper, signal: i32) -> Result<()> {
        // docker: only what ends a container stops its restart policy
        let spec_signal = signals::parse(&keeper.record.spec.stop_signal).unwrap_or(15);
        if signal == KILL || signal == spec_signal {
            keeper.standing.stopped_by_user = true;
            keeper.save_state();
        }
        let sent = self.live.link.signal(Target::Init, signal).await;
        if signal == KILL && keeper.standing.status == Status::Paused {
            self.freeze(false).await?;
        }
        keeper.event("kill", [("signal", &signal.to_string())]);
        match sent {
            Ok(()) => Ok(()),
            // ESRCH: it has just ended
            Err(refusal) if refusal.errno == 3 => Err(not_running(keeper.id())),
            Err(refusal) => Err(refusal.into()),
        }
    }

    async fn remove(&mut self, keeper: &mut Keeper, remove: Remove, answer: Answer<()>) {
        if !remove.force {
            let state = if keeper.standing.status == Status::Paused { "paused" } else { "running" };
            return reply(answer, Err(idle::must_stop(keeper, state)));
        }
        if self.stopping.as_ref().is_some_and(|s| s.remove.is_some()) {
            let message = format!("removal of container {} is already in progress", keeper.id());
            return reply(answer, Err(Error::new(Kind::Conflict, message)));
        }
        keeper.standing.stopped_by_user = true;
        let stopping = self.stopping.get_or_insert_default();
        stopping.by_user = false;
        stopping.kill_at = None;
        stopping.remove = Some((remove, answer));
        self.signal(keeper, KILL).await;
    }

    async fn pause(&mut self, keeper: &mut Keeper) -> Result<()> {
        if keeper.standing.status == Status::Paused {
            return Err(Error::new(Kind::Conflict, format!("Container {} is already paused", keeper.id())));
        }
        self.freeze(true).await?;
        keeper.set_status(Status::Paused);
        keeper.event("pause", []);
        Ok(())
    }

    async fn unpause(&mut self, keeper: &mut Keeper) -> Result<()> {
        if keeper.standing.status != Status::Paused {
            return Err(Error::new(Kind::Conflict, format!("Container {} is not paused", keeper.id())));
        }
        self.freeze(false).await?;
        keeper.set_status(Status::Running);
        keeper.event("unpause", []);
        Ok(())
    }

    /// The new name is in the DNS at once.
    async fn rename(&mut self, keeper: &mut Keeper, new: &str) -> Result<()> {
        idle::rename(keeper, new).await?;
        for (name, endpoint) in &mut keeper.standing.endpoints {
            if let Some(wanted) = keeper.record.networks.get(name) {
                let names = if name == networks::BRIDGE {
                    vec![keeper.record.name.clone()]
                } else {
                    keeper.record.dns_names(&wanted.config)
                };
                endpoint.names.clone_from(&names);
                keeper.shared.net.rename(endpoint, names);
            }
        }
        keeper.publish();
        keeper.save_state();
        Ok(())
    }

    async fn update(
        &mut self,
        keeper: &mut Keeper,
        wanted: Option<&Resources>,
        restart: Option<crate::containers::Restart>,
    ) -> Result<Vec<String>> {
        if let Some(wanted) = wanted {
            let (mut merged, _) = idle::settle(keeper, wanted)?;
            // No limit of tasks says nothing to a fresh cgroup; here an old one may be in force.
            merged.pids_limit = merged.pids_limit.map(|n| if n == 0 { -1 } else { n });
            let (shared, live) = (keeper.shared.clone(), self.live.clone());
            let outside = blocking::run(move || {
                let resources = prepare::resources(&merged)?;
                if live.outside {
                    return crate::runtimes::json(&resources).map(Some);
                }
                dhow_runtime::update(&live.cgroups, &resources, &shared.host)?;
                Ok(None)
            });
            if let Some(resources) = outside.await? {
                self.runtime(&["update", "--resources", "-"], resources).await?;
            }
        }
        idle::update(keeper, wanted, restart).await
    }

    async fn connect(
        &mut self,
        keeper: &mut Keeper,
        network: &networks::View,
        config: EndpointConfig,
    ) -> Result<()> {
        idle::admit(keeper, network)?;
        let wanted = Wanted { network_id: network.id.clone(), config: config.clone() };
        let first = keeper.standing.endpoints.is_empty();
        let attach = network::attach(
            &keeper.shared,
            &keeper.record,
            &network.name,
            &wanted,
            first && !network.internal,
        )?;
        let (net, live) = (keeper.shared.net.clone(), self.live.clone());
        let id = keeper.id().to_owned();
        let endpoint = blocking::run(move || match &live.netns {
            Some(netns) => net.attach(netns.as_fd(), &attach).map_err(Into::into),
            None => Err(not_running(&id)),
        })
        .await?;
        keeper.standing.endpoints.insert(network.name.clone(), endpoint);
        idle::connect(keeper, network, config).await?;
        self.rewired(keeper).await?;
        let attributes = [("container", keeper.id()), ("name", network.name.as_str()), ("type", "bridge")];
        keeper.shared.events.note("network", "connect", &network.id, attributes);
        Ok(())
    }

    async fn disconnect(&mut self, keeper: &mut Keeper, network: &str) -> Result<()> {
        let name =
            keeper.shared.networks.find(network).map_or_else(|_| network.to_owned(), |n| n.name.clone());
        idle::disconnect(keeper, &name).await?;
        if let Some(endpoint) = keeper.standing.endpoints.remove(&name) {
            let (net, live, gone) = (keeper.shared.net.clone(), self.live.clone(), endpoint.clone());
            let detached = blocking::run(move || {
                net.detach(live.netns.as_ref().map(AsFd::as_fd), &gone).map_err(Into::into)
            });
            detached.await?;
            let attributes = [("container", keeper.id()), ("name", name.as_str()), ("type", "bridge")];
            keeper.shared.events.note("network", "disconnect", &endpoint.network, attributes);
        }
        self.rewired(keeper).await
    }

    /// Addresses changed: the files inside, readers, the journal.
    async fn rewired(&mut self, keeper: &mut Keeper) -> Result<()> {
        let (shared, record, dir) = (keeper.shared.clone(), keeper.record.clone(), keeper.dir.clone());
        let endpoints = keeper.standing.endpoints.clone();
        blocking::run(move || {
            let hostname = prepare::hostname(&shared, &record);
            network::write_files(&shared, &record, &dir, &hostname, &endpoints)
        })
        .await?;
        keeper.publish();
        keeper.save_state();
        Ok(())
    }

    fn probed(&mut self, keeper: &mut Keeper, run: u64, probe: Probe) {
        let Some(settings) = health::settings(&keeper.record.spec) else { return };
        let Some(current) = keeper.health.as_mut().filter(|_| run == keeper.runs) else { return };
        let in_start = self.since.elapsed() < settings.start_period;
        let changed = health::note(current, probe, settings.retries, in_start);
        let status = current.status.clone();
        keeper.publish();
        if changed {
            keeper.event(&format!("health_status: {status}"), []);
        }
    }
}

/// A container whose shim outlived the daemon.
pub(crate) fn adopted(
    keeper: &mut Keeper,
    live: Arc<Live>,
    notices: Notices,
    stopped: watch::Sender<bool>,
) -> State {
    keeper.runs += 1;
    keeper.handle.set_live(Some(live.clone()));
    let (probing, oom) = (health::watch(keeper, &live), oom::watch(keeper, &live));
    State::Running(Box::new(Running::new(live, notices, stopped, Instant::now(), None, probing, oom)))
}

/// The process's own network namespace.
pub(crate) fn netns_of(pid: i32) -> Result<rustix::fd::OwnedFd> {
    let path = format!("/proc/{pid}/ns/net");
    let file = std::fs::File::open(&path).map_err(|e| io("open", path, e))?;
    Ok(file.into())
}
