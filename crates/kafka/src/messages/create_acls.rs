//! CreateAcls.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Writer};

/// Versions 1 to 3.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct CreateAclsRequest {
    pub creations: Vec<AclCreation>,
}

impl<'a> Message<'a> for CreateAclsRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 1..=3;

    fn flexible(version: i16) -> bool {
        version >= 2
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.creations = input.array(|input| AclCreation::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.array(&self.creations, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for CreateAclsRequest {
    const KEY: Key = Key::CreateAcls;
    type Response<'r> = CreateAclsResponse;
}

#[derive(Clone, Debug, PartialEq)]
pub struct AclCreation {
    pub resource_type: i8,
    pub resource_name: String,
    pub resource_pattern_type: i8,
    pub principal: String,
    pub host: String,
    pub operation: i8,
    pub permission_type: i8,
}

impl Default for AclCreation {
    fn default() -> Self {
        Self {
            resource_type: Default::default(),
            resource_name: Default::default(),
            resource_pattern_type: 3,
            principal: Default::default(),
            host: Default::default(),
            operation: Default::default(),
            permission_type: Default::default(),
        }
    }
}

impl AclCreation {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.resource_type = input.i8()?;
        value.resource_name = input.string()?;
        value.resource_pattern_type = input.i8()?;
        value.principal = input.string()?;
        value.host = input.string()?;
        value.operation = input.i8()?;
        value.permission_type = input.i8()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.i8(self.resource_type);
        out.string(&self.resource_name);
        out.i8(self.resource_pattern_type);
        out.string(&self.principal);
        out.string(&self.host);
        out.i8(self.operation);
        out.i8(self.permission_type);
        out.tags(|_| {});
    }
}

/// Versions 1 to 3.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct CreateAclsResponse {
    pub throttle_time_ms: i32,
    pub results: Vec<AclCreationResult>,
}

impl<'a> Message<'a> for CreateAclsResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 1..=3;

    fn flexible(version: i16) -> bool {
        version >= 2
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.throttle_time_ms = input.i32()?;
        value.results = input.array(|input| AclCreationResult::read(input, version))?;
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
pub struct AclCreationResult {
    pub error_code: i16,
    pub error_message: Option<String>,
}

impl AclCreationResult {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.error_code = input.i16()?;
        value.error_message = input.optional_string()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.i16(self.error_code);
        out.optional_string(self.error_message.as_deref());
        out.tags(|_| {});
    }
}
