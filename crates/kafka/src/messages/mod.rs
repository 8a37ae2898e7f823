//! Requests and responses by key; the fields are those of Kafka's documentation.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

#![allow(missing_docs, reason = "Kafka documents its fields")]
#![allow(
    clippy::field_reassign_with_default,
    clippy::too_many_lines,
    reason = "generated: one line for each field"
)]

pub mod add_offsets_to_txn;
pub mod add_partitions_to_txn;
pub mod alter_client_quotas;
pub mod alter_configs;
pub mod alter_partition_reassignments;
pub mod alter_user_scram_credentials;
pub mod api_versions;
pub mod consumer_group_describe;
pub mod consumer_group_heartbeat;
pub mod consumer_protocol_assignment;
pub mod consumer_protocol_subscription;
pub mod create_acls;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_acls;
pub mod delete_groups;
pub mod delete_records;
pub mod delete_topics;
pub mod describe_acls;
pub mod describe_client_quotas;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_groups;
pub mod describe_log_dirs;
pub mod describe_producers;
pub mod describe_quorum;
pub mod describe_topic_partitions;
pub mod describe_transactions;
pub mod describe_user_scram_credentials;
pub mod elect_leaders;
pub mod end_txn;
pub mod fetch;
pub mod find_coordinator;
pub mod heartbeat;
pub mod incremental_alter_configs;
pub mod init_producer_id;
pub mod join_group;
pub mod leave_group;
pub mod list_config_resources;
pub mod list_groups;
pub mod list_offsets;
pub mod list_partition_reassignments;
pub mod list_transactions;
pub mod metadata;
pub mod offset_commit;
pub mod offset_delete;
pub mod offset_fetch;
pub mod offset_for_leader_epoch;
pub mod produce;
pub mod sasl_authenticate;
pub mod sasl_handshake;
pub mod sync_group;
pub mod txn_offset_commit;
pub mod update_features;
pub mod write_txn_markers;

use crate::{Error, Message as _, Reader};

/// The number of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i16)]
pub enum Key {
    Produce = 0,
    Fetch = 1,
    ListOffsets = 2,
    Metadata = 3,
    OffsetCommit = 8,
    OffsetFetch = 9,
    FindCoordinator = 10,
    JoinGroup = 11,
    Heartbeat = 12,
    LeaveGroup = 13,
    SyncGroup = 14,
    DescribeGroups = 15,
    ListGroups = 16,
    SaslHandshake = 17,
    ApiVersions = 18,
    CreateTopics = 19,
    DeleteTopics = 20,
    DeleteRecords = 21,
    InitProducerId = 22,
    OffsetForLeaderEpoch = 23,
    AddPartitionsToTxn = 24,
    AddOffsetsToTxn = 25,
    EndTxn = 26,
    WriteTxnMarkers = 27,
    TxnOffsetCommit = 28,
    DescribeAcls = 29,
    CreateAcls = 30,
    DeleteAcls = 31,
    DescribeConfigs = 32,
    AlterConfigs = 33,
    DescribeLogDirs = 35,
    SaslAuthenticate = 36,
    CreatePartitions = 37,
    DeleteGroups = 42,
    ElectLeaders = 43,
    IncrementalAlterConfigs = 44,
    AlterPartitionReassignments = 45,
    ListPartitionReassignments = 46,
    OffsetDelete = 47,
    DescribeClientQuotas = 48,
    AlterClientQuotas = 49,
    DescribeUserScramCredentials = 50,
    AlterUserScramCredentials = 51,
    DescribeQuorum = 55,
    UpdateFeatures = 57,
    DescribeCluster = 60,
    DescribeProducers = 61,
    DescribeTransactions = 65,
    ListTransactions = 66,
    ConsumerGroupHeartbeat = 68,
    ConsumerGroupDescribe = 69,
    ListConfigResources = 74,
    DescribeTopicPartitions = 75,
}

