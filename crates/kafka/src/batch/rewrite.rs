//! Changes to a batch that exists.

use super::{
    Batch, Builder, Error, HEADER, Header, Record,
    header::{at, checksum},
};

/// Sets the base offset and the leader epoch, in place: the checksum does not cover them. `batch` must be a batch.
pub fn stamp(batch: &mut [u8], base_offset: i64, leader_epoch: i32) {
    put(batch, at::BASE_OFFSET, &base_offset.to_be_bytes());
    put(batch, at::LEADER_EPOCH, &leader_epoch.to_be_bytes());
}

/// Makes the broker's time that of all records, in place, with a new checksum. `batch` must be a batch.
pub fn stamp_append_time(batch: &mut [u8], time: i64) {
    let Ok(mut header) = Header::read(batch) else { return };
    header.set_log_append_time(time);
    put(batch, at::ATTRIBUTES, &header.attributes.to_be_bytes());
    put(batch, at::MAX_TIMESTAMP, &time.to_be_bytes());
    let sum = checksum(batch);
    put(batch, at::CHECKSUM, &sum.to_be_bytes());
}

/// The batch with only those records that `keep` wants, every other field as it was, so that offsets keep their gaps; as it is
/// if all stay, and without records if none does. `most` bounds the decompressed bytes.
pub fn retain(
    batch: &Batch<'_>,
    most: usize,
    mut keep: impl FnMut(&Record<'_>) -> bool,
) -> Result<Vec<u8>, Error> {
    let records = batch.records(most)?;
    let (mut kept, mut count) = (Vec::new(), 0);
    for record in records.iter() {
        let record = record?;
        if keep(&record) {
            kept.extend_from_slice(record.raw);
            count += 1;
        }
    }
    if count == batch.header().count {
        return Ok(batch.bytes().to_vec());
    }
    Builder::remade(Header { count, ..*batch.header() }, kept).build()
}

fn put(batch: &mut [u8], at: usize, bytes: &[u8]) {
    debug_assert!(batch.len() >= HEADER, "not a batch");
    if let Some(field) = batch.get_mut(at..at + bytes.len()) {
        field.copy_from_slice(bytes);
    }
}
