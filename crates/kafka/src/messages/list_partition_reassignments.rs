//! ListPartitionReassignments.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Writer};

/// Versions 0.
#[derive(Clone, Debug, PartialEq)]
pub struct ListPartitionReassignmentsRequest {
    pub timeout_ms: i32,
    pub topics: Option<Vec<ListPartitionReassignmentsTopics>>,
}

impl Default for ListPartitionReassignmentsRequest {
    fn default() -> Self {
        Self { timeout_ms: 60000, topics: Default::default() }
    }
}

impl<'a> Message<'a> for ListPartitionReassignmentsRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=0;

    fn flexible(_version: i16) -> bool {
        true
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.timeout_ms = input.i32()?;
        value.topics =
            input.optional_array(|input| ListPartitionReassignmentsTopics::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i32(self.timeout_ms);
        out.optional_array(self.topics.as_deref(), |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for ListPartitionReassignmentsRequest {
    const KEY: Key = Key::ListPartitionReassignments;
    type Response<'r> = ListPartitionReassignmentsResponse;
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct ListPartitionReassignmentsTopics {
    pub name: String,
    pub partition_indexes: Vec<i32>,
}

impl ListPartitionReassignmentsTopics {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.name = input.string()?;
        value.partition_indexes = input.array(Reader::i32)?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.string(&self.name);
        out.array(&self.partition_indexes, |out, one| out.i32(*one));
        out.tags(|_| {});
    }
}

/// Versions 0.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ListPartitionReassignmentsResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub error_message: Option<String>,
    pub topics: Vec<OngoingTopicReassignment>,
}

impl<'a> Message<'a> for ListPartitionReassignmentsResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=0;

    fn flexible(_version: i16) -> bool {
        true
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.throttle_time_ms = input.i32()?;
        value.error_code = input.i16()?;
        value.error_message = input.optional_string()?;
        value.topics = input.array(|input| OngoingTopicReassignment::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i32(self.throttle_time_ms);
        out.i16(self.error_code);
        out.optional_string(self.error_message.as_deref());
        out.array(&self.topics, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct OngoingTopicReassignment {
    pub name: String,
    pub partitions: Vec<OngoingPartitionReassignment>,
}

impl OngoingTopicReassignment {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.name = input.string()?;
        value.partitions = input.array(|input| OngoingPartitionReassignment::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.string(&self.name);
        out.array(&self.partitions, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct OngoingPartitionReassignment {
    pub partition_index: i32,
    pub replicas: Vec<i32>,
    pub adding_replicas: Vec<i32>,
    pub removing_replicas: Vec<i32>,
}

impl OngoingPartitionReassignment {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.partition_index = input.i32()?;
        value.replicas = input.array(Reader::i32)?;
        value.adding_replicas = input.array(Reader::i32)?;
        value.removing_replicas = input.array(Reader::i32)?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.i32(self.partition_index);
        out.array(&self.replicas, |out, one| out.i32(*one));
        out.array(&self.adding_replicas, |out, one| out.i32(*one));
        out.array(&self.removing_replicas, |out, one| out.i32(*one));
        out.tags(|_| {});
    }
}
