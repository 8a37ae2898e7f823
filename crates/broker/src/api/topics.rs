//! `CreateTopics`, `DeleteTopics`, `CreatePartitions`.

use super::{Call, blocking, configs, note};
use crate::{
    error::Error,
    topics::{Topic, config::Values},
};
use dhow_kafka::{
    Code, Uuid,
    messages::{
        create_partitions::{
            CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic,
            CreatePartitionsTopicResult,
        },
        create_topics::{
            CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfigs, CreatableTopicResult,
            CreateTopicsRequest, CreateTopicsResponse,
        },
        delete_topics::{DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse},
    },
};

/// A number that says: the broker's default.
const DEFAULT: i32 = -1;

type Refusal = (Code, String);

fn refusal(error: &Error) -> Refusal {
    (note(error), error.to_string())
}

pub(crate) async fn create_topics(call: &Call<'_>, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let names: Vec<String> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    let mut topics = Vec::with_capacity(names.len());
    for wanted in request.topics {
        let name = wanted.name.clone();
        let twice = names.iter().filter(|other| **other == name).count() > 1;
        let outcome = if twice {
            Err((Code::InvalidRequest, "Duplicate topic name.".to_owned()))
        } else {
            create(call, wanted, request.validate_only).await
        };
        topics.push(outcome.unwrap_or_else(|(code, why)| CreatableTopicResult {
            name,
            error_code: code.code(),
            error_message: Some(why),
            topic_config_error_code: code.code(),
            ..CreatableTopicResult::default()
        }));
    }
    CreateTopicsResponse { topics, ..CreateTopicsResponse::default() }
}

async fn create(
    call: &Call<'_>,
    wanted: CreatableTopic,
    validate_only: bool,
) -> Result<CreatableTopicResult, Refusal> {
    let name = wanted.name.clone();
    let partitions = partitions(call, &wanted)?;
    let replication = replication(call, &wanted)?;
    let mut values = Values::new();
    for config in wanted.configs {
        let null =
            || (Code::InvalidConfig, format!("Null value not supported for topic configs: {}", config.name));
        values.insert(config.name.clone(), config.value.ok_or_else(null)?);
    }
    let topics = &call.broker.storage.topics;
    if validate_only {
        topics.validate(&name, partitions, &values).map_err(|error| refusal(&error))?;
        return Ok(result(call, &name, Uuid::ZERO, partitions, &values));
    }
    let made = blocking(call.broker, move |broker| {
        broker.storage.topics.create(&wanted.name, partitions, replication, values)
    });
    let topic = made.await.map_err(|error| refusal(&error))?;
    tracing::info!(topic = name, partitions, client = call.client, "made");
    Ok(result(call, &name, topic.uuid(), partitions, &topic.configs))
}

fn result(call: &Call<'_>, name: &str, id: Uuid, partitions: u32, values: &Values) -> CreatableTopicResult {
    let configs = configs::effective(values, call.broker.storage.topics.defaults());
    CreatableTopicResult {
        name: name.to_owned(),
        topic_id: id,
        num_partitions: i32::try_from(partitions).unwrap_or(i32::MAX),
        replication_factor: 1,
        configs: Some(
            configs
                .map(|one| CreatableTopicConfigs {
                    name: one.entry.name.to_owned(),
                    value: Some(one.value.to_owned()),
                    config_source: one.source,
                    ..CreatableTopicConfigs::default()
                })
                .collect(),
        ),
        ..CreatableTopicResult::default()
    }
}

/// How many partitions: as said, as assigned, or as the broker's default is.
fn partitions(call: &Call<'_>, wanted: &CreatableTopic) -> Result<u32, Refusal> {
    if wanted.assignments.is_empty() {
        if wanted.num_partitions == DEFAULT {
            return Ok(call.broker.settings.partitions);
        }
        let refuse = |_| {
            (
                Code::InvalidPartitions,
                "Number of partitions was set to an invalid non-positive value.".to_owned(),
            )
        };
        return u32::try_from(wanted.num_partitions).map_err(refuse);
    }
    if wanted.num_partitions != DEFAULT || wanted.replication_factor != -1 {
        let why = "A manual partition assignment was specified, but numPartitions or replicationFactor was not set to -1.";
        return Err((Code::InvalidRequest, why.to_owned()));
    }
    let mut numbers: Vec<i32> =
        wanted.assignments.iter().map(|assignment| assignment.partition_index).collect();
    numbers.sort_unstable();
    if !(0..).zip(&numbers).all(|(want, have)| want == *have) {
        let why = "partitions should be a consecutive 0-based integer sequence";
        return Err((Code::InvalidReplicaAssignment, why.to_owned()));
    }
    let nodes = wanted.assignments.iter().map(|CreatableReplicaAssignment { broker_ids, .. }| broker_ids);
    check_nodes(call, nodes)?;
    Ok(u32::try_from(numbers.len()).unwrap_or(u32::MAX))
}

