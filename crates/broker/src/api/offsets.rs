//! `OffsetCommit`, `OffsetFetch`, `OffsetDelete`: how far groups have read.

use super::{Call, note};
use crate::{
    groups::{Committed, TopicPartition},
    log::now,
};
use dhow_kafka::{
    Code, Uuid,
    messages::{
        offset_commit::{
            OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitResponse,
            OffsetCommitResponsePartition, OffsetCommitResponseTopic,
        },
        offset_delete::{
            OffsetDeleteRequest, OffsetDeleteResponse, OffsetDeleteResponsePartition,
            OffsetDeleteResponseTopic,
        },
        offset_fetch::{
            OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponse,
            OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
            OffsetFetchResponseTopic, OffsetFetchResponseTopics,
        },
    },
};

/// From this version on topics are called by their ids.
const IDS: i16 = 10;

pub(crate) async fn offset_commit(call: &Call<'_>, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let groups = &call.broker.groups;
    let (group, member) = (&request.group_id, &request.member_id);
    let instance = request.group_instance_id.as_deref();
    let time = now();
    let may = groups.may_commit(group, member, instance, request.generation_id_or_member_epoch, time);
    let mut offsets: Vec<(TopicPartition, Committed)> = Vec::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for asked in request.topics {
        let topic = call.broker.topic((call.version < IDS).then_some(&asked.name), asked.topic_id);
        let mut check = |one: OffsetCommitRequestPartition| {
            let number = one.partition_index;
            let metadata = one.committed_metadata.unwrap_or_default();
            let code = match &topic {
                _ if may != Code::None => may,
                None if call.version >= IDS => Code::UnknownTopicId,
                Some(topic) if topic.partition(number).is_some() => {
                    if metadata.len() > groups.limits().metadata {
                        Code::OffsetMetadataTooLarge
                    } else {
                        let (offset, leader_epoch) = (one.committed_offset, one.committed_leader_epoch);
                        let committed = Committed { offset, leader_epoch, timestamp: time, metadata };
                        offsets.push(((topic.name.clone(), number), committed));
                        Code::None
                    }
                }
                _ => Code::UnknownTopicOrPartition,
            };
            OffsetCommitResponsePartition { partition_index: number, error_code: code.code() }
        };
        let partitions = asked.partitions.into_iter().map(&mut check).collect();
        topics.push(OffsetCommitResponseTopic { name: asked.name, topic_id: asked.topic_id, partitions });
    }
    if !offsets.is_empty() {
        let kept = match groups.commit(group, &offsets) {
            Ok(ticket) => ticket.await,
            Err(error) => Err(error),
        };
        if let Err(error) = kept {
            let code = note(&error).code();
            let all = topics.iter_mut().flat_map(|topic| &mut topic.partitions);
            all.filter(|one| one.error_code == 0).for_each(|one| one.error_code = code);
        }
    }
    OffsetCommitResponse { topics, ..OffsetCommitResponse::default() }
}

pub(crate) fn offset_fetch(call: &Call<'_>, request: OffsetFetchRequest) -> OffsetFetchResponse {
    if call.version >= 8 {
        let stable = request.require_stable;
        let groups = request.groups.into_iter().map(|asked| fetch(call, asked, stable)).collect();
        return OffsetFetchResponse { groups, ..OffsetFetchResponse::default() };
    }
    // one group, in the shape of before
    let topics = request.topics.map(|topics| {
        let topic = topics.into_iter().map(|topic| OffsetFetchRequestTopics {
            name: topic.name,
            partition_indexes: topic.partition_indexes,
            ..OffsetFetchRequestTopics::default()
        });
        topic.collect()
    });
    let asked =
        OffsetFetchRequestGroup { group_id: request.group_id, topics, ..OffsetFetchRequestGroup::default() };
    let answer = fetch(call, asked, request.require_stable);
    let topics = answer.topics.into_iter().map(|topic| OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic
            .partitions
            .into_iter()
            .map(|one| OffsetFetchResponsePartition {
                partition_index: one.partition_index,
                committed_offset: one.committed_offset,
                committed_leader_epoch: one.committed_leader_epoch,
                metadata: one.metadata,
                error_code: one.error_code,
            })
            .collect(),
    });
    OffsetFetchResponse {
        topics: topics.collect(),
        error_code: answer.error_code,
        ..OffsetFetchResponse::default()
    }
}

