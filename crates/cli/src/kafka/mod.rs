//! `dhow kafka …`: the engine's broker, and clients of any broker in the words of Kafka's own scripts.

mod cluster;
mod configs;
mod connection;
mod consume;
mod engine;
mod groups;
mod membership;
mod offsets;
mod partitions;
mod produce;
mod properties;
mod table;
mod topics;
mod wanted;

use crate::client::Client;
use anyhow::bail;
use cluster::Cluster;
pub(crate) use wanted::EngineTopics;

/// `dhow kafka …`
#[derive(Debug, clap::Subcommand)]
#[command(defer = true)]
pub(crate) enum Command {
    /// Start the engine's Kafka broker, now and whenever the engine starts
    Up(engine::Up),
    /// Stop the engine's Kafka broker; its data stays
    Down(engine::Down),
    /// Show how the engine's Kafka broker is
    Status(engine::Status),
    /// Create, list, describe, change, delete topics (kafka-topics.sh)
    Topics(topics::Topics),
    /// List, describe, delete consumer groups, reset their offsets (kafka-consumer-groups.sh)
    Groups(groups::Groups),
    /// Send lines of standard input as records (kafka-console-producer.sh)
    Produce(produce::Produce),
    /// Print records (kafka-console-consumer.sh)
    Consume(consume::Consume),
    /// Describe and change configurations (kafka-configs.sh)
    Configs(configs::Configs),
    /// Move a consumer group's offsets (kafka-consumer-groups.sh --reset-offsets)
    ResetOffsets(offsets::ResetOffsets),
}

impl Command {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        match self {
            Self::Up(args) => args.run(client).await,
            Self::Down(args) => args.run(client).await,
            Self::Status(args) => args.run(client).await,
            Self::Topics(args) => args.run(client).await,
            Self::Groups(args) => args.run(client).await,
            Self::Produce(args) => args.run(client).await,
            Self::Consume(args) => args.run(client).await,
            Self::Configs(args) => args.run(client).await,
            Self::ResetOffsets(args) => args.run(client).await,
        }
    }
}

// Which cluster is meant.
#[derive(Debug, clap::Args)]
pub(crate) struct Bootstrap {
    /// Brokers to connect to, HOST:PORT[,…] [default: $KAFKA_BOOTSTRAP, then the engine's broker]
    #[arg(long, visible_alias = "broker-list", value_name = "BROKERS")]
    bootstrap_server: Option<String>,
}

impl Bootstrap {
    async fn connect(&self, client: &Client) -> anyhow::Result<Cluster> {
        let named = self.bootstrap_server.clone().or_else(|| std::env::var("KAFKA_BOOTSTRAP").ok());
        match named.filter(|named| !named.is_empty()) {
            Some(named) => Cluster::connect(&named).await,
            None => Cluster::connect(&engine::address(client).await?).await,
        }
    }
}

/// Exactly one of Kafka's actions must be asked for.
fn one_action(given: &[(&str, bool)]) -> anyhow::Result<()> {
    let asked: Vec<&str> = given.iter().filter(|(_, asked)| *asked).map(|(name, _)| *name).collect();
    let all: Vec<&str> = given.iter().map(|(name, _)| *name).collect();
    match asked.as_slice() {
        [_] => Ok(()),
        [] => bail!("one action is needed: {}", all.join(", ")),
        many => bail!("one action at a time: {}", many.join(", ")),
    }
}

/// `name=value`.
fn pair(text: &str) -> anyhow::Result<(String, String)> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        _ => bail!("{text:?} is not NAME=VALUE"),
    }
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
