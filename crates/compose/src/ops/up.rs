//! `up`, `build` and `pull`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;

use super::{Room, attach};
use crate::{
    apply,
    build::BuildOptions,
    error::Error,
    kafka, observe,
    plan::{self, Action, ImageOptions, Plan, UpOptions},
    report::{Plain, Quiet, Reporter},
};

/// Options of `up`, `create` and `scale`.
#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is one flag of the command line")]
pub struct UpRequest {
    /// What to make of the project.
    pub plan: UpOptions,
    /// How to come by images.
    pub images: ImageOptions,
    /// How to build.
    pub build: BuildOptions,
    /// `--quiet-pull`.
    pub quiet_pull: bool,
    /// `--detach`.
    pub detach: bool,
    /// `--wait-timeout`.
    pub wait_timeout: Option<Duration>,
    /// `--abort-on-container-exit`.
    pub abort_on_exit: bool,
    /// `--abort-on-container-failure`.
    pub abort_on_failure: bool,
    /// `--exit-code-from`.
    pub exit_code_from: Option<String>,
    /// `--attach`.
    pub attach: Vec<String>,
    /// `--no-attach`.
    pub no_attach: Vec<String>,
    /// `--attach-dependencies`.
    pub attach_dependencies: bool,
    /// `--timestamps`.
    pub timestamps: bool,
    /// `--no-color` is false.
    pub color: bool,
    /// `--no-log-prefix` is false.
    pub prefix: bool,
}

/// Makes the project run. Gives the exit code.
///
/// # Errors
/// What keeps it from running.
pub async fn up(room: &Room, request: &UpRequest) -> Result<u8, Error> {
    let project = room.project()?;
    for name in request.attach.iter().chain(&request.no_attach).chain(&request.exit_code_from) {
        project.service(name)?;
    }
    let reporter = room.reporter("Running");
    let mut seen = observe::all(&room.docker, &project.name, &observe::image_names(project)).await?;
    let wanted: Vec<String> = if request.plan.services.is_empty() {
        project.services.keys().cloned().collect()
    } else {
        request.plan.services.clone()
    };
    let targets: BTreeSet<String> = if request.plan.no_deps {
        wanted.iter().cloned().collect()
    } else {
        project.with_dependencies(&wanted)?
    };
    // Before anything is pulled or built: a label that is wrong.
    let topics = kafka::wanted(project, &targets)?;
    let images = plan::images(project, &seen, &targets, request.images)?;
    if !images.is_empty() {
        if room.dry_run {
            apply::rehearse(&images, &*reporter);
        } else {
            prepare(room, &images, &request.build, request.quiet_pull).await?;
            seen.images = observe::image_ids(&room.docker, &observe::image_names(project)).await?;
        }
    }
    let plan = plan::up(project, &seen, &request.plan)?;
    if room.dry_run {
        apply::rehearse(&plan, &*reporter);
        return Ok(0);
    }
    if request.plan.start {
        kafka::ensure(&*room.topics, &topics, &*reporter).await?;
    }
    let mut session = room.session(&*reporter, &seen.images);
    session.build = request.build.clone();
    if request.detach || !request.plan.start {
        let run = apply::run(&session, &plan);
        let result = match request.wait_timeout.filter(|_| request.plan.wait) {
            Some(limit) => match tokio::time::timeout(limit, run).await {
                Ok(result) => result,
                Err(_) => {
                    Err(Error::invalid(format!("not all services were ready within {}s", limit.as_secs())))
                }
            },
            None => run.await,
        };
        if let Err(Error::Dependency { container, .. } | Error::Wait { container, .. }) = &result {
            last_words(room, container).await;
        }
        return result.map(|()| 0);
    }
    attach::attached(room, session, &plan, request, &targets).await
}

/// Shows why a container that was waited for failed.
async fn last_words(room: &Room, container: &str) {
    let text = apply::logs_of_failed(&room.docker, container).await;
    let printer = crate::report::LogPrinter::new(
        Arc::clone(&room.io.err),
        crate::report::LogStyle { color: false, prefix: true },
    );
    let name = super::short_name(&room.name, container);
    printer.register(&name);
    printer.feed(&name, false, text.as_bytes());
    printer.flush(&name);
}