fn fetch(call: &Call<'_>, asked: OffsetFetchRequestGroup, stable: bool) -> OffsetFetchResponseGroup {
    let groups = &call.broker.groups;
    let group = &asked.group_id;
    let mut topics = match asked.topics {
        None => everything(call, group),
        Some(topics) => topics
            .into_iter()
            .map(|topic| {
                let known = call.broker.topic((call.version < IDS).then_some(&topic.name), topic.topic_id);
                let name = known.map_or(topic.name, |known| known.name.clone());
                let unknown = call.version >= IDS && name.is_empty();
                let partitions = topic.partition_indexes.into_iter().map(|number| {
                    let mut one = answer(number, groups.committed(group, &(name.clone(), number)));
                    if unknown {
                        one.error_code = Code::UnknownTopicId.code();
                    }
                    one
                });
                let partitions = partitions.collect();
                OffsetFetchResponseTopics { name, topic_id: topic.topic_id, partitions }
            })
            .collect(),
    };
    if stable {
        for topic in &mut topics {
            for one in &mut topic.partitions {
                if call.broker.txns.is_pending(group, &(topic.name.clone(), one.partition_index)) {
                    (one.committed_offset, one.error_code) = (-1, Code::UnstableOffsetCommit.code());
                }
            }
        }
    }
    OffsetFetchResponseGroup { group_id: asked.group_id, topics, ..OffsetFetchResponseGroup::default() }
}

/// All that a group has committed, sorted by topic.
fn everything(call: &Call<'_>, group: &str) -> Vec<OffsetFetchResponseTopics> {
    let mut topics: Vec<OffsetFetchResponseTopics> = Vec::new();
    for ((name, number), committed) in call.broker.groups.all_committed(group) {
        if topics.last().is_none_or(|last| last.name != name) {
            let topic_id = call.broker.storage.topics.get(&name).map_or(Uuid::ZERO, |topic| topic.uuid());
            topics.push(OffsetFetchResponseTopics { name, topic_id, partitions: Vec::new() });
        }
        if let Some(topic) = topics.last_mut() {
            topic.partitions.push(answer(number, Some(committed)));
        }
    }
    topics
}

fn answer(partition_index: i32, committed: Option<Committed>) -> OffsetFetchResponsePartitions {
    let Some(committed) = committed else {
        return OffsetFetchResponsePartitions {
            partition_index,
            committed_offset: -1,
            metadata: Some(String::new()),
            ..OffsetFetchResponsePartitions::default()
        };
    };
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: committed.offset,
        committed_leader_epoch: committed.leader_epoch,
        metadata: Some(committed.metadata),
        ..OffsetFetchResponsePartitions::default()
    }
}

pub(crate) async fn offset_delete(call: &Call<'_>, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let all = request
        .topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|one| (topic.name.clone(), one.partition_index)));
    let all: Vec<TopicPartition> = all.collect();
    let failed =
        |code: Code| OffsetDeleteResponse { error_code: code.code(), ..OffsetDeleteResponse::default() };
    let codes = match call.broker.groups.delete_offsets(&request.group_id, &all) {
        Err(code) => return failed(code),
        Ok((codes, ticket)) => match ticket.await {
            Err(error) => return failed(note(&error)),
            Ok(()) => codes,
        },
    };
    let mut codes = codes.into_iter();
    let topics = request.topics.into_iter().map(|topic| OffsetDeleteResponseTopic {
        partitions: topic
            .partitions
            .iter()
            .zip(codes.by_ref())
            .map(|(one, code)| OffsetDeleteResponsePartition {
                partition_index: one.partition_index,
                error_code: code.code(),
            })
            .collect(),
        name: topic.name,
    });
    OffsetDeleteResponse { topics: topics.collect(), ..OffsetDeleteResponse::default() }
}
