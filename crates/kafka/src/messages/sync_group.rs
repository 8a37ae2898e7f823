//! SyncGroup.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Writer};

/// Versions 0 to 5.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct SyncGroupRequest {
    pub group_id: String,
    pub generation_id: i32,
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub protocol_type: Option<String>,
    pub protocol_name: Option<String>,
    pub assignments: Vec<SyncGroupRequestAssignment>,
}

impl<'a> Message<'a> for SyncGroupRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=5;

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
        if version == 5 {
            value.protocol_type = input.optional_string()?;
        }
        if version == 5 {
            value.protocol_name = input.optional_string()?;
        }
        value.assignments = input.array(|input| SyncGroupRequestAssignment::read(input, version))?;
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
        if version == 5 {
            out.optional_string(self.protocol_type.as_deref());
        }
        if version == 5 {
            out.optional_string(self.protocol_name.as_deref());
        }
        out.array(&self.assignments, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for SyncGroupRequest {
    const KEY: Key = Key::SyncGroup;
    type Response<'r> = SyncGroupResponse;
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct SyncGroupRequestAssignment {
    pub member_id: String,
    pub assignment: Vec<u8>,
}

impl SyncGroupRequestAssignment {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.member_id = input.string()?;
        value.assignment = input.bytes()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.string(&self.member_id);
        out.bytes(&self.assignment);
        out.tags(|_| {});
    }
}

/// Versions 0 to 5.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct SyncGroupResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub protocol_type: Option<String>,
    pub protocol_name: Option<String>,
    pub assignment: Vec<u8>,
}

impl<'a> Message<'a> for SyncGroupResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=5;

    fn flexible(version: i16) -> bool {
        version >= 4
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version >= 1 {
            value.throttle_time_ms = input.i32()?;
        }
        value.error_code = input.i16()?;
        if version == 5 {
            value.protocol_type = input.optional_string()?;
        }
        if version == 5 {
            value.protocol_name = input.optional_string()?;
        }
        value.assignment = input.bytes()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version >= 1 {
            out.i32(self.throttle_time_ms);
        }
        out.i16(self.error_code);
        if version == 5 {
            out.optional_string(self.protocol_type.as_deref());
        }
        if version == 5 {
            out.optional_string(self.protocol_name.as_deref());
        }
        out.bytes(&self.assignment);
        out.tags(|_| {});
    }
}
