//! DescribeCluster.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Writer};

/// Versions 0 to 2.
#[derive(Clone, Debug, PartialEq)]
pub struct DescribeClusterRequest {
    pub include_cluster_authorized_operations: bool,
    pub endpoint_type: i8,
    pub include_fenced_brokers: bool,
}

impl Default for DescribeClusterRequest {
    fn default() -> Self {
        Self {
            include_cluster_authorized_operations: Default::default(),
            endpoint_type: 1,
            include_fenced_brokers: Default::default(),
        }
    }
}

impl<'a> Message<'a> for DescribeClusterRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=2;

    fn flexible(_version: i16) -> bool {
        true
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.include_cluster_authorized_operations = input.bool()?;
        if version >= 1 {
            value.endpoint_type = input.i8()?;
        }
        if version == 2 {
            value.include_fenced_brokers = input.bool()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.bool(self.include_cluster_authorized_operations);
        if version >= 1 {
            out.i8(self.endpoint_type);
        }
        if version == 2 {
            out.bool(self.include_fenced_brokers);
        }
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for DescribeClusterRequest {
    const KEY: Key = Key::DescribeCluster;
    type Response<'r> = DescribeClusterResponse;
}

/// Versions 0 to 2.
#[derive(Clone, Debug, PartialEq)]
pub struct DescribeClusterResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub error_message: Option<String>,
    pub endpoint_type: i8,
    pub cluster_id: String,
    pub controller_id: i32,
    pub brokers: Vec<DescribeClusterBroker>,
    pub cluster_authorized_operations: i32,
}

impl Default for DescribeClusterResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: Default::default(),
            error_code: Default::default(),
            error_message: Default::default(),
            endpoint_type: 1,
            cluster_id: Default::default(),
            controller_id: -1,
            brokers: Default::default(),
            cluster_authorized_operations: i32::MIN,
        }
    }
}

impl<'a> Message<'a> for DescribeClusterResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=2;

    fn flexible(_version: i16) -> bool {
        true
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.throttle_time_ms = input.i32()?;
        value.error_code = input.i16()?;
        value.error_message = input.optional_string()?;
        if version >= 1 {
            value.endpoint_type = input.i8()?;
        }
        value.cluster_id = input.string()?;
        value.controller_id = input.i32()?;
        value.brokers = input.array(|input| DescribeClusterBroker::read(input, version))?;
        value.cluster_authorized_operations = input.i32()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i32(self.throttle_time_ms);
        out.i16(self.error_code);
        out.optional_string(self.error_message.as_deref());
        if version >= 1 {
            out.i8(self.endpoint_type);
        }
        out.string(&self.cluster_id);
        out.i32(self.controller_id);
        out.array(&self.brokers, |out, one| one.write(out, version));
        out.i32(self.cluster_authorized_operations);
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct DescribeClusterBroker {
    pub broker_id: i32,
    pub host: String,
    pub port: i32,
    pub rack: Option<String>,
    pub is_fenced: bool,
}

impl DescribeClusterBroker {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.broker_id = input.i32()?;
        value.host = input.string()?;
        value.port = input.i32()?;
        value.rack = input.optional_string()?;
        if version == 2 {
            value.is_fenced = input.bool()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i32(self.broker_id);
        out.string(&self.host);
        out.i32(self.port);
        out.optional_string(self.rack.as_deref());
        if version == 2 {
            out.bool(self.is_fenced);
        }
        out.tags(|_| {});
    }
}
