//! `info`, `version`, `events`, `system …`, `container prune`, `login`, `logout`.

use super::{confirmed, inspect, print, print_line, tell, units};
use crate::{
    client::{Client, Lines, empty, query},
    format::{self, Listing, row},
    values,
};
use anyhow::{Context as _, bail};
use base64::Engine as _;
use serde_json::{Map, Value, json};
use std::{io::BufRead as _, path::PathBuf};

/// `dhow system …`
#[derive(Debug, clap::Subcommand)]
#[command(defer = true)]
pub(crate) enum Command {
    /// Show disk usage
    Df(Df),
    /// Get real time events from the server
    Events(Events),
    /// Display system-wide information
    Info(Info),
    /// Remove unused data
    Prune(Prune),
}

// Arguments of `system df`.
#[derive(Debug, clap::Args)]
pub(crate) struct Df {
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json', 'TEMPLATE'
    #[arg(long)]
    format: Option<String>,
    /// Show detailed information on space usage
    #[arg(short, long)]
    verbose: bool,
}

// `dhow events`
#[derive(Debug, clap::Args)]
pub(crate) struct Events {
    /// Filter output based on conditions provided
    #[arg(short, long)]
    filter: Vec<String>,
    /// Format output using a custom template: 'json', 'TEMPLATE'
    #[arg(long)]
    format: Option<String>,
    /// Show all events created since timestamp
    #[arg(long)]
    since: Option<String>,
    /// Stream events until this timestamp
    #[arg(long)]
    until: Option<String>,
}

// `dhow info`
#[derive(Debug, clap::Args)]
pub(crate) struct Info {
    /// Format output using a custom template: 'json', 'TEMPLATE'
    #[arg(short, long)]
    format: Option<String>,
}

// `dhow version`
#[derive(Debug, clap::Args)]
pub(crate) struct Version {
    /// Format output using a custom template: 'json', 'TEMPLATE'
    #[arg(short, long)]
    format: Option<String>,
}

// Flags of every `prune` without more.
#[derive(Debug, clap::Args)]
pub(crate) struct PruneFlags {
    /// Provide filter values (e.g. "until=<timestamp>")
    #[arg(long)]
    filter: Vec<String>,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    pub(crate) force: bool,
}

// Arguments of `system prune`.
#[derive(Debug, clap::Args)]
pub(crate) struct Prune {
    /// Remove all unused images not just dangling ones
    #[arg(short, long)]
    all: bool,
    /// Prune anonymous volumes
    #[arg(long)]
    volumes: bool,
    #[command(flatten)]
    flags: PruneFlags,
}

// `dhow login`
#[derive(Debug, clap::Args)]
pub(crate) struct Login {
    /// Password
    #[arg(short, long)]
    password: Option<String>,
    /// Take the password from stdin
    #[arg(long)]
    password_stdin: bool,
    /// Username
    #[arg(short, long)]
    username: Option<String>,
    /// Server (default: Docker Hub)
    server: Option<String>,
}

// `dhow logout`
#[derive(Debug, clap::Args)]
pub(crate) struct Logout {
    /// Server (default: Docker Hub)
    server: Option<String>,
}

impl PruneFlags {
    /// As a query string.
    pub(crate) fn query(&self) -> anyhow::Result<String> {
        Ok(query(
            &values::filters(&self.filter)?
                .map(|filters| ("filters", filters))
                .into_iter()
                .collect::<Vec<_>>(),
        ))
    }
}

impl Command {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        match self {
            Self::Df(args) => args.run(client).await,
            Self::Events(args) => args.run(client).await,
            Self::Info(args) => args.run(client).await,
            Self::Prune(args) => args.run(client).await,
        }
    }
}

