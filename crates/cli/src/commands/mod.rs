//! The commands: one file a subject, each with what may be typed and what it asks of the engine.

mod archive;
mod attach;
mod bootstrap;
mod build;
mod compose;
mod exec;
mod image;
mod inspect;
mod lifecycle;
mod logs;
mod network;
mod processes;
mod ps;
mod pull;
mod run;
mod stats;
mod system;
mod transfer;
mod units;
mod volume;

use crate::client::{Client, Host};
use clap::{Parser, Subcommand};
use futures_util::StreamExt as _;
use std::fmt;

/// A container engine's command line
#[derive(Debug, Parser)]
#[command(
    name = "dhow",
    version,
    disable_help_subcommand = true,
    arg_required_else_help = true,
    max_term_width = 110
)]
pub(crate) struct Cli {
    /// Engine to connect to (unix://PATH, tcp://HOST:PORT; default: $DOCKER_HOST, then /run/dhow/docker.sock)
    #[arg(short = 'H', long, global = false)]
    host: Option<String>,
    #[command(subcommand)]
    command: Command,
}

/// Flags of a command are read only when it is the one: with all of them, that was most of a short command. (So the structs of flags have no
/// doc comments, which clap would take for the command's.)
#[derive(Debug, Subcommand)]
#[command(defer = true)]
enum Command {
    #[command(flatten)]
    Container(Container),
    #[command(flatten)]
    Image(Image),
    /// Manage containers
    #[command(name = "container", subcommand)]
    ContainerGroup(ContainerGroup),
    /// Manage images
    #[command(name = "image", subcommand)]
    ImageGroup(ImageGroup),
    /// Manage networks
    #[command(subcommand)]
    Network(network::Command),
    /// Manage volumes
    #[command(subcommand)]
    Volume(volume::Command),
    /// Manage the engine
    #[command(subcommand)]
    System(system::Command),
    /// Manage builds
    #[command(subcommand)]
    Builder(build::BuilderCommand),
    /// Run the Kafka broker, and use it or another one
    #[command(subcommand)]
    Kafka(Box<crate::kafka::Command>),
    /// Define and run multi-container applications
    Compose(Box<dhow_compose::command::ComposeArgs>),
    /// Get real time events from the server
    Events(system::Events),
    /// Display system-wide information
    Info(system::Info),
    /// Show the version information
    Version(system::Version),
    /// Log in to a registry
    Login(system::Login),
    /// Log out from a registry
    Logout(system::Logout),
    /// Return low-level information on objects
    Inspect(inspect::Inspect),
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
enum Container {
    /// Create and run a new container from an image
    Run(Box<run::Run>),
    /// Create a new container
    Create(Box<run::Create>),
    /// Start one or more stopped containers
    Start(attach::Start),
    /// Attach local standard input, output, and error streams to a running container
    Attach(attach::Attach),
    /// Execute a command in a running container
    Exec(exec::Exec),
    /// Stop one or more running containers
    Stop(lifecycle::Stop),
    /// Restart one or more containers
    Restart(lifecycle::Restart),
    /// Kill one or more running containers
    Kill(lifecycle::Kill),
    /// Pause all processes within one or more containers
    Pause(lifecycle::Pause),
    /// Unpause all processes within one or more containers
    Unpause(lifecycle::Unpause),
    /// Remove one or more containers
    Rm(lifecycle::Rm),
    /// Rename a container
    Rename(lifecycle::Rename),
    /// Block until one or more containers stop, then print their exit codes
    Wait(lifecycle::Wait),
    /// Update configuration of one or more containers
    Update(lifecycle::Update),
    /// List containers
    Ps(ps::Ps),
    /// Fetch the logs of a container
    Logs(logs::Logs),
    /// Display the running processes of a container
    Top(processes::Top),
    /// Inspect changes to files or directories on a container's filesystem
    Diff(processes::Diff),
    /// List port mappings or a specific mapping for the container
    Port(processes::Port),
    /// Display a live stream of container(s) resource usage statistics
    Stats(stats::Stats),
    /// Copy files/folders between a container and the local filesystem
    Cp(archive::Cp),
    /// Export a container's filesystem as a tar archive
    Export(transfer::Export),
    /// Create a new image from a container's changes
    Commit(transfer::Commit),
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
enum ContainerGroup {
    #[command(flatten)]
    Each(Container),
    /// List containers
    #[command(visible_alias = "list")]
    Ls(ps::Ps),
    /// Display detailed information on one or more containers
    Inspect(inspect::InspectContainer),
    /// Remove all stopped containers
    Prune(system::PruneFlags),
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
enum Image {
    /// Build an image from a Dockerfile
    Build(Box<build::Build>),
    /// Download an image from a registry
    Pull(pull::Pull),
    /// Upload an image to a registry
    Push(pull::Push),
    /// List images
    Images(image::List),
    /// Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE
    Tag(image::Tag),
    /// Remove one or more images
    Rmi(image::Rmi),
    /// Show the history of an image
    History(image::History),
    /// Save one or more images to a tar archive (streamed to STDOUT by default)
    Save(transfer::Save),
    /// Load an image from a tar archive or STDIN
    Load(transfer::Load),
    /// Import the contents from a tarball to create a filesystem image
    Import(transfer::Import),
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
enum ImageGroup {
    #[command(flatten)]
    #[allow(clippy::large_enum_variant, reason = "parsed once")]
    Each(Image),
    /// List images
    #[command(visible_alias = "list")]
    Ls(image::List),
    /// Remove one or more images
    Rm(image::Rmi),
    /// Display detailed information on one or more images
    Inspect(inspect::InspectImage),
    /// Remove unused images
    Prune(image::Prune),
    /// Make a base image from the distribution's signed packages, where no registry is reachable
    Bootstrap(bootstrap::Bootstrap),
}

/// An exit code without a message of its own (an empty text), or with one.
#[derive(Debug)]
pub(crate) struct Exit(pub(crate) u8, pub(crate) String);

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.1)
    }
}

impl std::error::Error for Exit {}

impl Cli {
    /// Parses this process's arguments.
    pub(crate) fn try_parse() -> Result<Self, clap::Error> {
        <Self as Parser>::try_parse()
    }
}

/// Runs a command; its exit code.
pub(crate) async fn run(cli: Cli) -> anyhow::Result<u8> {
    let client = Client::new(Host::choose(cli.host.as_deref())?);
    match cli.command {
        Command::Container(command) | Command::ContainerGroup(ContainerGroup::Each(command)) => {
            container(&client, command).await
        }
        Command::ContainerGroup(ContainerGroup::Ls(args)) => args.run(&client).await,
        Command::ContainerGroup(ContainerGroup::Inspect(args)) => args.run(&client).await,
        Command::ContainerGroup(ContainerGroup::Prune(args)) => {
            system::prune_containers(&client, &args).await
        }
        Command::Image(command) | Command::ImageGroup(ImageGroup::Each(command)) => {
            image(&client, command).await
        }
        Command::ImageGroup(ImageGroup::Ls(args)) => args.run(&client).await,
        Command::ImageGroup(ImageGroup::Rm(args)) => args.run(&client).await,
        Command::ImageGroup(ImageGroup::Inspect(args)) => args.run(&client).await,
        Command::ImageGroup(ImageGroup::Prune(args)) => args.run(&client).await,
        Command::ImageGroup(ImageGroup::Bootstrap(args)) => args.run(&client).await,
        Command::Network(command) => command.run(&client).await,
        Command::Volume(command) => command.run(&client).await,
        Command::System(command) => command.run(&client).await,
        Command::Builder(command) => command.run(&client).await,
        Command::Kafka(command) => command.run(&client).await,
        Command::Compose(args) => compose::run(&client, *args).await,
        Command::Events(args) => args.run(&client).await,
        Command::Info(args) => args.run(&client).await,
        Command::Version(args) => args.run(&client).await,
        Command::Login(args) => args.run(&client).await,
        Command::Logout(args) => args.run(&client).await,
        Command::Inspect(args) => args.run(&client).await,
    }
}

async fn container(client: &Client, command: Container) -> anyhow::Result<u8> {
    match command {
        Container::Run(args) => args.run(client).await,
        Container::Create(args) => args.run(client).await,
        Container::Start(args) => args.run(client).await,
        Container::Attach(args) => args.run(client).await,
        Container::Exec(args) => args.run(client).await,
        Container::Stop(args) => args.run(client).await,
        Container::Restart(args) => args.run(client).await,
        Container::Kill(args) => args.run(client).await,
        Container::Pause(args) => args.run(client).await,
        Container::Unpause(args) => args.run(client).await,
        Container::Rm(args) => args.run(client).await,
        Container::Rename(args) => args.run(client).await,
        Container::Wait(args) => args.run(client).await,
        Container::Update(args) => args.run(client).await,
        Container::Ps(args) => args.run(client).await,
        Container::Logs(args) => args.run(client).await,
        Container::Top(args) => args.run(client).await,
        Container::Diff(args) => args.run(client).await,
        Container::Port(args) => args.run(client).await,
        Container::Stats(args) => args.run(client).await,
        Container::Cp(args) => args.run(client).await,
        Container::Export(args) => args.run(client).await,
        Container::Commit(args) => args.run(client).await,
    }
}

async fn image(client: &Client, command: Image) -> anyhow::Result<u8> {
    match command {
        Image::Build(args) => args.run(client).await,
        Image::Pull(args) => args.run(client).await,
        Image::Push(args) => args.run(client).await,
        Image::Images(args) => args.run(client).await,
        Image::Tag(args) => args.run(client).await,
        Image::Rmi(args) => args.run(client).await,
        Image::History(args) => args.run(client).await,
        Image::Save(args) => args.run(client).await,
        Image::Load(args) => args.run(client).await,
        Image::Import(args) => args.run(client).await,
    }
}

/// Writes to stdout.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Writes a line to stdout.
pub(crate) fn print_line(text: &str) -> anyhow::Result<()> {
    print(&format!("{text}\n"))
}

/// Tells something on stderr.
#[allow(clippy::print_stderr, reason = "the one place where users are told something beside the answer")]
pub(crate) fn tell(text: &str) {
    eprintln!("{text}");
}

/// Does the same to many objects, one after the other: prints each name that worked, tells each error, and exits with 1 if there was one.
pub(crate) async fn each<F, Fut>(names: &[String], work: F) -> anyhow::Result<u8>
where
    F: FnMut(String) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    done(1, names, work).await
}

