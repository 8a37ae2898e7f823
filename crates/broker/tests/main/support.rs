//! A folder, batches, and what is in a log.

use dhow_broker::{Isolation, Partition};
use dhow_kafka::batch::{self, Builder};
use std::{
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

/// A folder that goes with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("dhow-broker-main-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// A record: which writer sent it, as which.
pub(crate) type Record = (u32, u32);

/// A batch of one record of `size` bytes from an idempotent producer.
pub(crate) fn batch(producer: i64, (writer, number): Record, size: usize) -> Vec<u8> {
    let mut builder = Builder::new().producer(producer, 0, i32::try_from(number).unwrap());
    let mut value = [writer.to_le_bytes(), number.to_le_bytes()].concat();
    value.resize(size.max(8), 7);
    builder.push(dhow_broker::now(), Some(&writer.to_le_bytes()), Some(&value), &[]);
    builder.build().unwrap()
}

/// Every record with its offset, check sums verified.
pub(crate) fn records(partition: &Partition) -> Vec<(i64, Record)> {
    let mut found = Vec::new();
    let mut offset = partition.offsets().unwrap().start;
    loop {
        let slice = partition.read(offset, 1024 * 1024, Isolation::Uncommitted, true).unwrap();
        let Some(file) = slice.file else { return found };
        let mut bytes = vec![0; slice.length];
        file.read_exact_at(&mut bytes, slice.position).unwrap();
        for batch in batch::batches(&bytes) {
            let batch = batch.unwrap();
            batch.check_sum().unwrap();
            offset = batch.header().next_offset();
            for record in batch.records(0).unwrap().iter() {
                let record = record.unwrap();
                let number =
                    |at: usize| u32::from_le_bytes(record.value.unwrap()[at..at + 4].try_into().unwrap());
                found.push((record.offset, (number(0), number(4))));
            }
        }
    }
}
