//! Images and containers as tar streams: `save`, `load`, `import`, `export`, `commit`.

use super::{print_line, pull};
use crate::{
    client::{Client, Lines, channel_body, empty, escape, query},
    terminal,
};
use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde_json::json;
use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
};
use tokio::sync::mpsc;

// `dhow save`
#[derive(Debug, clap::Args)]
pub(crate) struct Save {
    /// Write to a file, instead of STDOUT
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// Images
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

// `dhow load`
#[derive(Debug, clap::Args)]
pub(crate) struct Load {
    /// Read from tar archive file, instead of STDIN
    #[arg(short, long)]
    input: Option<PathBuf>,
    /// Suppress the load output
    #[arg(short, long)]
    quiet: bool,
}

// `dhow import`
#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    /// Apply Dockerfile instruction to the created image
    #[arg(short, long)]
    change: Vec<String>,
    /// Set commit message for imported image
    #[arg(short, long)]
    message: Option<String>,
    /// Set platform if server is multi-platform capable
    #[arg(long)]
    platform: Option<String>,
    /// File, or - for STDIN
    source: String,
    /// REPOSITORY[:TAG]
    name: Option<String>,
}

// `dhow export`
#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// Write to a file, instead of STDOUT
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// Container
    container: String,
}

// `dhow commit`
#[derive(Debug, clap::Args)]
pub(crate) struct Commit {
    /// Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")
    #[arg(short, long)]
    author: Option<String>,
    /// Apply Dockerfile instruction to the created image
    #[arg(short, long)]
    change: Vec<String>,
    /// Commit message
    #[arg(short, long)]
    message: Option<String>,
    /// Pause container during commit
    #[arg(short, long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pause: bool,
    /// Container
    container: String,
    /// REPOSITORY[:TAG]
    name: Option<String>,
}

/// Where a stream of bytes for the engine comes from: a file, or stdin.
pub(crate) fn upload(source: Option<&Path>) -> anyhow::Result<crate::client::Body> {
    let reader: Box<dyn Read + Send> = match source {
        Some(path) => {
            Box::new(std::fs::File::open(path).with_context(|| format!("open {}", path.display()))?)
        }
        None => Box::new(std::io::stdin()),
    };
    Ok(upload_reader(reader))
}

/// A request body read on a thread of its own.
pub(crate) fn upload_reader(mut reader: impl Read + Send + 'static) -> crate::client::Body {
    let (sender, receiver) = mpsc::channel(4);
    std::thread::spawn(move || {
        loop {
            let mut chunk = vec![0; 256 << 10];
            let item = match reader.read(&mut chunk) {
                Ok(0) => return,
                Ok(count) => {
                    chunk.truncate(count);
                    Ok(Bytes::from(chunk))
                }
                Err(error) => Err(error),
            };
            let failed = item.is_err();
            if sender.blocking_send(item).is_err() || failed {
                return;
            }
        }
    });
    channel_body(receiver)
}

/// Writes a response's body to a file (whole or not at all) or stdout.
async fn download(
    response: http::Response<hyper::body::Incoming>,
    output: Option<&Path>,
) -> anyhow::Result<()> {
    let mut body = response.into_body();
    let partial = output.map(|path| path.with_extension("dhow-partial"));
    let mut out: Box<dyn Write> = match &partial {
        Some(path) => {
            Box::new(std::fs::File::create(path).with_context(|| format!("create {}", path.display()))?)
        }
        None => Box::new(std::io::stdout().lock()),
    };
    let outcome = async {
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame?.into_data() {
                out.write_all(&data)?;
            }
        }
        anyhow::Ok(out.flush()?)
    }
    .await;
    match (partial, output) {
        (Some(partial), Some(path)) => {
            if outcome.is_err() {
                std::fs::remove_file(&partial).with_context(|| format!("remove {}", partial.display()))?;
                return outcome.with_context(|| format!("writing {}", path.display()));
            }
            std::fs::rename(&partial, path).with_context(|| format!("writing {}", path.display()))
        }
        _ => outcome,
    }
}

fn refuse_terminal(output: Option<&PathBuf>) -> anyhow::Result<()> {
    if output.is_none() && terminal::stdout_is_terminal() {
        bail!("cowardly refusing to save to a terminal. Use the -o flag or redirect");
    }
    Ok(())
}

impl Save {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        refuse_terminal(self.output.as_ref())?;
        let pairs: Vec<_> = self.images.iter().map(|name| ("names", name.clone())).collect();
        let response =
            client.call(http::Method::GET, &format!("/images/get{}", query(&pairs)), &[], empty()).await?;
        download(response, self.output.as_deref()).await?;
        Ok(0)
    }
}

impl Export {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        refuse_terminal(self.output.as_ref())?;
        let path = format!("/containers/{}/export", escape(&self.container));
        let response = client.call(http::Method::GET, &path, &[], empty()).await?;
        download(response, self.output.as_deref()).await?;
        Ok(0)
    }
}

impl Load {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        if self.input.is_none() && terminal::stdin_is_terminal() {
            bail!("requested load from stdin, but stdin is empty");
        }
        let headers = [("Content-Type", "application/x-tar".to_owned())];
        let body = upload(self.input.as_deref())?;
        let response = client
            .call(http::Method::POST, &format!("/images/load?quiet={}", u8::from(self.quiet)), &headers, body)
            .await?;
        pull::show(Lines::new(response), false, false).await?;
        Ok(0)
    }
}

impl Import {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let mut pairs = vec![("fromSrc", "-".to_owned())];
        if let Some(name) = &self.name {
            let name = pull::with_tag(name);
            let (repository, tag) = name.rsplit_once(':').unwrap_or((&name, "latest"));
            pairs.push(("repo", repository.to_owned()));
            pairs.push(("tag", tag.to_owned()));
        }
        pairs.extend(self.change.iter().map(|change| ("changes", change.clone())));
        for (key, flag) in [("message", &self.message), ("platform", &self.platform)] {
            if let Some(value) = flag {
                pairs.push((key, value.clone()));
            }
        }
        let source = (self.source != "-").then(|| PathBuf::from(&self.source));
        let headers = [("Content-Type", "application/x-tar".to_owned())];
        let body = upload(source.as_deref())?;
        let response = client
            .call(http::Method::POST, &format!("/images/create{}", query(&pairs)), &headers, body)
            .await?;
        pull::show(Lines::new(response), false, false).await?;
        Ok(0)
    }
}

impl Commit {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let mut pairs =
            vec![("container", self.container.clone()), ("pause", u8::from(self.pause).to_string())];
        if let Some(name) = &self.name {
            let name = pull::with_tag(name);
            let (repository, tag) = name.rsplit_once(':').unwrap_or((&name, "latest"));
            pairs.push(("repo", repository.to_owned()));
            pairs.push(("tag", tag.to_owned()));
        }
        pairs.extend(self.change.iter().map(|change| ("changes", change.clone())));
        for (key, flag) in [("author", &self.author), ("comment", &self.message)] {
            if let Some(value) = flag {
                pairs.push((key, value.clone()));
            }
        }
        let answer = client.post(&format!("/commit{}", query(&pairs)), Some(&json!({}))).await?;
        print_line(answer["Id"].as_str().context("the engine's answer to commit has no Id")?)?;
        Ok(0)
    }
}
