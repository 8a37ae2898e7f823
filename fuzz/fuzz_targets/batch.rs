//! Bytes → record batches → records, decompressed and thinned out.
#![no_main]

use dhow_kafka::batch::{Batch, batches, retain};

const MOST: usize = 1 << 20;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for batch in batches(bytes).flatten() {
        if let Ok(records) = batch.records(MOST) {
            let whole = records.check().is_ok();
            let count = records.iter().flatten().map(|record| record.headers().count()).count();
            assert!(!whole || i32::try_from(count) == Ok(batch.header().count));
        }
        if let Ok(kept) = retain(&batch, MOST, |record| record.value.is_some()) {
            assert!(Batch::split(&kept).is_ok());
        }
    }
});
