//! DescribeGroups.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Writer};

/// Versions 0 to 6.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct DescribeGroupsRequest {
    pub groups: Vec<String>,
    pub include_authorized_operations: bool,
}

impl<'a> Message<'a> for DescribeGroupsRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=6;

    fn flexible(version: i16) -> bool {
        version >= 5
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.groups = input.array(Reader::string)?;
        if version >= 3 {
            value.include_authorized_operations = input.bool()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.array(&self.groups, |out, one| out.string(one));
        if version >= 3 {
            out.bool(self.include_authorized_operations);
        }
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for DescribeGroupsRequest {
    const KEY: Key = Key::DescribeGroups;
    type Response<'r> = DescribeGroupsResponse;
}

/// Versions 0 to 6.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct DescribeGroupsResponse {
    pub throttle_time_ms: i32,
    pub groups: Vec<DescribedGroup>,
}

impl<'a> Message<'a> for DescribeGroupsResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=6;

    fn flexible(version: i16) -> bool {
        version >= 5
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version >= 1 {
            value.throttle_time_ms = input.i32()?;
        }
        value.groups = input.array(|input| DescribedGroup::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version >= 1 {
            out.i32(self.throttle_time_ms);
        }
        out.array(&self.groups, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct DescribedGroup {
    pub error_code: i16,
    pub error_message: Option<String>,
    pub group_id: String,
    pub group_state: String,
    pub protocol_type: String,
    pub protocol_data: String,
    pub members: Vec<DescribedGroupMember>,
    pub authorized_operations: i32,
}

impl Default for DescribedGroup {
    fn default() -> Self {
        Self {
            error_code: Default::default(),
            error_message: Default::default(),
            group_id: Default::default(),
            group_state: Default::default(),
            protocol_type: Default::default(),
            protocol_data: Default::default(),
            members: Default::default(),
            authorized_operations: i32::MIN,
        }
    }
}

impl DescribedGroup {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.error_code = input.i16()?;
        if version == 6 {
            value.error_message = input.optional_string()?;
        }
        value.group_id = input.string()?;
        value.group_state = input.string()?;
        value.protocol_type = input.string()?;
        value.protocol_data = input.string()?;
        value.members = input.array(|input| DescribedGroupMember::read(input, version))?;
        if version >= 3 {
            value.authorized_operations = input.i32()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i16(self.error_code);
        if version == 6 {
            out.optional_string(self.error_message.as_deref());
        }
        out.string(&self.group_id);
        out.string(&self.group_state);
        out.string(&self.protocol_type);
        out.string(&self.protocol_data);
        out.array(&self.members, |out, one| one.write(out, version));
        if version >= 3 {
            out.i32(self.authorized_operations);
        }
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct DescribedGroupMember {
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub member_metadata: Vec<u8>,
    pub member_assignment: Vec<u8>,
}

impl DescribedGroupMember {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.member_id = input.string()?;
        if version >= 4 {
            value.group_instance_id = input.optional_string()?;
        }
        value.client_id = input.string()?;
        value.client_host = input.string()?;
        value.member_metadata = input.bytes()?;
        value.member_assignment = input.bytes()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.string(&self.member_id);
        if version >= 4 {
            out.optional_string(self.group_instance_id.as_deref());
        }
        out.string(&self.client_id);
        out.string(&self.client_host);
        out.bytes(&self.member_metadata);
        out.bytes(&self.member_assignment);
        out.tags(|_| {});
    }
}
