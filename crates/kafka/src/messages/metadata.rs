//! Metadata.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Uuid, Writer};

/// Versions 0 to 13.
#[derive(Clone, Debug, PartialEq)]
pub struct MetadataRequest {
    pub topics: Option<Vec<MetadataRequestTopic>>,
    pub allow_auto_topic_creation: bool,
    pub include_cluster_authorized_operations: bool,
    pub include_topic_authorized_operations: bool,
}

impl Default for MetadataRequest {
    fn default() -> Self {
        Self {
            topics: Default::default(),
            allow_auto_topic_creation: true,
            include_cluster_authorized_operations: Default::default(),
            include_topic_authorized_operations: Default::default(),
        }
    }
}

impl<'a> Message<'a> for MetadataRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=13;

    fn flexible(version: i16) -> bool {
        version >= 9
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.topics = input.optional_array(|input| MetadataRequestTopic::read(input, version))?;
        if version >= 4 {
            value.allow_auto_topic_creation = input.bool()?;
        }
        if (8..=10).contains(&version) {
            value.include_cluster_authorized_operations = input.bool()?;
        }
        if version >= 8 {
            value.include_topic_authorized_operations = input.bool()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.optional_array(self.topics.as_deref(), |out, one| one.write(out, version));
        if version >= 4 {
            out.bool(self.allow_auto_topic_creation);
        }
        if (8..=10).contains(&version) {
            out.bool(self.include_cluster_authorized_operations);
        }
        if version >= 8 {
            out.bool(self.include_topic_authorized_operations);
        }
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for MetadataRequest {
    const KEY: Key = Key::Metadata;
    type Response<'r> = MetadataResponse;
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct MetadataRequestTopic {
    pub topic_id: Uuid,
    pub name: Option<String>,
}

impl MetadataRequestTopic {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version >= 10 {
            value.topic_id = input.uuid()?;
        }
        value.name = input.optional_string()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version >= 10 {
            out.uuid(self.topic_id);
        }
        out.optional_string(self.name.as_deref());
        out.tags(|_| {});
    }
}

/// Versions 0 to 13.
#[derive(Clone, Debug, PartialEq)]
pub struct MetadataResponse {
    pub throttle_time_ms: i32,
    pub brokers: Vec<MetadataResponseBroker>,
    pub cluster_id: Option<String>,
    pub controller_id: i32,
    pub topics: Vec<MetadataResponseTopic>,
    pub cluster_authorized_operations: i32,
    pub error_code: i16,
}

impl Default for MetadataResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: Default::default(),
            brokers: Default::default(),
            cluster_id: Default::default(),
            controller_id: -1,
            topics: Default::default(),
            cluster_authorized_operations: i32::MIN,
            error_code: Default::default(),
        }
    }
}

impl<'a> Message<'a> for MetadataResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=13;

    fn flexible(version: i16) -> bool {
        version >= 9
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version >= 3 {
            value.throttle_time_ms = input.i32()?;
        }
        value.brokers = input.array(|input| MetadataResponseBroker::read(input, version))?;
        if version >= 2 {
            value.cluster_id = input.optional_string()?;
        }
        if version >= 1 {
            value.controller_id = input.i32()?;
        }
        value.topics = input.array(|input| MetadataResponseTopic::read(input, version))?;
        if (8..=10).contains(&version) {
            value.cluster_authorized_operations = input.i32()?;
        }
        if version == 13 {
            value.error_code = input.i16()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version >= 3 {
            out.i32(self.throttle_time_ms);
        }
        out.array(&self.brokers, |out, one| one.write(out, version));
        if version >= 2 {
            out.optional_string(self.cluster_id.as_deref());
        }
        if version >= 1 {
            out.i32(self.controller_id);
        }
        out.array(&self.topics, |out, one| one.write(out, version));
        if (8..=10).contains(&version) {
            out.i32(self.cluster_authorized_operations);
        }
        if version == 13 {
            out.i16(self.error_code);
        }
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct MetadataResponseBroker {
    pub node_id: i32,
    pub host: String,
    pub port: i32,
    pub rack: Option<String>,
}

impl MetadataResponseBroker {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.node_id = input.i32()?;
        value.host = input.string()?;
        value.port = input.i32()?;
        if version >= 1 {
            value.rack = input.optional_string()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i32(self.node_id);
        out.string(&self.host);
        out.i32(self.port);
        if version >= 1 {
            out.optional_string(self.rack.as_deref());
        }
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct MetadataResponseTopic {
    pub error_code: i16,
    pub name: Option<String>,
    pub topic_id: Uuid,
    pub is_internal: bool,
    pub partitions: Vec<MetadataResponsePartition>,
    pub topic_authorized_operations: i32,
}

impl Default for MetadataResponseTopic {
    fn default() -> Self {
        Self {
            error_code: Default::default(),
            name: Default::default(),
            topic_id: Default::default(),
            is_internal: Default::default(),
            partitions: Default::default(),
            topic_authorized_operations: i32::MIN,
        }
    }
}

impl MetadataResponseTopic {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.error_code = input.i16()?;
        value.name = input.optional_string()?;
        if version >= 10 {
            value.topic_id = input.uuid()?;
        }
        if version >= 1 {
            value.is_internal = input.bool()?;
        }
        value.partitions = input.array(|input| MetadataResponsePartition::read(input, version))?;
        if version >= 8 {
            value.topic_authorized_operations = input.i32()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i16(self.error_code);
        out.optional_string(self.name.as_deref());
        if version >= 10 {
            out.uuid(self.topic_id);
        }
        if version >= 1 {
            out.bool(self.is_internal);
        }
        out.array(&self.partitions, |out, one| one.write(out, version));
        if version >= 8 {
            out.i32(self.topic_authorized_operations);
        }
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct MetadataResponsePartition {
    pub error_code: i16,
    pub partition_index: i32,
    pub leader_id: i32,
    pub leader_epoch: i32,
    pub replica_nodes: Vec<i32>,
    pub isr_nodes: Vec<i32>,
    pub offline_replicas: Vec<i32>,
}

impl Default for MetadataResponsePartition {
    fn default() -> Self {
        Self {
            error_code: Default::default(),
            partition_index: Default::default(),
            leader_id: Default::default(),
            leader_epoch: -1,
            replica_nodes: Default::default(),
            isr_nodes: Default::default(),
            offline_replicas: Default::default(),
        }
    }
}

impl MetadataResponsePartition {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.error_code = input.i16()?;
        value.partition_index = input.i32()?;
        value.leader_id = input.i32()?;
        if version >= 7 {
            value.leader_epoch = input.i32()?;
        }
        value.replica_nodes = input.array(Reader::i32)?;
        value.isr_nodes = input.array(Reader::i32)?;
        if version >= 5 {
            value.offline_replicas = input.array(Reader::i32)?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i16(self.error_code);
        out.i32(self.partition_index);
        out.i32(self.leader_id);
        if version >= 7 {
            out.i32(self.leader_epoch);
        }
        out.array(&self.replica_nodes, |out, one| out.i32(*one));
        out.array(&self.isr_nodes, |out, one| out.i32(*one));
        if version >= 5 {
            out.array(&self.offline_replicas, |out, one| out.i32(*one));
        }
        out.tags(|_| {});
    }
}
