//! JoinGroup.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Writer};

/// Versions 0 to 9.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinGroupRequest {
    pub group_id: String,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub protocol_type: String,
    pub protocols: Vec<JoinGroupRequestProtocol>,
    pub reason: Option<String>,
}

impl Default for JoinGroupRequest {
    fn default() -> Self {
        Self {
            group_id: Default::default(),
            session_timeout_ms: Default::default(),
            rebalance_timeout_ms: -1,
            member_id: Default::default(),
            group_instance_id: Default::default(),
            protocol_type: Default::default(),
            protocols: Default::default(),
            reason: Default::default(),
        }
    }
}

impl<'a> Message<'a> for JoinGroupRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=9;

    fn flexible(version: i16) -> bool {
        version >= 6
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.group_id = input.string()?;
        value.session_timeout_ms = input.i32()?;
        if version >= 1 {
            value.rebalance_timeout_ms = input.i32()?;
        }
        value.member_id = input.string()?;
        if version >= 5 {
            value.group_instance_id = input.optional_string()?;
        }
        value.protocol_type = input.string()?;
        value.protocols = input.array(|input| JoinGroupRequestProtocol::read(input, version))?;
        if version >= 8 {
            value.reason = input.optional_string()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.string(&self.group_id);
        out.i32(self.session_timeout_ms);
        if version >= 1 {
            out.i32(self.rebalance_timeout_ms);
        }
        out.string(&self.member_id);
        if version >= 5 {
            out.optional_string(self.group_instance_id.as_deref());
        }
        out.string(&self.protocol_type);
        out.array(&self.protocols, |out, one| one.write(out, version));
        if version >= 8 {
            out.optional_string(self.reason.as_deref());
        }
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for JoinGroupRequest {
    const KEY: Key = Key::JoinGroup;
    type Response<'r> = JoinGroupResponse;
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct JoinGroupRequestProtocol {
    pub name: String,
    pub metadata: Vec<u8>,
}

impl JoinGroupRequestProtocol {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.name = input.string()?;
        value.metadata = input.bytes()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.string(&self.name);
        out.bytes(&self.metadata);
        out.tags(|_| {});
    }
}

/// Versions 0 to 9.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinGroupResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub generation_id: i32,
    pub protocol_type: Option<String>,
    pub protocol_name: Option<String>,
    pub leader: String,
    pub skip_assignment: bool,
    pub member_id: String,
    pub members: Vec<JoinGroupResponseMember>,
}

impl Default for JoinGroupResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: Default::default(),
            error_code: Default::default(),
            generation_id: -1,
            protocol_type: Default::default(),
            protocol_name: Default::default(),
            leader: Default::default(),
            skip_assignment: Default::default(),
            member_id: Default::default(),
            members: Default::default(),
        }
    }
}

impl<'a> Message<'a> for JoinGroupResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=9;

    fn flexible(version: i16) -> bool {
        version >= 6
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version >= 2 {
            value.throttle_time_ms = input.i32()?;
        }
        value.error_code = input.i16()?;
        value.generation_id = input.i32()?;
        if version >= 7 {
            value.protocol_type = input.optional_string()?;
        }
        value.protocol_name = input.optional_string()?;
        value.leader = input.string()?;
        if version == 9 {
            value.skip_assignment = input.bool()?;
        }
        value.member_id = input.string()?;
        value.members = input.array(|input| JoinGroupResponseMember::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version >= 2 {
            out.i32(self.throttle_time_ms);
        }
        out.i16(self.error_code);
        out.i32(self.generation_id);
        if version >= 7 {
            out.optional_string(self.protocol_type.as_deref());
        }
        out.optional_string(self.protocol_name.as_deref());
        out.string(&self.leader);
        if version == 9 {
            out.bool(self.skip_assignment);
        }
        out.string(&self.member_id);
        out.array(&self.members, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct JoinGroupResponseMember {
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub metadata: Vec<u8>,
}

impl JoinGroupResponseMember {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.member_id = input.string()?;
        if version >= 5 {
            value.group_instance_id = input.optional_string()?;
        }
        value.metadata = input.bytes()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.string(&self.member_id);
        if version >= 5 {
            out.optional_string(self.group_instance_id.as_deref());
        }
        out.bytes(&self.metadata);
        out.tags(|_| {});
    }
}
