//! The start path: the network, the shim and the plan are made at the same time, the first two before it where they can be (`ahead`); then
//! `Create`, then `Go`. Nothing here waits for a disk to sync, sleeps or polls. Whatever fails, everything made before is undone.

use super::{
    Running,
    ahead::{self, Ahead, Made},
    failure::start_error,
    keeper::Keeper,
    network::{self, Mode, Sandbox, Wiring, mode},
    oom,
    prepare::{self, Prepared},
};
use crate::{
    Result, blocking,
    containers::{Health, Status, book::Live, health, record::Record},
    error::io,
    events::Time,
    link::{Link, Notice, Notices, Streams},
    shared::Shared,
};
use dhow_runtime::Error as Refusal;
use dhow_shim::{Request, StdioConfig, Target};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::{sync::watch, time::Instant};

const EBUSY: i32 = 16;
const KILL: i32 = 9;

/// A start that failed: the error for the user, and the exit code that docker keeps.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: crate::Error,
    pub(super) code: i32,
}

impl From<crate::Error> for Failed {
    fn from(error: crate::Error) -> Self {
        Self { error, code: 128 }
    }
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        let (error, code) = start_error(&refusal);
        Self { error, code }
    }
}

/// A shim, connected.
#[derive(Debug)]
pub(super) struct Shim {
    pub(super) link: Arc<Link>,
    pub(super) notices: Notices,
}

/// Starts the container. On failure nothing is left but the error, published and recorded.
pub(super) async fn start(keeper: &mut Keeper, delay: Option<Duration>) -> Result<Box<Running>> {
    keeper.settle().await;
    let old = keeper.standing.status;
    keeper.standing.starting = true;
    keeper.standing.stopped_by_user = false;
    keeper.save_state();
    match launch(keeper, delay).await {
        Ok(running) => {
            keeper.event("start", []);
            keeper.forward_log().await;
            Ok(running)
        }
        Err(Failed { error, code }) => {
            keeper.queue.clear();
            keeper.standing.starting = false;
            keeper.standing.exit_code = code;
            keeper.standing.error.clone_from(&error.message);
            keeper.set_status(if old == Status::Restarting { Status::Exited } else { old });
            Err(error)
        }
    }
}

async fn launch(keeper: &mut Keeper, delay: Option<Duration>) -> std::result::Result<Box<Running>, Failed> {
    let (shared, record) = (keeper.shared.clone(), keeper.record.clone());
    let (below, planned) = (shared.clone(), record.clone());
    let prepared = blocking::run(move || prepare::prepare(&below, &planned));
    let (made, prepared) = tokio::join!(made(keeper.ahead.take(), &shared, &record), prepared);
    let Made { shim, sandbox } = made?;
    let started = async {
        let (sandbox, prepared) = (Arc::new(sandbox), prepared?);
        let wiring = create(keeper, &shim, &sandbox, &prepared).await?;
        let going = go(keeper, &shim, &prepared, &wiring).await;
        match going {
            Ok(pid) => Ok((sandbox, prepared, wiring, pid)),
            Err(failed) => {
                release(&shared, &record.id, wiring).await;
                Err(failed)
            }
        }
    };
    match started.await {
        Ok((sandbox, prepared, wiring, pid)) => {
            Ok(running(keeper, shim, &sandbox, prepared, wiring, pid, delay)?)
        }
        Err(failed) => {
            ahead::discard(&shared, &record, shim).await;
            Err(failed)
        }
    }
}

/// What was made before, or is made now.
async fn made(ahead: Option<Ahead>, shared: &Arc<Shared>, record: &Arc<Record>) -> Result<Made> {
    if let Some(ahead) = ahead
        && let Some(made) = ahead.take().await
    {
        return Ok(made);
    }
    ahead::make(shared, record).await
}

