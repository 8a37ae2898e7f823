//! DescribeTransactions.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Writer};

/// Versions 0.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct DescribeTransactionsRequest {
    pub transactional_ids: Vec<String>,
}

impl<'a> Message<'a> for DescribeTransactionsRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=0;

    fn flexible(_version: i16) -> bool {
        true
    }

    fn read(input: &mut Reader<'a>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.transactional_ids = input.array(Reader::string)?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.array(&self.transactional_ids, |out, one| out.string(one));
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for DescribeTransactionsRequest {
    const KEY: Key = Key::DescribeTransactions;
    type Response<'r> = DescribeTransactionsResponse;
}

/// Versions 0.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct DescribeTransactionsResponse {
    pub throttle_time_ms: i32,
    pub transaction_states: Vec<TransactionState>,
}

impl<'a> Message<'a> for DescribeTransactionsResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=0;

    fn flexible(_version: i16) -> bool {
        true
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.throttle_time_ms = input.i32()?;
        value.transaction_states = input.array(|input| TransactionState::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i32(self.throttle_time_ms);
        out.array(&self.transaction_states, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct TransactionState {
    pub error_code: i16,
    pub transactional_id: String,
    pub transaction_state: String,
    pub transaction_timeout_ms: i32,
    pub transaction_start_time_ms: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub topics: Vec<TopicData>,
}

impl TransactionState {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.error_code = input.i16()?;
        value.transactional_id = input.string()?;
        value.transaction_state = input.string()?;
        value.transaction_timeout_ms = input.i32()?;
        value.transaction_start_time_ms = input.i64()?;
        value.producer_id = input.i64()?;
        value.producer_epoch = input.i16()?;
        value.topics = input.array(|input| TopicData::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i16(self.error_code);
        out.string(&self.transactional_id);
        out.string(&self.transaction_state);
        out.i32(self.transaction_timeout_ms);
        out.i64(self.transaction_start_time_ms);
        out.i64(self.producer_id);
        out.i16(self.producer_epoch);
        out.array(&self.topics, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct TopicData {
    pub topic: String,
    pub partitions: Vec<i32>,
}

impl TopicData {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.topic = input.string()?;
        value.partitions = input.array(Reader::i32)?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.string(&self.topic);
        out.array(&self.partitions, |out, one| out.i32(*one));
        out.tags(|_| {});
    }
}
