//! OffsetForLeaderEpoch.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Writer};

/// Versions 2 to 4.
#[derive(Clone, Debug, PartialEq)]
pub struct OffsetForLeaderEpochRequest {
    pub replica_id: i32,
    pub topics: Vec<OffsetForLeaderTopic>,
}

impl Default for OffsetForLeaderEpochRequest {
    fn default() -> Self {
        Self { replica_id: -2, topics: Default::default() }
    }
}

impl<'a> Message<'a> for OffsetForLeaderEpochRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 2..=4;

    fn flexible(version: i16) -> bool {
        version >= 4
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version >= 3 {
            value.replica_id = input.i32()?;
        }
        value.topics = input.array(|input| OffsetForLeaderTopic::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version >= 3 {
            out.i32(self.replica_id);
        }
        out.array(&self.topics, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for OffsetForLeaderEpochRequest {
    const KEY: Key = Key::OffsetForLeaderEpoch;
    type Response<'r> = OffsetForLeaderEpochResponse;
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct OffsetForLeaderTopic {
    pub topic: String,
    pub partitions: Vec<OffsetForLeaderPartition>,
}

impl OffsetForLeaderTopic {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.topic = input.string()?;
        value.partitions = input.array(|input| OffsetForLeaderPartition::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.string(&self.topic);
        out.array(&self.partitions, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct OffsetForLeaderPartition {
    pub partition: i32,
    pub current_leader_epoch: i32,
    pub leader_epoch: i32,
}

impl Default for OffsetForLeaderPartition {
    fn default() -> Self {
        Self { partition: Default::default(), current_leader_epoch: -1, leader_epoch: Default::default() }
    }
}

impl OffsetForLeaderPartition {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.partition = input.i32()?;
        value.current_leader_epoch = input.i32()?;
        value.leader_epoch = input.i32()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.i32(self.partition);
        out.i32(self.current_leader_epoch);
        out.i32(self.leader_epoch);
        out.tags(|_| {});
    }
}

/// Versions 2 to 4.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct OffsetForLeaderEpochResponse {
    pub throttle_time_ms: i32,
    pub topics: Vec<OffsetForLeaderTopicResult>,
}

impl<'a> Message<'a> for OffsetForLeaderEpochResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 2..=4;

    fn flexible(version: i16) -> bool {
        version >= 4
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.throttle_time_ms = input.i32()?;
        value.topics = input.array(|input| OffsetForLeaderTopicResult::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i32(self.throttle_time_ms);
        out.array(&self.topics, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct OffsetForLeaderTopicResult {
    pub topic: String,
    pub partitions: Vec<EpochEndOffset>,
}

impl OffsetForLeaderTopicResult {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.topic = input.string()?;
        value.partitions = input.array(|input| EpochEndOffset::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.string(&self.topic);
        out.array(&self.partitions, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct EpochEndOffset {
    pub error_code: i16,
    pub partition: i32,
    pub leader_epoch: i32,
    pub end_offset: i64,
}

impl Default for EpochEndOffset {
    fn default() -> Self {
        Self {
            error_code: Default::default(),
            partition: Default::default(),
            leader_epoch: -1,
            end_offset: -1,
        }
    }
}

impl EpochEndOffset {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.error_code = input.i16()?;
        value.partition = input.i32()?;
        value.leader_epoch = input.i32()?;
        value.end_offset = input.i64()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.i16(self.error_code);
        out.i32(self.partition);
        out.i32(self.leader_epoch);
        out.i64(self.end_offset);
        out.tags(|_| {});
    }
}
