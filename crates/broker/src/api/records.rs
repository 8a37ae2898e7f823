//! `DeleteRecords`: the start of a partition moves.

use super::{Call, note};
use crate::{error::Result, log::Partition};
use dhow_kafka::{
    Code,
    messages::delete_records::{
        DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse, DeleteRecordsTopicResult,
    },
};

pub(crate) async fn delete_records(call: &Call<'_>, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for asked in request.topics {
        let topic = call.broker.storage.topics.get(&asked.name);
        let mut partitions = Vec::with_capacity(asked.partitions.len());
        for one in asked.partitions {
            let partition = topic.as_ref().and_then(|topic| topic.partition(one.partition_index));
            let outcome = match partition {
                None => Err(Code::UnknownTopicOrPartition),
                // what is compacted has no beginning that one could move
                Some(partition) if !partition.config().delete => Err(Code::PolicyViolation),
                Some(partition) => delete(partition, one.offset).await.map_err(|error| note(&error)),
            };
            let (low_watermark, code) = match outcome {
                Ok(start) => (start, Code::None),
                Err(code) => (-1, code),
            };
            partitions.push(DeleteRecordsPartitionResult {
                partition_index: one.partition_index,
                low_watermark,
                error_code: code.code(),
            });
        }
        topics.push(DeleteRecordsTopicResult { name: asked.name, partitions });
    }
    DeleteRecordsResponse { topics, ..DeleteRecordsResponse::default() }
}

async fn delete(partition: &Partition, offset: i64) -> Result<i64> {
    partition.settled()?.await?;
    // -1 is the high watermark
    let (start, ticket) = partition.delete_records((offset != -1).then_some(offset))?;
    ticket.await?;
    Ok(start)
}
