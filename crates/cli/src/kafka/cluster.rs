//! The brokers of a cluster, as one asks for topics and groups.

use super::connection::{Answer, Connection};
use anyhow::{Context as _, anyhow, bail};
use dhow_kafka::{
    Code, Message, Request,
    messages::{
        find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse},
        list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic},
        metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseTopic},
    },
};
use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

/// The newest metadata in which topics are asked for by name.
const METADATA: i16 = 12;
/// How long a leader or coordinator may be missing.
const PATIENCE: Duration = Duration::from_secs(30);
/// Before it is looked for again: no event tells.
const AGAIN: Duration = Duration::from_millis(100);

/// A partition of a topic.
pub(super) type Place = (String, i32);

/// `ListOffsets` for the first offset and the one after the last.
pub(super) const EARLIEST: i64 = -2;
pub(super) const LATEST: i64 = -1;

/// A cluster, reached by one of its brokers.
#[derive(Debug)]
pub(super) struct Cluster {
    any: Connection,
    nodes: HashMap<i32, String>,
    open: HashMap<i32, Connection>,
}

impl Cluster {
    /// By the first broker of `a:9092,b:9092` that answers.
    pub(super) async fn connect(bootstrap: &str) -> anyhow::Result<Self> {
        let mut last = None;
        for address in bootstrap.split(',').map(str::trim).filter(|address| !address.is_empty()) {
            let port = address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            if !port {
                bail!("--bootstrap-server {address:?} is not HOST:PORT");
            }
            match Connection::open(address).await {
                Ok(any) => return Ok(Self { any, nodes: HashMap::new(), open: HashMap::new() }),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| anyhow!("--bootstrap-server names no broker")))
    }

    /// Where a broker is.
    pub(super) fn address(&self, node: i32) -> &str {
        self.nodes.get(&node).map_or("", String::as_str)
    }

    /// Asks any broker.
    pub(super) async fn ask<'q, Q: Request<'q>, M>(&mut self, request: &Q, most: i16) -> anyhow::Result<M>
    where
        M: for<'m> Message<'m>,
    {
        self.any.ask(request, most).await?.read()
    }

    /// Asks one broker.
    pub(super) async fn ask_node<'q, Q: Request<'q>>(
        &mut self,
        node: i32,
        request: &Q,
        most: i16,
    ) -> anyhow::Result<Answer> {
        if !self.open.contains_key(&node) {
            let address =
                self.nodes.get(&node).with_context(|| format!("the cluster has no broker {node}"))?;
            self.open.insert(node, Connection::open(address).await?);
        }
        let connection = self.open.get_mut(&node).with_context(|| format!("no connection to {node}"))?;
        let answer = connection.ask(request, most).await;
        if answer.is_err() {
            self.open.remove(&node);
        }
        answer
    }

    /// After a request was given up half-way: its answer must not be taken for that of another.
    pub(super) fn hang_up(&mut self) {
        self.open.clear();
    }

    /// What the cluster knows of these topics, or of all.
    pub(super) async fn metadata(
        &mut self,
        names: Option<&[String]>,
        create: bool,
    ) -> anyhow::Result<Vec<MetadataResponseTopic>> {
        let topic = |name: &String| MetadataRequestTopic { name: Some(name.clone()), ..Default::default() };
        let request = MetadataRequest {
            topics: names.map(|names| names.iter().map(topic).collect()),
            allow_auto_topic_creation: create,
            ..Default::default()
        };
        let answer: MetadataResponse = self.ask(&request, METADATA).await?;
        self.nodes =
            answer.brokers.iter().map(|one| (one.node_id, format!("{}:{}", one.host, one.port))).collect();
        let mut topics = answer.topics;
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        for topic in &mut topics {
            topic.partitions.sort_by_key(|partition| partition.partition_index);
        }
        Ok(topics)
    }

    /// The leaders of a topic's partitions, by partition. Waits for those that are just being chosen.
    pub(super) async fn leaders(&mut self, name: &str, create: bool) -> anyhow::Result<Vec<i32>> {
        let until = Instant::now() + PATIENCE;
        loop {
            let names = [name.to_owned()];
            let topic = self.metadata(Some(&names), create).await?.into_iter().next();
            let topic = topic.with_context(|| format!("the broker says nothing of topic {name}"))?;
            let codes =
                std::iter::once(topic.error_code).chain(topic.partitions.iter().map(|one| one.error_code));
            let code = codes.into_iter().find(|code| *code != 0);
            match code {
                None => return Ok(topic.partitions.iter().map(|one| one.leader_id).collect()),
                Some(code) if !is_passing(code, create) || Instant::now() > until => {
                    return Err(refusal(code, None, &format!("use topic {name}")));
                }
                Some(_) => tokio::time::sleep(AGAIN).await,
            }
        }
    }

