//! `volume`.

use super::{confirmed, each, inspect, print, print_line, units};
use crate::{
    client::{Client, escape, query},
    format::{Listing, Row, row},
    values,
};
use anyhow::{Context as _, bail};
use serde_json::{Value, json};

/// `dhow volume …`
#[derive(Debug, clap::Subcommand)]
#[command(defer = true)]
pub(crate) enum Command {
    /// Create a volume
    Create(Create),
    /// Display detailed information on one or more volumes
    Inspect(Inspect),
    /// List volumes
    #[command(visible_alias = "list")]
    Ls(Ls),
    /// Remove unused local volumes
    Prune(Prune),
    /// Remove one or more volumes
    #[command(visible_alias = "remove")]
    Rm(Rm),
}

// Arguments of `volume create`.
#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// Specify volume driver name
    #[arg(short, long, default_value = "local")]
    driver: String,
    /// Set metadata for a volume
    #[arg(long)]
    label: Vec<String>,
    /// Set driver specific options
    #[arg(short, long)]
    opt: Vec<String>,
    /// Specify volume name
    #[arg(long, hide = true)]
    name: Option<String>,
    /// Name
    volume: Option<String>,
}

// Arguments of `volume inspect`.
#[derive(Debug, clap::Args)]
pub(crate) struct Inspect {
    /// Format output using a custom template: 'json', 'TEMPLATE'
    #[arg(short, long)]
    format: Option<String>,
    /// Volumes
    #[arg(required = true, value_name = "VOLUME")]
    volumes: Vec<String>,
}

// Arguments of `volume ls`.
#[derive(Debug, clap::Args)]
pub(crate) struct Ls {
    /// Provide filter values (e.g. "dangling=true")
    #[arg(short, long)]
    filter: Vec<String>,
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json', 'TEMPLATE'
    #[arg(long)]
    format: Option<String>,
    /// Only display volume names
    #[arg(short, long)]
    quiet: bool,
}

// Arguments of `volume prune`.
#[derive(Debug, clap::Args)]
pub(crate) struct Prune {
    /// Remove all unused volumes, not just anonymous ones
    #[arg(short, long)]
    all: bool,
    /// Provide filter values (e.g. "label=<label>")
    #[arg(long)]
    filter: Vec<String>,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    force: bool,
}

// Arguments of `volume rm`.
#[derive(Debug, clap::Args)]
pub(crate) struct Rm {
    /// Force the removal of one or more volumes
    #[arg(short, long)]
    force: bool,
    /// Volumes
    #[arg(required = true, value_name = "VOLUME")]
    volumes: Vec<String>,
}

impl Command {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        match self {
            Self::Create(args) => args.run(client).await,
            Self::Inspect(args) => {
                inspect::print_objects(client, &["volume"], &args.volumes, args.format.as_deref(), false)
                    .await
            }
            Self::Ls(args) => args.run(client).await,
            Self::Prune(args) => args.run(client).await,
            Self::Rm(args) => {
                let force = u8::from(args.force);
                each(&args.volumes, |name| async move {
                    client.delete(&format!("/volumes/{}?force={force}", escape(&name))).await.map(drop)
                })
                .await
            }
        }
    }
}

impl Create {
    async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let name = match (&self.name, &self.volume) {
            (Some(_), Some(_)) => bail!(
                "conflicting options: cannot specify a volume-name through both --name and as a positional arg"
            ),
            (name, volume) => volume.as_ref().or(name.as_ref()).cloned().unwrap_or_default(),
        };
        let body = json!({ "Name": name, "Driver": self.driver, "DriverOpts": values::options(&self.opt), "Labels": values::options(&self.label) });
        let answer = client.post("/volumes/create", Some(&body)).await?;
        print_line(answer["Name"].as_str().context("the engine's answer has no Name")?)?;
        Ok(0)
    }
}

impl Ls {
    async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let pairs: Vec<_> =
            values::filters(&self.filter)?.map(|filters| ("filters", filters)).into_iter().collect();
        let list = client.get(&format!("/volumes{}", query(&pairs))).await?;
        let mut rows: Vec<Row> = list["Volumes"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|volume| {
                let text = |key: &str| volume[key].as_str().unwrap_or_default().to_owned();
                let labels = volume["Labels"].as_object().map(|map| {
                    map.iter()
                        .map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default()))
                        .collect::<Vec<_>>()
                        .join(",")
                });
                row([
                    ("Driver", text("Driver")),
                    ("Name", text("Name")),
                    ("Scope", text("Scope")),
                    ("Mountpoint", text("Mountpoint")),
                    ("Labels", labels.unwrap_or_default()),
                ])
            })
            .collect();
        rows.sort_by(|a, b| a["Name"].as_str().cmp(&b["Name"].as_str()));
        let headers = [
            ("Driver", "DRIVER"),
            ("Name", "VOLUME NAME"),
            ("Scope", "SCOPE"),
            ("Mountpoint", "MOUNTPOINT"),
            ("Labels", "LABELS"),
        ];
        print(&Listing { headers: &headers, columns: &["Driver", "Name"] }.render_quiet(
            self.quiet.then_some("Name"),
            self.format.as_deref(),
            &rows,
        )?)?;
        Ok(0)
    }
}

impl Prune {
    async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let what = if self.all { "all local volumes" } else { "anonymous local volumes" };
        if !confirmed(self.force, &format!("This will remove {what} not used by at least one container."))? {
            return Ok(0);
        }
        let mut filters = self.filter.clone();
        if self.all {
            filters.push("all=true".to_owned());
        }
        let pairs: Vec<_> =
            values::filters(&filters)?.map(|filters| ("filters", filters)).into_iter().collect();
        let report = client.post(&format!("/volumes/prune{}", query(&pairs)), None).await?;
        let names: Vec<&str> =
            report["VolumesDeleted"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if !names.is_empty() {
            print_line(&format!("Deleted Volumes:\n{}\n", names.join("\n")))?;
        }
        print_line(&format!(
            "Total reclaimed space: {}",
            units::size(units::bytes(&report["SpaceReclaimed"]))
        ))?;
        Ok(0)
    }
}
