//! `ListTransactions`, `DescribeTransactions`, `DescribeProducers`, `WriteTxnMarkers`: what tools ask to find a transaction that hangs, and to
//! end it.

use super::{Call, note};
use crate::{error::Kind, groups::TopicPartition, log::now, txn::State};
use dhow_kafka::{
    Code,
    batch::Marker,
    messages::{
        describe_producers::{
            DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState,
            TopicResponse,
        },
        describe_transactions::{
            DescribeTransactionsRequest, DescribeTransactionsResponse, TopicData, TransactionState,
        },
        list_transactions::{self, ListTransactionsRequest, ListTransactionsResponse},
        write_txn_markers::{
            WritableTxnMarker, WritableTxnMarkerPartitionResult, WritableTxnMarkerResult,
            WritableTxnMarkerTopicResult, WriteTxnMarkersRequest, WriteTxnMarkersResponse,
        },
    },
};
use std::collections::BTreeSet;

const STATES: [State; 6] = [
    State::Empty,
    State::Ongoing,
    State::PrepareCommit,
    State::PrepareAbort,
    State::CompleteCommit,
    State::CompleteAbort,
];

pub(crate) fn list_transactions(
    call: &Call<'_>,
    request: ListTransactionsRequest,
) -> ListTransactionsResponse {
    let known = |word: &String| STATES.iter().any(|state| state.word() == word);
    let (states, unknown): (Vec<String>, Vec<String>) = request.state_filters.into_iter().partition(known);
    let time = now();
    let all = call.broker.txns.list().into_iter();
    let wanted = all.filter(|(_, txn)| {
        let (states, producers) = (&states, &request.producer_id_filters);
        let right_state =
            states.is_empty() && unknown.is_empty() || states.iter().any(|word| word == txn.state.word());
        let right_producer = producers.is_empty() || producers.contains(&txn.identity.id);
        let long = request.duration_filter < 0
            || txn.state == State::Ongoing && time - txn.started > request.duration_filter;
        right_state && right_producer && long
    });
    let transaction_states = wanted.map(|(id, txn)| list_transactions::TransactionState {
        transactional_id: id,
        producer_id: txn.identity.id,
        transaction_state: txn.state.word().to_owned(),
    });
    ListTransactionsResponse {
        transaction_states: transaction_states.collect(),
        unknown_state_filters: unknown,
        ..ListTransactionsResponse::default()
    }
}

pub(crate) fn describe_transactions(
    call: &Call<'_>,
    request: DescribeTransactionsRequest,
) -> DescribeTransactionsResponse {
    let states = request.transactional_ids.into_iter().map(|id| {
        let Some(txn) = call.broker.txns.describe(&id) else {
            return TransactionState {
                error_code: Code::TransactionalIdNotFound.code(),
                transactional_id: id,
                ..TransactionState::default()
            };
        };
        TransactionState {
            transactional_id: id,
            transaction_state: txn.state.word().to_owned(),
            transaction_timeout_ms: i32::try_from(txn.timeout).unwrap_or(i32::MAX),
            transaction_start_time_ms: if txn.state == State::Ongoing { txn.started } else { -1 },
            producer_id: txn.identity.id,
            producer_epoch: txn.identity.epoch,
            topics: by_topic(&txn.partitions),
            ..TransactionState::default()
        }
    });
    DescribeTransactionsResponse {
        transaction_states: states.collect(),
        ..DescribeTransactionsResponse::default()
    }
}

fn by_topic(partitions: &BTreeSet<TopicPartition>) -> Vec<TopicData> {
    let mut topics: Vec<TopicData> = Vec::new();
    for (topic, number) in partitions {
        match topics.last_mut().filter(|last| last.topic == *topic) {
            Some(last) => last.partitions.push(*number),
            None => topics.push(TopicData { topic: topic.clone(), partitions: vec![*number] }),
        }
    }
    topics
}

pub(crate) fn describe_producers(
    call: &Call<'_>,
    request: DescribeProducersRequest,
) -> DescribeProducersResponse {
    let topics = request.topics.into_iter().map(|asked| {
        let topic = call.broker.storage.topics.get(&asked.name);
        let partitions = asked.partition_indexes.iter().map(|&number| {
            let partition = topic.as_ref().and_then(|topic| topic.partition(number));
            let mut answer = PartitionResponse { partition_index: number, ..PartitionResponse::default() };
            match partition.map(|partition| partition.producers()) {
                None => answer.error_code = Code::UnknownTopicOrPartition.code(),
                Some(Err(error)) => answer.error_code = note(&error).code(),
                Some(Ok(producers)) => {
                    let state = producers.into_iter().map(|one| ProducerState {
                        producer_id: one.id,
                        producer_epoch: one.epoch.into(),
                        last_sequence: one.last_sequence,
                        last_timestamp: one.last_timestamp,
                        coordinator_epoch: one.coordinator_epoch,
                        current_txn_start_offset: one.open_since.unwrap_or(-1),
                    });
                    answer.active_producers = state.collect();
                }
            }
            answer
        });
        TopicResponse { partitions: partitions.collect(), name: asked.name }
    });
    DescribeProducersResponse { topics: topics.collect(), ..DescribeProducersResponse::default() }
}

pub(crate) async fn write_txn_markers(
    call: &Call<'_>,
    request: WriteTxnMarkersRequest,
) -> WriteTxnMarkersResponse {
    let mut markers = Vec::with_capacity(request.markers.len());
    for marker in request.markers {
        let mut topics = Vec::with_capacity(marker.topics.len());
        for topic in &marker.topics {
            let mut partitions = Vec::with_capacity(topic.partition_indexes.len());
            for &partition_index in &topic.partition_indexes {
                let error_code = mark(call, &marker, &topic.name, partition_index).await.code();
                partitions.push(WritableTxnMarkerPartitionResult { partition_index, error_code });
            }
            topics.push(WritableTxnMarkerTopicResult { name: topic.name.clone(), partitions });
        }
        markers.push(WritableTxnMarkerResult { producer_id: marker.producer_id, topics });
    }
    WriteTxnMarkersResponse { markers }
}

async fn mark(call: &Call<'_>, marker: &WritableTxnMarker, topic: &str, number: i32) -> Code {
    let topic = call.broker.storage.topics.get(topic);
    let Some(partition) = topic.as_ref().and_then(|topic| topic.partition(number)) else {
        return Code::UnknownTopicOrPartition;
    };
    let kind = if marker.transaction_result { Marker::Commit } else { Marker::Abort };
    let producer = (marker.producer_id, marker.producer_epoch);
    let written = match partition.end_transaction(kind, producer, marker.coordinator_epoch) {
        Ok(appended) => appended.ticket.await,
        Err(error) => Err(error),
    };
    match written {
        Ok(()) => Code::None,
        Err(error) if error.kind == Kind::ProducerFenced => Code::TransactionCoordinatorFenced,
        Err(error) => note(&error),
    }
}
