//! `pull`, and docker's stream of progress messages.

use super::{print_line, tell};
use crate::client::{Client, Lines, query};
use anyhow::bail;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;
use std::collections::HashMap;

// `dhow pull`
#[derive(Debug, clap::Args)]
pub(crate) struct Pull {
    /// Download all tagged images in the repository
    #[arg(short, long)]
    all_tags: bool,
    /// Set platform if server is multi-platform capable
    #[arg(long)]
    platform: Option<String>,
    /// Suppress verbose output
    #[arg(short, long)]
    quiet: bool,
    /// NAME[:TAG|@DIGEST]
    image: String,
}

impl Pull {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        if self.all_tags {
            bail!("--all-tags is not built yet: pull the tags that you need one by one");
        }
        if !self.image.contains('@') && with_tag(&self.image) != self.image && !self.quiet {
            print_line("Using default tag: latest")?;
        }
        pull(client, &self.image, self.platform.as_deref(), self.quiet, false).await?;
        print_line(&full_name(&self.image))?;
        Ok(0)
    }
}

// `dhow push`
#[derive(Debug, clap::Args)]
pub(crate) struct Push {
    /// Push all tags of an image to the repository
    #[arg(short, long)]
    all_tags: bool,
    /// Skip image signing: images are not signed here
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    disable_content_trust: bool,
    /// Suppress verbose output
    #[arg(short, long)]
    quiet: bool,
    /// NAME[:TAG]
    image: String,
}

impl Push {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        if !self.disable_content_trust {
            bail!("--disable-content-trust=false: images are not signed by this engine");
        }
        let tagged = with_tag(&self.image);
        let (name, tag) = match self.image.split_once('@') {
            Some(_) => bail!("cannot push a digest reference"),
            None if self.all_tags && tagged == self.image => bail!("tag can't be used with --all-tags/-a"),
            None if self.all_tags => (self.image.as_str(), ""),
            None => tagged.rsplit_once(':').unwrap_or((&tagged, "latest")),
        };
        if !self.all_tags && tagged != self.image && !self.quiet {
            print_line("Using default tag: latest")?;
        }
        // docker always sends it; an engine of its make refuses without.
        let auth = super::system::registry_auth(name).unwrap_or_else(|| "e30=".to_owned());
        let pairs: Vec<_> = (!tag.is_empty()).then(|| ("tag", tag.to_owned())).into_iter().collect();
        let path = format!("/images/{}/push{}", crate::client::escape(name), query(&pairs));
        let response = client.post_response(&path, None, &[("X-Registry-Auth", auth)]).await?;
        show(Lines::new(response), self.quiet, false).await?;
        if self.quiet {
            print_line(&full_name(&self.image))?;
        }
        Ok(0)
    }
}

/// With `:latest` where neither tag nor digest is given.
pub(crate) fn with_tag(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains([':', '@']) { image.to_owned() } else { format!("{image}:latest") }
}

/// `docker.io/library/busybox:latest`, as `docker pull` prints it last.
fn full_name(image: &str) -> String {
    let image = with_tag(image);
    match image.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => image,
        Some(_) => format!("docker.io/{image}"),
        None => format!("docker.io/library/{image}"),
    }
}

/// Pulls an image, showing progress on stderr (`beside`, when stdout is the container's) or stdout.
pub(crate) async fn pull(
    client: &Client,
    image: &str,
    platform: Option<&str>,
    quiet: bool,
    beside: bool,
) -> anyhow::Result<()> {
    let image = with_tag(image);
    let (name, tag) = match image.split_once('@') {
        Some((name, digest)) => (name, digest),
        None => image.rsplit_once(':').unwrap_or((&image, "latest")),
    };
    let mut pairs = vec![("fromImage", name.to_owned()), ("tag", tag.to_owned())];
    if let Some(platform) = platform {
        pairs.push(("platform", platform.to_owned()));
    }
    let auth = super::system::registry_auth(name);
    let headers: Vec<_> = auth.map(|auth| ("X-Registry-Auth", auth)).into_iter().collect();
    let response = client.post_response(&format!("/images/create{}", query(&pairs)), None, &headers).await?;
    show(Lines::new(response), quiet, beside).await
}

/// Prints a stream of docker's JSON messages as it comes: bars on a terminal, else a line a change.
pub(crate) async fn show(mut lines: Lines, quiet: bool, beside: bool) -> anyhow::Result<()> {
    let bars = MultiProgress::with_draw_target(if beside {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::stdout()
    });
    let plain = bars.is_hidden() || quiet;
    let mut by_id: HashMap<String, ProgressBar> = HashMap::new();
    while let Some(message) = lines.next().await? {
        if let Some(error) = message["errorDetail"]["message"].as_str().or_else(|| message["error"].as_str())
        {
            bail!("{error}");
        }
        if quiet {
            continue;
        }
        if let Some(stream) = message["stream"].as_str() {
            say(stream.trim_end_matches('\n'), beside)?;
            continue;
        }
        let status = message["status"].as_str().unwrap_or_default();
        let id = message["id"].as_str().unwrap_or_default();
        if id.is_empty() && status.is_empty() {
            // what only programs read
        } else if id.is_empty() {
            if plain { say(status, beside)? } else { bars.println(status)? }
        } else if plain {
            // only what a step ends with, not every byte count
            if message["progressDetail"]["current"].is_null() {
                say(&format!("{id}: {status}"), beside)?;
            }
        } else {
            let bar = by_id
                .entry(id.to_owned())
                .or_insert_with(|| bars.add(ProgressBar::new_spinner().with_prefix(id.to_owned())));
            draw(bar, status, &message["progressDetail"])?;
        }
    }
    Ok(())
}

fn draw(bar: &ProgressBar, status: &str, detail: &Value) -> anyhow::Result<()> {
    if let (Some(current), Some(total)) = (detail["current"].as_u64(), detail["total"].as_u64()) {
        bar.set_style(ProgressStyle::with_template(
            "{prefix}: {msg} [{bar:30}] {decimal_bytes}/{decimal_total_bytes}",
        )?);
        bar.set_length(total);
        bar.set_position(current);
    } else {
        bar.set_style(ProgressStyle::with_template("{prefix}: {msg}")?);
    }
    bar.set_message(status.to_owned());
    Ok(())
}

fn say(text: &str, beside: bool) -> anyhow::Result<()> {
    if beside {
        tell(text);
        Ok(())
    } else {
        print_line(text)
    }
}
