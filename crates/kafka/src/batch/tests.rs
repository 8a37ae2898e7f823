use super::*;
use proptest::prelude::*;

const MOST: usize = 1 << 20;

fn sample(compression: Compression) -> Vec<u8> {
    let mut builder = Builder::new().compression(compression).producer(7, 1, 40);
    builder.push(
        1_000,
        Some(b"k0"),
        Some(b"value".repeat(100).as_slice()),
        &[("h", Some(b"x")), ("n", None)],
    );
    builder.push(1_005, None, Some(b""), &[]);
    builder.push(990, Some(b""), None, &[]);
    builder.build().unwrap()
}

#[test]
fn every_codec_comes_back() {
    for compression in Compression::ALL {
        let bytes = sample(compression);
        let batch = Batch::produced(&bytes).unwrap();
        assert_eq!(batch.header().compression(), Some(compression));
        assert_eq!(batch.header().max_timestamp, 1_005);
        assert_eq!(batch.header().last_sequence(), 42);
        let records = batch.records(MOST).unwrap();
        records.check().unwrap();
        let records: Vec<Record<'_>> = records.iter().map(Result::unwrap).collect();
        assert_eq!(records.len(), 3);
        assert_eq!(
            (records[0].offset, records[0].timestamp, records[0].key),
            (0, 1_000, Some(b"k0".as_slice()))
        );
        assert_eq!(records[0].value.unwrap().len(), 500);
        let headers: Vec<_> = records[0].headers().map(|header| (header.key, header.value)).collect();
        assert_eq!(headers, [(b"h".as_slice(), Some(b"x".as_slice())), (b"n", None)]);
        assert_eq!((records[2].timestamp, records[2].value), (990, None));
    }
}

#[test]
fn bare_snappy_is_read_too() {
    let plain = b"snappy without a frame".repeat(50);
    let packed = snap::raw::Encoder::new().compress_vec(&plain).unwrap();
    assert_eq!(Compression::Snappy.unpack(&packed, MOST), Ok(plain));
}

#[test]
fn bombs_are_bounded() {
    let zeros = vec![0; MOST];
    for compression in Compression::ALL.into_iter().skip(1) {
        let packed = compression.pack(&zeros).unwrap();
        assert_eq!(compression.unpack(&packed, MOST - 1), Err(Error::Large(MOST - 1)), "{compression}");
        assert_eq!(compression.unpack(&packed, MOST), Ok(zeros.clone()), "{compression}");
    }
    // five bytes that promise four gigabytes
    let liar = [0xff, 0xff, 0xff, 0xff, 0x0f];
    assert_eq!(Compression::Snappy.unpack(&liar, usize::MAX), Err(Error::Compression(Compression::Snappy)));
}

#[test]
fn offsets_and_epoch_are_set_in_place() {
    let mut bytes = sample(Compression::Lz4);
    stamp(&mut bytes, 1 << 40, 3);
    let (batch, rest) = Batch::split(&bytes).unwrap();
    assert!(rest.is_empty());
    batch.check_sum().unwrap();
    assert_eq!((batch.header().base_offset, batch.header().leader_epoch), (1 << 40, 3));
    assert_eq!(batch.header().next_offset(), (1 << 40) + 3);
    assert_eq!(batch.records(MOST).unwrap().iter().last().unwrap().unwrap().offset, (1 << 40) + 2);
}

#[test]
fn append_time_is_that_of_every_record() {
    let mut bytes = sample(Compression::Zstd);
    stamp_append_time(&mut bytes, 5_000);
    let batch = Batch::produced(&bytes).unwrap();
    assert!(batch.header().log_append_time());
    let times: Vec<i64> =
        batch.records(MOST).unwrap().iter().map(|record| record.unwrap().timestamp).collect();
    assert_eq!(times, [5_000; 3]);
}

#[test]
fn retained_records_keep_their_offsets() {
    for compression in Compression::ALL {
        let mut bytes = sample(compression);
        stamp(&mut bytes, 100, 0);
        let batch = Batch::split(&bytes).unwrap().0;
        let kept = retain(&batch, MOST, |record| record.key.is_some()).unwrap();
        let kept = Batch::split(&kept).unwrap().0;
        kept.check_sum().unwrap();
        let offsets: Vec<i64> =
            kept.records(MOST).unwrap().iter().map(|record| record.unwrap().offset).collect();
        assert_eq!(offsets, [100, 102]);
        assert_eq!((kept.header().count, kept.header().next_offset()), (2, 103));
        assert_eq!(retain(&batch, MOST, |_| true).unwrap(), bytes);
        let none = retain(&batch, MOST, |_| false).unwrap();
        assert_eq!(Batch::split(&none).unwrap().0.records(MOST).unwrap().iter().count(), 0);
    }
}

