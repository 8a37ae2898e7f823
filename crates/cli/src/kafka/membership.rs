//! Being a member of a consumer group, with the assignor `range`.

use super::cluster::{Cluster, Place, check};
use anyhow::{Context as _, bail};
use dhow_kafka::{
    Code, Message as _,
    messages::{
        consumer_protocol_assignment::{ConsumerProtocolAssignment, TopicPartition},
        consumer_protocol_subscription::ConsumerProtocolSubscription,
        heartbeat::{HeartbeatRequest, HeartbeatResponse},
        join_group::{
            JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse, JoinGroupResponseMember,
        },
        leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberIdentity},
        sync_group::{SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse},
    },
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

const SESSION_MS: i32 = 45_000;
const REBALANCE_MS: i32 = 60_000;
const HEARTBEAT: Duration = Duration::from_secs(3);
const RANGE: &str = "range";

/// A member.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) group: String,
    pub(super) node: i32,
    id: String,
    generation: i32,
    beaten: Instant,
}

impl Member {
    pub(super) async fn new(cluster: &mut Cluster, group: &str) -> anyhow::Result<Self> {
        let node = cluster.coordinator(group).await?;
        Ok(Self { group: group.to_owned(), node, id: String::new(), generation: -1, beaten: Instant::now() })
    }

    /// Who it is, for commits.
    pub(super) fn identity(&self) -> (&str, i32) {
        (&self.id, self.generation)
    }

    /// Joins, or joins again; the partitions that it is to read.
    pub(super) async fn join(&mut self, cluster: &mut Cluster, topic: &str) -> anyhow::Result<Vec<Place>> {
        loop {
            let joined = self.ask_to_join(cluster, topic).await?;
            let assignments = if joined.leader == joined.member_id {
                assign(cluster, &joined.members).await?
            } else {
                Vec::new()
            };
            let request = SyncGroupRequest {
                group_id: self.group.clone(),
                generation_id: self.generation,
                member_id: self.id.clone(),
                protocol_type: Some("consumer".to_owned()),
                protocol_name: joined.protocol_name,
                assignments,
                ..Default::default()
            };
            let answer: SyncGroupResponse = cluster.ask_node(self.node, &request, i16::MAX).await?.read()?;
            self.beaten = Instant::now();
            if self.must_join_again(answer.error_code)? {
                continue;
            }
            return places(&answer.assignment);
        }
    }

    async fn ask_to_join(&mut self, cluster: &mut Cluster, topic: &str) -> anyhow::Result<JoinGroupResponse> {
        let subscription =
            ConsumerProtocolSubscription { topics: vec![topic.to_owned()], ..Default::default() };
        let metadata = [0i16.to_be_bytes().to_vec(), subscription.encode(0)].concat();
        loop {
            let request = JoinGroupRequest {
                group_id: self.group.clone(),
                session_timeout_ms: SESSION_MS,
                rebalance_timeout_ms: REBALANCE_MS,
                member_id: self.id.clone(),
                protocol_type: "consumer".to_owned(),
                protocols: vec![JoinGroupRequestProtocol {
                    name: RANGE.to_owned(),
                    metadata: metadata.clone(),
                }],
                ..Default::default()
            };
            let answer: JoinGroupResponse = cluster.ask_node(self.node, &request, i16::MAX).await?.read()?;
            // A new member is told its id first.
            if answer.error_code == Code::MemberIdRequired.code() {
                self.id = answer.member_id;
                continue;
            }
            if self.must_join_again(answer.error_code)? {
                continue;
            }
            self.id.clone_from(&answer.member_id);
            self.generation = answer.generation_id;
            return Ok(answer);
        }
    }

    /// Whether an error only says that the group is changing.
    fn must_join_again(&mut self, code: i16) -> anyhow::Result<bool> {
        match Code::from_code(code) {
            Some(Code::RebalanceInProgress | Code::IllegalGeneration) => Ok(true),
            Some(Code::UnknownMemberId) => {
                self.id = String::new();
                self.generation = -1;
                Ok(true)
            }
            Some(Code::InconsistentGroupProtocol) => {
                bail!(
                    "cannot join group {}: its members assign partitions otherwise than by {RANGE}",
                    self.group
                )
            }
            _ => check(code, None, &format!("be a member of group {}", self.group)).map(|()| false),
        }
    }