/// A shim of its own, in a fresh folder.
pub(super) async fn spawn(shared: &Arc<Shared>, record: &Record) -> Result<Shim> {
    let (below, folder) = (shared.clone(), shared.shim_dir(&record.id));
    let dir = folder.clone();
    let (client, child) = blocking::run(move || {
        if let Err(failure) = std::fs::remove_dir_all(&dir)
            && failure.kind() != std::io::ErrorKind::NotFound
        {
            return Err(io("empty", dir.display(), failure));
        }
        below.launcher.spawn(&dir).map_err(|e| io("start a shim in", dir.display(), e))
    })
    .await?;
    let (link, notices) = Link::new(client, folder, Some(child)).map_err(|e| io("talk to", "a shim", e))?;
    Ok(Shim { link, notices })
}

/// Streams, then the container, while its network is wired.
async fn create(
    keeper: &mut Keeper,
    shim: &Shim,
    sandbox: &Arc<Sandbox>,
    prepared: &Prepared,
) -> std::result::Result<Wiring, Failed> {
    let spec = &keeper.record.spec;
    // Sent together with the rest: the shim does one after the other.
    let mut attached = Vec::new();
    for queued in keeper.queue.drain(..) {
        let wanted = queued.wanted;
        let streams =
            Streams { stdin: wanted.stdin && spec.open_stdin, stdout: wanted.stdout, stderr: wanted.stderr };
        attached.push(shim.link.ask_attach(Target::Init, queued.end, streams).await?);
    }
    let request = Request::Create {
        plan: prepared.plan.clone(),
        netns: sandbox.fd().is_some(),
        stdio: StdioConfig {
            tty: spec.tty,
            stdin: spec.open_stdin,
            stdin_once: spec.stdin_once,
            size: spec.host.console_size,
        },
        log: prepared.log.clone(),
        outside: prepared.outside.clone(),
    };
    let fds: Vec<_> = sandbox.fd().into_iter().collect();
    let created = async {
        let created = shim.link.call(&request, &fds).await;
        for asked in attached {
            asked.answer().await?;
        }
        created
    };
    let wired = wire(&keeper.shared, &keeper.record, sandbox);
    let (created, wired) = tokio::join!(created, wired);
    match (created, wired) {
        (Ok(_), wired) => Ok(wired?),
        (Err(refusal), Ok(wiring)) => {
            release(&keeper.shared, &keeper.record.id, wiring).await;
            Err(refusal.into())
        }
        (Err(refusal), Err(failure)) => {
            tracing::debug!(%failure, "the network failed as well");
            Err(refusal.into())
        }
    }
}

async fn wire(shared: &Arc<Shared>, record: &Arc<Record>, sandbox: &Arc<Sandbox>) -> Result<Wiring> {
    if mode(&record.spec.host.network_mode) != Mode::Bridges {
        return Ok(Wiring::default());
    }
    let (shared, record, sandbox) = (shared.clone(), record.clone(), sandbox.clone());
    blocking::run(move || match sandbox.fd() {
        Some(fd) => {
            if !record.spec.host.dns.is_empty() {
                shared.net.set_upstream(&record.id, record.spec.host.dns.clone());
            }
            network::wire(&shared, &record, fd)
        }
        None => Ok(Wiring::default()),
    })
    .await
}

async fn release(shared: &Arc<Shared>, id: &str, wiring: Wiring) {
    let (shared, id) = (shared.clone(), id.to_owned());
    let released = blocking::run(move || {
        network::release(&shared, &id, &wiring);
        Ok(())
    });
    if let Err(failure) = released.await {
        tracing::error!(%failure, "a network was not released");
    }
}

/// The files get the addresses, then the program runs.
async fn go(
    keeper: &Keeper,
    shim: &Shim,
    prepared: &Prepared,
    wiring: &Wiring,
) -> std::result::Result<i32, Failed> {
    if !wiring.endpoints.is_empty() {
        let (shared, record, dir) = (keeper.shared.clone(), keeper.record.clone(), keeper.dir.clone());
        let (hostname, endpoints) = (prepared.hostname.clone(), wiring.endpoints.clone());
        blocking::run(move || network::write_files(&shared, &record, &dir, &hostname, &endpoints)).await?;
    }
    Ok(shim.link.call(&Request::Go, &[]).await?)
}

