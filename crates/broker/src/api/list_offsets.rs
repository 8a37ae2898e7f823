//! `ListOffsets`: the ends of partitions, and offsets by time.

use super::{Call, blocking, note};
use crate::{
    error::Result,
    log::{Isolation, Partition, When},
};
use dhow_kafka::{
    Code,
    messages::list_offsets::{
        ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
        ListOffsetsTopicResponse,
    },
};

/// Times that are none: where the log ends, where it begins, its latest record, where it begins here (and not in an archive), and
/// two of archives, which there are none of.
mod time {
    pub(super) const LATEST: i64 = -1;
    pub(super) const EARLIEST: i64 = -2;
    pub(super) const GREATEST: i64 = -3;
    pub(super) const EARLIEST_LOCAL: i64 = -4;
    pub(super) const LATEST_ARCHIVED: i64 = -5;
    pub(super) const EARLIEST_PENDING: i64 = -6;
}

pub(crate) async fn list_offsets(call: &Call<'_>, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let isolation = if request.isolation_level == 1 { Isolation::Committed } else { Isolation::Uncommitted };
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let found = call.broker.storage.topics.get(&topic.name);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wanted in topic.partitions {
            let partition = found.as_ref().and_then(|topic| topic.partition(wanted.partition_index));
            let answer = match partition {
                Some(partition) => look(call, partition, &wanted, isolation)
                    .await
                    .unwrap_or_else(|error| failed(&wanted, note(&error))),
                None => failed(&wanted, Code::UnknownTopicOrPartition),
            };
            partitions.push(answer);
        }
        topics.push(ListOffsetsTopicResponse { name: topic.name, partitions });
    }
    ListOffsetsResponse { topics, ..ListOffsetsResponse::default() }
}

fn failed(wanted: &ListOffsetsPartition, code: Code) -> ListOffsetsPartitionResponse {
    ListOffsetsPartitionResponse {
        partition_index: wanted.partition_index,
        error_code: code.code(),
        ..ListOffsetsPartitionResponse::default()
    }
}

async fn look(
    call: &Call<'_>,
    partition: &Partition,
    wanted: &ListOffsetsPartition,
    isolation: Isolation,
) -> Result<ListOffsetsPartitionResponse> {
    // an end that is told to somebody is on disk
    partition.settled()?.await?;
    let offsets = partition.offsets()?;
    let bound = match isolation {
        Isolation::Committed => offsets.stable,
        Isolation::Uncommitted => offsets.high,
    };
    let answer = |offset, timestamp, leader_epoch| ListOffsetsPartitionResponse {
        partition_index: wanted.partition_index,
        offset,
        timestamp,
        leader_epoch,
        ..ListOffsetsPartitionResponse::default()
    };
    let when = match wanted.timestamp {
        time::LATEST => return Ok(answer(bound, -1, offsets.epoch)),
        time::EARLIEST | time::EARLIEST_LOCAL => return Ok(answer(offsets.start, -1, offsets.epoch)),
        time::LATEST_ARCHIVED | time::EARLIEST_PENDING => return Ok(answer(-1, -1, -1)),
        time::GREATEST => When::Greatest,
        timestamp if timestamp < 0 => return Ok(failed(wanted, Code::InvalidRequest)),
        timestamp => When::At(timestamp),
    };
    let partition = partition.clone();
    let found = blocking(call.broker, move |_| partition.find(when, bound)).await?;
    Ok(found.map_or(answer(-1, -1, -1), |found| answer(found.offset, found.timestamp, found.epoch)))
}
