//! What is to become of each container that is there.

use super::{Fate, Progress, Recreate, Up};
use crate::{
    error::Error,
    labels,
    model::{Service, service_hash},
    observe::Container,
    plan::step::{Action, Target},
};

impl Up<'_> {
    /// Sorts a service's containers into those to keep (some of them obsolete) and those too many.
    pub(super) fn observe(&mut self, name: &str) -> Result<(), Error> {
        let service = self.service(name)?;
        let wanted = self.options.scale.get(name).copied().unwrap_or_else(|| service.replicas());
        if wanted > 1 && service.container_name.is_some() {
            return Err(Error::invalid(format!(
                "service {name} has the fixed name {}, which allows one container",
                service.container_name("", 1)
            )));
        }
        let hash = service_hash(self.project, service)
            .map_err(|error| Error::invalid(format!("service {name}: {error}")))?;
        let policy = if self.named.contains(name) {
            self.options.recreate
        } else {
            self.options.recreate_dependencies
        };
        let fate = |container: &Container| {
            let obsolete = match policy {
                Recreate::Never => false,
                Recreate::Force => true,
                Recreate::Diverged => self.diverged(service, container, &hash),
            };
            Fate { container: container.clone(), obsolete, restart: false }
        };
        let mut fates: Vec<Fate> = self.seen.of(name).map(fate).collect();
        // Obsolete ones go first when there are too many; the rest keep their low numbers.
        fates.sort_by_key(|fate| (fate.obsolete, fate.container.number, fate.container.name.clone()));
        let surplus = fates.split_off(fates.len().min(wanted as usize));
        let surplus = surplus.into_iter().map(|fate| fate.container).collect();
        self.services
            .insert(name.to_owned(), Progress { keep: fates, surplus, wanted, ..Progress::default() });
        Ok(())
    }

    pub(super) fn diverged(&self, service: &Service, container: &Container, hash: &str) -> bool {
        let label = |key: &str| container.labels.get(key).map(String::as_str);
        let image = self.seen.images.get(&service.image_name(&self.project.name)).map(String::as_str);
        let other_image = image.is_some_and(|id| label(labels::IMAGE).is_some_and(|seen| seen != id));
        label(labels::CONFIG_HASH) != Some(hash)
            || other_image
            || self.lost_network(service, container)
            || self.lost_parent(service, container)
    }

    /// A network was removed and made anew under the container.
    pub(super) fn lost_network(&self, service: &Service, container: &Container) -> bool {
        let names = service
            .networks
            .keys()
            .filter_map(|key| self.project.networks.get(key))
            .map(|network| &network.name);
        let mut pairs = names.filter_map(|name| container.networks.get(name).map(|id| (name, id)));
        pairs.any(|(name, id)| {
            !id.is_empty() && self.seen.networks.get(name).is_none_or(|network| network.id != *id)
        })
    }

    /// The container whose network it shares is gone or will be replaced.
    pub(super) fn lost_parent(&self, service: &Service, container: &Container) -> bool {
        let parents = service.shared_dependencies();
        let replaced = parents
            .iter()
            .filter_map(|parent| self.services.get(parent))
            .any(|parent| parent.keep.iter().any(|fate| fate.obsolete));
        let Some(parent) = Service::shared(service.network_mode.as_ref()) else { return replaced };
        let id = container.network_mode.strip_prefix("container:").unwrap_or_default();
        replaced || !self.seen.of(parent).any(|container| container.id == id || container.name == id)
    }

    /// Running services that nobody named, but whose ground moves: what they share, or what they asked to be restarted with,
    /// is recreated.
    pub(super) fn affected(&mut self, order: Vec<String>) -> Result<Vec<String>, Error> {
        let project = self.project;
        for name in project.in_order()? {
            let Some(service) = project.services.get(name).filter(|_| !self.targets.contains(name)) else {
                continue;
            };
            let up: Vec<&Container> =
                self.seen.of(name).filter(|container| container.state.is_up()).collect();
            let moves = |dependency: &String| {
                let progress = self.services.get(dependency);
                progress
                    .is_some_and(|progress| progress.keep.iter().any(|fate| fate.obsolete || fate.restart))
            };
            let shares = service.shared_dependencies().iter().any(moves);
            let restarts =
                service.depends_on.iter().any(|(dependency, rule)| rule.restart && moves(dependency));
            if up.is_empty() || !(shares || restarts) {
                continue;
            }
            let fate = |container: &Container| Fate {
                container: container.clone(),
                obsolete: shares,
                restart: !shares,
            };
            let keep: Vec<Fate> = up.into_iter().map(fate).collect();
            let wanted = u32::try_from(keep.len()).unwrap_or(u32::MAX);
            self.services.insert(name.to_owned(), Progress { keep, wanted, ..Progress::default() });
            self.targets.insert(name.to_owned());
        }
        let mine = |name: &&str| self.targets.contains(*name);
        let all: Vec<String> = project.in_order()?.into_iter().filter(mine).map(str::to_owned).collect();
        Ok(if all.len() == order.len() { order } else { all })
    }

    /// Who must be restarted because what it depends on is recreated.
    pub(super) fn restarts(&mut self, order: &[String]) {
        for name in order {
            let Some(service) = self.project.services.get(name) else { continue };
            let moved = |dependency: &String| {
                self.services
                    .get(dependency)
                    .is_some_and(|progress| progress.keep.iter().any(|fate| fate.obsolete || fate.restart))
            };
            if !service.depends_on.iter().any(|(dependency, rule)| rule.restart && moved(dependency)) {
                continue;
            }
            if let Some(progress) = self.services.get_mut(name) {
                progress
                    .keep
                    .iter_mut()
                    .filter(|fate| fate.container.state.is_up())
                    .for_each(|fate| fate.restart = true);
            }
        }
        // Dependents are stopped before what they depend on is.
        for name in order.iter().rev() {
            let before: Vec<usize> = self
                .project
                .dependents(name)
                .iter()
                .filter_map(|d| self.services.get(*d))
                .flat_map(|p| p.stops.clone())
                .collect();
            let stopping: Vec<Container> = match self.services.get(name) {
                Some(progress) => progress
                    .keep
                    .iter()
                    .filter(|fate| fate.restart && !fate.obsolete)
                    .map(|fate| fate.container.clone())
                    .collect(),
                None => Vec::new(),
            };
            for container in stopping {
                let target = Target { id: Some(container.id), name: container.name };
                let step = self
                    .plan
                    .add(Action::Stop { target, timeout: self.options.timeout }, before.iter().copied());
                if let Some(progress) = self.services.get_mut(name) {
                    progress.stops.push(step);
                }
            }
        }
    }
}
