//! OffsetCommit.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Uuid, Writer};

/// Versions 2 to 10.
#[derive(Clone, Debug, PartialEq)]
pub struct OffsetCommitRequest {
    pub group_id: String,
    pub generation_id_or_member_epoch: i32,
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub retention_time_ms: i64,
    pub topics: Vec<OffsetCommitRequestTopic>,
}

impl Default for OffsetCommitRequest {
    fn default() -> Self {
        Self {
            group_id: Default::default(),
            generation_id_or_member_epoch: -1,
            member_id: Default::default(),
            group_instance_id: Default::default(),
            retention_time_ms: -1,
            topics: Default::default(),
        }
    }
}

impl<'a> Message<'a> for OffsetCommitRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 2..=10;

    fn flexible(version: i16) -> bool {
        version >= 8
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.group_id = input.string()?;
        value.generation_id_or_member_epoch = input.i32()?;
        value.member_id = input.string()?;
        if version >= 7 {
            value.group_instance_id = input.optional_string()?;
        }
        if version <= 4 {
            value.retention_time_ms = input.i64()?;
        }
        value.topics = input.array(|input| OffsetCommitRequestTopic::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.string(&self.group_id);
        out.i32(self.generation_id_or_member_epoch);
        out.string(&self.member_id);
        if version >= 7 {
            out.optional_string(self.group_instance_id.as_deref());
        }
        if version <= 4 {
            out.i64(self.retention_time_ms);
        }
        out.array(&self.topics, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for OffsetCommitRequest {
    const KEY: Key = Key::OffsetCommit;
    type Response<'r> = OffsetCommitResponse;
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct OffsetCommitRequestTopic {
    pub name: String,
    pub topic_id: Uuid,
    pub partitions: Vec<OffsetCommitRequestPartition>,
}

impl OffsetCommitRequestTopic {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version <= 9 {
            value.name = input.string()?;
        }
        if version == 10 {
            value.topic_id = input.uuid()?;
        }
        value.partitions = input.array(|input| OffsetCommitRequestPartition::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version <= 9 {
            out.string(&self.name);
        }
        if version == 10 {
            out.uuid(self.topic_id);
        }
        out.array(&self.partitions, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct OffsetCommitRequestPartition {
    pub partition_index: i32,
    pub committed_offset: i64,
    pub committed_leader_epoch: i32,
    pub committed_metadata: Option<String>,
}

impl Default for OffsetCommitRequestPartition {
    fn default() -> Self {
        Self {
            partition_index: Default::default(),
            committed_offset: Default::default(),
            committed_leader_epoch: -1,
            committed_metadata: Default::default(),
        }
    }
}

impl OffsetCommitRequestPartition {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.partition_index = input.i32()?;
        value.committed_offset = input.i64()?;
        if version >= 6 {
            value.committed_leader_epoch = input.i32()?;
        }
        value.committed_metadata = input.optional_string()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i32(self.partition_index);
        out.i64(self.committed_offset);
        if version >= 6 {
            out.i32(self.committed_leader_epoch);
        }
        out.optional_string(self.committed_metadata.as_deref());
        out.tags(|_| {});
    }
}

/// Versions 2 to 10.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct OffsetCommitResponse {
    pub throttle_time_ms: i32,
    pub topics: Vec<OffsetCommitResponseTopic>,
}

impl<'a> Message<'a> for OffsetCommitResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 2..=10;

    fn flexible(version: i16) -> bool {
        version >= 8
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version >= 3 {
            value.throttle_time_ms = input.i32()?;
        }
        value.topics = input.array(|input| OffsetCommitResponseTopic::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version >= 3 {
            out.i32(self.throttle_time_ms);
        }
        out.array(&self.topics, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct OffsetCommitResponseTopic {
    pub name: String,
    pub topic_id: Uuid,
    pub partitions: Vec<OffsetCommitResponsePartition>,
}

impl OffsetCommitResponseTopic {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version <= 9 {
            value.name = input.string()?;
        }
        if version == 10 {
            value.topic_id = input.uuid()?;
        }
        value.partitions = input.array(|input| OffsetCommitResponsePartition::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version <= 9 {
            out.string(&self.name);
        }
        if version == 10 {
            out.uuid(self.topic_id);
        }
        out.array(&self.partitions, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct OffsetCommitResponsePartition {
    pub partition_index: i32,
    pub error_code: i16,
}

impl OffsetCommitResponsePartition {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.partition_index = input.i32()?;
        value.error_code = input.i16()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.i32(self.partition_index);
        out.i16(self.error_code);
        out.tags(|_| {});
    }
}
