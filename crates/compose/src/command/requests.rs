//! What was typed → what the operations take.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use super::{args, subcommands};
use crate::{
    build::BuildOptions,
    error::Error,
    load::{self, Options},
    model::{Mount, Port},
    ops::{PullRequest, RunRequest, UpRequest},
    plan::{ImageOptions, Pull, Recreate, UpOptions},
    units,
};

pub(super) fn up(args: &subcommands::Up, create: bool) -> Result<UpRequest, Error> {
    let recreate = match (args.force_recreate, args.no_recreate) {
        (true, _) => Recreate::Force,
        (_, true) => Recreate::Never,
        _ => Recreate::Diverged,
    };
    let recreate_dependencies = match (args.always_recreate_deps, args.no_recreate) {
        (true, _) => Recreate::Force,
        (_, true) => Recreate::Never,
        // All services are named when none is.
        _ if args.services.is_empty() => recreate,
        _ => Recreate::Diverged,
    };
    if args.wait && (args.abort_on_container_exit || args.exit_code_from.is_some() || !args.attach.is_empty())
    {
        return Err(Error::invalid(
            "--wait cannot be combined with --abort-on-container-exit, --exit-code-from or --attach",
        ));
    }
    if args.detach
        && (args.abort_on_container_exit
            || args.exit_code_from.is_some()
            || !args.attach.is_empty()
            || args.attach_dependencies)
    {
        return Err(Error::invalid(
            "--detach cannot be combined with --abort-on-container-exit, --exit-code-from, --attach or --attach-dependencies",
        ));
    }
    let pull = match args.pull.as_str() {
        "always" => Pull::Always,
        "missing" | "if_not_present" => Pull::Missing,
        "never" => Pull::Never,
        _ => Pull::Policy,
    };
    Ok(UpRequest {
        plan: UpOptions {
            services: args.services.clone(),
            recreate,
            recreate_dependencies,
            no_deps: args.no_deps,
            scale: scale(&args.scale)?,
            remove_orphans: args.remove_orphans,
            renew_volumes: args.renew_anon_volumes,
            start: !(create || args.no_start),
            wait: args.wait,
            timeout: args.timeout,
        },
        images: ImageOptions { build: args.build || args.pull == "build", no_build: args.no_build, pull },
        build: BuildOptions::default(),
        quiet_pull: args.quiet_pull,
        detach: args.detach || args.wait,
        wait_timeout: args.wait_timeout.map(Duration::from_secs),
        abort_on_exit: args.abort_on_container_exit || args.exit_code_from.is_some(),
        abort_on_failure: args.abort_on_container_failure,
        exit_code_from: args.exit_code_from.clone(),
        attach: args.attach.clone(),
        no_attach: args.no_attach.clone(),
        attach_dependencies: args.attach_dependencies,
        timestamps: args.timestamps,
        color: !args.no_color,
        prefix: !args.no_log_prefix,
    })
}

pub(super) fn scale(list: &[String]) -> Result<BTreeMap<String, u32>, Error> {
    let one = |text: &String| {
        let pair =
            text.split_once('=').and_then(|(name, count)| Some((name.to_owned(), count.parse().ok()?)));
        pair.ok_or_else(|| Error::invalid(format!("invalid scale \"{text}\": must be SERVICE=NUM")))
    };
    list.iter().map(one).collect()
}

pub(super) fn build(args: &subcommands::Build) -> Result<BuildOptions, Error> {
    let memory = args.memory.as_deref().map(|text| {
        units::bytes(text).ok_or_else(|| Error::invalid(format!("invalid memory size \"{text}\"")))
    });
    Ok(BuildOptions {
        no_cache: args.no_cache,
        pull: args.pull,
        args: args.build_arg.iter().map(|text| pair(text)).collect::<Result<_, _>>()?,
        quiet: args.quiet,
        memory: memory.transpose()?,
    })
}

