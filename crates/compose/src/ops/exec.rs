//! `exec` and `run`: one command, attached to this terminal.

use std::{collections::BTreeMap, pin::Pin};

use bollard::{
    container::LogOutput,
    exec::{CreateExecOptions, StartExecOptions, StartExecResults},
    query_parameters::{
        AttachContainerOptions, InspectContainerOptions, KillContainerOptions, RemoveContainerOptions,
        ResizeContainerTTYOptions, ResizeExecOptions, StartContainerOptions, WaitContainerOptions,
    },
};
use futures_util::{Stream, StreamExt};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    signal::unix::{SignalKind, signal},
};

use super::{Room, terminal, up};
use crate::{
    apply::{self, Extras},
    build::BuildOptions,
    error::Error,
    labels,
    model::{EnvFile, Port, Service},
    observe,
    plan::{self, ImageOptions, UpOptions},
    report::Output,
};

/// Options of `exec`.
#[derive(Debug, Clone, Default)]
pub struct ExecRequest {
    /// The service.
    pub service: String,
    /// The command.
    pub command: Vec<String>,
    /// `--detach`.
    pub detach: bool,
    /// `--env`.
    pub env: Vec<String>,
    /// `--index`; 0 is any.
    pub index: u32,
    /// `--no-TTY` is false.
    pub tty: bool,
    /// `--interactive` is not false.
    pub stdin: bool,
    /// `--privileged`.
    pub privileged: bool,
    /// `--user`.
    pub user: Option<String>,
    /// `--workdir`.
    pub workdir: Option<String>,
}

/// Options of `run`.
#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is one flag of the command line")]
pub struct RunRequest {
    /// The service.
    pub service: String,
    /// The command; none is the service's.
    pub command: Vec<String>,
    /// `--detach`.
    pub detach: bool,
    /// `--rm`.
    pub remove: bool,
    /// `--env`.
    pub env: Vec<String>,
    /// `--entrypoint`.
    pub entrypoint: Option<String>,
    /// `--no-deps`.
    pub no_deps: bool,
    /// `--service-ports`.
    pub service_ports: bool,
    /// `--publish`, in canonical form.
    pub publish: Vec<Port>,
    /// `--volume`, in canonical form.
    pub volumes: Vec<crate::model::Mount>,
    /// `--label`.
    pub labels: Vec<(String, String)>,
    /// `--workdir`.
    pub workdir: Option<String>,
    /// `--user`.
    pub user: Option<String>,
    /// `--name`.
    pub name: Option<String>,
    /// `--no-TTY` is false.
    pub tty: bool,
    /// `--interactive` is not false.
    pub stdin: bool,
    /// `--use-aliases`.
    pub aliases: bool,
    /// `--build`.
    pub build: bool,
    /// `--remove-orphans`.
    pub remove_orphans: bool,
}

/// Runs a command in a running container. Gives its exit code.
///
/// # Errors
/// The service does not run; the engine's.
pub async fn exec(room: &Room, request: &ExecRequest) -> Result<u8, Error> {
    let container = room.container(&request.service, request.index).await?;
    let tty = request.tty && room.io.in_is_terminal && room.io.out_is_terminal && !request.detach;
    let what = format!("exec in container {}", container.name);
    let options = CreateExecOptions {
        attach_stdin: Some(request.stdin && !request.detach),
        attach_stdout: Some(!request.detach),
        attach_stderr: Some(!request.detach),
        tty: Some(tty),
        env: Some(request.env.clone()),
        cmd: Some(request.command.clone()),
        privileged: Some(request.privileged),
        user: request.user.clone(),
        working_dir: request.workdir.clone(),
        detach_keys: None,
    };
    let made = room.docker.create_exec(&container.id, options).await.map_err(Error::engine(what.clone()))?;
    let start = StartExecOptions { detach: request.detach, tty, output_capacity: None };
    let started = room.docker.start_exec(&made.id, Some(start)).await.map_err(Error::engine(what.clone()))?;
    if let StartExecResults::Attached { output, input } = started {
        let resize = async |(width, height): (usize, usize)| {
            let options = ResizeExecOptions { h: narrow(height), w: narrow(width) };
            // A command that has ended has no window any more.
            room.docker.resize_exec(&made.id, options).await.unwrap_or(());
        };
        pump(room, output, request.stdin.then_some(input), tty, resize).await?;
    }
    if request.detach {
        return Ok(0);
    }
    let seen = room.docker.inspect_exec(&made.id).await.map_err(Error::engine(what))?;
    Ok(byte(seen.exit_code.unwrap_or_default()))
}