#[test]
fn a_control_batch_is_not_for_clients() {
    let bytes = Builder::control(Marker::Commit, (9, 2), 0, 77).build().unwrap();
    let batch = Batch::split(&bytes).unwrap().0;
    batch.check_sum().unwrap();
    assert!(batch.header().control() && batch.header().transactional());
    let records = batch.records(0).unwrap();
    let record = records.iter().next().unwrap().unwrap();
    assert_eq!(record.key, Some([0, 0, 0, 1].as_slice()));
    assert_eq!(record.value, Some([0, 0, 0, 0, 0, 0].as_slice()));
    assert_eq!(Batch::produced(&bytes), Err(Error::Invalid("clients must not write control records")));
}

/// A sample with other bytes at some place and the right checksum.
fn forged(at: usize, with: &[u8]) -> Vec<u8> {
    let mut bytes = sample(Compression::None);
    bytes[at..at + with.len()].copy_from_slice(with);
    let sum = header::checksum(&bytes);
    bytes[17..21].copy_from_slice(&sum.to_be_bytes());
    bytes
}

#[test]
fn what_producers_must_not_send() {
    let refused = |bytes: &[u8]| Batch::produced(bytes).unwrap_err().to_string();
    assert_eq!(refused(&forged(16, &[1])), "the batch is of format 1, and only 2 is served");
    assert_eq!(
        refused(&forged(21, &5i16.to_be_bytes())),
        "invalid batch: the codec is none that Kafka knows"
    );
    assert_eq!(
        refused(&forged(57, &2i32.to_be_bytes())),
        "invalid batch: the last offset does not fit the number of records"
    );
    assert_eq!(
        refused(&forged(53, &(-1i32).to_be_bytes())),
        "invalid batch: a producer id needs an epoch and a sequence number"
    );
    assert_eq!(refused(&forged(61, &[0x06])), "invalid record: its fields are broken");
    let mut torn = sample(Compression::None);
    torn[70] ^= 1;
    assert!(refused(&torn).contains("checksum"));
    let twice = [sample(Compression::None), sample(Compression::None)].concat();
    assert_eq!(refused(&twice), "invalid batch: a produce request has one batch for a partition");
    assert_eq!(batches(&twice).map(Result::unwrap).count(), 2);
    assert_eq!(Header::read(&[0; 4096]), Err(Error::Length(0)));
    assert_eq!(Header::read(&[0; 11]), Err(Error::Short { have: 11, want: 12 }));
}

#[test]
fn a_base_offset_at_the_end_of_all_numbers_is_no_harm() {
    let mut bytes = sample(Compression::None);
    stamp(&mut bytes, i64::MAX, 0);
    let batch = Batch::produced(&bytes).unwrap();
    assert_eq!(batch.header().next_offset(), i64::MAX);
    let mut gap = sample(Compression::None);
    // the second record's offset: behind its length, attributes and time
    let second = HEADER + gap[HEADER..].windows(3).position(|three| three == [0, 10, 2]).unwrap() + 2;
    gap[second] = 4;
    stamp(&mut gap, i64::MAX, 0);
    let sum = header::checksum(&gap);
    gap[17..21].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(Batch::produced(&gap), Err(Error::Record("the offsets have gaps")));
}

#[test]
fn sequences_wrap() {
    assert_eq!(next_sequence(i32::MAX), 0);
    let mut builder = Builder::new().producer(1, 0, i32::MAX - 1);
    for _ in 0..4 {
        builder.push(0, None, None, &[]);
    }
    let bytes = builder.build().unwrap();
    assert_eq!(Batch::produced(&bytes).unwrap().header().last_sequence(), 1);
}

proptest! {
    #[test]
    fn no_bytes_panic(at in 0usize..200, with: [u8; 4], code in 0usize..5) {
        let mut bytes = sample(Compression::ALL[code]);
        let at = at.min(bytes.len() - 4);
        bytes[at..at + 4].copy_from_slice(&with);
        for batch in batches(&bytes).flatten() {
            drop(batch.check_sum());
            if let Ok(records) = batch.records(MOST) {
                drop(records.check());
                for record in records.iter().flatten() {
                    record.headers().count();
                }
            }
            drop(retain(&batch, MOST, |record| record.value.is_some()));
        }
    }
}

#[test]
fn what_fuzzing_found_stays_found() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/batch");
    let mut inputs = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for batch in batches(&bytes).flatten() {
            let Ok(records) = batch.records(MOST) else { continue };
            let whole = records.check().is_ok();
            let count = records.iter().flatten().count();
            assert!(!whole || i32::try_from(count) == Ok(batch.header().count));
        }
        inputs += 1;
    }
    assert!(inputs > 0);
}