/// There is one node: that is where everything can be assigned to.
fn check_nodes<'a>(call: &Call<'_>, assigned: impl Iterator<Item = &'a Vec<i32>>) -> Result<(), Refusal> {
    let node = call.node();
    for nodes in assigned {
        if nodes != &[node] {
            let why = format!(
                "The manual partition assignment includes brokers {nodes:?}, and there is broker {node} alone."
            );
            return Err((Code::InvalidReplicaAssignment, why));
        }
    }
    Ok(())
}

/// The replication factor that is remembered; there is one replica, whatever is asked for.
fn replication(call: &Call<'_>, wanted: &CreatableTopic) -> Result<i16, Refusal> {
    match wanted.replication_factor {
        -1 => Ok(1),
        factor if factor < 1 => {
            Err((Code::InvalidReplicationFactor, "Replication factor must be larger than 0.".to_owned()))
        }
        factor if factor > 1 && call.broker.settings.strict_replication => Err((
            Code::InvalidReplicationFactor,
            format!(
                "Unable to replicate the partition {factor} time(s): The target replication factor of {factor} cannot be reached because only 1 broker(s) are registered."
            ),
        )),
        factor => Ok(factor),
    }
}

pub(crate) async fn delete_topics(call: &Call<'_>, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let by_name = request
        .topic_names
        .into_iter()
        .map(|name| DeleteTopicState { name: Some(name), ..DeleteTopicState::default() });
    let mut responses = Vec::new();
    for wanted in by_name.chain(request.topics) {
        let mut answer = DeletableTopicResult {
            name: wanted.name.clone(),
            topic_id: wanted.topic_id,
            ..DeletableTopicResult::default()
        };
        let unknown =
            if wanted.name.is_some() { Code::UnknownTopicOrPartition } else { Code::UnknownTopicId };
        match call.broker.topic(wanted.name.as_deref(), wanted.topic_id) {
            Some(topic) => {
                (answer.name, answer.topic_id) = (Some(topic.name.clone()), topic.uuid());
                let deleted = blocking(call.broker, move |broker| {
                    broker.storage.topics.delete(&topic.name)?;
                    broker.groups.forget_topic(&topic.name)?.wait()
                });
                if let Err(error) = deleted.await {
                    (answer.error_code, answer.error_message) =
                        (note(&error).code(), Some(error.to_string()));
                }
            }
            None => answer.error_code = unknown.code(),
        }
        responses.push(answer);
    }
    DeleteTopicsResponse { responses, ..DeleteTopicsResponse::default() }
}

pub(crate) async fn create_partitions(
    call: &Call<'_>,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let mut results = Vec::with_capacity(request.topics.len());
    for wanted in request.topics {
        let name = wanted.name.clone();
        let (code, why) = match grow(call, wanted, request.validate_only).await {
            Ok(()) => (Code::None, None),
            Err((code, why)) => (code, Some(why)),
        };
        results.push(CreatePartitionsTopicResult { name, error_code: code.code(), error_message: why });
    }
    CreatePartitionsResponse { results, ..CreatePartitionsResponse::default() }
}

async fn grow(call: &Call<'_>, wanted: CreatePartitionsTopic, validate_only: bool) -> Result<(), Refusal> {
    let name = wanted.name;
    let unknown =
        || (Code::UnknownTopicOrPartition, "This server does not host this topic-partition.".to_owned());
    let topic = call.broker.storage.topics.get(&name).ok_or_else(unknown)?;
    let more = check_growth(&topic, wanted.count)?;
    if let Some(assignments) = wanted.assignments {
        if assignments.len() != more {
            let why = format!("{more} partitions are added, and {} are assigned", assignments.len());
            return Err((Code::InvalidReplicaAssignment, why));
        }
        check_nodes(call, assignments.iter().map(|assignment| &assignment.broker_ids))?;
    }
    if validate_only {
        return Ok(());
    }
    let count = u32::try_from(wanted.count).unwrap_or_default();
    let grown = blocking(call.broker, move |broker| broker.storage.topics.grow(&name, count)).await;
    grown.map(drop).map_err(|error| refusal(&error))
}

/// How many partitions are added.
fn check_growth(topic: &Topic, count: i32) -> Result<usize, Refusal> {
    let have = topic.partitions.len();
    match usize::try_from(count) {
        Ok(count) if count > have => Ok(count - have),
        _ => {
            let why = format!(
                "The topic {} currently has {have} partition(s); {count} would not be an increase.",
                topic.name
            );
            Err((Code::InvalidPartitions, why))
        }
    }
}
