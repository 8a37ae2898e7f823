//! CreatePartitions.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Writer};

/// Versions 0 to 3.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct CreatePartitionsRequest {
    pub topics: Vec<CreatePartitionsTopic>,
    pub timeout_ms: i32,
    pub validate_only: bool,
}

impl<'a> Message<'a> for CreatePartitionsRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=3;

    fn flexible(version: i16) -> bool {
        version >= 2
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.topics = input.array(|input| CreatePartitionsTopic::read(input, version))?;
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

impl<'a> Request<'a> for CreatePartitionsRequest {
    const KEY: Key = Key::CreatePartitions;
    type Response<'r> = CreatePartitionsResponse;
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct CreatePartitionsTopic {
    pub name: String,
    pub count: i32,
    pub assignments: Option<Vec<CreatePartitionsAssignment>>,
}

impl CreatePartitionsTopic {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.name = input.string()?;
        value.count = input.i32()?;
        value.assignments = input.optional_array(|input| CreatePartitionsAssignment::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.string(&self.name);
        out.i32(self.count);
        out.optional_array(self.assignments.as_deref(), |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct CreatePartitionsAssignment {
    pub broker_ids: Vec<i32>,
}

impl CreatePartitionsAssignment {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.broker_ids = input.array(Reader::i32)?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.array(&self.broker_ids, |out, one| out.i32(*one));
        out.tags(|_| {});
    }
}

/// Versions 0 to 3.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct CreatePartitionsResponse {
    pub throttle_time_ms: i32,
    pub results: Vec<CreatePartitionsTopicResult>,
}

impl<'a> Message<'a> for CreatePartitionsResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=3;

    fn flexible(version: i16) -> bool {
        version >= 2
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.throttle_time_ms = input.i32()?;
        value.results = input.array(|input| CreatePartitionsTopicResult::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i32(self.throttle_time_ms);
        out.array(&self.results, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct CreatePartitionsTopicResult {
    pub name: String,
    pub error_code: i16,
    pub error_message: Option<String>,
}

impl CreatePartitionsTopicResult {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.name = input.string()?;
        value.error_code = input.i16()?;
        value.error_message = input.optional_string()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.string(&self.name);
        out.i16(self.error_code);
        out.optional_string(self.error_message.as_deref());
        out.tags(|_| {});
    }
}
