//! After a restart of the daemon: every container of the journal is back, and what ran runs on. A shim that lives is adopted; one that has gone
//! left its exit code in its folder; nothing of either is 137. Then what belongs to nobody is removed, and policies start what should run.

use super::{
    Handle, Health, Live, Restart, Status, health,
    record::{Record, Standing},
    restart,
    task::{self, Backoff, Keeper, Mode, State, mode},
};
use crate::{
    Result, blocking,
    link::{Link, Notice, Notices},
    shared::Shared,
};
use dhow_shim::{Client, Exit};
use rustix::fd::AsFd;
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

/// Replays the journal. Returns when everything that ran is adopted or known to have ended.
pub(crate) async fn restore(shared: &Arc<Shared>) -> Result<()> {
    let journal = shared.store.journal();
    let mut waiting = Vec::new();
    for (key, bytes) in journal.scan("container/") {
        let record: Record = match serde_json::from_slice(&bytes) {
            Ok(record) => record,
            Err(failure) => {
                tracing::error!(key, %failure, "a container's record cannot be read; it is left alone");
                continue;
            }
        };
        let state = journal.scan(&format!("state/{}", record.id)).into_iter().next();
        let standing = state.and_then(|(_, bytes)| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        waiting.push(admit(shared, record, standing)?);
    }
    let known: HashSet<String> = waiting.iter().map(|(keeper, _)| keeper.record.id.clone()).collect();
    // All at once: fifty containers take as long as one.
    let adopting: Vec<_> =
        waiting.into_iter().map(|(keeper, mailbox)| tokio::spawn(revive(keeper, mailbox))).collect();
    let mut revived = Vec::new();
    for task in adopting {
        match task.await {
            Ok(one) => revived.push(one),
            Err(failure) => tracing::error!(%failure, "a container could not be revived"),
        }
    }
    sweep(shared, &known).await;
    let below = shared.clone();
    if let Err(failure) = blocking::run(move || below.net.forget_stale().map_err(Into::into)).await {
        tracing::error!(%failure, "ports of containers that have ended are still published");
    }
    for (mut keeper, state, mailbox) in revived {
        keeper.forward_log().await;
        let state = boot(&keeper, state);
        tokio::spawn(async move {
            if matches!(state, State::Idle(_))
                && keeper.record.spec.host.auto_remove
                && keeper.standing.started.0 != 0
            {
                if let Err(failure) = keeper.remove(true, false).await {
                    tracing::error!(%failure, "a container with --rm was not removed");
                }
                return;
            }
            task::run(keeper, state, mailbox).await;
        });
    }
    Ok(())
}

type Shim = (Arc<Link>, Notices);
type Revived = (Keeper, State, mpsc::Receiver<task::Command>);

fn admit(
    shared: &Arc<Shared>,
    record: Record,
    standing: Standing,
) -> Result<(Keeper, mpsc::Receiver<task::Command>)> {
    let dir = shared.store.root().join("containers").join(&record.id);
    let (sender, mailbox) = mpsc::channel(64);
    shared.containers.claim(&record.name, &record.id)?;
    let handle = Arc::new(Handle::new(record.view(&standing, None, &dir), record.diff_ids.clone(), sender));
    shared.volumes.note(&record);
    shared.containers.insert(handle.clone());
    let keeper = Keeper {
        shared: shared.clone(),
        handle,
        record: Arc::new(record),
        standing,
        health: None,
        queue: Vec::new(),
        dir,
        ahead: None,
        cleanup: None,
        runs: 0,
        forwarder: None,
    };
    Ok((keeper, mailbox))
}

/// Finds out what became of one container.
async fn revive(mut keeper: Keeper, mailbox: mpsc::Receiver<task::Command>) -> Revived {
    let up = keeper.standing.status.is_up() || keeper.standing.starting || keeper.standing.pid > 0;
    let dir = keeper.shared.shim_dir(&keeper.record.id);
    if !up {
        // its end was known, but the last daemon went before it had cleaned up
        if dir.exists() {
            let shim = connect(&dir);
            tidy(&keeper, shim).await;
        }
        return (keeper, State::Idle(task::Idle), mailbox);
    }
    if let Some((link, mut notices)) = connect(&dir) {
        match link.hello(&mut notices).await {
            Some(Notice::Hello { pid: Some(pid), running: true, exit: None, execs }) => {
                let state = match observe(&keeper, pid).await {
                    Ok(seen) => adopt(&mut keeper, (link, notices), pid, execs, seen),
                    Err(failure) => {
                        tracing::warn!(id = keeper.record.id, %failure, "a container is not adopted: it ends, or is ended");
                        let exit = last_words(&link, &mut notices, &dir).await;
                        bury(&mut keeper, exit, Some((link, notices))).await
                    }
                };
                return (keeper, state, mailbox);
            }
            Some(Notice::Hello { exit: Some(exit), .. }) => {
                let state = bury(&mut keeper, exit, Some((link, notices))).await;
                return (keeper, state, mailbox);
            }
            // Set up, but never told to go: the start was lost with the daemon.
            Some(Notice::Hello { running: false, .. }) => {
                let state = never_started(&mut keeper, link, notices).await;
                return (keeper, state, mailbox);
            }
            // It lives and cannot be woken: what the last daemon knew of it goes on, and its word comes when it can.
            None if keeper.standing.pid > 0 => {
                let pid = keeper.standing.pid;
                if let Ok(seen) = observe(&keeper, pid).await {
                    tracing::warn!(
                        id = keeper.record.id,
                        "a container is adopted whose shim does not answer"
                    );
                    let state = adopt(&mut keeper, (link, notices), pid, Vec::new(), seen);
                    return (keeper, state, mailbox);
                }
            }
            _ => {}
        }
    }
    let state = match dhow_shim::read_exit(&dir) {
        Ok(exit) => bury(&mut keeper, exit, None).await,
        Err(_) if keeper.standing.starting && keeper.standing.pid == 0 => {
            // its folder was made, its shim not yet
            dismiss_at(dir).await;
            keeper.standing.starting = false;
            keeper.save_state();
            keeper.publish();
            State::Idle(task::Idle)
        }
        Err(_) => bury(&mut keeper, Exit { code: 137, oom: false, at: 0 }, None).await,
    };
    (keeper, state, mailbox)
}

/// The shim that lives in a folder.
fn connect(dir: &std::path::Path) -> Option<Shim> {
    let client = Client::connect(dir);
    let linked = client.and_then(|client| Link::new(client, dir.to_owned(), None));
    linked.inspect_err(|failure| tracing::debug!(dir = %dir.display(), %failure, "no shim answers")).ok()
}

/// How a container ended that ran a moment ago: mostly it was just ending by itself, and its code is its own.
async fn last_words(link: &Link, notices: &mut Notices, dir: &std::path::Path) -> Exit {
    if let Err(refusal) = link.signal(dhow_shim::Target::Init, 9).await {
        tracing::debug!(?refusal, "it has ended");
    }
    loop {
        match notices.next().await {
            Notice::Exited(exit) => return exit,
            Notice::Gone => {
                return dhow_shim::read_exit(dir).unwrap_or(Exit { code: 137, oom: false, at: 0 });
            }
            Notice::Hello { .. } | Notice::ExecExited(..) => {}
        }
    }
}

/// What an adopted container needs to be known again.
struct Seen {
    oci: dhow_oci::runtime::Spec,
    cgroups: Vec<std::path::PathBuf>,
    netns: Option<rustix::fd::OwnedFd>,
}

/// Its shim lives: its specification, its cgroups, its network in the books again.
async fn observe(keeper: &Keeper, pid: i32) -> Result<Seen> {
    let (shared, record, standing) = (keeper.shared.clone(), keeper.record.clone(), keeper.standing.clone());
    blocking::run(move || {
        let snapshot = shared.store.snapshot(&record.id, &record.diff_ids)?;
        let oci = task::specification(&shared, &record, &snapshot)?;
        let own = mode(&record.spec.host.network_mode);
        let netns = if own == Mode::Host { None } else { Some(task::netns_of(pid)?) };
        let endpoints: Vec<_> = standing.endpoints.values().cloned().collect();
        if let Some(netns) = &netns
            && !endpoints.is_empty()
        {
            // a container without its ports is worse than one with them, and better than none
            if let Err(failure) = shared.net.restore(netns.as_fd(), &endpoints, &standing.ports) {
                tracing::error!(
                    id = record.id,
                    ?failure,
                    "the network of a running container is not restored"
                );
            }
            if !record.spec.host.dns.is_empty() {
                shared.net.set_upstream(&record.id, record.spec.host.dns.clone());
            }
        }
        let cgroups = task::cgroups(&shared, &record, &oci, &standing.cgroups)?;
        Ok(Seen { oci, cgroups, netns })
    })
    .await
}

/// Streams, waits and probes go on.
fn adopt(keeper: &mut Keeper, shim: Shim, pid: i32, execs: Vec<(String, i32)>, seen: Seen) -> State {
    let (link, notices) = shim;
    for (id, pid) in execs {
        keeper.shared.execs.adopt(&id, &keeper.record.id, pid);
    }
    let (stopped, receiver) = watch::channel(false);
    let Seen { oci, cgroups, netns } = seen;
    let (oci, outside) = (Arc::new(oci), keeper.standing.outside);
    let live = Arc::new(Live { link, pid, netns, oci, cgroups: cgroups.clone(), outside, stopped: receiver });
    keeper.standing.pid = pid;
    keeper.standing.cgroups = cgroups;
    keeper.standing.starting = false;
    if keeper.standing.started.0 == 0 || !keeper.standing.status.is_up() {
        keeper.standing.started = crate::events::Time::now();
    }
    if keeper.standing.status != Status::Paused {
        keeper.standing.status = Status::Running;
    }
    keeper.health = health::settings(&keeper.record.spec).map(|_| Health::starting());
    keeper.publish();
    keeper.save_state();
    task::adopted(keeper, live, notices, stopped)
}

/// It has ended while no daemon looked: told now, with its true code where there is one. The folder of its shim, which has that code, goes
/// when the journal has it.
async fn bury(keeper: &mut Keeper, exit: Exit, shim: Option<Shim>) -> State {
    let (shared, id) = (keeper.shared.clone(), keeper.record.id.clone());
    let standing = &mut keeper.standing;
    let endpoints: Vec<_> = std::mem::take(&mut standing.endpoints).into_values().collect();
    let ports = std::mem::take(&mut standing.ports);
    standing.pid = 0;
    standing.starting = false;
    standing.exit_code = exit.code;
    standing.oom_killed = exit.oom;
    standing.finished = if exit.at > 0 { crate::events::Time(exit.at) } else { crate::events::Time::now() };
    keeper.note_status(Status::Exited).written().await;
    keeper.event("die", [("exitCode", &exit.code.to_string())]);
    let released = blocking::run(move || {
        if !endpoints.is_empty()
            && let Err(failures) = shared.net.release(&id, &endpoints, &ports)
        {
            let failure = crate::error::net_errors(failures);
            tracing::warn!(id, %failure, "the network of an ended container was not wholly released");
        }
        Ok(())
    });
    if let Err(failure) = released.await {
        tracing::warn!(%failure, "the network of an ended container was not released");
    }
    tidy(keeper, shim).await;
    State::Idle(task::Idle)
}

/// What is left of a run whose end is in the journal: its shim, its cgroups, its shim's folder, which goes last.
async fn tidy(keeper: &Keeper, shim: Option<Shim>) {
    let (shared, standing, id) = (keeper.shared.clone(), keeper.standing.clone(), keeper.record.id.clone());
    let dir = shared.shim_dir(&id);
    if let Some((link, mut notices)) = shim {
        task::dismiss(&link, &mut notices, dir.clone()).await;
    }
    let swept = blocking::run(move || {
        let beside = shared.host.beside(&standing.cgroups).filter(|_| standing.outside);
        let cgroups: Vec<_> = standing.cgroups.into_iter().chain(beside).collect();
        if let Err(failures) = dhow_runtime::remove_cgroups(&cgroups) {
            for failure in failures {
                tracing::debug!(id, ?failure, "a cgroup of an ended container");
            }
        }
        remove_dir(&dir)
    });
    if let Err(failure) = swept.await {
        tracing::warn!(%failure, "the folder of a shim is still there");
    }
}

async fn never_started(keeper: &mut Keeper, link: Arc<Link>, mut notices: Notices) -> State {
    task::dismiss(&link, &mut notices, keeper.shared.shim_dir(&keeper.record.id)).await;
    keeper.standing.starting = false;
    keeper.standing.pid = 0;
    if keeper.standing.status.is_up() {
        keeper.standing.status = Status::Exited;
    }
    keeper.save_state();
    keeper.publish();
    State::Idle(task::Idle)
}

/// What policies say at the start of a daemon.
fn boot(keeper: &Keeper, state: State) -> State {
    let State::Idle(idle) = state else { return state };
    let standing = &keeper.standing;
    let again = restart::at_boot(
        keeper.record.spec.host.restart,
        standing.started.0 != 0,
        standing.exit_code,
        standing.stopped_by_user && keeper.record.spec.host.restart != Restart::Always,
        standing.restart_count,
    );
    if !again {
        return State::Idle(idle);
    }
    let delay = Duration::from_millis(100);
    State::Backoff(Backoff { until: Instant::now(), delay })
}

/// Shims, folders and snapshots that belong to no container: of build steps, of creates and removes that a crash cut short.
async fn sweep(shared: &Arc<Shared>, known: &HashSet<String>) {
    let mut orphans = Vec::new();
    let names = |dir: std::path::PathBuf| -> Vec<String> {
        let entries = std::fs::read_dir(dir).map(|e| e.flatten().collect::<Vec<_>>()).unwrap_or_default();
        entries.into_iter().map(|e| e.file_name().to_string_lossy().into_owned()).collect()
    };
    for id in names(shared.config.exec_root.join("shims")) {
        if !known.contains(&id) {
            orphans.push(id);
        }
    }
    for id in orphans {
        tracing::info!(id, "ending a shim that belongs to no container");
        dismiss_at(shared.shim_dir(&id)).await;
    }
    let (below, known) = (shared.clone(), known.clone());
    let swept = blocking::run(move || {
        for id in names(below.store.root().join("containers")) {
            if !known.contains(&id) {
                below.store.remove_snapshot(&id)?;
            }
        }
        Ok(())
    });
    if let Err(failure) = swept.await {
        tracing::warn!(%failure, "a writable layer that belongs to no container is still there");
    }
}

/// Ends whatever shim lives in a folder, and removes the folder.
async fn dismiss_at(dir: std::path::PathBuf) {
    if let Some((link, mut notices)) = connect(&dir) {
        task::dismiss(&link, &mut notices, dir).await;
    } else if let Err(failure) = blocking::run(move || remove_dir(&dir)).await {
        tracing::warn!(%failure, "the folder of a shim is still there");
    }
}

fn remove_dir(dir: &std::path::Path) -> Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(failure) if failure.kind() != std::io::ErrorKind::NotFound => {
            Err(crate::error::io("remove", dir.display(), failure))
        }
        _ => Ok(()),
    }
}