impl Version {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let ours = json!({ "Version": env!("CARGO_PKG_VERSION"), "ApiVersion": format!("{}.{}", crate::client::NEWEST.0, crate::client::NEWEST.1), "Os": "linux", "Arch": std::env::consts::ARCH });
        let server = client.get("/version").await;
        if let Some(template) = &self.format {
            let whole = json!({ "Client": ours, "Server": server.as_ref().ok() });
            print_line(&format::render(template, &whole)?)?;
            return server.map(|_| 0);
        }
        let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
        print_line(&format!(
            "Client: Dhow\n Version:           {}\n API version:       {}\n OS/Arch:           linux/{}",
            text(&ours, "Version"),
            text(&ours, "ApiVersion"),
            std::env::consts::ARCH
        ))?;
        let server = server?;
        print_line(&format!(
            "\nServer: {}",
            server["Platform"]["Name"].as_str().filter(|n| !n.is_empty()).unwrap_or("engine")
        ))?;
        for (label, key) in [
            ("Version", "Version"),
            ("API version", "ApiVersion"),
            ("Minimum API", "MinAPIVersion"),
            ("Git commit", "GitCommit"),
            ("Kernel", "KernelVersion"),
        ] {
            print_line(&format!(" {:<18} {}", format!("{label}:"), text(&server, key)))?;
        }
        print_line(&format!(" {:<18} {}/{}", "OS/Arch:", text(&server, "Os"), text(&server, "Arch")))?;
        Ok(0)
    }
}

impl Info {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let info = client.get("/info").await?;
        if let Some(template) = &self.format {
            print_line(&format::render(template, &info)?)?;
            return Ok(0);
        }
        let show = |value: &Value| match value {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
            other => other.to_string(),
        };
        let mut text = String::from("Server:\n");
        for (label, key) in [
            ("Containers", "Containers"),
            (" Running", "ContainersRunning"),
            (" Paused", "ContainersPaused"),
            (" Stopped", "ContainersStopped"),
            ("Images", "Images"),
            ("Server Version", "ServerVersion"),
            ("Storage Driver", "Driver"),
            ("Logging Driver", "LoggingDriver"),
            ("Cgroup Driver", "CgroupDriver"),
            ("Cgroup Version", "CgroupVersion"),
            ("Default Runtime", "DefaultRuntime"),
            ("Security Options", "SecurityOptions"),
            ("Kernel Version", "KernelVersion"),
            ("Operating System", "OperatingSystem"),
            ("OSType", "OSType"),
            ("Architecture", "Architecture"),
            ("CPUs", "NCPU"),
            ("Name", "Name"),
            ("ID", "ID"),
            ("Docker Root Dir", "DockerRootDir"),
        ] {
            text.push_str(&format!(" {label}: {}\n", show(&info[key])));
        }
        text.push_str(&format!(" Total Memory: {}\n", units::binary_size(units::bytes(&info["MemTotal"]))));
        print(&text)?;
        for warning in info["Warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            tell(warning);
        }
        Ok(0)
    }
}

impl Events {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let mut pairs = Vec::new();
        for (key, flag) in [("since", &self.since), ("until", &self.until)] {
            if let Some(text) = flag {
                pairs.push((key, values::moment(text)?));
            }
        }
        if let Some(filters) = values::filters(&self.filter)? {
            pairs.push(("filters", filters));
        }
        let response =
            client.call(http::Method::GET, &format!("/events{}", query(&pairs)), &[], empty()).await?;
        let mut lines = Lines::new(response);
        while let Some(event) = lines.next().await? {
            match &self.format {
                Some(template) => print_line(&format::render(template, &event)?)?,
                None => print_line(&event_line(&event))?,
            }
        }
        Ok(0)
    }
}

/// `2026-01-02T03:04:05.000000006+00:00 container start ID (image=…, name=…)`.
fn event_line(event: &Value) -> String {
    let nanos = event["timeNano"].as_i64().unwrap_or(0);
    let time = jiff::Timestamp::from_nanosecond(i128::from(nanos))
        .unwrap_or_default()
        .to_zoned(jiff::tz::TimeZone::system());
    let attributes = event["Actor"]["Attributes"].as_object();
    let attributes = attributes
        .into_iter()
        .flatten()
        .map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default()))
        .collect::<Vec<_>>();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut line = format!(
        "{} {} {} {}",
        time.strftime("%Y-%m-%dT%H:%M:%S.%9f%:z"),
        text(&event["Type"]),
        text(&event["Action"]),
        text(&event["Actor"]["ID"])
    );
    if !attributes.is_empty() {
        line.push_str(&format!(" ({})", attributes.join(", ")));
    }
    line
}

