//! `ElectLeaders`, `AlterPartitionReassignments`, `ListPartitionReassignments`: replicas have one place, and the leader is there.

use super::Call;
use dhow_kafka::{
    Code,
    messages::{
        alter_partition_reassignments::{
            AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ReassignablePartition,
            ReassignablePartitionResponse, ReassignableTopicResponse,
        },
        elect_leaders::{ElectLeadersRequest, ElectLeadersResponse, PartitionResult, ReplicaElectionResult},
        list_partition_reassignments::{
            ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
        },
    },
};

fn exists(call: &Call<'_>, topic: &str, partition: i32) -> bool {
    call.broker.storage.topics.get(topic).is_some_and(|topic| topic.partition(partition).is_some())
}

const UNKNOWN: (Code, &str) =
    (Code::UnknownTopicOrPartition, "This server does not host this topic-partition.");

pub(crate) fn elect_leaders(call: &Call<'_>, request: ElectLeadersRequest) -> ElectLeadersResponse {
    // asked about everything, Kafka names only those partitions that got another leader: none
    let asked = request.topic_partitions.unwrap_or_default().into_iter();
    let results = asked.map(|asked| {
        let result = |&partition_id: &i32| {
            let (code, why) = if exists(call, &asked.topic, partition_id) {
                (Code::ElectionNotNeeded, "Leader election not needed for topic partition.")
            } else {
                UNKNOWN
            };
            PartitionResult { partition_id, error_code: code.code(), error_message: Some(why.to_owned()) }
        };
        let partition_result = asked.partitions.iter().map(result).collect();
        ReplicaElectionResult { topic: asked.topic, partition_result }
    });
    ElectLeadersResponse { replica_election_results: results.collect(), ..ElectLeadersResponse::default() }
}

pub(crate) fn alter_partition_reassignments(
    call: &Call<'_>,
    request: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    let responses = request.topics.into_iter().map(|asked| {
        let result = |one: &ReassignablePartition| {
            let refused = match &one.replicas {
                _ if !exists(call, &asked.name, one.partition_index) => Some(UNKNOWN),
                None => Some((Code::NoReassignmentInProgress, "No partition reassignment is in progress.")),
                Some(nodes) if *nodes == [call.node()] => None,
                Some(_) => Some((Code::InvalidReplicaAssignment, "There is one broker to be assigned to.")),
            };
            ReassignablePartitionResponse {
                partition_index: one.partition_index,
                error_code: refused.map_or(Code::None, |(code, _)| code).code(),
                error_message: refused.map(|(_, why)| why.to_owned()),
            }
        };
        let partitions = asked.partitions.iter().map(result).collect();
        ReassignableTopicResponse { name: asked.name, partitions }
    });
    AlterPartitionReassignmentsResponse {
        responses: responses.collect(),
        allow_replication_factor_change: request.allow_replication_factor_change,
        ..AlterPartitionReassignmentsResponse::default()
    }
}

pub(crate) fn list_partition_reassignments(
    _: &Call<'_>,
    _: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    // there is nowhere to move to
    ListPartitionReassignmentsResponse::default()
}
