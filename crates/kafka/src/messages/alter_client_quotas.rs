//! AlterClientQuotas.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Writer};

/// Versions 0 to 1.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct AlterClientQuotasRequest {
    pub entries: Vec<AlterEntryData>,
    pub validate_only: bool,
}

impl<'a> Message<'a> for AlterClientQuotasRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=1;

    fn flexible(version: i16) -> bool {
        version >= 1
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.entries = input.array(|input| AlterEntryData::read(input, version))?;
        value.validate_only = input.bool()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.array(&self.entries, |out, one| one.write(out, version));
        out.bool(self.validate_only);
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for AlterClientQuotasRequest {
    const KEY: Key = Key::AlterClientQuotas;
    type Response<'r> = AlterClientQuotasResponse;
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct AlterEntryData {
    pub entity: Vec<AlterEntityData>,
    pub ops: Vec<OpData>,
}

impl AlterEntryData {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.entity = input.array(|input| AlterEntityData::read(input, version))?;
        value.ops = input.array(|input| OpData::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.array(&self.entity, |out, one| one.write(out, version));
        out.array(&self.ops, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct AlterEntityData {
    pub entity_type: String,
    pub entity_name: Option<String>,
}

impl AlterEntityData {
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
pub struct OpData {
    pub key: String,
    pub value: f64,
    pub remove: bool,
}

impl OpData {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.key = input.string()?;
        value.value = input.f64()?;
        value.remove = input.bool()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.string(&self.key);
        out.f64(self.value);
        out.bool(self.remove);
        out.tags(|_| {});
    }
}

/// Versions 0 to 1.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct AlterClientQuotasResponse {
    pub throttle_time_ms: i32,
    pub entries: Vec<EntryData>,
}

impl<'a> Message<'a> for AlterClientQuotasResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=1;

    fn flexible(version: i16) -> bool {
        version >= 1
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.throttle_time_ms = input.i32()?;
        value.entries = input.array(|input| EntryData::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i32(self.throttle_time_ms);
        out.array(&self.entries, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct EntryData {
    pub error_code: i16,
    pub error_message: Option<String>,
    pub entity: Vec<EntityData>,
}

impl EntryData {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.error_code = input.i16()?;
        value.error_message = input.optional_string()?;
        value.entity = input.array(|input| EntityData::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i16(self.error_code);
        out.optional_string(self.error_message.as_deref());
        out.array(&self.entity, |out, one| one.write(out, version));
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
