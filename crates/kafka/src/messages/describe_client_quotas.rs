//! DescribeClientQuotas.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Writer};

/// Versions 0 to 1.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct DescribeClientQuotasRequest {
    pub components: Vec<ComponentData>,
    pub strict: bool,
}

impl<'a> Message<'a> for DescribeClientQuotasRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=1;

    fn flexible(version: i16) -> bool {
        version >= 1
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.components = input.array(|input| ComponentData::read(input, version))?;
        value.strict = input.bool()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.array(&self.components, |out, one| one.write(out, version));
        out.bool(self.strict);
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for DescribeClientQuotasRequest {
    const KEY: Key = Key::DescribeClientQuotas;
    type Response<'r> = DescribeClientQuotasResponse;
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct ComponentData {
    pub entity_type: String,
    pub match_type: i8,
    pub r#match: Option<String>,
}

impl ComponentData {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.entity_type = input.string()?;
        value.match_type = input.i8()?;
        value.r#match = input.optional_string()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.string(&self.entity_type);
        out.i8(self.match_type);
        out.optional_string(self.r#match.as_deref());
        out.tags(|_| {});
    }
}

/// Versions 0 to 1.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct DescribeClientQuotasResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub error_message: Option<String>,
    pub entries: Option<Vec<EntryData>>,
}

impl<'a> Message<'a> for DescribeClientQuotasResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=1;

    fn flexible(version: i16) -> bool {
        version >= 1
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.throttle_time_ms = input.i32()?;
        value.error_code = input.i16()?;
        value.error_message = input.optional_string()?;
        value.entries = input.optional_array(|input| EntryData::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i32(self.throttle_time_ms);
        out.i16(self.error_code);
        out.optional_string(self.error_message.as_deref());
        out.optional_array(self.entries.as_deref(), |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct EntryData {
    pub entity: Vec<EntityData>,
    pub values: Vec<ValueData>,
}

impl EntryData {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.entity = input.array(|input| EntityData::read(input, version))?;
        value.values = input.array(|input| ValueData::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.array(&self.entity, |out, one| one.write(out, version));
        out.array(&self.values, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct EntityData {
    pub entity_type: String,
    pub entity_name: Option<String>,
}

impl EntityData {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.entity_type = input.string()?;
        value.entity_name = input.optional_string()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.string(&self.entity_type);
        out.optional_string(self.entity_name.as_deref());
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct ValueData {
    pub key: String,
    pub value: f64,
}

impl ValueData {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.key = input.string()?;
        value.value = input.f64()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.string(&self.key);
        out.f64(self.value);
        out.tags(|_| {});
    }
}