    /// The broker that coordinates a group.
    pub(super) async fn coordinator(&mut self, group: &str) -> anyhow::Result<i32> {
        let request = FindCoordinatorRequest { key: group.to_owned(), key_type: 0, ..Default::default() };
        let until = Instant::now() + PATIENCE;
        loop {
            let answer: FindCoordinatorResponse = self.ask(&request, 3).await?;
            if answer.error_code == 0 {
                self.nodes.insert(answer.node_id, format!("{}:{}", answer.host, answer.port));
                return Ok(answer.node_id);
            }
            let retriable = Code::from_code(answer.error_code).is_some_and(Code::retriable);
            if !retriable || Instant::now() > until {
                let why = answer.error_message.as_deref();
                return Err(refusal(
                    answer.error_code,
                    why,
                    &format!("find the coordinator of group {group}"),
                ));
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// The offsets of partitions at a time, or [`EARLIEST`], or [`LATEST`]; -1 where there is none so late.
    pub(super) async fn offsets(&mut self, places: &[(Place, i64)]) -> anyhow::Result<BTreeMap<Place, i64>> {
        let mut by_leader: BTreeMap<i32, BTreeMap<String, Vec<ListOffsetsPartition>>> = BTreeMap::new();
        let mut leaders: HashMap<String, Vec<i32>> = HashMap::new();
        for ((topic, partition), time) in places {
            if !leaders.contains_key(topic) {
                leaders.insert(topic.clone(), self.leaders(topic, false).await?);
            }
            let leader = usize::try_from(*partition).ok().and_then(|index| leaders[topic].get(index));
            let leader = leader.with_context(|| format!("topic {topic} has no partition {partition}"))?;
            by_leader.entry(*leader).or_default().entry(topic.clone()).or_default().push(
                ListOffsetsPartition { partition_index: *partition, timestamp: *time, ..Default::default() },
            );
        }
        let mut found = BTreeMap::new();
        for (leader, topics) in by_leader {
            let topics =
                topics.into_iter().map(|(name, partitions)| ListOffsetsTopic { name, partitions }).collect();
            let request = ListOffsetsRequest { replica_id: -1, topics, ..Default::default() };
            let answer = self.ask_node(leader, &request, 7).await?;
            for topic in answer.read::<ListOffsetsResponse>()?.topics {
                for one in topic.partitions {
                    let what =
                        format!("find offsets of topic {}, partition {}", topic.name, one.partition_index);
                    check(one.error_code, None, &what)?;
                    found.insert((topic.name.clone(), one.partition_index), one.offset);
                }
            }
        }
        Ok(found)
    }
}

/// Whether it may be otherwise in a moment. A topic that nobody makes stays missing.
fn is_passing(code: i16, create: bool) -> bool {
    match Code::from_code(code) {
        Some(Code::UnknownTopicOrPartition) => create,
        code => code.is_some_and(Code::retriable),
    }
}

/// An error if the broker says one.
pub(super) fn check(code: i16, message: Option<&str>, doing: &str) -> anyhow::Result<()> {
    if code == 0 { Ok(()) } else { Err(refusal(code, message, doing)) }
}

/// What the broker refused, in a sentence.
fn refusal(code: i16, message: Option<&str>, doing: &str) -> anyhow::Error {
    let why = match (message.filter(|text| !text.is_empty()), Code::from_code(code)) {
        (_, Some(Code::UnknownTopicOrPartition)) => "there is no such topic or partition".to_owned(),
        (_, Some(Code::GroupIdNotFound)) => "there is no such group".to_owned(),
        (_, Some(Code::NonEmptyGroup)) => "the group has members".to_owned(),
        (Some(text), Some(code)) => format!("{text} ({code})"),
        (Some(text), None) => text.to_owned(),
        (None, Some(code)) => code.to_string(),
        (None, None) => format!("error {code}"),
    };
    Refusal { code, text: format!("cannot {doing}: {why}") }.into()
}

/// What a broker said, where its number matters.
#[derive(Debug)]
struct Refusal {
    code: i16,
    text: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Refusal {}

/// Whether an error is this refusal of a broker.
pub(super) fn says(error: &anyhow::Error, codes: &[Code]) -> bool {
    let refusal = error.downcast_ref::<Refusal>();
    refusal.is_some_and(|refusal| codes.iter().any(|code| code.code() == refusal.code))
}
