//! `build` and `builder`.

use super::{print_line, tell, transfer};
use crate::{
    client::{Client, Lines, channel_body, query},
    container_flags::ContainerLimits,
};
use anyhow::{Context as _, bail};
use base64::Engine as _;
use dhow_compose::build::context::Context;
use futures_util::StreamExt as _;
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    io::Read as _,
    path::{Path, PathBuf},
};

/// `dhow builder …`
#[derive(Debug, clap::Subcommand)]
#[command(defer = true)]
pub(crate) enum BuilderCommand {
    /// Build an image from a Dockerfile
    Build(Box<Build>),
    /// Remove build cache
    Prune(PruneCache),
}

// Arguments of `builder prune`.
#[derive(Debug, clap::Args)]
pub(crate) struct PruneCache {
    /// Remove all unused build cache and cache mounts, not just dangling ones
    #[arg(short, long)]
    all: bool,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    force: bool,
}

// `dhow build`
#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools, reason = "docker's flags are bools")]
pub(crate) struct Build {
    /// Add a custom host-to-IP mapping (host:ip)
    #[arg(long)]
    add_host: Vec<String>,
    /// Set build-time variables
    #[arg(long)]
    build_arg: Vec<String>,
    /// Images to consider as cache sources (the local cache is always used)
    #[arg(long)]
    cache_from: Vec<String>,
    /// Name of the Dockerfile (default: PATH/Dockerfile); - reads it from stdin
    #[arg(short, long)]
    file: Option<String>,
    /// Always remove intermediate containers (always so)
    #[arg(long, hide = true)]
    force_rm: bool,
    /// Write the image ID to a file
    #[arg(long)]
    iidfile: Option<PathBuf>,
    /// Set metadata for an image
    #[arg(long)]
    label: Vec<String>,
    #[command(flatten)]
    limits: ContainerLimits,
    /// Set the networking mode for the RUN instructions during build
    #[arg(long, default_value = "default")]
    network: String,
    /// Do not use cache when building the image
    #[arg(long)]
    no_cache: bool,
    /// Set platform if server is multi-platform capable
    #[arg(long)]
    platform: Option<String>,
    /// Set type of progress output (auto, plain)
    #[arg(long, default_value = "auto", value_parser = ["auto", "plain", "tty"])]
    progress: String,
    /// Always attempt to pull a newer version of the image
    #[arg(long)]
    pull: bool,
    /// Suppress the build output and print image ID on success
    #[arg(short, long)]
    quiet: bool,
    /// Remove intermediate containers after a successful build (always so)
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    rm: Option<String>,
    /// Secret to expose to the build: id=mysecret[,src=/local/secret | ,env=NAME]
    #[arg(long)]
    secret: Vec<String>,
    /// Size of /dev/shm
    #[arg(long)]
    shm_size: Option<String>,
    /// Name and optionally a tag in the 'name:tag' format
    #[arg(short, long)]
    tag: Vec<String>,
    /// Set the target build stage to build
    #[arg(long)]
    target: Option<String>,
    /// PATH, or - for a tar or Dockerfile on stdin
    #[arg(value_name = "PATH|-")]
    context: String,
}

impl BuilderCommand {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let args = match self {
            Self::Build(build) => return build.run(client).await,
            Self::Prune(args) => args,
        };
        if !super::confirmed(args.force, "This will remove all build cache that no image needs.")? {
            return Ok(0);
        }
        let report = client
            .post(&format!("/build/prune{}", query(&[("all", u8::from(args.all).to_string())])), None)
            .await?;
        let reclaimed = super::units::bytes(&report["SpaceReclaimed"]);
        print_line(&format!("Total reclaimed space: {}", super::units::size(reclaimed)))?;
        Ok(0)
    }
}

