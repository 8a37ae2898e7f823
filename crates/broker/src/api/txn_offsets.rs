//! `TxnOffsetCommit`: offsets that count when a transaction is committed.

use super::Call;
use crate::{
    groups::{Committed, TopicPartition},
    log::now,
    txn::Identity,
};
use dhow_kafka::{
    Code,
    messages::txn_offset_commit::{
        TxnOffsetCommitRequest, TxnOffsetCommitRequestTopic, TxnOffsetCommitResponse,
        TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
    },
};

pub(crate) async fn txn_offset_commit(
    call: &Call<'_>,
    request: TxnOffsetCommitRequest,
) -> TxnOffsetCommitResponse {
    let (group, member) = (&request.group_id, &request.member_id);
    let instance = request.group_instance_id.as_deref();
    let time = now();
    let may = call.broker.groups.may_commit(group, member, instance, request.generation_id, time);
    if may != Code::None {
        return answer(&request.topics, |_, _| may);
    }
    let exists = |topic: &str, number| {
        call.broker.storage.topics.get(topic).is_some_and(|topic| topic.partition(number).is_some())
    };
    let most = call.broker.groups.limits().metadata;
    let check = |topic: &str, number, metadata: Option<&str>| {
        if !exists(topic, number) {
            Code::UnknownTopicOrPartition
        } else if metadata.is_some_and(|metadata| metadata.len() > most) {
            Code::OffsetMetadataTooLarge
        } else {
            Code::None
        }
    };
    let all = request.topics.iter().flat_map(|topic| topic.partitions.iter().map(|one| (&topic.name, one)));
    let offsets: Vec<(TopicPartition, Committed)> = all
        .filter(|(topic, one)| {
            check(topic, one.partition_index, one.committed_metadata.as_deref()) == Code::None
        })
        .map(|(topic, one)| {
            let committed = Committed {
                offset: one.committed_offset,
                leader_epoch: one.committed_leader_epoch,
                timestamp: time,
                metadata: one.committed_metadata.clone().unwrap_or_default(),
            };
            ((topic.clone(), one.partition_index), committed)
        })
        .collect();
    let identity = Identity { id: request.producer_id, epoch: request.producer_epoch };
    let txns = &call.broker.txns;
    let code = match txns.commit_offsets(&request.transactional_id, identity, group, &offsets, time) {
        Ok(ticket) => ticket.await.map_or(Code::CoordinatorNotAvailable, |()| Code::None),
        Err(code) => code,
    };
    answer(&request.topics, |topic, number| match check(topic, number, None) {
        Code::None if !offsets.iter().any(|((name, index), _)| name == topic && *index == number) => {
            Code::OffsetMetadataTooLarge
        }
        Code::None => code,
        other => other,
    })
}

fn answer(
    topics: &[TxnOffsetCommitRequestTopic],
    code: impl Fn(&str, i32) -> Code,
) -> TxnOffsetCommitResponse {
    let topics = topics.iter().map(|topic| TxnOffsetCommitResponseTopic {
        name: topic.name.clone(),
        partitions: topic
            .partitions
            .iter()
            .map(|one| TxnOffsetCommitResponsePartition {
                partition_index: one.partition_index,
                error_code: code(&topic.name, one.partition_index).code(),
            })
            .collect(),
    });
    TxnOffsetCommitResponse { topics: topics.collect(), ..TxnOffsetCommitResponse::default() }
}
