//! Heartbeat.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Writer};

/// Versions 0 to 4.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct HeartbeatRequest {
    pub group_id: String,
    pub generation_id: i32,
    pub member_id: String,
    pub group_instance_id: Option<String>,
}

impl<'a> Message<'a> for HeartbeatRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=4;

    fn flexible(version: i16) -> bool {
        version >= 4
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.group_id = input.string()?;
        value.generation_id = input.i32()?;
        value.member_id = input.string()?;
        if version >= 3 {
            value.group_instance_id = input.optional_string()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.string(&self.group_id);
        out.i32(self.generation_id);
        out.string(&self.member_id);
        if version >= 3 {
            out.optional_string(self.group_instance_id.as_deref());
        }
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for HeartbeatRequest {
    const KEY: Key = Key::Heartbeat;
    type Response<'r> = HeartbeatResponse;
}

/// Versions 0 to 4.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct HeartbeatResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
}

impl<'a> Message<'a> for HeartbeatResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=4;

    fn flexible(version: i16) -> bool {
        version >= 4
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version >= 1 {
            value.throttle_time_ms = input.i32()?;
        }
        value.error_code = input.i16()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version >= 1 {
            out.i32(self.throttle_time_ms);
        }
        out.i16(self.error_code);
        out.tags(|_| {});
    }
}
