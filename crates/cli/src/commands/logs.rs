//! `logs`.

use crate::{
    client::{Client, empty, escape, query},
    streams, values,
};
use serde_json::json;

// `dhow logs`
#[derive(Debug, clap::Args)]
pub(crate) struct Logs {
    /// Show extra details provided to logs
    #[arg(long)]
    details: bool,
    /// Follow log output
    #[arg(short, long)]
    follow: bool,
    /// Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)
    #[arg(long)]
    since: Option<String>,
    /// Number of lines to show from the end of the logs
    #[arg(short = 'n', long, default_value = "all")]
    tail: String,
    /// Show timestamps
    #[arg(short, long)]
    timestamps: bool,
    /// Show logs before a timestamp or relative time
    #[arg(long)]
    until: Option<String>,
    /// Container
    container: String,
}

impl Logs {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let name = escape(&self.container);
        let info = client.get(&format!("/containers/{name}/json")).await?;
        let mut pairs =
            vec![("stdout", "1".to_owned()), ("stderr", "1".to_owned()), ("tail", self.tail.clone())];
        for (key, on) in [("follow", self.follow), ("timestamps", self.timestamps), ("details", self.details)]
        {
            if on {
                pairs.push((key, "1".to_owned()));
            }
        }
        for (key, flag) in [("since", &self.since), ("until", &self.until)] {
            if let Some(text) = flag {
                pairs.push((key, values::moment(text)?));
            }
        }
        let response = client
            .call(http::Method::GET, &format!("/containers/{name}/logs{}", query(&pairs)), &[], empty())
            .await?;
        streams::print_body(response, info["Config"]["Tty"] == json!(true)).await?;
        Ok(0)
    }
}