impl Key {
    /// All that the schema has.
    pub const ALL: &[Self] = &[
        Self::Produce,
        Self::Fetch,
        Self::ListOffsets,
        Self::Metadata,
        Self::OffsetCommit,
        Self::OffsetFetch,
        Self::FindCoordinator,
        Self::JoinGroup,
        Self::Heartbeat,
        Self::LeaveGroup,
        Self::SyncGroup,
        Self::DescribeGroups,
        Self::ListGroups,
        Self::SaslHandshake,
        Self::ApiVersions,
        Self::CreateTopics,
        Self::DeleteTopics,
        Self::DeleteRecords,
        Self::InitProducerId,
        Self::OffsetForLeaderEpoch,
        Self::AddPartitionsToTxn,
        Self::AddOffsetsToTxn,
        Self::EndTxn,
        Self::WriteTxnMarkers,
        Self::TxnOffsetCommit,
        Self::DescribeAcls,
        Self::CreateAcls,
        Self::DeleteAcls,
        Self::DescribeConfigs,
        Self::AlterConfigs,
        Self::DescribeLogDirs,
        Self::SaslAuthenticate,
        Self::CreatePartitions,
        Self::DeleteGroups,
        Self::ElectLeaders,
        Self::IncrementalAlterConfigs,
        Self::AlterPartitionReassignments,
        Self::ListPartitionReassignments,
        Self::OffsetDelete,
        Self::DescribeClientQuotas,
        Self::AlterClientQuotas,
        Self::DescribeUserScramCredentials,
        Self::AlterUserScramCredentials,
        Self::DescribeQuorum,
        Self::UpdateFeatures,
        Self::DescribeCluster,
        Self::DescribeProducers,
        Self::DescribeTransactions,
        Self::ListTransactions,
        Self::ConsumerGroupHeartbeat,
        Self::ConsumerGroupDescribe,
        Self::ListConfigResources,
        Self::DescribeTopicPartitions,
    ];

    /// By the number.
    pub fn from_code(code: i16) -> Option<Self> {
        Self::ALL.iter().copied().find(|key| key.code() == code)
    }

    /// The number.
    pub fn code(self) -> i16 {
        self as i16
    }