impl Build {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let (body, dockerfile) = self.context()?;
        let mut headers =
            vec![("Content-Type", "application/x-tar".to_owned()), ("X-Dhow-Progress", "1".to_owned())];
        if let Some(auths) = super::system::all_registry_auths() {
            headers.push(("X-Registry-Config", auths));
        }
        let secrets = self.secrets()?;
        if !secrets.is_empty() {
            let text = base64::engine::general_purpose::STANDARD.encode(Value::Object(secrets).to_string());
            headers.push(("X-Dhow-Build-Secrets", text));
        }
        let path = format!("/build{}", query(&self.parameters(&dockerfile)?));
        let response = client.call(http::Method::POST, &path, &headers, body).await?;
        let id = show(Lines::new(response), self.quiet).await?;
        if let Some(file) = &self.iidfile {
            std::fs::write(file, &id).with_context(|| format!("writing {}", file.display()))?;
        }
        if self.quiet {
            print_line(&id)?;
        }
        Ok(0)
    }

    /// The context as a request body, and the Dockerfile's path in it.
    fn context(&self) -> anyhow::Result<(crate::client::Body, String)> {
        let file = self.file.as_deref();
        if self.context == "-" {
            if file == Some("-") {
                bail!("invalid argument: can't use stdin for both build context and dockerfile");
            }
            return stdin_context(file);
        }
        if self.context.contains("://") || self.context.starts_with("git@") {
            bail!(
                "building from a remote context ({}) is not built yet: fetch it and name the folder",
                self.context
            );
        }
        let folder = Path::new(&self.context);
        let context = if file == Some("-") {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("reading the Dockerfile from stdin")?;
            Context::open(folder, None, Some(&text))?
        } else {
            // docker's -f is relative to where we stand, not to the context
            let file = file.map(std::path::absolute).transpose()?;
            let folder = folder
                .canonicalize()
                .with_context(|| format!("unable to prepare context: path {:?} not found", self.context))?;
            let file = file
                .map(|file| {
                    file.canonicalize()
                        .with_context(|| format!("unable to prepare context: Dockerfile {}", file.display()))
                })
                .transpose()?;
            Context::open(&folder, file.as_ref().map(|file| file.to_string_lossy()).as_deref(), None)?
        };
        let dockerfile = context.dockerfile.clone();
        let (sender, receiver) = tokio::sync::mpsc::channel(4);
        let mut stream = Box::pin(context.stream());
        tokio::spawn(async move {
            while let Some(piece) = stream.next().await {
                if sender.send(piece).await.is_err() {
                    return;
                }
            }
        });
        Ok((channel_body(receiver), dockerfile))
    }

    fn parameters(&self, dockerfile: &str) -> anyhow::Result<Vec<(&'static str, String)>> {
        let mut pairs = vec![
            ("dockerfile", dockerfile.to_owned()),
            ("rm", "1".to_owned()),
            ("networkmode", self.network.clone()),
        ];
        pairs.extend(self.tag.iter().map(|tag| ("t", tag.clone())));
        pairs.extend(
            self.add_host
                .iter()
                .map(|host| crate::values::extra_host(host))
                .collect::<anyhow::Result<Vec<_>>>()?
                .into_iter()
                .map(|host| ("extrahosts", host)),
        );
        for (key, on) in [("nocache", self.no_cache), ("pull", self.pull), ("q", self.quiet)] {
            if on {
                pairs.push((key, "1".to_owned()));
            }
        }
        for (key, flag) in [("platform", &self.platform), ("target", &self.target)] {
            if let Some(value) = flag {
                pairs.push((key, value.clone()));
            }
        }
        if let Some(size) = &self.shm_size {
            pairs.push(("shmsize", dhow_wire::size::ram(size)?.to_string()));
        }
        // a bare NAME takes our value, and is left out if we have none
        let args: BTreeMap<String, String> = crate::values::environment(&[], &self.build_arg)?
            .iter()
            .filter_map(|line| line.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())))
            .collect();
        pairs.push(("buildargs", serde_json::to_string(&args)?));
        pairs.push(("labels", serde_json::to_string(&crate::values::labels(&[], &self.label)?)?));
        pairs.push(("cachefrom", serde_json::to_string(&self.cache_from)?));
        pairs.extend(self.limits.parameters()?);
        Ok(pairs)
    }

    fn secrets(&self) -> anyhow::Result<Map<String, Value>> {
        let mut secrets = Map::new();
        for spec in &self.secret {
            let (mut id, mut source, mut variable) = (None, None, None);
            for (key, value) in crate::values::csv(spec) {
                match key {
                    "id" => id = Some(value),
                    "src" | "source" => source = Some(value),
                    "env" => variable = Some(value),
                    "type" => {}
                    other => bail!("invalid argument {spec:?} for \"--secret\": unexpected key {other:?}"),
                }
            }
            let id =
                id.with_context(|| format!("invalid argument {spec:?} for \"--secret\": the id is missing"))?;
            let bytes = match (source, variable) {
                (Some(file), _) => {
                    std::fs::read(file).with_context(|| format!("secret {id}: reading {file}"))?
                }
                (None, Some(name)) => {
                    std::env::var(name).with_context(|| format!("secret {id}: variable {name}"))?.into_bytes()
                }
                (None, None) => match std::env::var(id) {
                    Ok(value) => value.into_bytes(),
                    Err(_) => std::fs::read(id).with_context(|| format!("secret {id}: reading {id}"))?,
                },
            };
            secrets.insert(id.to_owned(), json!(base64::engine::general_purpose::STANDARD.encode(bytes)));
        }
        Ok(secrets)
    }
}