fn narrow(size: usize) -> i32 {
    i32::try_from(size).unwrap_or(i32::MAX)
}

fn byte(code: i64) -> u8 {
    u8::try_from(code).unwrap_or(1)
}

type Pieces = Pin<Box<dyn Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>;

/// Carries input in and output out until the output ends.
async fn pump(
    room: &Room,
    mut output: Pieces,
    input: Option<Pin<Box<dyn AsyncWrite + Send>>>,
    tty: bool,
    resize: impl AsyncFn((usize, usize)),
) -> Result<(), Error> {
    let raw = if tty { Some(terminal::Raw::enter()?) } else { None };
    let mut input = input;
    let mut keys = input.is_some().then(terminal::stdin);
    let mut window = signal(SignalKind::window_change())?;
    if tty {
        resize(terminal::size().unwrap_or(room.io.size)).await;
    }
    loop {
        tokio::select! {
            piece = output.next() => match piece {
                None => break,
                Some(piece) => print(room, piece.map_err(Error::engine("read the command's output"))?)?,
            },
            bytes = async { match keys.as_mut() { Some(keys) => keys.recv().await, None => std::future::pending().await } } => match (bytes, input.as_mut()) {
                (Some(bytes), Some(writer)) => {
                    writer.write_all(&bytes).await?;
                    writer.flush().await?;
                }
                _ => {
                    keys = None;
                    if let Some(mut writer) = input.take() {
                        writer.shutdown().await?;
                    }
                }
            },
            _ = window.recv(), if tty => resize(terminal::size().unwrap_or(room.io.size)).await,
        }
    }
    drop(raw);
    Ok(())
}

fn print(room: &Room, piece: LogOutput) -> Result<(), Error> {
    let output: &Output = if matches!(piece, LogOutput::StdErr { .. }) { &room.io.err } else { &room.io.out };
    let mut writer = output.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    writer.write_all(&piece.into_bytes())?;
    writer.flush()?;
    Ok(())
}

/// Runs a command in a new container of a service, after starting what it depends on. Gives its exit code.
///
/// # Errors
/// What keeps it from running.
pub async fn run(room: &Room, request: &RunRequest) -> Result<u8, Error> {
    let project = room.project()?;
    let service = project.service(&request.service)?;
    prepare(room, request, service).await?;
    if room.dry_run {
        return Ok(0);
    }
    let one = one_off(service, request, room);
    let slug = format!("{:012x}", fastrand::u64(..) & 0xffff_ffff_ffff);
    let name =
        request.name.clone().unwrap_or_else(|| format!("{}-{}-run-{slug}", project.name, service.name));
    let seen = observe::image_ids(&room.docker, &[service.image_name(&project.name)].into()).await?;
    let reporter = room.reporter("Running");
    let none = BTreeMap::new();
    let session = room.session(&*reporter, &none);
    let extras = Extras {
        image_id: seen.into_values().next().unwrap_or_default(),
        aliases: request.aliases,
        labels: request
            .labels
            .iter()
            .cloned()
            .chain([(labels::ONEOFF.into(), "True".into()), (labels::SLUG.into(), slug)])
            .collect(),
        auto_remove: request.remove && request.detach,
        attach_stdin: request.stdin && !request.detach,
        ..Extras::default()
    };
    let id = apply::container(&session, &one, 1, &name, extras).await?;
    if request.detach {
        room.docker
            .start_container(&id, None::<StartContainerOptions>)
            .await
            .map_err(Error::engine(format!("start container {name}")))?;
        room.io.print(&format!("{name}\n"))?;
        return Ok(0);
    }
    let result = attached(room, request, &id, &name, one.tty == Some(true)).await;
    if request.remove {
        let options = RemoveContainerOptions { v: true, force: true, link: false };
        room.docker
            .remove_container(&id, Some(options))
            .await
            .map_err(Error::engine(format!("remove container {name}")))?;
    }
    result
}

