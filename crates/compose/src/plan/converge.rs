//! `up`: what is wanted against what there is.

use std::collections::{BTreeMap, BTreeSet};

use super::step::{Action, Plan, Target};
use crate::{
    error::Error,
    labels,
    model::{Condition, Project, Service, service_hash},
    observe::{Container, Observed, State},
};

/// When to make a container anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recreate {
    /// When it is not what is wanted any more.
    #[default]
    Diverged,
    /// Always.
    Force,
    /// Never.
    Never,
}

/// Options of `up` and `create`.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "each is one flag of the command line")]
pub struct UpOptions {
    /// Only these services; none is all.
    pub services: Vec<String>,
    /// For the services named.
    pub recreate: Recreate,
    /// For those they depend on: `--always-recreate-deps`.
    pub recreate_dependencies: Recreate,
    /// `--no-deps`.
    pub no_deps: bool,
    /// `--scale`.
    pub scale: BTreeMap<String, u32>,
    /// `--remove-orphans`.
    pub remove_orphans: bool,
    /// `--renew-anon-volumes`.
    pub renew_volumes: bool,
    /// `--no-start` is false.
    pub start: bool,
    /// `--wait`.
    pub wait: bool,
    /// `--timeout` in seconds.
    pub timeout: Option<i32>,
}

impl Default for UpOptions {
    fn default() -> Self {
        Self {
            services: Vec::new(),
            recreate: Recreate::default(),
            recreate_dependencies: Recreate::default(),
            no_deps: false,
            scale: BTreeMap::new(),
            remove_orphans: false,
            renew_volumes: false,
            start: true,
            wait: false,
            timeout: None,
        }
    }
}

/// Makes the engine have what the project wants. Images are there already (see [`super::images`]).
///
/// # Errors
/// A name that is no service, an external network or volume that is missing, a circle.
pub fn up(project: &Project, seen: &Observed, options: &UpOptions) -> Result<Plan, Error> {
    converge(project, seen, options, None)
}

/// Makes ready for a container of `run`: all that the service needs, up to the point where it would be made itself.
///
/// # Errors
/// See [`up`].
pub fn up_for_run(project: &Project, seen: &Observed, options: &UpOptions, service: &str) -> Result<Plan, Error> {
    converge(project, seen, options, Some(service))
}

fn converge(project: &Project, seen: &Observed, options: &UpOptions, but: Option<&str>) -> Result<Plan, Error> {
    let named: BTreeSet<String> = match options.services.is_empty() {
        true => project.services.keys().cloned().collect(),
        false => options.services.iter().map(|name| project.service(name).map(|service| service.name.clone())).collect::<Result<_, _>>()?,
    };
    let targets = match options.no_deps {
        true => named.clone(),
        false => project.with_dependencies(&named.iter().cloned().collect::<Vec<_>>())?,
    };
    for name in options.scale.keys() {
        project.service(name)?;
    }
    let mut up = Up { project, seen, options, named, targets, plan: Plan::default(), shared: BTreeMap::new(), services: BTreeMap::new(), waits: BTreeMap::new() };
    up.networks()?;
    up.volumes()?;
    up.orphans();
    let mine = |name: &&str| up.targets.contains(*name) && Some(*name) != but;
    let order: Vec<String> = project.in_order()?.into_iter().filter(mine).map(str::to_owned).collect();
    for name in &order {
        up.observe(name)?;
    }
    let order = if options.no_deps || but.is_some() { order } else { up.affected(order)? };
    up.restarts(&order);
    for name in &order {
        up.converge(name)?;
    }
    if options.start {
        for name in &order {
            up.start(name);
        }
    }
    if let Some(service) = but.and_then(|name| project.services.get(name)).filter(|_| !options.no_deps) {
        for (dependency, rule) in &service.depends_on {
            up.ready(dependency, rule.condition, rule.required);
        }
    }
    if options.wait {
        up.wait_all(&order);
    }
    Ok(up.plan)
}

/// What happens to one container.
#[derive(Debug, Clone)]
struct Fate {
    container: Container,
    obsolete: bool,
    /// A dependency is recreated, and the service asked to be restarted with it.
    restart: bool,
}

