//! Fetch.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Records, Request, Uuid, Writer};

/// Versions 4 to 18.
#[derive(Clone, Debug, PartialEq)]
pub struct FetchRequest {
    pub cluster_id: Option<String>,
    pub replica_id: i32,
    pub replica_state: ReplicaState,
    pub max_wait_ms: i32,
    pub min_bytes: i32,
    pub max_bytes: i32,
    pub isolation_level: i8,
    pub session_id: i32,
    pub session_epoch: i32,
    pub topics: Vec<FetchTopic>,
    pub forgotten_topics_data: Vec<ForgottenTopic>,
    pub rack_id: String,
}

impl Default for FetchRequest {
    fn default() -> Self {
        Self {
            cluster_id: Default::default(),
            replica_id: -1,
            replica_state: Default::default(),
            max_wait_ms: Default::default(),
            min_bytes: Default::default(),
            max_bytes: i32::MAX,
            isolation_level: Default::default(),
            session_id: Default::default(),
            session_epoch: -1,
            topics: Default::default(),
            forgotten_topics_data: Default::default(),
            rack_id: Default::default(),
        }
    }
}

impl<'a> Message<'a> for FetchRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 4..=18;

    fn flexible(version: i16) -> bool {
        version >= 12
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version <= 14 {
            value.replica_id = input.i32()?;
        }
        value.max_wait_ms = input.i32()?;
        value.min_bytes = input.i32()?;
        value.max_bytes = input.i32()?;
        value.isolation_level = input.i8()?;
        if version >= 7 {
            value.session_id = input.i32()?;
        }
        if version >= 7 {
            value.session_epoch = input.i32()?;
        }
        value.topics = input.array(|input| FetchTopic::read(input, version))?;
        if version >= 7 {
            value.forgotten_topics_data = input.array(|input| ForgottenTopic::read(input, version))?;
        }
        if version >= 11 {
            value.rack_id = input.string()?;
        }
        input.tags(|tag, input| {
            match tag {
                0 if version >= 12 => value.cluster_id = input.optional_string()?,
                1 if version >= 15 => value.replica_state = ReplicaState::read(input, version)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version <= 14 {
            out.i32(self.replica_id);
        }
        out.i32(self.max_wait_ms);
        out.i32(self.min_bytes);
        out.i32(self.max_bytes);
        out.i8(self.isolation_level);
        if version >= 7 {
            out.i32(self.session_id);
        }
        if version >= 7 {
            out.i32(self.session_epoch);
        }
        out.array(&self.topics, |out, one| one.write(out, version));
        if version >= 7 {
            out.array(&self.forgotten_topics_data, |out, one| one.write(out, version));
        }
        if version >= 11 {
            out.string(&self.rack_id);
        }
        out.tags(|tags| {
            if version >= 12 && self.cluster_id.is_some() {
                tags.add(0, |out| out.optional_string(self.cluster_id.as_deref()));
            }
            if version >= 15 && self.replica_state != ReplicaState::default() {
                tags.add(1, |out| self.replica_state.write(out, version));
            }
        });
    }
}

impl<'a> Request<'a> for FetchRequest {
    const KEY: Key = Key::Fetch;
    type Response<'r> = FetchResponse<'r>;
}

#[derive(Clone, Debug, PartialEq)]
pub struct ReplicaState {
    pub replica_id: i32,
    pub replica_epoch: i64,
}

impl Default for ReplicaState {
    fn default() -> Self {
        Self { replica_id: -1, replica_epoch: -1 }
    }
}

impl ReplicaState {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version >= 15 {
            value.replica_id = input.i32()?;
        }
        if version >= 15 {
            value.replica_epoch = input.i64()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version >= 15 {
            out.i32(self.replica_id);
        }
        if version >= 15 {
            out.i64(self.replica_epoch);
        }
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct FetchTopic {
    pub topic: String,
    pub topic_id: Uuid,
    pub partitions: Vec<FetchPartition>,
}

impl FetchTopic {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version <= 12 {
            value.topic = input.string()?;
        }
        if version >= 13 {
            value.topic_id = input.uuid()?;
        }
        value.partitions = input.array(|input| FetchPartition::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version <= 12 {
            out.string(&self.topic);
        }
        if version >= 13 {
            out.uuid(self.topic_id);
        }
        out.array(&self.partitions, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct ForgottenTopic {
    pub topic: String,
    pub topic_id: Uuid,
    pub partitions: Vec<i32>,
}

impl ForgottenTopic {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if (7..=12).contains(&version) {
            value.topic = input.string()?;
        }
        if version >= 13 {
            value.topic_id = input.uuid()?;
        }
        if version >= 7 {
            value.partitions = input.array(Reader::i32)?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if (7..=12).contains(&version) {
            out.string(&self.topic);
        }
        if version >= 13 {
            out.uuid(self.topic_id);
        }
        if version >= 7 {
            out.array(&self.partitions, |out, one| out.i32(*one));
        }
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct FetchPartition {
    pub partition: i32,
    pub current_leader_epoch: i32,
    pub fetch_offset: i64,
    pub last_fetched_epoch: i32,
    pub log_start_offset: i64,
    pub partition_max_bytes: i32,
    pub replica_directory_id: Uuid,
    pub high_watermark: i64,
}

impl Default for FetchPartition {
    fn default() -> Self {
        Self {
            partition: Default::default(),
            current_leader_epoch: -1,
            fetch_offset: Default::default(),
            last_fetched_epoch: -1,
            log_start_offset: -1,
            partition_max_bytes: Default::default(),
            replica_directory_id: Default::default(),
            high_watermark: i64::MAX,
        }
    }
}

impl FetchPartition {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.partition = input.i32()?;
        if version >= 9 {
            value.current_leader_epoch = input.i32()?;
        }
        value.fetch_offset = input.i64()?;
        if version >= 12 {
            value.last_fetched_epoch = input.i32()?;
        }
        if version >= 5 {
            value.log_start_offset = input.i64()?;
        }
        value.partition_max_bytes = input.i32()?;
        input.tags(|tag, input| {
            match tag {
                0 if version >= 17 => value.replica_directory_id = input.uuid()?,
                1 if version == 18 => value.high_watermark = input.i64()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i32(self.partition);
        if version >= 9 {
            out.i32(self.current_leader_epoch);
        }
        out.i64(self.fetch_offset);
        if version >= 12 {
            out.i32(self.last_fetched_epoch);
        }
        if version >= 5 {
            out.i64(self.log_start_offset);
        }
        out.i32(self.partition_max_bytes);
        out.tags(|tags| {
            if version >= 17 && !self.replica_directory_id.is_zero() {
                tags.add(0, |out| out.uuid(self.replica_directory_id));
            }
            if version == 18 && self.high_watermark != i64::MAX {
                tags.add(1, |out| out.i64(self.high_watermark));
            }
        });
    }
}

/// Versions 4 to 18.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct FetchResponse<'a> {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub session_id: i32,
    pub responses: Vec<FetchableTopicResponse<'a>>,
    pub node_endpoints: Vec<NodeEndpoint>,
}

impl<'a> Message<'a> for FetchResponse<'a> {
    const VERSIONS: std::ops::RangeInclusive<i16> = 4..=18;

    fn flexible(version: i16) -> bool {
        version >= 12
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.throttle_time_ms = input.i32()?;
        if version >= 7 {
            value.error_code = input.i16()?;
        }
        if version >= 7 {
            value.session_id = input.i32()?;
        }
        value.responses = input.array(|input| FetchableTopicResponse::read(input, version))?;
        input.tags(|tag, input| {
            match tag {
                0 if version >= 16 => {
                    value.node_endpoints = input.array(|input| NodeEndpoint::read(input, version))?
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i32(self.throttle_time_ms);
        if version >= 7 {
            out.i16(self.error_code);
        }
        if version >= 7 {
            out.i32(self.session_id);
        }
        out.array(&self.responses, |out, one| one.write(out, version));
        out.tags(|tags| {
            if version >= 16 && !self.node_endpoints.is_empty() {
                tags.add(0, |out| out.array(&self.node_endpoints, |out, one| one.write(out, version)));
            }
        });
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct FetchableTopicResponse<'a> {
    pub topic: String,
    pub topic_id: Uuid,
    pub partitions: Vec<PartitionData<'a>>,
}

impl<'a> FetchableTopicResponse<'a> {
    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version <= 12 {
            value.topic = input.string()?;
        }
        if version >= 13 {
            value.topic_id = input.uuid()?;
        }
        value.partitions = input.array(|input| PartitionData::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version <= 12 {
            out.string(&self.topic);
        }
        if version >= 13 {
            out.uuid(self.topic_id);
        }
        out.array(&self.partitions, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct NodeEndpoint {
    pub node_id: i32,
    pub host: String,
    pub port: i32,
    pub rack: Option<String>,
}

impl NodeEndpoint {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version >= 16 {
            value.node_id = input.i32()?;
        }
        if version >= 16 {
            value.host = input.string()?;
        }
        if version >= 16 {
            value.port = input.i32()?;
        }
        if version >= 16 {
            value.rack = input.optional_string()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version >= 16 {
            out.i32(self.node_id);
        }
        if version >= 16 {
            out.string(&self.host);
        }
        if version >= 16 {
            out.i32(self.port);
        }
        if version >= 16 {
            out.optional_string(self.rack.as_deref());
        }
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct PartitionData<'a> {
    pub partition_index: i32,
    pub error_code: i16,
    pub high_watermark: i64,
    pub last_stable_offset: i64,
    pub log_start_offset: i64,
    pub diverging_epoch: EpochEndOffset,
    pub current_leader: LeaderIdAndEpoch,
    pub snapshot_id: SnapshotId,
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    pub preferred_read_replica: i32,
    pub records: Records<'a>,
}

impl Default for PartitionData<'_> {
    fn default() -> Self {
        Self {
            partition_index: Default::default(),
            error_code: Default::default(),
            high_watermark: Default::default(),
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging_epoch: Default::default(),
            current_leader: Default::default(),
            snapshot_id: Default::default(),
            aborted_transactions: Default::default(),
            preferred_read_replica: -1,
            records: Default::default(),
        }
    }
}

impl<'a> PartitionData<'a> {
    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.partition_index = input.i32()?;
        value.error_code = input.i16()?;
        value.high_watermark = input.i64()?;
        value.last_stable_offset = input.i64()?;
        if version >= 5 {
            value.log_start_offset = input.i64()?;
        }
        value.aborted_transactions =
            input.optional_array(|input| AbortedTransaction::read(input, version))?;
        if version >= 11 {
            value.preferred_read_replica = input.i32()?;
        }
        value.records = input.records()?;
        input.tags(|tag, input| {
            match tag {
                0 if version >= 12 => value.diverging_epoch = EpochEndOffset::read(input, version)?,
                1 if version >= 12 => value.current_leader = LeaderIdAndEpoch::read(input, version)?,
                2 if version >= 12 => value.snapshot_id = SnapshotId::read(input, version)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i32(self.partition_index);
        out.i16(self.error_code);
        out.i64(self.high_watermark);
        out.i64(self.last_stable_offset);
        if version >= 5 {
            out.i64(self.log_start_offset);
        }
        out.optional_array(self.aborted_transactions.as_deref(), |out, one| one.write(out, version));
        if version >= 11 {
            out.i32(self.preferred_read_replica);
        }
        out.records(self.records);
        out.tags(|tags| {
            if version >= 12 && self.diverging_epoch != EpochEndOffset::default() {
                tags.add(0, |out| self.diverging_epoch.write(out, version));
            }
            if version >= 12 && self.current_leader != LeaderIdAndEpoch::default() {
                tags.add(1, |out| self.current_leader.write(out, version));
            }
            if version >= 12 && self.snapshot_id != SnapshotId::default() {
                tags.add(2, |out| self.snapshot_id.write(out, version));
            }
        });
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct EpochEndOffset {
    pub epoch: i32,
    pub end_offset: i64,
}

impl Default for EpochEndOffset {
    fn default() -> Self {
        Self { epoch: -1, end_offset: -1 }
    }
}

impl EpochEndOffset {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version >= 12 {
            value.epoch = input.i32()?;
        }
        if version >= 12 {
            value.end_offset = input.i64()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version >= 12 {
            out.i32(self.epoch);
        }
        if version >= 12 {
            out.i64(self.end_offset);
        }
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct LeaderIdAndEpoch {
    pub leader_id: i32,
    pub leader_epoch: i32,
}

impl Default for LeaderIdAndEpoch {
    fn default() -> Self {
        Self { leader_id: -1, leader_epoch: -1 }
    }
}

impl LeaderIdAndEpoch {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version >= 12 {
            value.leader_id = input.i32()?;
        }
        if version >= 12 {
            value.leader_epoch = input.i32()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version >= 12 {
            out.i32(self.leader_id);
        }
        if version >= 12 {
            out.i32(self.leader_epoch);
        }
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct SnapshotId {
    pub end_offset: i64,
    pub epoch: i32,
}

impl Default for SnapshotId {
    fn default() -> Self {
        Self { end_offset: -1, epoch: -1 }
    }
}

impl SnapshotId {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.end_offset = input.i64()?;
        value.epoch = input.i32()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.i64(self.end_offset);
        out.i32(self.epoch);
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct AbortedTransaction {
    pub producer_id: i64,
    pub first_offset: i64,
}

impl AbortedTransaction {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.producer_id = input.i64()?;
        value.first_offset = input.i64()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.i64(self.producer_id);
        out.i64(self.first_offset);
        out.tags(|_| {});
    }
}
