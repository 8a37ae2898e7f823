//! `DescribeTopicPartitions`: topics in pages of partitions.

use super::{Call, internal::is_internal, operations};
use crate::topics::Topic;
use dhow_kafka::{
    Code,
    messages::describe_topic_partitions::{
        Cursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
        DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic, NextCursor,
    },
};

/// Kafka's limit of a page.
const MOST: usize = 2000;

pub(crate) fn describe_topic_partitions(
    call: &Call<'_>,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let topics = &call.broker.storage.topics;
    let mut names: Vec<String> = if request.topics.is_empty() {
        topics.list().iter().map(|topic| topic.name.clone()).collect()
    } else {
        request.topics.into_iter().map(|topic| topic.name).collect()
    };
    names.sort_unstable();
    names.dedup();
    let Cursor { topic_name: from, partition_index: mut first } = request.cursor.unwrap_or_default();
    names.retain(|name| *name >= from);
    if names.first() != Some(&from) {
        first = 0;
    }
    let mut left = usize::try_from(request.response_partition_limit).unwrap_or(0).clamp(1, MOST);
    let mut answer = DescribeTopicPartitionsResponse::default();
    for name in names {
        if left == 0 {
            answer.next_cursor = Some(NextCursor { topic_name: name, partition_index: 0 });
            break;
        }
        let Some(topic) = topics.get(&name) else {
            answer.topics.push(DescribeTopicPartitionsResponseTopic {
                error_code: Code::UnknownTopicOrPartition.code(),
                name: Some(name),
                ..DescribeTopicPartitionsResponseTopic::default()
            });
            continue;
        };
        let page = page(call, &topic, first, left);
        left -= page.len();
        let next = first.saturating_add(i32::try_from(page.len()).unwrap_or(i32::MAX));
        answer.topics.push(DescribeTopicPartitionsResponseTopic {
            name: Some(name.clone()),
            topic_id: topic.uuid(),
            is_internal: is_internal(&name),
            partitions: page,
            topic_authorized_operations: operations::TOPIC,
            ..DescribeTopicPartitionsResponseTopic::default()
        });
        if topic.partition(next).is_some() {
            answer.next_cursor = Some(NextCursor { topic_name: name, partition_index: next });
            break;
        }
        first = 0;
    }
    answer
}

fn page(
    call: &Call<'_>,
    topic: &Topic,
    first: i32,
    most: usize,
) -> Vec<DescribeTopicPartitionsResponsePartition> {
    let node = call.node();
    let partitions = topic.numbered().filter(|(number, _)| *number >= first).take(most);
    partitions
        .map(|(number, partition)| DescribeTopicPartitionsResponsePartition {
            partition_index: number,
            leader_id: node,
            leader_epoch: partition.epoch(),
            replica_nodes: vec![node],
            isr_nodes: vec![node],
            eligible_leader_replicas: Some(Vec::new()),
            last_known_elr: Some(Vec::new()),
            ..DescribeTopicPartitionsResponsePartition::default()
        })
        .collect()
}