/// Images, networks, volumes, and what the service depends on.
async fn prepare(room: &Room, request: &RunRequest, service: &Service) -> Result<(), Error> {
    let project = room.project()?;
    let dependencies: Vec<String> =
        if request.no_deps { Vec::new() } else { service.dependencies().into_iter().collect() };
    let mut seen = observe::all(&room.docker, &project.name, &observe::image_names(project)).await?;
    let mut targets = project.with_dependencies(&dependencies)?;
    targets.insert(service.name.clone());
    let images = plan::images(
        project,
        &seen,
        &targets,
        ImageOptions { build: request.build, ..ImageOptions::default() },
    )?;
    let reporter = room.reporter("Running");
    if room.dry_run {
        apply::rehearse(&images, &*reporter);
    } else if !images.is_empty() {
        up::prepare(room, &images, &BuildOptions::default(), false).await?;
        seen.images = observe::image_ids(&room.docker, &observe::image_names(project)).await?;
    }
    // The service itself with no container brings its networks and volumes, and its dependencies with their conditions.
    let mut shadow = project.clone();
    if let Some(own) = shadow.services.get_mut(&service.name) {
        own.container_name = None;
        if request.no_deps {
            own.depends_on.clear();
        }
    }
    let options = UpOptions {
        services: vec![service.name.clone()],
        no_deps: request.no_deps,
        remove_orphans: request.remove_orphans,
        ..UpOptions::default()
    };
    let started = match request.no_deps {
        true => [service.name.clone()].into(),
        false => shadow.with_dependencies(std::slice::from_ref(&service.name))?,
    };
    let topics = crate::kafka::wanted(&shadow, &started)?;
    let plan = plan::up_for_run(&shadow, &seen, &options, &service.name)?;
    if room.dry_run {
        apply::rehearse(&plan, &*reporter);
        return Ok(());
    }
    crate::kafka::ensure(&*room.topics, &topics, &*reporter).await?;
    apply::run(&room.session(&*reporter, &seen.images), &plan).await
}

/// The service as this run wants it.
fn one_off(service: &Service, request: &RunRequest, room: &Room) -> Service {
    let mut one = service.clone();
    one.container_name = None;
    one.restart = None;
    one.scale = None;
    if let Some(deploy) = &mut one.deploy {
        deploy.restart_policy = None;
    }
    if !request.command.is_empty() {
        one.command = Some(request.command.clone());
    }
    if let Some(entrypoint) = &request.entrypoint {
        one.entrypoint = Some(shlex::split(entrypoint).unwrap_or_else(|| vec![entrypoint.clone()]));
        if request.command.is_empty() {
            one.command = None;
        }
    }
    for pair in &request.env {
        let (key, value) = pair
            .split_once('=')
            .map_or((pair.as_str(), std::env::var(pair).ok()), |(key, value)| (key, Some(value.to_owned())));
        one.environment.insert(key.to_owned(), value);
    }
    if !request.service_ports {
        one.ports.clear();
    }
    one.ports.extend(request.publish.iter().cloned());
    for mount in &request.volumes {
        one.volumes.retain(|known| known.target != mount.target);
        one.volumes.push(mount.clone());
    }
    one.user = request.user.clone().or(one.user);
    one.working_dir = request.workdir.clone().or(one.working_dir);
    one.tty = Some(request.tty && room.io.in_is_terminal && room.io.out_is_terminal && !request.detach);
    one.stdin_open = Some(request.stdin && !request.detach);
    one.env_file = Vec::<EnvFile>::new();
    one
}

async fn attached(room: &Room, request: &RunRequest, id: &str, name: &str, tty: bool) -> Result<u8, Error> {
    let docker = &room.docker;
    let options = AttachContainerOptions {
        stream: true,
        stdin: request.stdin,
        stdout: true,
        stderr: true,
        logs: false,
        detach_keys: None,
    };
    let attached = docker
        .attach_container(id, Some(options))
        .await
        .map_err(Error::engine(format!("attach to container {name}")))?;
    docker
        .start_container(id, None::<StartContainerOptions>)
        .await
        .map_err(Error::engine(format!("start container {name}")))?;
    let resize = async |(width, height): (usize, usize)| {
        let options = ResizeContainerTTYOptions { h: narrow(height), w: narrow(width) };
        // A container that has ended has no window any more.
        docker.resize_container_tty(id, options).await.unwrap_or(());
    };
    let mut stop = room.stop.clone();
    tokio::select! {
        result = pump(room, attached.output, request.stdin.then_some(attached.input), tty, resize) => result?,
        () = apply::stopped(&mut stop) => {
            let options = KillContainerOptions { signal: "SIGINT".into() };
            docker.kill_container(id, Some(options)).await.map_err(Error::engine(format!("interrupt container {name}")))?;
        }
    }
    let mut ends = std::pin::pin!(docker.wait_container(id, None::<WaitContainerOptions>));
    let code = match ends.next().await {
        Some(Ok(end)) => end.status_code,
        // bollard calls every code but 0 an error.
        Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => code,
        Some(Err(error)) => return Err(Error::engine(format!("wait for container {name}"))(error)),
        None => docker
            .inspect_container(id, None::<InspectContainerOptions>)
            .await
            .map_err(Error::engine(format!("inspect container {name}")))?
            .state
            .and_then(|state| state.exit_code)
            .unwrap_or_default(),
    };
    Ok(byte(code))
}