/// Pulls and builds.
pub(super) async fn prepare(
    room: &Room,
    images: &Plan,
    build: &BuildOptions,
    quiet: bool,
) -> Result<(), Error> {
    let reporter: Arc<dyn Reporter> = match quiet {
        true => Arc::new(Quiet(Plain::new(Arc::clone(&room.io.err)))),
        false => room.reporter("Preparing"),
    };
    let none = BTreeMap::new();
    let mut session = room.session(&*reporter, &none);
    session.build = build.clone();
    apply::run(&session, images).await
}

/// Builds the images of services.
///
/// # Errors
/// The first that fails.
pub async fn build(
    room: &Room,
    services: &[String],
    options: &BuildOptions,
    with_dependencies: bool,
) -> Result<(), Error> {
    let project = room.project()?;
    let names: BTreeSet<String> = match (services.is_empty(), with_dependencies) {
        (true, _) => project.services.keys().cloned().collect(),
        (false, true) => project.with_dependencies(services)?,
        (false, false) => services
            .iter()
            .map(|name| project.service(name).map(|service| service.name.clone()))
            .collect::<Result<_, _>>()?,
    };
    let mut plan = Plan::default();
    for service in
        names.iter().filter_map(|name| project.services.get(name)).filter(|service| service.build.is_some())
    {
        plan.add(
            Action::Build { service: service.name.clone(), image: service.image_name(&project.name) },
            [],
        );
    }
    if plan.is_empty() {
        room.reporter("Building").warn("no services to build");
        return Ok(());
    }
    if room.dry_run {
        return room.apply(&plan, "Building").await;
    }
    prepare(room, &plan, options, false).await
}

/// Options of `pull`.
#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is one flag of the command line")]
pub struct PullRequest {
    /// Only these services.
    pub services: Vec<String>,
    /// `--quiet`.
    pub quiet: bool,
    /// `--ignore-pull-failures`.
    pub ignore_failures: bool,
    /// `--ignore-buildable`.
    pub ignore_buildable: bool,
    /// `--include-deps`.
    pub include_dependencies: bool,
}

/// Pulls the images of services.
///
/// # Errors
/// The first that fails, unless failures are to be ignored.
pub async fn pull(room: &Room, request: &PullRequest) -> Result<(), Error> {
    let project = room.project()?;
    let names: BTreeSet<String> = match (request.services.is_empty(), request.include_dependencies) {
        (true, _) => project.services.keys().cloned().collect(),
        (false, true) => project.with_dependencies(&request.services)?,
        (false, false) => request
            .services
            .iter()
            .map(|name| project.service(name).map(|service| service.name.clone()))
            .collect::<Result<_, _>>()?,
    };
    let chosen = names
        .iter()
        .filter_map(|name| project.services.get(name))
        .filter(|service| service.image.is_some() && !(request.ignore_buildable && service.build.is_some()));
    let images: BTreeMap<String, Option<String>> =
        chosen.map(|service| (service.image_name(&project.name), service.platform.clone())).collect();
    let reporter: Arc<dyn Reporter> = match request.quiet {
        true => Arc::new(Quiet(Plain::new(Arc::clone(&room.io.err)))),
        false => room.reporter("Pulling"),
    };
    if room.dry_run {
        images.keys().for_each(|image| {
            reporter.event(apply::event(format!("Image {image}"), "Pulled", crate::report::Phase::Done))
        });
        return Ok(());
    }
    let one = async |(image, platform): (String, Option<String>)| {
        reporter.event(apply::event(format!("Image {image}"), "Pulling", crate::report::Phase::Working));
        let result = apply::pull(&room.docker, &image, platform, &*reporter).await;
        let (status, phase) = if result.is_ok() {
            ("Pulled", crate::report::Phase::Done)
        } else {
            ("Error", crate::report::Phase::Failed)
        };
        reporter.event(apply::event(format!("Image {image}"), status, phase));
        result
    };
    let results = join_all(images.into_iter().map(one)).await;
    reporter.finish();
    for result in results {
        match result {
            Err(error) if request.ignore_failures => reporter.warn(&error.to_string()),
            other => other?,
        }
    }
    Ok(())
}