/// A shim that is not needed any more: it undoes whatever it made and goes. What still runs in it is killed first. Whether it said that
/// nothing is left.
pub(crate) async fn dismiss(link: &Link, notices: &mut Notices, dir: PathBuf) -> bool {
    let (mut gone, mut clean) = (false, true);
    let child = link.take_child();
    while let Err(refusal) = link.call(&Request::Goodbye, &[]).await {
        if refusal.errno != EBUSY {
            tracing::debug!(?refusal, "a shim went without a word");
            clean = false;
            break;
        }
        if let Err(refusal) = link.signal(Target::Init, KILL).await {
            tracing::debug!(?refusal, "what a shim runs ends by itself");
        }
        loop {
            let notice = notices.next().await;
            gone = matches!(notice, Notice::Gone);
            if gone || matches!(notice, Notice::Exited(_)) {
                break;
            }
        }
        if gone {
            clean = false;
            break;
        }
    }
    while !gone {
        gone = matches!(notices.next().await, Notice::Gone);
    }
    let gone = blocking::run(move || {
        // It has closed its socket, so it is ending: this takes microseconds.
        let reaped = child.map(|mut child| child.wait()).transpose().map_err(|e| io("reap", "shim", e));
        match std::fs::remove_dir_all(&dir) {
            Err(failure) if failure.kind() != std::io::ErrorKind::NotFound => {
                Err(io("remove", dir.display(), failure))
            }
            _ => reaped.map(drop),
        }
    });
    if let Err(failure) = gone.await {
        tracing::warn!(%failure, "the folder of a shim is still there");
    }
    clean
}

/// The program runs: publish, record, probe.
fn running(
    keeper: &mut Keeper,
    shim: Shim,
    sandbox: &Sandbox,
    prepared: Prepared,
    wiring: Wiring,
    pid: i32,
    delay: Option<Duration>,
) -> Result<Box<Running>> {
    let netns = match sandbox {
        Sandbox::Host => None,
        Sandbox::Own(fd) | Sandbox::Joined(fd) => {
            Some(fd.try_clone().map_err(|e| io("keep the network of", &keeper.record.id, e))?)
        }
    };
    let (stopped, receiver) = watch::channel(false);
    let live = Arc::new(Live {
        link: shim.link,
        pid,
        netns,
        oci: Arc::new(prepared.oci),
        cgroups: prepared.cgroups.clone(),
        outside: prepared.outside.is_some(),
        stopped: receiver,
    });
    keeper.runs += 1;
    keeper.health = health::settings(&keeper.record.spec).map(|_| Health::starting());
    let standing = &mut keeper.standing;
    standing.starting = false;
    standing.pid = pid;
    standing.exit_code = 0;
    standing.error.clear();
    standing.oom_killed = false;
    standing.started = Time::now();
    standing.finished = Time::default();
    standing.endpoints = wiring.endpoints;
    standing.ports = wiring.ports;
    standing.cgroups = prepared.cgroups;
    standing.outside = prepared.outside.is_some();
    keeper.handle.set_live(Some(live.clone()));
    keeper.set_status(Status::Running);
    let probing = health::watch(keeper, &live);
    for (name, endpoint) in &keeper.standing.endpoints {
        let kind = "bridge";
        let attributes = [("container", keeper.id()), ("name", name.as_str()), ("type", kind)];
        keeper.shared.events.note("network", "connect", &endpoint.network, attributes);
    }
    let oom = oom::watch(keeper, &live);
    Ok(Box::new(Running::new(live, shim.notices, stopped, Instant::now(), delay, probing, oom)))
}
