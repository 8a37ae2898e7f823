//! Taking a project down, dependents first.

use std::collections::{BTreeMap, BTreeSet};

use super::step::{Action, Plan, Target};
use crate::{
    labels,
    model::Project,
    observe::{Container, Observed},
};

/// `--rmi`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rmi {
    /// Images that were built here, without a name of their own.
    Local,
    /// All images of the services.
    All,
}

/// Options of `down`.
#[derive(Debug, Clone, Default)]
pub struct DownOptions {
    /// Only these services; none is all, with networks.
    pub services: Vec<String>,
    /// `--volumes`.
    pub volumes: bool,
    /// `--rmi`.
    pub rmi: Option<Rmi>,
    /// `--remove-orphans`.
    pub remove_orphans: bool,
    /// `--timeout` in seconds.
    pub timeout: Option<i32>,
}

/// Dependencies between services, as the project says, or as the containers' labels do when there is no project.
fn dependencies(project: Option<&Project>, containers: &[Container]) -> BTreeMap<String, BTreeSet<String>> {
    let mut map: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for container in containers {
        let known = project.and_then(|project| {
            project.services.get(&container.service).or_else(|| project.disabled.get(&container.service))
        });
        let entry = map.entry(container.service.clone()).or_default();
        match known {
            Some(service) => entry.extend(service.dependencies()),
            None => {
                let list = container.labels.get(labels::DEPENDS_ON).map(String::as_str).unwrap_or_default();
                entry.extend(
                    list.split(',')
                        .filter_map(|part| part.split(':').next())
                        .filter(|name| !name.is_empty())
                        .map(str::to_owned),
                );
            }
        }
    }
    map
}

/// Containers in waves: each after those of services that depend on its own.
#[must_use]
pub fn stop_order(project: Option<&Project>, containers: &[Container]) -> Vec<Vec<Container>> {
    let depends = dependencies(project, containers);
    let mut left: BTreeSet<String> = depends.keys().cloned().collect();
    let mut waves = Vec::new();
    while !left.is_empty() {
        let needed: BTreeSet<&String> = left
            .iter()
            .filter_map(|name| depends.get(name).map(|d| (name, d)))
            .flat_map(|(name, d)| d.iter().filter(move |other| *other != name))
            .collect();
        let mut wave: BTreeSet<String> = left.iter().filter(|name| !needed.contains(name)).cloned().collect();
        // Labels of strange containers may form a circle: then all at once.
        if wave.is_empty() {
            wave.clone_from(&left);
        }
        waves
            .push(containers.iter().filter(|container| wave.contains(&container.service)).cloned().collect());
        left.retain(|name| !wave.contains(name));
    }
    waves
}

/// Takes the project down.
#[must_use]
pub fn down(name: &str, project: Option<&Project>, seen: &Observed, options: &DownOptions) -> Plan {
    let mut plan = Plan::default();
    let all = options.services.is_empty();
    let known = |service: &String| {
        project.is_none_or(|project| {
            project.services.contains_key(service) || project.disabled.contains_key(service)
        })
    };
    let wanted = |container: &&Container| match all {
        true => options.remove_orphans || known(&container.service),
        false => options.services.contains(&container.service),
    };
    let chosen: Vec<Container> = seen.containers.iter().filter(wanted).cloned().collect();
    let mut before: Vec<usize> = Vec::new();
    for wave in stop_order(project, &chosen) {
        let mut done = Vec::new();
        for container in wave {
            let target = Target { id: Some(container.id.clone()), name: container.name.clone() };
            let mut after = before.clone();
            if container.state.is_up() {
                after =
                    vec![plan.add(Action::Stop { target: target.clone(), timeout: options.timeout }, after)];
            }
            done.push(plan.add(Action::Remove { target, volumes: options.volumes, force: true }, after));
        }
        before = done;
    }
    let removed: Vec<usize> =
        (0..plan.steps.len()).filter(|i| matches!(plan.steps[*i].action, Action::Remove { .. })).collect();
    if all {
        shared(name, project, seen, options, &removed, &mut plan);
    }
    if let (Some(rmi), Some(project)) = (options.rmi, project) {
        let services =
            project.services.values().filter(|service| all || options.services.contains(&service.name));
        let images = services
            .filter(|service| rmi == Rmi::All || service.image.is_none())
            .map(|service| service.image_name(name));
        for image in images.collect::<BTreeSet<_>>() {
            if seen.images.contains_key(&image) {
                plan.add(Action::RemoveImage { image }, removed.iter().copied());
            }
        }
    }
    plan
}

fn shared(
    name: &str,
    project: Option<&Project>,
    seen: &Observed,
    options: &DownOptions,
    removed: &[usize],
    plan: &mut Plan,
) {
    let mine = |labels: &std::collections::HashMap<String, String>| {
        labels.get(labels::PROJECT).is_some_and(|project| project == name)
    };
    let external: BTreeSet<&String> = project
        .iter()
        .flat_map(|project| project.networks.values())
        .filter(|network| network.external)
        .map(|network| &network.name)
        .collect();
    for (network, shared) in
        seen.networks.iter().filter(|(network, shared)| mine(&shared.labels) && !external.contains(network))
    {
        plan.add(
            Action::RemoveNetwork { name: network.clone(), id: shared.id.clone() },
            removed.iter().copied(),
        );
    }
    if options.volumes {
        let external: BTreeSet<&String> = project
            .iter()
            .flat_map(|project| project.volumes.values())
            .filter(|volume| volume.external)
            .map(|volume| &volume.name)
            .collect();
        for volume in seen
            .volumes
            .iter()
            .filter(|(volume, shared)| mine(&shared.labels) && !external.contains(volume))
            .map(|(volume, _)| volume)
        {
            plan.add(Action::RemoveVolume { name: volume.clone() }, removed.iter().copied());
        }
    }
}
