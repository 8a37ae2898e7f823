//! What a container that does not run does with a command.

use super::{Answer, Backoff, Command, Idle, State, end, keeper::Keeper, launch, reply};
use crate::{
    Error, Kind, Result,
    containers::{
        Resources, Restart, Status,
        book::{Queued, not_running},
        cpuset, limits,
        record::Wanted,
    },
    networks::{self, EndpointConfig},
};
use std::sync::Arc;

impl Idle {
    pub(super) async fn command(self, keeper: &mut Keeper, command: Command) -> State {
        match command {
            Command::Start(answer) => return start(keeper, answer).await,
            Command::Restart { answer, .. } => return end::restarted(keeper, vec![answer]).await,
            Command::Stop { answer, .. } => {
                reply(answer, Err(Error::new(Kind::NotModified, "container is already stopped")));
            }
            Command::Kill { answer, .. } => {
                let id = keeper.id();
                reply(answer, Err(Error::new(Kind::Conflict, format!("container {id} is not running"))));
            }
            Command::Pause(answer) => reply(answer, Err(not_running(keeper.id()))),
            Command::Unpause(answer) => {
                let message = format!("Container {} is not paused", keeper.id());
                reply(answer, Err(Error::new(Kind::Conflict, message)));
            }
            Command::Remove { remove, answer } => {
                let removed = keeper.remove(remove.volumes, true).await;
                let gone = removed.is_ok();
                reply(answer, removed);
                if gone {
                    return State::Gone;
                }
            }
            other => common(keeper, other).await,
        }
        State::Idle(self)
    }
}

impl Backoff {
    /// While it waits for its next start, docker sees it as running: stop and kill end the waiting.
    pub(super) async fn command(self, keeper: &mut Keeper, command: Command) -> State {
        match command {
            Command::Start(answer) => return start(keeper, answer).await,
            Command::Restart { answer, .. } => return end::restarted(keeper, vec![answer]).await,
            Command::Stop { answer, .. } | Command::Kill { answer, .. } => {
                keeper.standing.stopped_by_user = true;
                keeper.set_status(Status::Exited);
                keeper.handle.answer_waiters(keeper.standing.exit_code, "", false);
                keeper.event("stop", []);
                reply(answer, Ok(()));
                return if keeper.record.spec.host.auto_remove {
                    end::auto_remove(keeper).await
                } else {
                    State::Idle(Idle)
                };
            }
            Command::Remove { remove, answer } if !remove.force => {
                reply(answer, Err(must_stop(keeper, "restarting")));
            }
            Command::Remove { remove, answer } => {
                let removed = keeper.remove(remove.volumes, true).await;
                let gone = removed.is_ok();
                reply(answer, removed);
                if gone {
                    return State::Gone;
                }
            }
            Command::Pause(answer) | Command::Unpause(answer) => {
                let id = keeper.id();
                let message = format!("Container {id} is restarting, wait until the container is running");
                reply(answer, Err(Error::new(Kind::Conflict, message)));
            }
            other => common(keeper, other).await,
        }
        State::Backoff(self)
    }

    /// The delay is over.
    pub(super) async fn due(self, keeper: &mut Keeper) -> State {
        end::automatic(keeper, self.delay).await
    }
}

async fn start(keeper: &mut Keeper, answer: Answer<()>) -> State {
    keeper.standing.restart_count = 0;
    match launch::start(keeper, None).await {
        Ok(running) => {
            reply(answer, Ok(()));
            State::Running(running)
        }
        Err(failure) => {
            keeper.handle.answer_waiters(keeper.standing.exit_code, &failure.message, false);
            let state = if keeper.record.spec.host.auto_remove {
                end::auto_remove(keeper).await
            } else {
                State::Idle(Idle)
            };
            reply(answer, Err(failure));
            state
        }
    }
}

/// docker's words.
pub(super) fn must_stop(keeper: &Keeper, state: &str) -> Error {
    let (name, id) = (&keeper.record.name, keeper.id());
    Error::new(
        Kind::Conflict,
        format!(
            "cannot remove container \"/{name}\": container is {state}: stop the container before removing or force \
             remove: container {id}"
        ),
    )
}

