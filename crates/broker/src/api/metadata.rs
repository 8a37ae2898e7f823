//! `Metadata`: where the partitions are, which is here; topics that are wanted and not there are made.

use super::{Call, blocking, note};
use crate::{
    catalog::{Topic, config::Overrides},
    error::{Error, Kind, Result},
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
    let create = request.allow_auto_topic_creation || call.version < 4;
    let mut topics = Vec::new();
    match request.topics {
        // in version 0 no topics means all
        Some(wanted) if call.version > 0 || !wanted.is_empty() => {
            for topic in wanted {
                topics.push(one(call, topic, create).await);
            }
        }
        _ => topics.extend(call.broker.catalog.all().iter().map(|topic| found(call, topic))),
    }
    MetadataResponse {
        brokers: vec![MetadataResponseBroker {
            node_id: call.node(),
            host: call.at.host.clone(),
            port: call.at.port.into(),
            rack: None,
        }],
        cluster_id: Some(call.broker.cluster_id.clone()),
        controller_id: call.node(),
        topics,
        ..MetadataResponse::default()
    }
}

async fn one(call: &Call<'_>, wanted: MetadataRequestTopic, create: bool) -> MetadataResponseTopic {
    let MetadataRequestTopic { topic_id, name } = wanted;
    let catalog = &call.broker.catalog;
    let missing = |code: Code, name| MetadataResponseTopic {
        error_code: code.code(),
        name,
        topic_id,
        ..MetadataResponseTopic::default()
    };
    let Some(name) = name else {
        return match catalog.with_id(topic_id) {
            Some(topic) => found(call, &topic),
            None => missing(Code::UnknownTopicId, None),
        };
    };
    match catalog.named(&name) {
        Some(topic) => found(call, &topic),
        None if create && call.broker.settings.auto_create => match auto_create(call, &name).await {
            Ok(topic) => found(call, &topic),
            Err(error) => missing(note(&error), Some(name)),
        },
        None => {
            let named = catalog.check(&name, 1, &Overrides::new()).err().map(|error| error.kind);
            let invalid = named == Some(Kind::InvalidName);
            let code = if invalid { Code::InvalidTopic } else { Code::UnknownTopicOrPartition };
            missing(code, Some(name))
        }
    }
}

/// Makes a topic because somebody wants it. It is there when this answers: nobody has to ask twice.
pub(crate) async fn auto_create(call: &Call<'_>, name: &str) -> Result<Arc<Topic>> {
    let wanted = name.to_owned();
    let made = blocking(call.broker, move |broker| {
        broker.catalog.create(&wanted, broker.settings.partitions, 1, Overrides::new())
    });
    match made.await {
        Ok((topic, ticket)) => {
            ticket.await?;
            tracing::info!(topic = name, client = call.client, peer = %call.peer, "made on first use");
            Ok(topic)
        }
        // somebody else was faster
        Err(error) if error.kind == Kind::Exists => {
            let gone = || Error::new(Kind::NotFound, "find topic", name, "it was deleted");
            call.broker.catalog.named(name).ok_or_else(gone)
        }
        Err(error) => Err(error),
    }
}

fn found(call: &Call<'_>, topic: &Topic) -> MetadataResponseTopic {
    let node = call.node();
    MetadataResponseTopic {
        name: Some(topic.name.clone()),
        topic_id: topic.id,
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
