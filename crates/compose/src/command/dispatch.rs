//! From arguments to an operation.

use bollard::Docker;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use super::{
    args::{Command, ComposeArgs},
    requests,
};
use crate::{
    error::Error,
    kafka::Topics,
    load,
    ops::{self, Change, ConfigRequest, ExecRequest, Io, LogsRequest, PsRequest, Room},
    plan::{DownOptions, Rmi, UpOptions},
    report::{Plain, Reporter},
};

/// Runs a subcommand and gives its exit code. The API version is negotiated here, once, when the engine is needed.
///
/// # Errors
/// To be printed by the caller, once.
pub async fn run(
    args: ComposeArgs,
    docker: Docker,
    topics: Box<dyn Topics>,
    mut io: Io,
) -> Result<u8, Error> {
    match args.ansi.as_str() {
        "never" => (io.color, io.err_is_terminal) = (false, false),
        "always" => (io.color, io.out_is_terminal) = (true, true),
        _ => {}
    }
    if args.progress == "tty" {
        io.err_is_terminal = true;
    }
    if let Command::Version = args.command {
        io.print(&format!("Dhow Compose version v{}\n", env!("CARGO_PKG_VERSION")))?;
        return Ok(0);
    }
    if let Command::Ls(ls) = &args.command {
        let docker = negotiate(docker).await?;
        ops::list(&docker, &io, ls.all, ls.quiet, ls.format == "json").await?;
        return Ok(0);
    }
    let (name, project) = project(&args, &io)?;
    let (stop, stopped) = watch::channel(false);
    let mut room = Room {
        docker,
        topics,
        name,
        project,
        io,
        stop: stopped,
        dry_run: args.dry_run,
        quiet: args.progress == "quiet",
        plain: args.progress == "plain",
    };
    if let Command::Config(config) = &args.command {
        config_command(&room, config)?;
        return Ok(0);
    }
    room.docker = negotiate(room.docker).await?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut work = std::pin::pin!(dispatch(&room, &args));
    let mut told = false;
    loop {
        tokio::select! {
            result = &mut work => return match result {
                Err(Error::Interrupted) => Ok(130),
                other => other,
            },
            result = tokio::signal::ctrl_c(), if !told => {
                result?;
                told = true;
                stop.send_replace(true);
            }
            _ = terminate.recv(), if !told => {
                told = true;
                stop.send_replace(true);
            }
        }
    }
}

/// How long an answer may take to begin.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

async fn negotiate(docker: Docker) -> Result<Docker, Error> {
    // The client gives up on answers that do not begin in time; a long stop or the upload of a build context may take longer.
    let docker = docker.with_timeout(PATIENCE);
    docker.negotiate_version().await.map_err(Error::engine("cannot connect to the engine"))
}

/// The project's name, and the project where there is a file. Some subcommands make do with a name.
fn project(args: &ComposeArgs, io: &Io) -> Result<(String, Option<crate::model::Project>), Error> {
    let by_name = matches!(
        args.command,
        Command::Down(_)
            | Command::Ps(_)
            | Command::Logs(_)
            | Command::Stop(_)
            | Command::Start(_)
            | Command::Restart(_)
            | Command::Kill(_)
            | Command::Rm(_)
            | Command::Pause(_)
            | Command::Unpause(_)
            | Command::Top(_)
            | Command::Images(_)
            | Command::Port(_)
            | Command::Events(_)
            | Command::Exec(_)
    );
    let options = requests::options(args, requests::services(&args.command))?;
    let named = args.project_name.clone().or_else(|| options.env.get("COMPOSE_PROJECT_NAME").cloned());
    match (load::load(&options), named) {
        (Ok(loaded), _) => {
            let reporter = Plain::new(std::sync::Arc::clone(&io.err));
            loaded.warnings.iter().for_each(|warning| reporter.warn(warning));
            Ok((loaded.project.name.clone(), Some(loaded.project)))
        }
        // `-p name ps` from anywhere: the labels know enough.
        (Err(Error::Invalid(text)), Some(name))
            if by_name && args.file.is_empty() && text.starts_with("no configuration file") =>
        {
            load::check_name(&name)?;
            Ok((name, None))
        }
        (Err(error), _) => Err(error),
    }
}

fn config_command(room: &Room, args: &super::subcommands::Config) -> Result<(), Error> {
    let request = ConfigRequest {
        names: args.names.clone(),
        services: args.services,
        volumes: args.volumes,
        networks: args.networks,
        images: args.images,
        profiles: args.profiles,
        hash: args.hash.clone(),
        quiet: args.quiet,
        json: args.format == "json",
        output: args.output.clone(),
    };
    ops::config(room, &request)
}