/// What every state that has no process does alike.
async fn common(keeper: &mut Keeper, command: Command) {
    match command {
        Command::Attach { end, wanted, answer } => {
            keeper.queue.push(Queued { end, wanted });
            reply(answer, Ok(()));
        }
        Command::Rename { new, answer } => {
            let renamed = rename(keeper, &new).await;
            reply(answer, renamed);
        }
        Command::Unlink { alias, answer } => {
            let unlinked = unlink(keeper, &alias).await;
            reply(answer, unlinked);
        }
        Command::Update { resources, restart, answer } => {
            let updated = update(keeper, resources.as_deref(), restart).await;
            reply(answer, updated);
        }
        Command::Connect { network, config, answer } => {
            let connected = connect(keeper, &network, *config).await;
            reply(answer, connected);
        }
        Command::Disconnect { network, answer } => {
            let disconnected = disconnect(keeper, &network).await;
            reply(answer, disconnected);
        }
        Command::Probed { .. } | Command::OutOfMemory { .. } => {}
        other => tracing::error!(?other, "a command that this state does not know"),
    }
}

/// A new name, claimed before the old one is given back.
pub(super) async fn rename(keeper: &mut Keeper, new: &str) -> Result<()> {
    let old = keeper.record.name.clone();
    if old == new {
        return Err(Error::new(Kind::Invalid, "Renaming a container with the same name as its current name"));
    }
    keeper.book().claim(new, keeper.id())?;
    new.clone_into(&mut Arc::make_mut(&mut keeper.record).name);
    let saved = match keeper.save_record() {
        Ok(ticket) => keeper.shared.synced(ticket).await,
        Err(failure) => Err(failure),
    };
    if let Err(failure) = saved {
        keeper.book().unclaim(new, keeper.id());
        Arc::make_mut(&mut keeper.record).name = old;
        return Err(failure);
    }
    keeper.book().unclaim(&old, keeper.id());
    keeper.publish();
    keeper.event("rename", [("oldName", &format!("/{old}"))]);
    Ok(())
}

/// Forgets a link: from the next start on the container does not know the alias.
pub(super) async fn unlink(keeper: &mut Keeper, alias: &str) -> Result<()> {
    let mut spec = (*keeper.record.spec).clone();
    let before = spec.host.links.len();
    spec.host.links.retain(|link| link.rsplit([':', '/']).next() != Some(alias));
    if spec.host.links.len() == before {
        let text = format!("No such link: /{}/{alias}", keeper.record.name);
        return Err(Error::new(Kind::NotFound, text));
    }
    Arc::make_mut(&mut keeper.record).spec = Arc::new(spec);
    keeper.shared.synced(keeper.save_record()?).await?;
    keeper.publish();
    Ok(())
}

/// New limits and policy in the record; the caller applies them to a running one first.
pub(super) async fn update(
    keeper: &mut Keeper,
    resources: Option<&Resources>,
    restart: Option<Restart>,
) -> Result<Vec<String>> {
    let mut spec = (*keeper.record.spec).clone();
    let mut warnings = Vec::new();
    if let Some(wanted) = resources {
        (spec.host.resources, warnings) = settle(keeper, wanted)?;
    }
    if let Some(restart) = restart {
        if spec.host.auto_remove && restart != Restart::No {
            return Err(Error::new(
                Kind::Invalid,
                "Restart policy cannot be updated because AutoRemove is enabled for the container",
            ));
        }
        spec.host.restart = restart;
    }
    Arc::make_mut(&mut keeper.record).spec = Arc::new(spec);
    keeper.shared.synced(keeper.save_record()?).await?;
    keeper.publish();
    keeper.event("update", []);
    Ok(warnings)
}

/// The limits after an update, and what this machine has to say about them.
pub(super) fn settle(keeper: &Keeper, wanted: &Resources) -> Result<(Resources, Vec<String>)> {
    let mut merged = merge(&keeper.record.spec.host.resources, wanted);
    let warnings = limits::check_here(&mut merged, &keeper.shared.host)?;
    cpuset::verify(wanted)?;
    Ok((merged, warnings))
}