    /// Says that it lives, when that is due; whether the group wants it to join again.
    pub(super) async fn beat(&mut self, cluster: &mut Cluster) -> anyhow::Result<bool> {
        if self.beaten.elapsed() < HEARTBEAT {
            return Ok(false);
        }
        self.beaten = Instant::now();
        let request = HeartbeatRequest {
            group_id: self.group.clone(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            ..Default::default()
        };
        let answer: HeartbeatResponse = cluster.ask_node(self.node, &request, i16::MAX).await?.read()?;
        self.must_join_again(answer.error_code)
    }

    /// Leaves, so that nobody waits for it.
    pub(super) async fn leave(&self, cluster: &mut Cluster) -> anyhow::Result<()> {
        let identity = MemberIdentity { member_id: self.id.clone(), ..Default::default() };
        let request = LeaveGroupRequest {
            group_id: self.group.clone(),
            member_id: self.id.clone(),
            members: vec![identity],
        };
        let answer: LeaveGroupResponse = cluster.ask_node(self.node, &request, i16::MAX).await?.read()?;
        check(answer.error_code, None, &format!("leave group {}", self.group))
    }
}

fn places(assignment: &[u8]) -> anyhow::Result<Vec<Place>> {
    let Some((version, rest)) = assignment.split_first_chunk::<2>() else { return Ok(Vec::new()) };
    let version = i16::from_be_bytes(*version).clamp(0, 3);
    let read =
        ConsumerProtocolAssignment::decode(rest, version).context("the group's assignment cannot be read")?;
    let topics = read.assigned_partitions.into_iter();
    Ok(topics
        .flat_map(|topic| topic.partitions.into_iter().map(move |one| (topic.topic.clone(), one)))
        .collect())
}

/// What the leader does: everybody's partitions.
async fn assign(
    cluster: &mut Cluster,
    members: &[JoinGroupResponseMember],
) -> anyhow::Result<Vec<SyncGroupRequestAssignment>> {
    let mut subscribers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for member in members {
        let Some((version, rest)) = member.metadata.split_first_chunk::<2>() else { continue };
        let version = i16::from_be_bytes(*version).clamp(0, 3);
        let read = ConsumerProtocolSubscription::decode(rest, version)
            .with_context(|| format!("what member {} wants cannot be read", member.member_id))?;
        for topic in read.topics {
            subscribers.entry(topic).or_default().push(member.member_id.clone());
        }
    }
    let mut counts = BTreeMap::new();
    for topic in subscribers.keys() {
        counts.insert(topic.clone(), cluster.leaders(topic, true).await?.len());
    }
    let mut parts = range(&subscribers, &counts);
    Ok(members
        .iter()
        .map(|member| {
            let assigned_partitions = parts.remove(&member.member_id).unwrap_or_default();
            let assignment = ConsumerProtocolAssignment { assigned_partitions, user_data: None };
            SyncGroupRequestAssignment {
                member_id: member.member_id.clone(),
                assignment: [0i16.to_be_bytes().to_vec(), assignment.encode(0)].concat(),
            }
        })
        .collect())
}

/// Of each topic a run of partitions for each member, in the order of their ids; the first ones have one more where it does not come out even.
fn range(
    subscribers: &BTreeMap<String, Vec<String>>,
    counts: &BTreeMap<String, usize>,
) -> BTreeMap<String, Vec<TopicPartition>> {
    let mut parts: BTreeMap<String, Vec<TopicPartition>> = BTreeMap::new();
    for (topic, members) in subscribers {
        let mut members = members.clone();
        members.sort();
        let count = counts.get(topic).copied().unwrap_or(0);
        let (each, more) = (count / members.len().max(1), count % members.len().max(1));
        let mut from = 0;
        for (index, member) in members.into_iter().enumerate() {
            let to = from + each + usize::from(index < more);
            let partitions: Vec<i32> = (from..to).filter_map(|one| i32::try_from(one).ok()).collect();
            from = to;
            if !partitions.is_empty() {
                parts.entry(member).or_default().push(TopicPartition { topic: topic.clone(), partitions });
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_shared_out_in_runs() {
        let members = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        let subscribers =
            BTreeMap::from([("t".to_owned(), members(&["b", "a"])), ("u".to_owned(), members(&["b"]))]);
        let counts = BTreeMap::from([("t".to_owned(), 3), ("u".to_owned(), 1)]);
        let parts = range(&subscribers, &counts);
        let of = |id: &str| -> Vec<(String, Vec<i32>)> {
            parts[id].iter().map(|one| (one.topic.clone(), one.partitions.clone())).collect()
        };
        assert_eq!(of("a"), [("t".to_owned(), vec![0, 1])]);
        assert_eq!(of("b"), [("t".to_owned(), vec![2]), ("u".to_owned(), vec![0])]);
    }
}