impl Df {
    async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let usage = client.get("/system/df").await?;
        if self.verbose {
            print_line(&inspect::indented(&usage)?)?;
            return Ok(0);
        }
        let list = |key: &str| usage[key].as_array().cloned().unwrap_or_default();
        let sum =
            |items: &[Value], size: &dyn Fn(&Value) -> f64| items.iter().map(size).fold(0.0, |a, b| a + b);
        let line = |name: &str, items: &[Value], active: usize, size: f64, free: f64| {
            let percent = if size > 0.0 { free / size * 100.0 } else { 0.0 };
            let reclaimable = if size > 0.0 {
                format!("{} ({percent:.0}%)", units::size3(free))
            } else {
                units::size3(free)
            };
            row([
                ("Type", name.to_owned()),
                ("TotalCount", items.len().to_string()),
                ("Active", active.to_string()),
                ("Size", units::size3(size)),
                ("Reclaimable", reclaimable),
            ])
        };
        let images = list("Images");
        let unused = |image: &&Value| image["Containers"].as_i64().unwrap_or(0) <= 0;
        let free: f64 = images
            .iter()
            .filter(unused)
            .map(|i| units::bytes(&i["Size"]) - units::bytes(&i["SharedSize"]).max(0.0))
            .sum();
        let containers = list("Containers");
        let stopped = |container: &&Value| container["State"] != "running" && container["State"] != "paused";
        let writable = |container: &Value| units::bytes(&container["SizeRw"]);
        let volumes = list("Volumes");
        let volume_size = |volume: &Value| units::bytes(&volume["UsageData"]["Size"]).max(0.0);
        let unmounted = |volume: &&Value| volume["UsageData"]["RefCount"].as_i64().unwrap_or(0) <= 0;
        let cache = list("BuildCache");
        let cache_size = |record: &Value| units::bytes(&record["Size"]);
        let rows = [
            line(
                "Images",
                &images,
                images.len() - images.iter().filter(unused).count(),
                units::bytes(&usage["LayersSize"]),
                free.max(0.0),
            ),
            line(
                "Containers",
                &containers,
                containers.len() - containers.iter().filter(stopped).count(),
                sum(&containers, &writable),
                containers.iter().filter(stopped).map(writable).fold(0.0, |a, b| a + b),
            ),
            line(
                "Local Volumes",
                &volumes,
                volumes.len() - volumes.iter().filter(unmounted).count(),
                sum(&volumes, &volume_size),
                volumes.iter().filter(unmounted).map(volume_size).fold(0.0, |a, b| a + b),
            ),
            line("Build Cache", &cache, 0, sum(&cache, &cache_size), sum(&cache, &cache_size)),
        ];
        let headers = [
            ("Type", "TYPE"),
            ("TotalCount", "TOTAL"),
            ("Active", "ACTIVE"),
            ("Size", "SIZE"),
            ("Reclaimable", "RECLAIMABLE"),
        ];
        let columns = ["Type", "TotalCount", "Active", "Size", "Reclaimable"];
        print(&Listing { headers: &headers, columns: &columns }.render(self.format.as_deref(), &rows)?)?;
        Ok(0)
    }
}

/// `dhow container prune`
pub(crate) async fn prune_containers(client: &Client, args: &PruneFlags) -> anyhow::Result<u8> {
    if !confirmed(args.force, "This will remove all stopped containers.")? {
        return Ok(0);
    }
    let report = client.post(&format!("/containers/prune{}", args.query()?), None).await?;
    report_deleted("Deleted Containers:", &report["ContainersDeleted"])?;
    print_line(&format!("Total reclaimed space: {}", units::size(units::bytes(&report["SpaceReclaimed"]))))?;
    Ok(0)
}

