//! The end of a run: everybody is told first; then network, shim and folders go; then it is removed, started again, or stays.

use super::{
    Backoff, Idle, Running, State,
    keeper::{Keeper, Noted},
    launch,
    network::{self, Wiring},
    reply,
};
use crate::{
    Error, Kind, blocking,
    containers::{Status, restart},
    events::Time,
    link::Notices,
};
use dhow_shim::Exit;
use std::time::Duration;
use tokio::time::Instant;

impl Running {
    /// PID 1 has ended.
    pub(super) async fn ended(mut self: Box<Self>, keeper: &mut Keeper, exit: Exit) -> State {
        let stopping = self.stopping.take().unwrap_or_default();
        let by_user = stopping.by_user || keeper.standing.stopped_by_user;
        let ran = self.since.elapsed();
        let wiring = self.note_end(keeper, exit);
        let ended =
            restart::Ended { exit_code: exit.code, by_user, ran, restarts: keeper.standing.restart_count };
        let forced = !stopping.then.is_empty() || stopping.remove.is_some();
        let again = if forced || keeper.shared.draining() {
            None
        } else {
            restart::next(keeper.record.spec.host.restart, ended, self.delay)
        };
        if again.is_some() {
            keeper.standing.restart_count += 1;
        }
        let noted = keeper.note_status(if again.is_some() { Status::Restarting } else { Status::Exited });
        if exit.oom && !self.struck {
            keeper.event("oom", []);
        }
        let (code, seconds) = (exit.code.to_string(), ran.as_secs().to_string());
        keeper.event("die", [("exitCode", &code), ("execDuration", &seconds)]);
        keeper.handle.answer_waiters(exit.code, "", false);
        self.clean_up(keeper, wiring, noted).await;
        for network in std::mem::take(&mut self.left) {
            let attributes = [("container", keeper.id()), ("name", network.0.as_str()), ("type", "bridge")];
            keeper.shared.events.note("network", "disconnect", &network.1, attributes);
        }
        if stopping.by_user {
            keeper.event("stop", []);
        }
        for answer in stopping.answers {
            reply(answer, Ok(()));
        }
        if let Some((remove, answer)) = stopping.remove {
            let removed = keeper.remove(remove.volumes, true).await;
            let gone = removed.is_ok();
            reply(answer, removed);
            return if gone { State::Gone } else { State::Idle(Idle) };
        }
        if !stopping.then.is_empty() {
            return restarted(keeper, stopping.then).await;
        }
        match again {
            Some(delay) => State::Backoff(Backoff { until: Instant::now() + delay, delay }),
            None if keeper.record.spec.host.auto_remove => auto_remove(keeper).await,
            None => State::Idle(Idle),
        }
    }

    /// What readers see from now on.
    fn note_end(&mut self, keeper: &mut Keeper, exit: Exit) -> Wiring {
        if self.stopped.send(true).is_err() {
            tracing::debug!(id = keeper.id(), "nobody follows this container");
        }
        (self.probing, self.oom) = (None, None);
        keeper.handle.set_live(None);
        let standing = &mut keeper.standing;
        standing.pid = 0;
        standing.exit_code = exit.code;
        standing.oom_killed = exit.oom;
        // the shim may see the end before the engine has noted the start
        standing.finished = if exit.at > 0 { Time(exit.at).max(standing.started) } else { Time::now() };
        let wiring = Wiring {
            endpoints: std::mem::take(&mut standing.endpoints),
            ports: std::mem::take(&mut standing.ports),
        };
        self.left = wiring.endpoints.iter().map(|(name, e)| (name.clone(), e.network.clone())).collect();
        keeper.shared.execs.ended(keeper.id());
        wiring
    }

    /// Frees the ports and addresses, then lets the rest go in the background.
    async fn clean_up(&mut self, keeper: &mut Keeper, wiring: Wiring, noted: Noted) {
        let (shared, id) = (keeper.shared.clone(), keeper.id().to_owned());
        if !wiring.endpoints.is_empty() {
            let released = blocking::run(move || {
                network::release(&shared, &id, &wiring);
                Ok(())
            });
            if let Err(failure) = released.await {
                tracing::error!(id = keeper.id(), %failure, "a network was not released");
            }
        }
        let dir = keeper.shared.shim_dir(keeper.id());
        let (live, mut cgroups) = (self.live.clone(), self.live.cgroups.clone());
        if live.outside {
            cgroups.extend(keeper.shared.host.beside(&cgroups));
        }
        let mut notices = std::mem::replace(&mut self.notices, Notices::over());
        keeper.cleanup = Some(tokio::spawn(async move {
            // the shim's folder has the exit code until the journal has
            noted.written().await;
            let clean = launch::dismiss(&live.link, &mut notices, dir).await;
            drop(live);
            if clean {
                return;
            }
            let removed = blocking::run(move || {
                dhow_runtime::remove_cgroups(&cgroups).map_err(|failures| {
                    let text: Vec<String> = failures.iter().map(crate::error::runtime_sentence).collect();
                    Error::new(Kind::Internal, text.join("; "))
                })
            });
            if let Err(failure) = removed.await {
                tracing::warn!(%failure, "cgroups of an ended container are still there");
            }
        }));
    }
}

/// `--rm`.
pub(super) async fn auto_remove(keeper: &mut Keeper) -> State {
    match keeper.remove(true, false).await {
        Ok(()) => State::Gone,
        Err(failure) => {
            tracing::error!(id = keeper.id(), %failure, "a container with --rm was not removed");
            State::Idle(Idle)
        }
    }
}

/// `docker restart`: the second half.
pub(super) async fn restarted(keeper: &mut Keeper, answers: Vec<super::Answer<()>>) -> State {
    let (state, result) = match launch::start(keeper, None).await {
        Ok(running) => {
            keeper.event("restart", []);
            (State::Running(running), Ok(()))
        }
        Err(failure) => (State::Idle(Idle), Err(failure)),
    };
    let failure = result.err();
    for answer in answers {
        let result = match &failure {
            None => Ok(()),
            Some(failure) => Err(Error::new(failure.kind, failure.message.clone())),
        };
        reply(answer, result);
    }
    state
}

/// An automatic start: a failure counts like a run of no length, so that a busy port or a late mount is tried again, with the delays of any flap.
pub(super) async fn automatic(keeper: &mut Keeper, delay: Duration) -> State {
    if keeper.shared.draining() {
        return State::Idle(Idle);
    }
    match launch::start(keeper, Some(delay)).await {
        Ok(running) => State::Running(running),
        Err(failure) => {
            tracing::warn!(id = keeper.id(), %failure, "an automatic restart failed");
            let ended = restart::Ended {
                exit_code: keeper.standing.exit_code,
                by_user: false,
                ran: Duration::ZERO,
                restarts: keeper.standing.restart_count,
            };
            match restart::next(keeper.record.spec.host.restart, ended, Some(delay)) {
                Some(delay) => {
                    keeper.standing.restart_count += 1;
                    keeper.set_status(Status::Restarting);
                    State::Backoff(Backoff { until: Instant::now() + delay, delay })
                }
                None => {
                    keeper.handle.answer_waiters(keeper.standing.exit_code, &failure.message, false);
                    State::Idle(Idle)
                }
            }
        }
    }
}
