//! `AddPartitionsToTxn`, `AddOffsetsToTxn`, `EndTxn`: a producer's transaction.

use super::Call;
use crate::{groups::TopicPartition, log::now, txn::Identity};
use dhow_kafka::{
    Code,
    batch::Marker,
    messages::{
        add_offsets_to_txn::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse},
        add_partitions_to_txn::{
            AddPartitionsToTxnPartitionResult, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
            AddPartitionsToTxnResult, AddPartitionsToTxnTopic, AddPartitionsToTxnTopicResult,
            AddPartitionsToTxnTransaction,
        },
        end_txn::{EndTxnRequest, EndTxnResponse},
    },
};

/// From this version on a request is about several transactions.
const MANY: i16 = 4;
/// From this version on the end of a transaction gives its producer another epoch (KIP-890).
const BUMP: i16 = 5;

/// Clients of before `since` do not know that a producer can be fenced.
pub(super) fn older(call: &Call<'_>, since: i16, code: Code) -> Code {
    if call.version < since && code == Code::ProducerFenced { Code::InvalidProducerEpoch } else { code }
}

pub(crate) async fn add_partitions_to_txn(
    call: &Call<'_>,
    request: AddPartitionsToTxnRequest,
) -> AddPartitionsToTxnResponse {
    if call.version >= MANY {
        let mut results = Vec::with_capacity(request.transactions.len());
        for transaction in request.transactions {
            let transactional_id = transaction.transactional_id.clone();
            let topic_results = add(call, transaction).await;
            results.push(AddPartitionsToTxnResult { transactional_id, topic_results });
        }
        return AddPartitionsToTxnResponse {
            results_by_transaction: results,
            ..AddPartitionsToTxnResponse::default()
        };
    }
    let transaction = AddPartitionsToTxnTransaction {
        transactional_id: request.v3_and_below_transactional_id,
        producer_id: request.v3_and_below_producer_id,
        producer_epoch: request.v3_and_below_producer_epoch,
        verify_only: false,
        topics: request.v3_and_below_topics,
    };
    let results = add(call, transaction).await;
    AddPartitionsToTxnResponse {
        results_by_topic_v3_and_below: results,
        ..AddPartitionsToTxnResponse::default()
    }
}

/// All partitions, or none if one is not there.
async fn add(
    call: &Call<'_>,
    transaction: AddPartitionsToTxnTransaction,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let (id, topics) = (&transaction.transactional_id, &transaction.topics);
    let identity = Identity { id: transaction.producer_id, epoch: transaction.producer_epoch };
    let exists = |topic: &str, number: i32| {
        call.broker.storage.topics.get(topic).is_some_and(|topic| topic.partition(number).is_some())
    };
    let all: Vec<TopicPartition> = topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|&number| (topic.name.clone(), number)))
        .collect();
    if all.iter().any(|(topic, number)| !exists(topic, *number)) {
        let code = |topic: &str, number| {
            if exists(topic, number) { Code::OperationNotAttempted } else { Code::UnknownTopicOrPartition }
        };
        return results(topics, code);
    }
    if transaction.verify_only {
        let verify = |topic: &str, number| {
            let partition = (topic.to_owned(), number);
            call.broker.txns.verify(id, identity, &partition).err().unwrap_or(Code::None)
        };
        return results(topics, verify);
    }
    let code = match call.broker.txns.enlist(id, identity, all, None, now()) {
        Ok(None) => Code::None,
        Ok(Some(ticket)) => ticket.await.map_or(Code::CoordinatorNotAvailable, |()| Code::None),
        Err(code) => older(call, 2, code),
    };
    results(topics, |_, _| code)
}

fn results(
    topics: &[AddPartitionsToTxnTopic],
    code: impl Fn(&str, i32) -> Code,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let topic = |topic: &AddPartitionsToTxnTopic| AddPartitionsToTxnTopicResult {
        name: topic.name.clone(),
        results_by_partition: topic
            .partitions
            .iter()
            .map(|&number| AddPartitionsToTxnPartitionResult {
                partition_index: number,
                partition_error_code: code(&topic.name, number).code(),
            })
            .collect(),
    };
    topics.iter().map(topic).collect()
}

pub(crate) async fn add_offsets_to_txn(
    call: &Call<'_>,
    request: AddOffsetsToTxnRequest,
) -> AddOffsetsToTxnResponse {
    let identity = Identity { id: request.producer_id, epoch: request.producer_epoch };
    let group = Some(request.group_id.as_str());
    let enlisted = call.broker.txns.enlist(&request.transactional_id, identity, [], group, now());
    let code = match enlisted {
        Ok(None) => Code::None,
        Ok(Some(ticket)) => ticket.await.map_or(Code::CoordinatorNotAvailable, |()| Code::None),
        Err(code) => older(call, 2, code),
    };
    AddOffsetsToTxnResponse { error_code: code.code(), ..AddOffsetsToTxnResponse::default() }
}

pub(crate) async fn end_txn(call: &Call<'_>, request: EndTxnRequest) -> EndTxnResponse {
    let identity = Identity { id: request.producer_id, epoch: request.producer_epoch };
    let marker = if request.committed { Marker::Commit } else { Marker::Abort };
    let (broker, id) = (call.broker, &request.transactional_id);
    let ended = broker.txns.end(&broker.storage, id, identity, marker, call.version >= BUMP, now());
    match ended.await {
        Ok(next) => {
            EndTxnResponse { producer_id: next.id, producer_epoch: next.epoch, ..EndTxnResponse::default() }
        }
        Err(code) => EndTxnResponse { error_code: older(call, 2, code).code(), ..EndTxnResponse::default() },
    }
}
