//! AlterConfigs.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Writer};

/// Versions 0 to 2.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct AlterConfigsRequest {
    pub resources: Vec<AlterConfigsResource>,
    pub validate_only: bool,
}

impl<'a> Message<'a> for AlterConfigsRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=2;

    fn flexible(version: i16) -> bool {
        version >= 2
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.resources = input.array(|input| AlterConfigsResource::read(input, version))?;
        value.validate_only = input.bool()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.array(&self.resources, |out, one| one.write(out, version));
        out.bool(self.validate_only);
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for AlterConfigsRequest {
    const KEY: Key = Key::AlterConfigs;
    type Response<'r> = AlterConfigsResponse;
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct AlterConfigsResource {
    pub resource_type: i8,
    pub resource_name: String,
    pub configs: Vec<AlterableConfig>,
}

impl AlterConfigsResource {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.resource_type = input.i8()?;
        value.resource_name = input.string()?;
        value.configs = input.array(|input| AlterableConfig::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i8(self.resource_type);
        out.string(&self.resource_name);
        out.array(&self.configs, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct AlterableConfig {
    pub name: String,
    pub value: Option<String>,
}

impl AlterableConfig {
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

/// Versions 0 to 2.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct AlterConfigsResponse {
    pub throttle_time_ms: i32,
    pub responses: Vec<AlterConfigsResourceResponse>,
}

impl<'a> Message<'a> for AlterConfigsResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=2;

    fn flexible(version: i16) -> bool {
        version >= 2
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.throttle_time_ms = input.i32()?;
        value.responses = input.array(|input| AlterConfigsResourceResponse::read(input, version))?;
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
pub struct AlterConfigsResourceResponse {
    pub error_code: i16,
    pub error_message: Option<String>,
    pub resource_type: i8,
    pub resource_name: String,
}

impl AlterConfigsResourceResponse {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.error_code = input.i16()?;
        value.error_message = input.optional_string()?;
        value.resource_type = input.i8()?;
        value.resource_name = input.string()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.i16(self.error_code);
        out.optional_string(self.error_message.as_deref());
        out.i8(self.resource_type);
        out.string(&self.resource_name);
        out.tags(|_| {});
    }
}
