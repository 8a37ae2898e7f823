//! ElectLeaders.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Writer};

/// Versions 0 to 2.
#[derive(Clone, Debug, PartialEq)]
pub struct ElectLeadersRequest {
    pub election_type: i8,
    pub topic_partitions: Option<Vec<TopicPartitions>>,
    pub timeout_ms: i32,
}

impl Default for ElectLeadersRequest {
    fn default() -> Self {
        Self { election_type: Default::default(), topic_partitions: Default::default(), timeout_ms: 60000 }
    }
}

impl<'a> Message<'a> for ElectLeadersRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=2;

    fn flexible(version: i16) -> bool {
        version >= 2
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version >= 1 {
            value.election_type = input.i8()?;
        }
        value.topic_partitions = input.optional_array(|input| TopicPartitions::read(input, version))?;
        value.timeout_ms = input.i32()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version >= 1 {
            out.i8(self.election_type);
        }
        out.optional_array(self.topic_partitions.as_deref(), |out, one| one.write(out, version));
        out.i32(self.timeout_ms);
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for ElectLeadersRequest {
    const KEY: Key = Key::ElectLeaders;
    type Response<'r> = ElectLeadersResponse;
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct TopicPartitions {
    pub topic: String,
    pub partitions: Vec<i32>,
}

impl TopicPartitions {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.topic = input.string()?;
        value.partitions = input.array(Reader::i32)?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.string(&self.topic);
        out.array(&self.partitions, |out, one| out.i32(*one));
        out.tags(|_| {});
    }
}

/// Versions 0 to 2.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ElectLeadersResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub replica_election_results: Vec<ReplicaElectionResult>,
}

impl<'a> Message<'a> for ElectLeadersResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=2;

    fn flexible(version: i16) -> bool {
        version >= 2
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.throttle_time_ms = input.i32()?;
        if version >= 1 {
            value.error_code = input.i16()?;
        }
        value.replica_election_results = input.array(|input| ReplicaElectionResult::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i32(self.throttle_time_ms);
        if version >= 1 {
            out.i16(self.error_code);
        }
        out.array(&self.replica_election_results, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct ReplicaElectionResult {
    pub topic: String,
    pub partition_result: Vec<PartitionResult>,
}

impl ReplicaElectionResult {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.topic = input.string()?;
        value.partition_result = input.array(|input| PartitionResult::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.string(&self.topic);
        out.array(&self.partition_result, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct PartitionResult {
    pub partition_id: i32,
    pub error_code: i16,
    pub error_message: Option<String>,
}

impl PartitionResult {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.partition_id = input.i32()?;
        value.error_code = input.i16()?;
        value.error_message = input.optional_string()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.i32(self.partition_id);
        out.i16(self.error_code);
        out.optional_string(self.error_message.as_deref());
        out.tags(|_| {});
    }
}
