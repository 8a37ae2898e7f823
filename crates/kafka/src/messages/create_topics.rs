//! CreateTopics.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Uuid, Writer};

/// Versions 2 to 7.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateTopicsRequest {
    pub topics: Vec<CreatableTopic>,
    pub timeout_ms: i32,
    pub validate_only: bool,
}

impl Default for CreateTopicsRequest {
    fn default() -> Self {
        Self { topics: Default::default(), timeout_ms: 60000, validate_only: Default::default() }
    }
}

impl<'a> Message<'a> for CreateTopicsRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 2..=7;

    fn flexible(version: i16) -> bool {
        version >= 5
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.topics = input.array(|input| CreatableTopic::read(input, version))?;
        value.timeout_ms = input.i32()?;
        value.validate_only = input.bool()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.array(&self.topics, |out, one| one.write(out, version));
        out.i32(self.timeout_ms);
        out.bool(self.validate_only);
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for CreateTopicsRequest {
    const KEY: Key = Key::CreateTopics;
    type Response<'r> = CreateTopicsResponse;
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct CreatableTopic {
    pub name: String,
    pub num_partitions: i32,
    pub replication_factor: i16,
    pub assignments: Vec<CreatableReplicaAssignment>,
    pub configs: Vec<CreatableTopicConfig>,
}

impl CreatableTopic {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.name = input.string()?;
        value.num_partitions = input.i32()?;
        value.replication_factor = input.i16()?;
        value.assignments = input.array(|input| CreatableReplicaAssignment::read(input, version))?;
        value.configs = input.array(|input| CreatableTopicConfig::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.string(&self.name);
        out.i32(self.num_partitions);
        out.i16(self.replication_factor);
        out.array(&self.assignments, |out, one| one.write(out, version));
        out.array(&self.configs, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct CreatableReplicaAssignment {
    pub partition_index: i32,
    pub broker_ids: Vec<i32>,
}

impl CreatableReplicaAssignment {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.partition_index = input.i32()?;
        value.broker_ids = input.array(Reader::i32)?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.i32(self.partition_index);
        out.array(&self.broker_ids, |out, one| out.i32(*one));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct CreatableTopicConfig {
    pub name: String,
    pub value: Option<String>,
}

impl CreatableTopicConfig {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.name = input.string()?;
        value.value = input.optional_string()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.string(&self.name);
        out.optional_string(self.value.as_deref());
        out.tags(|_| {});
    }
}

/// Versions 2 to 7.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct CreateTopicsResponse {
    pub throttle_time_ms: i32,
    pub topics: Vec<CreatableTopicResult>,
}

impl<'a> Message<'a> for CreateTopicsResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 2..=7;

    fn flexible(version: i16) -> bool {
        version >= 5
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.throttle_time_ms = input.i32()?;
        value.topics = input.array(|input| CreatableTopicResult::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i32(self.throttle_time_ms);
        out.array(&self.topics, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreatableTopicResult {
    pub name: String,
    pub topic_id: Uuid,
    pub error_code: i16,
    pub error_message: Option<String>,
    pub topic_config_error_code: i16,
    pub num_partitions: i32,
    pub replication_factor: i16,
    pub configs: Option<Vec<CreatableTopicConfigs>>,
}

impl Default for CreatableTopicResult {
    fn default() -> Self {
        Self {
            name: Default::default(),
            topic_id: Default::default(),
            error_code: Default::default(),
            error_message: Default::default(),
            topic_config_error_code: Default::default(),
            num_partitions: -1,
            replication_factor: -1,
            configs: Default::default(),
        }
    }
}

impl CreatableTopicResult {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.name = input.string()?;
        if version == 7 {
            value.topic_id = input.uuid()?;
        }
        value.error_code = input.i16()?;
        value.error_message = input.optional_string()?;
        if version >= 5 {
            value.num_partitions = input.i32()?;
        }
        if version >= 5 {
            value.replication_factor = input.i16()?;
        }
        if version >= 5 {
            value.configs = input.optional_array(|input| CreatableTopicConfigs::read(input, version))?;
        }
        input.tags(|tag, input| {
            match tag {
                0 if version >= 5 => value.topic_config_error_code = input.i16()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.string(&self.name);
        if version == 7 {
            out.uuid(self.topic_id);
        }
        out.i16(self.error_code);
        out.optional_string(self.error_message.as_deref());
        if version >= 5 {
            out.i32(self.num_partitions);
        }
        if version >= 5 {
            out.i16(self.replication_factor);
        }
        if version >= 5 {
            out.optional_array(self.configs.as_deref(), |out, one| one.write(out, version));
        }
        out.tags(|tags| {
            if version >= 5 && self.topic_config_error_code != 0 {
                tags.add(0, |out| out.i16(self.topic_config_error_code));
            }
        });
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreatableTopicConfigs {
    pub name: String,
    pub value: Option<String>,
    pub read_only: bool,
    pub config_source: i8,
    pub is_sensitive: bool,
}

impl Default for CreatableTopicConfigs {
    fn default() -> Self {
        Self {
            name: Default::default(),
            value: Default::default(),
            read_only: Default::default(),
            config_source: -1,
            is_sensitive: Default::default(),
        }
    }
}

impl CreatableTopicConfigs {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version >= 5 {
            value.name = input.string()?;
        }
        if version >= 5 {
            value.value = input.optional_string()?;
        }
        if version >= 5 {
            value.read_only = input.bool()?;
        }
        if version >= 5 {
            value.config_source = input.i8()?;
        }
        if version >= 5 {
            value.is_sensitive = input.bool()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version >= 5 {
            out.string(&self.name);
        }
        if version >= 5 {
            out.optional_string(self.value.as_deref());
        }
        if version >= 5 {
            out.bool(self.read_only);
        }
        if version >= 5 {
            out.i8(self.config_source);
        }
        if version >= 5 {
            out.bool(self.is_sensitive);
        }
        out.tags(|_| {});
    }
}
