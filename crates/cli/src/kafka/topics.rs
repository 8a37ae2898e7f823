//! `kafka topics`: the words of `kafka-topics.sh`.

use super::{
    Bootstrap,
    cluster::{Cluster, check},
    configs, one_action, pair,
};
use crate::{client::Client, commands::print_line};
use anyhow::bail;
use dhow_kafka::{
    Code,
    messages::{
        create_partitions::{CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic},
        create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, CreateTopicsResponse},
        delete_topics::{DeleteTopicsRequest, DeleteTopicsResponse},
        metadata::MetadataResponseTopic,
    },
};

/// How long the broker may take for a change.
const TIMEOUT_MS: i32 = 60_000;

// Arguments of `kafka topics`.
#[derive(Debug, clap::Args)]
pub(crate) struct Topics {
    #[command(flatten)]
    bootstrap: Bootstrap,
    /// Create a topic
    #[arg(long)]
    create: bool,
    /// List topics
    #[arg(long)]
    list: bool,
    /// Describe topics
    #[arg(long)]
    describe: bool,
    /// Delete topics
    #[arg(long)]
    delete: bool,
    /// Give a topic more partitions
    #[arg(long)]
    alter: bool,
    /// Topic; with --list, --describe and --delete also NAME,NAME
    #[arg(long)]
    topic: Option<String>,
    /// Number of partitions [default of --create: the broker's]
    #[arg(long)]
    partitions: Option<i32>,
    /// Number of replicas [default: the broker's]
    #[arg(long)]
    replication_factor: Option<i16>,
    /// Configuration of the new topic, NAME=VALUE; may be given more than once
    #[arg(long, value_name = "NAME=VALUE")]
    config: Vec<String>,
    /// Do nothing if the topic is there already
    #[arg(long)]
    if_not_exists: bool,
    /// Do nothing if there is no such topic
    #[arg(long)]
    if_exists: bool,
    /// Leave Kafka's own topics out
    #[arg(long)]
    exclude_internal: bool,
}

impl Topics {
    pub(super) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        one_action(&[
            ("--create", self.create),
            ("--list", self.list),
            ("--describe", self.describe),
            ("--delete", self.delete),
            ("--alter", self.alter),
        ])?;
        if !self.config.is_empty() && !self.create {
            bail!(
                "--config goes with --create; `dhow kafka configs --alter` changes those of a topic that is there"
            );
        }
        let names: Option<Vec<String>> =
            self.topic.as_ref().map(|names| names.split(',').map(|name| name.trim().to_owned()).collect());
        let mut cluster = self.bootstrap.connect(client).await?;
        if self.create {
            return self.create(&mut cluster).await;
        }
        if self.alter {
            return self.grow(&mut cluster).await;
        }
        if self.delete {
            let Some(names) = names else { bail!("--delete needs --topic") };
            return self.remove(&mut cluster, &names).await;
        }
        let mut topics = cluster.metadata(names.as_deref(), false).await?;
        let missing = topics.iter().find(|topic| is_missing(topic));
        if let Some(topic) = missing.filter(|_| !self.if_exists) {
            bail!("topic {} does not exist", name(topic));
        }
        topics.retain(|topic| !(is_missing(topic) || self.exclude_internal && topic.is_internal));
        for topic in &topics {
            check(topic.error_code, None, &format!("describe topic {}", name(topic)))?;
            if self.list {
                print_line(name(topic))?;
            } else {
                let configs = configs::changed(&mut cluster, configs::TOPIC, name(topic)).await?;
                print_line(&description(topic, &configs))?;
            }
        }
        Ok(0)
    }

    fn one(&self, action: &str) -> anyhow::Result<&str> {
        match self.topic.as_deref() {
            Some(name) => Ok(name),
            None => bail!("{action} needs --topic"),
        }
    }

    async fn create(&self, cluster: &mut Cluster) -> anyhow::Result<u8> {
        let name = self.one("--create")?;
        let configs = self.config.iter().map(|text| pair(text)).collect::<anyhow::Result<Vec<_>>>()?;
        let made = create(
            cluster,
            name,
            self.partitions.unwrap_or(-1),
            self.replication_factor.unwrap_or(-1),
            &configs,
        );
        if made.await? {
            print_line(&format!("Created topic {name}."))?;
        } else if !self.if_not_exists {
            bail!("topic {name} already exists");
        }
        Ok(0)
    }

    async fn grow(&self, cluster: &mut Cluster) -> anyhow::Result<u8> {
        let name = self.one("--alter")?;
        let Some(count) = self.partitions else { bail!("--alter needs --partitions") };
        let topic = CreatePartitionsTopic { name: name.to_owned(), count, assignments: None };
        let request =
            CreatePartitionsRequest { topics: vec![topic], timeout_ms: TIMEOUT_MS, validate_only: false };
        let answer: CreatePartitionsResponse = cluster.ask(&request, i16::MAX).await?;
        for result in answer.results {
            if self.if_exists && result.error_code == Code::UnknownTopicOrPartition.code() {
                continue;
            }
            let what = format!("give topic {} {count} partitions", result.name);
            check(result.error_code, result.error_message.as_deref(), &what)?;
        }
        Ok(0)
    }

    async fn remove(&self, cluster: &mut Cluster, names: &[String]) -> anyhow::Result<u8> {
        let request =
            DeleteTopicsRequest { topic_names: names.to_vec(), timeout_ms: TIMEOUT_MS, ..Default::default() };
        let answer: DeleteTopicsResponse = cluster.ask(&request, 5).await?;
        for result in answer.responses {
            let name = result.name.unwrap_or_default();
            if result.error_code == Code::UnknownTopicOrPartition.code() {
                if self.if_exists {
                    continue;
                }
                bail!("topic {name} does not exist");
            }
            check(result.error_code, result.error_message.as_deref(), &format!("delete topic {name}"))?;
        }
        Ok(0)
    }
}

