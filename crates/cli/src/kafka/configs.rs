//! `kafka configs`: the words of `kafka-configs.sh`.

use super::{
    Bootstrap,
    cluster::{Cluster, check},
    one_action, pair,
};
use crate::{client::Client, commands::print_line};
use anyhow::bail;
use dhow_kafka::messages::{
    describe_configs::{
        DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
        DescribeConfigsResponse,
    },
    incremental_alter_configs::{
        AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
        IncrementalAlterConfigsResponse,
    },
};

/// Kinds of what has configurations.
pub(super) const TOPIC: i8 = 2;
const BROKER: i8 = 4;
/// Where a value comes from: set for this topic.
const OF_TOPIC: i8 = 1;
const SET: i8 = 0;
const DELETE: i8 = 1;

// Arguments of `kafka configs`.
#[derive(Debug, clap::Args)]
pub(crate) struct Configs {
    #[command(flatten)]
    bootstrap: Bootstrap,
    /// Show configurations
    #[arg(long)]
    describe: bool,
    /// Change configurations
    #[arg(long)]
    alter: bool,
    /// topics or brokers
    #[arg(long, value_parser = ["topics", "brokers"])]
    entity_type: Option<String>,
    /// Topic, or number of a broker
    #[arg(long)]
    entity_name: Option<String>,
    /// Topic: short for --entity-type topics --entity-name
    #[arg(long, conflicts_with_all = ["entity_type", "entity_name", "broker"])]
    topic: Option<String>,
    /// Broker: short for --entity-type brokers --entity-name
    #[arg(long, conflicts_with_all = ["entity_type", "entity_name"])]
    broker: Option<String>,
    /// Show also what is not set
    #[arg(long)]
    all: bool,
    /// What to set: NAME=VALUE,NAME=[VALUE,VALUE]
    #[arg(long, value_name = "NAME=VALUE,…")]
    add_config: Option<String>,
    /// What to take back to its default: NAME,NAME
    #[arg(long, value_name = "NAME,…")]
    delete_config: Option<String>,
}

impl Configs {
    /// The kind and the name that are meant.
    fn entity(&self) -> anyhow::Result<(i8, Option<&str>)> {
        let by_type = match self.entity_type.as_deref() {
            Some("topics") => Some(TOPIC),
            Some(_) => Some(BROKER),
            None => None,
        };
        match (&self.topic, &self.broker, by_type) {
            (Some(topic), ..) => Ok((TOPIC, Some(topic))),
            (_, Some(broker), _) => Ok((BROKER, Some(broker))),
            (.., Some(kind)) => Ok((kind, self.entity_name.as_deref())),
            _ => bail!("whose configurations: --topic, --broker, or --entity-type with --entity-name"),
        }
    }

    pub(super) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        one_action(&[("--describe", self.describe), ("--alter", self.alter)])?;
        let (kind, name) = self.entity()?;
        let mut cluster = self.bootstrap.connect(client).await?;
        if self.alter {
            let Some(name) = name else { bail!("--alter needs --entity-name") };
            self.change(&mut cluster, kind, name).await?;
            print_line(&format!("Completed updating config for {} {name}.", word(kind)))?;
            return Ok(0);
        }
        let names = match (name, kind) {
            (Some(name), _) => vec![name.to_owned()],
            (None, TOPIC) => {
                let topics = cluster.metadata(None, false).await?;
                topics.into_iter().filter_map(|topic| topic.name).collect()
            }
            (None, _) => bail!("--describe of brokers needs --entity-name"),
        };
        for name in names {
            let what = if self.all { "All" } else { "Dynamic" };
            print_line(&format!("{what} configs for {} {name} are:", word(kind)))?;
            for one in described(&mut cluster, kind, &name).await? {
                let own = if kind == TOPIC { one.config_source == OF_TOPIC } else { one.config_source == 2 };
                if self.all || own {
                    print_line(&line(&one))?;
                }
            }
        }
        Ok(0)
    }

    async fn change(&self, cluster: &mut Cluster, kind: i8, name: &str) -> anyhow::Result<()> {
        let mut configs = Vec::new();
        for (name, value) in parse(self.add_config.as_deref().unwrap_or_default())? {
            configs.push(AlterableConfig { name, config_operation: SET, value: Some(value) });
        }
        for name in self.delete_config.as_deref().unwrap_or_default().split(',').map(str::trim) {
            if !name.is_empty() {
                let name = name.to_owned();
                configs.push(AlterableConfig { name, config_operation: DELETE, value: None });
            }
        }
        if configs.is_empty() {
            bail!("--alter needs --add-config or --delete-config");
        }
        let resource = AlterConfigsResource { resource_type: kind, resource_name: name.to_owned(), configs };
        let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
        let answer: IncrementalAlterConfigsResponse = cluster.ask(&request, i16::MAX).await?;
        for result in answer.responses {
            let what = format!("change configurations of {} {name}", word(kind));
            check(result.error_code, result.error_message.as_deref(), &what)?;
        }
        Ok(())
    }
}

