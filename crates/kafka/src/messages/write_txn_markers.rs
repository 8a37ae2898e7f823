//! WriteTxnMarkers.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Writer};

/// Versions 1 to 2.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct WriteTxnMarkersRequest {
    pub markers: Vec<WritableTxnMarker>,
}

impl<'a> Message<'a> for WriteTxnMarkersRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 1..=2;

    fn flexible(_version: i16) -> bool {
        true
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.markers = input.array(|input| WritableTxnMarker::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.array(&self.markers, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for WriteTxnMarkersRequest {
    const KEY: Key = Key::WriteTxnMarkers;
    type Response<'r> = WriteTxnMarkersResponse;
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct WritableTxnMarker {
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub transaction_result: bool,
    pub topics: Vec<WritableTxnMarkerTopic>,
    pub coordinator_epoch: i32,
    pub transaction_version: i8,
}

impl WritableTxnMarker {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.producer_id = input.i64()?;
        value.producer_epoch = input.i16()?;
        value.transaction_result = input.bool()?;
        value.topics = input.array(|input| WritableTxnMarkerTopic::read(input, version))?;
        value.coordinator_epoch = input.i32()?;
        if version == 2 {
            value.transaction_version = input.i8()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i64(self.producer_id);
        out.i16(self.producer_epoch);
        out.bool(self.transaction_result);
        out.array(&self.topics, |out, one| one.write(out, version));
        out.i32(self.coordinator_epoch);
        if version == 2 {
            out.i8(self.transaction_version);
        }
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct WritableTxnMarkerTopic {
    pub name: String,
    pub partition_indexes: Vec<i32>,
}

impl WritableTxnMarkerTopic {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.name = input.string()?;
        value.partition_indexes = input.array(Reader::i32)?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.string(&self.name);
        out.array(&self.partition_indexes, |out, one| out.i32(*one));
        out.tags(|_| {});
    }
}

/// Versions 1 to 2.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct WriteTxnMarkersResponse {
    pub markers: Vec<WritableTxnMarkerResult>,
}

impl<'a> Message<'a> for WriteTxnMarkersResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 1..=2;

    fn flexible(_version: i16) -> bool {
        true
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.markers = input.array(|input| WritableTxnMarkerResult::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.array(&self.markers, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct WritableTxnMarkerResult {
    pub producer_id: i64,
    pub topics: Vec<WritableTxnMarkerTopicResult>,
}

impl WritableTxnMarkerResult {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.producer_id = input.i64()?;
        value.topics = input.array(|input| WritableTxnMarkerTopicResult::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i64(self.producer_id);
        out.array(&self.topics, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct WritableTxnMarkerTopicResult {
    pub name: String,
    pub partitions: Vec<WritableTxnMarkerPartitionResult>,
}

impl WritableTxnMarkerTopicResult {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.name = input.string()?;
        value.partitions = input.array(|input| WritableTxnMarkerPartitionResult::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.string(&self.name);
        out.array(&self.partitions, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct WritableTxnMarkerPartitionResult {
    pub partition_index: i32,
    pub error_code: i16,
}

impl WritableTxnMarkerPartitionResult {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.partition_index = input.i32()?;
        value.error_code = input.i16()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.i32(self.partition_index);
        out.i16(self.error_code);
        out.tags(|_| {});
    }
}