/// Makes a topic; `false` if it is there already.
pub(super) async fn create(
    cluster: &mut Cluster,
    name: &str,
    partitions: i32,
    replicas: i16,
    configs: &[(String, String)],
) -> anyhow::Result<bool> {
    let config = |(name, value): &(String, String)| CreatableTopicConfig {
        name: name.clone(),
        value: Some(value.clone()),
    };
    let topic = CreatableTopic {
        name: name.to_owned(),
        num_partitions: partitions,
        replication_factor: replicas,
        assignments: Vec::new(),
        configs: configs.iter().map(config).collect(),
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: TIMEOUT_MS, validate_only: false };
    let answer: CreateTopicsResponse = cluster.ask(&request, i16::MAX).await?;
    for result in answer.topics {
        if result.error_code == Code::TopicAlreadyExists.code() {
            return Ok(false);
        }
        check(result.error_code, result.error_message.as_deref(), &format!("create topic {name}"))?;
    }
    Ok(true)
}

fn name(topic: &MetadataResponseTopic) -> &str {
    topic.name.as_deref().unwrap_or_default()
}

pub(super) fn is_missing(topic: &MetadataResponseTopic) -> bool {
    topic.error_code == Code::UnknownTopicOrPartition.code()
}

/// As the script prints it.
fn description(topic: &MetadataResponseTopic, configs: &[(String, String)]) -> String {
    let list = |nodes: &[i32]| nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let configs: Vec<String> = configs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let replicas = topic.partitions.first().map_or(0, |one| one.replica_nodes.len());
    let mut lines = vec![format!(
        "Topic: {}\tTopicId: {}\tPartitionCount: {}\tReplicationFactor: {replicas}\tConfigs: {}",
        name(topic),
        topic.topic_id,
        topic.partitions.len(),
        configs.join(",")
    )];
    lines.extend(topic.partitions.iter().map(|one| {
        let leader = if one.leader_id < 0 { "none".to_owned() } else { one.leader_id.to_string() };
        let (replicas, isr) = (list(&one.replica_nodes), list(&one.isr_nodes));
        format!(
            "\tTopic: {}\tPartition: {}\tLeader: {leader}\tReplicas: {replicas}\tIsr: {isr}\tElr: N/A\tLastKnownElr: N/A",
            name(topic),
            one.partition_index
        )
    }));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_kafka::messages::metadata::MetadataResponsePartition;

    #[test]
    fn a_topic_is_described_as_kafka_does() {
        let partition = MetadataResponsePartition {
            leader_id: 1,
            replica_nodes: vec![1],
            isr_nodes: vec![1],
            ..Default::default()
        };
        let topic = MetadataResponseTopic {
            name: Some("orders".into()),
            partitions: vec![partition],
            ..Default::default()
        };
        let text = description(&topic, &[("cleanup.policy".into(), "compact".into())]);
        assert_eq!(
            text,
            "Topic: orders\tTopicId: AAAAAAAAAAAAAAAAAAAAAA\tPartitionCount: 1\tReplicationFactor: 1\tConfigs: cleanup.policy=compact\n\
             \tTopic: orders\tPartition: 0\tLeader: 1\tReplicas: 1\tIsr: 1\tElr: N/A\tLastKnownElr: N/A"
        );
    }
}