    /// As Kafka calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Produce => "Produce",
            Self::Fetch => "Fetch",
            Self::ListOffsets => "ListOffsets",
            Self::Metadata => "Metadata",
            Self::OffsetCommit => "OffsetCommit",
            Self::OffsetFetch => "OffsetFetch",
            Self::FindCoordinator => "FindCoordinator",
            Self::JoinGroup => "JoinGroup",
            Self::Heartbeat => "Heartbeat",
            Self::LeaveGroup => "LeaveGroup",
            Self::SyncGroup => "SyncGroup",
            Self::DescribeGroups => "DescribeGroups",
            Self::ListGroups => "ListGroups",
            Self::SaslHandshake => "SaslHandshake",
            Self::ApiVersions => "ApiVersions",
            Self::CreateTopics => "CreateTopics",
            Self::DeleteTopics => "DeleteTopics",
            Self::DeleteRecords => "DeleteRecords",
            Self::InitProducerId => "InitProducerId",
            Self::OffsetForLeaderEpoch => "OffsetForLeaderEpoch",
            Self::AddPartitionsToTxn => "AddPartitionsToTxn",
            Self::AddOffsetsToTxn => "AddOffsetsToTxn",
            Self::EndTxn => "EndTxn",
            Self::WriteTxnMarkers => "WriteTxnMarkers",
            Self::TxnOffsetCommit => "TxnOffsetCommit",
            Self::DescribeAcls => "DescribeAcls",
            Self::CreateAcls => "CreateAcls",
            Self::DeleteAcls => "DeleteAcls",
            Self::DescribeConfigs => "DescribeConfigs",
            Self::AlterConfigs => "AlterConfigs",
            Self::DescribeLogDirs => "DescribeLogDirs",
            Self::SaslAuthenticate => "SaslAuthenticate",
            Self::CreatePartitions => "CreatePartitions",
            Self::DeleteGroups => "DeleteGroups",
            Self::ElectLeaders => "ElectLeaders",
            Self::IncrementalAlterConfigs => "IncrementalAlterConfigs",
            Self::AlterPartitionReassignments => "AlterPartitionReassignments",
            Self::ListPartitionReassignments => "ListPartitionReassignments",
            Self::OffsetDelete => "OffsetDelete",
            Self::DescribeClientQuotas => "DescribeClientQuotas",
            Self::AlterClientQuotas => "AlterClientQuotas",
            Self::DescribeUserScramCredentials => "DescribeUserScramCredentials",
            Self::AlterUserScramCredentials => "AlterUserScramCredentials",
            Self::DescribeQuorum => "DescribeQuorum",
            Self::UpdateFeatures => "UpdateFeatures",
            Self::DescribeCluster => "DescribeCluster",
            Self::DescribeProducers => "DescribeProducers",
            Self::DescribeTransactions => "DescribeTransactions",
            Self::ListTransactions => "ListTransactions",
            Self::ConsumerGroupHeartbeat => "ConsumerGroupHeartbeat",
            Self::ConsumerGroupDescribe => "ConsumerGroupDescribe",
            Self::ListConfigResources => "ListConfigResources",
            Self::DescribeTopicPartitions => "DescribeTopicPartitions",
        }
    }

    /// The versions that the schema has.
    pub fn versions(self) -> std::ops::RangeInclusive<i16> {
        match self {
            Self::Produce => produce::ProduceRequest::VERSIONS,
            Self::Fetch => fetch::FetchRequest::VERSIONS,
            Self::ListOffsets => list_offsets::ListOffsetsRequest::VERSIONS,
            Self::Metadata => metadata::MetadataRequest::VERSIONS,
            Self::OffsetCommit => offset_commit::OffsetCommitRequest::VERSIONS,
            Self::OffsetFetch => offset_fetch::OffsetFetchRequest::VERSIONS,
            Self::FindCoordinator => find_coordinator::FindCoordinatorRequest::VERSIONS,
            Self::JoinGroup => join_group::JoinGroupRequest::VERSIONS,
            Self::Heartbeat => heartbeat::HeartbeatRequest::VERSIONS,
            Self::LeaveGroup => leave_group::LeaveGroupRequest::VERSIONS,
            Self::SyncGroup => sync_group::SyncGroupRequest::VERSIONS,
            Self::DescribeGroups => describe_groups::DescribeGroupsRequest::VERSIONS,
            Self::ListGroups => list_groups::ListGroupsRequest::VERSIONS,
            Self::SaslHandshake => sasl_handshake::SaslHandshakeRequest::VERSIONS,
            Self::ApiVersions => api_versions::ApiVersionsRequest::VERSIONS,
            Self::CreateTopics => create_topics::CreateTopicsRequest::VERSIONS,
            Self::DeleteTopics => delete_topics::DeleteTopicsRequest::VERSIONS,
            Self::DeleteRecords => delete_records::DeleteRecordsRequest::VERSIONS,
            Self::InitProducerId => init_producer_id::InitProducerIdRequest::VERSIONS,
            Self::OffsetForLeaderEpoch => offset_for_leader_epoch::OffsetForLeaderEpochRequest::VERSIONS,
            Self::AddPartitionsToTxn => add_partitions_to_txn::AddPartitionsToTxnRequest::VERSIONS,
            Self::AddOffsetsToTxn => add_offsets_to_txn::AddOffsetsToTxnRequest::VERSIONS,
            Self::EndTxn => end_txn::EndTxnRequest::VERSIONS,
            Self::WriteTxnMarkers => write_txn_markers::WriteTxnMarkersRequest::VERSIONS,
            Self::TxnOffsetCommit => txn_offset_commit::TxnOffsetCommitRequest::VERSIONS,
            Self::DescribeAcls => describe_acls::DescribeAclsRequest::VERSIONS,
            Self::CreateAcls => create_acls::CreateAclsRequest::VERSIONS,
            Self::DeleteAcls => delete_acls::DeleteAclsRequest::VERSIONS,
            Self::DescribeConfigs => describe_configs::DescribeConfigsRequest::VERSIONS,
            Self::AlterConfigs => alter_configs::AlterConfigsRequest::VERSIONS,
            Self::DescribeLogDirs => describe_log_dirs::DescribeLogDirsRequest::VERSIONS,
            Self::SaslAuthenticate => sasl_authenticate::SaslAuthenticateRequest::VERSIONS,
            Self::CreatePartitions => create_partitions::CreatePartitionsRequest::VERSIONS,
            Self::DeleteGroups => delete_groups::DeleteGroupsRequest::VERSIONS,
            Self::ElectLeaders => elect_leaders::ElectLeadersRequest::VERSIONS,
            Self::IncrementalAlterConfigs => {
                incremental_alter_configs::IncrementalAlterConfigsRequest::VERSIONS
            }
            Self::AlterPartitionReassignments => {
                alter_partition_reassignments::AlterPartitionReassignmentsRequest::VERSIONS
            }
            Self::ListPartitionReassignments => {
                list_partition_reassignments::ListPartitionReassignmentsRequest::VERSIONS
            }
            Self::OffsetDelete => offset_delete::OffsetDeleteRequest::VERSIONS,
            Self::DescribeClientQuotas => describe_client_quotas::DescribeClientQuotasRequest::VERSIONS,
            Self::AlterClientQuotas => alter_client_quotas::AlterClientQuotasRequest::VERSIONS,
            Self::DescribeUserScramCredentials => {
                describe_user_scram_credentials::DescribeUserScramCredentialsRequest::VERSIONS
            }
            Self::AlterUserScramCredentials => {
                alter_user_scram_credentials::AlterUserScramCredentialsRequest::VERSIONS
            }
            Self::DescribeQuorum => describe_quorum::DescribeQuorumRequest::VERSIONS,
            Self::UpdateFeatures => update_features::UpdateFeaturesRequest::VERSIONS,
            Self::DescribeCluster => describe_cluster::DescribeClusterRequest::VERSIONS,
            Self::DescribeProducers => describe_producers::DescribeProducersRequest::VERSIONS,
            Self::DescribeTransactions => describe_transactions::DescribeTransactionsRequest::VERSIONS,
            Self::ListTransactions => list_transactions::ListTransactionsRequest::VERSIONS,
            Self::ConsumerGroupHeartbeat => consumer_group_heartbeat::ConsumerGroupHeartbeatRequest::VERSIONS,
            Self::ConsumerGroupDescribe => consumer_group_describe::ConsumerGroupDescribeRequest::VERSIONS,
            Self::ListConfigResources => list_config_resources::ListConfigResourcesRequest::VERSIONS,
            Self::DescribeTopicPartitions => {
                describe_topic_partitions::DescribeTopicPartitionsRequest::VERSIONS
            }
        }
    }

    /// Whether a version has compact lengths and tagged fields.
    pub fn flexible(self, version: i16) -> bool {
        match self {
            Self::Produce => produce::ProduceRequest::flexible(version),
            Self::Fetch => fetch::FetchRequest::flexible(version),
            Self::ListOffsets => list_offsets::ListOffsetsRequest::flexible(version),
            Self::Metadata => metadata::MetadataRequest::flexible(version),
            Self::OffsetCommit => offset_commit::OffsetCommitRequest::flexible(version),
            Self::OffsetFetch => offset_fetch::OffsetFetchRequest::flexible(version),
            Self::FindCoordinator => find_coordinator::FindCoordinatorRequest::flexible(version),
            Self::JoinGroup => join_group::JoinGroupRequest::flexible(version),
            Self::Heartbeat => heartbeat::HeartbeatRequest::flexible(version),
            Self::LeaveGroup => leave_group::LeaveGroupRequest::flexible(version),
            Self::SyncGroup => sync_group::SyncGroupRequest::flexible(version),
            Self::DescribeGroups => describe_groups::DescribeGroupsRequest::flexible(version),
            Self::ListGroups => list_groups::ListGroupsRequest::flexible(version),
            Self::SaslHandshake => sasl_handshake::SaslHandshakeRequest::flexible(version),
            Self::ApiVersions => api_versions::ApiVersionsRequest::flexible(version),
            Self::CreateTopics => create_topics::CreateTopicsRequest::flexible(version),
            Self::DeleteTopics => delete_topics::DeleteTopicsRequest::flexible(version),
            Self::DeleteRecords => delete_records::DeleteRecordsRequest::flexible(version),
            Self::InitProducerId => init_producer_id::InitProducerIdRequest::flexible(version),
            Self::OffsetForLeaderEpoch => {
                offset_for_leader_epoch::OffsetForLeaderEpochRequest::flexible(version)
            }
            Self::AddPartitionsToTxn => add_partitions_to_txn::AddPartitionsToTxnRequest::flexible(version),
            Self::AddOffsetsToTxn => add_offsets_to_txn::AddOffsetsToTxnRequest::flexible(version),
            Self::EndTxn => end_txn::EndTxnRequest::flexible(version),
            Self::WriteTxnMarkers => write_txn_markers::WriteTxnMarkersRequest::flexible(version),
            Self::TxnOffsetCommit => txn_offset_commit::TxnOffsetCommitRequest::flexible(version),
            Self::DescribeAcls => describe_acls::DescribeAclsRequest::flexible(version),
            Self::CreateAcls => create_acls::CreateAclsRequest::flexible(version),
            Self::DeleteAcls => delete_acls::DeleteAclsRequest::flexible(version),
            Self::DescribeConfigs => describe_configs::DescribeConfigsRequest::flexible(version),
            Self::AlterConfigs => alter_configs::AlterConfigsRequest::flexible(version),
            Self::DescribeLogDirs => describe_log_dirs::DescribeLogDirsRequest::flexible(version),
            Self::SaslAuthenticate => sasl_authenticate::SaslAuthenticateRequest::flexible(version),
            Self::CreatePartitions => create_partitions::CreatePartitionsRequest::flexible(version),
            Self::DeleteGroups => delete_groups::DeleteGroupsRequest::flexible(version),
            Self::ElectLeaders => elect_leaders::ElectLeadersRequest::flexible(version),
            Self::IncrementalAlterConfigs => {
                incremental_alter_configs::IncrementalAlterConfigsRequest::flexible(version)
            }
            Self::AlterPartitionReassignments => {
                alter_partition_reassignments::AlterPartitionReassignmentsRequest::flexible(version)
            }
            Self::ListPartitionReassignments => {
                list_partition_reassignments::ListPartitionReassignmentsRequest::flexible(version)
            }
            Self::OffsetDelete => offset_delete::OffsetDeleteRequest::flexible(version),
            Self::DescribeClientQuotas => {
                describe_client_quotas::DescribeClientQuotasRequest::flexible(version)
            }
            Self::AlterClientQuotas => alter_client_quotas::AlterClientQuotasRequest::flexible(version),
            Self::DescribeUserScramCredentials => {
                describe_user_scram_credentials::DescribeUserScramCredentialsRequest::flexible(version)
            }
            Self::AlterUserScramCredentials => {
                alter_user_scram_credentials::AlterUserScramCredentialsRequest::flexible(version)
            }
            Self::DescribeQuorum => describe_quorum::DescribeQuorumRequest::flexible(version),
            Self::UpdateFeatures => update_features::UpdateFeaturesRequest::flexible(version),
            Self::DescribeCluster => describe_cluster::DescribeClusterRequest::flexible(version),
            Self::DescribeProducers => describe_producers::DescribeProducersRequest::flexible(version),
            Self::DescribeTransactions => {
                describe_transactions::DescribeTransactionsRequest::flexible(version)
            }
            Self::ListTransactions => list_transactions::ListTransactionsRequest::flexible(version),
            Self::ConsumerGroupHeartbeat => {
                consumer_group_heartbeat::ConsumerGroupHeartbeatRequest::flexible(version)
            }
            Self::ConsumerGroupDescribe => {
                consumer_group_describe::ConsumerGroupDescribeRequest::flexible(version)
            }
            Self::ListConfigResources => list_config_resources::ListConfigResourcesRequest::flexible(version),
            Self::DescribeTopicPartitions => {
                describe_topic_partitions::DescribeTopicPartitionsRequest::flexible(version)
            }
        }
    }
}

