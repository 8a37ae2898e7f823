//! AlterPartitionReassignments.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Writer};

/// Versions 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct AlterPartitionReassignmentsRequest {
    pub timeout_ms: i32,
    pub allow_replication_factor_change: bool,
    pub topics: Vec<ReassignableTopic>,
}

impl Default for AlterPartitionReassignmentsRequest {
    fn default() -> Self {
        Self { timeout_ms: 60000, allow_replication_factor_change: true, topics: Default::default() }
    }
}

impl<'a> Message<'a> for AlterPartitionReassignmentsRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=1;

    fn flexible(_version: i16) -> bool {
        true
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.timeout_ms = input.i32()?;
        if version == 1 {
            value.allow_replication_factor_change = input.bool()?;
        }
        value.topics = input.array(|input| ReassignableTopic::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i32(self.timeout_ms);
        if version == 1 {
            out.bool(self.allow_replication_factor_change);
        }
        out.array(&self.topics, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for AlterPartitionReassignmentsRequest {
    const KEY: Key = Key::AlterPartitionReassignments;
    type Response<'r> = AlterPartitionReassignmentsResponse;
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct ReassignableTopic {
    pub name: String,
    pub partitions: Vec<ReassignablePartition>,
}

impl ReassignableTopic {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.name = input.string()?;
        value.partitions = input.array(|input| ReassignablePartition::read(input, version))?;
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
pub struct ReassignablePartition {
    pub partition_index: i32,
    pub replicas: Option<Vec<i32>>,
}

impl ReassignablePartition {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.partition_index = input.i32()?;
        value.replicas = input.optional_array(Reader::i32)?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.i32(self.partition_index);
        out.optional_array(self.replicas.as_deref(), |out, one| out.i32(*one));
        out.tags(|_| {});
    }
}

/// Versions 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct AlterPartitionReassignmentsResponse {
    pub throttle_time_ms: i32,
    pub allow_replication_factor_change: bool,
    pub error_code: i16,
    pub error_message: Option<String>,
    pub responses: Vec<ReassignableTopicResponse>,
}

impl Default for AlterPartitionReassignmentsResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: Default::default(),
            allow_replication_factor_change: true,
            error_code: Default::default(),
            error_message: Default::default(),
            responses: Default::default(),
        }
    }
}

impl<'a> Message<'a> for AlterPartitionReassignmentsResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=1;

    fn flexible(_version: i16) -> bool {
        true
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.throttle_time_ms = input.i32()?;
        if version == 1 {
            value.allow_replication_factor_change = input.bool()?;
        }
        value.error_code = input.i16()?;
        value.error_message = input.optional_string()?;
        value.responses = input.array(|input| ReassignableTopicResponse::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i32(self.throttle_time_ms);
        if version == 1 {
            out.bool(self.allow_replication_factor_change);
        }
        out.i16(self.error_code);
        out.optional_string(self.error_message.as_deref());
        out.array(&self.responses, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct ReassignableTopicResponse {
    pub name: String,
    pub partitions: Vec<ReassignablePartitionResponse>,
}

impl ReassignableTopicResponse {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.name = input.string()?;
        value.partitions = input.array(|input| ReassignablePartitionResponse::read(input, version))?;
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
pub struct ReassignablePartitionResponse {
    pub partition_index: i32,
    pub error_code: i16,
    pub error_message: Option<String>,
}

impl ReassignablePartitionResponse {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.partition_index = input.i32()?;
        value.error_code = input.i16()?;
        value.error_message = input.optional_string()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.i32(self.partition_index);
        out.i16(self.error_code);
        out.optional_string(self.error_message.as_deref());
        out.tags(|_| {});
    }
}
