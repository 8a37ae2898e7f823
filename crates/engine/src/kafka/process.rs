//! One run of the broker's program, and what is said to it and by it.

use crate::{
    Result,
    error::io,
    networks::{self, View},
};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// How long it may take to close its data.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running broker.
pub(super) struct Process {
    child: Child,
    /// Its end is the broker's.
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

/// The broker's answer to a list of addresses.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    pub(super) listening: Vec<String>,
    pub(super) failed: BTreeMap<String, String>,
}

impl Process {
    pub(super) fn start(program: &Path, data: &Path) -> Result<Self> {
        let failed = |error| io("start", program.display(), error);
        let mut child = Command::new(program)
            .arg("--control")
            .arg("--data")
            .arg(data)
            // A signal from the terminal is the engine's, which ends the broker in its own time.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed(std::io::Error::other("no pipes")));
        };
        Ok(Self { child, input, output: BufReader::new(output).lines() })
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Says where to listen.
    pub(super) async fn listen(&mut self, addresses: &[String]) -> std::io::Result<()> {
        self.input.write_all(format!("{}\n", addresses.join(" ")).as_bytes()).await
    }

    /// The next answer; none when it has ended. May be dropped and called again.
    pub(super) async fn answer(&mut self) -> Option<Answer> {
        let line = self.output.next_line().await.ok().flatten()?;
        serde_json::from_str(&line).ok()
    }

    /// Waits for its end, which was not asked for.
    pub(super) async fn ended(&mut self) -> String {
        // It has closed its answers, so it ends; if it does not, it is no broker any more.
        match tokio::time::timeout(PATIENCE, self.child.wait()).await {
            Ok(status) => sentence(status),
            Err(_) => sentence(self.kill().await),
        }
    }

    /// Asks it to end, and waits until its data is closed.
    pub(super) async fn stop(mut self) {
        drop(self.input);
        match tokio::time::timeout(PATIENCE, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => {}
            Ok(status) => tracing::warn!("Kafka broker: {}", sentence(status)),
            Err(_) => {
                tracing::warn!(seconds = PATIENCE.as_secs(), "the Kafka broker does not end: it is killed");
                if let Err(failure) = self.child.kill().await {
                    tracing::error!(%failure, "the Kafka broker cannot be killed");
                }
            }
        }
    }

    async fn kill(&mut self) -> std::io::Result<ExitStatus> {
        self.child.kill().await?;
        self.child.wait().await
    }
}

fn sentence(status: std::io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => format!("dhow-broker ended ({status}); the engine's log says why"),
        Err(error) => format!("waiting for dhow-broker: {error}"),
    }
}

/// Where to listen: on loopback, and for each network on its gateway, but only for what comes by its bridge. So nobody outside
/// reaches the broker by a route to a gateway.
pub(super) fn addresses<'a>(
    port: u16,
    loopback6: bool,
    networks: impl IntoIterator<Item = &'a View>,
) -> Vec<String> {
    let mut all = vec![super::main_address(port)];
    if loopback6 {
        all.push(format!("[::1]:{port}"));
    }
    all.extend(networks.into_iter().flat_map(|view| gateways(port, view)));
    all[1..].sort();
    all
}

/// A network's, as the broker is told them.
pub(super) fn gateways(port: u16, view: &View) -> Vec<String> {
    let Some(network) = &view.network else { return Vec::new() };
    let gateways = network.spec.pools.iter().filter_map(|pool| pool.gateway);
    gateways.map(|gateway| format!("{}@{}", SocketAddr::new(gateway, port), network.bridge)).collect()
}

/// Whether the host has IPv6 at all.
pub(super) fn has_loopback6() -> bool {
    std::fs::read_to_string("/proc/net/if_inet6").is_ok_and(|text| text.contains(&format!("{:032x} ", 1)))
}

/// The addresses of all networks that there are now.
pub(super) fn wanted(port: u16, book: &networks::Book) -> Vec<String> {
    let views = book.all();
    addresses(port, has_loopback6(), views.iter().map(|view| &**view))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_served_by_their_bridge_only() {
        assert_eq!(addresses(9092, true, []), ["127.0.0.1:9092", "[::1]:9092"]);
        let book = networks::Book::default();
        book.insert(networks::tests::bridge("back", "br-2", "10.2.0.0/16"));
        book.insert(networks::tests::bridge("front", "br-1", "10.1.0.0/16"));
        let views = book.all();
        assert_eq!(
            addresses(9, false, views.iter().map(|view| &**view)),
            ["127.0.0.1:9", "10.1.0.1:9@br-1", "10.2.0.1:9@br-2"]
        );
    }
}
