//! ListGroups.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Writer};

/// Versions 0 to 5.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ListGroupsRequest {
    pub states_filter: Vec<String>,
    pub types_filter: Vec<String>,
}

impl<'a> Message<'a> for ListGroupsRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=5;

    fn flexible(version: i16) -> bool {
        version >= 3
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version >= 4 {
            value.states_filter = input.array(Reader::string)?;
        }
        if version == 5 {
            value.types_filter = input.array(Reader::string)?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version >= 4 {
            out.array(&self.states_filter, |out, one| out.string(one));
        }
        if version == 5 {
            out.array(&self.types_filter, |out, one| out.string(one));
        }
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for ListGroupsRequest {
    const KEY: Key = Key::ListGroups;
    type Response<'r> = ListGroupsResponse;
}

/// Versions 0 to 5.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ListGroupsResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub groups: Vec<ListedGroup>,
}

impl<'a> Message<'a> for ListGroupsResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=5;

    fn flexible(version: i16) -> bool {
        version >= 3
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version >= 1 {
            value.throttle_time_ms = input.i32()?;
        }
        value.error_code = input.i16()?;
        value.groups = input.array(|input| ListedGroup::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version >= 1 {
            out.i32(self.throttle_time_ms);
        }
        out.i16(self.error_code);
        out.array(&self.groups, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct ListedGroup {
    pub group_id: String,
    pub protocol_type: String,
    pub group_state: String,
    pub group_type: String,
}

impl ListedGroup {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.group_id = input.string()?;
        value.protocol_type = input.string()?;
        if version >= 4 {
            value.group_state = input.string()?;
        }
        if version == 5 {
            value.group_type = input.string()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.string(&self.group_id);
        out.string(&self.protocol_type);
        if version >= 4 {
            out.string(&self.group_state);
        }
        if version == 5 {
            out.string(&self.group_type);
        }
        out.tags(|_| {});
    }
}
