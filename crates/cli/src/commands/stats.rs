//! `stats`.

use super::{print, tell, units};
use crate::{
    client::{Client, escape},
    format::{Listing, Row, row},
};
use serde_json::Value;

// `dhow stats`
#[derive(Debug, clap::Args)]
pub(crate) struct Stats {
    /// Show all containers (default shows just running)
    #[arg(short, long)]
    all: bool,
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json', 'TEMPLATE'
    #[arg(long)]
    format: Option<String>,
    /// Disable streaming stats and only pull the first result
    #[arg(long)]
    no_stream: bool,
    /// Do not truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Containers (default: all running)
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

const HEADERS: &[(&str, &str)] = &[
    ("Container", "CONTAINER"),
    ("ID", "CONTAINER ID"),
    ("Name", "NAME"),
    ("CPUPerc", "CPU %"),
    ("MemUsage", "MEM USAGE / LIMIT"),
    ("MemPerc", "MEM %"),
    ("NetIO", "NET I/O"),
    ("BlockIO", "BLOCK I/O"),
    ("PIDs", "PIDS"),
];
const COLUMNS: &[&str] = &["ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"];

impl Stats {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let live = !self.no_stream && crate::terminal::stdout_is_terminal();
        loop {
            let mut samples = tokio::task::JoinSet::new();
            for name in self.names(client).await? {
                let (client, path) =
                    (client.clone(), format!("/containers/{}/stats?stream=0", escape(&name)));
                // a sample takes the engine a second: two readings, for the processor's share
                samples.spawn(async move { (name, client.get(&path).await) });
            }
            let mut rows = Vec::new();
            let mut failed = 0;
            while let Some(done) = samples.join_next().await {
                match done? {
                    (name, Ok(sample)) => rows.push(self.row(&name, &sample)),
                    (_, Err(error)) => {
                        tell(&format!("{error:#}"));
                        failed = 1;
                    }
                }
            }
            rows.sort_by(|a, b| a["Name"].as_str().cmp(&b["Name"].as_str()));
            let text =
                Listing { headers: HEADERS, columns: COLUMNS }.render(self.format.as_deref(), &rows)?;
            print(&if live { format!("\x1b[H\x1b[2J{text}") } else { text })?;
            if self.no_stream || (failed > 0 && !self.containers.is_empty()) {
                return Ok(failed);
            }
        }
    }

    async fn names(&self, client: &Client) -> anyhow::Result<Vec<String>> {
        if !self.containers.is_empty() {
            return Ok(self.containers.clone());
        }
        let list = client.get(if self.all { "/containers/json?all=1" } else { "/containers/json" }).await?;
        Ok(list
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|c| c["Id"].as_str().map(str::to_owned))
            .collect())
    }

    fn row(&self, name: &str, sample: &Value) -> Row {
        let id = sample["id"].as_str().unwrap_or(name);
        let (used, limit) = memory(&sample["memory_stats"]);
        let (received, sent) = network(&sample["networks"]);
        let (read, written) = block(&sample["blkio_stats"]);
        row([
            ("Container", name.to_owned()),
            ("ID", if self.no_trunc { id.to_owned() } else { id.chars().take(12).collect() }),
            ("Name", sample["name"].as_str().unwrap_or_default().trim_start_matches('/').to_owned()),
            ("CPUPerc", format!("{:.2}%", processor(sample))),
            ("MemUsage", format!("{} / {}", units::binary_size(used), units::binary_size(limit))),
            ("MemPerc", format!("{:.2}%", if limit > 0.0 { used / limit * 100.0 } else { 0.0 })),
            ("NetIO", format!("{} / {}", units::size3(received), units::size3(sent))),
            ("BlockIO", format!("{} / {}", units::size3(read), units::size3(written))),
            ("PIDs", sample["pids_stats"]["current"].as_u64().unwrap_or(0).to_string()),
        ])
    }
}

/// The share of one core, in percent, between the two readings of a sample.
fn processor(sample: &Value) -> f64 {
    let (now, before) = (&sample["cpu_stats"], &sample["precpu_stats"]);
    let used =
        units::bytes(&now["cpu_usage"]["total_usage"]) - units::bytes(&before["cpu_usage"]["total_usage"]);
    let system = units::bytes(&now["system_cpu_usage"]) - units::bytes(&before["system_cpu_usage"]);
    let cores = now["online_cpus"].as_f64().filter(|n| *n > 0.0).unwrap_or(1.0);
    if used > 0.0 && system > 0.0 { used / system * cores * 100.0 } else { 0.0 }
}

/// Used less the file cache that can go, as docker counts; and the limit.
fn memory(stats: &Value) -> (f64, f64) {
    let used = units::bytes(&stats["usage"]);
    let cache = stats["stats"]["total_inactive_file"]
        .as_f64()
        .or_else(|| stats["stats"]["inactive_file"].as_f64())
        .unwrap_or(0.0);
    (if cache < used { used - cache } else { used }, units::bytes(&stats["limit"]))
}

fn network(networks: &Value) -> (f64, f64) {
    let links = networks.as_object().into_iter().flat_map(|map| map.values());
    links.fold((0.0, 0.0), |(rx, tx), link| {
        (rx + units::bytes(&link["rx_bytes"]), tx + units::bytes(&link["tx_bytes"]))
    })
}

fn block(stats: &Value) -> (f64, f64) {
    let entries = stats["io_service_bytes_recursive"].as_array().into_iter().flatten();
    entries.fold((0.0, 0.0), |(read, written), entry| {
        let value = units::bytes(&entry["value"]);
        match entry["op"].as_str().unwrap_or_default().as_bytes().first() {
            Some(b'r' | b'R') => (read + value, written),
            Some(b'w' | b'W') => (read, written + value),
            _ => (read, written),
        }
    })
}