/// `KEY=value`, or `KEY` with the value of this process.
fn pair(text: &str) -> Result<(String, String), Error> {
    match text.split_once('=') {
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => std::env::var(text)
            .map(|value| (text.to_owned(), value))
            .map_err(|_| Error::invalid(format!("variable {text} is not set"))),
    }
}

pub(super) fn run(args: &subcommands::Run, cwd: &Path) -> Result<RunRequest, Error> {
    let (publish, volumes) = mounts(args, cwd)?;
    Ok(RunRequest {
        service: args.service.clone(),
        command: args.command.clone(),
        detach: args.detach,
        remove: args.rm,
        env: args.env.clone(),
        entrypoint: args.entrypoint.clone(),
        no_deps: args.no_deps,
        service_ports: args.service_ports,
        publish,
        volumes,
        labels: args
            .label
            .iter()
            .map(|text| {
                text.split_once('=').map_or((text.clone(), String::new()), |(k, v)| (k.into(), v.into()))
            })
            .collect(),
        workdir: args.workdir.clone(),
        user: args.user.clone(),
        name: args.name.clone(),
        tty: !args.no_tty,
        stdin: args.interactive,
        aliases: args.use_aliases,
        build: args.build,
        remove_orphans: args.remove_orphans,
    })
}

/// `-p` and `-v` are written as in a compose file, so the file's own reader reads them.
fn mounts(args: &subcommands::Run, cwd: &Path) -> Result<(Vec<Port>, Vec<Mount>), Error> {
    if args.publish.is_empty() && args.volume.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let quoted = |texts: &[String]| {
        texts
            .iter()
            .map(|text| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let text = format!(
        "services:\n  run:\n    image: x\n    ports: [{}]\n    volumes: [{}]\n",
        quoted(&args.publish),
        quoted(&args.volume)
    );
    let service = load::service_of_text(&text, "command line", "run", cwd)?;
    Ok((service.ports, service.volumes))
}

/// Where to look for the project.
pub(super) fn options(args: &args::ComposeArgs, services: Vec<String>) -> Result<Options, Error> {
    Ok(Options {
        cwd: std::env::current_dir()?,
        files: args.file.clone(),
        name: args.project_name.clone(),
        directory: args.project_directory.clone(),
        env_files: args.env_file.clone(),
        profiles: args.profile.clone(),
        services,
        env: std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
    })
}

/// The services that a subcommand names.
pub(super) fn services(command: &args::Command) -> Vec<String> {
    use args::Command as C;
    let names: &[String] = match command {
        C::Up(a) | C::Create(a) => &a.services,
        C::Down(a) => &a.services,
        C::Ps(a) => &a.services,
        C::Logs(a) => &a.services,
        C::Build(a) => &a.services,
        C::Pull(a) => &a.services,
        C::Config(a) => &a.names,
        C::Exec(a) => std::slice::from_ref(&a.service),
        C::Run(a) => std::slice::from_ref(&a.service),
        C::Port(a) => std::slice::from_ref(&a.service),
        C::Stop(a) | C::Restart(a) => &a.services,
        C::Start(a) | C::Pause(a) | C::Unpause(a) | C::Top(a) => &a.services,
        C::Kill(a) => &a.services,
        C::Rm(a) => &a.services,
        C::Images(a) => &a.services,
        C::Events(a) => &a.services,
        C::Ls(_) | C::Version => &[],
        C::Scale(a) => {
            return a
                .scale
                .iter()
                .filter_map(|text| text.split('=').next())
                .map(str::to_owned)
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect();
        }
    };
    names.to_vec()
}

pub(super) fn pull(args: &subcommands::Pull) -> PullRequest {
    PullRequest {
        services: args.services.clone(),
        quiet: args.quiet,
        ignore_failures: args.ignore_pull_failures,
        ignore_buildable: args.ignore_buildable,
        include_dependencies: args.include_deps,
    }
}
