//! One task owns one container: commands arrive in its mailbox, the shim's notices beside them. Its state is an enum with a struct per
//! state; a state consumes itself to become the next, so what a state does not have cannot be used in it.

mod ahead;
mod end;
mod failure;
mod idle;
mod keeper;
mod launch;
mod network;
mod oom;
mod prepare;
mod running;

pub(crate) use ahead::{AT_ONCE, Ahead};
pub(crate) use failure::exit_code as refusal_code;
pub(crate) use failure::sentence as refusal_sentence;
pub(crate) use keeper::Keeper;
pub(crate) use launch::dismiss;
pub(crate) use network::{Mode, extra_host, mac, mode};
pub(crate) use prepare::{bind_source, cgroups, host_devices, resources, specification};
pub(crate) use running::{Probing, Running, adopted, netns_of};

use super::{Attach, Probe, Remove, Resources, Restart};
use crate::{Result, link::Notice, networks};
use rustix::fd::OwnedFd;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

/// Where an answer goes.
pub(crate) type Answer<T> = oneshot::Sender<Result<T>>;

/// What can be asked of a container's task.
#[derive(Debug)]
pub(crate) enum Command {
    Start(Answer<()>),
    Stop {
        signal: Option<i32>,
        timeout: Option<i64>,
        answer: Answer<()>,
    },
    Restart {
        signal: Option<i32>,
        timeout: Option<i64>,
        answer: Answer<()>,
    },
    Kill {
        signal: i32,
        answer: Answer<()>,
    },
    Pause(Answer<()>),
    Unpause(Answer<()>),
    Rename {
        new: String,
        answer: Answer<()>,
    },
    Unlink {
        alias: String,
        answer: Answer<()>,
    },
    Update {
        resources: Option<Box<Resources>>,
        restart: Option<Restart>,
        answer: Answer<Vec<String>>,
    },
    Remove {
        remove: Remove,
        answer: Answer<()>,
    },
    Attach {
        end: OwnedFd,
        wanted: Attach,
        answer: Answer<()>,
    },
    Connect {
        network: Arc<networks::View>,
        config: Box<networks::EndpointConfig>,
        answer: Answer<()>,
    },
    Disconnect {
        network: String,
        answer: Answer<()>,
    },
    /// The kernel's OOM killer struck in this run.
    OutOfMemory {
        run: u64,
    },
    /// A health probe of this run ended.
    Probed {
        run: u64,
        probe: Box<Probe>,
    },
}

/// How it stands.
#[derive(Debug)]
pub(crate) enum State {
    /// Created, exited.
    Idle(Idle),
    /// A process runs (or is paused, or being stopped).
    Running(Box<Running>),
    /// Will start again by itself.
    Backoff(Backoff),
    /// Removed: the task ends.
    Gone,
}

/// Nothing runs.
#[derive(Debug, Default)]
pub(crate) struct Idle;

/// Waits for the next automatic start.
#[derive(Debug)]
pub(crate) struct Backoff {
    pub(crate) until: Instant,
    pub(crate) delay: Duration,
}

/// What wakes a task.
enum Wake {
    Command(Command),
    Notice(Notice),
    Deadline,
    /// Nobody holds the container any more.
    Closed,
}

/// Runs a container's task until it is removed.
pub(crate) async fn run(mut keeper: Keeper, mut state: State, mut mailbox: mpsc::Receiver<Command>) {
    loop {
        let wake = match &mut state {
            State::Gone => return,
            State::Idle(_) => command(mailbox.recv().await),
            State::Backoff(backoff) => {
                tokio::select! {
                    asked = mailbox.recv() => command(asked),
                    () = tokio::time::sleep_until(backoff.until) => Wake::Deadline,
                }
            }
            State::Running(running) => {
                let deadline = running.deadline();
                tokio::select! {
                    biased;
                    notice = running.notices.next() => Wake::Notice(notice),
                    asked = mailbox.recv() => command(asked),
                    () = until(deadline) => Wake::Deadline,
                }
            }
        };
        state = match (state, wake) {
            (_, Wake::Closed) => return,
            (State::Idle(idle), Wake::Command(command)) => idle.command(&mut keeper, command).await,
            (State::Backoff(backoff), Wake::Command(command)) => backoff.command(&mut keeper, command).await,
            (State::Backoff(backoff), Wake::Deadline) => backoff.due(&mut keeper).await,
            (State::Running(running), Wake::Command(command)) => running.command(&mut keeper, command).await,
            (State::Running(running), Wake::Notice(notice)) => running.notice(&mut keeper, notice).await,
            (State::Running(running), Wake::Deadline) => running.overdue(&mut keeper).await,
            (state, _) => state,
        };
    }
}

fn command(asked: Option<Command>) -> Wake {
    asked.map_or(Wake::Closed, Wake::Command)
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Sends an answer; an asker that went away meanwhile is nobody's failure.
pub(crate) fn reply<T>(answer: Answer<T>, result: Result<T>) {
    if answer.send(result).is_err() {
        tracing::debug!("an asker went before its answer");
    }
}
