//! DescribeQuorum.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Uuid, Writer};

/// Versions 0 to 2.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct DescribeQuorumRequest {
    pub topics: Vec<AskedTopicData>,
}

impl<'a> Message<'a> for DescribeQuorumRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=2;

    fn flexible(_version: i16) -> bool {
        true
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.topics = input.array(|input| AskedTopicData::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.array(&self.topics, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for DescribeQuorumRequest {
    const KEY: Key = Key::DescribeQuorum;
    type Response<'r> = DescribeQuorumResponse;
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct AskedTopicData {
    pub topic_name: String,
    pub partitions: Vec<AskedPartitionData>,
}

impl AskedTopicData {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.topic_name = input.string()?;
        value.partitions = input.array(|input| AskedPartitionData::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.string(&self.topic_name);
        out.array(&self.partitions, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct AskedPartitionData {
    pub partition_index: i32,
}

impl AskedPartitionData {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.partition_index = input.i32()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.i32(self.partition_index);
        out.tags(|_| {});
    }
}

/// Versions 0 to 2.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct DescribeQuorumResponse {
    pub error_code: i16,
    pub error_message: Option<String>,
    pub topics: Vec<TopicData>,
    pub nodes: Vec<Node>,
}

impl<'a> Message<'a> for DescribeQuorumResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=2;

    fn flexible(_version: i16) -> bool {
        true
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.error_code = input.i16()?;
        if version == 2 {
            value.error_message = input.optional_string()?;
        }
        value.topics = input.array(|input| TopicData::read(input, version))?;
        if version == 2 {
            value.nodes = input.array(|input| Node::read(input, version))?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i16(self.error_code);
        if version == 2 {
            out.optional_string(self.error_message.as_deref());
        }
        out.array(&self.topics, |out, one| one.write(out, version));
        if version == 2 {
            out.array(&self.nodes, |out, one| one.write(out, version));
        }
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct ReplicaState {
    pub replica_id: i32,
    pub replica_directory_id: Uuid,
    pub log_end_offset: i64,
    pub last_fetch_timestamp: i64,
    pub last_caught_up_timestamp: i64,
}

impl Default for ReplicaState {
    fn default() -> Self {
        Self {
            replica_id: Default::default(),
            replica_directory_id: Default::default(),
            log_end_offset: Default::default(),
            last_fetch_timestamp: -1,
            last_caught_up_timestamp: -1,
        }
    }
}

impl ReplicaState {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.replica_id = input.i32()?;
        if version == 2 {
            value.replica_directory_id = input.uuid()?;
        }
        value.log_end_offset = input.i64()?;
        if version >= 1 {
            value.last_fetch_timestamp = input.i64()?;
        }
        if version >= 1 {
            value.last_caught_up_timestamp = input.i64()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i32(self.replica_id);
        if version == 2 {
            out.uuid(self.replica_directory_id);
        }
        out.i64(self.log_end_offset);
        if version >= 1 {
            out.i64(self.last_fetch_timestamp);
        }
        if version >= 1 {
            out.i64(self.last_caught_up_timestamp);
        }
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct TopicData {
    pub topic_name: String,
    pub partitions: Vec<PartitionData>,
}

impl TopicData {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.topic_name = input.string()?;
        value.partitions = input.array(|input| PartitionData::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.string(&self.topic_name);
        out.array(&self.partitions, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct Node {
    pub node_id: i32,
    pub listeners: Vec<Listener>,
}

impl Node {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version == 2 {
            value.node_id = input.i32()?;
        }
        if version == 2 {
            value.listeners = input.array(|input| Listener::read(input, version))?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version == 2 {
            out.i32(self.node_id);
        }
        if version == 2 {
            out.array(&self.listeners, |out, one| one.write(out, version));
        }
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct PartitionData {
    pub partition_index: i32,
    pub error_code: i16,
    pub error_message: Option<String>,
    pub leader_id: i32,
    pub leader_epoch: i32,
    pub high_watermark: i64,
    pub current_voters: Vec<ReplicaState>,
    pub observers: Vec<ReplicaState>,
}

impl PartitionData {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.partition_index = input.i32()?;
        value.error_code = input.i16()?;
        if version == 2 {
            value.error_message = input.optional_string()?;
        }
        value.leader_id = input.i32()?;
        value.leader_epoch = input.i32()?;
        value.high_watermark = input.i64()?;
        value.current_voters = input.array(|input| ReplicaState::read(input, version))?;
        value.observers = input.array(|input| ReplicaState::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i32(self.partition_index);
        out.i16(self.error_code);
        if version == 2 {
            out.optional_string(self.error_message.as_deref());
        }
        out.i32(self.leader_id);
        out.i32(self.leader_epoch);
        out.i64(self.high_watermark);
        out.array(&self.current_voters, |out, one| one.write(out, version));
        out.array(&self.observers, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct Listener {
    pub name: String,
    pub host: String,
    pub port: u16,
}

impl Listener {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version == 2 {
            value.name = input.string()?;
        }
        if version == 2 {
            value.host = input.string()?;
        }
        if version == 2 {
            value.port = input.u16()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version == 2 {
            out.string(&self.name);
        }
        if version == 2 {
            out.string(&self.host);
        }
        if version == 2 {
            out.u16(self.port);
        }
        out.tags(|_| {});
    }
}
