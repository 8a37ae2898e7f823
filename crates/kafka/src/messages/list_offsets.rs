//! ListOffsets.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Writer};

/// Versions 1 to 11.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ListOffsetsRequest {
    pub replica_id: i32,
    pub isolation_level: i8,
    pub topics: Vec<ListOffsetsTopic>,
    pub timeout_ms: i32,
}

impl<'a> Message<'a> for ListOffsetsRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 1..=11;

    fn flexible(version: i16) -> bool {
        version >= 6
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.replica_id = input.i32()?;
        if version >= 2 {
            value.isolation_level = input.i8()?;
        }
        value.topics = input.array(|input| ListOffsetsTopic::read(input, version))?;
        if version >= 10 {
            value.timeout_ms = input.i32()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i32(self.replica_id);
        if version >= 2 {
            out.i8(self.isolation_level);
        }
        out.array(&self.topics, |out, one| one.write(out, version));
        if version >= 10 {
            out.i32(self.timeout_ms);
        }
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for ListOffsetsRequest {
    const KEY: Key = Key::ListOffsets;
    type Response<'r> = ListOffsetsResponse;
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct ListOffsetsTopic {
    pub name: String,
    pub partitions: Vec<ListOffsetsPartition>,
}

impl ListOffsetsTopic {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.name = input.string()?;
        value.partitions = input.array(|input| ListOffsetsPartition::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.string(&self.name);
        out.array(&self.partitions, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct ListOffsetsPartition {
    pub partition_index: i32,
    pub current_leader_epoch: i32,
    pub timestamp: i64,
}

impl Default for ListOffsetsPartition {
    fn default() -> Self {
        Self { partition_index: Default::default(), current_leader_epoch: -1, timestamp: Default::default() }
    }
}

impl ListOffsetsPartition {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.partition_index = input.i32()?;
        if version >= 4 {
            value.current_leader_epoch = input.i32()?;
        }
        value.timestamp = input.i64()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i32(self.partition_index);
        if version >= 4 {
            out.i32(self.current_leader_epoch);
        }
        out.i64(self.timestamp);
        out.tags(|_| {});
    }
}

/// Versions 1 to 11.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ListOffsetsResponse {
    pub throttle_time_ms: i32,
    pub topics: Vec<ListOffsetsTopicResponse>,
}

impl<'a> Message<'a> for ListOffsetsResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 1..=11;

    fn flexible(version: i16) -> bool {
        version >= 6
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version >= 2 {
            value.throttle_time_ms = input.i32()?;
        }
        value.topics = input.array(|input| ListOffsetsTopicResponse::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version >= 2 {
            out.i32(self.throttle_time_ms);
        }
        out.array(&self.topics, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct ListOffsetsTopicResponse {
    pub name: String,
    pub partitions: Vec<ListOffsetsPartitionResponse>,
}

impl ListOffsetsTopicResponse {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.name = input.string()?;
        value.partitions = input.array(|input| ListOffsetsPartitionResponse::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.string(&self.name);
        out.array(&self.partitions, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct ListOffsetsPartitionResponse {
    pub partition_index: i32,
    pub error_code: i16,
    pub timestamp: i64,
    pub offset: i64,
    pub leader_epoch: i32,
}

impl Default for ListOffsetsPartitionResponse {
    fn default() -> Self {
        Self {
            partition_index: Default::default(),
            error_code: Default::default(),
            timestamp: -1,
            offset: -1,
            leader_epoch: -1,
        }
    }
}

impl ListOffsetsPartitionResponse {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.partition_index = input.i32()?;
        value.error_code = input.i16()?;
        value.timestamp = input.i64()?;
        value.offset = input.i64()?;
        if version >= 4 {
            value.leader_epoch = input.i32()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i32(self.partition_index);
        out.i16(self.error_code);
        out.i64(self.timestamp);
        out.i64(self.offset);
        if version >= 4 {
            out.i32(self.leader_epoch);
        }
        out.tags(|_| {});
    }
}
