//! AddOffsetsToTxn.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Writer};

/// Versions 0 to 4.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct AddOffsetsToTxnRequest {
    pub transactional_id: String,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub group_id: String,
}

impl<'a> Message<'a> for AddOffsetsToTxnRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=4;

    fn flexible(version: i16) -> bool {
        version >= 3
    }

    fn read(input: &mut Reader<'a>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.transactional_id = input.string()?;
        value.producer_id = input.i64()?;
        value.producer_epoch = input.i16()?;
        value.group_id = input.string()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.string(&self.transactional_id);
        out.i64(self.producer_id);
        out.i16(self.producer_epoch);
        out.string(&self.group_id);
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for AddOffsetsToTxnRequest {
    const KEY: Key = Key::AddOffsetsToTxn;
    type Response<'r> = AddOffsetsToTxnResponse;
}

/// Versions 0 to 4.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct AddOffsetsToTxnResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
}

impl<'a> Message<'a> for AddOffsetsToTxnResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=4;

    fn flexible(version: i16) -> bool {
        version >= 3
    }

    fn read(input: &mut Reader<'a>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.throttle_time_ms = input.i32()?;
        value.error_code = input.i16()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.i32(self.throttle_time_ms);
        out.i16(self.error_code);
        out.tags(|_| {});
    }
}
