//! DeleteTopics.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Uuid, Writer};

/// Versions 1 to 6.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct DeleteTopicsRequest {
    pub topics: Vec<DeleteTopicState>,
    pub topic_names: Vec<String>,
    pub timeout_ms: i32,
}

impl<'a> Message<'a> for DeleteTopicsRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 1..=6;

    fn flexible(version: i16) -> bool {
        version >= 4
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version == 6 {
            value.topics = input.array(|input| DeleteTopicState::read(input, version))?;
        }
        if version <= 5 {
            value.topic_names = input.array(Reader::string)?;
        }
        value.timeout_ms = input.i32()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version == 6 {
            out.array(&self.topics, |out, one| one.write(out, version));
        }
        if version <= 5 {
            out.array(&self.topic_names, |out, one| out.string(one));
        }
        out.i32(self.timeout_ms);
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for DeleteTopicsRequest {
    const KEY: Key = Key::DeleteTopics;
    type Response<'r> = DeleteTopicsResponse;
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct DeleteTopicState {
    pub name: Option<String>,
    pub topic_id: Uuid,
}

impl DeleteTopicState {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version == 6 {
            value.name = input.optional_string()?;
        }
        if version == 6 {
            value.topic_id = input.uuid()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version == 6 {
            out.optional_string(self.name.as_deref());
        }
        if version == 6 {
            out.uuid(self.topic_id);
        }
        out.tags(|_| {});
    }
}

/// Versions 1 to 6.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct DeleteTopicsResponse {
    pub throttle_time_ms: i32,
    pub responses: Vec<DeletableTopicResult>,
}

impl<'a> Message<'a> for DeleteTopicsResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 1..=6;

    fn flexible(version: i16) -> bool {
        version >= 4
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.throttle_time_ms = input.i32()?;
        value.responses = input.array(|input| DeletableTopicResult::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i32(self.throttle_time_ms);
        out.array(&self.responses, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct DeletableTopicResult {
    pub name: Option<String>,
    pub topic_id: Uuid,
    pub error_code: i16,
    pub error_message: Option<String>,
}

impl DeletableTopicResult {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.name = input.optional_string()?;
        if version == 6 {
            value.topic_id = input.uuid()?;
        }
        value.error_code = input.i16()?;
        if version >= 5 {
            value.error_message = input.optional_string()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.optional_string(self.name.as_deref());
        if version == 6 {
            out.uuid(self.topic_id);
        }
        out.i16(self.error_code);
        if version >= 5 {
            out.optional_string(self.error_message.as_deref());
        }
        out.tags(|_| {});
    }
}
