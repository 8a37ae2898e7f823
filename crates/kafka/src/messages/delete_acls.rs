//! DeleteAcls.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Writer};

/// Versions 1 to 3.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct DeleteAclsRequest {
    pub filters: Vec<DeleteAclsFilter>,
}

impl<'a> Message<'a> for DeleteAclsRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 1..=3;

    fn flexible(version: i16) -> bool {
        version >= 2
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.filters = input.array(|input| DeleteAclsFilter::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.array(&self.filters, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for DeleteAclsRequest {
    const KEY: Key = Key::DeleteAcls;
    type Response<'r> = DeleteAclsResponse;
}

#[derive(Clone, Debug, PartialEq)]
pub struct DeleteAclsFilter {
    pub resource_type_filter: i8,
    pub resource_name_filter: Option<String>,
    pub pattern_type_filter: i8,
    pub principal_filter: Option<String>,
    pub host_filter: Option<String>,
    pub operation: i8,
    pub permission_type: i8,
}

impl Default for DeleteAclsFilter {
    fn default() -> Self {
        Self {
            resource_type_filter: Default::default(),
            resource_name_filter: Default::default(),
            pattern_type_filter: 3,
            principal_filter: Default::default(),
            host_filter: Default::default(),
            operation: Default::default(),
            permission_type: Default::default(),
        }
    }
}

impl DeleteAclsFilter {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.resource_type_filter = input.i8()?;
        value.resource_name_filter = input.optional_string()?;
        value.pattern_type_filter = input.i8()?;
        value.principal_filter = input.optional_string()?;
        value.host_filter = input.optional_string()?;
        value.operation = input.i8()?;
        value.permission_type = input.i8()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.i8(self.resource_type_filter);
        out.optional_string(self.resource_name_filter.as_deref());
        out.i8(self.pattern_type_filter);
        out.optional_string(self.principal_filter.as_deref());
        out.optional_string(self.host_filter.as_deref());
        out.i8(self.operation);
        out.i8(self.permission_type);
        out.tags(|_| {});
    }
}

/// Versions 1 to 3.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct DeleteAclsResponse {
    pub throttle_time_ms: i32,
    pub filter_results: Vec<DeleteAclsFilterResult>,
}

impl<'a> Message<'a> for DeleteAclsResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 1..=3;

    fn flexible(version: i16) -> bool {
        version >= 2
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.throttle_time_ms = input.i32()?;
        value.filter_results = input.array(|input| DeleteAclsFilterResult::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i32(self.throttle_time_ms);
        out.array(&self.filter_results, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct DeleteAclsFilterResult {
    pub error_code: i16,
    pub error_message: Option<String>,
    pub matching_acls: Vec<DeleteAclsMatchingAcl>,
}

impl DeleteAclsFilterResult {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.error_code = input.i16()?;
        value.error_message = input.optional_string()?;
        value.matching_acls = input.array(|input| DeleteAclsMatchingAcl::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i16(self.error_code);
        out.optional_string(self.error_message.as_deref());
        out.array(&self.matching_acls, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct DeleteAclsMatchingAcl {
    pub error_code: i16,
    pub error_message: Option<String>,
    pub resource_type: i8,
    pub resource_name: String,
    pub pattern_type: i8,
    pub principal: String,
    pub host: String,
    pub operation: i8,
    pub permission_type: i8,
}

impl Default for DeleteAclsMatchingAcl {
    fn default() -> Self {
        Self {
            error_code: Default::default(),
            error_message: Default::default(),
            resource_type: Default::default(),
            resource_name: Default::default(),
            pattern_type: 3,
            principal: Default::default(),
            host: Default::default(),
            operation: Default::default(),
            permission_type: Default::default(),
        }
    }
}

impl DeleteAclsMatchingAcl {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.error_code = input.i16()?;
        value.error_message = input.optional_string()?;
        value.resource_type = input.i8()?;
        value.resource_name = input.string()?;
        value.pattern_type = input.i8()?;
        value.principal = input.string()?;
        value.host = input.string()?;
        value.operation = input.i8()?;
        value.permission_type = input.i8()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.i16(self.error_code);
        out.optional_string(self.error_message.as_deref());
        out.i8(self.resource_type);
        out.string(&self.resource_name);
        out.i8(self.pattern_type);
        out.string(&self.principal);
        out.string(&self.host);
        out.i8(self.operation);
        out.i8(self.permission_type);
        out.tags(|_| {});
    }
}
