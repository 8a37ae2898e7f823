//! `run` and `create`.

use super::{Exit, attach, print_line, pull, tell};
use crate::{
    client::{Client, Refused, query},
    container_flags::ContainerFlags,
    streams::{self, End},
};
use anyhow::{Context as _, bail};
use dhow_wire::detach;
use http::StatusCode;
use serde_json::Value;

// `dhow create`
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Create {
    #[command(flatten)]
    flags: ContainerFlags,
}

// `dhow run`
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Run {
    /// Run container in background and print container ID
    #[arg(short, long)]
    detach: bool,
    /// Override the key sequence for detaching a container
    #[arg(long, default_value = "")]
    detach_keys: String,
    /// Proxy received signals to the process
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    sig_proxy: bool,
    #[command(flatten)]
    flags: ContainerFlags,
}

impl Create {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        print_line(&create(client, &self.flags, false).await?)?;
        Ok(0)
    }
}

/// Creates the container, pulling its image as `--pull` says; its id.
async fn create(client: &Client, flags: &ContainerFlags, detach: bool) -> anyhow::Result<String> {
    if flags.image().starts_with('-') {
        bail!("unknown flag: {}", flags.image());
    }
    if let Some(file) = &flags.cidfile
        && file.exists()
    {
        bail!(
            "container ID file found, make sure the other container isn't running or delete {}",
            file.display()
        );
    }
    let body = flags.body(detach)?;
    let mut pairs = Vec::new();
    if let Some(name) = &flags.name {
        pairs.push(("name", name.clone()));
    }
    if let Some(platform) = &flags.platform {
        pairs.push(("platform", platform.clone()));
    }
    let path = format!("/containers/create{}", query(&pairs));
    if flags.pull == "always" {
        pull::pull(client, flags.image(), flags.platform.as_deref(), flags.quiet, true).await?;
    }
    let created = match client.post(&path, Some(&body)).await {
        Err(error) if flags.pull == "missing" && is_missing_image(&error) => {
            tell(&format!("Unable to find image '{}' locally", pull::with_tag(flags.image())));
            pull::pull(client, flags.image(), flags.platform.as_deref(), flags.quiet, true).await?;
            client.post(&path, Some(&body)).await?
        }
        other => other?,
    };
    for warning in created["Warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        tell(&format!("WARNING: {warning}"));
    }
    let id = created["Id"].as_str().context("the engine's answer to create has no Id")?.to_owned();
    if let Some(file) = &flags.cidfile {
        std::fs::write(file, &id)
            .with_context(|| format!("writing the container ID file {}", file.display()))?;
    }
    Ok(id)
}

fn is_missing_image(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Refused>().is_some_and(|refused| {
        refused.status == StatusCode::NOT_FOUND && refused.message.to_lowercase().contains("no such image")
    })
}

/// docker's exit codes for a container that did not start.
fn start_failure(error: anyhow::Error) -> anyhow::Error {
    let text = format!("{error:#}");
    let code = if text.contains("executable file not found") || text.contains("no such file or directory") {
        127
    } else if text.contains("permission denied") || text.contains("is a directory") {
        126
    } else {
        125
    };
    Exit(code, text).into()
}

fn refused(error: anyhow::Error) -> anyhow::Error {
    Exit(125, format!("{error:#}\n\nRun 'dhow run --help' for more information")).into()
}

impl Run {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let flags = &self.flags;
        let keys = detach::parse(&self.detach_keys).map_err(|error| refused(error.into()))?;
        let streams = flags.streams(self.detach).map_err(refused)?;
        if flags.tty && streams.stdin && !crate::terminal::stdin_is_terminal() {
            return Err(refused(anyhow::anyhow!("the input device is not a TTY")));
        }
        let id = create(client, flags, self.detach).await.map_err(refused)?;
        if self.detach {
            client.post(&format!("/containers/{id}/start"), None).await.map_err(start_failure)?;
            print_line(&id)?;
            return Ok(0);
        }
        // attached and waiting before the start: nothing is missed
        let attached = streams.stdin || streams.stdout || streams.stderr;
        let stream = if attached {
            let pairs = [
                ("stream", true),
                ("stdin", streams.stdin),
                ("stdout", streams.stdout),
                ("stderr", streams.stderr),
            ];
            let pairs: Vec<_> =
                pairs.iter().filter(|(_, on)| *on).map(|(key, _)| (*key, "1".to_owned())).collect();
            Some(
                client
                    .hijack(&format!("/containers/{id}/attach{}", query(&pairs)), None)
                    .await
                    .map_err(refused)?,
            )
        } else {
            None
        };
        let condition = if flags.rm { "removed" } else { "next-exit" };
        let waiting = match attach::wait_and_start(client, &id, condition).await {
            Ok(waiting) => waiting,
            Err(error) => {
                if flags.rm {
                    // the engine may have removed it already
                    drop(client.delete(&format!("/containers/{id}?force=1&v=1")).await);
                }
                return Err(start_failure(error));
            }
        };
        let size = (flags.tty && crate::terminal::stdout_is_terminal())
            .then(|| streams::follow_size(client, format!("/containers/{id}/resize")));
        let proxy = (self.sig_proxy && !flags.tty).then(|| attach::proxy_signals(client, &id));
        let end = match stream {
            Some(stream) => {
                streams::copy(stream, streams::Wanted { tty: flags.tty, stdin: streams.stdin, keys }).await
            }
            None => {
                print_line(&id)?;
                Ok(End::Output)
            }
        };
        if let Some(size) = size {
            size.abort();
        }
        let code = if end? == End::Detached { 0 } else { waiting.await? };
        if let Some(proxy) = proxy {
            proxy.abort();
        }
        Ok(code)
    }
}
