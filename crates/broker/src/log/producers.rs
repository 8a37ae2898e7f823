//! What a partition knows of idempotent and transactional producers. Pure: headers in, verdicts out.

use crate::error::{Error, Kind, Result};
use dhow_kafka::batch::{Header, Marker, next_sequence};
use std::collections::{BTreeSet, HashMap, VecDeque};

/// So many of its last batches are known again when a producer repeats them.
const REMEMBERED: usize = 5;

/// A batch that was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) first_sequence: i32,
    pub(super) last_sequence: i32,
    pub(super) first_offset: i64,
    pub(super) last_offset: i64,
    pub(super) timestamp: i64,
}

/// One producer id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Producer {
    pub(super) epoch: i16,
    /// Epoch of the coordinator that last ended a transaction, or -1.
    pub(super) coordinator_epoch: i32,
    /// When it last wrote, by the broker's clock: clients write any time into records.
    pub(super) last_timestamp: i64,
    /// Where its open transaction begins.
    pub(super) open_since: Option<i64>,
    pub(super) sent: VecDeque<Sent>,
}

/// A producer that has written to a partition, for tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Writer {
    /// The producer id.
    pub id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// Of its last record, or -1.
    pub last_sequence: i32,
    /// When it last wrote, as the records say.
    pub last_timestamp: i64,
    /// Epoch of the coordinator that last ended a transaction, or -1.
    pub coordinator_epoch: i32,
    /// Where its open transaction begins.
    pub open_since: Option<i64>,
}

/// A transaction that was aborted: its records lie between, among those of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aborted {
    /// Of the producer.
    pub producer_id: i64,
    /// Of its first record.
    pub first_offset: i64,
    /// Of its marker.
    pub last_offset: i64,
}

/// All producers of a partition, and its aborted transactions in the order of their ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Producers {
    pub(super) known: HashMap<i64, Producer>,
    pub(super) aborted: Vec<Aborted>,
    /// Where the open transactions begin.
    open: BTreeSet<i64>,
}

/// What to do with a producer's batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Append,
    /// It is here already, at these offsets.
    Duplicate(Sent),
}

impl Producers {
    pub(super) fn new(known: HashMap<i64, Producer>, aborted: Vec<Aborted>) -> Self {
        let open = known.values().filter_map(|producer| producer.open_since).collect();
        Self { known, aborted, open }
    }

    /// Whether a client's batch comes in order.
    pub(super) fn check(&self, header: &Header) -> Result<Verdict> {
        let refuse = |kind, why: String| {
            Err(Error::new(kind, "append", format!("a batch of producer {}", header.producer_id), why))
        };
        let Some(producer) = self.known.get(&header.producer_id).filter(|_| header.idempotent()) else {
            return Ok(Verdict::Append);
        };
        let same = |sent: &&Sent| {
            (sent.first_sequence, sent.last_sequence) == (header.base_sequence, header.last_sequence())
        };
        if header.producer_epoch == producer.epoch
            && let Some(sent) = producer.sent.iter().find(same)
        {
            return Ok(Verdict::Duplicate(*sent));
        }
        if header.producer_epoch < producer.epoch {
            return refuse(
                Kind::InvalidProducerEpoch,
                format!("its epoch is {}, the newest one {}", header.producer_epoch, producer.epoch),
            );
        }
        let expected = match producer.sent.back() {
            Some(last) if header.producer_epoch == producer.epoch => next_sequence(last.last_sequence),
            _ => 0,
        };
        if header.base_sequence != expected {
            return refuse(
                Kind::OutOfOrderSequence,
                format!("its sequence number is {}, not {expected}", header.base_sequence),
            );
        }
        if producer.open_since.is_some() && !header.transactional() {
            return refuse(
                Kind::InvalidTxnState,
                "it is not part of the producer's open transaction".to_owned(),
            );
        }
        Ok(Verdict::Append)
    }

