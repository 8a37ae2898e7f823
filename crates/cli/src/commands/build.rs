//! `build` and `builder`.

use super::print_line;
use crate::client::{Client, query};

/// `dhow builder …`
#[derive(Debug, clap::Subcommand)]
pub(crate) enum BuilderCommand {
    /// Remove build cache
    Prune(PruneCache),
}

/// Arguments of `builder prune`.
#[derive(Debug, clap::Args)]
pub(crate) struct PruneCache {
    /// Remove all unused build cache, not just dangling ones
    #[arg(short, long)]
    all: bool,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    force: bool,
}

/// `dhow build`
#[derive(Debug, clap::Args)]
pub(crate) struct Build {
    /// PATH, URL or -
    context: String,
}

impl BuilderCommand {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let Self::Prune(args) = self;
        if !super::confirmed(args.force, "This will remove all build cache that no image needs.")? {
            return Ok(0);
        }
        let report = client
            .post(&format!("/build/prune{}", query(&[("all", u8::from(args.all).to_string())])), None)
            .await?;
        print_line(&format!(
            "Total reclaimed space: {}",
            super::units::size(super::units::bytes(&report["SpaceReclaimed"]))
        ))?;
        Ok(0)
    }
}

impl Build {
    #[allow(clippy::unused_async, reason = "not built yet")]
    pub(crate) async fn run(&self, _client: &Client) -> anyhow::Result<u8> {
        anyhow::bail!("not built yet: {}", self.context)
    }
}
