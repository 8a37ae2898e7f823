//! ApiVersions.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Writer};

/// Versions 0 to 4.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ApiVersionsRequest {
    pub client_software_name: String,
    pub client_software_version: String,
}

impl<'a> Message<'a> for ApiVersionsRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=4;

    fn flexible(version: i16) -> bool {
        version >= 3
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version >= 3 {
            value.client_software_name = input.string()?;
        }
        if version >= 3 {
            value.client_software_version = input.string()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version >= 3 {
            out.string(&self.client_software_name);
        }
        if version >= 3 {
            out.string(&self.client_software_version);
        }
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for ApiVersionsRequest {
    const KEY: Key = Key::ApiVersions;
    type Response<'r> = ApiVersionsResponse;
}

/// Versions 0 to 4.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiVersionsResponse {
    pub error_code: i16,
    pub api_keys: Vec<ApiVersion>,
    pub throttle_time_ms: i32,
    pub supported_features: Vec<SupportedFeatureKey>,
    pub finalized_features_epoch: i64,
    pub finalized_features: Vec<FinalizedFeatureKey>,
    pub zk_migration_ready: bool,
}

impl Default for ApiVersionsResponse {
    fn default() -> Self {
        Self {
            error_code: Default::default(),
            api_keys: Default::default(),
            throttle_time_ms: Default::default(),
            supported_features: Default::default(),
            finalized_features_epoch: -1,
            finalized_features: Default::default(),
            zk_migration_ready: Default::default(),
        }
    }
}

impl<'a> Message<'a> for ApiVersionsResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=4;

    fn flexible(version: i16) -> bool {
        version >= 3
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.error_code = input.i16()?;
        value.api_keys = input.array(|input| ApiVersion::read(input, version))?;
        if version >= 1 {
            value.throttle_time_ms = input.i32()?;
        }
        input.tags(|tag, input| {
            match tag {
                0 if version >= 3 => {
                    value.supported_features =
                        input.array(|input| SupportedFeatureKey::read(input, version))?
                }
                1 if version >= 3 => value.finalized_features_epoch = input.i64()?,
                2 if version >= 3 => {
                    value.finalized_features =
                        input.array(|input| FinalizedFeatureKey::read(input, version))?
                }
                3 if version >= 3 => value.zk_migration_ready = input.bool()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i16(self.error_code);
        out.array(&self.api_keys, |out, one| one.write(out, version));
        if version >= 1 {
            out.i32(self.throttle_time_ms);
        }
        out.tags(|tags| {
            if version >= 3 && !self.supported_features.is_empty() {
                tags.add(0, |out| out.array(&self.supported_features, |out, one| one.write(out, version)));
            }
            if version >= 3 && self.finalized_features_epoch != -1 {
                tags.add(1, |out| out.i64(self.finalized_features_epoch));
            }
            if version >= 3 && !self.finalized_features.is_empty() {
                tags.add(2, |out| out.array(&self.finalized_features, |out, one| one.write(out, version)));
            }
            if version >= 3 && self.zk_migration_ready {
                tags.add(3, |out| out.bool(self.zk_migration_ready));
            }
        });
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct ApiVersion {
    pub api_key: i16,
    pub min_version: i16,
    pub max_version: i16,
}

impl ApiVersion {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.api_key = input.i16()?;
        value.min_version = input.i16()?;
        value.max_version = input.i16()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.i16(self.api_key);
        out.i16(self.min_version);
        out.i16(self.max_version);
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct SupportedFeatureKey {
    pub name: String,
    pub min_version: i16,
    pub max_version: i16,
}

impl SupportedFeatureKey {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version >= 3 {
            value.name = input.string()?;
        }
        if version >= 3 {
            value.min_version = input.i16()?;
        }
        if version >= 3 {
            value.max_version = input.i16()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version >= 3 {
            out.string(&self.name);
        }
        if version >= 3 {
            out.i16(self.min_version);
        }
        if version >= 3 {
            out.i16(self.max_version);
        }
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct FinalizedFeatureKey {
    pub name: String,
    pub max_version_level: i16,
    pub min_version_level: i16,
}

impl FinalizedFeatureKey {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version >= 3 {
            value.name = input.string()?;
        }
        if version >= 3 {
            value.max_version_level = input.i16()?;
        }
        if version >= 3 {
            value.min_version_level = input.i16()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version >= 3 {
            out.string(&self.name);
        }
        if version >= 3 {
            out.i16(self.max_version_level);
        }
        if version >= 3 {
            out.i16(self.min_version_level);
        }
        out.tags(|_| {});
    }
}