    /// Whether a coordinator may end the transaction of `producer_id`.
    pub(super) fn check_marker(&self, header: &Header, coordinator_epoch: i32) -> Result<()> {
        let Some(producer) = self.known.get(&header.producer_id) else { return Ok(()) };
        let refuse = |kind, why| {
            Err(Error::new(kind, "end", format!("the transaction of producer {}", header.producer_id), why))
        };
        if header.producer_epoch < producer.epoch {
            return refuse(
                Kind::InvalidProducerEpoch,
                format!("its epoch is {}, the newest one {}", header.producer_epoch, producer.epoch),
            );
        }
        if coordinator_epoch < producer.coordinator_epoch {
            return refuse(
                Kind::ProducerFenced,
                format!(
                    "coordinator epoch {coordinator_epoch} is old, {} is the newest",
                    producer.coordinator_epoch
                ),
            );
        }
        Ok(())
    }

    /// Takes note of a batch in the log. `marker` is what a control batch says.
    pub(super) fn apply(&mut self, header: &Header, marker: Option<(Marker, i32)>, now: i64) {
        if !header.idempotent() {
            return;
        }
        let fresh = || Producer {
            epoch: header.producer_epoch,
            coordinator_epoch: -1,
            last_timestamp: -1,
            open_since: None,
            sent: VecDeque::new(),
        };
        let producer = self.known.entry(header.producer_id).or_insert_with(fresh);
        if producer.epoch != header.producer_epoch {
            producer.epoch = header.producer_epoch;
            producer.sent.clear();
        }
        producer.last_timestamp = now;
        if let Some((marker, coordinator_epoch)) = marker {
            producer.coordinator_epoch = coordinator_epoch;
            let open = producer.open_since.take();
            if let Some(since) = open {
                self.open.remove(&since);
            }
            if let (Marker::Abort, Some(first_offset)) = (marker, open) {
                self.aborted.push(Aborted {
                    producer_id: header.producer_id,
                    first_offset,
                    last_offset: header.last_offset(),
                });
            }
            return;
        }
        if header.base_sequence >= 0 {
            producer.sent.push_back(Sent {
                first_sequence: header.base_sequence,
                last_sequence: header.last_sequence(),
                first_offset: header.base_offset,
                last_offset: header.last_offset(),
                timestamp: header.max_timestamp,
            });
            if producer.sent.len() > REMEMBERED {
                producer.sent.pop_front();
            }
        }
        if header.transactional() {
            let since = *producer.open_since.get_or_insert(header.base_offset);
            self.open.insert(since);
        }
    }

    /// All of them, by id.
    pub(super) fn list(&self) -> Vec<Writer> {
        let writer = |(&id, producer): (&i64, &Producer)| Writer {
            id,
            epoch: producer.epoch,
            last_sequence: producer.sent.back().map_or(-1, |sent| sent.last_sequence),
            last_timestamp: producer.last_timestamp,
            coordinator_epoch: producer.coordinator_epoch,
            open_since: producer.open_since,
        };
        let mut list: Vec<Writer> = self.known.iter().map(writer).collect();
        list.sort_unstable_by_key(|writer| writer.id);
        list
    }

    /// Where the oldest open transaction begins.
    pub(super) fn first_open(&self) -> Option<i64> {
        self.open.first().copied()
    }

    /// Those that a reader of `from..to` must leave out.
    pub(super) fn aborted_in(&self, from: i64, to: i64) -> Vec<Aborted> {
        let first = self.aborted.partition_point(|aborted| aborted.last_offset < from);
        self.aborted[first..].iter().filter(|aborted| aborted.first_offset < to).copied().collect()
    }

    /// Whether the batch belongs to a transaction that was aborted.
    pub(super) fn is_aborted(&self, header: &Header) -> bool {
        let ends_behind = self.aborted.partition_point(|aborted| aborted.last_offset < header.base_offset);
        header.transactional()
            && self.aborted[ends_behind..].iter().any(|aborted| {
                aborted.producer_id == header.producer_id && aborted.first_offset <= header.base_offset
            })
    }

