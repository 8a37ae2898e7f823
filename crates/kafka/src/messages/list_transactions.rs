//! ListTransactions.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Writer};

/// Versions 0 to 2.
#[derive(Clone, Debug, PartialEq)]
pub struct ListTransactionsRequest {
    pub state_filters: Vec<String>,
    pub producer_id_filters: Vec<i64>,
    pub duration_filter: i64,
    pub transactional_id_pattern: Option<String>,
}

impl Default for ListTransactionsRequest {
    fn default() -> Self {
        Self {
            state_filters: Default::default(),
            producer_id_filters: Default::default(),
            duration_filter: -1,
            transactional_id_pattern: Default::default(),
        }
    }
}

impl<'a> Message<'a> for ListTransactionsRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=2;

    fn flexible(_version: i16) -> bool {
        true
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.state_filters = input.array(Reader::string)?;
        value.producer_id_filters = input.array(Reader::i64)?;
        if version >= 1 {
            value.duration_filter = input.i64()?;
        }
        if version == 2 {
            value.transactional_id_pattern = input.optional_string()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.array(&self.state_filters, |out, one| out.string(one));
        out.array(&self.producer_id_filters, |out, one| out.i64(*one));
        if version >= 1 {
            out.i64(self.duration_filter);
        }
        if version == 2 {
            out.optional_string(self.transactional_id_pattern.as_deref());
        }
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for ListTransactionsRequest {
    const KEY: Key = Key::ListTransactions;
    type Response<'r> = ListTransactionsResponse;
}

/// Versions 0 to 2.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ListTransactionsResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub unknown_state_filters: Vec<String>,
    pub transaction_states: Vec<TransactionState>,
}

impl<'a> Message<'a> for ListTransactionsResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=2;

    fn flexible(_version: i16) -> bool {
        true
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.throttle_time_ms = input.i32()?;
        value.error_code = input.i16()?;
        value.unknown_state_filters = input.array(Reader::string)?;
        value.transaction_states = input.array(|input| TransactionState::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i32(self.throttle_time_ms);
        out.i16(self.error_code);
        out.array(&self.unknown_state_filters, |out, one| out.string(one));
        out.array(&self.transaction_states, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct TransactionState {
    pub transactional_id: String,
    pub producer_id: i64,
    pub transaction_state: String,
}

impl TransactionState {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.transactional_id = input.string()?;
        value.producer_id = input.i64()?;
        value.transaction_state = input.string()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.string(&self.transactional_id);
        out.i64(self.producer_id);
        out.string(&self.transaction_state);
        out.tags(|_| {});
    }
}
