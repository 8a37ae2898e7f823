//! `OffsetForLeaderEpoch`: where an epoch ended, so that a consumer sees whether what it read was cut off by a crash.

use super::{Call, note};
use dhow_kafka::{
    Code,
    messages::offset_for_leader_epoch::{
        EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderPartition,
        OffsetForLeaderTopicResult,
    },
};

pub(crate) fn offset_for_leader_epoch(
    call: &Call<'_>,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.into_iter().map(|asked| {
        let topic = call.broker.storage.topics.get(&asked.topic);
        let end = |one: &OffsetForLeaderPartition| {
            let partition = topic.as_ref().and_then(|topic| topic.partition(one.partition));
            let mut answer = EpochEndOffset { partition: one.partition, ..EpochEndOffset::default() };
            match partition.map(|partition| partition.epoch_end(one.leader_epoch)) {
                Some(Ok(Some((epoch, offset)))) => (answer.leader_epoch, answer.end_offset) = (epoch, offset),
                Some(Ok(None)) => {}
                Some(Err(error)) => answer.error_code = note(&error).code(),
                None => answer.error_code = Code::UnknownTopicOrPartition.code(),
            }
            answer
        };
        let partitions = asked.partitions.iter().map(end).collect();
        OffsetForLeaderTopicResult { topic: asked.topic, partitions }
    });
    OffsetForLeaderEpochResponse { topics: topics.collect(), ..OffsetForLeaderEpochResponse::default() }
}