/// A tar on stdin as it is, or a lone Dockerfile as a context of its own.
fn stdin_context(file: Option<&str>) -> anyhow::Result<(crate::client::Body, String)> {
    let mut head = vec![0; 512];
    let mut have = 0;
    let mut stdin = std::io::stdin();
    while let Some(rest) = head.get_mut(have..).filter(|rest| !rest.is_empty()) {
        match stdin.read(rest)? {
            0 => break,
            count => have += count,
        }
    }
    head.truncate(have);
    let archive = head.get(257..262) == Some(b"ustar")
        || head.starts_with(&[0x1f, 0x8b])
        || head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
    let name = file.unwrap_or("Dockerfile").to_owned();
    if archive {
        return Ok((transfer::upload_reader(std::io::Cursor::new(head).chain(stdin)), name));
    }
    stdin.read_to_end(&mut head).context("reading the Dockerfile from stdin")?;
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(head.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, &name, head.as_slice())?;
    Ok((transfer::upload_reader(std::io::Cursor::new(builder.into_inner()?)), name))
}

/// Prints records as they come; the image's id.
async fn show(mut lines: Lines, quiet: bool) -> anyhow::Result<String> {
    let mut names: BTreeMap<u64, String> = BTreeMap::new();
    let mut built = None;
    while let Some(message) = lines.next().await? {
        if let Some(error) = message["errorDetail"]["message"].as_str().or_else(|| message["error"].as_str())
        {
            bail!("{error}");
        }
        if let Some(id) = message["aux"]["ID"].as_str() {
            built = Some(id.to_owned());
        }
        let record = &message["dhow"];
        for text in record_lines(record, &mut names) {
            if !quiet {
                tell(&text);
            }
        }
        // another maker's engine speaks the classic builder's words
        if let Some(text) = message["stream"].as_str().filter(|_| !quiet) {
            tell(text.trim_end_matches('\n'));
        }
    }
    built.context("the engine did not say which image was built")
}

/// What one record says: `#3 [2/5] RUN make`, `#3 12.3s CACHED`, its output with the step's number in front.
fn record_lines(record: &Value, names: &mut BTreeMap<u64, String>) -> Vec<String> {
    let id = |value: &Value| value["id"].as_u64().unwrap_or(0);
    let (step, output, done) = (&record["step"], &record["output"], &record["done"]);
    if let Some(name) = step["name"].as_str() {
        names.insert(id(step), name.to_owned());
        return vec![format!("#{} {name}", id(step))];
    }
    if let Some(data) = output["data"].as_str() {
        return data.lines().map(|line| format!("#{} {line}", id(output))).collect();
    }
    if done.is_object() {
        let name = names.remove(&id(done)).unwrap_or_default();
        let seconds = done["seconds"].as_f64().unwrap_or(0.0);
        // what took no time and only changed the configuration needs no second line
        return match done["cached"].as_bool() {
            Some(true)
                if ["RUN", "COPY", "ADD", "WORKDIR"]
                    .iter()
                    .any(|word| name.contains(&format!("] {word} "))) =>
            {
                vec![format!("#{} CACHED", id(done))]
            }
            Some(true) => Vec::new(),
            _ => vec![format!("#{} DONE {seconds:.1}s", id(done))],
        };
    }
    if let Some(status) = record["pull"]["status"].as_str() {
        let layer = record["pull"]["id"].as_str().unwrap_or_default();
        // byte counts come many times a second
        return if record["pull"]["current"].is_null() {
            vec![format!("{layer} {status}").trim().to_owned()]
        } else {
            Vec::new()
        };
    }
    if let Some(tags) = record["built"]["tags"].as_array() {
        let image = record["built"]["id"].as_str().unwrap_or_default();
        let named = tags.iter().filter_map(Value::as_str).map(|tag| format!("naming to {tag}"));
        return std::iter::once(format!("built {image}")).chain(named).collect();
    }
    record["warning"].as_str().map(|text| format!("warning: {text}")).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_told_as_lines() {
        let mut names = BTreeMap::new();
        let mut say = |record: Value| record_lines(&record, &mut names);
        assert_eq!(say(json!({ "step": { "id": 1, "name": "[1/2] RUN x" } })), ["#1 [1/2] RUN x"]);
        assert_eq!(say(json!({ "output": { "id": 1, "stream": 1, "data": "a\nb\n" } })), ["#1 a", "#1 b"]);
        assert_eq!(say(json!({ "done": { "id": 1, "cached": false, "seconds": 1.25 } })), ["#1 DONE 1.2s"]);
        assert_eq!(say(json!({ "step": { "id": 2, "name": "[2/2] COPY a b" } })).len(), 1);
        assert_eq!(say(json!({ "done": { "id": 2, "cached": true, "seconds": 0.0 } })), ["#2 CACHED"]);
        assert_eq!(say(json!({ "warning": "w" })), ["warning: w"]);
    }
}
