//! `images`, `tag`, `rmi`, `history`, `image prune`.

use super::{confirmed, print, print_line, tell, units};
use crate::{
    client::{Client, escape, query},
    format::{Listing, Row, row},
    values,
};
use serde_json::Value;

// `dhow images`
#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools, reason = "docker's flags are bools")]
pub(crate) struct List {
    /// Show all images (default hides intermediate images)
    #[arg(short, long)]
    all: bool,
    /// Show digests
    #[arg(long)]
    digests: bool,
    /// Filter output based on conditions provided
    #[arg(short, long)]
    filter: Vec<String>,
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json', 'TEMPLATE'
    #[arg(long)]
    format: Option<String>,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Only show image IDs
    #[arg(short, long)]
    quiet: bool,
    /// REPOSITORY[:TAG]
    repository: Option<String>,
}

// `dhow tag`
#[derive(Debug, clap::Args)]
pub(crate) struct Tag {
    /// SOURCE_IMAGE[:TAG]
    source: String,
    /// TARGET_IMAGE[:TAG]
    target: String,
}

// `dhow rmi`
#[derive(Debug, clap::Args)]
pub(crate) struct Rmi {
    /// Force removal of the image
    #[arg(short, long)]
    force: bool,
    /// Do not delete untagged parents
    #[arg(long)]
    no_prune: bool,
    /// Images
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

// `dhow history`
#[derive(Debug, clap::Args)]
pub(crate) struct History {
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json', 'TEMPLATE'
    #[arg(long)]
    format: Option<String>,
    /// Print sizes and dates in human readable format
    #[arg(short = 'H', long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    human: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Only show image IDs
    #[arg(short, long)]
    quiet: bool,
    /// Image
    image: String,
}

// `dhow image prune`
#[derive(Debug, clap::Args)]
pub(crate) struct Prune {
    /// Remove all unused images, not just dangling ones
    #[arg(short, long)]
    all: bool,
    /// Provide filter values (e.g. "until=<timestamp>")
    #[arg(long)]
    filter: Vec<String>,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    force: bool,
}

const HEADERS: &[(&str, &str)] = &[
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("Digest", "DIGEST"),
    ("ID", "IMAGE ID"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("Size", "SIZE"),
    ("Containers", "CONTAINERS"),
];

fn short(id: &str, whole: bool) -> String {
    if whole { id.to_owned() } else { id.trim_start_matches("sha256:").chars().take(12).collect() }
}

impl List {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let mut filters = self.filter.clone();
        if let Some(repository) = &self.repository {
            filters.push(format!("reference={repository}"));
        }
        let mut pairs = Vec::new();
        if self.all {
            pairs.push(("all", "1".to_owned()));
        }
        if let Some(filters) = values::filters(&filters)? {
            pairs.push(("filters", filters));
        }
        let list = client.get(&format!("/images/json{}", query(&pairs))).await?;
        let rows: Vec<Row> =
            list.as_array().into_iter().flatten().flat_map(|image| self.rows(image)).collect();
        let columns: &[&str] = if self.digests {
            &["Repository", "Tag", "Digest", "ID", "CreatedSince", "Size"]
        } else {
            &["Repository", "Tag", "ID", "CreatedSince", "Size"]
        };
        print(&Listing { headers: HEADERS, columns }.render_quiet(
            self.quiet.then_some("ID"),
            self.format.as_deref(),
            &rows,
        )?)?;
        Ok(0)
    }

    fn rows(&self, image: &Value) -> Vec<Row> {
        let strings = |key: &str| -> Vec<String> {
            image[key]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .filter(|n| !n.starts_with("<none>"))
                .map(str::to_owned)
                .collect()
        };
        let (tags, digests) = (strings("RepoTags"), strings("RepoDigests"));
        let digest_of = |repository: &str| {
            digests
                .iter()
                .filter_map(|d| d.split_once('@'))
                .find(|(name, _)| *name == repository)
                .map_or("<none>".to_owned(), |(_, d)| d.to_owned())
        };
        let mut names: Vec<(String, String, String)> = tags
            .iter()
            .filter_map(|tag| tag.rsplit_once(':'))
            .map(|(name, tag)| (name.to_owned(), tag.to_owned(), digest_of(name)))
            .collect();
        if names.is_empty() {
            names = digests
                .iter()
                .filter_map(|d| d.split_once('@'))
                .map(|(name, digest)| (name.to_owned(), "<none>".to_owned(), digest.to_owned()))
                .collect();
        }
        if names.is_empty() {
            names.push(("<none>".to_owned(), "<none>".to_owned(), "<none>".to_owned()));
        }
        let created = image["Created"].as_i64().unwrap_or(0);
        let id = short(image["Id"].as_str().unwrap_or_default(), self.no_trunc);
        let containers =
            image["Containers"].as_i64().filter(|n| *n >= 0).map_or("N/A".to_owned(), |n| n.to_string());
        names
            .into_iter()
            .map(|(repository, tag, digest)| {
                row([
                    ("Repository", repository),
                    ("Tag", tag),
                    ("Digest", digest),
                    ("ID", id.clone()),
                    ("CreatedSince", units::ago(created)),
                    ("CreatedAt", units::created_at(created)),
                    ("Size", units::size3(units::bytes(&image["Size"]))),
                    ("Containers", containers.clone()),
                ])
            })
            .collect()
    }
}

impl Tag {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let (repository, tag) = match self.target.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, tag),
            _ => (self.target.as_str(), "latest"),
        };
        client
            .post(
                &format!(
                    "/images/{}/tag?repo={}&tag={}",
                    escape(&self.source),
                    escape(repository),
                    escape(tag)
                ),
                None,
            )
            .await?;
        Ok(0)
    }
}

