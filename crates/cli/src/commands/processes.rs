//! `top`, `diff` and `port`.

use super::{print, print_line};
use crate::client::{Client, escape};
use anyhow::{Context as _, bail};
use serde_json::Value;
use std::io::Write as _;

// `dhow top`
#[derive(Debug, clap::Args)]
pub(crate) struct Top {
    /// Container
    container: String,
    /// Options of ps
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ps OPTIONS")]
    options: Vec<String>,
}

// `dhow diff`
#[derive(Debug, clap::Args)]
pub(crate) struct Diff {
    /// Container
    container: String,
}

// `dhow port`
#[derive(Debug, clap::Args)]
pub(crate) struct Port {
    /// Container
    container: String,
    /// PRIVATE_PORT[/PROTO]
    port: Option<String>,
}

impl Top {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let args = if self.options.is_empty() {
            String::new()
        } else {
            format!("?ps_args={}", escape(&self.options.join(" ")))
        };
        let top = client.get(&format!("/containers/{}/top{args}", escape(&self.container))).await?;
        let line = |row: &Value| {
            row.as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join("\t")
        };
        // Go counts the padding in: 20 and 3
        let mut writer = tabwriter::TabWriter::new(Vec::new()).minwidth(17).padding(3);
        writeln!(writer, "{}", line(&top["Titles"]))?;
        for process in top["Processes"].as_array().into_iter().flatten() {
            writeln!(writer, "{}", line(process))?;
        }
        print(&String::from_utf8(
            writer.into_inner().map_err(|error| anyhow::anyhow!("aligning columns: {error}"))?,
        )?)?;
        Ok(0)
    }
}

impl Diff {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let changes = client.get(&format!("/containers/{}/changes", escape(&self.container))).await?;
        for change in changes.as_array().into_iter().flatten() {
            let kind = match change["Kind"].as_u64() {
                Some(0) => "C",
                Some(1) => "A",
                Some(2) => "D",
                other => bail!("the engine reports a change of unknown kind {other:?}"),
            };
            print_line(&format!("{kind} {}", change["Path"].as_str().unwrap_or_default()))?;
        }
        Ok(0)
    }
}

impl Port {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let info = client.get(&format!("/containers/{}/json", escape(&self.container))).await?;
        let ports =
            info["NetworkSettings"]["Ports"].as_object().context("the engine's answer has no Ports")?;
        let wanted = self
            .port
            .as_ref()
            .map(|port| if port.contains('/') { port.clone() } else { format!("{port}/tcp") });
        let mut found = false;
        for (inside, bindings) in ports {
            if wanted.as_ref().is_some_and(|wanted| wanted != inside) {
                continue;
            }
            for binding in bindings.as_array().into_iter().flatten() {
                found = true;
                let ip = binding["HostIp"].as_str().unwrap_or_default();
                let ip = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
                let outside = format!("{ip}:{}", binding["HostPort"].as_str().unwrap_or_default());
                print_line(&if wanted.is_some() { outside } else { format!("{inside} -> {outside}") })?;
            }
        }
        match (&self.port, found) {
            (Some(port), false) => bail!("no public port '{port}' published for {}", self.container),
            _ => Ok(0),
        }
    }
}
