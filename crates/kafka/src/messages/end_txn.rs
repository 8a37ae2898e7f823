//! EndTxn.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Writer};

/// Versions 0 to 5.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct EndTxnRequest {
    pub transactional_id: String,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub committed: bool,
}

impl<'a> Message<'a> for EndTxnRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=5;

    fn flexible(version: i16) -> bool {
        version >= 3
    }

    fn read(input: &mut Reader<'a>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.transactional_id = input.string()?;
        value.producer_id = input.i64()?;
        value.producer_epoch = input.i16()?;
        value.committed = input.bool()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.string(&self.transactional_id);
        out.i64(self.producer_id);
        out.i16(self.producer_epoch);
        out.bool(self.committed);
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for EndTxnRequest {
    const KEY: Key = Key::EndTxn;
    type Response<'r> = EndTxnResponse;
}

/// Versions 0 to 5.
#[derive(Clone, Debug, PartialEq)]
pub struct EndTxnResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub producer_id: i64,
    pub producer_epoch: i16,
}

impl Default for EndTxnResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: Default::default(),
            error_code: Default::default(),
            producer_id: -1,
            producer_epoch: -1,
        }
    }
}

impl<'a> Message<'a> for EndTxnResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=5;

    fn flexible(version: i16) -> bool {
        version >= 3
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.throttle_time_ms = input.i32()?;
        value.error_code = input.i16()?;
        if version == 5 {
            value.producer_id = input.i64()?;
        }
        if version == 5 {
            value.producer_epoch = input.i16()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i32(self.throttle_time_ms);
        out.i16(self.error_code);
        if version == 5 {
            out.i64(self.producer_id);
        }
        if version == 5 {
            out.i16(self.producer_epoch);
        }
        out.tags(|_| {});
    }
}
