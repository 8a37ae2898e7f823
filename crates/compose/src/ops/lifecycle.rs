//! `down`, `stop`, `start`, `restart`, `kill`, `rm`, `pause`, `unpause`.

use std::collections::{BTreeMap, BTreeSet};

use bollard::query_parameters::{
    KillContainerOptions, RestartContainerOptions, StartContainerOptions, StopContainerOptions,
};
use futures_util::future::join_all;

use super::Room;
use crate::{
    apply::event,
    error::{Error, status},
    model::Condition,
    observe::{self, Container, State},
    plan::{self, Action, DownOptions, Plan, Target},
    report::Phase,
};

/// A change to containers that are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// `stop -t`.
    Stop(Option<i32>),
    /// `start`.
    Start,
    /// `restart -t`.
    Restart(Option<i32>),
    /// `kill -s`.
    Kill(String),
    /// `pause`.
    Pause,
    /// `unpause`.
    Unpause,
}

impl Change {
    fn words(&self) -> (&'static str, &'static str) {
        match self {
            Self::Stop(_) => ("Stopping", "Stopped"),
            Self::Start => ("Starting", "Started"),
            Self::Restart(_) => ("Restarting", "Started"),
            Self::Kill(_) => ("Killing", "Killed"),
            Self::Pause => ("Pausing", "Paused"),
            Self::Unpause => ("Unpausing", "Unpaused"),
        }
    }

    fn concerns(&self, container: &Container) -> bool {
        match self {
            Self::Stop(_) | Self::Kill(_) => container.state.is_up(),
            Self::Start => !container.state.is_up(),
            Self::Restart(_) => true,
            Self::Pause => container.state == State::Running,
            Self::Unpause => container.state == State::Paused,
        }
    }
}

/// Takes the project down.
///
/// # Errors
/// The engine's.
pub async fn down(room: &Room, options: &DownOptions) -> Result<(), Error> {
    let images: BTreeSet<String> = match (&room.project, options.rmi) {
        (Some(project), Some(_)) => observe::image_names(project),
        _ => BTreeSet::new(),
    };
    let seen = observe::all(&room.docker, &room.name, &images).await?;
    let plan = plan::down(&room.name, room.project.as_ref(), &seen, options);
    if plan.is_empty() {
        room.reporter("Running").warn(&format!("no resource found to remove for project \"{}\"", room.name));
        return Ok(());
    }
    room.apply(&plan, "Running").await
}

/// Changes containers of the named services, or of all, in the order of their dependencies.
///
/// # Errors
/// The engine's; `start` without containers.
pub async fn change(room: &Room, services: &[String], change: &Change) -> Result<(), Error> {
    let containers = room.containers(services, matches!(change, Change::Stop(_) | Change::Kill(_))).await?;
    match change {
        Change::Start => {
            if let Some(name) =
                services.iter().find(|name| !containers.iter().any(|container| &container.service == *name))
            {
                return Err(Error::invalid(format!("service \"{name}\" has no container to start")));
            }
            return room.apply(&starts(room, &containers), "Running").await;
        }
        Change::Stop(timeout) => return room.apply(&stops(room, &containers, *timeout), "Stopping").await,
        _ => {}
    }
    let mut waves = plan::stop_order(room.project.as_ref(), &containers);
    if matches!(change, Change::Restart(_)) {
        waves.reverse();
    }
    let reporter = room.reporter("Running");
    let (begin, end) = change.words();
    for wave in waves {
        let chosen: Vec<&Container> = wave.iter().filter(|container| change.concerns(container)).collect();
        let one = async |container: &Container| -> Result<(), Error> {
            reporter.event(event(format!("Container {}", container.name), begin, Phase::Working));
            if !room.dry_run {
                call(room, container, change).await?;
            }
            reporter.event(event(format!("Container {}", container.name), end, Phase::Done));
            Ok(())
        };
        join_all(chosen.into_iter().map(one)).await.into_iter().collect::<Result<Vec<()>, Error>>()?;
    }
    reporter.finish();
    Ok(())
}

async fn call(room: &Room, container: &Container, change: &Change) -> Result<(), Error> {
    let (docker, id) = (&room.docker, container.id.as_str());
    let result = match change {
        Change::Stop(timeout) => {
            docker.stop_container(id, Some(StopContainerOptions { signal: None, t: *timeout })).await
        }
        Change::Start => docker.start_container(id, None::<StartContainerOptions>).await,
        Change::Restart(timeout) => {
            docker.restart_container(id, Some(RestartContainerOptions { signal: None, t: *timeout })).await
        }
        Change::Kill(signal) => {
            docker.kill_container(id, Some(KillContainerOptions { signal: signal.clone() })).await
        }
        Change::Pause => docker.pause_container(id).await,
        Change::Unpause => docker.unpause_container(id).await,
    };
    match result {
        Err(error) if status(&error) == Some(304) => Ok(()),
        other => other.map_err(Error::engine(format!("container {}", container.name))),
    }
}

fn target(container: &Container) -> Target {
    Target { id: Some(container.id.clone()), name: container.name.clone() }
}

fn stops(room: &Room, containers: &[Container], timeout: Option<i32>) -> Plan {
    let mut plan = Plan::default();
    let mut before: Vec<usize> = Vec::new();
    for wave in plan::stop_order(room.project.as_ref(), containers) {
        let mut done = Vec::new();
        for container in wave.iter().filter(|container| container.state.is_up()) {
            done.push(plan.add(Action::Stop { target: target(container), timeout }, before.iter().copied()));
        }
        if !done.is_empty() {
            before = done;
        }
    }
    plan
}

/// Starts in the order of dependencies, with the waits that the project asks for.
fn starts(room: &Room, containers: &[Container]) -> Plan {
    let mut plan = Plan::default();
    let mut started: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let mut waves = plan::stop_order(room.project.as_ref(), containers);
    waves.reverse();
    for container in waves.iter().flatten().filter(|container| !container.state.is_up()) {
        let mut ready = Vec::new();
        let service = room.project.as_ref().and_then(|project| project.services.get(&container.service));
        for (name, rule) in service.iter().flat_map(|service| &service.depends_on) {
            let steps = started.get(name).cloned().unwrap_or_default();
            if rule.condition == Condition::Started || steps.is_empty() {
                ready.extend(steps);
                continue;
            }
            let targets = containers.iter().filter(|other| &other.service == name).map(target).collect();
            let wait = Action::Wait {
                service: name.clone(),
                condition: rule.condition,
                targets,
                required: rule.required,
            };
            let known = plan.steps.iter().position(|step| step.action == wait);
            ready.push(known.unwrap_or_else(|| plan.add(wait, steps)));
        }
        let step =
            plan.add(Action::Start { service: container.service.clone(), target: target(container) }, ready);
        started.entry(container.service.clone()).or_default().push(step);
    }
    plan
}

/// Removes stopped containers; with `stop`, stops them first.
///
/// # Errors
/// The engine's.
pub async fn remove(
    room: &Room,
    services: &[String],
    stop: bool,
    volumes: bool,
) -> Result<Vec<String>, Error> {
    let containers = room.containers(services, true).await?;
    let mut plan = Plan::default();
    let mut names = Vec::new();
    for container in containers.iter().filter(|container| stop || !container.state.is_up()) {
        let mut after = Vec::new();
        if container.state.is_up() {
            after.push(plan.add(Action::Stop { target: target(container), timeout: None }, []));
        }
        plan.add(Action::Remove { target: target(container), volumes, force: false }, after);
        names.push(container.name.clone());
    }
    room.apply(&plan, "Removing").await?;
    Ok(names)
}