    /// Forgets who has not written since `before`, and what lies before the log's start.
    pub(super) fn forget(&mut self, before: i64, start: i64) {
        self.known.retain(|_, producer| producer.open_since.is_some() || producer.last_timestamp >= before);
        self.aborted.retain(|aborted| aborted.last_offset >= start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_kafka::batch::{Batch, Builder};

    /// A batch of two records.
    fn header(id: i64, epoch: i16, sequence: i32, offset: i64, transactional: bool) -> Header {
        let mut builder = Builder::new().producer(id, epoch, sequence).base_offset(offset);
        if transactional {
            builder = builder.transactional();
        }
        builder.push(1000, None, None, &[]);
        builder.push(1000, None, None, &[]);
        *Batch::split(&builder.build().unwrap()).unwrap().0.header()
    }

    fn kind(producers: &Producers, header: &Header) -> Kind {
        producers.check(header).unwrap_err().kind
    }

    #[test]
    fn order_duplicates_and_epochs() {
        let mut producers = Producers::default();
        for n in 0..7 {
            let header = header(1, 0, n * 2, 100 + i64::from(n) * 2, false);
            assert_eq!(producers.check(&header).unwrap(), Verdict::Append);
            producers.apply(&header, None, 1000);
        }
        let Verdict::Duplicate(sent) = producers.check(&header(1, 0, 4, 0, false)).unwrap() else {
            panic!("known")
        };
        assert_eq!((sent.first_offset, sent.last_offset), (104, 105));
        // The sixth from the end is forgotten, and a gap is a gap.
        assert_eq!(kind(&producers, &header(1, 0, 2, 0, false)), Kind::OutOfOrderSequence);
        assert_eq!(kind(&producers, &header(1, 0, 16, 0, false)), Kind::OutOfOrderSequence);
        // A new epoch begins at 0, and the old one is over.
        assert_eq!(kind(&producers, &header(1, 1, 14, 0, false)), Kind::OutOfOrderSequence);
        producers.apply(&header(1, 1, 0, 114, false), None, 1000);
        assert_eq!(kind(&producers, &header(1, 0, 14, 0, false)), Kind::InvalidProducerEpoch);
        // Somebody whose records are gone may go on anywhere.
        assert_eq!(producers.check(&header(2, 3, 77, 0, false)).unwrap(), Verdict::Append);
    }

    #[test]
    fn sequence_numbers_wrap() {
        let mut producers = Producers::default();
        producers.apply(&header(1, 0, i32::MAX - 1, 0, false), None, 1000);
        assert_eq!(producers.check(&header(1, 0, 0, 2, false)).unwrap(), Verdict::Append);
        producers.apply(&header(1, 0, i32::MAX, 2, false), None, 1000);
        assert_eq!(producers.known[&1].sent[1].last_sequence, 0);
        assert_eq!(producers.check(&header(1, 0, 1, 4, false)).unwrap(), Verdict::Append);
    }

    #[test]
    fn transactions_hold_the_stable_offset_and_leave_a_mark() {
        let mut producers = Producers::default();
        producers.apply(&header(1, 0, 0, 10, true), None, 1000);
        producers.apply(&header(2, 0, 0, 12, true), None, 1000);
        producers.apply(&header(1, 0, 2, 14, true), None, 1000);
        assert_eq!(producers.first_open(), Some(10));
        assert_eq!(kind(&producers, &header(1, 0, 4, 0, false)), Kind::InvalidTxnState);
        producers.apply(&header(1, 0, -1, 16, true), Some((Marker::Abort, 0)), 1000);
        assert_eq!(producers.first_open(), Some(12));
        producers.apply(&header(2, 0, -1, 18, true), Some((Marker::Commit, 0)), 1000);
        assert_eq!(producers.first_open(), None);
        let aborted = Aborted { producer_id: 1, first_offset: 10, last_offset: 17 };
        assert_eq!((producers.aborted_in(0, 10), producers.aborted_in(17, 30)), (vec![], vec![aborted]));
        producers.forget(2000, 18);
        assert!(producers.known.is_empty() && producers.aborted.is_empty());
    }
}
