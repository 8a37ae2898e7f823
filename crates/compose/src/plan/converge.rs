//! `up`: what is wanted against what there is.

mod containers;
mod fates;
mod shared;

use std::collections::{BTreeMap, BTreeSet};

use super::step::{Plan, Target};
use crate::{
    error::Error,
    model::{Condition, Project},
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
pub fn up_for_run(
    project: &Project,
    seen: &Observed,
    options: &UpOptions,
    service: &str,
) -> Result<Plan, Error> {
    converge(project, seen, options, Some(service))
}

fn converge(
    project: &Project,
    seen: &Observed,
    options: &UpOptions,
    but: Option<&str>,
) -> Result<Plan, Error> {
    let named: BTreeSet<String> = match options.services.is_empty() {
        true => project.services.keys().cloned().collect(),
        false => options
            .services
            .iter()
            .map(|name| project.service(name).map(|service| service.name.clone()))
            .collect::<Result<_, _>>()?,
    };
    let targets = match options.no_deps {
        true => named.clone(),
        false => project.with_dependencies(&named.iter().cloned().collect::<Vec<_>>())?,
    };
    for name in options.scale.keys() {
        project.service(name)?;
    }
    let mut up = Up {
        project,
        seen,
        options,
        named,
        targets,
        plan: Plan::default(),
        shared: BTreeMap::new(),
        services: BTreeMap::new(),
        waits: BTreeMap::new(),
    };
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
