//! `Metadata`: where the partitions are, which is here; topics that are wanted and not there are made.

use super::{
    Call, blocking,
    internal::{configuration, is_internal},
    note, operations,
};
use crate::{
    error::{Error, Kind, Result},
    topics::{Topic, config::Values},
};
use dhow_kafka::{
    Code,
    messages::metadata::{
        MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
        MetadataResponsePartition, MetadataResponseTopic,
    },
};
use std::sync::Arc;

pub(crate) async fn metadata(call: &Call<'_>, request: MetadataRequest) -> MetadataResponse {
    let operations = request.include_cluster_authorized_operations.then_some(operations::CLUSTER);
    let all = request.include_topic_authorized_operations;
    let create = request.allow_auto_topic_creation || call.version < 4;
    let mut topics = Vec::new();
    match request.topics {
        // in version 0 no topics means all
        Some(wanted) if call.version > 0 || !wanted.is_empty() => {
            for topic in wanted {
                topics.push(one(call, topic, create).await);
            }
        }
        _ => topics.extend(call.broker.storage.topics.list().iter().map(|topic| found(call, topic))),
    }
    let default = MetadataResponse::default();
    if all {
        let known = topics.iter_mut().filter(|topic| topic.error_code == Code::None.code());
        known.for_each(|topic| topic.topic_authorized_operations = operations::TOPIC);
    }
    MetadataResponse {
        brokers: vec![MetadataResponseBroker {
            node_id: call.node(),
            host: call.at.host.clone(),
            port: call.at.port.into(),
            rack: None,
        }],
        cluster_id: Some(call.broker.storage.cluster_id.clone()),
        controller_id: call.node(),
        topics,
        cluster_authorized_operations: operations.unwrap_or(default.cluster_authorized_operations),
        ..default
    }
}

async fn one(call: &Call<'_>, wanted: MetadataRequestTopic, create: bool) -> MetadataResponseTopic {
    let MetadataRequestTopic { topic_id, name } = wanted;
    let missing = |code: Code, name| MetadataResponseTopic {
        error_code: code.code(),
        name,
        topic_id,
        ..MetadataResponseTopic::default()
    };
    let Some(name) = name else {
        return match call.broker.topic(None, topic_id) {
            Some(topic) => found(call, &topic),
            None => missing(Code::UnknownTopicId, None),
        };
    };
    match call.broker.topic(Some(&name), topic_id) {
        Some(topic) => found(call, &topic),
        None if create && call.broker.settings.auto_create => match auto_create(call, &name).await {
            Ok(topic) => found(call, &topic),
            Err(error) => missing(note(&error), Some(name)),
        },
        None => {
            let check = call.broker.storage.topics.validate(&name, 1, &Values::new());
            let invalid = check.is_err_and(|error| error.kind == Kind::InvalidName);
            let code = if invalid { Code::InvalidTopic } else { Code::UnknownTopicOrPartition };
            missing(code, Some(name))
        }
    }
}

/// Makes a topic because somebody wants it. It is there when this answers: nobody has to ask twice.
pub(crate) async fn auto_create(call: &Call<'_>, name: &str) -> Result<Arc<Topic>> {
    let wanted = name.to_owned();
    let internal = is_internal(name);
    let made = blocking(call.broker, move |broker| {
        let (partitions, values) =
            if internal { (1, configuration()) } else { (broker.settings.partitions, Values::new()) };
        broker.storage.topics.create(&wanted, partitions, 1, values)
    });
    match made.await {
        Ok(topic) => {
            tracing::info!(topic = name, client = call.client, peer = %call.peer, "made on first use");
            Ok(topic)
        }
        // somebody else was faster
        Err(error) if error.kind == Kind::Exists => {
            let gone = || Error::new(Kind::NotFound, "find topic", name, "it was deleted");
            call.broker.storage.topics.get(name).ok_or_else(gone)
        }
        Err(error) => Err(error),
    }
}

fn found(call: &Call<'_>, topic: &Topic) -> MetadataResponseTopic {
    let node = call.node();
    MetadataResponseTopic {
        name: Some(topic.name.clone()),
        topic_id: topic.uuid(),
        is_internal: is_internal(&topic.name),
        partitions: topic
            .numbered()
            .map(|(number, partition)| MetadataResponsePartition {
                partition_index: number,
                leader_id: node,
                leader_epoch: partition.epoch(),
                replica_nodes: vec![node],
                isr_nodes: vec![node],
                ..MetadataResponsePartition::default()
            })
            .collect(),
        ..MetadataResponseTopic::default()
    }
}
