//! Which images to pull and which to build, before anything else.

use std::collections::BTreeSet;

use super::step::{Action, Plan};
use crate::{
    error::Error,
    model::{Project, PullPolicy, Service},
    observe::Observed,
};

/// `--pull`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pull {
    /// As each service says; missing ones when it says nothing.
    #[default]
    Policy,
    /// All.
    Always,
    /// Those that are not there.
    Missing,
    /// None.
    Never,
}

/// How `up`, `run` and `create` treat images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImageOptions {
    /// `--build`.
    pub build: bool,
    /// `--no-build`.
    pub no_build: bool,
    /// `--pull`.
    pub pull: Pull,
}

/// Pulls and builds for these services.
///
/// # Errors
/// An image that is missing and may be neither pulled nor built.
pub fn images(
    project: &Project,
    seen: &Observed,
    services: &BTreeSet<String>,
    options: ImageOptions,
) -> Result<Plan, Error> {
    let mut plan = Plan::default();
    let mut done = BTreeSet::new();
    for service in services.iter().filter_map(|name| project.services.get(name)) {
        let image = service.image_name(&project.name);
        let action = action(service, &image, seen.images.contains_key(&image), options)?;
        // Several services may share an image: one pull or build is enough.
        if let Some(action) = action.filter(|_| done.insert(image)) {
            plan.add(action, []);
        }
    }
    Ok(plan)
}

fn action(
    service: &Service,
    image: &str,
    present: bool,
    options: ImageOptions,
) -> Result<Option<Action>, Error> {
    let name = service.name.clone();
    let build = || Action::Build { service: name.clone(), image: image.to_owned() };
    let pull = || Action::Pull { service: name.clone(), image: image.to_owned(), policy_missing_ok: present };
    let policy = match options.pull {
        Pull::Policy => service.pull_policy,
        Pull::Always => Some(PullPolicy::Always),
        Pull::Missing => Some(PullPolicy::Missing),
        Pull::Never => Some(PullPolicy::Never),
    };
    let can_build = service.build.is_some() && !options.no_build;
    if can_build && (options.build || policy == Some(PullPolicy::Build)) {
        return Ok(Some(build()));
    }
    match (policy, present) {
        (Some(PullPolicy::Always), _) if service.build.is_none() => Ok(Some(pull())),
        (_, true) => Ok(None),
        (_, false) if can_build => Ok(Some(build())),
        (Some(PullPolicy::Never), false) => Err(Error::invalid(format!(
            "service {}: image {image} is not there, and pull_policy \"never\" forbids to pull it",
            service.name
        ))),
        (_, false) if service.build.is_some() && service.image.is_none() => Err(Error::invalid(format!(
            "service {}: image {image} is not there, and --no-build forbids to build it",
            service.name
        ))),
        (_, false) => Ok(Some(pull())),
    }
}