/// docker's `update`: what is zero stays.
fn merge(old: &Resources, new: &Resources) -> Resources {
    let number = |old: i64, new: i64| if new == 0 { old } else { new };
    let text = |old: &String, new: &String| if new.is_empty() { old.clone() } else { new.clone() };
    let memory = number(old.memory, new.memory);
    let swap = if new.memory_swap != 0 {
        new.memory_swap
    } else if new.memory != 0 && old.memory_swap == old.memory.saturating_mul(2) {
        0
    } else {
        old.memory_swap
    };
    let cpus_given = new.nano_cpus != 0;
    Resources {
        memory,
        memory_swap: swap,
        memory_reservation: number(old.memory_reservation, new.memory_reservation),
        memory_swappiness: new.memory_swappiness.or(old.memory_swappiness),
        oom_kill_disable: new.oom_kill_disable.or(old.oom_kill_disable),
        nano_cpus: number(old.nano_cpus, new.nano_cpus),
        cpu_shares: number(old.cpu_shares, new.cpu_shares),
        cpu_period: if cpus_given { new.cpu_period } else { number(old.cpu_period, new.cpu_period) },
        cpu_quota: if cpus_given { new.cpu_quota } else { number(old.cpu_quota, new.cpu_quota) },
        cpu_realtime_period: number(old.cpu_realtime_period, new.cpu_realtime_period),
        cpu_realtime_runtime: number(old.cpu_realtime_runtime, new.cpu_realtime_runtime),
        cpuset_cpus: text(&old.cpuset_cpus, &new.cpuset_cpus),
        cpuset_mems: text(&old.cpuset_mems, &new.cpuset_mems),
        pids_limit: new.pids_limit.or(old.pids_limit),
        blkio_weight: if new.blkio_weight == 0 { old.blkio_weight } else { new.blkio_weight },
        blkio_throttle: old.blkio_throttle.clone(),
        blkio_weight_device: old.blkio_weight_device.clone(),
    }
}

/// Records a network for the next start.
pub(super) async fn connect(
    keeper: &mut Keeper,
    network: &networks::View,
    config: EndpointConfig,
) -> Result<()> {
    admit(keeper, network)?;
    let record = Arc::make_mut(&mut keeper.record);
    if record.networks.len() == 1 && record.networks.keys().any(|name| name == "none") {
        record.networks.clear();
    }
    record.networks.insert(network.name.clone(), Wanted { network_id: network.id.clone(), config });
    keeper.shared.synced(keeper.save_record()?).await?;
    keeper.publish();
    Ok(())
}

/// docker's rules about who may be connected.
///
/// While it does not run, one that it is on already is only set anew.
pub(super) fn admit(keeper: &Keeper, network: &networks::View) -> Result<()> {
    use super::network::{Mode, mode};
    let forbidden = |message: String| Err(Error::new(Kind::Forbidden, message));
    let invalid = |message: &str| Err(Error::new(Kind::Invalid, message));
    match mode(&keeper.record.spec.host.network_mode) {
        Mode::Container(_) => {
            return forbidden("container sharing network namespace with another container or host cannot be connected to any other network".to_owned());
        }
        Mode::Host => {
            return invalid(
                "container cannot be disconnected from host network or connected to host network",
            );
        }
        Mode::None => {
            return invalid(
                "container cannot be connected to multiple networks with one of the networks in private (none) mode",
            );
        }
        Mode::Bridges => {}
    }
    if network.network.is_none() {
        return invalid(if network.name == "host" {
            "container cannot be disconnected from host network or connected to host network"
        } else {
            "container cannot be connected to multiple networks with one of the networks in private (none) mode"
        });
    }
    if keeper.standing.status.is_up() && keeper.record.networks.contains_key(&network.name) {
        return forbidden(format!(
            "endpoint with name {} already exists in network {}",
            keeper.record.name, network.name
        ));
    }
    Ok(())
}

/// Forgets a network for the next start.
pub(super) async fn disconnect(keeper: &mut Keeper, network: &str) -> Result<()> {
    let found = keeper
        .record
        .networks
        .iter()
        .find(|(name, wanted)| *name == network || wanted.network_id == network)
        .map(|(name, _)| name.clone());
    let Some(name) = found else {
        return Err(Error::new(
            Kind::Forbidden,
            format!("container {} is not connected to the network {network}", keeper.id()),
        ));
    };
    Arc::make_mut(&mut keeper.record).networks.remove(&name);
    keeper.shared.synced(keeper.save_record()?).await?;
    keeper.publish();
    Ok(())
}
