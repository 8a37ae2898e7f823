//! AddPartitionsToTxn.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Writer};

/// Versions 0 to 5.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct AddPartitionsToTxnRequest {
    pub transactions: Vec<AddPartitionsToTxnTransaction>,
    pub v3_and_below_transactional_id: String,
    pub v3_and_below_producer_id: i64,
    pub v3_and_below_producer_epoch: i16,
    pub v3_and_below_topics: Vec<AddPartitionsToTxnTopic>,
}

impl<'a> Message<'a> for AddPartitionsToTxnRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=5;

    fn flexible(version: i16) -> bool {
        version >= 3
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version >= 4 {
            value.transactions = input.array(|input| AddPartitionsToTxnTransaction::read(input, version))?;
        }
        if version <= 3 {
            value.v3_and_below_transactional_id = input.string()?;
        }
        if version <= 3 {
            value.v3_and_below_producer_id = input.i64()?;
        }
        if version <= 3 {
            value.v3_and_below_producer_epoch = input.i16()?;
        }
        if version <= 3 {
            value.v3_and_below_topics = input.array(|input| AddPartitionsToTxnTopic::read(input, version))?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version >= 4 {
            out.array(&self.transactions, |out, one| one.write(out, version));
        }
        if version <= 3 {
            out.string(&self.v3_and_below_transactional_id);
        }
        if version <= 3 {
            out.i64(self.v3_and_below_producer_id);
        }
        if version <= 3 {
            out.i16(self.v3_and_below_producer_epoch);
        }
        if version <= 3 {
            out.array(&self.v3_and_below_topics, |out, one| one.write(out, version));
        }
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for AddPartitionsToTxnRequest {
    const KEY: Key = Key::AddPartitionsToTxn;
    type Response<'r> = AddPartitionsToTxnResponse;
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct AddPartitionsToTxnTopic {
    pub name: String,
    pub partitions: Vec<i32>,
}

impl AddPartitionsToTxnTopic {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.name = input.string()?;
        value.partitions = input.array(Reader::i32)?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.string(&self.name);
        out.array(&self.partitions, |out, one| out.i32(*one));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct AddPartitionsToTxnTransaction {
    pub transactional_id: String,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub verify_only: bool,
    pub topics: Vec<AddPartitionsToTxnTopic>,
}

impl AddPartitionsToTxnTransaction {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version >= 4 {
            value.transactional_id = input.string()?;
        }
        if version >= 4 {
            value.producer_id = input.i64()?;
        }
        if version >= 4 {
            value.producer_epoch = input.i16()?;
        }
        if version >= 4 {
            value.verify_only = input.bool()?;
        }
        if version >= 4 {
            value.topics = input.array(|input| AddPartitionsToTxnTopic::read(input, version))?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version >= 4 {
            out.string(&self.transactional_id);
        }
        if version >= 4 {
            out.i64(self.producer_id);
        }
        if version >= 4 {
            out.i16(self.producer_epoch);
        }
        if version >= 4 {
            out.bool(self.verify_only);
        }
        if version >= 4 {
            out.array(&self.topics, |out, one| one.write(out, version));
        }
        out.tags(|_| {});
    }
}

/// Versions 0 to 5.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct AddPartitionsToTxnResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub results_by_transaction: Vec<AddPartitionsToTxnResult>,
    pub results_by_topic_v3_and_below: Vec<AddPartitionsToTxnTopicResult>,
}

impl<'a> Message<'a> for AddPartitionsToTxnResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=5;

    fn flexible(version: i16) -> bool {
        version >= 3
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.throttle_time_ms = input.i32()?;
        if version >= 4 {
            value.error_code = input.i16()?;
        }
        if version >= 4 {
            value.results_by_transaction =
                input.array(|input| AddPartitionsToTxnResult::read(input, version))?;
        }
        if version <= 3 {
            value.results_by_topic_v3_and_below =
                input.array(|input| AddPartitionsToTxnTopicResult::read(input, version))?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i32(self.throttle_time_ms);
        if version >= 4 {
            out.i16(self.error_code);
        }
        if version >= 4 {
            out.array(&self.results_by_transaction, |out, one| one.write(out, version));
        }
        if version <= 3 {
            out.array(&self.results_by_topic_v3_and_below, |out, one| one.write(out, version));
        }
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct AddPartitionsToTxnTopicResult {
    pub name: String,
    pub results_by_partition: Vec<AddPartitionsToTxnPartitionResult>,
}

impl AddPartitionsToTxnTopicResult {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.name = input.string()?;
        value.results_by_partition =
            input.array(|input| AddPartitionsToTxnPartitionResult::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.string(&self.name);
        out.array(&self.results_by_partition, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct AddPartitionsToTxnPartitionResult {
    pub partition_index: i32,
    pub partition_error_code: i16,
}

impl AddPartitionsToTxnPartitionResult {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.partition_index = input.i32()?;
        value.partition_error_code = input.i16()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.i32(self.partition_index);
        out.i16(self.partition_error_code);
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct AddPartitionsToTxnResult {
    pub transactional_id: String,
    pub topic_results: Vec<AddPartitionsToTxnTopicResult>,
}

impl AddPartitionsToTxnResult {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version >= 4 {
            value.transactional_id = input.string()?;
        }
        if version >= 4 {
            value.topic_results = input.array(|input| AddPartitionsToTxnTopicResult::read(input, version))?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version >= 4 {
            out.string(&self.transactional_id);
        }
        if version >= 4 {
            out.array(&self.topic_results, |out, one| one.write(out, version));
        }
        out.tags(|_| {});
    }
}
