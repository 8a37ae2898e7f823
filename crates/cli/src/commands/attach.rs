//! `start` and `attach`, and what they share with `run`: waiting for the end, and signals handed on.

use super::{each, print_line};
use crate::{
    client::{Client, escape, query},
    streams::{self, End, Wanted},
    terminal,
};
use anyhow::{Context as _, bail};
use dhow_wire::detach;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

// `dhow start`
#[derive(Debug, clap::Args)]
pub(crate) struct Start {
    /// Attach STDOUT/STDERR and forward signals
    #[arg(short, long)]
    attach: bool,
    /// Override the key sequence for detaching a container
    #[arg(long, default_value = "")]
    detach_keys: String,
    /// Attach container's STDIN
    #[arg(short, long)]
    interactive: bool,
    /// Containers
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

// `dhow attach`
#[derive(Debug, clap::Args)]
pub(crate) struct Attach {
    /// Override the key sequence for detaching a container
    #[arg(long, default_value = "")]
    detach_keys: String,
    /// Do not attach STDIN
    #[arg(long)]
    no_stdin: bool,
    /// Proxy all received signals to the process
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    sig_proxy: bool,
    /// Container
    container: String,
}

/// Registers a wait with the engine, and gives a future of the exit code.
pub(crate) async fn wait(
    client: &Client,
    id: &str,
    condition: &str,
) -> anyhow::Result<impl Future<Output = anyhow::Result<u8>> + use<>> {
    let path = format!("/containers/{}/wait?condition={condition}", escape(id));
    Ok(exit(client.post_response(&path, None, &[]).await?))
}

/// The same, and starts the container then; an error is the start's. `dhowd` does both for one request.
pub(crate) async fn wait_and_start(
    client: &Client,
    id: &str,
    condition: &str,
) -> anyhow::Result<impl Future<Output = anyhow::Result<u8>> + use<>> {
    let id = escape(id);
    let start = if client.is_ours() { "&start=1" } else { "" };
    let path = format!("/containers/{id}/wait?condition={condition}{start}");
    let waiting = exit(client.post_response(&path, None, &[]).await?);
    if start.is_empty() {
        client.post(&format!("/containers/{id}/start"), None).await?;
    }
    Ok(waiting)
}

/// What the answer to a wait says in the end.
async fn exit(response: http::Response<hyper::body::Incoming>) -> anyhow::Result<u8> {
    let mut lines = crate::client::Lines::new(response);
    let answer = lines.next().await?.context("the engine's connection ended before the container did")?;
    if let Some(message) = answer["Error"]["Message"].as_str().filter(|message| !message.is_empty()) {
        bail!("{message}");
    }
    exit_code(&answer["StatusCode"])
}

/// An exit code as the shell sees it.
pub(crate) fn exit_code(value: &Value) -> anyhow::Result<u8> {
    let code = value.as_i64().context("the engine's answer has no exit code")?;
    Ok(u8::try_from(code & 0xff).unwrap_or(u8::MAX))
}

/// Hands the signals that we get on to the container, until aborted.
pub(crate) fn proxy_signals(client: &Client, id: &str) -> tokio::task::JoinHandle<()> {
    let (client, id) = (client.clone(), id.to_owned());
    tokio::spawn(async move {
        let kinds = [
            ("INT", SignalKind::interrupt()),
            ("TERM", SignalKind::terminate()),
            ("HUP", SignalKind::hangup()),
            ("QUIT", SignalKind::quit()),
            ("USR1", SignalKind::user_defined1()),
            ("USR2", SignalKind::user_defined2()),
        ];
        let mut tasks = tokio::task::JoinSet::new();
        for (name, kind) in kinds {
            let Ok(mut stream) = signal(kind) else { continue };
            let (client, id) = (client.clone(), id.clone());
            tasks.spawn(async move {
                while stream.recv().await.is_some() {
                    // it may have ended meanwhile
                    drop(client.post(&format!("/containers/{id}/kill?signal={name}"), None).await);
                }
            });
        }
        while tasks.join_next().await.is_some() {}
    })
}

impl Start {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        if !self.attach && !self.interactive {
            return each(&self.containers, |name| async move {
                client.post(&format!("/containers/{}/start", escape(&name)), None).await.map(drop)
            })
            .await;
        }
        let [name] = self.containers.as_slice() else {
            bail!("you cannot start and attach multiple containers at once")
        };
        let keys = detach::parse(&self.detach_keys)?;
        let info = client.get(&format!("/containers/{}/json", escape(name))).await?;
        let tty = info["Config"]["Tty"].as_bool().unwrap_or(false);
        let stdin = self.interactive && info["Config"]["OpenStdin"].as_bool().unwrap_or(false);
        let id = info["Id"].as_str().unwrap_or(name).to_owned();
        let mut pairs =
            vec![("stream", "1".to_owned()), ("stdout", "1".to_owned()), ("stderr", "1".to_owned())];
        if stdin {
            pairs.push(("stdin", "1".to_owned()));
        }
        let stream = client.hijack(&format!("/containers/{id}/attach{}", query(&pairs)), None).await?;
        let waiting = wait_and_start(client, &id, "next-exit").await?;
        follow(client, &id, stream, Wanted { tty, stdin, keys }, true, waiting).await
    }
}

impl Attach {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let keys = detach::parse(&self.detach_keys)?;
        let info = client.get(&format!("/containers/{}/json", escape(&self.container))).await?;
        let state = &info["State"];
        if state["Running"] != json!(true) {
            bail!("cannot attach to a stopped container, start it first");
        }
        if state["Paused"] == json!(true) {
            bail!("cannot attach to a paused container, unpause it first");
        }
        let tty = info["Config"]["Tty"].as_bool().unwrap_or(false);
        let stdin = !self.no_stdin && info["Config"]["OpenStdin"].as_bool().unwrap_or(false);
        if tty && stdin && !terminal::stdin_is_terminal() {
            bail!("the input device is not a TTY");
        }
        let id = info["Id"].as_str().unwrap_or(&self.container).to_owned();
        let waiting = wait(client, &id, "not-running").await?;
        let mut pairs =
            vec![("stream", "1".to_owned()), ("stdout", "1".to_owned()), ("stderr", "1".to_owned())];
        if stdin {
            pairs.push(("stdin", "1".to_owned()));
        }
        let stream = client.hijack(&format!("/containers/{id}/attach{}", query(&pairs)), None).await?;
        follow(client, &id, stream, Wanted { tty, stdin, keys }, self.sig_proxy, waiting).await
    }
}

async fn follow(
    client: &Client,
    id: &str,
    stream: crate::client::Hijacked,
    wanted: Wanted,
    sig_proxy: bool,
    waiting: impl Future<Output = anyhow::Result<u8>>,
) -> anyhow::Result<u8> {
    let size = (wanted.tty && terminal::stdout_is_terminal())
        .then(|| streams::follow_size(client, format!("/containers/{id}/resize")));
    let proxy = (sig_proxy && !wanted.tty).then(|| proxy_signals(client, id));
    let end = streams::copy(stream, wanted).await;
    for task in [size, proxy].into_iter().flatten() {
        task.abort();
    }
    match end? {
        End::Detached => {
            print_line("read escape sequence")?;
            Ok(0)
        }
        End::Output => waiting.await,
    }
}
