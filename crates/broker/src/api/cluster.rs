//! `DescribeCluster`, `FindCoordinator`, `DescribeLogDirs`: a cluster of one node.

use super::{Call, blocking, internal, note, operations};
use crate::{
    broker::Broker,
    error::{At as _, Result},
};
use dhow_kafka::{
    Code,
    messages::{
        describe_cluster::{DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse},
        describe_log_dirs::{
            DescribableLogDirTopic, DescribeLogDirsPartition, DescribeLogDirsRequest,
            DescribeLogDirsResponse, DescribeLogDirsResult, DescribeLogDirsTopic,
        },
        find_coordinator::{Coordinator, FindCoordinatorRequest, FindCoordinatorResponse},
    },
};

/// Endpoints of brokers, as opposed to those of controllers.
const BROKERS: i8 = 1;

pub(crate) fn describe_cluster(call: &Call<'_>, request: DescribeClusterRequest) -> DescribeClusterResponse {
    let cluster_id = call.broker.storage.cluster_id.clone();
    if request.endpoint_type != BROKERS {
        return DescribeClusterResponse {
            error_code: Code::MismatchedEndpointType.code(),
            error_message: Some("there are endpoints of brokers only".to_owned()),
            cluster_id,
            ..DescribeClusterResponse::default()
        };
    }
    let operations = request.include_cluster_authorized_operations.then_some(operations::CLUSTER);
    let default = DescribeClusterResponse::default();
    DescribeClusterResponse {
        cluster_id,
        controller_id: call.node(),
        brokers: vec![DescribeClusterBroker {
            broker_id: call.node(),
            host: call.at.host.clone(),
            port: call.at.port.into(),
            ..DescribeClusterBroker::default()
        }],
        cluster_authorized_operations: operations.unwrap_or(default.cluster_authorized_operations),
        ..default
    }
}

/// Who coordinates a group or a transaction.
mod coordinated {
    pub(super) const GROUP: i8 = 0;
    pub(super) const TRANSACTION: i8 = 1;
}

pub(crate) async fn find_coordinator(
    call: &Call<'_>,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    let state = match request.key_type {
        coordinated::GROUP => Some(internal::OFFSETS),
        coordinated::TRANSACTION => Some(internal::TRANSACTIONS),
        _ => None,
    };
    if let Some(topic) = state
        && let Err(error) = internal::show(call, topic).await
    {
        // what it is for works without it
        note(&error);
    }
    let one = |key: String| {
        if state.is_some() {
            let (host, port) = (call.at.host.clone(), call.at.port.into());
            return Coordinator { key, node_id: call.node(), host, port, ..Coordinator::default() };
        }
        Coordinator {
            key,
            node_id: -1,
            port: -1,
            error_code: Code::InvalidRequest.code(),
            error_message: Some("there is no coordinator of that kind".to_owned()),
            ..Coordinator::default()
        }
    };
    if call.version >= 4 {
        let coordinators = request.coordinator_keys.into_iter().map(one).collect();
        return FindCoordinatorResponse { coordinators, ..FindCoordinatorResponse::default() };
    }
    let Coordinator { node_id, host, port, error_code, error_message, .. } = one(request.key);
    FindCoordinatorResponse {
        node_id,
        host,
        port,
        error_code,
        error_message,
        ..FindCoordinatorResponse::default()
    }
}

pub(crate) async fn describe_log_dirs(
    call: &Call<'_>,
    request: DescribeLogDirsRequest,
) -> DescribeLogDirsResponse {
    let looked = blocking(call.broker, move |broker| log_dir(broker, request.topics.as_deref()));
    let result = looked.await.unwrap_or_else(|error| DescribeLogDirsResult {
        error_code: note(&error).code(),
        log_dir: call.broker.logs().display().to_string(),
        ..DescribeLogDirsResult::default()
    });
    DescribeLogDirsResponse { results: vec![result], ..DescribeLogDirsResponse::default() }
}

/// The one folder of logs; `asked` are the topics and partitions that are wanted, or all.
fn log_dir(broker: &Broker, asked: Option<&[DescribableLogDirTopic]>) -> Result<DescribeLogDirsResult> {
    let folder = broker.logs();
    let space = rustix::fs::statvfs(&folder).at("look at", folder.display())?;
    let bytes = |blocks: u64| i64::try_from(blocks.saturating_mul(space.f_frsize)).unwrap_or(i64::MAX);
    let mut topics = Vec::new();
    for topic in broker.storage.topics.list() {
        let wanted = match asked {
            None => None,
            Some(asked) => match asked.iter().find(|one| one.topic == topic.name) {
                Some(one) => Some(&one.partitions),
                None => continue,
            },
        };
        let mut partitions = Vec::new();
        for (number, partition) in topic.numbered() {
            if wanted.is_none_or(|wanted| wanted.contains(&number)) {
                let size = i64::try_from(partition.size()?).unwrap_or(i64::MAX);
                partitions.push(DescribeLogDirsPartition {
                    partition_index: number,
                    partition_size: size,
                    ..DescribeLogDirsPartition::default()
                });
            }
        }
        topics.push(DescribeLogDirsTopic { name: topic.name.clone(), partitions });
    }
    Ok(DescribeLogDirsResult {
        log_dir: folder.display().to_string(),
        topics,
        total_bytes: bytes(space.f_blocks),
        usable_bytes: bytes(space.f_bavail),
        ..DescribeLogDirsResult::default()
    })
}
