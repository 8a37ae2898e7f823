//! Steps that make, replace, remove and start containers.

use super::{Fate, Up};
use crate::{
    error::Error,
    labels,
    model::{Condition, Service},
    observe::{Container, State},
    plan::step::{Action, Target},
};

impl Up<'_> {
    /// Steps that must be done before a container of the service can be made.
    pub(super) fn prerequisites(&self, service: &Service) -> Vec<usize> {
        let networks = service
            .networks
            .keys()
            .filter_map(|key| self.project.networks.get(key))
            .map(|network| &network.name);
        let volumes = service
            .volumes
            .iter()
            .filter_map(|mount| self.project.volumes.get(mount.source.as_ref()?))
            .map(|volume| &volume.name);
        let shared = networks.chain(volumes).filter_map(|name| self.shared.get(name).copied());
        let parents = service.creation_dependencies();
        let parents = parents
            .iter()
            .filter_map(|name| self.services.get(name))
            .flat_map(|parent| parent.result.iter().flat_map(|(_, steps, _)| steps.clone()));
        shared.chain(parents).collect()
    }

    pub(super) fn converge(&mut self, name: &str) -> Result<(), Error> {
        let service = self.service(name)?.clone();
        let mut progress = self.services.remove(name).unwrap_or_default();
        let prerequisites = self.prerequisites(&service);
        let dependents: Vec<usize> = self
            .project
            .dependents(name)
            .iter()
            .filter_map(|d| self.services.get(*d))
            .flat_map(|p| p.stops.clone())
            .collect();
        let mut removed = Vec::new();
        for container in std::mem::take(&mut progress.surplus) {
            removed.push(self.remove(&container, dependents.clone()));
        }
        for fate in &progress.keep {
            let result = match fate.obsolete {
                true => self.replace(&service, &fate.container, &prerequisites, &dependents),
                false => self.keep(&service, fate, &progress.stops, &removed),
            };
            progress.result.push(result);
        }
        let highest = self.seen.of(name).map(|container| container.number).max().unwrap_or(0);
        let missing = progress.wanted.saturating_sub(u32::try_from(progress.keep.len()).unwrap_or(u32::MAX));
        for number in highest + 1..=highest + missing {
            let container = service.container_name(&self.project.name, number);
            let action = Action::Create {
                service: name.to_owned(),
                number,
                name: container.clone(),
                replaces: None,
                keep_volumes: false,
            };
            // A fixed name must be free before it is used again.
            let after = if service.container_name.is_some() {
                [prerequisites.clone(), removed.clone()].concat()
            } else {
                prerequisites.clone()
            };
            let step = self.plan.add(action, after);
            progress.result.push((Target { id: None, name: container }, vec![step], State::Created));
        }
        self.services.insert(name.to_owned(), progress);
        Ok(())
    }

    /// Makes the new one beside the old one, then swaps them: the image and the options are proven before anything stops.
    pub(super) fn replace(
        &mut self,
        service: &Service,
        old: &Container,
        prerequisites: &[usize],
        dependents: &[usize],
    ) -> (Target, Vec<usize>, State) {
        let name = service.container_name(&self.project.name, old.number.max(1));
        let short: String = old.id.chars().take(12).collect();
        let temporary = format!("{short}_{name}");
        let create = self.plan.add(
            Action::Create {
                service: service.name.clone(),
                number: old.number.max(1),
                name: temporary.clone(),
                replaces: Some(old.id.clone()),
                keep_volumes: !self.options.renew_volumes,
            },
            prerequisites.iter().copied(),
        );
        let removed = self.remove(old, [&[create], dependents].concat());
        let from = Target { id: None, name: temporary };
        let rename = self.plan.add(Action::Rename { from, to: name.clone() }, [removed]);
        (Target { id: None, name }, vec![rename], State::Created)
    }

    pub(super) fn keep(
        &mut self,
        service: &Service,
        fate: &Fate,
        stops: &[usize],
        removed: &[usize],
    ) -> (Target, Vec<usize>, State) {
        let container = &fate.container;
        let name = service.container_name(&self.project.name, container.number.max(1));
        let target = Target { id: Some(container.id.clone()), name: name.clone() };
        let mut steps = Vec::new();
        // Left over by an interrupted `up`: it is the right one under its temporary name.
        let temporary =
            container.labels.contains_key(labels::REPLACE) && container.name.ends_with(&format!("_{name}"));
        if temporary && !self.seen.of(&service.name).any(|other| other.name == name && !self.going(other)) {
            let from = Target { id: Some(container.id.clone()), name: container.name.clone() };
            steps.push(self.plan.add(Action::Rename { from, to: name }, removed.iter().copied()));
        } else if !fate.restart {
            self.plan.unchanged.push((container.name.clone(), container.state.is_up()));
        }
        if fate.restart {
            steps.extend(stops);
            return (target, steps, State::Exited);
        }
        let target = if temporary { target } else { Target { name: container.name.clone(), ..target } };
        (target, steps, container.state)
    }

    /// Is this container being removed by the plan so far?
    pub(super) fn going(&self, container: &Container) -> bool {
        self.plan.steps.iter().any(|step| matches!(&step.action, Action::Remove { target, .. } if target.id.as_ref() == Some(&container.id)))
    }

    pub(super) fn remove(&mut self, container: &Container, mut after: Vec<usize>) -> usize {
        let target = Target { id: Some(container.id.clone()), name: container.name.clone() };
        if container.state.is_up() {
            after = vec![
                self.plan.add(Action::Stop { target: target.clone(), timeout: self.options.timeout }, after),
            ];
        }
        self.plan.add(Action::Remove { target, volumes: false, force: true }, after)
    }

    pub(super) fn start(&mut self, name: &str) {
        let Some(service) = self.project.services.get(name) else { return };
        let results = self.services.get(name).map(|progress| progress.result.clone()).unwrap_or_default();
        let idle: Vec<_> = results
            .into_iter()
            .filter(|(_, _, state)| !matches!(state, State::Running | State::Restarting))
            .collect();
        if idle.is_empty() {
            return;
        }
        let mut ready = Vec::new();
        for parent in service.creation_dependencies() {
            ready
                .extend(self.services.get(&parent).into_iter().flat_map(|progress| progress.started.clone()));
        }
        if !self.options.no_deps {
            for (dependency, rule) in &service.depends_on {
                ready.extend(self.ready(dependency, rule.condition, rule.required));
            }
        }
        for (target, steps, state) in idle {
            let action = match state {
                State::Paused => Action::Unpause { target },
                _ => Action::Start { service: name.to_owned(), target },
            };
            let step = self.plan.add(action, steps.into_iter().chain(ready.iter().copied()));
            if let Some(progress) = self.services.get_mut(name) {
                progress.started.push(step);
            }
        }
    }

    /// Steps after which a dependency is as its dependents need it.
    pub(super) fn ready(&mut self, dependency: &str, condition: Condition, required: bool) -> Vec<usize> {
        let Some(progress) = self.services.get(dependency) else { return Vec::new() };
        if condition == Condition::Started || progress.result.is_empty() {
            return progress.started.clone();
        }
        let key = (dependency.to_owned(), condition);
        if let Some(step) = self.waits.get(&key).copied() {
            if let (true, Action::Wait { required: known, .. }) =
                (required, &mut self.plan.steps[step].action)
            {
                *known = true;
            }
            return vec![step];
        }
        let targets = progress.result.iter().map(|(target, ..)| target.clone()).collect();
        let started = progress.started.clone();
        let step = self
            .plan
            .add(Action::Wait { service: dependency.to_owned(), condition, targets, required }, started);
        self.waits.insert(key, step);
        vec![step]
    }

    pub(super) fn wait_all(&mut self, order: &[String]) {
        for name in order {
            let Some(progress) = self.services.get(name).filter(|progress| !progress.result.is_empty())
            else {
                continue;
            };
            let targets = progress.result.iter().map(|(target, ..)| target.clone()).collect();
            let started = progress.started.clone();
            self.plan.add(Action::WaitReady { service: name.clone(), targets }, started);
        }
    }
    pub(super) fn service(&self, name: &str) -> Result<&Service, Error> {
        self.project.service(name)
    }
}