fn report_deleted(title: &str, list: &Value) -> anyhow::Result<()> {
    let names: Vec<&str> = list
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            entry.as_str().or_else(|| entry["Untagged"].as_str()).or_else(|| entry["Deleted"].as_str())
        })
        .collect();
    if names.is_empty() { Ok(()) } else { print_line(&format!("{title}\n{}\n", names.join("\n"))) }
}

impl Prune {
    async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let images = if self.all {
            "all images without at least one container associated to them"
        } else {
            "all dangling images"
        };
        let volumes =
            if self.volumes { "\n  - all anonymous volumes not used by at least one container" } else { "" };
        let warning = format!(
            "This will remove:\n  - all stopped containers\n  - all networks not used by at least one container{volumes}\n  - {images}\n  - unused build cache\n"
        );
        if !confirmed(self.flags.force, &warning)? {
            return Ok(0);
        }
        let mut reclaimed = 0.0;
        let query_all = self.flags.query()?;
        let containers = client.post(&format!("/containers/prune{query_all}"), None).await?;
        report_deleted("Deleted Containers:", &containers["ContainersDeleted"])?;
        let networks = client.post(&format!("/networks/prune{query_all}"), None).await?;
        report_deleted("Deleted Networks:", &networks["NetworksDeleted"])?;
        let mut reports = vec![containers];
        if self.volumes {
            let volumes = client.post(&format!("/volumes/prune{query_all}"), None).await?;
            report_deleted("Deleted Volumes:", &volumes["VolumesDeleted"])?;
            reports.push(volumes);
        }
        let mut filters = self.flags.filter.clone();
        filters.push(format!("dangling={}", !self.all));
        let pairs: Vec<_> =
            values::filters(&filters)?.map(|filters| ("filters", filters)).into_iter().collect();
        let images = client.post(&format!("/images/prune{}", query(&pairs)), None).await?;
        report_deleted("Deleted Images:", &images["ImagesDeleted"])?;
        reports.push(images);
        reports.push(client.post(&format!("/build/prune?all={}", u8::from(self.all)), None).await?);
        for report in &reports {
            reclaimed += units::bytes(&report["SpaceReclaimed"]);
        }
        print_line(&format!("Total reclaimed space: {}", units::size(reclaimed)))?;
        Ok(0)
    }
}

const HUB: &str = "https://index.docker.io/v1/";

fn config_file() -> anyhow::Result<PathBuf> {
    if let Some(folder) = std::env::var_os("DOCKER_CONFIG") {
        return Ok(PathBuf::from(folder).join("config.json"));
    }
    let home = std::env::var_os("HOME").context("HOME is not set: where should credentials be kept?")?;
    Ok(PathBuf::from(home).join(".docker/config.json"))
}

fn read_config() -> anyhow::Result<Value> {
    let file = config_file()?;
    match std::fs::read(&file) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).with_context(|| format!("{} is not JSON", file.display()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(json!({})),
        Err(error) => Err(error).with_context(|| format!("reading {}", file.display())),
    }
}

fn change_auths(change: impl FnOnce(&mut Map<String, Value>)) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let file = config_file()?;
    let mut config = read_config()?;
    let Value::Object(map) = &mut config else { bail!("{} is not a JSON object", file.display()) };
    match map.entry("auths").or_insert_with(|| json!({})) {
        Value::Object(auths) => change(auths),
        _ => bail!("{}: auths is not an object", file.display()),
    }
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    let temporary = file.with_extension("json.new");
    let mut out = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .with_context(|| format!("writing {}", temporary.display()))?;
    std::io::Write::write_all(&mut out, inspect::indented(&config)?.as_bytes())?;
    std::fs::rename(&temporary, &file).with_context(|| format!("writing {}", file.display()))
}

