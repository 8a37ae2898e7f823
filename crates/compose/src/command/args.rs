//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::subcommands::{
    Build, Config, Down, Events, Exec, Images, Kill, Logs, Ls, Port, Ps, Pull, Rm, Run, Scale, Services,
    Timed, Up,
};

/// Define and run multi-container applications.
#[derive(Debug, Clone, Args)]
pub struct ComposeArgs {
    /// Compose configuration files
    #[arg(short, long = "file", value_name = "FILE")]
    pub file: Vec<String>,
    /// Project name
    #[arg(short, long, value_name = "NAME")]
    pub project_name: Option<String>,
    /// Specify an alternate working directory (default: the folder of the first compose file)
    #[arg(long, value_name = "DIR")]
    pub project_directory: Option<PathBuf>,
    /// Specify an alternate environment file
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<String>,
    /// Specify a profile to enable
    #[arg(long, value_name = "PROFILE")]
    pub profile: Vec<String>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// When to use colours and redraw: never, always, auto
    #[arg(long, value_name = "WHEN", default_value = "auto", value_parser = ["never", "always", "auto"])]
    pub ansi: String,
    /// How to show progress: auto, tty, plain, quiet
    #[arg(long, value_name = "TYPE", default_value = "auto", value_parser = ["auto", "tty", "plain", "quiet"])]
    pub progress: String,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Clone, Subcommand)]
#[allow(missing_docs, reason = "the text is in each type of arguments")]
pub enum Command {
    /// Create and start containers
    Up(Box<Up>),
    /// Create containers for a service
    Create(Box<Up>),
    /// Stop and remove containers, networks
    Down(Down),
    /// List containers
    Ps(Ps),
    /// View output from containers
    Logs(Logs),
    /// Build or rebuild services
    Build(Build),
    /// Pull service images
    Pull(Pull),
    /// Parse, resolve and render the compose file in canonical form
    #[command(alias = "convert")]
    Config(Config),
    /// Execute a command in a running container
    Exec(Exec),
    /// Run a one-off command on a service
    Run(Run),
    /// Stop services
    Stop(Timed),
    /// Start services
    Start(Services),
    /// Restart service containers
    Restart(Timed),
    /// Force stop service containers
    Kill(Kill),
    /// Remove stopped service containers
    Rm(Rm),
    /// Pause services
    Pause(Services),
    /// Unpause services
    Unpause(Services),
    /// Display the running processes
    Top(Services),
    /// List images used by the created containers
    Images(Images),
    /// Print the public port for a port binding
    Port(Port),
    /// Receive real time events from containers
    Events(Events),
    /// List running compose projects
    Ls(Ls),
    /// Scale services
    Scale(Scale),
    /// Show the version information
    Version,
}
