//! `ps`.

use super::{print, units};
use crate::{
    client::{Client, query},
    format::{self, Listing, Row},
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

/// A field of the list: its name in templates, its header, what it shows of a container.
type Field = (&'static str, &'static str, fn(&Ps, &Value) -> String);

const FIELDS: &[Field] = &[
    ("ID", "CONTAINER ID", |ps, it| {
        let id = text(it, "Id");
        if ps.no_trunc { id.to_owned() } else { id.chars().take(12).collect() }
    }),
    ("Image", "IMAGE", |ps, it| {
        let image = text(it, "Image");
        match image.strip_prefix("sha256:") {
            Some(hex) if !ps.no_trunc => hex.chars().take(12).collect(),
            _ => image.to_owned(),
        }
    }),
    ("Command", "COMMAND", |ps, it| {
        let command = text(it, "Command");
        if ps.no_trunc { format!("\"{command}\"") } else { format!("\"{}\"", ellipsis(command, 20)) }
    }),
    ("CreatedAt", "CREATED AT", |_, it| units::created_at(created(it))),
    ("RunningFor", "CREATED", |_, it| units::ago(created(it))),
    ("Status", "STATUS", |_, it| text(it, "Status").to_owned()),
    ("State", "STATE", |_, it| text(it, "State").to_owned()),
    ("Ports", "PORTS", |_, it| ports(&it["Ports"])),
    ("Names", "NAMES", |_, it| {
        let names = items(&it["Names"]).filter_map(Value::as_str);
        names.map(|name| name.trim_start_matches('/')).collect::<Vec<_>>().join(",")
    }),
    ("Size", "SIZE", |_, it| {
        let writable = units::size3(units::bytes(&it["SizeRw"]));
        match it["SizeRootFs"].as_f64() {
            Some(all) if all > 0.0 => format!("{writable} (virtual {})", units::size3(all)),
            _ => writable,
        }
    }),
    ("Labels", "LABELS", |_, it| {
        let labels = it["Labels"].as_object().into_iter().flatten();
        let shown = labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
        shown.collect::<Vec<_>>().join(",")
    }),
    ("Mounts", "MOUNTS", |_, it| {
        let names = items(&it["Mounts"]).filter_map(|mount| mount["Name"].as_str());
        names.filter(|name| !name.is_empty()).collect::<Vec<_>>().join(",")
    }),
    ("LocalVolumes", "LOCAL VOLUMES", |_, it| {
        items(&it["Mounts"]).filter(|mount| mount["Driver"] == "local").count().to_string()
    }),
    ("Networks", "NETWORKS", |_, it| {
        let networks = it["NetworkSettings"]["Networks"].as_object().into_iter().flatten();
        networks.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(",")
    }),
];

fn text<'a>(container: &'a Value, key: &str) -> &'a str {
    container[key].as_str().unwrap_or_default()
}

fn created(container: &Value) -> i64 {
    container["Created"].as_i64().unwrap_or(0)
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

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
        print(&self.render(&list)?)?;
        Ok(0)
    }

    fn render(&self, list: &Value) -> anyhow::Result<String> {
        let mut columns = vec!["ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names"];
        if self.size {
            columns.push("Size");
        }
        let is_table = format::is_table(self.format.as_deref());
        if is_table && self.quiet {
            return Ok(items(list).map(|it| self.line(it, &["ID"])).collect());
        }
        if is_table {
            let header: Vec<_> = pick(&columns).map(|(_, header, _)| *header).collect();
            let lines: String = items(list).map(|it| self.line(it, &columns)).collect();
            return format::align(&format!("{}\n{lines}", header.join("\t")));
        }
        let rows: Vec<Row> = items(list)
            .map(|it| {
                FIELDS.iter().map(|(name, _, show)| ((*name).to_owned(), show(self, it).into())).collect()
            })
            .collect();
        let headers: Vec<_> = FIELDS.iter().map(|(name, header, _)| (*name, *header)).collect();
        Listing { headers: &headers, columns: &columns }.render(self.format.as_deref(), &rows)
    }

    /// Only what is shown is made: a list may have thousands of lines.
    fn line(&self, container: &Value, columns: &[&str]) -> String {
        let cells: Vec<_> = pick(columns).map(|(.., show)| show(self, container)).collect();
        cells.join("\t") + "\n"
    }
}

fn pick(columns: &[&str]) -> impl Iterator<Item = &'static Field> {
    columns.iter().filter_map(|column| FIELDS.iter().find(|(name, ..)| name == column))
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