/// Reads the message that Kafka calls so from bytes that are nothing else, and writes it again: for tests.
pub fn transcode(name: &str, version: i16, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    match name {
        "MetadataRequest" => again::<metadata::MetadataRequest>(version, bytes),
        "MetadataResponse" => again::<metadata::MetadataResponse>(version, bytes),
        "FindCoordinatorRequest" => again::<find_coordinator::FindCoordinatorRequest>(version, bytes),
        "FindCoordinatorResponse" => again::<find_coordinator::FindCoordinatorResponse>(version, bytes),
        "ApiVersionsRequest" => again::<api_versions::ApiVersionsRequest>(version, bytes),
        "ApiVersionsResponse" => again::<api_versions::ApiVersionsResponse>(version, bytes),
        "DescribeClusterRequest" => again::<describe_cluster::DescribeClusterRequest>(version, bytes),
        "DescribeClusterResponse" => again::<describe_cluster::DescribeClusterResponse>(version, bytes),
        "DescribeLogDirsRequest" => again::<describe_log_dirs::DescribeLogDirsRequest>(version, bytes),
        "DescribeLogDirsResponse" => again::<describe_log_dirs::DescribeLogDirsResponse>(version, bytes),
        "ListPartitionReassignmentsRequest" => {
            again::<list_partition_reassignments::ListPartitionReassignmentsRequest>(version, bytes)
        }
        "ListPartitionReassignmentsResponse" => {
            again::<list_partition_reassignments::ListPartitionReassignmentsResponse>(version, bytes)
        }
        "DescribeTopicPartitionsRequest" => {
            again::<describe_topic_partitions::DescribeTopicPartitionsRequest>(version, bytes)
        }
        "DescribeTopicPartitionsResponse" => {
            again::<describe_topic_partitions::DescribeTopicPartitionsResponse>(version, bytes)
        }
        "DescribeQuorumRequest" => again::<describe_quorum::DescribeQuorumRequest>(version, bytes),
        "DescribeQuorumResponse" => again::<describe_quorum::DescribeQuorumResponse>(version, bytes),
        "UpdateFeaturesRequest" => again::<update_features::UpdateFeaturesRequest>(version, bytes),
        "UpdateFeaturesResponse" => again::<update_features::UpdateFeaturesResponse>(version, bytes),
        "ElectLeadersRequest" => again::<elect_leaders::ElectLeadersRequest>(version, bytes),
        "ElectLeadersResponse" => again::<elect_leaders::ElectLeadersResponse>(version, bytes),
        "AlterPartitionReassignmentsRequest" => {
            again::<alter_partition_reassignments::AlterPartitionReassignmentsRequest>(version, bytes)
        }
        "AlterPartitionReassignmentsResponse" => {
            again::<alter_partition_reassignments::AlterPartitionReassignmentsResponse>(version, bytes)
        }
        "OffsetCommitRequest" => again::<offset_commit::OffsetCommitRequest>(version, bytes),
        "OffsetCommitResponse" => again::<offset_commit::OffsetCommitResponse>(version, bytes),
        "OffsetFetchRequest" => again::<offset_fetch::OffsetFetchRequest>(version, bytes),
        "OffsetFetchResponse" => again::<offset_fetch::OffsetFetchResponse>(version, bytes),
        "JoinGroupRequest" => again::<join_group::JoinGroupRequest>(version, bytes),
        "JoinGroupResponse" => again::<join_group::JoinGroupResponse>(version, bytes),
        "HeartbeatRequest" => again::<heartbeat::HeartbeatRequest>(version, bytes),
        "HeartbeatResponse" => again::<heartbeat::HeartbeatResponse>(version, bytes),
        "LeaveGroupRequest" => again::<leave_group::LeaveGroupRequest>(version, bytes),
        "LeaveGroupResponse" => again::<leave_group::LeaveGroupResponse>(version, bytes),
        "SyncGroupRequest" => again::<sync_group::SyncGroupRequest>(version, bytes),
        "SyncGroupResponse" => again::<sync_group::SyncGroupResponse>(version, bytes),
        "DescribeGroupsRequest" => again::<describe_groups::DescribeGroupsRequest>(version, bytes),
        "DescribeGroupsResponse" => again::<describe_groups::DescribeGroupsResponse>(version, bytes),
        "ListGroupsRequest" => again::<list_groups::ListGroupsRequest>(version, bytes),
        "ListGroupsResponse" => again::<list_groups::ListGroupsResponse>(version, bytes),
        "DeleteGroupsRequest" => again::<delete_groups::DeleteGroupsRequest>(version, bytes),
        "DeleteGroupsResponse" => again::<delete_groups::DeleteGroupsResponse>(version, bytes),
        "OffsetDeleteRequest" => again::<offset_delete::OffsetDeleteRequest>(version, bytes),
        "OffsetDeleteResponse" => again::<offset_delete::OffsetDeleteResponse>(version, bytes),
        "ConsumerGroupHeartbeatRequest" => {
            again::<consumer_group_heartbeat::ConsumerGroupHeartbeatRequest>(version, bytes)
        }
        "ConsumerGroupHeartbeatResponse" => {
            again::<consumer_group_heartbeat::ConsumerGroupHeartbeatResponse>(version, bytes)
        }
        "ConsumerGroupDescribeRequest" => {
            again::<consumer_group_describe::ConsumerGroupDescribeRequest>(version, bytes)
        }
        "ConsumerGroupDescribeResponse" => {
            again::<consumer_group_describe::ConsumerGroupDescribeResponse>(version, bytes)
        }
        "ConsumerProtocolSubscription" => {
            again::<consumer_protocol_subscription::ConsumerProtocolSubscription>(version, bytes)
        }
        "ConsumerProtocolAssignment" => {
            again::<consumer_protocol_assignment::ConsumerProtocolAssignment>(version, bytes)
        }
        "ProduceRequest" => again::<produce::ProduceRequest<'_>>(version, bytes),
        "ProduceResponse" => again::<produce::ProduceResponse>(version, bytes),
        "FetchRequest" => again::<fetch::FetchRequest>(version, bytes),
        "FetchResponse" => again::<fetch::FetchResponse<'_>>(version, bytes),
        "ListOffsetsRequest" => again::<list_offsets::ListOffsetsRequest>(version, bytes),
        "ListOffsetsResponse" => again::<list_offsets::ListOffsetsResponse>(version, bytes),
        "DeleteRecordsRequest" => again::<delete_records::DeleteRecordsRequest>(version, bytes),
        "DeleteRecordsResponse" => again::<delete_records::DeleteRecordsResponse>(version, bytes),
        "OffsetForLeaderEpochRequest" => {
            again::<offset_for_leader_epoch::OffsetForLeaderEpochRequest>(version, bytes)
        }
        "OffsetForLeaderEpochResponse" => {
            again::<offset_for_leader_epoch::OffsetForLeaderEpochResponse>(version, bytes)
        }
        "SaslHandshakeRequest" => again::<sasl_handshake::SaslHandshakeRequest>(version, bytes),
        "SaslHandshakeResponse" => again::<sasl_handshake::SaslHandshakeResponse>(version, bytes),
        "SaslAuthenticateRequest" => again::<sasl_authenticate::SaslAuthenticateRequest>(version, bytes),
        "SaslAuthenticateResponse" => again::<sasl_authenticate::SaslAuthenticateResponse>(version, bytes),
        "DescribeUserScramCredentialsRequest" => {
            again::<describe_user_scram_credentials::DescribeUserScramCredentialsRequest>(version, bytes)
        }
        "DescribeUserScramCredentialsResponse" => {
            again::<describe_user_scram_credentials::DescribeUserScramCredentialsResponse>(version, bytes)
        }
        "AlterUserScramCredentialsRequest" => {
            again::<alter_user_scram_credentials::AlterUserScramCredentialsRequest>(version, bytes)
        }
        "AlterUserScramCredentialsResponse" => {
            again::<alter_user_scram_credentials::AlterUserScramCredentialsResponse>(version, bytes)
        }
        "DescribeAclsRequest" => again::<describe_acls::DescribeAclsRequest>(version, bytes),
        "DescribeAclsResponse" => again::<describe_acls::DescribeAclsResponse>(version, bytes),
        "CreateAclsRequest" => again::<create_acls::CreateAclsRequest>(version, bytes),
        "CreateAclsResponse" => again::<create_acls::CreateAclsResponse>(version, bytes),
        "DeleteAclsRequest" => again::<delete_acls::DeleteAclsRequest>(version, bytes),
        "DeleteAclsResponse" => again::<delete_acls::DeleteAclsResponse>(version, bytes),
        "DescribeClientQuotasRequest" => {
            again::<describe_client_quotas::DescribeClientQuotasRequest>(version, bytes)
        }
        "DescribeClientQuotasResponse" => {
            again::<describe_client_quotas::DescribeClientQuotasResponse>(version, bytes)
        }
        "AlterClientQuotasRequest" => again::<alter_client_quotas::AlterClientQuotasRequest>(version, bytes),
        "AlterClientQuotasResponse" => {
            again::<alter_client_quotas::AlterClientQuotasResponse>(version, bytes)
        }
        "CreateTopicsRequest" => again::<create_topics::CreateTopicsRequest>(version, bytes),
        "CreateTopicsResponse" => again::<create_topics::CreateTopicsResponse>(version, bytes),
        "DeleteTopicsRequest" => again::<delete_topics::DeleteTopicsRequest>(version, bytes),
        "DeleteTopicsResponse" => again::<delete_topics::DeleteTopicsResponse>(version, bytes),
        "CreatePartitionsRequest" => again::<create_partitions::CreatePartitionsRequest>(version, bytes),
        "CreatePartitionsResponse" => again::<create_partitions::CreatePartitionsResponse>(version, bytes),
        "DescribeConfigsRequest" => again::<describe_configs::DescribeConfigsRequest>(version, bytes),
        "DescribeConfigsResponse" => again::<describe_configs::DescribeConfigsResponse>(version, bytes),
        "AlterConfigsRequest" => again::<alter_configs::AlterConfigsRequest>(version, bytes),
        "AlterConfigsResponse" => again::<alter_configs::AlterConfigsResponse>(version, bytes),
        "IncrementalAlterConfigsRequest" => {
            again::<incremental_alter_configs::IncrementalAlterConfigsRequest>(version, bytes)
        }
        "IncrementalAlterConfigsResponse" => {
            again::<incremental_alter_configs::IncrementalAlterConfigsResponse>(version, bytes)
        }
        "ListConfigResourcesRequest" => {
            again::<list_config_resources::ListConfigResourcesRequest>(version, bytes)
        }
        "ListConfigResourcesResponse" => {
            again::<list_config_resources::ListConfigResourcesResponse>(version, bytes)
        }
        "InitProducerIdRequest" => again::<init_producer_id::InitProducerIdRequest>(version, bytes),
        "InitProducerIdResponse" => again::<init_producer_id::InitProducerIdResponse>(version, bytes),
        "AddPartitionsToTxnRequest" => {
            again::<add_partitions_to_txn::AddPartitionsToTxnRequest>(version, bytes)
        }
        "AddPartitionsToTxnResponse" => {
            again::<add_partitions_to_txn::AddPartitionsToTxnResponse>(version, bytes)
        }
        "AddOffsetsToTxnRequest" => again::<add_offsets_to_txn::AddOffsetsToTxnRequest>(version, bytes),
        "AddOffsetsToTxnResponse" => again::<add_offsets_to_txn::AddOffsetsToTxnResponse>(version, bytes),
        "EndTxnRequest" => again::<end_txn::EndTxnRequest>(version, bytes),
        "EndTxnResponse" => again::<end_txn::EndTxnResponse>(version, bytes),
        "WriteTxnMarkersRequest" => again::<write_txn_markers::WriteTxnMarkersRequest>(version, bytes),
        "WriteTxnMarkersResponse" => again::<write_txn_markers::WriteTxnMarkersResponse>(version, bytes),
        "TxnOffsetCommitRequest" => again::<txn_offset_commit::TxnOffsetCommitRequest>(version, bytes),
        "TxnOffsetCommitResponse" => again::<txn_offset_commit::TxnOffsetCommitResponse>(version, bytes),
        "DescribeProducersRequest" => again::<describe_producers::DescribeProducersRequest>(version, bytes),
        "DescribeProducersResponse" => again::<describe_producers::DescribeProducersResponse>(version, bytes),
        "DescribeTransactionsRequest" => {
            again::<describe_transactions::DescribeTransactionsRequest>(version, bytes)
        }
        "DescribeTransactionsResponse" => {
            again::<describe_transactions::DescribeTransactionsResponse>(version, bytes)
        }
        "ListTransactionsRequest" => again::<list_transactions::ListTransactionsRequest>(version, bytes),
        "ListTransactionsResponse" => again::<list_transactions::ListTransactionsResponse>(version, bytes),
        _ => Err(Error::Null),
    }
}

fn again<'a, M: crate::Message<'a>>(version: i16, bytes: &'a [u8]) -> Result<Vec<u8>, Error> {
    let mut input = Reader::new(bytes, M::flexible(version));
    let message = M::read(&mut input, version)?;
    if !input.rest().is_empty() {
        return Err(Error::Length(0));
    }
    Ok(message.encode(version))
}
