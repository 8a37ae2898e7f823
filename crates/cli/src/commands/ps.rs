//! `ps`.

use super::{print, units};
use crate::{
    client::{Client, query},
    format::{Listing, Row, row},
    values,
};
use serde_json::Value;

// `dhow ps`
#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools, reason = "docker's flags are bools")]
pub(crate) struct Ps {
    /// Show all containers (default shows just running)
    #[arg(short, long)]
    all: bool,
    /// Filter output based on conditions provided
    #[arg(short, long)]
    filter: Vec<String>,
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json', 'TEMPLATE'
    #[arg(long)]
    format: Option<String>,
    /// Show n last created containers (includes all states)
    #[arg(short = 'n', long, allow_negative_numbers = true)]
    last: Option<i64>,
    /// Show the latest created container (includes all states)
    #[arg(short, long)]
    latest: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Only display container IDs
    #[arg(short, long)]
    quiet: bool,
    /// Display total file sizes
    #[arg(short, long)]
    size: bool,
}

const HEADERS: &[(&str, &str)] = &[
    ("ID", "CONTAINER ID"),
    ("Image", "IMAGE"),
    ("Command", "COMMAND"),
    ("CreatedAt", "CREATED AT"),
    ("RunningFor", "CREATED"),
    ("Status", "STATUS"),
    ("State", "STATE"),
    ("Ports", "PORTS"),
    ("Names", "NAMES"),
    ("Size", "SIZE"),
    ("Labels", "LABELS"),
    ("Mounts", "MOUNTS"),
    ("LocalVolumes", "LOCAL VOLUMES"),
    ("Networks", "NETWORKS"),
];

impl Ps {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let wants_size = self.size || self.format.as_deref().is_some_and(|format| format.contains(".Size"));
        let mut pairs = Vec::new();
        for (key, on) in [("all", self.all), ("size", wants_size)] {
            if on {
                pairs.push((key, "1".to_owned()));
            }
        }
        match if self.latest { Some(1) } else { self.last } {
            Some(limit) if limit > 0 => pairs.push(("limit", limit.to_string())),
            _ => {}
        }
        if let Some(filters) = values::filters(&self.filter)? {
            pairs.push(("filters", filters));
        }
        let list = client.get(&format!("/containers/json{}", query(&pairs))).await?;
        let rows: Vec<Row> =
            list.as_array().into_iter().flatten().map(|container| self.row(container)).collect();
        if self.quiet && self.format.is_none() {
            let ids: String =
                rows.iter().filter_map(|row| row["ID"].as_str()).map(|id| format!("{id}\n")).collect();
            print(&ids)?;
            return Ok(0);
        }
        let mut columns = vec!["ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names"];
        if self.size {
            columns.push("Size");
        }
        print(&Listing { headers: HEADERS, columns: &columns }.render(self.format.as_deref(), &rows)?)?;
        Ok(0)
    }

    fn row(&self, container: &Value) -> Row {
        let text = |key: &str| container[key].as_str().unwrap_or_default().to_owned();
        let list = |key: &str, field: &str| -> String {
            let items = container[key].as_array().into_iter().flatten();
            items
                .filter_map(|item| item[field].as_str())
                .filter(|name| !name.is_empty())
                .collect::<Vec<_>>()
                .join(",")
        };
        let shorten = |text: String, limit: usize| if self.no_trunc { text } else { ellipsis(&text, limit) };
        let names: Vec<&str> = container["Names"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(|name| name.trim_start_matches('/'))
            .collect();
        let id = text("Id");
        let created = container["Created"].as_i64().unwrap_or(0);
        let image = text("Image");
        let image = match image.strip_prefix("sha256:") {
            Some(hex) if !self.no_trunc => hex.chars().take(12).collect(),
            _ => image,
        };
        let networks = container["NetworkSettings"]["Networks"].as_object();
        let labels = container["Labels"].as_object();
        let writable = units::bytes(&container["SizeRw"]);
        row([
            ("ID", if self.no_trunc { id } else { id.chars().take(12).collect() }),
            ("Image", image),
            ("Command", format!("\"{}\"", shorten(text("Command"), 20))),
            ("CreatedAt", units::created_at(created)),
            ("RunningFor", units::ago(created)),
            ("Status", text("Status")),
            ("State", text("State")),
            ("Ports", ports(&container["Ports"])),
            ("Names", names.join(",")),
            (
                "Size",
                match container["SizeRootFs"].as_f64() {
                    Some(all) if all > 0.0 => {
                        format!("{} (virtual {})", units::size3(writable), units::size3(all))
                    }
                    _ => units::size3(writable),
                },
            ),
            (
                "Labels",
                labels
                    .map(|labels| {
                        labels
                            .iter()
                            .map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default()))
                            .collect::<Vec<_>>()
                            .join(",")
                    })
                    .unwrap_or_default(),
            ),
            ("Mounts", list("Mounts", "Name")),
            (
                "LocalVolumes",
                container["Mounts"]
                    .as_array()
                    .map_or(0, |mounts| mounts.iter().filter(|m| m["Driver"] == "local").count())
                    .to_string(),
            ),
            (
                "Networks",
                networks
                    .map(|networks| networks.keys().cloned().collect::<Vec<_>>().join(","))
                    .unwrap_or_default(),
            ),
        ])
    }
}