/// What is known of a service while the plan grows.
#[derive(Debug, Default)]
struct Progress {
    keep: Vec<Fate>,
    surplus: Vec<Container>,
    wanted: u32,
    /// Containers as they will be: target, the steps that make them so, whether they must be started.
    result: Vec<(Target, Vec<usize>, State)>,
    /// Stops of its containers that happen before those of its dependencies.
    stops: Vec<usize>,
    started: Vec<usize>,
}

struct Up<'a> {
    project: &'a Project,
    seen: &'a Observed,
    options: &'a UpOptions,
    named: BTreeSet<String>,
    targets: BTreeSet<String>,
    plan: Plan,
    /// Steps that make networks and volumes, by engine name.
    shared: BTreeMap<String, usize>,
    services: BTreeMap<String, Progress>,
    waits: BTreeMap<(String, Condition), usize>,
}

impl Up<'_> {
    fn service(&self, name: &str) -> Result<&Service, Error> {
        self.project.service(name)
    }

    /// The networks and volumes that the targets use.
    fn used(&self, keys: impl Fn(&Service) -> Vec<String>) -> BTreeSet<String> {
        self.targets.iter().filter_map(|name| self.project.services.get(name)).flat_map(keys).collect()
    }

    fn networks(&mut self) -> Result<(), Error> {
        for key in self.used(|service| service.networks.keys().cloned().collect()) {
            let Some(network) = self.project.networks.get(&key) else { continue };
            match self.seen.networks.get(&network.name) {
                Some(seen) => self.foreign("network", &network.name, network.external, &seen.labels),
                None if network.external => return Err(Error::invalid(format!("network {} declared as external, but could not be found", network.name))),
                None => {
                    let step = self.plan.add(Action::CreateNetwork { key: key.clone(), name: network.name.clone() }, []);
                    self.shared.insert(network.name.clone(), step);
                }
            }
        }
        Ok(())
    }

    fn volumes(&mut self) -> Result<(), Error> {
        for key in self.used(|service| service.volumes.iter().filter_map(|mount| mount.source.clone()).collect()) {
            let Some(volume) = self.project.volumes.get(&key) else { continue };
            match self.seen.volumes.get(&volume.name) {
                Some(seen) => self.foreign("volume", &volume.name, volume.external, &seen.labels),
                None if volume.external => return Err(Error::invalid(format!("volume {} declared as external, but could not be found", volume.name))),
                None => {
                    let step = self.plan.add(Action::CreateVolume { key: key.clone(), name: volume.name.clone() }, []);
                    self.shared.insert(volume.name.clone(), step);
                }
            }
        }
        Ok(())
    }

    /// Something of that name is there, but not as ours.
    fn foreign(&mut self, kind: &str, name: &str, external: bool, seen: &std::collections::HashMap<String, String>) {
        if external || seen.get(labels::PROJECT) == Some(&self.project.name) {
            return;
        }
        let whose = seen.get(labels::PROJECT).map_or_else(|| "was not created by compose".to_owned(), |other| format!("belongs to project {other}"));
        self.plan.warnings.push(format!("{kind} {name} exists but {whose}; use \"external: true\" to say that this is meant"));
    }

    fn orphans(&mut self) {
        let known = |service: &String| self.project.services.contains_key(service) || self.project.disabled.contains_key(service);
        let orphans: Vec<Container> = self.seen.containers.iter().filter(|container| !container.oneoff && !known(&container.service)).cloned().collect();
        if orphans.is_empty() {
            return;
        }
        if self.options.remove_orphans {
            for container in orphans {
                self.remove(&container, Vec::new());
            }
            return;
        }
        let names: Vec<&str> = orphans.iter().map(|container| container.name.as_str()).collect();
        self.plan.warnings.push(format!(
            "found orphan containers ({}) for this project; if a service was removed or renamed, --remove-orphans cleans them up",
            names.join(", ")
        ));
    }

    fn remove(&mut self, container: &Container, mut after: Vec<usize>) -> usize {
        let target = Target { id: Some(container.id.clone()), name: container.name.clone() };
        if container.state.is_up() {
            after = vec![self.plan.add(Action::Stop { target: target.clone(), timeout: self.options.timeout }, after)];
        }
        self.plan.add(Action::Remove { target, volumes: false, force: true }, after)
    }

    /// Sorts a service's containers into those to keep (some of them obsolete) and those too many.
    fn observe(&mut self, name: &str) -> Result<(), Error> {
        let service = self.service(name)?;
        let wanted = self.options.scale.get(name).copied().unwrap_or_else(|| service.replicas());
        if wanted > 1 && service.container_name.is_some() {
            return Err(Error::invalid(format!("service {name} has the fixed name {}, which allows one container", service.container_name("", 1))));
        }
        let hash = service_hash(self.project, service).map_err(|error| Error::invalid(format!("service {name}: {error}")))?;
        let policy = if self.named.contains(name) { self.options.recreate } else { self.options.recreate_dependencies };
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
        self.services.insert(name.to_owned(), Progress { keep: fates, surplus, wanted, ..Progress::default() });
        Ok(())
    }

    fn diverged(&self, service: &Service, container: &Container, hash: &str) -> bool {
        let label = |key: &str| container.labels.get(key).map(String::as_str);
        let image = self.seen.images.get(&service.image_name(&self.project.name)).map(String::as_str);
        let other_image = image.is_some_and(|id| label(labels::IMAGE).is_some_and(|seen| seen != id));
        label(labels::CONFIG_HASH) != Some(hash) || other_image || self.lost_network(service, container) || self.lost_parent(service, container)
    }

    /// A network was removed and made anew under the container.
    fn lost_network(&self, service: &Service, container: &Container) -> bool {
        let names = service.networks.keys().filter_map(|key| self.project.networks.get(key)).map(|network| &network.name);
        let mut pairs = names.filter_map(|name| container.networks.get(name).map(|id| (name, id)));
        pairs.any(|(name, id)| !id.is_empty() && self.seen.networks.get(name).is_none_or(|network| network.id != *id))
    }

    /// The container whose network it shares is gone or will be replaced.
    fn lost_parent(&self, service: &Service, container: &Container) -> bool {
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
    fn affected(&mut self, order: Vec<String>) -> Result<Vec<String>, Error> {
        let project = self.project;
        for name in project.in_order()? {
            let Some(service) = project.services.get(name).filter(|_| !self.targets.contains(name)) else { continue };
            let up: Vec<&Container> = self.seen.of(name).filter(|container| container.state.is_up()).collect();
            let moves = |dependency: &String| {
                let progress = self.services.get(dependency);
                progress.is_some_and(|progress| progress.keep.iter().any(|fate| fate.obsolete || fate.restart))
            };
            let shares = service.shared_dependencies().iter().any(moves);
            let restarts = service.depends_on.iter().any(|(dependency, rule)| rule.restart && moves(dependency));
            if up.is_empty() || !(shares || restarts) {
                continue;
            }
            let fate = |container: &Container| Fate { container: container.clone(), obsolete: shares, restart: !shares };
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
    fn restarts(&mut self, order: &[String]) {
        for name in order {
            let Some(service) = self.project.services.get(name) else { continue };
            let moved = |dependency: &String| self.services.get(dependency).is_some_and(|progress| progress.keep.iter().any(|fate| fate.obsolete || fate.restart));
            if !service.depends_on.iter().any(|(dependency, rule)| rule.restart && moved(dependency)) {
                continue;
            }
            if let Some(progress) = self.services.get_mut(name) {
                progress.keep.iter_mut().filter(|fate| fate.container.state.is_up()).for_each(|fate| fate.restart = true);
            }
        }
        // Dependents are stopped before what they depend on is.
        for name in order.iter().rev() {
            let before: Vec<usize> = self.project.dependents(name).iter().filter_map(|d| self.services.get(*d)).flat_map(|p| p.stops.clone()).collect();
            let stopping: Vec<Container> = match self.services.get(name) {
                Some(progress) => progress.keep.iter().filter(|fate| fate.restart && !fate.obsolete).map(|fate| fate.container.clone()).collect(),
                None => Vec::new(),
            };
            for container in stopping {
                let target = Target { id: Some(container.id), name: container.name };
                let step = self.plan.add(Action::Stop { target, timeout: self.options.timeout }, before.iter().copied());
                if let Some(progress) = self.services.get_mut(name) {
                    progress.stops.push(step);
                }
            }
        }
    }

    /// Steps that must be done before a container of the service can be made.
    fn prerequisites(&self, service: &Service) -> Vec<usize> {
        let networks = service.networks.keys().filter_map(|key| self.project.networks.get(key)).map(|network| &network.name);
        let volumes = service.volumes.iter().filter_map(|mount| self.project.volumes.get(mount.source.as_ref()?)).map(|volume| &volume.name);
        let shared = networks.chain(volumes).filter_map(|name| self.shared.get(name).copied());
        let parents = service.creation_dependencies();
        let parents = parents.iter().filter_map(|name| self.services.get(name)).flat_map(|parent| parent.result.iter().flat_map(|(_, steps, _)| steps.clone()));
        shared.chain(parents).collect()
    }

    fn converge(&mut self, name: &str) -> Result<(), Error> {
        let service = self.service(name)?.clone();
        let mut progress = self.services.remove(name).unwrap_or_default();
        let prerequisites = self.prerequisites(&service);
        let dependents: Vec<usize> =
            self.project.dependents(name).iter().filter_map(|d| self.services.get(*d)).flat_map(|p| p.stops.clone()).collect();
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
            let action = Action::Create { service: name.to_owned(), number, name: container.clone(), replaces: None, keep_volumes: false };
            // A fixed name must be free before it is used again.
            let after = if service.container_name.is_some() { [prerequisites.clone(), removed.clone()].concat() } else { prerequisites.clone() };
            let step = self.plan.add(action, after);
            progress.result.push((Target { id: None, name: container }, vec![step], State::Created));
        }
        self.services.insert(name.to_owned(), progress);
        Ok(())
    }

    /// Makes the new one beside the old one, then swaps them: the image and the options are proven before anything stops.
    fn replace(&mut self, service: &Service, old: &Container, prerequisites: &[usize], dependents: &[usize]) -> (Target, Vec<usize>, State) {
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

    fn keep(&mut self, service: &Service, fate: &Fate, stops: &[usize], removed: &[usize]) -> (Target, Vec<usize>, State) {
        let container = &fate.container;
        let name = service.container_name(&self.project.name, container.number.max(1));
        let target = Target { id: Some(container.id.clone()), name: name.clone() };
        let mut steps = Vec::new();
        // Left over by an interrupted `up`: it is the right one under its temporary name.
        let temporary = container.labels.contains_key(labels::REPLACE) && container.name.ends_with(&format!("_{name}"));
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
    fn going(&self, container: &Container) -> bool {
        self.plan.steps.iter().any(|step| matches!(&step.action, Action::Remove { target, .. } if target.id.as_ref() == Some(&container.id)))
    }

    fn start(&mut self, name: &str) {
        let Some(service) = self.project.services.get(name) else { return };
        let results = self.services.get(name).map(|progress| progress.result.clone()).unwrap_or_default();
        let idle: Vec<_> = results.into_iter().filter(|(_, _, state)| !matches!(state, State::Running | State::Restarting)).collect();
        if idle.is_empty() {
            return;
        }
        let mut ready = Vec::new();
        for parent in service.creation_dependencies() {
            ready.extend(self.services.get(&parent).into_iter().flat_map(|progress| progress.started.clone()));
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
    fn ready(&mut self, dependency: &str, condition: Condition, required: bool) -> Vec<usize> {
        let Some(progress) = self.services.get(dependency) else { return Vec::new() };
        if condition == Condition::Started || progress.result.is_empty() {
            return progress.started.clone();
        }
        let key = (dependency.to_owned(), condition);
        if let Some(step) = self.waits.get(&key).copied() {
            if let (true, Action::Wait { required: known, .. }) = (required, &mut self.plan.steps[step].action) {
                *known = true;
            }
            return vec![step];
        }
        let targets = progress.result.iter().map(|(target, ..)| target.clone()).collect();
        let started = progress.started.clone();
        let step = self.plan.add(Action::Wait { service: dependency.to_owned(), condition, targets, required }, started);
        self.waits.insert(key, step);
        vec![step]
    }

    fn wait_all(&mut self, order: &[String]) {
        for name in order {
            let Some(progress) = self.services.get(name).filter(|progress| !progress.result.is_empty()) else { continue };
            let targets = progress.result.iter().map(|(target, ..)| target.clone()).collect();
            let started = progress.started.clone();
            self.plan.add(Action::WaitReady { service: name.clone(), targets }, started);
        }
    }
}