async fn dispatch(room: &Room, args: &ComposeArgs) -> Result<u8, Error> {
    match &args.command {
        Command::Up(up) => return ops::up(room, &requests::up(up, false)?).await,
        Command::Create(up) => return ops::up(room, &requests::up(up, true)?).await,
        Command::Scale(scale) => return ops::up(room, &scale_request(scale)?).await,
        Command::Exec(exec) => return ops::exec(room, &exec_request(exec)).await,
        Command::Run(run) => return ops::run(room, &requests::run(run, &std::env::current_dir()?)?).await,
        Command::Down(down) => {
            let rmi = down.rmi.as_deref().map(|which| if which == "all" { Rmi::All } else { Rmi::Local });
            let (services, remove_orphans) = (down.services.clone(), down.remove_orphans);
            ops::down(
                room,
                &DownOptions { services, volumes: down.volumes, rmi, remove_orphans, timeout: down.timeout },
            )
            .await?;
        }
        Command::Ps(ps) => ops::ps(room, &ps_request(ps)?).await?,
        Command::Logs(logs) => ops::logs(room, &logs_request(logs)).await?,
        Command::Build(build) => {
            ops::build(room, &build.services, &requests::build(build)?, build.with_dependencies).await?
        }
        Command::Pull(pull) => ops::pull(room, &requests::pull(pull)).await?,

        Command::Stop(stop) => ops::change(room, &stop.services, &Change::Stop(stop.timeout)).await?,
        Command::Start(start) => ops::change(room, &start.services, &Change::Start).await?,
        Command::Restart(restart) => {
            ops::change(room, &restart.services, &Change::Restart(restart.timeout)).await?
        }
        Command::Kill(kill) => ops::change(room, &kill.services, &Change::Kill(kill.signal.clone())).await?,
        Command::Pause(pause) => ops::change(room, &pause.services, &Change::Pause).await?,
        Command::Unpause(unpause) => ops::change(room, &unpause.services, &Change::Unpause).await?,
        Command::Rm(rm) => remove(room, rm).await?,
        Command::Top(top) => ops::top(room, &top.services).await?,
        Command::Images(images) => {
            ops::images(room, &images.services, images.quiet, images.format == "json").await?
        }
        Command::Port(port) => {
            ops::port(room, &port.service, port.private_port, &port.protocol, port.index).await?
        }
        Command::Events(events) => ops::events(room, &events.services, events.json).await?,
        Command::Config(config) => config_command(room, config)?,
        Command::Ls(ls) => ops::list(&room.docker, &room.io, ls.all, ls.quiet, ls.format == "json").await?,
        Command::Version => {}
    }
    Ok(0)
}

fn scale_request(scale: &super::subcommands::Scale) -> Result<ops::UpRequest, Error> {
    let counts = requests::scale(&scale.scale)?;
    let plan = UpOptions {
        services: counts.keys().cloned().collect(),
        scale: counts,
        no_deps: scale.no_deps,
        ..UpOptions::default()
    };
    Ok(ops::UpRequest { plan, detach: true, ..ops::UpRequest::default() })
}

async fn remove(room: &Room, rm: &super::subcommands::Rm) -> Result<(), Error> {
    if !rm.force && room.io.in_is_terminal {
        room.io.print("? Going to remove stopped containers. Are you sure? [yN] ")?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            return Ok(());
        }
    }
    let removed = ops::remove(room, &rm.services, rm.stop, rm.volumes).await?;
    if removed.is_empty() {
        room.io.print("No stopped containers\n")?;
    }
    Ok(())
}

fn exec_request(exec: &super::subcommands::Exec) -> ExecRequest {
    ExecRequest {
        service: exec.service.clone(),
        command: exec.command.clone(),
        detach: exec.detach,
        env: exec.env.clone(),
        index: exec.index,
        tty: !exec.no_tty,
        stdin: true,
        privileged: exec.privileged,
        user: exec.user.clone(),
        workdir: exec.workdir.clone(),
    }
}

fn ps_request(ps: &super::subcommands::Ps) -> Result<PsRequest, Error> {
    let mut status = ps.status.clone();
    for filter in &ps.filter {
        match filter.split_once('=') {
            Some(("status", value)) => status.push(value.to_owned()),
            _ => {
                return Err(Error::invalid(format!(
                    "unknown filter \"{filter}\": only status=STATE is known"
                )));
            }
        }
    }
    Ok(PsRequest {
        services: ps.services.clone(),
        all: ps.all,
        quiet: ps.quiet,
        names_only: ps.names_only,
        status,
        format: ps.format.clone(),
        no_trunc: ps.no_trunc,
        orphans: ps.orphans,
    })
}

fn logs_request(logs: &super::subcommands::Logs) -> LogsRequest {
    LogsRequest {
        services: logs.services.clone(),
        follow: logs.follow,
        tail: logs.tail.clone(),
        timestamps: logs.timestamps,
        since: logs.since.clone(),
        until: logs.until.clone(),
        color: !logs.no_color,
        prefix: !logs.no_log_prefix,
        index: logs.index,
    }
}