fn print_deleted(list: &Value) -> anyhow::Result<()> {
    for entry in list.as_array().into_iter().flatten() {
        if let Some(name) = entry["Untagged"].as_str() {
            print_line(&format!("Untagged: {name}"))?;
        }
        if let Some(id) = entry["Deleted"].as_str() {
            print_line(&format!("Deleted: {id}"))?;
        }
    }
    Ok(())
}

impl Rmi {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let mut code = 0;
        for image in &self.images {
            let path = format!(
                "/images/{}?force={}&noprune={}",
                escape(image),
                u8::from(self.force),
                u8::from(self.no_prune)
            );
            match client.delete(&path).await {
                Ok(list) => print_deleted(&list)?,
                Err(error) => {
                    tell(&format!("{error:#}"));
                    code = 1;
                }
            }
        }
        Ok(code)
    }
}

impl History {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let list = client.get(&format!("/images/{}/history", escape(&self.image))).await?;
        let rows: Vec<Row> = list
            .as_array()
            .into_iter()
            .flatten()
            .map(|layer| {
                let created = layer["Created"].as_i64().unwrap_or(0);
                let by = layer["CreatedBy"].as_str().unwrap_or_default().replace('\t', " ");
                let size = units::bytes(&layer["Size"]);
                row([
                    ("ID", short(layer["Id"].as_str().unwrap_or_default(), self.no_trunc)),
                    (
                        "CreatedSince",
                        if self.human { units::ago(created) } else { units::created_at(created) },
                    ),
                    ("CreatedAt", units::created_at(created)),
                    ("CreatedBy", if self.no_trunc { by } else { super::ps::ellipsis(&by, 45) }),
                    ("Size", if self.human { units::size3(size) } else { format!("{size:.0}") }),
                    ("Comment", layer["Comment"].as_str().unwrap_or_default().to_owned()),
                ])
            })
            .collect();
        let headers = [
            ("ID", "IMAGE"),
            ("CreatedSince", "CREATED"),
            ("CreatedAt", "CREATED AT"),
            ("CreatedBy", "CREATED BY"),
            ("Size", "SIZE"),
            ("Comment", "COMMENT"),
        ];
        let listing =
            Listing { headers: &headers, columns: &["ID", "CreatedSince", "CreatedBy", "Size", "Comment"] };
        print(&listing.render_quiet(self.quiet.then_some("ID"), self.format.as_deref(), &rows)?)?;
        Ok(0)
    }
}

impl Prune {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let what = if self.all {
            "This will remove all images without at least one container associated to them."
        } else {
            "This will remove all dangling images."
        };
        if !confirmed(self.force, what)? {
            return Ok(0);
        }
        let mut filters = self.filter.clone();
        filters.push(format!("dangling={}", !self.all));
        let pairs: Vec<_> =
            values::filters(&filters)?.map(|filters| ("filters", filters)).into_iter().collect();
        let report = client.post(&format!("/images/prune{}", query(&pairs)), None).await?;
        if report["ImagesDeleted"].as_array().is_some_and(|list| !list.is_empty()) {
            print_line("Deleted Images:")?;
            print_deleted(&report["ImagesDeleted"])?;
            print_line("")?;
        }
        print_line(&format!(
            "Total reclaimed space: {}",
            units::size(units::bytes(&report["SpaceReclaimed"]))
        ))?;
        Ok(0)
    }
}
