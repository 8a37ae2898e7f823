//! One file for each request, or for a few of one subject: a decoded request in, a response out.

pub(crate) mod api_versions;
pub(crate) mod cluster;
pub(crate) mod configs;
pub(crate) mod fetch;
pub(crate) mod groups;
pub(crate) mod init_producer_id;
pub(crate) mod internal;
pub(crate) mod leader_epoch;
pub(crate) mod list_offsets;
pub(crate) mod membership;
pub(crate) mod metadata;
pub(crate) mod offsets;
pub(crate) mod produce;
pub(crate) mod records;
pub(crate) mod replicas;
pub(crate) mod topic_partitions;
pub(crate) mod topics;
pub(crate) mod transactions;
pub(crate) mod txn_offsets;
pub(crate) mod txn_tools;

use crate::{
    broker::Broker,
    error::{Error, Kind, Result},
    listen::Endpoint,
};
use dhow_kafka::Code;
use std::{net::SocketAddr, sync::Arc};

/// Who asks, where, and in which version.
pub(crate) struct Call<'a> {
    pub(crate) broker: &'a Arc<Broker>,
    /// The broker's address as this client used it.
    pub(crate) at: &'a Endpoint,
    pub(crate) peer: SocketAddr,
    /// What the client calls itself.
    pub(crate) client: &'a str,
    pub(crate) version: i16,
}

impl Call<'_> {
    pub(crate) fn node(&self) -> i32 {
        self.broker.settings.node
    }
}

/// What a client may do, as bits: everything that Kafka knows for a thing, as there is no authorizer.
pub(crate) mod operations {
    /// Read, write, create, delete, alter, describe, describe configs, alter configs.
    pub(crate) const TOPIC: i32 = 0b1101_1111_1000;
    /// Read, delete, describe, describe configs, alter configs.
    pub(crate) const GROUP: i32 = 0b1101_0100_1000;
    /// Create, alter, describe, cluster action, describe configs, alter configs, idempotent write.
    pub(crate) const CLUSTER: i32 = 0b1_1111_1010_0000;
}

/// Kafka's number for an error.
pub(crate) fn code(error: &Error) -> Code {
    match error.kind {
        Kind::Storage => Code::KafkaStorageError,
        Kind::Corrupt => Code::CorruptMessage,
        Kind::OffsetOutOfRange => Code::OffsetOutOfRange,
        Kind::TooLarge => Code::MessageTooLarge,
        Kind::InvalidRecord => Code::InvalidRecord,
        Kind::InvalidTimestamp => Code::InvalidTimestamp,
        Kind::OutOfOrderSequence => Code::OutOfOrderSequenceNumber,
        Kind::InvalidProducerEpoch => Code::InvalidProducerEpoch,
        Kind::ProducerFenced => Code::ProducerFenced,
        Kind::InvalidProducerIdMapping => Code::InvalidProducerIdMapping,
        Kind::InvalidTxnState => Code::InvalidTxnState,
        Kind::ConcurrentTransactions => Code::ConcurrentTransactions,
        Kind::NotFound => Code::UnknownTopicOrPartition,
        Kind::Exists => Code::TopicAlreadyExists,
        Kind::InvalidName => Code::InvalidTopic,
        Kind::InvalidPartitions => Code::InvalidPartitions,
        Kind::Invalid => Code::InvalidConfig,
    }
}

/// Logs what is the broker's fault; what is the client's, it is told.
pub(crate) fn note(error: &Error) -> Code {
    if matches!(error.kind, Kind::Storage | Kind::Corrupt) {
        tracing::error!("cannot {error}");
    }
    code(error)
}

/// Runs what waits for the disk where it holds no connection up.
pub(crate) async fn blocking<T: Send + 'static>(
    broker: &Arc<Broker>,
    work: impl FnOnce(&Broker) -> Result<T> + Send + 'static,
) -> Result<T> {
    let broker = Arc::clone(broker);
    let done = tokio::task::spawn_blocking(move || work(&broker)).await;
    done.map_err(|why| Error::new(Kind::Storage, "run", "a change", why))?
}