/// As [`each`] for what takes its time: as many at once as docker's command line asks for.
pub(crate) async fn each_at_once<F, Fut>(names: &[String], work: F) -> anyhow::Result<u8>
where
    F: FnMut(String) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    done(50, names, work).await
}

/// The outcomes are told in the order of the names.
async fn done<F, Fut>(at_once: usize, names: &[String], mut work: F) -> anyhow::Result<u8>
where
    F: FnMut(String) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    let mut code = 0;
    let works = futures_util::stream::iter(names).map(|name| {
        let work = work(name.clone());
        async move { (name, work.await) }
    });
    let mut outcomes = std::pin::pin!(works.buffered(at_once));
    while let Some((name, outcome)) = outcomes.next().await {
        match outcome {
            Ok(()) => print_line(name)?,
            Err(error) => {
                tell(&format!("{error:#}"));
                code = 1;
            }
        }
    }
    Ok(code)
}

/// Asks before something is removed; `true` without a terminal only if forced.
pub(crate) fn confirmed(force: bool, warning: &str) -> anyhow::Result<bool> {
    if force {
        return Ok(true);
    }
    print(&format!("WARNING! {warning}\nAre you sure you want to continue? [y/N] "))?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_command_is_described_as_the_list_describes_it() {
        let mut whole = <Cli as clap::CommandFactory>::command();
        let listed = |whole: &clap::Command| -> Vec<(String, String)> {
            let about = |one: &clap::Command| one.get_about().map(ToString::to_string).unwrap_or_default();
            whole.get_subcommands().map(|one| (one.get_name().to_owned(), about(one))).collect()
        };
        let before = listed(&whole);
        whole.build();
        assert_eq!(listed(&whole), before);
        assert!(before.iter().all(|(_, about)| !about.is_empty()), "{before:?}");
    }

    #[tokio::test]
    async fn many_are_asked_at_once_and_one_failure_is_told() {
        let names: Vec<String> = (0..60).map(|number| format!("name-{number}")).collect();
        let (running, most) = (Cell::new(0), Cell::new(0));
        let (running, most) = (&running, &most);
        let work = |name: String| async move {
            running.set(running.get() + 1);
            most.set(most.get().max(running.get()));
            tokio::task::yield_now().await;
            running.set(running.get() - 1);
            if name == "name-7" { Err(anyhow::anyhow!("refused")) } else { Ok(()) }
        };
        assert_eq!(each_at_once(&names, work).await.unwrap(), 1);
        assert_eq!((most.get(), running.get()), (50, 0));
        most.set(0);
        assert_eq!(each(&names[..5], work).await.unwrap(), 0);
        assert_eq!(most.get(), 1);
    }
}