/// At most `limit` characters, the last one `…`.
pub(crate) fn ellipsis(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        text.to_owned()
    } else {
        text.chars().take(limit.saturating_sub(1)).chain(['…']).collect()
    }
}

/// `0.0.0.0:80->80/tcp, [::]:80->80/tcp`, runs of ports joined as docker joins them.
pub(crate) fn ports(list: &Value) -> String {
    let mut ports: Vec<(u64, u64, String, String)> = list
        .as_array()
        .into_iter()
        .flatten()
        .map(|port| {
            (
                port["PrivatePort"].as_u64().unwrap_or(0),
                port["PublicPort"].as_u64().unwrap_or(0),
                port["IP"].as_str().unwrap_or_default().to_owned(),
                port["Type"].as_str().unwrap_or("tcp").to_owned(),
            )
        })
        .collect();
    ports.sort_by(|a, b| (&a.3, &a.2, a.0, a.1).cmp(&(&b.3, &b.2, b.0, b.1)));
    let mut runs: Vec<(u64, u64, u64, String, String)> = Vec::new();
    for (private, public, ip, proto) in ports {
        if let Some((first, last, host, run_ip, run_proto)) = runs.last_mut()
            && private == *last + 1
            && *run_ip == ip
            && *run_proto == proto
            && (public == 0) == (*host == 0)
            && (public == 0 || public == *host + (private - *first))
        {
            *last = private;
            continue;
        }
        runs.push((private, private, public, ip, proto));
    }
    runs.sort_by_key(|run| (run.0, run.4.clone()));
    let shown = runs.into_iter().map(|(first, last, host, ip, proto)| {
        let range = |from: u64, to: u64| if from == to { from.to_string() } else { format!("{from}-{to}") };
        let inside = format!("{}/{proto}", range(first, last));
        if host == 0 {
            return inside;
        }
        let ip = if ip.contains(':') { format!("[{ip}]") } else { ip };
        format!("{ip}:{}->{inside}", range(host, host + (last - first)))
    });
    shown.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ports_are_joined_as_docker_joins_them() {
        let list = json!([
            {"PrivatePort": 80, "PublicPort": 8080, "IP": "0.0.0.0", "Type": "tcp"},
            {"PrivatePort": 80, "PublicPort": 8080, "IP": "::", "Type": "tcp"},
            {"PrivatePort": 9000, "Type": "udp"},
            {"PrivatePort": 81, "PublicPort": 8081, "IP": "0.0.0.0", "Type": "tcp"},
        ]);
        assert_eq!(ports(&list), "0.0.0.0:8080-8081->80-81/tcp, [::]:8080->80/tcp, 9000/udp");
        assert_eq!(ellipsis("abcdef", 4), "abc…");
    }
}
