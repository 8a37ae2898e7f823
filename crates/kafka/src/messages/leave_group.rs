//! LeaveGroup.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Writer};

/// Versions 0 to 5.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct LeaveGroupRequest {
    pub group_id: String,
    pub member_id: String,
    pub members: Vec<MemberIdentity>,
}

impl<'a> Message<'a> for LeaveGroupRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=5;

    fn flexible(version: i16) -> bool {
        version >= 4
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.group_id = input.string()?;
        if version <= 2 {
            value.member_id = input.string()?;
        }
        if version >= 3 {
            value.members = input.array(|input| MemberIdentity::read(input, version))?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.string(&self.group_id);
        if version <= 2 {
            out.string(&self.member_id);
        }
        if version >= 3 {
            out.array(&self.members, |out, one| one.write(out, version));
        }
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for LeaveGroupRequest {
    const KEY: Key = Key::LeaveGroup;
    type Response<'r> = LeaveGroupResponse;
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct MemberIdentity {
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub reason: Option<String>,
}

impl MemberIdentity {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version >= 3 {
            value.member_id = input.string()?;
        }
        if version >= 3 {
            value.group_instance_id = input.optional_string()?;
        }
        if version == 5 {
            value.reason = input.optional_string()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version >= 3 {
            out.string(&self.member_id);
        }
        if version >= 3 {
            out.optional_string(self.group_instance_id.as_deref());
        }
        if version == 5 {
            out.optional_string(self.reason.as_deref());
        }
        out.tags(|_| {});
    }
}

/// Versions 0 to 5.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct LeaveGroupResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub members: Vec<MemberResponse>,
}

impl<'a> Message<'a> for LeaveGroupResponse {
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
        if version >= 3 {
            value.members = input.array(|input| MemberResponse::read(input, version))?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version >= 1 {
            out.i32(self.throttle_time_ms);
        }
        out.i16(self.error_code);
        if version >= 3 {
            out.array(&self.members, |out, one| one.write(out, version));
        }
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct MemberResponse {
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub error_code: i16,
}

impl MemberResponse {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version >= 3 {
            value.member_id = input.string()?;
        }
        if version >= 3 {
            value.group_instance_id = input.optional_string()?;
        }
        if version >= 3 {
            value.error_code = input.i16()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version >= 3 {
            out.string(&self.member_id);
        }
        if version >= 3 {
            out.optional_string(self.group_instance_id.as_deref());
        }
        if version >= 3 {
            out.i16(self.error_code);
        }
        out.tags(|_| {});
    }
}
