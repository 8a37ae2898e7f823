//! Which requests are served, in which versions, and by whom. What is listed here is what `ApiVersions` answers.

use super::{frames::Ended, reply::Reply};
use crate::api::{self, Call};
use dhow_kafka::{Key, Request, header::RequestHeader};
use std::ops::RangeInclusive;

/// The keys and versions that are served.
pub(crate) const SERVED: &[(Key, RangeInclusive<i16>)] = &[
    (Key::Produce, api::produce::FIRST..=13),
    (Key::Fetch, 4..=18),
    (Key::ListOffsets, 1..=11),
    (Key::Metadata, 0..=13),
    (Key::OffsetCommit, 2..=10),
    (Key::OffsetFetch, 1..=10),
    (Key::FindCoordinator, 0..=6),
    (Key::JoinGroup, 0..=9),
    (Key::Heartbeat, 0..=4),
    (Key::LeaveGroup, 0..=5),
    (Key::SyncGroup, 0..=5),
    (Key::DescribeGroups, 0..=6),
    (Key::ListGroups, 0..=5),
    (Key::ApiVersions, 0..=4),
    (Key::CreateTopics, 2..=7),
    (Key::DeleteTopics, 1..=6),
    (Key::DeleteRecords, 0..=2),
    (Key::InitProducerId, 0..=5),
    (Key::OffsetForLeaderEpoch, 2..=4),
    (Key::AddPartitionsToTxn, 0..=5),
    (Key::AddOffsetsToTxn, 0..=4),
    (Key::EndTxn, 0..=5),
    (Key::WriteTxnMarkers, 1..=2),
    (Key::TxnOffsetCommit, 0..=5),
    (Key::DescribeConfigs, 1..=4),
    (Key::AlterConfigs, 0..=2),
    (Key::DescribeLogDirs, 1..=5),
    (Key::CreatePartitions, 0..=3),
    (Key::DeleteGroups, 0..=2),
    (Key::ElectLeaders, 0..=2),
    (Key::IncrementalAlterConfigs, 0..=1),
    (Key::AlterPartitionReassignments, 0..=1),
    (Key::ListPartitionReassignments, 0..=0),
    (Key::OffsetDelete, 0..=0),
    (Key::DescribeCluster, 0..=2),
    (Key::DescribeProducers, 0..=0),
    (Key::DescribeTransactions, 0..=0),
    // version 2 asks by regular expression
    (Key::ListTransactions, 0..=1),
    (Key::ListConfigResources, 0..=1),
    (Key::DescribeTopicPartitions, 0..=0),
];

/// The request's key, if this broker serves it. A client that asked for versions knows; so Kafka ends the connection of one that
/// sends another, but for a question for versions, which has an answer in every version.
pub(super) fn check(header: &RequestHeader) -> Result<Key, Ended> {
    let known = Key::from_code(header.key);
    let served = known.and_then(|known| SERVED.iter().find(|(key, _)| *key == known));
    match served {
        Some((key, versions)) if versions.contains(&header.version) || *key == Key::ApiVersions => Ok(*key),
        Some((key, _)) => {
            Err(Ended::Garbage(format!("{} of version {} is not served", key.name(), header.version)))
        }
        None => Err(Ended::Garbage(format!(
            "request {} of version {} is not served",
            known.map_or(header.key.to_string(), |key| key.name().to_owned()),
            header.version
        ))),
    }
}

/// A request whose body is none.
pub(super) fn broken(header: &RequestHeader, why: &dhow_kafka::Error) -> Ended {
    let name = Key::from_code(header.key).map_or("request", Key::name);
    Ended::Garbage(format!("a {name} request of version {} is broken: {why}", header.version))
}

