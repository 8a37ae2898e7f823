//! OffsetFetch.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Uuid, Writer};

/// Versions 1 to 10.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct OffsetFetchRequest {
    pub group_id: String,
    pub topics: Option<Vec<OffsetFetchRequestTopic>>,
    pub groups: Vec<OffsetFetchRequestGroup>,
    pub require_stable: bool,
}

impl<'a> Message<'a> for OffsetFetchRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 1..=10;

    fn flexible(version: i16) -> bool {
        version >= 6
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version <= 7 {
            value.group_id = input.string()?;
        }
        if version <= 7 {
            value.topics = input.optional_array(|input| OffsetFetchRequestTopic::read(input, version))?;
        }
        if version >= 8 {
            value.groups = input.array(|input| OffsetFetchRequestGroup::read(input, version))?;
        }
        if version >= 7 {
            value.require_stable = input.bool()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version <= 7 {
            out.string(&self.group_id);
        }
        if version <= 7 {
            out.optional_array(self.topics.as_deref(), |out, one| one.write(out, version));
        }
        if version >= 8 {
            out.array(&self.groups, |out, one| one.write(out, version));
        }
        if version >= 7 {
            out.bool(self.require_stable);
        }
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for OffsetFetchRequest {
    const KEY: Key = Key::OffsetFetch;
    type Response<'r> = OffsetFetchResponse;
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct OffsetFetchRequestTopic {
    pub name: String,
    pub partition_indexes: Vec<i32>,
}

impl OffsetFetchRequestTopic {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version <= 7 {
            value.name = input.string()?;
        }
        if version <= 7 {
            value.partition_indexes = input.array(Reader::i32)?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version <= 7 {
            out.string(&self.name);
        }
        if version <= 7 {
            out.array(&self.partition_indexes, |out, one| out.i32(*one));
        }
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct OffsetFetchRequestGroup {
    pub group_id: String,
    pub member_id: Option<String>,
    pub member_epoch: i32,
    pub topics: Option<Vec<OffsetFetchRequestTopics>>,
}

impl Default for OffsetFetchRequestGroup {
    fn default() -> Self {
        Self {
            group_id: Default::default(),
            member_id: Default::default(),
            member_epoch: -1,
            topics: Default::default(),
        }
    }
}

impl OffsetFetchRequestGroup {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version >= 8 {
            value.group_id = input.string()?;
        }
        if version >= 9 {
            value.member_id = input.optional_string()?;
        }
        if version >= 9 {
            value.member_epoch = input.i32()?;
        }
        if version >= 8 {
            value.topics = input.optional_array(|input| OffsetFetchRequestTopics::read(input, version))?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version >= 8 {
            out.string(&self.group_id);
        }
        if version >= 9 {
            out.optional_string(self.member_id.as_deref());
        }
        if version >= 9 {
            out.i32(self.member_epoch);
        }
        if version >= 8 {
            out.optional_array(self.topics.as_deref(), |out, one| one.write(out, version));
        }
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct OffsetFetchRequestTopics {
    pub name: String,
    pub topic_id: Uuid,
    pub partition_indexes: Vec<i32>,
}

impl OffsetFetchRequestTopics {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if (8..=9).contains(&version) {
            value.name = input.string()?;
        }
        if version == 10 {
            value.topic_id = input.uuid()?;
        }
        if version >= 8 {
            value.partition_indexes = input.array(Reader::i32)?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if (8..=9).contains(&version) {
            out.string(&self.name);
        }
        if version == 10 {
            out.uuid(self.topic_id);
        }
        if version >= 8 {
            out.array(&self.partition_indexes, |out, one| out.i32(*one));
        }
        out.tags(|_| {});
    }
}

/// Versions 1 to 10.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct OffsetFetchResponse {
    pub throttle_time_ms: i32,
    pub topics: Vec<OffsetFetchResponseTopic>,
    pub error_code: i16,
    pub groups: Vec<OffsetFetchResponseGroup>,
}

impl<'a> Message<'a> for OffsetFetchResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 1..=10;

    fn flexible(version: i16) -> bool {
        version >= 6
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version >= 3 {
            value.throttle_time_ms = input.i32()?;
        }
        if version <= 7 {
            value.topics = input.array(|input| OffsetFetchResponseTopic::read(input, version))?;
        }
        if (2..=7).contains(&version) {
            value.error_code = input.i16()?;
        }
        if version >= 8 {
            value.groups = input.array(|input| OffsetFetchResponseGroup::read(input, version))?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version >= 3 {
            out.i32(self.throttle_time_ms);
        }
        if version <= 7 {
            out.array(&self.topics, |out, one| one.write(out, version));
        }
        if (2..=7).contains(&version) {
            out.i16(self.error_code);
        }
        if version >= 8 {
            out.array(&self.groups, |out, one| one.write(out, version));
        }
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct OffsetFetchResponseTopic {
    pub name: String,
    pub partitions: Vec<OffsetFetchResponsePartition>,
}

impl OffsetFetchResponseTopic {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version <= 7 {
            value.name = input.string()?;
        }
        if version <= 7 {
            value.partitions = input.array(|input| OffsetFetchResponsePartition::read(input, version))?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version <= 7 {
            out.string(&self.name);
        }
        if version <= 7 {
            out.array(&self.partitions, |out, one| one.write(out, version));
        }
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct OffsetFetchResponseGroup {
    pub group_id: String,
    pub topics: Vec<OffsetFetchResponseTopics>,
    pub error_code: i16,
}

impl OffsetFetchResponseGroup {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version >= 8 {
            value.group_id = input.string()?;
        }
        if version >= 8 {
            value.topics = input.array(|input| OffsetFetchResponseTopics::read(input, version))?;
        }
        if version >= 8 {
            value.error_code = input.i16()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version >= 8 {
            out.string(&self.group_id);
        }
        if version >= 8 {
            out.array(&self.topics, |out, one| one.write(out, version));
        }
        if version >= 8 {
            out.i16(self.error_code);
        }
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct OffsetFetchResponsePartition {
    pub partition_index: i32,
    pub committed_offset: i64,
    pub committed_leader_epoch: i32,
    pub metadata: Option<String>,
    pub error_code: i16,
}

impl Default for OffsetFetchResponsePartition {
    fn default() -> Self {
        Self {
            partition_index: Default::default(),
            committed_offset: Default::default(),
            committed_leader_epoch: -1,
            metadata: Default::default(),
            error_code: Default::default(),
        }
    }
}

impl OffsetFetchResponsePartition {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version <= 7 {
            value.partition_index = input.i32()?;
        }
        if version <= 7 {
            value.committed_offset = input.i64()?;
        }
        if (5..=7).contains(&version) {
            value.committed_leader_epoch = input.i32()?;
        }
        if version <= 7 {
            value.metadata = input.optional_string()?;
        }
        if version <= 7 {
            value.error_code = input.i16()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version <= 7 {
            out.i32(self.partition_index);
        }
        if version <= 7 {
            out.i64(self.committed_offset);
        }
        if (5..=7).contains(&version) {
            out.i32(self.committed_leader_epoch);
        }
        if version <= 7 {
            out.optional_string(self.metadata.as_deref());
        }
        if version <= 7 {
            out.i16(self.error_code);
        }
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct OffsetFetchResponseTopics {
    pub name: String,
    pub topic_id: Uuid,
    pub partitions: Vec<OffsetFetchResponsePartitions>,
}

impl OffsetFetchResponseTopics {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if (8..=9).contains(&version) {
            value.name = input.string()?;
        }
        if version == 10 {
            value.topic_id = input.uuid()?;
        }
        if version >= 8 {
            value.partitions = input.array(|input| OffsetFetchResponsePartitions::read(input, version))?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if (8..=9).contains(&version) {
            out.string(&self.name);
        }
        if version == 10 {
            out.uuid(self.topic_id);
        }
        if version >= 8 {
            out.array(&self.partitions, |out, one| one.write(out, version));
        }
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct OffsetFetchResponsePartitions {
    pub partition_index: i32,
    pub committed_offset: i64,
    pub committed_leader_epoch: i32,
    pub metadata: Option<String>,
    pub error_code: i16,
}

impl Default for OffsetFetchResponsePartitions {
    fn default() -> Self {
        Self {
            partition_index: Default::default(),
            committed_offset: Default::default(),
            committed_leader_epoch: -1,
            metadata: Default::default(),
            error_code: Default::default(),
        }
    }
}

impl OffsetFetchResponsePartitions {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version >= 8 {
            value.partition_index = input.i32()?;
        }
        if version >= 8 {
            value.committed_offset = input.i64()?;
        }
        if version >= 8 {
            value.committed_leader_epoch = input.i32()?;
        }
        if version >= 8 {
            value.metadata = input.optional_string()?;
        }
        if version >= 8 {
            value.error_code = input.i16()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version >= 8 {
            out.i32(self.partition_index);
        }
        if version >= 8 {
            out.i64(self.committed_offset);
        }
        if version >= 8 {
            out.i32(self.committed_leader_epoch);
        }
        if version >= 8 {
            out.optional_string(self.metadata.as_deref());
        }
        if version >= 8 {
            out.i16(self.error_code);
        }
        out.tags(|_| {});
    }
}
