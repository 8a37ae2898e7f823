//! `exec`.

use super::attach::exit_code;
use crate::{
    client::{Client, escape},
    streams::{self, End, Wanted},
    terminal, values,
};
use anyhow::{Context as _, bail};
use dhow_wire::detach;
use serde_json::json;
use std::path::PathBuf;

// `dhow exec`
#[derive(Debug, clap::Args)]
pub(crate) struct Exec {
    /// Detached mode: run command in the background
    #[arg(short, long)]
    detach: bool,
    /// Override the key sequence for detaching a container
    #[arg(long, default_value = "")]
    detach_keys: String,
    /// Set environment variables
    #[arg(short, long)]
    env: Vec<String>,
    /// Read in a file of environment variables
    #[arg(long)]
    env_file: Vec<PathBuf>,
    /// Keep STDIN open even if not attached
    #[arg(short, long)]
    interactive: bool,
    /// Give extended privileges to the command
    #[arg(long)]
    privileged: bool,
    /// Allocate a pseudo-TTY
    #[arg(short, long)]
    tty: bool,
    /// Username or UID (format: "<name|uid>[:<group|gid>]")
    #[arg(short, long)]
    user: Option<String>,
    /// Working directory inside the container
    #[arg(short, long)]
    workdir: Option<String>,
    /// Container
    container: String,
    /// Command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Exec {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let keys = detach::parse(&self.detach_keys)?;
        if self.tty && self.interactive && !self.detach && !terminal::stdin_is_terminal() {
            bail!("the input device is not a TTY");
        }
        let attached = !self.detach;
        let size = if self.tty { terminal::size() } else { None };
        let body = json!({
            "AttachStdin": attached && self.interactive,
            "AttachStdout": attached,
            "AttachStderr": attached,
            "Tty": self.tty,
            "Cmd": self.command,
            "Env": values::environment(&self.env_file, &self.env)?,
            "User": self.user.clone().unwrap_or_default(),
            "WorkingDir": self.workdir.clone().unwrap_or_default(),
            "Privileged": self.privileged,
            "DetachKeys": self.detach_keys,
            "ConsoleSize": size.map(|(rows, cols)| [rows, cols]),
        });
        let created =
            client.post(&format!("/containers/{}/exec", escape(&self.container)), Some(&body)).await?;
        let id = created["Id"].as_str().context("the engine's answer to exec has no Id")?.to_owned();
        let start = json!({ "Detach": self.detach, "Tty": self.tty, "ConsoleSize": size.map(|(rows, cols)| [rows, cols]) });
        if self.detach {
            client.post(&format!("/exec/{id}/start"), Some(&start)).await?;
            return Ok(0);
        }
        let stream =
            client.hijack(&format!("/exec/{id}/start"), Some(&start)).await.map_err(not_executable)?;
        let follow = (self.tty && terminal::stdout_is_terminal())
            .then(|| streams::follow_size(client, format!("/exec/{id}/resize")));
        let end = streams::copy(stream, Wanted { tty: self.tty, stdin: self.interactive, keys }).await;
        if let Some(follow) = follow {
            follow.abort();
        }
        if end? == End::Detached {
            return Ok(0);
        }
        exit_code(&client.get(&format!("/exec/{id}/json")).await?["ExitCode"])
    }
}

/// docker's exit codes for a command that cannot be executed.
fn not_executable(error: anyhow::Error) -> anyhow::Error {
    let text = format!("{error:#}");
    let code = if text.contains("executable file not found") || text.contains("no such file or directory") {
        127
    } else if text.contains("permission denied") {
        126
    } else {
        return error;
    };
    super::Exit(code, text).into()
}