/// Answers any request but those of producers.
pub(super) async fn answer(
    call: &Call<'_>,
    key: Key,
    header: &RequestHeader,
    body: &[u8],
) -> Result<Reply, Ended> {
    let about = (key, header.version, header.correlation);
    // decode, call, encode; `later` for a handler that may wait
    macro_rules! answer {
        (later $handler:path) => {{
            let request = decode(header, body)?;
            Ok(Reply::new(about, &$handler(call, request).await, Vec::new()))
        }};
        ($handler:path) => {{
            let request = decode(header, body)?;
            Ok(Reply::new(about, &$handler(call, request), Vec::new()))
        }};
    }
    match key {
        Key::ApiVersions if !SERVED_VERSIONS.contains(&header.version) => {
            let answer = api::api_versions::unknown_version();
            Ok(Reply::new((key, 0, header.correlation), &answer, Vec::new()))
        }
        Key::ApiVersions => answer!(api::api_versions::api_versions),
        Key::Fetch => {
            let request = decode(header, body)?;
            let (response, slices) = api::fetch::fetch(call, request).await;
            Ok(Reply::new(about, &response, slices))
        }
        Key::ListOffsets => answer!(later api::list_offsets::list_offsets),
        Key::Metadata => answer!(later api::metadata::metadata),
        Key::OffsetCommit => answer!(later api::offsets::offset_commit),
        Key::OffsetFetch => answer!(api::offsets::offset_fetch),
        Key::OffsetDelete => answer!(later api::offsets::offset_delete),
        Key::JoinGroup => answer!(later api::membership::join_group),
        Key::SyncGroup => answer!(later api::membership::sync_group),
        Key::Heartbeat => answer!(api::membership::heartbeat),
        Key::LeaveGroup => answer!(api::membership::leave_group),
        Key::DescribeGroups => answer!(api::groups::describe_groups),
        Key::ListGroups => answer!(api::groups::list_groups),
        Key::DeleteGroups => answer!(later api::groups::delete_groups),
        Key::FindCoordinator => answer!(later api::cluster::find_coordinator),
        Key::CreateTopics => answer!(later api::topics::create_topics),
        Key::DeleteTopics => answer!(later api::topics::delete_topics),
        Key::DeleteRecords => answer!(later api::records::delete_records),
        Key::OffsetForLeaderEpoch => answer!(api::leader_epoch::offset_for_leader_epoch),
        Key::DescribeConfigs => answer!(api::configs::describe_configs),
        Key::AlterConfigs => answer!(later api::configs::alter_configs),
        Key::DescribeLogDirs => answer!(later api::cluster::describe_log_dirs),
        Key::CreatePartitions => answer!(later api::topics::create_partitions),
        Key::IncrementalAlterConfigs => answer!(later api::configs::incremental_alter_configs),
        Key::ListPartitionReassignments => answer!(api::replicas::list_partition_reassignments),
        Key::AddPartitionsToTxn => answer!(later api::transactions::add_partitions_to_txn),
        Key::AddOffsetsToTxn => answer!(later api::transactions::add_offsets_to_txn),
        Key::EndTxn => answer!(later api::transactions::end_txn),
        Key::TxnOffsetCommit => answer!(later api::txn_offsets::txn_offset_commit),
        Key::WriteTxnMarkers => answer!(later api::txn_tools::write_txn_markers),
        Key::DescribeProducers => answer!(api::txn_tools::describe_producers),
        Key::DescribeTransactions => answer!(api::txn_tools::describe_transactions),
        Key::ListTransactions => answer!(api::txn_tools::list_transactions),
        Key::ElectLeaders => answer!(api::replicas::elect_leaders),
        Key::AlterPartitionReassignments => answer!(api::replicas::alter_partition_reassignments),
        Key::ListConfigResources => answer!(api::configs::list_config_resources),
        Key::DescribeCluster => answer!(api::cluster::describe_cluster),
        Key::DescribeTopicPartitions => answer!(api::topic_partitions::describe_topic_partitions),
        Key::InitProducerId => answer!(later api::init_producer_id::init_producer_id),
        other => Err(Ended::Garbage(format!("{} is not served", other.name()))),
    }
}

const SERVED_VERSIONS: RangeInclusive<i16> = 0..=4;

fn decode<'a, R: Request<'a>>(header: &RequestHeader, body: &'a [u8]) -> Result<R, Ended> {
    R::decode(body, header.version).map_err(|why| broken(header, &why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_lists_what_is_served() {
        let page = include_str!("../../../../docs/kafka.md");
        let rows: Vec<(String, String)> = page
            .lines()
            .filter(|line| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit())
            .filter_map(|line| {
                let mut cells = line.split('|').map(str::trim).skip(1);
                Some((cells.next()?.to_owned(), cells.next()?.to_owned()))
            })
            .collect();
        let mut served: Vec<_> = SERVED.iter().collect();
        served.sort_by_key(|(key, _)| *key);
        let served: Vec<(String, String)> = served
            .into_iter()
            .map(|(key, versions)| {
                let (first, last) = (versions.start(), versions.end());
                let span = if first == last { first.to_string() } else { format!("{first}–{last}") };
                (format!("{} {}", key.code(), key.name()), span)
            })
            .collect();
        assert_eq!(rows, served);
    }

    #[test]
    fn what_is_served_is_in_the_schema() {
        for (key, versions) in SERVED {
            let known = key.versions();
            assert!(known.contains(versions.start()) && known.contains(versions.end()), "{}", key.name());
        }
    }
}
