//! Produce.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Records, Request, Uuid, Writer};

/// Versions 3 to 13.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ProduceRequest<'a> {
    pub transactional_id: Option<String>,
    pub acks: i16,
    pub timeout_ms: i32,
    pub topic_data: Vec<TopicProduceData<'a>>,
}

impl<'a> Message<'a> for ProduceRequest<'a> {
    const VERSIONS: std::ops::RangeInclusive<i16> = 3..=13;

    fn flexible(version: i16) -> bool {
        version >= 9
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.transactional_id = input.optional_string()?;
        value.acks = input.i16()?;
        value.timeout_ms = input.i32()?;
        value.topic_data = input.array(|input| TopicProduceData::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.optional_string(self.transactional_id.as_deref());
        out.i16(self.acks);
        out.i32(self.timeout_ms);
        out.array(&self.topic_data, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for ProduceRequest<'a> {
    const KEY: Key = Key::Produce;
    type Response<'r> = ProduceResponse;
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct TopicProduceData<'a> {
    pub name: String,
    pub topic_id: Uuid,
    pub partition_data: Vec<PartitionProduceData<'a>>,
}

impl<'a> TopicProduceData<'a> {
    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version <= 12 {
            value.name = input.string()?;
        }
        if version == 13 {
            value.topic_id = input.uuid()?;
        }
        value.partition_data = input.array(|input| PartitionProduceData::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version <= 12 {
            out.string(&self.name);
        }
        if version == 13 {
            out.uuid(self.topic_id);
        }
        out.array(&self.partition_data, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct PartitionProduceData<'a> {
    pub index: i32,
    pub records: Records<'a>,
}

impl<'a> PartitionProduceData<'a> {
    fn read(input: &mut Reader<'a>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.index = input.i32()?;
        value.records = input.records()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.i32(self.index);
        out.records(self.records);
        out.tags(|_| {});
    }
}

/// Versions 3 to 13.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ProduceResponse {
    pub responses: Vec<TopicProduceResponse>,
    pub throttle_time_ms: i32,
    pub node_endpoints: Vec<NodeEndpoint>,
}

impl<'a> Message<'a> for ProduceResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 3..=13;

    fn flexible(version: i16) -> bool {
        version >= 9
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.responses = input.array(|input| TopicProduceResponse::read(input, version))?;
        value.throttle_time_ms = input.i32()?;
        input.tags(|tag, input| {
            match tag {
                0 if version >= 10 => {
                    value.node_endpoints = input.array(|input| NodeEndpoint::read(input, version))?
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.array(&self.responses, |out, one| one.write(out, version));
        out.i32(self.throttle_time_ms);
        out.tags(|tags| {
            if version >= 10 && !self.node_endpoints.is_empty() {
                tags.add(0, |out| out.array(&self.node_endpoints, |out, one| one.write(out, version)));
            }
        });
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct TopicProduceResponse {
    pub name: String,
    pub topic_id: Uuid,
    pub partition_responses: Vec<PartitionProduceResponse>,
}

impl TopicProduceResponse {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version <= 12 {
            value.name = input.string()?;
        }
        if version == 13 {
            value.topic_id = input.uuid()?;
        }
        value.partition_responses = input.array(|input| PartitionProduceResponse::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version <= 12 {
            out.string(&self.name);
        }
        if version == 13 {
            out.uuid(self.topic_id);
        }
        out.array(&self.partition_responses, |out, one| one.write(out, version));
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
        if version >= 10 {
            value.node_id = input.i32()?;
        }
        if version >= 10 {
            value.host = input.string()?;
        }
        if version >= 10 {
            value.port = input.i32()?;
        }
        if version >= 10 {
            value.rack = input.optional_string()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version >= 10 {
            out.i32(self.node_id);
        }
        if version >= 10 {
            out.string(&self.host);
        }
        if version >= 10 {
            out.i32(self.port);
        }
        if version >= 10 {
            out.optional_string(self.rack.as_deref());
        }
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct PartitionProduceResponse {
    pub index: i32,
    pub error_code: i16,
    pub base_offset: i64,
    pub log_append_time_ms: i64,
    pub log_start_offset: i64,
    pub record_errors: Vec<BatchIndexAndErrorMessage>,
    pub error_message: Option<String>,
    pub current_leader: LeaderIdAndEpoch,
}

impl Default for PartitionProduceResponse {
    fn default() -> Self {
        Self {
            index: Default::default(),
            error_code: Default::default(),
            base_offset: Default::default(),
            log_append_time_ms: -1,
            log_start_offset: -1,
            record_errors: Default::default(),
            error_message: Default::default(),
            current_leader: Default::default(),
        }
    }
}

impl PartitionProduceResponse {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.index = input.i32()?;
        value.error_code = input.i16()?;
        value.base_offset = input.i64()?;
        value.log_append_time_ms = input.i64()?;
        if version >= 5 {
            value.log_start_offset = input.i64()?;
        }
        if version >= 8 {
            value.record_errors = input.array(|input| BatchIndexAndErrorMessage::read(input, version))?;
        }
        if version >= 8 {
            value.error_message = input.optional_string()?;
        }
        input.tags(|tag, input| {
            match tag {
                0 if version >= 10 => value.current_leader = LeaderIdAndEpoch::read(input, version)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i32(self.index);
        out.i16(self.error_code);
        out.i64(self.base_offset);
        out.i64(self.log_append_time_ms);
        if version >= 5 {
            out.i64(self.log_start_offset);
        }
        if version >= 8 {
            out.array(&self.record_errors, |out, one| one.write(out, version));
        }
        if version >= 8 {
            out.optional_string(self.error_message.as_deref());
        }
        out.tags(|tags| {
            if version >= 10 && self.current_leader != LeaderIdAndEpoch::default() {
                tags.add(0, |out| self.current_leader.write(out, version));
            }
        });
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct BatchIndexAndErrorMessage {
    pub batch_index: i32,
    pub batch_index_error_message: Option<String>,
}

impl BatchIndexAndErrorMessage {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version >= 8 {
            value.batch_index = input.i32()?;
        }
        if version >= 8 {
            value.batch_index_error_message = input.optional_string()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version >= 8 {
            out.i32(self.batch_index);
        }
        if version >= 8 {
            out.optional_string(self.batch_index_error_message.as_deref());
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
        if version >= 10 {
            value.leader_id = input.i32()?;
        }
        if version >= 10 {
            value.leader_epoch = input.i32()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version >= 10 {
            out.i32(self.leader_id);
        }
        if version >= 10 {
            out.i32(self.leader_epoch);
        }
        out.tags(|_| {});
    }
}
