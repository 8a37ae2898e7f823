//! `Produce`: batches into partitions. Written when the request is there, answered when the disk has it.

use super::{Call, internal::is_internal, note};
use crate::{
    error::{Error, Kind, Result},
    log::{Appended, Durability, Partition, now},
    topics::Topic,
    txn::Identity,
};
use dhow_kafka::{
    Code, Message as _, Records, Uuid,
    batch::Header,
    messages::produce::{PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceResponse},
};
use std::{ops::Range, sync::Arc};

/// The first version whose batches are of format 2.
pub(crate) const FIRST: i16 = 3;
/// The first version whose batches make their partition part of the transaction.
const IMPLICIT: i16 = 12;
const NO_ACKS: i16 = 0;
const LEADER: i16 = 1;
const ALL: i16 = -1;

/// What was written, and what is still waited for.
pub(crate) struct Produced {
    response: ProduceResponse,
    waiting: Vec<Waiting>,
}

/// A partition whose batch is not yet on disk.
struct Waiting {
    topic: usize,
    partition: usize,
    ticket: crate::flush::Ticket,
    done: Option<Result<()>>,
}

/// A partition of a request: where its batches lie in the request's bytes.
struct Part {
    index: i32,
    records: Range<usize>,
}

/// Writes what a request brings; `None` if it wants no answer. It waits only for a partition's place in a transaction.
pub(crate) async fn produce(
    call: &Call<'_>,
    body: &mut [u8],
) -> std::result::Result<Option<Produced>, dhow_kafka::Error> {
    let request = ProduceRequest::decode(body, call.version)?;
    let (acks, transaction) = (request.acks, request.transactional_id);
    let begin = body.as_ptr().addr();
    let range = |records: Records<'_>| {
        let bytes = records.bytes();
        let start = bytes.as_ptr().addr().saturating_sub(begin);
        if bytes.is_empty() { 0..0 } else { start..start + bytes.len() }
    };
    let topics: Vec<(String, Uuid, Vec<Part>)> = request
        .topic_data
        .into_iter()
        .map(|topic| {
            let parts = topic.partition_data.iter();
            let parts = parts.map(|part| Part { index: part.index, records: range(part.records) }).collect();
            (topic.name, topic.topic_id, parts)
        })
        .collect();
    let mut produced = Produced { response: ProduceResponse::default(), waiting: Vec::new() };
    for (name, id, parts) in topics {
        let found = call.broker.topic((call.version < 13).then_some(&name), id);
        let mut responses = Vec::with_capacity(parts.len());
        for part in parts {
            let place = (produced.response.responses.len(), responses.len());
            let batch = &mut body[part.records.clone()];
            let outcome = match partition(found.as_ref(), part.index, acks) {
                Err(code) => Err((code, None)),
                Ok(partition) => {
                    match enlisted(call, transaction.as_deref(), (partition.1, part.index), batch).await {
                        Err(code) => Err((code, None)),
                        Ok(()) => append(partition.0, batch, acks),
                    }
                }
            };
            responses.push(match outcome {
                Ok(appended) => produced.took(place, part.index, appended, acks),
                Err((Code::UnknownTopicOrPartition, _)) if call.version >= 13 && found.is_none() => {
                    refused(part.index, Code::UnknownTopicId, None)
                }
                Err((code, why)) => refused(part.index, code, why),
            });
        }
        produced.response.responses.push(TopicProduceResponse {
            name,
            topic_id: id,
            partition_responses: responses,
        });
    }
    call.broker.written.notify_one();
    Ok((acks != NO_ACKS).then_some(produced))
}

/// The partition that is written to, and its topic's name.
fn partition(
    topic: Option<&Arc<Topic>>,
    number: i32,
    acks: i16,
) -> std::result::Result<(&Partition, &str), Code> {
    if ![NO_ACKS, LEADER, ALL].contains(&acks) {
        return Err(Code::InvalidRequiredAcks);
    }
    let topic = topic.ok_or(Code::UnknownTopicOrPartition)?;
    if is_internal(&topic.name) {
        return Err(Code::InvalidTopic);
    }
    Ok((topic.partition(number).ok_or(Code::UnknownTopicOrPartition)?, &topic.name))
}

/// Whether a transaction's batch may be written: the transaction has the partition, or gets it now (from version 12 on, KIP-890).
async fn enlisted(
    call: &Call<'_>,
    transaction: Option<&str>,
    (topic, number): (&str, i32),
    batch: &[u8],
) -> std::result::Result<(), Code> {
    // what is no batch is refused when it is appended
    let Some(header) = Header::read(batch).ok().filter(Header::transactional) else { return Ok(()) };
    let id = transaction.ok_or(Code::InvalidTxnState)?;
    let identity = Identity { id: header.producer_id, epoch: header.producer_epoch };
    let place = (topic.to_owned(), number);
    let txns = &call.broker.txns;
    if call.version < IMPLICIT {
        // older producers try again after this one, and give up after the other
        let retried =
            |code| if code == Code::ConcurrentTransactions { Code::NotEnoughReplicas } else { code };
        return txns.verify(id, identity, &place).map_err(retried);
    }
    match txns.enlist(id, identity, [place], None, now())? {
        None => Ok(()),
        Some(ticket) => ticket.await.map_err(|_| Code::CoordinatorNotAvailable),
    }
}

fn append(
    partition: &Partition,
    batch: &mut [u8],
    acks: i16,
) -> std::result::Result<Appended, (Code, Option<Error>)> {
    let durability = if acks == ALL { Durability::Synced } else { Durability::Soon };
    partition.append(batch, durability).map_err(|error| (note(&error), Some(error)))
}

fn refused(index: i32, code: Code, why: Option<Error>) -> PartitionProduceResponse {
    PartitionProduceResponse {
        index,
        error_code: code.code(),
        base_offset: -1,
        error_message: why.map(|error| error.cause.to_string()),
        ..PartitionProduceResponse::default()
    }
}

impl Produced {
    /// Notes what was written, and that it is waited for if the producer wants that.
    fn took(
        &mut self,
        (topic, partition): (usize, usize),
        index: i32,
        appended: Appended,
        acks: i16,
    ) -> PartitionProduceResponse {
        let Appended { base_offset, append_time, log_start, ticket, .. } = appended;
        if acks == ALL {
            self.waiting.push(Waiting { topic, partition, ticket, done: None });
        } else {
            ticket.forget();
        }
        PartitionProduceResponse {
            index,
            base_offset,
            log_append_time_ms: append_time,
            log_start_offset: log_start,
            ..PartitionProduceResponse::default()
        }
    }

    /// Waits for the disk. May be given up and called again.
    pub(crate) async fn ready(&mut self) {
        for waiting in self.waiting.iter_mut().filter(|waiting| waiting.done.is_none()) {
            waiting.done = Some((&mut waiting.ticket).await);
        }
    }

    /// The answer, when it is time.
    pub(crate) async fn response(mut self) -> ProduceResponse {
        self.ready().await;
        for Waiting { topic, partition, done, .. } in self.waiting {
            let Some(Err(error)) = done else { continue };
            let place = &mut self.response.responses[topic].partition_responses[partition];
            // that a disk failed is said once, where it is known; a topic that was deleted meanwhile is nobody's fault
            let code = if error.kind == Kind::NotFound {
                Code::UnknownTopicOrPartition
            } else {
                Code::KafkaStorageError
            };
            *place = refused(place.index, code, Some(error));
        }
        self.response
    }
}