/// The `X-Registry-Auth` header for an image's registry, from what `login` kept.
pub(crate) fn registry_auth(image: &str) -> Option<String> {
    let server = match image.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
        _ => HUB,
    };
    let config = read_config().ok()?;
    let auth = config["auths"][server]["auth"].as_str()?;
    let pair = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(auth).ok()?).ok()?;
    let (username, password) = pair.split_once(':')?;
    let header = json!({ "username": username, "password": password, "serveraddress": server });
    Some(base64::engine::general_purpose::URL_SAFE.encode(header.to_string()))
}

/// The `X-Registry-Config` header of a build: every registry that `login` kept.
pub(crate) fn all_registry_auths() -> Option<String> {
    let config = read_config().ok()?;
    let mut map = Map::new();
    for (server, entry) in config["auths"].as_object()? {
        let auth = entry["auth"]
            .as_str()
            .and_then(|auth| base64::engine::general_purpose::STANDARD.decode(auth).ok());
        let pair = auth.and_then(|bytes| String::from_utf8(bytes).ok());
        if let Some((username, password)) = pair.as_deref().and_then(|pair| pair.split_once(':')) {
            map.insert(
                server.clone(),
                json!({ "username": username, "password": password, "serveraddress": server }),
            );
        }
    }
    (!map.is_empty())
        .then(|| base64::engine::general_purpose::URL_SAFE.encode(Value::Object(map).to_string()))
}

impl Login {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let server = self.server.clone().unwrap_or_else(|| HUB.to_owned());
        let username = match &self.username {
            Some(name) => name.clone(),
            None if self.password_stdin => bail!("must provide --username with --password-stdin"),
            None => ask("Username: ")?,
        };
        let password = match &self.password {
            Some(password) => password.clone(),
            None if self.password_stdin => {
                let mut text = String::new();
                std::io::Read::read_to_string(&mut std::io::stdin(), &mut text)?;
                text.trim_end_matches(['\n', '\r']).to_owned()
            }
            None => ask_hidden("Password: ")?,
        };
        let body = json!({ "username": username, "password": password, "serveraddress": server });
        let answer = client.post("/auth", Some(&body)).await?;
        let auth = base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}"));
        change_auths(|auths| drop(auths.insert(server, json!({ "auth": auth }))))?;
        print_line(answer["Status"].as_str().unwrap_or("Login Succeeded"))?;
        Ok(0)
    }
}

fn ask(prompt: &str) -> anyhow::Result<String> {
    print(prompt)?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

fn ask_hidden(prompt: &str) -> anyhow::Result<String> {
    if !crate::terminal::stdin_is_terminal() {
        bail!("cannot perform an interactive login from a non TTY device");
    }
    let before = rustix::termios::tcgetattr(std::io::stdin())?;
    let mut quiet = before.clone();
    quiet.local_modes.remove(rustix::termios::LocalModes::ECHO);
    rustix::termios::tcsetattr(std::io::stdin(), rustix::termios::OptionalActions::Now, &quiet)?;
    let answer = ask(prompt);
    rustix::termios::tcsetattr(std::io::stdin(), rustix::termios::OptionalActions::Now, &before)?;
    print_line("")?;
    answer
}

impl Logout {
    #[allow(clippy::unused_async, reason = "like every command")]
    pub(crate) async fn run(&self, _client: &Client) -> anyhow::Result<u8> {
        let server = self.server.clone().unwrap_or_else(|| HUB.to_owned());
        change_auths(|auths| drop(auths.remove(&server)))?;
        print_line(&format!("Removing login credentials for {server}"))?;
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_print_as_dockers() {
        let event = json!({ "Type": "container", "Action": "start", "timeNano": 1_000_000_006i64, "Actor": { "ID": "abc", "Attributes": { "image": "b", "name": "x" } } });
        let line = event_line(&event);
        assert!(
            line.starts_with("1970-01-01T") && line.ends_with(" container start abc (image=b, name=x)"),
            "{line}"
        );
    }
}
