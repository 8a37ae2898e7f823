//! InitProducerId.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Writer};

/// Versions 0 to 6.
#[derive(Clone, Debug, PartialEq)]
pub struct InitProducerIdRequest {
    pub transactional_id: Option<String>,
    pub transaction_timeout_ms: i32,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub enable2_pc: bool,
    pub keep_prepared_txn: bool,
}

impl Default for InitProducerIdRequest {
    fn default() -> Self {
        Self {
            transactional_id: Default::default(),
            transaction_timeout_ms: Default::default(),
            producer_id: -1,
            producer_epoch: -1,
            enable2_pc: Default::default(),
            keep_prepared_txn: Default::default(),
        }
    }
}

impl<'a> Message<'a> for InitProducerIdRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=6;

    fn flexible(version: i16) -> bool {
        version >= 2
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.transactional_id = input.optional_string()?;
        value.transaction_timeout_ms = input.i32()?;
        if version >= 3 {
            value.producer_id = input.i64()?;
        }
        if version >= 3 {
            value.producer_epoch = input.i16()?;
        }
        if version == 6 {
            value.enable2_pc = input.bool()?;
        }
        if version == 6 {
            value.keep_prepared_txn = input.bool()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.optional_string(self.transactional_id.as_deref());
        out.i32(self.transaction_timeout_ms);
        if version >= 3 {
            out.i64(self.producer_id);
        }
        if version >= 3 {
            out.i16(self.producer_epoch);
        }
        if version == 6 {
            out.bool(self.enable2_pc);
        }
        if version == 6 {
            out.bool(self.keep_prepared_txn);
        }
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for InitProducerIdRequest {
    const KEY: Key = Key::InitProducerId;
    type Response<'r> = InitProducerIdResponse;
}

/// Versions 0 to 6.
#[derive(Clone, Debug, PartialEq)]
pub struct InitProducerIdResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub ongoing_txn_producer_id: i64,
    pub ongoing_txn_producer_epoch: i16,
}

impl Default for InitProducerIdResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: Default::default(),
            error_code: Default::default(),
            producer_id: -1,
            producer_epoch: Default::default(),
            ongoing_txn_producer_id: -1,
            ongoing_txn_producer_epoch: -1,
        }
    }
}

impl<'a> Message<'a> for InitProducerIdResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=6;

    fn flexible(version: i16) -> bool {
        version >= 2
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.throttle_time_ms = input.i32()?;
        value.error_code = input.i16()?;
        value.producer_id = input.i64()?;
        value.producer_epoch = input.i16()?;
        if version == 6 {
            value.ongoing_txn_producer_id = input.i64()?;
        }
        if version == 6 {
            value.ongoing_txn_producer_epoch = input.i16()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i32(self.throttle_time_ms);
        out.i16(self.error_code);
        out.i64(self.producer_id);
        out.i16(self.producer_epoch);
        if version == 6 {
            out.i64(self.ongoing_txn_producer_id);
        }
        if version == 6 {
            out.i16(self.ongoing_txn_producer_epoch);
        }
        out.tags(|_| {});
    }
}
