//! ConsumerGroupHeartbeat.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Uuid, Writer};

/// Versions 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct ConsumerGroupHeartbeatRequest {
    pub group_id: String,
    pub member_id: String,
    pub member_epoch: i32,
    pub instance_id: Option<String>,
    pub rack_id: Option<String>,
    pub rebalance_timeout_ms: i32,
    pub subscribed_topic_names: Option<Vec<String>>,
    pub subscribed_topic_regex: Option<String>,
    pub server_assignor: Option<String>,
    pub topic_partitions: Option<Vec<OwnedTopicPartitions>>,
}

impl Default for ConsumerGroupHeartbeatRequest {
    fn default() -> Self {
        Self {
            group_id: Default::default(),
            member_id: Default::default(),
            member_epoch: Default::default(),
            instance_id: Default::default(),
            rack_id: Default::default(),
            rebalance_timeout_ms: -1,
            subscribed_topic_names: Default::default(),
            subscribed_topic_regex: Default::default(),
            server_assignor: Default::default(),
            topic_partitions: Default::default(),
        }
    }
}

impl<'a> Message<'a> for ConsumerGroupHeartbeatRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=1;

    fn flexible(_version: i16) -> bool {
        true
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.group_id = input.string()?;
        value.member_id = input.string()?;
        value.member_epoch = input.i32()?;
        value.instance_id = input.optional_string()?;
        value.rack_id = input.optional_string()?;
        value.rebalance_timeout_ms = input.i32()?;
        value.subscribed_topic_names = input.optional_array(Reader::string)?;
        if version == 1 {
            value.subscribed_topic_regex = input.optional_string()?;
        }
        value.server_assignor = input.optional_string()?;
        value.topic_partitions = input.optional_array(|input| OwnedTopicPartitions::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.string(&self.group_id);
        out.string(&self.member_id);
        out.i32(self.member_epoch);
        out.optional_string(self.instance_id.as_deref());
        out.optional_string(self.rack_id.as_deref());
        out.i32(self.rebalance_timeout_ms);
        out.optional_array(self.subscribed_topic_names.as_deref(), |out, one| out.string(one));
        if version == 1 {
            out.optional_string(self.subscribed_topic_regex.as_deref());
        }
        out.optional_string(self.server_assignor.as_deref());
        out.optional_array(self.topic_partitions.as_deref(), |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for ConsumerGroupHeartbeatRequest {
    const KEY: Key = Key::ConsumerGroupHeartbeat;
    type Response<'r> = ConsumerGroupHeartbeatResponse;
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct OwnedTopicPartitions {
    pub topic_id: Uuid,
    pub partitions: Vec<i32>,
}

impl OwnedTopicPartitions {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.topic_id = input.uuid()?;
        value.partitions = input.array(Reader::i32)?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.uuid(self.topic_id);
        out.array(&self.partitions, |out, one| out.i32(*one));
        out.tags(|_| {});
    }
}

/// Versions 0 to 1.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ConsumerGroupHeartbeatResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub error_message: Option<String>,
    pub member_id: Option<String>,
    pub member_epoch: i32,
    pub heartbeat_interval_ms: i32,
    pub assignment: Option<Assignment>,
}

impl<'a> Message<'a> for ConsumerGroupHeartbeatResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=1;

    fn flexible(_version: i16) -> bool {
        true
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.throttle_time_ms = input.i32()?;
        value.error_code = input.i16()?;
        value.error_message = input.optional_string()?;
        value.member_id = input.optional_string()?;
        value.member_epoch = input.i32()?;
        value.heartbeat_interval_ms = input.i32()?;
        value.assignment = input.optional(|input| Assignment::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i32(self.throttle_time_ms);
        out.i16(self.error_code);
        out.optional_string(self.error_message.as_deref());
        out.optional_string(self.member_id.as_deref());
        out.i32(self.member_epoch);
        out.i32(self.heartbeat_interval_ms);
        out.optional(self.assignment.as_ref(), |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct TopicPartitions {
    pub topic_id: Uuid,
    pub partitions: Vec<i32>,
}

impl TopicPartitions {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.topic_id = input.uuid()?;
        value.partitions = input.array(Reader::i32)?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.uuid(self.topic_id);
        out.array(&self.partitions, |out, one| out.i32(*one));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct Assignment {
    pub topic_partitions: Vec<TopicPartitions>,
}

impl Assignment {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.topic_partitions = input.array(|input| TopicPartitions::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.array(&self.topic_partitions, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}
