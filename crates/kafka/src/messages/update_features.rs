//! UpdateFeatures.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Writer};

/// Versions 0 to 2.
#[derive(Clone, Debug, PartialEq)]
pub struct UpdateFeaturesRequest {
    pub timeout_ms: i32,
    pub feature_updates: Vec<FeatureUpdateKey>,
    pub validate_only: bool,
}

impl Default for UpdateFeaturesRequest {
    fn default() -> Self {
        Self { timeout_ms: 60000, feature_updates: Default::default(), validate_only: Default::default() }
    }
}

impl<'a> Message<'a> for UpdateFeaturesRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=2;

    fn flexible(_version: i16) -> bool {
        true
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.timeout_ms = input.i32()?;
        value.feature_updates = input.array(|input| FeatureUpdateKey::read(input, version))?;
        if version >= 1 {
            value.validate_only = input.bool()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i32(self.timeout_ms);
        out.array(&self.feature_updates, |out, one| one.write(out, version));
        if version >= 1 {
            out.bool(self.validate_only);
        }
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for UpdateFeaturesRequest {
    const KEY: Key = Key::UpdateFeatures;
    type Response<'r> = UpdateFeaturesResponse;
}

#[derive(Clone, Debug, PartialEq)]
pub struct FeatureUpdateKey {
    pub feature: String,
    pub max_version_level: i16,
    pub allow_downgrade: bool,
    pub upgrade_type: i8,
}

impl Default for FeatureUpdateKey {
    fn default() -> Self {
        Self {
            feature: Default::default(),
            max_version_level: Default::default(),
            allow_downgrade: Default::default(),
            upgrade_type: 1,
        }
    }
}

impl FeatureUpdateKey {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.feature = input.string()?;
        value.max_version_level = input.i16()?;
        if version == 0 {
            value.allow_downgrade = input.bool()?;
        }
        if version >= 1 {
            value.upgrade_type = input.i8()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.string(&self.feature);
        out.i16(self.max_version_level);
        if version == 0 {
            out.bool(self.allow_downgrade);
        }
        if version >= 1 {
            out.i8(self.upgrade_type);
        }
        out.tags(|_| {});
    }
}

/// Versions 0 to 2.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct UpdateFeaturesResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub error_message: Option<String>,
    pub results: Vec<UpdatableFeatureResult>,
}

impl<'a> Message<'a> for UpdateFeaturesResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=2;

    fn flexible(_version: i16) -> bool {
        true
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.throttle_time_ms = input.i32()?;
        value.error_code = input.i16()?;
        value.error_message = input.optional_string()?;
        if version <= 1 {
            value.results = input.array(|input| UpdatableFeatureResult::read(input, version))?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i32(self.throttle_time_ms);
        out.i16(self.error_code);
        out.optional_string(self.error_message.as_deref());
        if version <= 1 {
            out.array(&self.results, |out, one| one.write(out, version));
        }
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct UpdatableFeatureResult {
    pub feature: String,
    pub error_code: i16,
    pub error_message: Option<String>,
}

impl UpdatableFeatureResult {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.feature = input.string()?;
        value.error_code = input.i16()?;
        value.error_message = input.optional_string()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.string(&self.feature);
        out.i16(self.error_code);
        out.optional_string(self.error_message.as_deref());
        out.tags(|_| {});
    }
}