fn word(kind: i8) -> &'static str {
    if kind == TOPIC { "topic" } else { "broker" }
}

/// `a=b,c=[d,e]`.
fn parse(text: &str) -> anyhow::Result<Vec<(String, String)>> {
    let mut parts: Vec<String> = vec![String::new()];
    let mut depth = 0;
    for letter in text.chars() {
        match letter {
            '[' => depth += 1,
            ']' => depth -= 1,
            ',' if depth == 0 => parts.push(String::new()),
            letter => {
                if let Some(last) = parts.last_mut() {
                    last.push(letter);
                }
            }
        }
    }
    parts.iter().filter(|part| !part.trim().is_empty()).map(|part| pair(part)).collect()
}

fn line(one: &DescribeConfigsResourceResult) -> String {
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".to_owned());
    let source = |source: i8| match source {
        1 => "DYNAMIC_TOPIC_CONFIG",
        2 => "DYNAMIC_BROKER_CONFIG",
        3 => "DYNAMIC_DEFAULT_BROKER_CONFIG",
        4 => "STATIC_BROKER_CONFIG",
        5 => "DEFAULT_CONFIG",
        _ => "UNKNOWN",
    };
    let synonyms: Vec<String> = one
        .synonyms
        .iter()
        .map(|other| format!("{}:{}={}", source(other.source), other.name, shown(&other.value)))
        .collect();
    let (name, value) = (&one.name, shown(&one.value));
    format!("  {name}={value} sensitive={} synonyms={{{}}}", one.is_sensitive, synonyms.join(", "))
}

/// All configurations of one thing.
pub(super) async fn described(
    cluster: &mut Cluster,
    kind: i8,
    name: &str,
) -> anyhow::Result<Vec<DescribeConfigsResourceResult>> {
    let resource = DescribeConfigsResource {
        resource_type: kind,
        resource_name: name.to_owned(),
        configuration_keys: None,
    };
    let request = DescribeConfigsRequest {
        resources: vec![resource],
        include_synonyms: true,
        include_documentation: false,
    };
    let answer: DescribeConfigsResponse = cluster.ask(&request, i16::MAX).await?;
    let mut found = Vec::new();
    for result in answer.results {
        let what = format!("describe {} {name}", word(kind));
        check(result.error_code, result.error_message.as_deref(), &what)?;
        found.extend(result.configs);
    }
    Ok(found)
}

/// What was set for a topic itself.
pub(super) async fn changed(
    cluster: &mut Cluster,
    kind: i8,
    name: &str,
) -> anyhow::Result<Vec<(String, String)>> {
    let all = described(cluster, kind, name).await?;
    let own = all.into_iter().filter(|one| one.config_source == OF_TOPIC);
    Ok(own.map(|one| (one.name, one.value.unwrap_or_default())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_in_brackets_are_one_value() {
        let pairs = parse("cleanup.policy=[compact,delete],retention.ms=1000").unwrap();
        let wanted = [("cleanup.policy", "compact,delete"), ("retention.ms", "1000")];
        assert_eq!(pairs, wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert!(parse("retention.ms").is_err() && parse("").unwrap().is_empty());
    }
}
