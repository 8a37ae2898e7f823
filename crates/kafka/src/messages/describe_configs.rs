//! DescribeConfigs.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Writer};

/// Versions 1 to 4.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct DescribeConfigsRequest {
    pub resources: Vec<DescribeConfigsResource>,
    pub include_synonyms: bool,
    pub include_documentation: bool,
}

impl<'a> Message<'a> for DescribeConfigsRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 1..=4;

    fn flexible(version: i16) -> bool {
        version >= 4
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.resources = input.array(|input| DescribeConfigsResource::read(input, version))?;
        value.include_synonyms = input.bool()?;
        if version >= 3 {
            value.include_documentation = input.bool()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.array(&self.resources, |out, one| one.write(out, version));
        out.bool(self.include_synonyms);
        if version >= 3 {
            out.bool(self.include_documentation);
        }
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for DescribeConfigsRequest {
    const KEY: Key = Key::DescribeConfigs;
    type Response<'r> = DescribeConfigsResponse;
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct DescribeConfigsResource {
    pub resource_type: i8,
    pub resource_name: String,
    pub configuration_keys: Option<Vec<String>>,
}

impl DescribeConfigsResource {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.resource_type = input.i8()?;
        value.resource_name = input.string()?;
        value.configuration_keys = input.optional_array(Reader::string)?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.i8(self.resource_type);
        out.string(&self.resource_name);
        out.optional_array(self.configuration_keys.as_deref(), |out, one| out.string(one));
        out.tags(|_| {});
    }
}

/// Versions 1 to 4.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct DescribeConfigsResponse {
    pub throttle_time_ms: i32,
    pub results: Vec<DescribeConfigsResult>,
}

impl<'a> Message<'a> for DescribeConfigsResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 1..=4;

    fn flexible(version: i16) -> bool {
        version >= 4
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.throttle_time_ms = input.i32()?;
        value.results = input.array(|input| DescribeConfigsResult::read(input, version))?;
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
pub struct DescribeConfigsResult {
    pub error_code: i16,
    pub error_message: Option<String>,
    pub resource_type: i8,
    pub resource_name: String,
    pub configs: Vec<DescribeConfigsResourceResult>,
}

impl DescribeConfigsResult {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.error_code = input.i16()?;
        value.error_message = input.optional_string()?;
        value.resource_type = input.i8()?;
        value.resource_name = input.string()?;
        value.configs = input.array(|input| DescribeConfigsResourceResult::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i16(self.error_code);
        out.optional_string(self.error_message.as_deref());
        out.i8(self.resource_type);
        out.string(&self.resource_name);
        out.array(&self.configs, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct DescribeConfigsResourceResult {
    pub name: String,
    pub value: Option<String>,
    pub read_only: bool,
    pub config_source: i8,
    pub is_sensitive: bool,
    pub synonyms: Vec<DescribeConfigsSynonym>,
    pub config_type: i8,
    pub documentation: Option<String>,
}

impl Default for DescribeConfigsResourceResult {
    fn default() -> Self {
        Self {
            name: Default::default(),
            value: Default::default(),
            read_only: Default::default(),
            config_source: -1,
            is_sensitive: Default::default(),
            synonyms: Default::default(),
            config_type: Default::default(),
            documentation: Default::default(),
        }
    }
}

impl DescribeConfigsResourceResult {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.name = input.string()?;
        value.value = input.optional_string()?;
        value.read_only = input.bool()?;
        value.config_source = input.i8()?;
        value.is_sensitive = input.bool()?;
        value.synonyms = input.array(|input| DescribeConfigsSynonym::read(input, version))?;
        if version >= 3 {
            value.config_type = input.i8()?;
        }
        if version >= 3 {
            value.documentation = input.optional_string()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.string(&self.name);
        out.optional_string(self.value.as_deref());
        out.bool(self.read_only);
        out.i8(self.config_source);
        out.bool(self.is_sensitive);
        out.array(&self.synonyms, |out, one| one.write(out, version));
        if version >= 3 {
            out.i8(self.config_type);
        }
        if version >= 3 {
            out.optional_string(self.documentation.as_deref());
        }
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct DescribeConfigsSynonym {
    pub name: String,
    pub value: Option<String>,
    pub source: i8,
}

impl DescribeConfigsSynonym {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.name = input.string()?;
        value.value = input.optional_string()?;
        value.source = input.i8()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.string(&self.name);
        out.optional_string(self.value.as_deref());
        out.i8(self.source);
        out.tags(|_| {});
    }
}
